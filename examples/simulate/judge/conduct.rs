//! What a run may do next, by the judge's own book rather than by the fold's: attempts and
//! their keys, pauses, deadlines, writes whose end nobody knows, what a fork inherits, and how
//! far a plan came.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use l9::digest::Digest;
use l9::id::{CallId, ToolId};
use l9::run::{Action, DELEGATE, EffectIntent, Event, PLAN, RunForked, RunOutcome, Verdict, WAIT};
use l9::time::Timestamp;
use l9::tool::EffectClass;

use super::course::Course;
use super::effects::writes;
use super::invariant::Invariant;
use super::life::Fault;

/// What one run has done so far.
#[derive(Debug, Default)]
pub(super) struct Conduct {
    pub(super) calls: BTreeMap<CallId, CallLife>,
    paused: bool,
    deadline: Option<Timestamp>,
    /// Writes whose end nobody knows and nobody has decided upon.
    undecided: BTreeSet<CallId>,
    /// Those of the run it left, which it rolls back as what may have happened, decided upon or not.
    rolled_back: BTreeSet<CallId>,
    /// Writes of the run it left that may have happened: never this one's to perform.
    inherited: BTreeSet<CallId>,
    /// How far its plan came, if it is a plan's.
    pub(super) course: Option<Course>,
}

/// One effect, as its run's journal tells it.
#[derive(Debug)]
pub(super) struct CallLife {
    pub(super) class: EffectClass,
    /// The newest attempt.
    pub(super) attempt: u32,
    pub(super) open: bool,
    /// When the newest attempt's intent was written.
    pub(super) durable_at: Duration,
    pub(super) performer: Performer,
    key: Digest,
    /// Whether the newest attempt is known to have had no effect, and is made again.
    retries: bool,
    /// Whether some attempt may have taken effect.
    doubted: bool,
}

/// Who performs an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Performer {
    /// The node, by a request.
    Node,
    /// The driver, by waiting.
    Wait,
    /// Another run.
    Child,
}

impl Conduct {
    /// Checks one more event.
    pub(super) fn follow(&mut self, event: &Event, at: Timestamp, now: Duration) -> Result<(), Fault> {
        match event {
            Event::RunCreated(created) => {
                (self.deadline, self.course) = (created.deadline, Course::new(&created.subject));
            }
            Event::RunForked(forked) => self.fork(forked)?,
            Event::EffectIntent(intent) => self.intend(intent, at, now)?,
            Event::EffectResult(result) => drop(self.end(result.call, result.attempt)?),
            Event::EffectRetry(retry) => {
                let known = self.end(retry.call, retry.attempt)?;
                (known.retries, known.doubted) = (true, known.doubted || retry.in_doubt);
            }
            // What was open or due again when its run was stopped is not made again.
            Event::EffectDenied(denied) => {
                if let Some(known) = self.calls.get_mut(&denied.call) {
                    if writes(known.class) && known.may_have_happened() {
                        let message = format!("{} was denied after an attempt that may have happened", denied.call);
                        return Err((Invariant::Undecided, message));
                    }
                    (known.open, known.retries) = (false, false);
                }
            }
            Event::EffectUnknown(unknown) => {
                // An attempt that may have happened, and is not made again.
                let again = |known: &mut CallLife| known.open |= std::mem::take(&mut known.retries) && known.doubted;
                self.calls.entry(unknown.call).and_modify(again);
                let write = writes(self.end(unknown.call, unknown.attempt)?.class);
                self.undecided.extend(write.then_some(unknown.call));
                if let Some(course) = self.course.as_mut().filter(|_| !write) {
                    course.lose(unknown.call);
                }
            }
            Event::EffectReconciled(reconciled) if self.rolled_back.remove(&reconciled.call) => return Ok(()),
            Event::EffectReconciled(reconciled) => {
                if !self.undecided.remove(&reconciled.call) {
                    let message = format!("{} was decided upon twice, or without need", reconciled.call);
                    return Err((Invariant::Undecided, message));
                }
                let done = matches!(reconciled.verdict, Verdict::Happened { .. } | Verdict::Unknown);
                self.calls.entry(reconciled.call).and_modify(|known| known.doubted |= done);
            }
            Event::RunPaused(_) => self.paused = true,
            Event::RunResumed(_) | Event::PlanRolledBack(_) => self.paused = false,
            Event::RunClosed(outcome) => self.close(outcome, at)?,
            _ => {}
        }
        self.course.as_mut().map_or(Ok(()), |course| course.follow(event))
    }

