//! What a run of an agent, and a run of a single tool call, wants next.
//!
//! Pure functions of the folded state. The conversation is not stored anywhere: it is
//! derived from the effects' intents and results each time a turn is due.

use std::sync::Arc;

use serde::Deserialize as _;
use serde_json::{Value, json};

use super::citations::cite;
use super::profile::AgentProfile;
use crate::id::{AgentId, CallId, ToolId};
use crate::model::{Message, ModelRequest, ModelResponse, Passage, ToolSpec};
use crate::run::{
    Action, Call, CallState, DELEGATE, Decider, Outcome, RunOutcome, RunState, Step, Stored, Subject, Wanted,
};
use crate::tool::Tool;

/// The tool through which an agent recalls.
pub(super) const RECALL: &str = "memory/search";

/// Advances a run of an agent. Holds the specifications of the pinned tools, which are
/// what the contracts in `run.created` say.
#[derive(Debug)]
pub struct AgentDecider {
    specs: Vec<ToolSpec>,
}

impl AgentDecider {
    /// The newest version.
    pub const VERSION: u32 = 1;

    /// A decider over the run's tools.
    #[must_use]
    pub fn new<'a>(tools: impl IntoIterator<Item = &'a Tool>) -> Self {
        let spec = |tool: &Tool| ToolSpec {
            id: tool.manifest.id.clone(),
            description: tool.manifest.description.clone(),
            input_schema: tool.manifest.input_schema.clone(),
        };
        Self { specs: tools.into_iter().map(spec).collect() }
    }

    fn steps(&self, state: &RunState, profile: &AgentProfile, input: &str) -> Vec<Step> {
        if profile.memory.recall > 0 && !state.calls.contains_key(&CallId::Context) {
            let arguments = json!({"query": clip(input, 2000), "k": profile.memory.recall}).to_string();
            return vec![perform(CallId::Context, RECALL, arguments)];
        }
        if state.calls.get(&CallId::Context).is_some_and(|call| !call.is_settled()) {
            return Vec::new();
        }
        let turn = state.turn.max(1);
        match state.calls.get(&CallId::Turn(turn)) {
            None => vec![self.ask(state, profile, input, turn)],
            Some(open) if !open.is_settled() => Vec::new(),
            Some(CallState::Intended(_) | CallState::Asked(_) | CallState::Retrying { .. }) => Vec::new(),
            Some(CallState::Ended { outcome: Outcome::Ok { value }, .. }) => {
                if waits(state, turn) {
                    return Vec::new();
                }
                match state.value(value).map(ModelResponse::deserialize) {
                    Some(Ok(response)) => self.follow(state, profile, input, turn, &response),
                    _ => vec![fail("erased", format!("the answer of turn {turn} cannot be read any more"))],
                }
            }
            Some(CallState::Ended { outcome: Outcome::Failed { code, message, .. }, .. }) => {
                vec![fail(&format!("model.{code}"), message.clone())]
            }
            Some(CallState::Denied { code, reasons, .. }) => vec![fail(&format!("denied.{code}"), reasons.join("; "))],
            Some(CallState::Unknown { reason, .. }) => vec![fail("model.unknown", reason.clone())],
        }
    }

    fn follow(
        &self,
        state: &RunState,
        profile: &AgentProfile,
        input: &str,
        turn: u32,
        response: &ModelResponse,
    ) -> Vec<Step> {
        if response.tools.is_empty() && response.text.trim().is_empty() {
            let message = format!(
                "turn {turn} gave neither words nor calls, and stopped for {:?}: raise limits.output_tokens of agent {}, \
                 or ask otherwise",
                response.stop, profile.id
            );
            return vec![fail("model.empty", message)];
        }
        if response.tools.is_empty() {
            let citations = cite(&response.text, &passages(state));
            return vec![Step::Close(RunOutcome::Succeeded {
                answer: Stored::Inline(Value::String(response.text.clone())),
                citations,
            })];
        }
        if response.tools.len() > profile.limits.parallel_tools as usize {
            let message = format!(
                "turn {turn} asked for {} tool calls at once, over the limit of {}: raise limits.parallel_tools",
                response.tools.len(),
                profile.limits.parallel_tools
            );
            return vec![fail("limit.parallel_tools", message)];
        }
        let calls = || (0_u32..).zip(&response.tools).map(|(index, tool)| (CallId::Tool { turn, index }, tool));
        let missing: Vec<Step> = calls()
            .filter(|(id, _)| !state.calls.contains_key(id))
            .map(|(id, tool)| perform(id, &tool.name, tool.arguments.clone()))
            .collect();
        if !missing.is_empty() {
            return missing;
        }
        if !calls().all(|(id, _)| state.calls.get(&id).is_some_and(CallState::is_settled)) {
            return Vec::new();
        }
        if turn >= profile.limits.turns {
            let message = format!("no answer after {turn} turns: raise limits.turns of agent {}", profile.id);
            return vec![fail("limit.turns", message)];
        }
        vec![self.ask(state, profile, input, turn + 1)]
    }

    fn ask(&self, state: &RunState, profile: &AgentProfile, input: &str, turn: u32) -> Step {
        let request = ModelRequest {
            model: profile.model.model.clone().unwrap_or_default(),
            system: profile.instructions.clone(),
            context: state.output(CallId::Context).map(passages_of).unwrap_or_default(),
            messages: conversation(state, input, turn),
            tools: self.specs.iter().filter_map(|spec| offered(spec, profile)).collect(),
            max_output_tokens: profile.limits.output_tokens,
            seed: state.created.as_ref().and_then(|created| created.seed.as_ref()).and_then(|seed| seed.parse().ok()),
        };
        let wanted = Wanted::Model { model: profile.model.clone(), request: Arc::new(request) };
        Step::Perform(Call { id: CallId::Turn(turn), wanted, within: None })
    }
}

