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

#[cfg(test)]
mod tests {
    use super::*;
    use l9_core::model::{Passage, ToolSpec};

    fn conversation() -> ModelRequest {
        let tool = ToolSpec {
            id: "math/calc".parse().unwrap(),
            description: "calculates".into(),
            input_schema: json!({"type": "object", "properties": {"expression": {"type": "string"}}}),
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
                    text: String::new(),
                    tools: vec![
                        call("c1", "math/calc", r#"{"expression": "6*7"}"#),
                        call("c2", "no such tool", "{broken"),
                    ],
                },
                answer("c1", json!({"value": 42}), false),
                answer("c2", json!("there is no such tool"), true),
                Message::Assistant { text: "42".into(), tools: Vec::new() },
                Message::User { text: "sure?".into() },
            ],
            tools: vec![tool],
            max_output_tokens: 100,
            seed: None,
        }
    }

    fn sent(settings: &Settings, request: &ModelRequest) -> Value {
        body(settings, request, &Names::of(&request.tools))
    }

    fn elsewhere() -> Settings {
        Settings { base_url: "http://127.0.0.1:8080/v1".into(), ..Settings::default() }
    }

    #[test]
    fn a_conversation_is_spelled_as_the_wire_wants_it() {
        let request = conversation();
        let context = request.rendered_context().unwrap();
        let expected = json!({
            "model": "m",
            "messages": [
                {"role": "system", "content": "be brief"},
                {"role": "user", "content": [{"type": "text", "text": context}, {"type": "text", "text": "what is it?"}]},
                {"role": "assistant", "content": null, "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "math__calc", "arguments": "{\"expression\": \"6*7\"}"}},
                    {"id": "c2", "type": "function", "function": {"name": "no_such_tool", "arguments": "{\"malformed_arguments\":\"{broken\"}"}},
                ]},
                {"role": "tool", "tool_call_id": "c1", "content": "{\"value\":42}"},
                {"role": "tool", "tool_call_id": "c2", "content": "{\"error\":\"there is no such tool\"}"},
                {"role": "assistant", "content": "42"},
                {"role": "user", "content": "sure?"},
            ],
            "stream": true,
            "stream_options": {"include_usage": true},
            "max_tokens": 100,
            "tools": [{"type": "function", "function": {
                "name": "math__calc",
                "description": "calculates",
                "parameters": {"type": "object", "properties": {"expression": {"type": "string"}}},
            }}],
        });
        assert_eq!(sent(&elsewhere(), &request), expected);
    }

    #[test]
    fn openai_itself_gets_its_own_names() {
        let request = ModelRequest { model: "gpt-6-luna".into(), ..conversation() };
        let body = sent(&Settings::default(), &request);
        assert_eq!((&body["max_completion_tokens"], &body["reasoning_effort"]), (&json!(100), &json!("none")));
        assert!(body.get("max_tokens").is_none());
        let without = sent(&Settings::default(), &ModelRequest { tools: Vec::new(), ..request.clone() });
        assert!(without.get("reasoning_effort").is_none() && without.get("tools").is_none());
        let low = Settings { reasoning_effort: Some("low".into()), ..Settings::default() };
        assert_eq!(sent(&low, &request)["reasoning_effort"], "low");
        let at = |url: &str| Settings { base_url: url.into(), ..Settings::default() }.is_home();
        assert!(at("https://eu.api.openai.com/v1") && at("https://mine.openai.azure.com/openai/v1"));
        assert!(!at("https://api.openai.com.example.com/v1") && !at("https://notapi.openai.com/v1"));
    }

    #[test]
    fn bounds_and_seeds_are_what_servers_take() {
        let request = ModelRequest { max_output_tokens: u32::MAX, seed: Some(u64::MAX), ..conversation() };
        let body = sent(&elsewhere(), &request);
        assert_eq!((&body["max_tokens"], &body["seed"]), (&json!(16_384), &json!(i64::MAX)));
        let unsaid = ModelRequest { max_output_tokens: 0, ..conversation() };
        assert_eq!(sent(&elsewhere(), &unsaid)["max_tokens"], 16_384);
        let base = |url: &str| Settings { base_url: url.into(), ..Settings::default() }.endpoint();
        assert_eq!(base("http://h/v1/"), "http://h/v1/chat/completions");
        assert_eq!(base("http://h"), "http://h/chat/completions");
    }

    #[test]
    fn context_without_a_question_still_arrives() {
        let request = ModelRequest { messages: Vec::new(), ..conversation() };
        assert_eq!(sent(&elsewhere(), &request)["messages"][1]["content"], json!(request.rendered_context().unwrap()));
    }
}