    fn intend(&mut self, intent: &EffectIntent, at: Timestamp, now: Duration) -> Result<(), Fault> {
        let EffectIntent { call, attempt, class, idempotency_key: key, .. } = intent;
        let broken = |invariant, why: &str| Err((invariant, format!("attempt {attempt} at {call} was intended {why}")));
        if self.paused {
            return broken(Invariant::PauseKept, "while the run was paused");
        }
        if self.is_late(at) {
            return broken(Invariant::DeadlineKept, "after the run's deadline");
        }
        if self.inherited.contains(call) {
            return broken(Invariant::ParentKept, "by a fork, and is its parent's");
        }
        if self.undecided.contains(call) || matches!(call, CallId::Turn(_)) && !self.undecided.is_empty() {
            return broken(Invariant::Undecided, "while nobody had decided upon an unknown write");
        }
        let known = self.calls.get(call);
        if *attempt != known.map_or(1, |known| known.attempt + 1) {
            return broken(Invariant::OneKey, "out of order");
        }
        if known.is_some_and(|known| known.key != *key) {
            return broken(Invariant::OneKey, "under another key than the one before");
        }
        // An attempt that was left open may have taken effect.
        let doubted = known.is_some_and(|known| known.doubted || known.open);
        let performer = match &intent.action {
            Action::Tool { tool, .. } => performer(tool),
            _ => Performer::Node,
        };
        let (class, attempt, key) = (*class, *attempt, *key);
        let life = CallLife { class, attempt, open: true, durable_at: now, performer, key, retries: false, doubted };
        self.calls.insert(*call, life);
        let waits = performer == Performer::Wait;
        self.course.as_mut().map_or(Ok(()), |course| course.intend(intent, waits))
    }

    fn end(&mut self, call: CallId, attempt: u32) -> Result<&mut CallLife, Fault> {
        match self.calls.get_mut(&call) {
            Some(known) if known.open && known.attempt == attempt => {
                known.open = false;
                Ok(known)
            }
            _ => {
                let message = format!("the end of attempt {attempt} at {call} has no open intent before it");
                Err((Invariant::ResultAfterIntent, message))
            }
        }
    }

    /// What stood before is another's: of its writes only those that certainly have not
    /// happened may be made, and then as this run's own, as whatever had not ended.
    fn fork(&mut self, forked: &RunForked) -> Result<(), Fault> {
        (self.paused, self.deadline) = (false, None);
        let calls = |left: bool| {
            let these =
                self.calls.iter().filter(|(_, known)| known.is_under_way() && known.is_left_to_parent() == left);
            these.map(|(call, _)| *call).collect::<Vec<_>>()
        };
        let (mut lost, gone) = (calls(true), calls(false));
        // Only what is rolled back whole goes past what nobody has decided upon.
        if forked.rollback.as_ref().is_some_and(|rollback| rollback.to.is_none()) {
            self.rolled_back = std::mem::take(&mut self.undecided);
            lost.extend(&self.rolled_back);
        }
        self.calls.retain(|call, _| !gone.contains(call));
        let theirs = self.calls.iter().filter(|(_, known)| writes(known.class));
        self.inherited = theirs.map(|(call, _)| *call).collect();
        self.course.as_mut().map_or(Ok(()), |course| course.fork(forked, &lost, &gone))
    }

    fn close(&self, outcome: &RunOutcome, at: Timestamp) -> Result<(), Fault> {
        // What a fork left to its parent is not its own to tell.
        let dropped = |(call, known): &(&CallId, &CallLife)| {
            writes(known.class) && known.retries && known.doubted && !self.inherited.contains(call)
        };
        if let Some((call, _)) = self.calls.iter().find(dropped) {
            return Err((Invariant::Undecided, format!("the run ended and did not say that {call} is unknown")));
        }
        let cut_off = match outcome {
            RunOutcome::Cancelled { .. } => return Ok(()),
            RunOutcome::Failed { code, .. } if code == "stalled" => {
                return Err((Invariant::Ends, "the run wanted nothing and waited for nothing".to_owned()));
            }
            RunOutcome::Failed { code, .. } => code == "deadline",
            RunOutcome::Succeeded { .. } => false,
            _ => return Ok(()),
        };
        if cut_off != self.is_late(at) {
            let message = format!("deadline {:?}, ended {at} with {outcome:?}", self.deadline);
            return Err((Invariant::DeadlineKept, message));
        }
        match self.undecided.first().filter(|_| !cut_off) {
            Some(call) => Err((Invariant::Undecided, format!("the run ended before {call} was decided upon"))),
            None => Ok(()),
        }
    }

    fn is_late(&self, at: Timestamp) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= at)
    }
}

impl CallLife {
    /// Whether a fork has to do with it: a wait goes on in the fork as in its parent.
    fn is_under_way(&self) -> bool {
        self.open && self.performer != Performer::Wait || self.retries
    }

    fn may_have_happened(&self) -> bool {
        self.performer == Performer::Node && (self.open || self.retries && self.doubted)
    }

    /// Whether it is never a fork's to perform. A child that works for the parent is not known
    /// to the fork, which begins one of its own.
    fn is_left_to_parent(&self) -> bool {
        self.performer == Performer::Node && writes(self.class) && (self.open || self.doubted)
    }
}

fn performer(tool: &ToolId) -> Performer {
    match tool.as_str() {
        WAIT => Performer::Wait,
        DELEGATE | PLAN => Performer::Child,
        _ => Performer::Node,
    }
}
