//! A conversation as the chat completions wire spells it.

use l9_core::model::{Message, ModelRequest, ToolRequest};
use serde_json::{Map, Value, json};

use super::settings::Settings;
use crate::models::names::Names;

/// The JSON body of a request.
pub(super) fn body(settings: &Settings, request: &ModelRequest, names: &Names) -> Value {
    let mut body = Map::new();
    body.insert("model".into(), json!(request.model));
    body.insert("messages".into(), messages(request, names));
    body.insert("stream".into(), json!(true));
    body.insert("stream_options".into(), json!({"include_usage": true}));
    // OpenAI's newer models refuse the old name; many other servers know only that.
    let most = if settings.is_home() { "max_completion_tokens" } else { "max_tokens" };
    body.insert(most.into(), json!(settings.limits.output_tokens(request)));
    if let Some(seed) = request.seed {
        // Servers read it as a signed number of 64 bits.
        body.insert("seed".into(), json!(seed & i64::MAX.unsigned_abs()));
    }
    if let Some(effort) = settings.effort(&request.model, !request.tools.is_empty()) {
        body.insert("reasoning_effort".into(), json!(effort));
    }
    if !request.tools.is_empty() {
        body.insert("tools".into(), tools(request, names));
    }
    Value::Object(body)
}

fn tools(request: &ModelRequest, names: &Names) -> Value {
    let function = |tool: &l9_core::model::ToolSpec| {
        let name = names.wire(tool.id.as_str());
        json!({"type": "function", "function": {"name": name, "description": tool.description, "parameters": tool.input_schema}})
    };
    request.tools.iter().map(function).collect()
}

fn messages(request: &ModelRequest, names: &Names) -> Value {
    let mut messages = Vec::with_capacity(request.messages.len() + 2);
    if !request.system.is_empty() {
        messages.push(json!({"role": "system", "content": request.system}));
    }
    let mut context = request.rendered_context();
    let asked = request.messages.iter().any(|message| matches!(message, Message::User { .. }));
    if !asked && let Some(context) = context.take() {
        messages.push(json!({"role": "user", "content": context}));
    }
    for message in &request.messages {
        messages.extend(spelled(message, &mut context, names));
    }
    Value::Array(messages)
}

/// One message; the first user message takes the recalled context with it.
fn spelled(message: &Message, context: &mut Option<String>, names: &Names) -> Option<Value> {
    match message {
        Message::User { text } => Some(match context.take() {
            Some(context) => json!({"role": "user", "content": [part(&context), part(text)]}),
            None => json!({"role": "user", "content": text}),
        }),
        Message::Assistant { text, tools } if tools.is_empty() => Some(json!({"role": "assistant", "content": text})),
        Message::Assistant { text, tools } => {
            let content = if text.is_empty() { Value::Null } else { json!(text) };
            let calls: Vec<Value> = tools.iter().map(|call| tool_call(call, names)).collect();
            Some(json!({"role": "assistant", "content": content, "tool_calls": calls}))
        }
        Message::Tool { id, content, is_error, .. } => {
            Some(json!({"role": "tool", "tool_call_id": id, "content": output(content, *is_error)}))
        }
        _ => None,
    }
}

fn part(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

fn tool_call(call: &ToolRequest, names: &Names) -> Value {
    // Some servers parse the arguments of past calls and refuse the whole conversation
    // when one is malformed.
    let arguments = match serde_json::from_str::<Value>(&call.arguments) {
        Ok(Value::Object(_)) => call.arguments.clone(),
        _ => json!({"malformed_arguments": call.arguments}).to_string(),
    };
    json!({"id": call.id, "type": "function", "function": {"name": names.wire(&call.name), "arguments": arguments}})
}

/// A tool's answer as text; this wire has no mark for errors, so they are wrapped.
fn output(content: &Value, is_error: bool) -> String {
    match (content, is_error) {
        (_, true) => json!({"error": content}).to_string(),
        (Value::String(text), false) => text.clone(),
        (content, false) => content.to_string(),
    }
}
