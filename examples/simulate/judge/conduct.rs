//! What a run may do next, by the judge's own book rather than by the fold's: attempts and
//! their keys, pauses, deadlines, writes whose end nobody knows, and what a fork inherits.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use l9::digest::Digest;
use l9::id::{CallId, ToolId};
use l9::run::{Action, EffectIntent, Event, RunOutcome, Verdict, WAIT};
use l9::time::Timestamp;
use l9::tool::EffectClass;

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
    /// Writes of the run it left that may have happened: never this one's to perform.
    inherited: BTreeSet<CallId>,
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
    /// Whether the driver performs it, by waiting.
    pub(super) waits: bool,
    key: Digest,
    /// Whether the newest attempt is known to have had no effect, and is made again.
    retries: bool,
    /// Whether some attempt may have taken effect.
    doubted: bool,
}

impl Conduct {
    /// Checks one more event.
    pub(super) fn follow(&mut self, event: &Event, at: Timestamp, now: Duration) -> Result<(), Fault> {
        match event {
            Event::RunCreated(created) => self.deadline = created.deadline,
            Event::RunForked(_) => self.fork(),
            Event::EffectIntent(intent) => self.intend(intent, at, now)?,
            Event::EffectResult(result) => drop(self.end(result.call, result.attempt)?),
            Event::EffectRetry(retry) => {
                let known = self.end(retry.call, retry.attempt)?;
                (known.retries, known.doubted) = (true, known.doubted || retry.in_doubt);
            }
            Event::EffectUnknown(unknown) => {
                let write = writes(self.end(unknown.call, unknown.attempt)?.class);
                self.undecided.extend(write.then_some(unknown.call));
            }
            Event::EffectReconciled(reconciled) => {
                if !self.undecided.remove(&reconciled.call) {
                    let message = format!("{} was decided upon twice, or without need", reconciled.call);
                    return Err((Invariant::Undecided, message));
                }
                let done = matches!(reconciled.verdict, Verdict::Happened { .. } | Verdict::Unknown);
                self.calls.entry(reconciled.call).and_modify(|known| known.doubted |= done);
            }
            Event::RunPaused(_) => self.paused = true,
            Event::RunResumed(_) => self.paused = false,
            Event::RunClosed(outcome) => self.close(outcome, at)?,
            _ => {}
        }
        Ok(())
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
        let waits = matches!(&intent.action, Action::Tool { tool, .. } if is_wait(tool));
        let (class, attempt, key) = (*class, *attempt, *key);
        let durable_at = now;
        self.calls
            .insert(*call, CallLife { class, attempt, open: true, durable_at, waits, key, retries: false, doubted });
        Ok(())
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
    fn fork(&mut self) {
        (self.paused, self.deadline) = (false, None);
        self.calls.retain(|_, known| {
            let under_way = known.open && !known.waits || known.retries;
            let may_have_happened = known.open || known.doubted;
            !under_way || writes(known.class) && may_have_happened
        });
        let theirs = self.calls.iter().filter(|(_, known)| writes(known.class));
        self.inherited = theirs.map(|(call, _)| *call).collect();
    }

    fn close(&self, outcome: &RunOutcome, at: Timestamp) -> Result<(), Fault> {
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

fn is_wait(tool: &ToolId) -> bool {
    tool.as_str() == WAIT
}