impl Decider for AgentDecider {
    fn version(&self) -> u32 {
        Self::VERSION
    }

    fn decide(&self, state: &RunState) -> Vec<Step> {
        match state.created.as_ref().map(|created| &created.subject) {
            Some(Subject::Agent { profile, input, .. }) => match state.value(input).and_then(Value::as_str) {
                Some(input) => self.steps(state, profile, input),
                None => vec![fail("erased", "the input cannot be read any more".to_owned())],
            },
            _ => Vec::new(),
        }
    }
}

/// Advances a run of a single tool call.
#[derive(Debug, Clone, Copy)]
pub struct ToolDecider;

impl ToolDecider {
    /// The newest version.
    pub const VERSION: u32 = 1;
}

impl Decider for ToolDecider {
    fn version(&self) -> u32 {
        Self::VERSION
    }

    fn decide(&self, state: &RunState) -> Vec<Step> {
        let Some(Subject::Tool { tool, arguments, .. }) = state.created.as_ref().map(|created| &created.subject) else {
            return Vec::new();
        };
        match state.calls.get(&CallId::Single) {
            None => match state.value(arguments).and_then(Value::as_str) {
                Some(arguments) => vec![perform(CallId::Single, tool.as_str(), arguments.to_owned())],
                None => vec![fail("erased", "the arguments cannot be read any more".to_owned())],
            },
            Some(open) if !open.is_settled() => Vec::new(),
            Some(CallState::Intended(_) | CallState::Asked(_) | CallState::Retrying { .. }) => Vec::new(),
            Some(CallState::Ended { outcome: Outcome::Ok { value }, .. }) => {
                vec![Step::Close(RunOutcome::Succeeded { answer: value.clone(), citations: Vec::new() })]
            }
            Some(CallState::Ended { outcome: Outcome::Failed { code, message, .. }, .. }) => {
                vec![fail(code, message.clone())]
            }
            Some(CallState::Denied { code, reasons, .. }) => vec![fail(&format!("denied.{code}"), reasons.join("; "))],
            Some(CallState::Unknown { reason, .. }) => vec![fail("unknown", reason.clone())],
        }
    }
}

/// Whether a call that the turn asked for is under way. All of a turn's calls are wanted
/// at once, so nothing is decided before the last has ended; asked after each of them,
/// this must not read the turn's answer.
fn waits(state: &RunState, turn: u32) -> bool {
    let calls = CallId::Tool { turn, index: 0 }..=CallId::Tool { turn, index: u32::MAX };
    state.calls.range(calls).any(|(_, call)| !call.is_settled())
}

