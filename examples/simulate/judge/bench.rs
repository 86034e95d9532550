//! The judge's bench: where it is told what happens.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use l9::RunId;
use l9::digest::Digest;
use l9::id::{CallId, CommandId};
use l9::journal::{Append, Head, NewRun, RunRow};
use l9::run::{Event, Record, RunState};
use l9::vault::Vault;

use super::effects::{Entry, writes};
use super::invariant::{Broken, Invariant};
use super::life::{Life, succeeded};

/// Watches one simulated world.
#[derive(Debug)]
pub(crate) struct Judge {
    vault: Arc<dyn Vault>,
    pub(super) runs: BTreeMap<RunId, Life>,
    pub(super) outside: BTreeMap<(RunId, CallId), Entry>,
    /// The first invariant that was found broken.
    broken: Option<Broken>,
}

impl Judge {
    pub(crate) fn new(vault: Arc<dyn Vault>) -> Self {
        Self { vault, runs: BTreeMap::new(), outside: BTreeMap::new(), broken: None }
    }

    pub(crate) fn broken(&self) -> Option<&Broken> {
        self.broken.as_ref()
    }

    /// An invariant was found broken. What follows from it is not looked at.
    pub(crate) fn found(&mut self, invariant: Invariant, run: Option<RunId>, what: impl Into<String>) {
        self.broken.get_or_insert_with(|| Broken { invariant, run, what: what.into() });
    }

    /// The database accepted a run.
    pub(crate) fn created(&mut self, new: &NewRun, now: Duration) {
        let (run, record) = (new.record.run, &new.record);
        let mut life = Life { fork: new.fork, ..Life::default() };
        if let Some(fork) = new.fork {
            // A fork's chain goes on where it left its parent's; its fold begins with the
            // parent's prefix, which is the business of whoever drives forks.
            let parent = self.runs.get(&fork.parent).and_then(|parent| parent.hash_at(fork.at.checked_sub(1)?));
            if parent != Some(record.prev) || record.seq != fork.at {
                return self.found(Invariant::ParentKept, Some(run), "a fork does not continue its parent");
            }
            life.head = Some(Head { next: fork.at, hash: record.prev });
        }
        let checked = life.record(record, &*self.vault, now);
        self.runs.insert(run, life);
        if let Err((invariant, what)) = checked {
            self.found(invariant, Some(run), what);
        }
    }

    /// The database accepted an append; gives its events.
    pub(crate) fn appended(&mut self, append: &Append, now: Duration) -> Vec<Event> {
        let run = append.run;
        let Some(life) = self.runs.get_mut(&run) else {
            self.found(Invariant::StartKept, Some(run), "an append to a run that was never created");
            return Vec::new();
        };
        let events = match life.append(append, &*self.vault, now) {
            Ok(events) => events,
            Err((invariant, what)) => {
                self.found(invariant, Some(run), what);
                return Vec::new();
            }
        };
        for call in events.iter().filter_map(succeeded) {
            let known = self.runs.get(&run).and_then(|life| life.calls.get(&call));
            if known.is_some_and(|known| writes(known.class)) && !self.was_applied(run, call) {
                self.found(Invariant::ResultAfterIntent, Some(run), format!("{call} succeeded and never happened"));
            }
        }
        events
    }

    /// A client was told that its run is accepted.
    pub(crate) fn start_acknowledged(&mut self, run: RunId) {
        if !self.runs.contains_key(&run) {
            self.found(Invariant::StartKept, Some(run), "a start was acknowledged and is not there");
        }
    }

    /// A client was told that its command is accepted.
    pub(crate) fn command_acknowledged(&mut self, run: RunId, command: CommandId) {
        if let Some(life) = self.runs.get_mut(&run) {
            life.commanded.insert(command);
        }
    }

    /// A client was shown an event.
    pub(crate) fn shown(&mut self, run: RunId, seq: u64, hash: Digest) {
        if self.runs.get(&run).and_then(|life| life.hash_at(seq)) != Some(hash) {
            self.found(Invariant::ClientSeesTheFold, Some(run), format!("a client was shown another record {seq}"));
        }
    }

    /// A client folded a run up to before `next`.
    pub(crate) fn folded(&mut self, run: RunId, next: u64, state: &RunState) {
        let other = self.runs.get(&run).is_some_and(|life| life.next() == next && life.state != *state);
        if other {
            self.found(Invariant::ClientSeesTheFold, Some(run), format!("a client's state at {next} is not the fold"));
        }
    }

    /// The runs that have not closed.
    pub(crate) fn open(&self) -> Vec<RunId> {
        self.runs.iter().filter(|(_, life)| !life.closed).map(|(run, _)| *run).collect()
    }

    pub(crate) fn runs(&self) -> Vec<RunId> {
        self.runs.keys().copied().collect()
    }

    /// At the end, when all is quiet: a run as the database still has it.
    pub(crate) fn examine(&mut self, row: &RunRow, records: &[Record]) {
        let run = row.run;
        let Some(life) = self.runs.get(&run) else {
            return self.found(Invariant::StartKept, Some(run), "the database has a run that was never created");
        };
        let hashes: Vec<Digest> = records.iter().map(|record| record.hash).collect();
        let fault = if Some(row.head) != life.head || hashes != life.hashes {
            // A fork shares its parent's records by reference, so this holds for parents too.
            Some((Invariant::ParentKept, "the records are not those that were written".to_owned()))
        } else if row.status != life.state.status() {
            Some((Invariant::Folds, format!("the row says {}, the fold {}", row.status, life.state.status())))
        } else if let Some(command) = life.forgotten() {
            Some((Invariant::CommandKept, format!("command {command} was acknowledged and forgotten")))
        } else if life.fork.is_none() {
            let mut again = Life::default();
            let folded =
                records.iter().try_for_each(|record| again.record(record, &*self.vault, Duration::ZERO).map(|_| ()));
            match folded {
                Err(fault) => Some(fault),
                Ok(()) if again.state != life.state => {
                    Some((Invariant::Folds, "the journal folds to another state than before".to_owned()))
                }
                Ok(()) => None,
            }
        } else {
            None
        };
        if let Some((invariant, what)) = fault {
            self.found(invariant, Some(run), what);
        }
    }
}

impl Life {
    fn hash_at(&self, seq: u64) -> Option<Digest> {
        let begins = self.fork.map_or(0, |fork| fork.at);
        self.hashes.get(usize::try_from(seq.checked_sub(begins)?).ok()?).copied()
    }
}
