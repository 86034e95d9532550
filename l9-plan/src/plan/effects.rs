//! What the effects of a node's work say, each found in the run's state by its number.

use l9_core::id::{CallId, NodeCall, NodePart};
use l9_core::run::{CallState, Outcome, RunState, WAIT};
use serde_json::Value;

use super::compiled::Node;

/// Why an effect or a node failed: a code and a message.
pub(super) type Why = Box<(String, String)>;

/// How an effect ended.
pub(super) type End = Result<(), Why>;

/// The first try at a node's work, or at an element's.
pub(super) fn first(state: &RunState, node: u32, item: u32) -> NodeCall {
    NodeCall { node, generation: state.plan.generation(node), part: NodePart::Work, item, attempt: 1 }
}

/// Whether anything of a node has begun in its generation.
pub(super) fn has_begun(state: &RunState, node: u32) -> bool {
    let from = NodeCall { attempt: 0, ..first(state, node, 0) };
    let next = state.calls.range(CallId::Node(from)..).next();
    next.is_some_and(
        |(call, _)| matches!(call, CallId::Node(call) if (call.node, call.generation) == (node, from.generation)),
    )
}

/// The values that the tries at a node's work gave, by element and try.
pub(super) fn worked(state: &RunState, node: u32, generation: u32) -> impl Iterator<Item = (u32, &Value)> {
    let at = |item, attempt| CallId::Node(NodeCall { node, generation, part: NodePart::Work, item, attempt });
    state.calls.range(at(0, 0)..=at(u32::MAX, u32::MAX)).filter_map(|(call, _)| match call {
        CallId::Node(known) => Some((known.item, state.output(*call)?)),
        _ => None,
    })
}

/// How a settled effect ended; of one that failed, whether it may be tried again.
pub(super) fn ended(state: &RunState, node: &Node, known: &CallState) -> Result<(), (Why, bool)> {
    let (code, message, again) = match known {
        CallState::Ended { outcome: Outcome::Ok { value }, .. } => {
            let waits = node.effect().is_some_and(|effect| effect.tool.id.as_str() == WAIT);
            let late =
                waits && node.within.is_some() && state.value(value).is_some_and(|value| value["elapsed"] == true);
            if !late || node.waits_for_time {
                return Ok(());
            }
            let seconds = node.within.unwrap_or_default();
            ("timeout".to_owned(), format!("nothing came within {seconds} s"), true)
        }
        // A run of its own that failed may be begun again; anything else that may have happened not.
        CallState::Ended { outcome: Outcome::Failed { code, message, happened }, .. } => {
            (code.clone(), message.clone(), !happened || code.starts_with("child_"))
        }
        CallState::Denied { code, reasons, .. } => (format!("denied.{code}"), reasons.join("; "), false),
        CallState::Unknown { reason, .. } => ("unknown".to_owned(), reason.clone(), false),
        _ => ("internal".to_owned(), "it was settled without an end".to_owned(), false),
    };
    Err((Box::new((code, message)), again))
}
