//! The effects of a run as its snapshot keeps them: in order, and without the tags within
//! their objects that would have each of them read twice.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::event::{Action, Outcome};
use super::state::CallState;
use super::stored::Stored;
use crate::digest::Digest;
use crate::id::{CallId, ToolId};
use crate::model::ModelName;

/// What nearly every effect of a long run is: one that ended. The rest is kept as it is.
#[derive(Serialize, Deserialize)]
enum Kept<S> {
    /// A tool's output.
    T(ToolId, S, S),
    /// A tool's failure: code, message, whether it happened.
    F(ToolId, S, String, String, bool),
    /// A model's answer.
    M(ModelName, Digest, S),
    /// Anything else.
    O(Box<CallState>),
}

pub(super) fn serialize<S: Serializer>(calls: &BTreeMap<CallId, CallState>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(calls.iter().map(|(call, state)| (call, keep(state))))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<CallId, CallState>, D::Error> {
    let calls: Vec<(CallId, Kept<Stored>)> = Vec::deserialize(deserializer)?;
    Ok(calls.into_iter().map(|(call, kept)| (call, state(kept))).collect())
}

fn keep(state: &CallState) -> Kept<&Stored> {
    match state {
        CallState::Ended { action: Action::Tool { tool, arguments }, outcome: Outcome::Ok { value } } => {
            Kept::T(tool.clone(), arguments, value)
        }
        CallState::Ended {
            action: Action::Tool { tool, arguments },
            outcome: Outcome::Failed { code, message, happened },
        } => Kept::F(tool.clone(), arguments, code.clone(), message.clone(), *happened),
        CallState::Ended { action: Action::Model { model, request }, outcome: Outcome::Ok { value } } => {
            Kept::M(model.clone(), *request, value)
        }
        other => Kept::O(Box::new(other.clone())),
    }
}

fn state(kept: Kept<Stored>) -> CallState {
    let ended = |action, outcome| CallState::Ended { action, outcome };
    match kept {
        Kept::T(tool, arguments, value) => ended(Action::Tool { tool, arguments }, Outcome::Ok { value }),
        Kept::F(tool, arguments, code, message, happened) => {
            ended(Action::Tool { tool, arguments }, Outcome::Failed { code, message, happened })
        }
        Kept::M(model, request, value) => ended(Action::Model { model, request }, Outcome::Ok { value }),
        Kept::O(state) => *state,
    }
}
