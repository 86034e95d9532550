//! A model's answer while it is put together from pieces, the same for every wire.

use std::collections::BTreeSet;

use l9_core::model::{ModelFault, ModelResponse, StopReason, ToolRequest, Usage};

use super::limits::Limits;
use super::names::Names;

/// Bytes of ordinary text that make a token, roughly; used only where a provider does
/// not count.
const BYTES_PER_TOKEN: u64 = 4;

/// What has come so far.
#[derive(Debug)]
pub(super) struct Answer {
    limits: Limits,
    text: String,
    calls: Vec<Draft>,
    begun: bool,
    /// Why the model stopped, once it said so.
    pub(super) stop: Option<StopReason>,
    /// Whether the words are a refusal.
    pub(super) refused: bool,
    /// The model that answers, by the provider's word.
    pub(super) model: String,
    /// The provider's own count.
    pub(super) counted: Counted,
}

/// A provider's count; what it has not said is absent.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counted {
    pub(super) input: Option<u64>,
    pub(super) cached: u64,
    pub(super) output: Option<u64>,
}

/// A tool call of which more may come.
#[derive(Debug, Default)]
struct Draft {
    index: Option<u64>,
    id: String,
    name: String,
    arguments: String,
}

impl Answer {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            text: String::new(),
            calls: Vec::new(),
            begun: false,
            stop: None,
            refused: false,
            model: String::new(),
            counted: Counted::default(),
        }
    }

    /// Notes that the provider has begun to answer, so that this attempt is charged.
    pub(super) fn begin(&mut self) {
        self.begun = true;
    }

    /// Whether words have come, which somebody may have seen.
    pub(super) fn has_words(&self) -> bool {
        !self.text.is_empty()
    }

    pub(super) fn say(&mut self, words: &str) {
        self.text.push_str(words);
    }

    /// Begins or continues a tool call. Servers differ in whether they repeat the id, the
    /// name or the index, so a piece begins a new call only if it names a function and
    /// what it carries cannot belong to the call at hand.
    pub(super) fn call(&mut self, index: Option<u64>, id: &str, name: &str) -> Result<(), ModelFault> {
        let at = match index {
            Some(_) => self.calls.iter().rposition(|call| call.index == index),
            None => self.calls.len().checked_sub(1),
        };
        let other = |call: &Draft| match (id.is_empty(), index) {
            (true, Some(_)) => false,
            (true, None) => true,
            (false, _) => !call.id.is_empty() && call.id != id,
        };
        let at = at.filter(|&at| name.is_empty() || !other(&self.calls[at]));
        let call = match at {
            // The call at hand goes last, where `argue` finds it.
            Some(at) => self.calls.remove(at),
            None if self.calls.len() >= self.limits.max_tool_calls => {
                return Err(ModelFault::new(
                    "malformed",
                    format!("more than {} tool calls in one answer", self.limits.max_tool_calls),
                ));
            }
            None => Draft { index, ..Draft::default() },
        };
        self.calls.push(call);
        if let Some(call) = self.calls.last_mut() {
            if call.id.is_empty() {
                id.clone_into(&mut call.id);
            }
            if call.name.is_empty() {
                name.clone_into(&mut call.name);
            }
        }
        Ok(())
    }

    /// More of the arguments of the call at hand.
    pub(super) fn argue(&mut self, piece: &str) -> Result<(), ModelFault> {
        let longest = self.limits.max_argument_bytes;
        let Some(call) = self.calls.last_mut() else { return Ok(()) };
        if call.arguments.len() + piece.len() > longest {
            return Err(ModelFault::new("malformed", format!("the arguments of a tool call exceed {longest} bytes")));
        }
        call.arguments.push_str(piece);
        Ok(())
    }

    /// What the attempt is charged, whether or not it came to an end.
    pub(super) fn usage(&self, estimated_input: u64) -> Usage {
        if !self.begun {
            return Usage::default();
        }
        let written: usize =
            self.calls.iter().map(|call| call.name.len() + call.arguments.len()).sum::<usize>() + self.text.len();
        let estimated = (written as u64).div_ceil(BYTES_PER_TOKEN);
        let output = match self.counted.output {
            Some(counted) if self.stop.is_some() => counted,
            counted => counted.unwrap_or(0).max(estimated),
        };
        let input = self.counted.input.unwrap_or(estimated_input);
        Usage {
            input_tokens: input,
            cached_tokens: self.counted.cached.min(input),
            output_tokens: output,
            micro_usd: 0,
        }
    }

    /// The answer in L9's own terms. `turn` makes ids for calls that came without one.
    pub(super) fn into_response(mut self, names: &Names, turn: usize, usage: Usage) -> ModelResponse {
        let stop = self.stop.unwrap_or_default();
        self.calls.sort_by_key(|call| call.index);
        let mut taken = BTreeSet::new();
        let mut tools = Vec::with_capacity(self.calls.len());
        for (n, call) in self.calls.into_iter().enumerate() {
            if call.name.is_empty() && call.arguments.is_empty() {
                continue;
            }
            let mut id = if call.id.is_empty() { format!("call_{turn}_{n}") } else { call.id };
            while !taken.insert(id.clone()) {
                id = format!("{id}_{n}");
            }
            // An answer cut at its token limit may have lost the arguments; any other
            // call without arguments means an empty object.
            let none = call.arguments.trim().is_empty() && stop != StopReason::Length;
            let arguments = if none { "{}".to_owned() } else { call.arguments };
            tools.push(ToolRequest { id, name: names.id(&call.name), arguments });
        }
        let stop = match stop {
            _ if self.refused => StopReason::Filtered,
            StopReason::End if !tools.is_empty() => StopReason::Tools,
            StopReason::Tools if tools.is_empty() => StopReason::End,
            stop => stop,
        };
        ModelResponse { text: self.text, tools, stop, usage, model: self.model }
    }
}

