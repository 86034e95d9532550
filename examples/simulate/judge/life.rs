//! What the judge knows of one run: its chain and fold, checked record by record.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use l9::digest::Digest;
use l9::id::{CallId, CommandId};
use l9::journal::{Append, ForkPoint, Head};
use l9::run::{Event, Outcome, Record, RunState};
use l9::time::Timestamp;
use l9::vault::Vault;

use super::conduct::Conduct;
use super::invariant::Invariant;

/// What is broken and how.
pub(super) type Fault = (Invariant, String);

/// How long after everything is healed a command may still wait for its run.
const HEARD: Duration = Duration::from_secs(60);

/// One run, as the judge sees it.
#[derive(Debug, Default)]
pub(crate) struct Life {
    pub(super) head: Option<Head>,
    /// Every record of its own.
    pub(super) own: Vec<Written>,
    pub(super) fork: Option<ForkPoint>,
    /// The newest epoch that was granted.
    pub(super) granted: u64,
    pub(super) lease: Option<(String, Duration)>,
    pub(super) state: RunState,
    /// The fold from a snapshot of the state somewhere on the way.
    carried: RunState,
    pub(super) conduct: Conduct,
    pub(super) closed: bool,
    /// Whether the bodies of its records are gone.
    pub(super) expired: bool,
    /// The commands that were acknowledged to their senders, and when.
    pub(super) commanded: BTreeMap<CommandId, Duration>,
    /// The commands that became events.
    pub(super) obeyed: BTreeSet<CommandId>,
    /// The command that the record before this one resumed the run for.
    resumed: Option<CommandId>,
    pub(super) written: u64,
}

/// One record, opened.
#[derive(Debug, Clone)]
pub(super) struct Written {
    pub(super) hash: Digest,
    pub(super) epoch: u64,
    pub(super) at: Timestamp,
    pub(super) event: Event,
}

impl Life {
    /// A run that shares another's past.
    pub(super) fn forked(fork: ForkPoint, past: &[Written]) -> Result<Self, Fault> {
        let mut life = Self { fork: Some(fork), ..Self::default() };
        for written in past {
            life.fold(written, Duration::ZERO)?;
            life.head = Some(Head { next: life.next() + 1, hash: written.hash });
        }
        // What was asked of the other was not asked of this one.
        life.obeyed.clear();
        Ok(life)
    }

    /// Checks what an append says and adds its records.
    pub(super) fn append(&mut self, append: &Append, vault: &dyn Vault, now: Duration) -> Result<Vec<Event>, Fault> {
        if append.epoch != self.granted {
            let message = format!("epoch {} wrote after epoch {} was granted", append.epoch, self.granted);
            return Err((Invariant::Fenced, message));
        }
        if self.lease.as_ref().is_none_or(|(_, until)| *until <= now) {
            return Err((Invariant::Fenced, format!("epoch {} wrote after its lease had ended", append.epoch)));
        }
        let events =
            append.records.iter().map(|record| self.record(record, vault, now)).collect::<Result<Vec<_>, _>>()?;
        if let Some(snapshot) = append.snapshot.as_ref().filter(|snapshot| Some(snapshot.head) != self.head) {
            let message = format!("a snapshot of {} was kept at another head", snapshot.head.next);
            return Err((Invariant::Folds, message));
        }
        if append.status.is_closed() != self.closed {
            return Err((Invariant::ClosedOnce, format!("the row says {}, the journal does not", append.status)));
        }
        if self.closed {
            self.lease = None;
        }
        Ok(events)
    }

