//! What the judge knows of one run: its chain and fold, checked record by record.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use l9::digest::Digest;
use l9::id::{CallId, CommandId};
use l9::journal::{Append, ForkPoint, Head};
use l9::run::{Event, Outcome, Record, RunState};
use l9::tool::EffectClass;
use l9::vault::Vault;

use super::invariant::Invariant;

/// What is broken and how.
pub(super) type Fault = (Invariant, String);

/// One run, as the judge sees it.
#[derive(Debug, Default)]
pub(crate) struct Life {
    pub(super) head: Option<Head>,
    /// The hash of every record of its own.
    pub(super) hashes: Vec<Digest>,
    pub(super) fork: Option<ForkPoint>,
    /// The newest epoch that was granted.
    pub(super) granted: u64,
    pub(super) lease: Option<(String, Duration)>,
    pub(super) state: RunState,
    pub(super) calls: BTreeMap<CallId, CallLife>,
    pub(super) closed: bool,
    /// The commands that were acknowledged to their senders.
    pub(super) commanded: BTreeSet<CommandId>,
    /// How often each command became an event.
    pub(super) obeyed: BTreeMap<CommandId, u32>,
    pub(super) written: u64,
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
}

impl Life {
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
        self.follow(&event, now)?;
        self.state
            .apply(record.epoch, record.at, event.clone())
            .map_err(|error| (Invariant::Folds, error.to_string()))?;
        self.hashes.push(record.hash);
        self.head = Some(record.head());
        self.written = record.epoch;
        Ok(event)
    }

    /// The order of events, by the judge's own book rather than by the fold's.
    fn follow(&mut self, event: &Event, now: Duration) -> Result<(), Fault> {
        match event {
            Event::EffectIntent(intent) => {
                let (class, attempt) = (intent.class, intent.attempt);
                self.calls.insert(intent.call, CallLife { class, attempt, open: true, durable_at: now });
            }
            Event::EffectResult(result) => self.end(result.call, result.attempt)?,
            Event::EffectUnknown(unknown) => self.end(unknown.call, unknown.attempt)?,
            Event::CancelRequested(request) => self.obey(&request.command)?,
            Event::CommandRejected(rejected) => self.obey(&rejected.command)?,
            Event::RunClosed(_) => self.closed = true,
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, call: CallId, attempt: u32) -> Result<(), Fault> {
        match self.calls.get_mut(&call) {
            Some(known) if known.open && known.attempt == attempt => {
                known.open = false;
                Ok(())
            }
            _ => {
                let message = format!("the end of attempt {attempt} at {call} has no open intent before it");
                Err((Invariant::ResultAfterIntent, message))
            }
        }
    }

    fn obey(&mut self, command: &CommandId) -> Result<(), Fault> {
        let times = self.obeyed.entry(command.clone()).or_default();
        *times += 1;
        if *times > 1 {
            return Err((Invariant::CommandKept, format!("command {command} was carried out {times} times")));
        }
        Ok(())
    }

    /// A command that was acknowledged, never carried out, and whose run goes on.
    pub(super) fn forgotten(&self) -> Option<&CommandId> {
        self.commanded.iter().find(|command| !self.closed && !self.obeyed.contains_key(command))
    }

    pub(super) fn next(&self) -> u64 {
        self.head.map_or(0, |head| head.next)
    }
}

/// The write that a result says took effect, if it says so.
pub(super) fn succeeded(event: &Event) -> Option<CallId> {
    match event {
        Event::EffectResult(result) if matches!(result.outcome, Outcome::Ok { .. }) => Some(result.call),
        _ => None,
    }
}