/// Tokens a text of so many bytes may have, for counts a provider leaves out.
pub(super) fn tokens_of(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(BYTES_PER_TOKEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(answer: Answer) -> ModelResponse {
        let usage = answer.usage(100);
        answer.into_response(&Names::default(), 3, usage)
    }

    fn calls(pieces: &[(Option<u64>, &str, &str, &str)]) -> Vec<(String, String, String)> {
        let mut answer = Answer::new(Limits::default());
        for (index, id, name, arguments) in pieces {
            answer.call(*index, id, name).unwrap();
            answer.argue(arguments).unwrap();
        }
        response(answer).tools.into_iter().map(|call| (call.id, call.name, call.arguments)).collect()
    }

    fn call(id: &str, name: &str, arguments: &str) -> (String, String, String) {
        (id.into(), name.into(), arguments.into())
    }

    #[test]
    fn calls_are_told_apart_however_a_server_numbers_them() {
        let two = [call("a", "f", "{1}"), call("b", "g", "{2}")];
        let (zero, one) = (Some(0), Some(1));
        assert_eq!(
            calls(&[(zero, "a", "f", "{"), (one, "b", "g", "{"), (zero, "", "", "1}"), (one, "", "", "2}")]),
            two
        );
        assert_eq!(calls(&[(one, "b", "g", "{2}"), (zero, "a", "f", "{1}")]), two, "the index is the order");
        assert_eq!(
            calls(&[(zero, "a", "f", "{"), (zero, "a", "f", "1}"), (one, "b", "g", "{2}")]),
            two,
            "repeated ids"
        );
        assert_eq!(calls(&[(zero, "a", "f", "{1}"), (zero, "b", "g", "{2}")]), two, "all at index 0");
        assert_eq!(calls(&[(None, "a", "f", "{"), (None, "", "", "1}"), (None, "b", "g", "{2}")]), two, "no index");
        assert_eq!(
            calls(&[(None, "", "f", ""), (None, "", "f", "")]),
            [call("call_3_0", "f", "{}"), call("call_3_1", "f", "{}")]
        );
        assert_eq!(calls(&[(zero, "a", "f", ""), (one, "a", "f", "")]), [call("a", "f", "{}"), call("a_1", "f", "{}")]);
        assert_eq!(
            calls(&[(zero, "a", "f", "{"), (zero, "x", "", "1}")])[0],
            two[0],
            "an id that changes without a name"
        );
    }

    #[test]
    fn missing_arguments_are_an_empty_object_unless_the_answer_was_cut_at_its_limit() {
        for (stop, arguments, then) in [
            (StopReason::Tools, "{}", StopReason::Tools),
            (StopReason::End, "{}", StopReason::Tools),
            (StopReason::Length, "", StopReason::Length),
        ] {
            let mut answer = Answer::new(Limits::default());
            answer.stop = Some(stop);
            answer.call(Some(0), "a", "f").unwrap();
            let response = response(answer);
            assert_eq!((response.tools[0].arguments.as_str(), response.stop), (arguments, then));
        }
    }

    #[test]
    fn calls_and_arguments_are_capped() {
        let limits = Limits { max_tool_calls: 2, max_argument_bytes: 4, ..Limits::default() };
        let mut answer = Answer::new(limits);
        answer.call(Some(0), "a", "f").unwrap();
        answer.argue("1234").unwrap();
        assert_eq!(answer.argue("5").unwrap_err().code, "malformed");
        answer.call(Some(1), "b", "f").unwrap();
        assert!(answer.call(Some(2), "c", "f").is_err());
    }

    #[test]
    fn an_attempt_that_never_began_costs_nothing_and_a_cut_one_costs_what_was_seen() {
        let mut answer = Answer::new(Limits::default());
        assert_eq!(answer.usage(100), Usage::default());
        answer.begin();
        answer.say(&"x".repeat(40));
        answer.counted.output = Some(1);
        assert_eq!(answer.usage(100), Usage { input_tokens: 100, cached_tokens: 0, output_tokens: 10, micro_usd: 0 });
        answer.stop = Some(StopReason::End);
        assert_eq!(answer.usage(100).output_tokens, 1, "a whole answer is charged by the provider's count");
    }
}