    /// Checks one more record and folds it.
    pub(super) fn record(&mut self, record: &Record, vault: &dyn Vault, now: Duration) -> Result<Event, Fault> {
        let head = self.head.unwrap_or(Head::START);
        if self.closed {
            return Err((Invariant::ClosedOnce, format!("{} follows the end", record.kind)));
        }
        if record.seq != head.next {
            return Err((Invariant::Dense, format!("seq {} stands where {} should", record.seq, head.next)));
        }
        if record.prev != head.hash || record.expected_hash() != record.hash {
            return Err((Invariant::Linked, format!("record {} does not continue the chain", record.seq)));
        }
        if record.epoch < self.written {
            let message = format!("record {} is of epoch {}, after {}", record.seq, record.epoch, self.written);
            return Err((Invariant::EpochsRise, message));
        }
        let opened = record.open(vault).and_then(|open| Event::decode(&record.kind, record.version, &open.payload));
        let event = opened.map_err(|error| (Invariant::Linked, error.to_string()))?;
        let written = Written { hash: record.hash, epoch: record.epoch, at: record.at, event: event.clone() };
        self.fold(&written, now)?;
        self.own.push(written);
        self.head = Some(record.head());
        Ok(event)
    }

    /// The order of events, by the judge's own book; then the product's fold of them.
    fn fold(&mut self, written: &Written, now: Duration) -> Result<(), Fault> {
        let Written { epoch, at, event, .. } = written;
        self.conduct.follow(event, *at, now)?;
        self.obey(event)?;
        self.closed |= matches!(event, Event::RunClosed(_));
        self.written = *epoch;
        let folds = |error: l9::Error| (Invariant::Folds, error.to_string());
        self.state.apply(*epoch, *at, event.clone()).map_err(folds)?;
        self.carried.apply(*epoch, *at, event.clone()).map_err(folds)
    }

    /// A command becomes an event once. One resumes a run that is paused and releases the
    /// breakpoints that its plan stands at: those are two.
    fn obey(&mut self, event: &Event) -> Result<(), Fault> {
        let resumed = std::mem::take(&mut self.resumed);
        let Some(command) = event.command() else { return Ok(()) };
        match event {
            Event::RunResumed(_) => self.resumed = Some(command.clone()),
            Event::BreakpointReleased(_) if resumed.as_ref() == Some(command) => return Ok(()),
            _ => {}
        }
        if self.obeyed.insert(command.clone()) {
            return Ok(());
        }
        Err((Invariant::CommandKept, format!("command {command} was carried out twice")))
    }

    /// Goes on from a snapshot of the state, as whoever opens the run next would.
    pub(super) fn snapshot(&mut self) -> Result<(), Fault> {
        let kept = serde_json::to_vec(&self.carried).and_then(|kept| serde_json::from_slice(&kept));
        self.carried = kept.map_err(|error| (Invariant::Folds, format!("a state cannot be kept: {error}")))?;
        if self.carried == self.state {
            return Ok(());
        }
        Err((Invariant::Folds, format!("a snapshot and the tail to {} fold to another state", self.next())))
    }

    /// A command that was acknowledged, never carried out, and whose run goes on.
    pub(super) fn forgotten(&self, healed: Duration, now: Duration) -> Option<&CommandId> {
        let late = |at: Duration| now > at.max(healed) + HEARD;
        let open = self.commanded.iter().filter(|(command, at)| late(**at) && !self.obeyed.contains(*command));
        open.map(|(command, _)| command).find(|_| !self.closed)
    }

    pub(super) fn next(&self) -> u64 {
        self.head.map_or(0, |head| head.next)
    }

    /// The seq of its own first record.
    pub(super) fn begins(&self) -> u64 {
        self.fork.map_or(0, |fork| fork.at)
    }
}

/// The effect that a result says took effect, or did not, if it says either.
pub(super) fn told(event: &Event) -> Option<(CallId, bool)> {
    match event {
        Event::EffectResult(result) => match &result.outcome {
            Outcome::Ok { .. } => Some((result.call, true)),
            Outcome::Failed { happened, .. } => Some((result.call, *happened)),
        },
        Event::EffectRetry(retry) if !retry.in_doubt => Some((retry.call, false)),
        _ => None,
    }
}
