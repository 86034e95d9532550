//! The chat completions wire read back: chunks of a stream, or one whole completion.

use l9_core::model::{ModelFault, StopReason};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::models::answer::Answer;
use crate::models::exchange::Assembler;
use crate::models::limits::Limits;
use crate::models::refusal::{clean, within};
use crate::models::sse::Event;

/// The event that ends a stream.
const DONE: &str = "[DONE]";

#[derive(Deserialize)]
struct Chunk {
    model: Option<String>,
    choices: Option<Vec<Choice>>,
    usage: Option<Value>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    index: Option<u64>,
    delta: Option<Delta>,
    message: Option<Delta>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<Content>,
    refusal: Option<String>,
    tool_calls: Option<Vec<ToolCall>>,
    function_call: Option<Function>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
struct Part {
    text: Option<String>,
}

#[derive(Deserialize)]
struct ToolCall {
    index: Option<u64>,
    id: Option<String>,
    function: Option<Function>,
}

#[derive(Deserialize)]
struct Function {
    name: Option<String>,
    arguments: Option<Box<RawValue>>,
}

/// Puts a completion together.
#[derive(Debug)]
pub(super) struct Completion {
    answer: Answer,
    chosen: bool,
    over: bool,
}

impl Completion {
    pub(super) fn new(limits: Limits) -> Self {
        Self { answer: Answer::new(limits), chosen: false, over: false }
    }

    fn take(&mut self, json: &[u8]) -> Result<String, ModelFault> {
        let chunk: Chunk = serde_json::from_slice(json).map_err(|error| {
            let excerpt = clean(&String::from_utf8_lossy(&json[..json.len().min(120)]));
            ModelFault::new("malformed", format!("the provider sent what is not a completion: {error} in {excerpt:?}"))
        })?;
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            return Err(within(&error));
        }
        self.answer.begin();
        if let Some(model) = chunk.model.filter(|model| !model.is_empty()) {
            self.answer.model = model;
        }
        if let Some(usage) = &chunk.usage {
            self.count(usage);
        }
        let mut words = String::new();
        for choice in chunk.choices.unwrap_or_default().into_iter().filter(|choice| choice.index.unwrap_or(0) == 0) {
            self.choose(choice, &mut words)?;
        }
        self.answer.say(&words);
        Ok(words)
    }

    fn choose(&mut self, choice: Choice, words: &mut String) -> Result<(), ModelFault> {
        self.chosen = true;
        if let Some(delta) = choice.delta.or(choice.message) {
            match delta.content {
                Some(Content::Text(text)) => words.push_str(&text),
                Some(Content::Parts(parts)) => words.extend(parts.into_iter().filter_map(|part| part.text)),
                None => {}
            }
            if let Some(refusal) = delta.refusal.filter(|refusal| !refusal.is_empty()) {
                words.push_str(&refusal);
                self.answer.refused = true;
            }
            for call in delta.tool_calls.unwrap_or_default() {
                self.call(call.index, call.id.as_deref(), call.function)?;
            }
            if let Some(function) = delta.function_call {
                self.call(Some(0), None, Some(function))?;
            }
        }
        if let Some(reason) = choice.finish_reason.filter(|reason| !reason.is_empty()) {
            self.answer.stop = Some(stop(&reason));
        }
        Ok(())
    }

    fn call(&mut self, index: Option<u64>, id: Option<&str>, function: Option<Function>) -> Result<(), ModelFault> {
        let function = function.unwrap_or(Function { name: None, arguments: None });
        self.answer.call(index, id.unwrap_or_default(), function.name.as_deref().unwrap_or_default())?;
        match function.arguments {
            Some(arguments) => self.answer.argue(&text(&arguments)),
            None => Ok(()),
        }
    }

    fn count(&mut self, usage: &Value) {
        let number = |pointer: &str| usage.pointer(pointer).and_then(Value::as_u64);
        let counted = &mut self.answer.counted;
        counted.input = number("/prompt_tokens").or(counted.input);
        counted.output = number("/completion_tokens").or(counted.output);
        counted.cached = number("/prompt_tokens_details/cached_tokens").unwrap_or(counted.cached);
    }
}

/// Arguments as the model wrote them. They travel in a string; a few servers send the
/// object itself.
fn text(arguments: &RawValue) -> String {
    serde_json::from_str::<String>(arguments.get()).unwrap_or_else(|_| arguments.get().to_owned())
}

