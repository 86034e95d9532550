//! What a run was told and has read, derived from its state, so that a call can be judged.
//!
//! Everything here follows from the folded state and is never stored: it is made again after
//! a crash, from a snapshot, in a fork and in a replay.

use serde_json::Value;

use super::call_state::CallState;
use super::event::{Action, Outcome, RunCreated};
use super::state::RunState;
use super::subject::Subject;
use super::words;
use crate::flow::{FieldLabels, Flow, Identities, Reading};
use crate::id::CallId;
use crate::principal::Principal;

/// The flow of a run, brought up to date as the run goes on.
#[derive(Debug, Default)]
pub(crate) struct Known {
    flow: Option<Flow>,
    /// How many of the effects that were settled since the run was opened are read.
    read: usize,
    /// How many edits of its plan are read.
    edits: usize,
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

    /// Reads what was settled since; all of it, the first time.
    pub(crate) fn follow(&mut self, state: &RunState) {
        let Some(created) = &state.created else { return };
        if std::mem::replace(&mut self.edits, state.plan.patches.len()) != state.plan.patches.len() {
            // Whoever edits a plan says more of it.
            self.flow = None;
        }
        match &mut self.flow {
            Some(flow) => state.settled()[self.read..].iter().for_each(|call| take(flow, state, *call)),
            None => {
                let flow = self.flow.insert(told(state, created));
                state.calls.keys().for_each(|call| take(flow, state, *call));
            }
        }
        self.read = state.settled().len();
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
        // Whoever starts a plan says what stands in it and what it is given.
        Subject::Plan { plan, input, .. } => {
            let mut said = String::new();
            if let Some(plan) = state.value(plan) {
                words::of_plan(plan, &mut said);
            }
            let given = [input].into_iter().chain(&state.plan.patches);
            given.filter_map(|stored| state.value(stored)).for_each(|value| words::of(value, &mut said));
            Flow::new(&said, &created.label, own)
        }
    }
}

/// Adds what an effect gave, if it has ended.
fn take(flow: &mut Flow, state: &RunState, call: CallId) {
    let step = match call {
        CallId::Tool { turn, .. } | CallId::Turn(turn) => turn,
        CallId::Node(call) => call.node + 1,
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
        }
        // Until somebody decides, nobody is told.
        Some(CallState::Unknown { action: Action::Tool { tool, .. }, reason, decided: true }) => {
            flow.hear(step, tool, &labels.rest, reason);
        }
        // A model's words are judged by what they repeat; a refusal's are L9's own.
        _ => {}
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
