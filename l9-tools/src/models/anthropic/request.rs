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
        Message::User { text: said } => ("user", context.take().map(|context| text(&context)).into_iter().chain(words(said)).collect()),
        Message::Assistant { text: said, tools } => {
            ("assistant", words(said).into_iter().chain(tools.iter().map(|call| tool_use(call, names))).collect())
        }
        Message::Tool { id, content, is_error, .. } => {
            let output = content.as_str().map_or_else(|| content.to_string(), ToOwned::to_owned);
            ("user", vec![json!({"type": "tool_result", "tool_use_id": legal(id), "content": output, "is_error": is_error})])
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
    let id: String = id.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' }).collect();
    if id.is_empty() { "call".to_owned() } else { id }
}
