//! The state of a run: the fold of its journal.
//!
//! `apply` is pure: no clock, no randomness, no I/O. It refuses what no driver of any
//! version may have written, so that a damaged journal is found and never acted upon.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::event::{
    Action, CancelRequested, EffectDenied, EffectIntent, EffectResult, Event, Outcome, RunCreated, RunOutcome, Stage,
    Subject,
};
use super::stored::Stored;
use crate::budget::Cost;
use crate::digest::Digest;
use crate::id::CallId;
use crate::journal::Status;
use crate::label::Label;
use crate::time::Timestamp;
use crate::tool::EffectClass;
use crate::{Error, Result};

/// What a run's journal folds to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunState {
    /// How it was accepted.
    pub created: Option<RunCreated>,
    /// The newest lease taken.
    pub epoch: u64,
    /// Its effects.
    pub calls: BTreeMap<CallId, CallState>,
    /// The newest model turn, 0 before the first.
    pub turn: u32,
    /// What settled effects used.
    pub spent: Cost,
    /// What open intents hold.
    pub reserved: Cost,
    /// The join of the labels of everything it has seen.
    pub label: Label,
    /// Who asked it to stop.
    pub cancel: Option<CancelRequested>,
    /// How it ended.
    pub closed: Option<RunOutcome>,
    /// When its newest record was written.
    pub updated_at: Option<Timestamp>,
    /// Large values by their address, read beside the journal.
    values: HashMap<Digest, Value>,
}

/// Where one effect of a run is.
#[derive(Debug, Clone, PartialEq)]
pub enum CallState {
    /// It may be happening, or may have happened.
    Intended(Box<EffectIntent>),
    /// It ended.
    Ended {
        /// What it did.
        action: Action,
        /// How.
        outcome: Outcome,
    },
    /// It was refused.
    Denied {
        /// Where on the path.
        stage: Stage,
        /// A stable code.
        code: String,
        /// Why.
        reasons: Vec<String>,
    },
    /// Nobody knows whether it happened.
    Unknown {
        /// What it would have done.
        action: Action,
        /// Why nobody knows.
        reason: String,
    },
}

impl CallState {
    /// Whether the effect needs nothing more.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        !matches!(self, Self::Intended(_))
    }
}

impl RunState {
    /// Folds one more event in. `epoch` and `at` are its record's.
    ///
    /// # Errors
    /// `Corrupt` when the event cannot follow what was there.
    pub fn apply(&mut self, epoch: u64, at: Timestamp, event: Event) -> Result<()> {
        if self.closed.is_some() {
            return Err(Error::corrupt(format!("{} follows the end of the run", event.kind())));
        }
        if self.created.is_none() != matches!(event, Event::RunCreated(_)) {
            return Err(Error::corrupt(format!("{} does not stand where a run begins", event.kind())));
        }
        if epoch < self.epoch {
            return Err(Error::corrupt(format!("epoch {epoch} follows epoch {}", self.epoch)));
        }
        match event {
            Event::RunCreated(created) => {
                self.label = created.label.clone();
                self.created = Some(*created);
            }
            Event::LeaseTaken(_) => {
                if epoch <= self.epoch {
                    return Err(Error::corrupt(format!("lease {epoch} was taken twice")));
                }
                self.epoch = epoch;
            }
            Event::EffectIntent(intent) => self.intend(intent)?,
            Event::EffectResult(result) => self.settle(*result)?,
            Event::EffectDenied(denied) => {
                if self.calls.get(&denied.call).is_some_and(CallState::is_settled) {
                    return Err(Error::corrupt(format!("effect {} was settled before it was denied", denied.call)));
                }
                if self.open(denied.call).is_some_and(|open| !open.class.may_just_repeat()) {
                    return Err(Error::corrupt(format!("effect {} may have happened: it was not denied", denied.call)));
                }
                self.charge(denied.call);
                self.reach(denied.call);
                let EffectDenied { call, stage, code, reasons, .. } = *denied;
                self.calls.insert(call, CallState::Denied { stage, code, reasons });
            }
            Event::EffectUnknown(unknown) => {
                let intent = self.take_open(unknown.call, unknown.attempt)?;
                self.label.join(&unknown.label);
                // Nobody knows whether it happened, so what was reserved stays charged.
                self.spent = self.spent.plus(intent.reserved);
                self.reserved = self.reserved.minus(intent.reserved);
                let state = CallState::Unknown { action: intent.action, reason: unknown.reason };
                self.calls.insert(unknown.call, state);
            }
            Event::CancelRequested(request) => {
                self.cancel.get_or_insert(request);
            }
            Event::CommandRejected(_) => {}
            Event::RunClosed(outcome) => {
                if let Some((call, _)) = self.calls.iter().find(|(_, call)| !call.is_settled()) {
                    return Err(Error::corrupt(format!("the run closed while effect {call} was open")));
                }
                self.closed = Some(*outcome);
            }
        }
        self.updated_at = Some(at);
        Ok(())
    }

