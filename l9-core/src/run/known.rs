//! What a run was told and has read, derived from its state, so that a call can be judged.
//!
//! Everything here follows from the folded state and is never stored: it is made again after
//! a crash, from a snapshot, in a fork and in a replay.

use std::collections::BTreeSet;

use serde_json::Value;

use super::event::{Action, Outcome, RunCreated, Subject};
use super::state::{CallState, RunState};
use crate::flow::{FieldLabels, Flow, Identities, Reading};
use crate::id::CallId;
use crate::principal::Principal;

/// The flow of a run, brought up to date as the run goes on.
#[derive(Debug, Default)]
pub(crate) struct Known {
    flow: Option<Flow>,
    /// The newest turn of which something was read: what came before it is all read.
    turn: u32,
    /// What was read of that turn.
    read: BTreeSet<CallId>,
}

impl RunState {
    /// What the run was told and has read.
    #[must_use]
    pub fn flow(&self) -> Flow {
        let mut known = Known::default();
        known.follow(self);
        known.flow.unwrap_or_default()
    }
}

impl Known {
    pub(crate) fn flow(&mut self) -> &Flow {
        self.flow.get_or_insert_default()
    }

    /// Reads what has ended since. A turn begins only after all of the last has ended.
    pub(crate) fn follow(&mut self, state: &RunState) {
        let Some(created) = &state.created else { return };
        let flow = self.flow.get_or_insert_with(|| told(state, created));
        let turn = CallId::Tool { turn: self.turn, index: 0 };
        let first = [CallId::Single, CallId::Context].into_iter().filter(|_| self.turn == 0);
        let ids = first.chain(state.calls.range(turn..).map(|(call, _)| *call));
        for call in ids.collect::<Vec<_>>() {
            if self.read.contains(&call) || !take(flow, state, call) {
                continue;
            }
            if let CallId::Tool { turn, .. } = call
                && turn > self.turn
            {
                self.turn = turn;
                self.read.clear();
            }
            self.read.insert(call);
        }
    }
}

/// The run before it has read anything.
fn told(state: &RunState, created: &RunCreated) -> Flow {
    let own = Identities::of(&created.principal);
    match &created.subject {
        Subject::Agent { profile, input, .. } => {
            let input = state.value(input).and_then(Value::as_str).unwrap_or_default();
            let mut flow = Flow::new(input, &created.label, own);
            flow.instruct(&profile.instructions);
            flow
        }
        // Whoever asks for a call says all of it.
        Subject::Tool { arguments, .. } => {
            let arguments = state.value(arguments).and_then(Value::as_str).unwrap_or_default();
            Flow::new(arguments, &created.label, own)
        }
    }
}

/// Adds what an effect gave; tells whether it has ended.
fn take(flow: &mut Flow, state: &RunState, call: CallId) -> bool {
    let step = match call {
        CallId::Tool { turn, .. } | CallId::Turn(turn) => turn,
        CallId::Single | CallId::Context => 0,
    };
    let trusted = FieldLabels::default();
    let labels = state.labels.get(&call).map_or(&trusted, |labels| labels.as_ref());
    match state.calls.get(&call) {
        Some(CallState::Ended { action: Action::Tool { tool, arguments }, outcome }) => {
            let nothing = Value::Null;
            match outcome {
                Outcome::Ok { value } => {
                    let value = state.value(value).unwrap_or(&nothing);
                    let arguments = state.value(arguments).unwrap_or(&nothing);
                    flow.read(&Reading { step, tool, arguments, labels, value });
                }
                Outcome::Failed { message, .. } => flow.hear(step, tool, &labels.rest, message),
            }
            true
        }
        // Until somebody decides, nobody is told.
        Some(CallState::Unknown { decided: false, .. }) => false,
        Some(CallState::Unknown { action: Action::Tool { tool, .. }, reason, .. }) => {
            flow.hear(step, tool, &labels.rest, reason);
            true
        }
        // A model's words are judged by what they repeat; a refusal's are L9's own.
        Some(CallState::Ended { .. } | CallState::Denied { .. } | CallState::Unknown { .. }) => true,
        _ => false,
    }
}

impl Identities {
    /// What a principal goes by: the subject, and what stands after its kind.
    #[must_use]
    pub fn of(principal: &Principal) -> Self {
        let subject = principal.subject.as_str();
        let name = subject.split_once(':').map(|(_, name)| name);
        Self::new([subject].into_iter().chain(name))
    }
}
