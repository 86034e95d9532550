//! What nobody knows the end of: a write that may have happened, and what it is taken for.

use super::call_state::CallState;
use super::event::{EffectIntent, EffectReconciled, EffectUnknown, Outcome, Verdict};
use super::state::RunState;
use crate::flow::FieldLabels;
use crate::id::{CallId, RunId};
use crate::{Error, Result};

impl RunState {
    /// The newest intent of a write that has no end and may have happened: one that is open, or
    /// that is to be tried again after an attempt of which nobody knows.
    #[must_use]
    pub fn in_doubt(&self, call: CallId) -> Option<&EffectIntent> {
        match self.calls.get(&call) {
            Some(CallState::Intended(intent)) if !intent.class.may_just_repeat() => Some(intent),
            Some(CallState::Retrying { intent, .. }) if self.doubts.contains(&call) => Some(intent),
            _ => None,
        }
    }

    /// The effects whose end somebody must decide upon before the run goes on, and why.
    pub fn undecided(&self) -> impl Iterator<Item = (CallId, &str)> {
        self.pending().filter_map(|(call, state)| match state {
            CallState::Unknown { decided: false, reason, .. } => Some((call, reason.as_str())),
            _ => None,
        })
    }

    /// Nobody knows how an attempt ended. Whether it happened or not, what was reserved for it stays
    /// charged; what is to be tried again was charged when its last attempt ended.
    pub(super) fn lose(&mut self, unknown: EffectUnknown) -> Result<()> {
        let EffectUnknown { call, attempt, reason, label, spent } = unknown;
        self.charge(call);
        let intent = match self.calls.get(&call) {
            Some(CallState::Retrying { intent, .. }) if intent.attempt == attempt && self.doubts.contains(&call) => {
                intent.clone()
            }
            _ => self.take_open(call, attempt)?,
        };
        self.label.join(&label);
        self.labelled(call, FieldLabels::whole(label));
        self.spent = self.spent.plus(spent);
        let decided = intent.class.may_just_repeat();
        self.put(call, CallState::Unknown { action: intent.action, reason, decided });
        Ok(())
    }

    /// An unknown effect is taken for something.
    pub(super) fn reconcile(&mut self, reconciled: EffectReconciled) -> Result<()> {
        let EffectReconciled { call, verdict, by, reason: why, .. } = reconciled;
        let action = match self.calls.get(&call) {
            Some(CallState::Unknown { decided: false, action, .. }) => action.clone(),
            _ => return Err(Error::corrupt(format!("effect {call} was decided upon, but is not unknown"))),
        };
        let state = match verdict {
            Verdict::Happened { value } => CallState::Ended { action, outcome: Outcome::Ok { value } },
            Verdict::NotHappened => {
                let message = format!("it did not take effect, says {by}: {why}");
                let outcome = Outcome::Failed { code: "not_happened".to_owned(), message, happened: false };
                CallState::Ended { action, outcome }
            }
            Verdict::Unknown => CallState::Unknown { action, reason: why, decided: true },
        };
        self.put(call, state);
        Ok(())
    }

    /// Nobody decides any more what became of the effects of a run that ended: whatever may have
    /// happened counts as done.
    pub(super) fn settle_unknowns(&mut self) {
        for call in self.undecided().map(|(call, _)| call).collect::<Vec<_>>() {
            if let Some(CallState::Unknown { action, reason, .. }) = self.calls.remove(&call) {
                self.put(call, CallState::Unknown { action, reason, decided: true });
            }
        }
    }

    /// A write that the parent had under way: it is the parent's to finish.
    pub(super) fn leave(&mut self, call: CallId, parent: RunId) {
        if let Some(CallState::Intended(intent) | CallState::Retrying { intent, .. }) = self.calls.remove(&call) {
            let reason = format!("run {parent} was performing it where this run left it");
            self.put(call, CallState::Unknown { action: intent.action, reason, decided: true });
        }
    }
}
