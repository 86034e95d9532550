//! The chat completions wire read back: chunks of a stream, or one whole completion.

use l9_core::model::StopReason;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::models::answer::Answer;
use crate::models::exchange::Assembler;
use crate::models::limits::Limits;
use crate::models::refusal::{Failure, clean, within};
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

    fn take(&mut self, json: &[u8]) -> Result<String, Failure> {
        let chunk: Chunk = serde_json::from_slice(json).map_err(|error| {
            let excerpt = clean(&String::from_utf8_lossy(&json[..json.len().min(120)]));
            Failure::lasting("malformed", format!("the provider sent what is not a completion: {error} in {excerpt:?}"))
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

    fn choose(&mut self, choice: Choice, words: &mut String) -> Result<(), Failure> {
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

    fn call(&mut self, index: Option<u64>, id: Option<&str>, function: Option<Function>) -> Result<(), Failure> {
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
    fn event(&mut self, event: &Event) -> Result<String, Failure> {
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

    fn whole(&mut self, body: &[u8]) -> Result<String, Failure> {
        let words = self.take(body)?;
        if !self.chosen {
            return Err(Failure::lasting("malformed", "the provider sent a completion without choices"));
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
