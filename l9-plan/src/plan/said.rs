//! Effects of nodes as they are wanted: which tool, with every reference replaced.

use std::borrow::Cow;
use std::time::Duration;

use l9_core::id::{CallId, NodeCall, NodePart};
use l9_core::run::{Call, DELEGATE, Rollback, RunState, Subject, WAIT, Wanted};
use l9_core::{Error, Result};
use serde_json::{Value, json};

use super::compiled::{Effect, Node};
use super::progress::Progress;
use super::template::{Root, Source};

/// The longest wait before another try, in seconds.
const LONGEST_BACKOFF: u64 = 86_400;

/// What references within a plan stand for.
pub(super) struct Values<'a> {
    pub(super) progress: &'a Progress,
    pub(super) state: &'a RunState,
    /// The element, and its place.
    pub(super) item: Option<(&'a Value, u32)>,
    /// The rollbacks that had been before: what was reset since counts as it was then.
    pub(super) before: Option<&'a [Rollback]>,
}

impl<'a> Values<'a> {
    /// What they stand for now.
    pub(super) fn now(progress: &'a Progress, state: &'a RunState) -> Self {
        Self { progress, state, item: None, before: None }
    }

    /// What they stood for when a node was of a generation.
    fn when(progress: &'a Progress, state: &'a RunState, call: NodeCall) -> Self {
        let mut values = Self::now(progress, state);
        let mut times = 0;
        for (place, rollback) in state.plan.rollbacks.iter().enumerate() {
            if rollback.resets(call.node) {
                times += 1;
                if times > call.generation {
                    values.before = Some(&state.plan.rollbacks[..place]);
                    break;
                }
            }
        }
        values
    }

    fn generation(&self, number: u32) -> u32 {
        match self.before {
            None => self.state.plan.generation(number),
            Some(before) => {
                u32::try_from(before.iter().filter(|rollback| rollback.resets(number)).count()).unwrap_or(u32::MAX)
            }
        }
    }
}

impl Source for Values<'_> {
    fn root(&self, root: &Root) -> Cow<'_, Value> {
        match root {
            Root::Input => input(self.state).map_or(Cow::Owned(Value::Null), Cow::Borrowed),
            Root::Item => self.item.map_or(Cow::Owned(Value::Null), |(item, _)| Cow::Borrowed(item)),
            Root::Index => Cow::Owned(self.item.map_or(Value::Null, |(_, index)| json!(index))),
            Root::Node(id) => match self.progress.compiled.numbers.get(id) {
                None => Cow::Owned(Value::Null),
                Some(number) => {
                    let generation = self.generation(*number);
                    if generation == self.state.plan.generation(*number) {
                        self.progress.output(self.state, *number)
                    } else {
                        self.progress.gave(self.state, *number, generation)
                    }
                }
            },
        }
    }
}

/// What the plan was given.
fn input(state: &RunState) -> Option<&Value> {
    match &state.created.as_ref()?.subject {
        Subject::Plan { input, .. } => state.value(input),
        _ => None,
    }
}

/// An effect of a node.
pub(super) fn say(progress: &Progress, state: &RunState, call: NodeCall) -> Result<Call> {
    let node = progress.compiled.node(call.node);
    let node = node.ok_or_else(|| Error::corrupt(format!("there is no node {}", call.node)))?;
    let within = node.within.map(Duration::from_secs);
    let (effect, within) = match call.part {
        NodePart::Work => (node.effect(), within),
        NodePart::Undo => (node.undo.as_deref(), None),
        NodePart::Delay => {
            let doubled = node.retry.backoff_seconds.saturating_mul(1 << call.attempt.saturating_sub(2).min(32));
            let arguments = json!({"seconds": doubled.min(LONGEST_BACKOFF)}).to_string();
            let wanted = Wanted::Tool { name: WAIT.to_owned(), arguments };
            return Ok(Call { id: CallId::Node(call), wanted, within: None });
        }
    };
    let effect = effect.ok_or_else(|| Error::corrupt(format!("node {} has no such effect", node.id)))?;
    let arguments = arguments(progress, state, node, effect, call)?;
    let wanted = Wanted::Tool { name: effect.tool.id.as_str().to_owned(), arguments: arguments.to_string() };
    // A wait ends by itself.
    let within = within.filter(|_| effect.tool.id.as_str() != WAIT);
    Ok(Call { id: CallId::Node(call), wanted, within })
}

fn arguments(progress: &Progress, state: &RunState, node: &Node, effect: &Effect, call: NodeCall) -> Result<Value> {
    let undone = call.part == NodePart::Undo;
    let mut values = if undone { Values::when(progress, state, call) } else { Values::now(progress, state) };
    let element = match &node.map {
        None => None,
        Some(_) if !undone => progress.element(call.node, call.item).cloned(),
        Some(map) => map.0.fill(&values)?.get(call.item as usize).cloned(),
    };
    values.item = element.as_ref().map(|element| (element, call.item));
    let mut arguments = effect.arguments.fill(&values)?;
    match effect.tool.id.as_str() {
        // An agent is told in words.
        DELEGATE => {
            if let Some(input) = arguments.get_mut("input").filter(|input| !input.is_string()) {
                *input = Value::String(input.to_string());
            }
        }
        WAIT => {
            let seconds = arguments.get("seconds").and_then(Value::as_u64).into_iter().chain(node.within).min();
            if let Some(seconds) = seconds {
                arguments["seconds"] = json!(seconds);
            }
        }
        _ => {}
    }
    Ok(arguments)
}