/// A tool as the model is shown it, if the profile grants it.
fn offered(spec: &ToolSpec, profile: &AgentProfile) -> Option<ToolSpec> {
    if spec.id.as_str() == DELEGATE && !profile.delegates.is_empty() {
        let agents: Vec<&str> = profile.delegates.iter().map(AgentId::as_str).collect();
        let description = format!("{} The agents are {}.", spec.description, agents.join(", "));
        return Some(ToolSpec { description, ..spec.clone() });
    }
    profile.tools.iter().any(|tool| tool.id == spec.id).then(|| spec.clone())
}

fn perform(id: CallId, name: &str, arguments: String) -> Step {
    Step::Perform(Call { id, wanted: Wanted::Tool { name: name.to_owned(), arguments }, within: None })
}

fn fail(code: &str, message: String) -> Step {
    Step::Close(RunOutcome::Failed { code: code.to_owned(), message })
}

fn clip(text: &str, characters: usize) -> &str {
    text.char_indices().nth(characters).map_or(text, |(end, _)| &text[..end])
}

/// The conversation before a turn, oldest first.
fn conversation(state: &RunState, input: &str, before: u32) -> Vec<Message> {
    let mut messages = vec![Message::User { text: input.to_owned() }];
    for turn in 1..before {
        let Some(response) = state.output(CallId::Turn(turn)) else { continue };
        let Ok(response) = ModelResponse::deserialize(response) else { continue };
        let answers: Vec<Message> = (0_u32..)
            .zip(&response.tools)
            .map(|(index, tool)| {
                let (content, is_error) = answer(state, CallId::Tool { turn, index });
                // A name that is no tool id was denied as such; the model sees why.
                let tool_id = ToolId::new(tool.name.as_str()).ok().or_else(|| ToolId::new("unknown/tool").ok());
                tool_id.map(|tool_id| Message::Tool { id: tool.id.clone(), tool: tool_id, content, is_error })
            })
            .collect::<Option<_>>()
            .unwrap_or_default();
        messages.push(Message::Assistant { text: response.text, tools: response.tools });
        messages.extend(answers);
    }
    messages
}

/// What the model is told of a tool call, and whether it is a fault.
fn answer(state: &RunState, id: CallId) -> (Value, bool) {
    match state.calls.get(&id) {
        Some(CallState::Ended { outcome: Outcome::Ok { value }, .. }) => match state.value(value) {
            Some(value) => (value.clone(), false),
            None => (json!({"error": "erased"}), true),
        },
        Some(CallState::Ended { outcome: Outcome::Failed { code, message, .. }, .. }) => {
            (json!({"error": code, "message": message}), true)
        }
        Some(CallState::Denied { code, reasons, .. }) => {
            (json!({"error": "denied", "code": code, "reasons": reasons}), true)
        }
        Some(CallState::Unknown { reason, .. }) => {
            let message = format!("nobody knows whether this took effect; do not simply call it again: {reason}");
            (json!({"error": "unknown", "message": message}), true)
        }
        Some(CallState::Intended(_) | CallState::Asked(_) | CallState::Retrying { .. }) | None => {
            (json!({"error": "pending"}), true)
        }
    }
}

/// Everything this run read from memory. Only that can be cited: another tool's output
/// may name any source it likes.
fn passages(state: &RunState) -> Vec<Passage> {
    let read = |call: &CallState| matches!(call, CallState::Ended { action: Action::Tool { tool, .. }, .. } if tool.as_str() == RECALL);
    state
        .calls
        .iter()
        .filter(|(_, call)| read(call))
        .filter_map(|(id, _)| state.output(*id))
        .flat_map(passages_of)
        .collect()
}

/// The passages within an output of `memory/search`.
fn passages_of(output: &Value) -> Vec<Passage> {
    let passages = output.get("passages").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    passages.iter().filter_map(|passage| serde_json::from_value(passage.clone()).ok()).collect()
}
