//! The Messages wire read back: events of a stream, or one whole message.

use l9_core::model::StopReason;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::models::answer::Answer;
use crate::models::exchange::Assembler;
use crate::models::limits::Limits;
use crate::models::refusal::{Failure, clean, within};
use crate::models::sse::Event;

/// Any event, with the fields of all kinds; `kind` says which of them matter.
#[derive(Deserialize)]
struct Incoming {
    #[serde(rename = "type")]
    kind: String,
    index: Option<u64>,
    message: Option<Whole>,
    content_block: Option<Block>,
    delta: Option<Delta>,
    usage: Option<Value>,
    error: Option<Value>,
}

/// A message, whole or as it begins.
#[derive(Deserialize)]
struct Whole {
    model: Option<String>,
    content: Option<Vec<Block>>,
    stop_reason: Option<String>,
    usage: Option<Value>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Block {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
    id: Option<String>,
    name: Option<String>,
    input: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Delta {
    #[serde(rename = "type")]
    kind: Option<String>,
    text: Option<String>,
    partial_json: Option<String>,
    stop_reason: Option<String>,
}

/// Puts a message together.
#[derive(Debug)]
pub(super) struct Reply {
    answer: Answer,
    /// The tool call that is open: its block's index, and the input it began with, which
    /// counts only if no pieces follow.
    open: Option<(Option<u64>, String)>,
    over: bool,
}

impl Reply {
    pub(super) fn new(limits: Limits) -> Self {
        Self { answer: Answer::new(limits), open: None, over: false }
    }

    fn take(&mut self, event: Incoming) -> Result<String, Failure> {
        let mut words = String::new();
        match event.kind.as_str() {
            "message_start" => {
                if let Some(message) = event.message {
                    self.head(message.model, message.usage.as_ref());
                }
            }
            "content_block_start" => {
                if let Some(block) = event.content_block {
                    words = self.start(event.index, block)?;
                }
            }
            "content_block_delta" => {
                if let Some(delta) = event.delta {
                    words = self.add(event.index, delta)?;
                }
            }
            "content_block_stop" => self.close()?,
            "message_delta" => {
                self.head(None, event.usage.as_ref());
                if let Some(reason) = event.delta.and_then(|delta| delta.stop_reason) {
                    self.answer.stop = Some(stop(&reason));
                }
            }
            "message_stop" => {
                self.close()?;
                self.answer.stop.get_or_insert_default();
                self.over = true;
            }
            "error" => return Err(within(&event.error.unwrap_or_default())),
            // `ping`, and kinds to come.
            _ => {}
        }
        self.answer.say(&words);
        Ok(words)
    }

    fn head(&mut self, model: Option<String>, usage: Option<&Value>) {
        self.answer.begin();
        if let Some(model) = model.filter(|model| !model.is_empty()) {
            self.answer.model = model;
        }
        let Some(usage) = usage else { return };
        let number = |key: &str| usage.get(key).and_then(Value::as_u64);
        let counted = &mut self.answer.counted;
        // This wire counts what came from or went to the cache apart from the input.
        let cached = number("cache_read_input_tokens").unwrap_or(0);
        if let Some(input) = number("input_tokens") {
            counted.input = Some(input + cached + number("cache_creation_input_tokens").unwrap_or(0));
            counted.cached = cached;
        }
        counted.output = number("output_tokens").or(counted.output);
    }

    /// A block begins; gives the words it begins with. Blocks of thinking, and of tools
    /// that run at the provider, are none of ours.
    fn start(&mut self, index: Option<u64>, block: Block) -> Result<String, Failure> {
        self.close()?;
        match block.kind.as_str() {
            "text" => Ok(block.text.unwrap_or_default()),
            "tool_use" => {
                self.answer.call(index, block.id.as_deref().unwrap_or_default(), block.name.as_deref().unwrap_or_default())?;
                let input = block.input.map(|input| input.get().to_owned()).unwrap_or_default();
                self.open = Some((index, input));
                Ok(String::new())
            }
            _ => Ok(String::new()),
        }
    }

    fn add(&mut self, index: Option<u64>, delta: Delta) -> Result<String, Failure> {
        match delta.kind.as_deref() {
            Some("text_delta") => Ok(delta.text.unwrap_or_default()),
            Some("input_json_delta") => {
                let piece = delta.partial_json.unwrap_or_default();
                if let Some((_, input)) = self.open.as_mut().filter(|(open, _)| *open == index)
                    && !piece.is_empty()
                {
                    input.clear();
                    self.answer.argue(&piece)?;
                }
                Ok(String::new())
            }
            _ => Ok(String::new()),
        }
    }

    fn close(&mut self) -> Result<(), Failure> {
        match self.open.take() {
            // An empty object is what every call begins with; the answer supplies it.
            Some((_, input)) if input != "{}" => self.answer.argue(&input),
            _ => Ok(()),
        }
    }
}

fn read<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, Failure> {
    serde_json::from_slice(json).map_err(|error| {
        let excerpt = clean(&String::from_utf8_lossy(&json[..json.len().min(120)]));
        Failure::lasting("malformed", format!("the provider sent what is not a message: {error} in {excerpt:?}"))
    })
}

fn stop(reason: &str) -> StopReason {
    match reason {
        "max_tokens" | "model_context_window_exceeded" => StopReason::Length,
        "tool_use" => StopReason::Tools,
        "refusal" => StopReason::Filtered,
        _ => StopReason::End,
    }
}

impl Assembler for Reply {
    fn event(&mut self, event: &Event) -> Result<String, Failure> {
        self.take(read(event.data.as_bytes())?)
    }

    fn whole(&mut self, body: &[u8]) -> Result<String, Failure> {
        let message: Whole = read(body)?;
        if let Some(error) = &message.error {
            return Err(within(error));
        }
        let Some(content) = message.content else {
            return Err(Failure::lasting("malformed", "the provider sent a message without content"));
        };
        self.head(message.model, message.usage.as_ref());
        let mut words = String::new();
        for (index, block) in content.into_iter().enumerate() {
            words.push_str(&self.start(Some(index as u64), block)?);
        }
        self.close()?;
        self.answer.say(&words);
        self.answer.stop = Some(message.stop_reason.as_deref().map_or(StopReason::End, stop));
        self.over = true;
        Ok(words)
    }

    fn is_complete(&self) -> bool {
        self.over
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
