//! The values that a run and its events refer to, wherever they are kept.

use serde_json::Value;

use super::approval::Answer;
use super::call_state::CallState;
use super::event::{Action, Event, Outcome, Verdict};
use super::outcome::RunOutcome;
use super::state::RunState;
use super::stored::Stored;
use crate::digest::Digest;
use crate::id::CallId;

impl RunState {
    /// A stored value, wherever it is kept; `None` for an artifact that has not been
    /// read beside the journal, or was erased.
    #[must_use]
    pub fn value<'a>(&'a self, stored: &'a Stored) -> Option<&'a Value> {
        match stored {
            Stored::Inline(value) => Some(value),
            Stored::Artifact { id, .. } | Stored::Withheld { id, .. } => self.values.get(id),
        }
    }

    /// As much of a stored value as those who read the run are shown; `null` where that is nothing.
    #[must_use]
    pub fn shown(&self, stored: &Stored) -> Value {
        match stored {
            Stored::Withheld { .. } => stored.shown().cloned(),
            Stored::Inline(_) | Stored::Artifact { .. } => self.value(stored).cloned(),
        }
        .unwrap_or_default()
    }

    /// The addresses of the large values that its effects refer to.
    pub(crate) fn artifacts(&self) -> Vec<Digest> {
        let subject = self.created.iter().flat_map(|created| created.subject.stored()).map(Some);
        let closed = match &self.closed {
            Some(RunOutcome::Succeeded { answer, .. }) => Some(answer),
            _ => None,
        };
        let calls = self.calls.values().flat_map(|call| {
            let (action, outcome) = match call {
                CallState::Intended(intent) | CallState::Retrying { intent, .. } => (Some(&intent.action), None),
                CallState::Ended { action, outcome } => (Some(action), Some(outcome)),
                CallState::Unknown { action, .. } => (Some(action), None),
                CallState::Asked(_) | CallState::Denied { .. } => (None, None),
            };
            let arguments = action.and_then(|action| match action {
                Action::Tool { arguments, .. } => Some(arguments),
                Action::Model { .. } => None,
            });
            let output = outcome.and_then(|outcome| match outcome {
                Outcome::Ok { value } => Some(value),
                Outcome::Failed { .. } => None,
            });
            [arguments, output]
        });
        let asked = self.questions().map(|question| Some(&question.arguments));
        let amended = self.approvals.values().map(|approval| approval.arguments.as_ref());
        let patches = self.plan.patches.iter().map(Some);
        let all = subject.chain([closed]).chain(patches).chain(calls).chain(asked).chain(amended).flatten();
        all.filter_map(Stored::artifact).collect()
    }

    /// Makes a large value available to deciders.
    pub fn provide(&mut self, id: Digest, value: Value) {
        self.values.insert(id, value);
    }

    /// Lets go of them.
    pub(crate) fn forget_values(&mut self) {
        self.values.clear();
    }

    /// The value an effect gave, if it gave one.
    #[must_use]
    pub fn output(&self, call: CallId) -> Option<&Value> {
        match self.calls.get(&call) {
            Some(CallState::Ended { outcome: Outcome::Ok { value }, .. }) => self.value(value),
            _ => None,
        }
    }
}

impl Event {
    /// The addresses of the large values it refers to.
    #[must_use]
    pub fn artifacts(&self) -> Vec<Digest> {
        let mut stored = Vec::new();
        match self {
            Self::RunCreated(created) => stored.extend(created.subject.stored()),
            Self::PlanPatched(patched) => stored.push(&patched.patch),
            Self::RunForked(forked) => {
                stored.extend(forked.subject.stored());
                stored.extend(forked.edits.values());
            }
            Self::EffectReconciled(reconciled) => {
                if let Verdict::Happened { value } = &reconciled.verdict {
                    stored.push(value);
                }
            }
            Self::ApprovalAsked(question) => stored.push(&question.arguments),
            Self::ApprovalDecided(decided) => {
                if let Answer::Approved { arguments: Some(arguments), .. } = &decided.answer {
                    stored.push(arguments);
                }
            }
            Self::SignalReceived(signal) => stored.push(&signal.value),
            Self::EffectDenied(denied) => stored.push(&denied.arguments),
            Self::EffectIntent(intent) => {
                if let Action::Tool { arguments, .. } = &intent.action {
                    stored.push(arguments);
                }
            }
            Self::EffectResult(result) => {
                if let Outcome::Ok { value } = &result.outcome {
                    stored.push(value);
                }
            }
            Self::RunClosed(outcome) => {
                if let RunOutcome::Succeeded { answer, .. } = &**outcome {
                    stored.push(answer);
                }
            }
            _ => {}
        }
        stored.into_iter().filter_map(Stored::artifact).collect()
    }
}
