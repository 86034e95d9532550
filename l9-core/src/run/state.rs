//! The state of a run: the fold of its journal.
//!
//! `apply` is pure: no clock, no randomness, no I/O. It refuses what no driver of any
//! version may have written, so that a damaged journal is found and never acted upon.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::approval::{Approval, Remembered};
use super::beside::{Recent, Settled};
use super::call_state::CallState;
use super::event::{
    CancelRequested, EffectDenied, EffectIntent, EffectResult, Event, Outcome, RunCreated, RunForked, RunPaused,
};
use super::outcome::RunOutcome;
use super::plan::{PlanState, Rollback};
use super::wait::Wait;
use crate::budget::Cost;
use crate::digest::Digest;
use crate::flow::FieldLabels;
use crate::id::{CallId, RunId};
use crate::journal::Status;
use crate::label::Label;
use crate::time::Timestamp;
use crate::tool::EffectClass;
use crate::{Error, Result};

/// What a run's journal folds to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunState {
    /// How it was accepted.
    pub created: Option<RunCreated>,
    /// The newest lease taken.
    pub epoch: u64,
    /// Its effects.
    #[serde(with = "super::kept::calls")]
    pub calls: BTreeMap<CallId, CallState>,
    /// Those that are not settled, so that nobody must look through all.
    pub(super) pending: BTreeSet<CallId>,
    /// The newest model turn, 0 before the first.
    pub turn: u32,
    /// What settled effects used.
    pub spent: Cost,
    /// What open intents hold.
    pub reserved: Cost,
    /// The join of the labels of everything it has seen.
    pub label: Label,
    /// The labels of what its effects gave, field by field; what is not here is trusted.
    #[serde(default, with = "super::kept::labels")]
    pub labels: BTreeMap<CallId, Arc<FieldLabels>>,
    /// Open writes of which an earlier attempt may have taken effect.
    pub doubts: BTreeSet<CallId>,
    /// How many attempts at its open effects were cut off before they ended.
    #[serde(default)]
    pub cut_off: BTreeMap<CallId, u32>,
    /// The waits among its open effects.
    pub waits: BTreeMap<CallId, Wait>,
    /// The runs it delegated to among its open effects.
    #[serde(default)]
    pub children: BTreeMap<CallId, RunId>,
    /// When somebody first asked it to stop.
    #[serde(default)]
    pub stopping_since: Option<Timestamp>,
    /// How many questions it has asked.
    #[serde(default)]
    pub asked: u32,
    /// What was decided upon effects that have not ended yet.
    #[serde(default)]
    pub approvals: BTreeMap<CallId, Approval>,
    /// The approvals that hold for further effects.
    #[serde(default)]
    pub remembered: Vec<Remembered>,
    /// A policy of its own, which must allow as well.
    #[serde(default)]
    pub policy: Option<String>,
    /// Who asked it to stop.
    pub cancel: Option<CancelRequested>,
    /// Who asked it to pause, until somebody resumes it.
    pub paused: Option<RunPaused>,
    /// The run it left, if it is a fork.
    pub parent: Option<RunId>,
    /// What was asked of the plan that it is.
    #[serde(default)]
    pub plan: PlanState,
    /// How it ended.
    pub closed: Option<RunOutcome>,
    /// When its newest record was written.
    pub updated_at: Option<Timestamp>,
    /// Large values by their address, read beside the journal.
    #[serde(skip)]
    pub(super) values: HashMap<Digest, Value>,
    /// Its effects in the order in which they were settled, since it was opened.
    #[serde(skip)]
    settled: Settled,
    /// Labels that were given of late, which most that come are equal to.
    #[serde(skip)]
    recent: Recent,
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
            Event::RunForked(forked) => self.fork(*forked)?,
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
                self.put(call, CallState::Denied { stage, code, reasons });
            }
            Event::EffectUnknown(unknown) => self.lose(unknown)?,
            Event::EffectRetry(retry) => {
                let intent = self.take_open(retry.call, retry.attempt)?;
                self.label.join(&retry.label);
                self.reserved = self.reserved.minus(intent.reserved);
                self.spent = self.spent.plus(retry.spent);
                if retry.in_doubt && !intent.class.may_just_repeat() {
                    self.doubts.insert(retry.call);
                }
                self.put(retry.call, CallState::Retrying { intent, at: retry.retry_at });
            }
            Event::EffectReconciled(reconciled) => self.reconcile(*reconciled)?,
            Event::ChildSpawned(spawned) => self.spawn(&spawned)?,
            Event::ApprovalAsked(question) => self.ask(question)?,
            Event::ApprovalDecided(decided) => self.decide_upon(*decided)?,
            Event::SignalReceived(_) | Event::CommandRejected(_) => {}
            Event::RunPaused(request) => {
                self.paused.get_or_insert(request);
            }
            Event::RunResumed(_) => self.paused = None,
            Event::BreakpointHit(hit) => self.hit(&hit.hit)?,
            Event::BreakpointSet(set) => self.set_breakpoint(set),
            Event::BreakpointReleased(_) => self.release_breakpoints(),
            Event::PlanPatched(patched) => self.patch(*patched)?,
            Event::PlanRolledBack(rolled_back) => self.roll_back(rolled_back.rollback),
            Event::CancelRequested(request) => {
                self.cancel.get_or_insert(request);
                self.stopping_since.get_or_insert(at);
            }
            Event::RunClosed(outcome) => {
                if let Some((open, _)) = self.open_intents().find(|(open, _)| !self.is_elsewhere(open.call)) {
                    return Err(Error::corrupt(format!("the run closed while effect {} was open", open.call)));
                }
                self.closed = Some(*outcome);
            }
        }
        self.updated_at = Some(at);
        Ok(())
    }

    /// How it was accepted.
    pub(crate) fn created(&self) -> Result<&RunCreated> {
        self.created.as_ref().ok_or_else(|| Error::corrupt("a run without its first record"))
    }

    fn intend(&mut self, intent: Box<EffectIntent>) -> Result<()> {
        let mut doubted = false;
        self.label.subjects.extend(&intent.label.subjects);
        let expected = match self.calls.get(&intent.call) {
            None => 1,
            Some(CallState::Retrying { intent: open, .. }) => open.attempt + 1,
            Some(CallState::Intended(open)) if open.class.may_repeat() => {
                if open.idempotency_key != intent.idempotency_key {
                    return Err(Error::corrupt(format!("attempts at {} differ in their key", intent.call)));
                }
                // A crash left it open: it may have landed.
                doubted = !open.class.may_just_repeat();
                let attempt = open.attempt + 1;
                *self.cut_off.entry(intent.call).or_default() += 1;
                attempt
            }
            Some(_) => return Err(Error::corrupt(format!("effect {} may not be attempted again", intent.call))),
        };
        if intent.attempt != expected {
            return Err(Error::corrupt(format!(
                "attempt {} at {} stands where {expected} should",
                intent.attempt, intent.call
            )));
        }
        if doubted {
            self.doubts.insert(intent.call);
        }
        self.charge(intent.call);
        self.reach(intent.call);
        self.reserved = self.reserved.plus(intent.reserved);
        if let Some(wait) = Wait::of(&intent, |stored| self.value(stored).cloned()) {
            self.waits.insert(intent.call, wait);
        }
        self.put(intent.call, CallState::Intended(intent));
        Ok(())
    }

    fn settle(&mut self, result: EffectResult) -> Result<()> {
        let intent = self.take_open(result.call, result.attempt)?;
        self.reserved = self.reserved.minus(intent.reserved);
        self.spent = self.spent.plus(result.spent);
        self.label.join(&result.label);
        self.labelled(result.call, FieldLabels { rest: result.label, fields: result.fields });
        let state = CallState::Ended { action: intent.action, outcome: result.outcome };
        self.put(result.call, state);
        Ok(())
    }

    /// Keeps the labels of what an effect gave; what is not kept is trusted.
    pub(super) fn labelled(&mut self, call: CallId, labels: FieldLabels) {
        if labels != FieldLabels::default() {
            self.labels.insert(call, self.recent.shared(labels));
        }
    }

    /// What stood before is the parent's: its writes that may have happened and had no end
    /// yet are never this run's to repeat. Whatever else had no end is this run's to begin
    /// anew, under a key of its own: a result that is taken for another may have made it
    /// another effect. Its commands were not this run's.
    fn fork(&mut self, forked: RunForked) -> Result<()> {
        match self.leave_parent(forked)? {
            Some(rollback) => {
                self.settle_unknowns();
                self.roll_back(rollback);
            }
            None => {
                self.plan.foreign = self.calls.keys().filter(|call| matches!(call, CallId::Node(_))).copied().collect();
                // What a rollback had not come to is the parent's to compensate.
                if let Some(last) = self.plan.rollbacks.last_mut() {
                    last.undo.retain(|call| self.calls.contains_key(call));
                }
            }
        }
        Ok(())
    }

    /// Becomes a run of its own, as a fork does; gives how its plan is to be rolled back, if it is.
    pub(super) fn leave_parent(&mut self, forked: RunForked) -> Result<Option<Rollback>> {
        let RunForked { parent, principal, request, subject, decider, edits, policy, rollback } = forked;
        self.policy = policy.or(self.policy.take());
        let created = self.created.as_mut().ok_or_else(|| Error::corrupt("a fork of nothing"))?;
        (created.subject, created.principal) = (subject, principal);
        (created.request, created.decider, created.deadline) = (request, decider, None);
        created.parent = None;
        (self.parent, self.cancel, self.paused, self.stopping_since) = (Some(parent), None, None, None);
        self.disown();
        // What a person was asked, or allowed, was the parent's.
        (self.approvals, self.remembered) = (BTreeMap::new(), Vec::new());
        for call in self.questions().map(|question| question.call).collect::<Vec<_>>() {
            self.calls.remove(&call);
            self.pending.remove(&call);
        }
        for call in self.pending.clone() {
            match self.calls.get(&call) {
                Some(CallState::Intended(_) | CallState::Retrying { .. }) if !self.is_elsewhere(call) => {
                    self.charge(call);
                    if self.in_doubt(call).is_some() {
                        self.leave(call, parent);
                    } else {
                        self.pending.remove(&call);
                        self.calls.remove(&call);
                    }
                }
                // A wait goes on, and what nobody has decided upon must be decided.
                _ => {}
            }
        }
        for (call, value) in edits {
            match self.calls.get_mut(&call) {
                Some(CallState::Ended { outcome, .. }) => *outcome = Outcome::Ok { value },
                _ => return Err(Error::corrupt(format!("effect {call} had not ended where its result was edited"))),
            }
        }
        Ok(rollback)
    }

    pub(super) fn put(&mut self, call: CallId, state: CallState) {
        if state.is_settled() {
            self.approvals.remove(&call);
            self.doubts.remove(&call);
            self.cut_off.remove(&call);
            self.pending.remove(&call);
            self.settled.0.push(call);
        } else {
            self.pending.insert(call);
        }
        self.calls.insert(call, state);
    }

    /// Its effects in the order in which they were settled since it was opened; what was settled
    /// before is not among them.
    #[must_use]
    pub fn settled(&self) -> &[CallId] {
        &self.settled.0
    }

    /// The effects that are not settled.
    pub fn pending(&self) -> impl Iterator<Item = (CallId, &CallState)> {
        self.pending.iter().filter_map(|call| Some((*call, self.calls.get(call)?)))
    }

    pub(super) fn reach(&mut self, call: CallId) {
        if let CallId::Turn(turn) = call {
            self.turn = self.turn.max(turn);
        }
    }

    /// An unresolved attempt stays charged at its reserve: it may have happened.
    pub(super) fn charge(&mut self, call: CallId) {
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
    pub(super) fn take_open(&mut self, call: CallId, attempt: u32) -> Result<Box<EffectIntent>> {
        let open = |state: &CallState| matches!(state, CallState::Intended(intent) if intent.attempt == attempt);
        self.waits.remove(&call);
        self.children.remove(&call);
        match self.calls.get(&call).is_some_and(open).then(|| self.calls.remove(&call)).flatten() {
            Some(CallState::Intended(intent)) => Ok(intent),
            _ => Err(Error::corrupt(format!("the end of attempt {attempt} at {call} has no open intent"))),
        }
    }

    /// The newest intent of an effect that has no end yet, or is to be tried again.
    #[must_use]
    pub fn attempted(&self, call: CallId) -> Option<&EffectIntent> {
        match self.calls.get(&call) {
            Some(CallState::Intended(intent) | CallState::Retrying { intent, .. }) => Some(intent),
            _ => None,
        }
    }

    /// The attempt that would come next at an effect.
    #[must_use]
    pub fn next_attempt(&self, call: CallId) -> u32 {
        self.attempted(call).map_or(1, |open| open.attempt + 1)
    }

    /// How many attempts at an effect will have ended when the next one has: those that
    /// died with their process did not end, and are no reason to give up.
    #[must_use]
    pub fn next_try(&self, call: CallId) -> u32 {
        let cut_off = self.cut_off.get(&call).copied().unwrap_or(0) + u32::from(self.open(call).is_some());
        self.next_attempt(call).saturating_sub(cut_off)
    }

    /// The effects that are tried again, and when.
    pub fn retries(&self) -> impl Iterator<Item = (CallId, Timestamp)> {
        self.pending().filter_map(|(call, state)| match state {
            CallState::Retrying { at, .. } => Some((call, *at)),
            _ => None,
        })
    }

    /// Whether it waits for something outside, and performs nothing meanwhile.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        let performs = self.open_intents().any(|(intent, _)| !self.is_elsewhere(intent.call));
        !performs
            && (self.paused.is_some()
                || !self.plan.hits.is_empty()
                || !self.waits.is_empty()
                || !self.children.is_empty()
                || self.undecided().next().is_some()
                || self.questions().next().is_some()
                || self.retries().next().is_some())
    }

    /// The intents that have no end, with their class.
    pub fn open_intents(&self) -> impl Iterator<Item = (&EffectIntent, EffectClass)> {
        self.pending().filter_map(|(_, call)| match call {
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
            None if self.is_waiting() => Status::Waiting,
            None => Status::Running,
        }
    }

    /// The state without the effects that are not settled: what a decider is shown to say
    /// again what it wanted of them.
    #[must_use]
    pub fn before_pending(&self) -> Self {
        let mut state = self.clone();
        for call in std::mem::take(&mut state.pending) {
            state.calls.remove(&call);
        }
        state
    }
}