fn stop(reason: &str) -> StopReason {
    match reason {
        "length" | "max_tokens" | "model_length" => StopReason::Length,
        "content_filter" => StopReason::Filtered,
        "tool_calls" | "function_call" => StopReason::Tools,
        _ => StopReason::End,
    }
}

impl Assembler for Completion {
    fn event(&mut self, event: &Event) -> Result<String, ModelFault> {
        if event.data.trim() == DONE {
            self.over = true;
            // A stream that answered and says it is over had no reason to give.
            if self.chosen {
                self.answer.stop.get_or_insert_default();
            }
            return Ok(String::new());
        }
        self.take(event.data.as_bytes())
    }

    fn whole(&mut self, body: &[u8]) -> Result<String, ModelFault> {
        let words = self.take(body)?;
        if !self.chosen {
            return Err(ModelFault::new("malformed", "the provider sent a completion without choices"));
        }
        self.answer.stop.get_or_insert_default();
        Ok(words)
    }

    fn is_complete(&self) -> bool {
        self.answer.stop.is_some()
    }

    fn is_over(&self) -> bool {
        self.over
    }

    fn answer(&self) -> &Answer {
        &self.answer
    }

    fn into_answer(self) -> Answer {
        self.answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::exchange::tests::{ends, read};
    use crate::models::names::Names;
    use l9_core::model::{ModelResponse, Usage};
    use proptest::prelude::*;

    fn stream(chunks: &[&str]) -> String {
        chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect()
    }

    fn finish(completion: Completion) -> ModelResponse {
        let usage = completion.answer.usage(50);
        completion.into_answer().into_response(&Names::default(), 1, usage)
    }

    fn answered(chunks: &[&str]) -> ModelResponse {
        let (completion, words, read) = read(Completion::new(Limits::default()), stream(chunks).as_bytes(), &[]);
        read.unwrap();
        assert!(completion.is_complete());
        let response = finish(completion);
        assert_eq!(response.text, words, "what is shown is what is answered");
        response
    }

    const TWO_CALLS: [&str; 8] = [
        r#"{"model":"m-2026-01-01","choices":[{"index":0,"delta":{"role":"assistant","content":null,"reasoning_content":"hm"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"let me "}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"see","tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":"{\"y\":"}},{"index":0,"function":{"arguments":"{\"x\":"}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}},{"index":1,"function":{"arguments":" 2}"}}]}}]}"#,
        r#"{"choices":[{"index":1,"delta":{"content":"another choice"}},{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#,
        r#"{"choices":[],"usage":{"prompt_tokens":90,"completion_tokens":7,"prompt_tokens_details":{"cached_tokens":64}}}"#,
        "[DONE]",
    ];

    #[test]
    fn words_and_interleaved_calls_and_usage_are_put_together() {
        let response = answered(&TWO_CALLS);
        assert_eq!(
            (response.text.as_str(), response.stop, response.model.as_str()),
            ("let me see", StopReason::Tools, "m-2026-01-01")
        );
        assert_eq!(response.usage, Usage { input_tokens: 90, cached_tokens: 64, output_tokens: 7, micro_usd: 0 });
        let calls: Vec<_> =
            response.tools.iter().map(|call| (call.id.as_str(), call.name.as_str(), call.arguments.as_str())).collect();
        assert_eq!(calls, [("a", "f", r#"{"x":1}"#), ("b", "g", r#"{"y": 2}"#)]);
    }

    #[test]
    fn reasons_to_stop_are_understood() {
        for (reason, stop) in [
            ("stop", StopReason::End),
            ("eos", StopReason::End),
            ("length", StopReason::Length),
            ("content_filter", StopReason::Filtered),
            ("tool_calls", StopReason::End),
        ] {
            let last = format!(r#"{{"choices":[{{"delta":{{"content":"x"}},"finish_reason":"{reason}"}}]}}"#);
            assert_eq!(answered(&[&last]).stop, stop, "{reason}; no call means nothing waits for tools");
        }
        let refusal = [
            r#"{"choices":[{"delta":{"refusal":"I cannot"}}]}"#,
            r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#,
        ];
        let response = answered(&refusal);
        assert_eq!((response.text.as_str(), response.stop), ("I cannot", StopReason::Filtered));
    }

    #[test]
    fn old_and_odd_servers_are_understood() {
        let legacy = [
            r#"{"choices":[{"delta":{"function_call":{"name":"f","arguments":"{\"x\""}}}]}"#,
            r#"{"choices":[{"delta":{"function_call":{"arguments":":1}"}}, "finish_reason":"function_call"}]}"#,
        ];
        let response = answered(&legacy);
        assert_eq!((response.tools[0].arguments.as_str(), response.stop), (r#"{"x":1}"#, StopReason::Tools));
        let object = [
            r#"{"choices":[{"delta":{"tool_calls":[{"function":{"name":"f","arguments":{"x": 1e999}}}]},"finish_reason":"stop"}]}"#,
        ];
        let response = answered(&object);
        assert_eq!((response.tools[0].arguments.as_str(), response.stop), (r#"{"x": 1e999}"#, StopReason::Tools));
        let parts = [
            r#"{"choices":[{"delta":{"content":[{"type":"text","text":"a"},{"type":"other"}]},"finish_reason":""}]}"#,
            "[DONE]",
        ];
        let response = answered(&parts);
        assert_eq!((response.text.as_str(), response.stop, response.usage.input_tokens), ("a", StopReason::End, 50));
    }

    #[test]
    fn arguments_that_are_not_json_are_passed_on_as_written() {
        let half = [
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\": [1,"}}]},"finish_reason":"length"}]}"#,
        ];
        let response = answered(&half);
        assert_eq!((response.tools[0].arguments.as_str(), response.stop), (r#"{"x": [1,"#, StopReason::Length));
    }

    #[test]
    fn a_stream_without_its_end_is_not_complete() {
        let (completion, ..) = read(Completion::new(Limits::default()), stream(&TWO_CALLS[..5]).as_bytes(), &[]);
        assert!(!completion.is_complete());
        let (completion, ..) = read(Completion::new(Limits::default()), stream(&["[DONE]"]).as_bytes(), &[]);
        assert!(!completion.is_complete() && completion.is_over());
    }

    #[test]
    fn what_is_not_a_completion_is_malformed_and_errors_are_told() {
        let failure =
            |text: &str| read(Completion::new(Limits::default()), stream(&[text]).as_bytes(), &[]).2.unwrap_err();
        assert_eq!(failure("{\"choices\":").code, "malformed");
        assert_eq!(failure("<html>").code, "malformed");
        let overloaded = failure(r#"{"error":{"message":"busy","code":503}}"#);
        assert!(overloaded.retryable && overloaded.message.contains("busy"));
        let whole = |text: &str| Completion::new(Limits::default()).whole(text.as_bytes());
        assert_eq!(whole("{}").unwrap_err().code, "malformed");
        assert!(whole(r#"{"error":{"type":"invalid_request_error"}}"#).is_err());
    }

    #[test]
    fn an_answer_that_was_not_streamed_is_read_too() {
        let mut completion = Completion::new(Limits::default());
        let body = r#"{"model":"m","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"yes",
            "tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]}}],
            "usage":{"prompt_tokens":3,"completion_tokens":4}}"#;
        assert_eq!(completion.whole(body.as_bytes()).unwrap(), "yes");
        let response = finish(completion);
        assert_eq!((response.tools.len(), response.stop, response.usage.output_tokens), (1, StopReason::Tools, 4));
    }

    proptest! {
        #[test]
        fn a_stream_cut_anywhere_gives_the_same_answer(cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..20)) {
            let stream = stream(&TWO_CALLS);
            let (completion, words, read) = read(Completion::new(Limits::default()), stream.as_bytes(), &ends(&cuts, stream.len()));
            prop_assert!(read.is_ok());
            prop_assert_eq!(words, "let me see");
            prop_assert_eq!(finish(completion), answered(&TWO_CALLS));
        }

        #[test]
        fn no_bytes_make_it_panic_and_every_cut_fails_alike(
            junk in proptest::collection::vec(prop_oneof![
                proptest::sample::select(TWO_CALLS.to_vec()).prop_map(|chunk| format!("data: {chunk}\n\n").into_bytes()),
                proptest::sample::select(vec!["{}", "null", "[]", "{\"choices\":null}", "{\"choices\":[{}]}", "{\"usage\":7}", "{\"usage\":{\"prompt_tokens\":18446744073709551615}}"])
                    .prop_map(|chunk| format!("data: {chunk}\n\n").into_bytes()),
                proptest::collection::vec(any::<u8>(), 0..20),
            ], 0..8).prop_map(|parts| parts.concat()),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let (one, words, ended) = read(Completion::new(Limits::default()), &junk, &[]);
            let (other, again, ended_again) = read(Completion::new(Limits::default()), &junk, &ends(&cuts, junk.len()));
            prop_assert_eq!((words, ended), (again, ended_again));
            prop_assert_eq!(finish(one), finish(other));
        }
    }
}
