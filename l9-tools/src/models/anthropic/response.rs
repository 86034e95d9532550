//! The Messages wire read back: events of a stream, or one whole message.

use l9_core::model::{ModelFault, StopReason};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::models::answer::Answer;
use crate::models::exchange::Assembler;
use crate::models::limits::Limits;
use crate::models::refusal::{clean, within};
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

    fn take(&mut self, event: Incoming) -> Result<String, ModelFault> {
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
            let written = number("cache_creation_input_tokens").unwrap_or(0);
            counted.input = Some(input.saturating_add(cached).saturating_add(written));
            counted.cached = cached;
        }
        counted.output = number("output_tokens").or(counted.output);
    }

    /// A block begins; gives the words it begins with. Blocks of thinking, and of tools
    /// that run at the provider, are none of ours.
    fn start(&mut self, index: Option<u64>, block: Block) -> Result<String, ModelFault> {
        self.close()?;
        match block.kind.as_str() {
            "text" => Ok(block.text.unwrap_or_default()),
            "tool_use" => {
                self.answer.call(
                    index,
                    block.id.as_deref().unwrap_or_default(),
                    block.name.as_deref().unwrap_or_default(),
                )?;
                let input = block.input.map(|input| input.get().to_owned()).unwrap_or_default();
                self.open = Some((index, input));
                Ok(String::new())
            }
            _ => Ok(String::new()),
        }
    }

    fn add(&mut self, index: Option<u64>, delta: Delta) -> Result<String, ModelFault> {
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

    fn close(&mut self) -> Result<(), ModelFault> {
        match self.open.take() {
            // An empty object is what every call begins with; the answer supplies it.
            Some((_, input)) if input != "{}" => self.answer.argue(&input),
            _ => Ok(()),
        }
    }
}

