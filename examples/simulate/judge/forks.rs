//! Forks: what they share, that it stays as it was, and that nobody does it again.

use l9::RunId;
use l9::digest::Digest;
use l9::journal::{ForkPoint, NewRun, RunRow};
use l9::run::{Event, Record};

use super::bench::Judge;
use super::invariant::Invariant;
use super::life::{Life, Written};

/// A parent as it was when a run left it.
#[derive(Debug)]
pub(super) struct Left {
    parent: RunId,
    /// The records that the fork shares, bodies and all.
    shared: Vec<Record>,
}

impl Judge {
    /// A run that leaves another, whose row and records are given as they were before and
    /// as they are now.
    pub(super) fn leaves(&mut self, new: &NewRun, fork: ForkPoint) -> Life {
        let run = new.record.run;
        let past = self.past(fork.parent, fork.at);
        let continues = past.last().is_some_and(|last| last.hash == new.record.prev) && past.len() as u64 == fork.at;
        if !continues || new.record.seq != fork.at {
            self.found(Invariant::ParentKept, Some(run), "a fork does not continue its parent");
        }
        Life::forked(fork, &past).unwrap_or_else(|(invariant, what)| {
            self.found(invariant, Some(run), what);
            Life::default()
        })
    }

    /// A fork was made: its parent was looked at right before and right after.
    pub(crate) fn forked(&mut self, fork: ForkPoint, before: &(RunRow, Vec<Record>), after: &(RunRow, Vec<Record>)) {
        let at = usize::try_from(fork.at).unwrap_or(usize::MAX);
        if before != after {
            self.found(Invariant::ParentKept, Some(fork.parent), "it changed as a fork left it");
        }
        let shared: Vec<Record> = after.1.iter().take(at).cloned().collect();
        if shared.iter().any(|record| record.body.is_empty()) {
            self.found(Invariant::ParentKept, Some(fork.parent), "a fork shares bodies that are gone");
        }
        self.left.push(Left { parent: fork.parent, shared });
    }

    /// Whether the bodies are gone of a run, or of one that left it.
    pub(crate) fn has_expired(&self, run: RunId) -> bool {
        let of = |id: RunId, life: &Life| id == run || life.fork.is_some_and(|fork| fork.parent == run);
        self.runs.iter().any(|(id, life)| life.expired && of(*id, life))
    }

    /// Whether a run left another to roll it back.
    pub(crate) fn rolls_back(&self, run: RunId) -> bool {
        let first = self.runs.get(&run).and_then(|life| life.own.first());
        first.is_some_and(|first| matches!(&first.event, Event::RunForked(forked) if forked.rollback.is_some()))
    }

    /// The bodies of a run's own records were emptied.
    pub(crate) fn expired(&mut self, run: RunId) {
        let shared = self.runs.values().any(|life| life.fork.is_some_and(|fork| fork.parent == run));
        let Some(life) = self.runs.get_mut(&run) else { return };
        life.expired = true;
        let closed = life.closed;
        if shared {
            self.found(Invariant::ParentKept, Some(run), "bodies went that a fork shares");
        }
        if !closed {
            self.found(Invariant::Folds, Some(run), "the bodies of a run went that goes on");
        }
    }

    /// The runs that others left.
    pub(crate) fn parents(&self) -> Vec<RunId> {
        self.left.iter().map(|left| left.parent).collect()
    }

    /// At the end: a parent still has every record that was shared.
    pub(crate) fn examine_parent(&mut self, parent: RunId, records: &[Record]) {
        let lost = |left: &Left| left.parent == parent && !records.starts_with(&left.shared);
        if self.left.iter().any(lost) {
            self.found(Invariant::ParentKept, Some(parent), "what a fork shares is not what it was");
        }
    }

    /// The records of a run before a seq, with those it shares.
    pub(super) fn past(&self, run: RunId, at: u64) -> Vec<Written> {
        let Some(life) = self.runs.get(&run) else { return Vec::new() };
        let begins = life.begins();
        let mut past = life.fork.map_or_else(Vec::new, |fork| self.past(fork.parent, at.min(begins)));
        past.extend(life.own.iter().take(usize::try_from(at.saturating_sub(begins)).unwrap_or(0)).cloned());
        past
    }

    pub(super) fn hash_at(&self, run: RunId, seq: u64) -> Option<Digest> {
        let life = self.runs.get(&run)?;
        match (life.fork, seq.checked_sub(life.begins())) {
            (Some(fork), None) => self.hash_at(fork.parent, seq),
            (_, own) => life.own.get(usize::try_from(own?).ok()?).map(|written| written.hash),
        }
    }

    /// Where a fork of a run is most likely to go wrong: right before and after what opens
    /// or ends something.
    pub(crate) fn delicate(&self, run: RunId) -> Vec<u64> {
        let end = self.runs.get(&run).map_or(0, Life::next);
        let delicate = |written: &Written| {
            matches!(
                written.event,
                Event::EffectIntent(_)
                    | Event::EffectUnknown(_)
                    | Event::EffectRetry(_)
                    | Event::LeaseTaken(_)
                    | Event::SignalReceived(_)
                    | Event::RunPaused(_)
                    | Event::CancelRequested(_)
                    | Event::RunForked(_)
            )
        };
        let past = self.past(run, end);
        let places = past.iter().zip(1_u64..).filter(|(written, _)| delicate(written));
        places.flat_map(|(_, after)| [after - 1, after]).filter(|at| *at > 0).collect()
    }
}