    fn intend(&mut self, intent: Box<EffectIntent>) -> Result<()> {
        let expected = match self.calls.get(&intent.call) {
            None => 1,
            Some(CallState::Intended(open)) if open.class.may_repeat() => {
                if open.idempotency_key != intent.idempotency_key {
                    return Err(Error::corrupt(format!("attempts at {} differ in their key", intent.call)));
                }
                open.attempt + 1
            }
            Some(_) => return Err(Error::corrupt(format!("effect {} may not be attempted again", intent.call))),
        };
        if intent.attempt != expected {
            return Err(Error::corrupt(format!(
                "attempt {} at {} stands where {expected} should",
                intent.attempt, intent.call
            )));
        }
        self.charge(intent.call);
        self.reach(intent.call);
        self.reserved = self.reserved.plus(intent.reserved);
        self.calls.insert(intent.call, CallState::Intended(intent));
        Ok(())
    }

    fn settle(&mut self, result: EffectResult) -> Result<()> {
        let intent = self.take_open(result.call, result.attempt)?;
        self.reserved = self.reserved.minus(intent.reserved);
        self.spent = self.spent.plus(result.spent);
        self.label.join(&result.label);
        let state = CallState::Ended { action: intent.action, outcome: result.outcome };
        self.calls.insert(result.call, state);
        Ok(())
    }

    fn reach(&mut self, call: CallId) {
        if let CallId::Turn(turn) = call {
            self.turn = self.turn.max(turn);
        }
    }

    /// An unresolved attempt stays charged at its reserve: it may have happened.
    fn charge(&mut self, call: CallId) {
        if let Some(reserved) = self.open(call).map(|open| open.reserved) {
            self.spent = self.spent.plus(reserved);
            self.reserved = self.reserved.minus(reserved);
        }
    }

    /// The intent of an effect that has no end yet.
    #[must_use]
    pub fn open(&self, call: CallId) -> Option<&EffectIntent> {
        match self.calls.get(&call) {
            Some(CallState::Intended(open)) => Some(open),
            _ => None,
        }
    }

    /// Takes the open intent that an end belongs to; the caller puts the end in its place.
    fn take_open(&mut self, call: CallId, attempt: u32) -> Result<Box<EffectIntent>> {
        let open = |state: &CallState| matches!(state, CallState::Intended(intent) if intent.attempt == attempt);
        match self.calls.get(&call).is_some_and(open).then(|| self.calls.remove(&call)).flatten() {
            Some(CallState::Intended(intent)) => Ok(intent),
            _ => Err(Error::corrupt(format!("the end of attempt {attempt} at {call} has no open intent"))),
        }
    }

    /// The attempt that would come next at an effect.
    #[must_use]
    pub fn next_attempt(&self, call: CallId) -> u32 {
        self.open(call).map_or(1, |open| open.attempt + 1)
    }

    /// The intents that have no end, with their class.
    pub fn open_intents(&self) -> impl Iterator<Item = (&EffectIntent, EffectClass)> {
        self.calls.values().filter_map(|call| match call {
            CallState::Intended(intent) => Some((&**intent, intent.class)),
            _ => None,
        })
    }

    /// The status its index row should show.
    #[must_use]
    pub fn status(&self) -> Status {
        match &self.closed {
            Some(outcome) => outcome.status(),
            None if self.epoch == 0 => Status::Queued,
            None => Status::Running,
        }
    }

    /// A stored value, wherever it is kept; `None` for an artifact that has not been
    /// read beside the journal, or was erased.
    #[must_use]
    pub fn value<'a>(&'a self, stored: &'a Stored) -> Option<&'a Value> {
        match stored {
            Stored::Inline(value) => Some(value),
            Stored::Artifact { id, .. } => self.values.get(id),
        }
    }

    /// Makes a large value available to deciders.
    pub fn provide(&mut self, id: Digest, value: Value) {
        self.values.insert(id, value);
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
            Self::RunCreated(created) => match &created.subject {
                Subject::Agent { input: value, .. } | Subject::Tool { arguments: value, .. } => stored.push(value),
            },
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
        stored
            .into_iter()
            .filter_map(|stored| match stored {
                Stored::Artifact { id, .. } => Some(*id),
                Stored::Inline(_) => None,
            })
            .collect()
    }
}
