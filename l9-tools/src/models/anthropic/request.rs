//! A conversation as the Messages wire spells it.

use l9_core::model::{Message, ModelRequest, ToolRequest};
use serde_json::{Map, Value, json};

use super::settings::Settings;
use crate::models::names::Names;

/// The JSON body of a request. This wire takes no seed.
pub(super) fn body(settings: &Settings, request: &ModelRequest, names: &Names) -> Value {
    let mut body = Map::new();
    body.insert("model".into(), json!(request.model));
    body.insert("max_tokens".into(), json!(settings.limits.output_tokens(request)));
    body.insert("stream".into(), json!(true));
    if !request.system.trim().is_empty() {
        body.insert("system".into(), json!(request.system));
    }
    body.insert("messages".into(), messages(request, names));
    if !request.tools.is_empty() {
        body.insert("tools".into(), tools(request, names));
    }
    if let Some(thinking) = &settings.thinking {
        body.insert("thinking".into(), json!({"type": thinking}));
    }
    if let Some(effort) = &settings.effort {
        body.insert("output_config".into(), json!({"effort": effort}));
    }
    Value::Object(body)
}

fn tools(request: &ModelRequest, names: &Names) -> Value {
    let tool = |tool: &l9_core::model::ToolSpec| {
        let name = names.wire(tool.id.as_str());
        json!({"name": name, "description": tool.description, "input_schema": tool.input_schema})
    };
    request.tools.iter().map(tool).collect()
}

/// The messages, with neighbours of the same role merged: roles must take turns, and all
/// results of one turn's calls must stand in one message.
fn messages(request: &ModelRequest, names: &Names) -> Value {
    let mut turns: Vec<(&str, Vec<Value>)> = Vec::new();
    let mut context = request.rendered_context();
    let asked = request.messages.iter().any(|message| matches!(message, Message::User { .. }));
    if !asked && let Some(context) = context.take() {
        turns.push(("user", vec![text(&context)]));
    }
    for message in &request.messages {
        let (role, blocks) = spelled(message, &mut context, names);
        match turns.last_mut() {
            _ if blocks.is_empty() => {}
            Some((last, before)) if *last == role => before.extend(blocks),
            _ => turns.push((role, blocks)),
        }
    }
    turns.into_iter().map(|(role, blocks)| json!({"role": role, "content": blocks})).collect()
}

/// One message as its role and blocks; the first user message takes the recalled context
/// with it. Blank text is left out: this wire refuses it.
fn spelled(message: &Message, context: &mut Option<String>, names: &Names) -> (&'static str, Vec<Value>) {
    let words = |text_: &str| (!text_.trim().is_empty()).then(|| text(text_));
    match message {
        Message::User { text: said } => {
            ("user", context.take().map(|context| text(&context)).into_iter().chain(words(said)).collect())
        }
        Message::Assistant { text: said, tools } => {
            ("assistant", words(said).into_iter().chain(tools.iter().map(|call| tool_use(call, names))).collect())
        }
        Message::Tool { id, content, is_error, .. } => {
            let output = content.as_str().map_or_else(|| content.to_string(), ToOwned::to_owned);
            (
                "user",
                vec![json!({"type": "tool_result", "tool_use_id": legal(id), "content": output, "is_error": is_error})],
            )
        }
        _ => ("user", Vec::new()),
    }
}

fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

fn tool_use(call: &ToolRequest, names: &Names) -> Value {
    let input = match serde_json::from_str::<Value>(&call.arguments) {
        Ok(input @ Value::Object(_)) => input,
        _ => json!({"malformed_arguments": call.arguments}),
    };
    json!({"type": "tool_use", "id": legal(&call.id), "name": names.wire(&call.name), "input": input})
}

/// An id in the characters this wire allows; a fork may bring ids of another provider.
fn legal(id: &str) -> String {
    let id: String =
        id.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' }).collect();
    if id.is_empty() { "call".to_owned() } else { id }
}

