//! Messages from a server, read from whatever bytes it sent: the same bounds hold for lines,
//! bodies and events.

use std::collections::BTreeMap;

use l9_core::json::{self, Bounds};
use l9_core::{Error, Result};
use rmcp::model::{ErrorCode, ErrorData, RequestId, ServerJsonRpcMessage, Tool};
use serde::Deserialize as _;
use serde_json::Value;
use serde_json::value::RawValue;

use super::output::told;

/// Nested arrays and objects of a message: those of an output and some around it.
const DEPTH: usize = 128;
/// Values of a message.
const VALUES: usize = 500_000;

/// The code of what stands for an answer that cannot be read.
pub(super) const UNREADABLE: ErrorCode = ErrorCode(i32::MIN);

/// The message in these bytes, of which there are no more than the transport takes.
///
/// # Errors
/// `Invalid` for what is no message, has a key twice, or is too deep or too large.
pub(super) fn message(bytes: &[u8]) -> Result<ServerJsonRpcMessage> {
    let mut value = json::parse_answer(bytes, &Bounds { bytes: bytes.len(), depth: DEPTH, values: VALUES })?;
    if let Some(Value::Array(tools)) = value.pointer_mut("/result/tools") {
        // One that is none keeps nobody from the others.
        tools.retain(is_tool);
    }
    serde_json::from_value(value).map_err(|error| Error::invalid("it is no message of JSON-RPC").caused_by(error))
}

/// What whoever asked is told in place of an answer that cannot be read: nothing else would end
/// the wait for it.
pub(super) fn unreadable(id: RequestId, why: &Error) -> ServerJsonRpcMessage {
    let message = format!("the server's answer cannot be read: {why}");
    ServerJsonRpcMessage::error(ErrorData::new(UNREADABLE, message, None), Some(id))
}

/// The question that bytes answer which are no message as a whole: some that are no UTF-8, have a
/// key twice, or are too deep or too large. What a server prints by mistake answers none.
pub(super) fn answered(bytes: &[u8]) -> Option<RequestId> {
    let text = String::from_utf8_lossy(bytes);
    let fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(&text).ok()?;
    if !fields.contains_key("jsonrpc") || fields.contains_key("method") {
        return None;
    }
    serde_json::from_str(fields.get("id")?.get()).ok()
}

fn is_tool(value: &Value) -> bool {
    let Err(error) = Tool::deserialize(value) else { return true };
    let name = told(value.get("name").and_then(Value::as_str).unwrap_or("without a name"));
    tracing::warn!(name, error = told(&error.to_string()), "an MCP server lists a tool that is none: it is left out");
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_deep_too_large_or_means_two_things_is_no_message() {
        let answer = |result: &str| message(format!(r#"{{"jsonrpc": "2.0", "id": 1, "result": {result}}}"#).as_bytes());
        assert!(answer(r#"{"content": [], "more": 1}"#).is_ok());
        assert!(answer(r#"{"content": [], "content": []}"#).is_err());
        assert!(answer(&format!("{{\"more\": {}1{}}}", "[".repeat(DEPTH), "]".repeat(DEPTH))).is_err());
        assert!(answer(&format!("{{\"more\": [{}0]}}", "0,".repeat(VALUES))).is_err());
    }

    #[test]
    fn what_cannot_be_read_is_still_known_to_answer_something() {
        let id = |bytes: &[u8]| answered(bytes).map(|id| id.to_string());
        let deep = format!("{}1{}", "[".repeat(1_000), "]".repeat(1_000));
        for result in [&b"{\"n\": 1, \"n\": 2}"[..], b"\"\xff\"", b"1e999", deep.as_bytes(), b"5, \"error\": 5"] {
            let bytes = [&b"{\"jsonrpc\": \"2.0\", \"id\": 7, \"result\": "[..], result, b"}\n"].concat();
            let error = message(&bytes).unwrap_err();
            assert_eq!(id(&bytes).as_deref(), Some("7"), "{error}");
            let told = serde_json::to_value(unreadable(answered(&bytes).unwrap(), &error)).unwrap();
            let words = told["error"]["message"].as_str().unwrap();
            assert!(words.starts_with("the server's answer cannot be read: ") && !words.contains("rmcp"), "{words}");
        }
        assert_eq!(id(br#"{"jsonrpc": "2.0", "id": "a", "id": "b", "error": {}}"#).as_deref(), Some("b"));
        for none in [
            r#"{"jsonrpc": "2.0", "id": "#,
            r#"{"jsonrpc": "2.0", "id": null, "error": {}}"#,
            r#"{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"a": 1, "a": 2}}"#,
            r#"{"level": "info", "id": 1}"#,
            "this is no message",
            "[]",
        ] {
            assert_eq!(id(none.as_bytes()), None, "{none}");
        }
    }

    #[test]
    fn large_integers_are_told_as_texts_and_what_is_no_tool_is_left_out() {
        let answer = |result: &str| {
            let message = message(format!(r#"{{"jsonrpc": "2.0", "id": 1, "result": {result}}}"#).as_bytes());
            serde_json::to_value(message.unwrap()).unwrap()
        };
        let large = answer(r#"{"content": [], "structuredContent": {"id": 1234567890123456789, "n": 5}}"#);
        assert_eq!(large["result"]["structuredContent"], serde_json::json!({"id": "1234567890123456789", "n": 5}));
        let good = r#"{"name": "good", "inputSchema": {"type": "object"}}"#;
        for bad in [r#"{"name": "bad", "inputSchema": null}"#, r#"{"inputSchema": {}}"#, "5"] {
            let listed = answer(&format!(r#"{{"tools": [{bad}, {good}]}}"#));
            assert_eq!(listed["result"]["tools"].as_array().map(Vec::len), Some(1), "{bad}");
        }
    }
}