fn read<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, ModelFault> {
    serde_json::from_slice(json).map_err(|error| {
        let excerpt = clean(&String::from_utf8_lossy(&json[..json.len().min(120)]));
        ModelFault::new("malformed", format!("the provider sent what is not a message: {error} in {excerpt:?}"))
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
    fn event(&mut self, event: &Event) -> Result<String, ModelFault> {
        self.take(read(event.data.as_bytes())?)
    }

    fn whole(&mut self, body: &[u8]) -> Result<String, ModelFault> {
        let message: Whole = read(body)?;
        if let Some(error) = &message.error {
            return Err(within(error));
        }
        let Some(content) = message.content else {
            return Err(ModelFault::new("malformed", "the provider sent a message without content"));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::exchange::tests::{ends, read};
    use crate::models::names::Names;
    use l9_core::model::{ModelResponse, Usage};
    use proptest::prelude::*;

    fn stream(events: &[&str]) -> String {
        events.iter().map(|event| format!("event: any\ndata: {event}\n\n")).collect()
    }

    fn finish(reply: Reply) -> ModelResponse {
        let usage = reply.answer.usage(50);
        reply.into_answer().into_response(&Names::default(), 1, usage)
    }

    fn answered(events: &[&str]) -> ModelResponse {
        let (reply, words, read) = read(Reply::new(Limits::default()), stream(events).as_bytes(), &[]);
        read.unwrap();
        assert!(reply.is_complete());
        let response = finish(reply);
        assert_eq!(response.text, words, "what is shown is what is answered");
        response
    }

    /// Numbers no honest provider sends.
    const HUGE: &str = r#"{"type":"message_delta","usage":{"input_tokens":18446744073709551615,"cache_read_input_tokens":18446744073709551615,"output_tokens":18446744073709551615}}"#;

    const CALLS: [&str; 19] = [
        r#"{"type":"message_start","message":{"id":"msg_1","model":"m-1","content":[],"stop_reason":null,"usage":{"input_tokens":10,"cache_creation_input_tokens":5,"cache_read_input_tokens":20,"output_tokens":1}}}"#,
        r#"{"type":"ping"}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"let me "}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"see"}}"#,
        r#"{"type":"content_block_stop","index":1}"#,
        r#"{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"toolu_a","name":"f","input":{}}}"#,
        r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":""}}"#,
        r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"x\""}}"#,
        r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":": 1}"}}"#,
        r#"{"type":"content_block_stop","index":2}"#,
        r#"{"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"toolu_b","name":"g","input":{}}}"#,
        r#"{"type":"content_block_stop","index":3}"#,
        r#"{"type":"an_event_to_come","index":9}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":33}}"#,
        r#"{"type":"message_stop"}"#,
    ];

    #[test]
    fn words_calls_and_usage_are_put_together_and_thinking_is_left_out() {
        let response = answered(&CALLS);
        assert_eq!(
            (response.text.as_str(), response.stop, response.model.as_str()),
            ("let me see", StopReason::Tools, "m-1")
        );
        assert_eq!(response.usage, Usage { input_tokens: 35, cached_tokens: 20, output_tokens: 33, micro_usd: 0 });
        let calls: Vec<_> =
            response.tools.iter().map(|call| (call.id.as_str(), call.name.as_str(), call.arguments.as_str())).collect();
        assert_eq!(calls, [("toolu_a", "f", r#"{"x": 1}"#), ("toolu_b", "g", "{}")]);
    }

    #[test]
    fn reasons_to_stop_are_understood() {
        for (reason, stop) in [
            ("end_turn", StopReason::End),
            ("stop_sequence", StopReason::End),
            ("max_tokens", StopReason::Length),
            ("refusal", StopReason::Filtered),
            ("a_reason_to_come", StopReason::End),
        ] {
            let delta = format!(r#"{{"type":"message_delta","delta":{{"stop_reason":"{reason}"}}}}"#);
            assert_eq!(answered(&[&delta, r#"{"type":"message_stop"}"#]).stop, stop, "{reason}");
        }
    }

    #[test]
    fn input_that_comes_at_once_counts_unless_pieces_follow() {
        let start = r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"a","name":"f","input":{"x": 1}}}"#;
        let piece = r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"x\":2}"}}"#;
        let stop = [r#"{"type":"content_block_stop","index":0}"#, r#"{"type":"message_stop"}"#];
        assert_eq!(answered(&[start, stop[0], stop[1]]).tools[0].arguments, r#"{"x": 1}"#);
        assert_eq!(answered(&[start, piece, stop[0], stop[1]]).tools[0].arguments, r#"{"x":2}"#);
    }

    #[test]
    fn a_stream_is_complete_only_at_its_end_and_errors_are_told() {
        let (reply, ..) = read(Reply::new(Limits::default()), stream(&CALLS[..18]).as_bytes(), &[]);
        assert!(!reply.is_complete());
        let failure = |text: &str| read(Reply::new(Limits::default()), stream(&[text]).as_bytes(), &[]).2.unwrap_err();
        assert!(failure(r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#).retryable);
        assert!(failure(r#"{"type":"error"}"#).retryable);
        assert_eq!(failure("{\"type\":").code, "malformed");
        let whole = |text: &str| Reply::new(Limits::default()).whole(text.as_bytes()).unwrap_err();
        assert_eq!(whole("{}").code, "malformed");
        assert!(whole(r#"{"type":"error","error":{"type":"api_error","message":"x"}}"#).retryable);
    }

    #[test]
    fn an_answer_that_was_not_streamed_is_read_too() {
        let mut reply = Reply::new(Limits::default());
        let body = r#"{"type":"message","model":"m","content":[{"type":"thinking","thinking":"hm"},{"type":"text","text":"yes"},
            {"type":"tool_use","id":"a","name":"f","input":{"n": 12345678901234567890123}}],
            "stop_reason":"tool_use","usage":{"input_tokens":3,"output_tokens":4}}"#;
        assert_eq!(reply.whole(body.as_bytes()).unwrap(), "yes");
        let response = finish(reply);
        assert_eq!(response.tools[0].arguments, r#"{"n": 12345678901234567890123}"#, "as the model wrote it");
        assert_eq!((response.stop, response.usage.input_tokens), (StopReason::Tools, 3));
    }

    proptest! {
        #[test]
        fn a_stream_cut_anywhere_gives_the_same_answer(cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..20)) {
            let stream = stream(&CALLS);
            let (reply, words, read) = read(Reply::new(Limits::default()), stream.as_bytes(), &ends(&cuts, stream.len()));
            prop_assert!(read.is_ok());
            prop_assert_eq!(words, "let me see");
            prop_assert_eq!(finish(reply), answered(&CALLS));
        }

        #[test]
        fn no_bytes_make_it_panic_and_every_cut_fails_alike(
            junk in proptest::collection::vec(prop_oneof![
                proptest::sample::select(CALLS.to_vec()).prop_map(|event| format!("data: {event}\n\n").into_bytes()),
                proptest::sample::select(vec!["{}", "null", "{\"type\":\"message_start\"}", HUGE, "{\"type\":\"content_block_delta\",\"delta\":{}}"])
                    .prop_map(|event| format!("data: {event}\n\n").into_bytes()),
                proptest::collection::vec(any::<u8>(), 0..20),
            ], 0..8).prop_map(|parts| parts.concat()),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let (one, words, ended) = read(Reply::new(Limits::default()), &junk, &[]);
            let (other, again, ended_again) = read(Reply::new(Limits::default()), &junk, &ends(&cuts, junk.len()));
            prop_assert_eq!((words, ended), (again, ended_again));
            prop_assert_eq!(finish(one), finish(other));
        }
    }
}