#[cfg(test)]
mod tests {
    use super::*;
    use l9_core::model::{Passage, ToolSpec};

    fn conversation() -> ModelRequest {
        let tool = ToolSpec {
            id: "math/calc".parse().unwrap(),
            description: "calculates".into(),
            input_schema: json!({"type": "object"}),
        };
        let call = |id: &str, name: &str, arguments: &str| ToolRequest {
            id: id.into(),
            name: name.into(),
            arguments: arguments.into(),
        };
        let answer = |id: &str, content: Value, is_error: bool| Message::Tool {
            id: id.into(),
            tool: "math/calc".parse().unwrap(),
            content,
            is_error,
        };
        ModelRequest {
            model: "m".into(),
            system: "be brief".into(),
            context: vec![Passage {
                source: "a.md".into(),
                position: "lines 1-2".into(),
                text: "six times seven".into(),
            }],
            messages: vec![
                Message::User { text: "what is it?".into() },
                Message::Assistant {
                    text: "let me see".into(),
                    tools: vec![
                        call("c1", "math/calc", r#"{"expression": "6*7"}"#),
                        call("call.2", "no such tool", "[broken"),
                    ],
                },
                answer("c1", json!({"value": 42}), false),
                answer("call.2", json!("there is no such tool"), true),
                Message::User { text: "go on".into() },
                Message::Assistant { text: " ".into(), tools: Vec::new() },
                Message::User { text: "sure?".into() },
            ],
            tools: vec![tool],
            max_output_tokens: 100,
            seed: Some(1),
        }
    }

    fn sent(settings: &Settings, request: &ModelRequest) -> Value {
        body(settings, request, &Names::of(&request.tools))
    }

    #[test]
    fn a_conversation_is_spelled_as_the_wire_wants_it() {
        let request = conversation();
        let context = request.rendered_context().unwrap();
        let expected = json!({
            "model": "m",
            "max_tokens": 100,
            "stream": true,
            "system": "be brief",
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": context}, {"type": "text", "text": "what is it?"}]},
                {"role": "assistant", "content": [
                    {"type": "text", "text": "let me see"},
                    {"type": "tool_use", "id": "c1", "name": "math__calc", "input": {"expression": "6*7"}},
                    {"type": "tool_use", "id": "call_2", "name": "no_such_tool", "input": {"malformed_arguments": "[broken"}},
                ]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "c1", "content": "{\"value\":42}", "is_error": false},
                    {"type": "tool_result", "tool_use_id": "call_2", "content": "there is no such tool", "is_error": true},
                    {"type": "text", "text": "go on"},
                    {"type": "text", "text": "sure?"},
                ]},
            ],
            "tools": [{"name": "math__calc", "description": "calculates", "input_schema": {"type": "object"}}],
        });
        assert_eq!(sent(&Settings::default(), &request), expected);
    }

    #[test]
    fn thinking_and_effort_are_sent_only_when_set() {
        let settings =
            Settings { thinking: Some("between_tools".into()), effort: Some("low".into()), ..Settings::default() };
        let body = sent(&settings, &conversation());
        assert_eq!(
            (&body["thinking"], &body["output_config"]),
            (&json!({"type": "between_tools"}), &json!({"effort": "low"}))
        );
    }

    #[test]
    fn a_blank_system_prompt_is_left_out_and_the_base_may_name_the_version() {
        let body =
            sent(&Settings::default(), &ModelRequest { system: "\n".into(), tools: Vec::new(), ..conversation() });
        assert!(body.get("system").is_none() && body.get("tools").is_none());
        let base = |url: &str| Settings { base_url: url.into(), ..Settings::default() }.endpoint();
        for url in ["http://h", "http://h/", "http://h/v1", "http://h/v1/"] {
            assert_eq!(base(url), "http://h/v1/messages");
        }
    }
}
