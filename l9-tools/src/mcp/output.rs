//! What a server's answer means for the call: its output, or a fault.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use l9_core::tool::{Limits, ToolFault};
use rmcp::ServiceError;
use rmcp::model::{CallToolResult, ContentBlock, ErrorCode, ErrorData, ResourceContents, ServerResult};
use serde_json::{Map, Value, json};

use super::frame::UNREADABLE;
use super::ticket::Ticket;
use super::words;
use crate::error::read_output;

/// Bytes of a server's words that are told.
const TOLD: usize = 1_000;

/// The output of a call, from whatever the server answered.
pub(super) fn judged(
    answer: Result<ServerResult, ServiceError>,
    ticket: &Ticket,
    limits: &Limits,
) -> Result<Value, ToolFault> {
    match answer {
        Ok(ServerResult::CallToolResult(result)) => bounded(&value(result), limits),
        Ok(ServerResult::InputRequiredResult(_)) => {
            let why = "the server wants input in the middle of the call, which L9 does not give";
            Err(ToolFault::new("server_error", why))
        }
        Ok(_) => Err(ToolFault::new("invalid_output", "the server answered with something that is no tool result")),
        Err(ServiceError::McpError(error)) => Err(refusal(&error)),
        Err(error) => {
            let why = format!("the server gave no answer: {}", told(&words::of_request(&error)));
            Err(ticket.give_up(ToolFault::passing("unavailable", why)))
        }
    }
}

/// `{text, structured?, error?, parts?}`.
fn value(result: CallToolResult) -> Value {
    let (mut texts, mut parts) = (Vec::new(), Vec::new());
    for block in result.content {
        match block {
            ContentBlock::Text(text) => texts.push(text.text),
            other => parts.push(part(other)),
        }
    }
    let mut output = Map::new();
    output.insert("text".to_owned(), texts.join("\n\n").into());
    if let Some(structured) = result.structured_content {
        output.insert("structured".to_owned(), structured);
    }
    if result.is_error == Some(true) {
        output.insert("error".to_owned(), true.into());
    }
    if !parts.is_empty() {
        output.insert("parts".to_owned(), parts.into());
    }
    output.into()
}

/// What is no text: resources in words as they are, and of bytes only what they are, since
/// nothing here can read them.
fn part(block: ContentBlock) -> Value {
    match block {
        ContentBlock::Image(image) => bytes("image", &image.mime_type, &image.data),
        ContentBlock::Audio(audio) => bytes("audio", &audio.mime_type, &audio.data),
        ContentBlock::ResourceLink(link) => {
            json!({"kind": "link", "uri": link.uri, "name": link.name, "media_type": link.mime_type})
        }
        ContentBlock::Resource(resource) => match resource.resource {
            ResourceContents::TextResourceContents { uri, mime_type, text, .. } => {
                json!({"kind": "resource", "uri": uri, "media_type": mime_type, "text": text})
            }
            ResourceContents::BlobResourceContents { uri, mime_type, blob, .. } => {
                let mut part = bytes("resource", mime_type.as_deref().unwrap_or("application/octet-stream"), &blob);
                part["uri"] = uri.into();
                part
            }
            _ => json!({"kind": "unknown"}),
        },
        _ => json!({"kind": "unknown"}),
    }
}

fn bytes(kind: &str, media: &str, data: &str) -> Value {
    match STANDARD.decode(data) {
        Ok(bytes) => {
            let hash = l9_core::digest::sha256(&[&bytes]).to_string();
            json!({"kind": kind, "media_type": media, "bytes": bytes.len(), "sha256": hash, "left_out": true})
        }
        Err(_) => json!({"kind": kind, "media_type": media, "left_out": true, "why": "it is no base64"}),
    }
}

/// Through the same bounds as any foreign JSON.
fn bounded(output: &Value, limits: &Limits) -> Result<Value, ToolFault> {
    read_output(output.to_string().as_bytes(), limits)
}

/// What a JSON-RPC error means. Those that come before any tool is looked for say that the call
/// was not begun; one about its parameters may come from the tool, and after it ran.
fn refusal(error: &ErrorData) -> ToolFault {
    let message = told(&words::of_refusal(error));
    match error.code {
        UNREADABLE => ToolFault::new("invalid_output", message),
        ErrorCode::PARSE_ERROR
        | ErrorCode::METHOD_NOT_FOUND
        | ErrorCode::HEADER_MISMATCH
        | ErrorCode::MISSING_REQUIRED_CLIENT_CAPABILITY
        | ErrorCode::UNSUPPORTED_PROTOCOL_VERSION => ToolFault::new("failed", message),
        _ => ToolFault::new("server_error", message),
    }
}

/// A server's words as they can be shown.
pub(super) fn told(words: &str) -> String {
    crate::log::printable(words, TOLD)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(result: Value) -> Value {
        value(serde_json::from_value(result).unwrap())
    }

    #[test]
    fn an_error_of_the_tool_is_a_value_and_bytes_are_told_of() {
        let failed = of(json!({"content": [{"type": "text", "text": "no such file"}], "isError": true}));
        assert_eq!(failed, json!({"text": "no such file", "error": true}));
        let drawn = of(json!({"content": [
            {"type": "text", "text": "a"}, {"type": "text", "text": "b"},
            {"type": "image", "data": "aGk=", "mimeType": "image/png"},
            {"type": "resource", "resource": {"uri": "a:b", "text": "words"}},
            {"type": "image", "data": "%%", "mimeType": "image/png"},
        ], "structuredContent": {"n": 1}}));
        assert_eq!((&drawn["text"], &drawn["structured"]), (&json!("a\n\nb"), &json!({"n": 1})));
        assert_eq!((&drawn["parts"][0]["bytes"], &drawn["parts"][0]["left_out"]), (&json!(2), &json!(true)));
        assert_eq!(drawn["parts"][1]["text"], "words");
        assert_eq!(drawn["parts"][2]["why"], "it is no base64");
        assert!(!drawn.to_string().contains("aGk="));
    }

    #[test]
    fn only_the_protocol_s_own_errors_say_that_nothing_happened() {
        let of = |code| refusal(&ErrorData::new(ErrorCode(code), "x\u{1b}[2J", None));
        assert_eq!(of(-32602).code, "server_error", "some say so after the tool ran");
        assert_eq!(of(-32601).code, "failed");
        assert_eq!(of(-32603).code, "server_error");
        assert_eq!(of(-32000).code, "server_error");
        assert!(!of(-32603).message.contains('\u{1b}'));
    }

    #[test]
    fn an_output_over_its_bounds_is_no_output() {
        let limits = Limits { output_bytes: 50, ..Limits::default() };
        assert_eq!(bounded(&json!({"text": "x".repeat(100)}), &limits).unwrap_err().code, "limit.output");
        let mut deep = json!(1);
        for _ in 0..60 {
            deep = json!([deep]);
        }
        assert_eq!(bounded(&deep, &Limits::default()).unwrap_err().code, "invalid_output");
    }
}
