//! The judge's bench: where it is told what happens.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use l9::RunId;
use l9::digest::Digest;
use l9::id::{CallId, CommandId};
use l9::journal::{Append, NewRun, RunRow};
use l9::run::{Event, Record, RunState};
use l9::vault::Vault;

use super::conduct::{CallLife, Performer};
use super::effects::{Entry, writes};
use super::forks::Left;
use super::invariant::{Broken, Invariant};
use super::life::{Life, told};

/// Watches one simulated world.
#[derive(Debug)]
pub(crate) struct Judge {
    vault: Arc<dyn Vault>,
    pub(super) runs: BTreeMap<RunId, Life>,
    /// The runs whose leases each owner took: all that it holds, and some that it let go of.
    pub(super) taken: BTreeMap<String, BTreeSet<RunId>>,
    pub(super) outside: BTreeMap<(RunId, CallId), Entry>,
    /// Whose each key is that arrived outside.
    pub(super) keys: BTreeMap<Digest, (RunId, CallId)>,
    /// The parents of forks, as they were.
    pub(super) left: Vec<Left>,
    /// The first invariant that was found broken.
    broken: Option<Broken>,
}

impl Judge {
    pub(crate) fn new(vault: Arc<dyn Vault>) -> Self {
        Self {
            vault,
            runs: BTreeMap::new(),
            taken: BTreeMap::new(),
            outside: BTreeMap::new(),
            keys: BTreeMap::new(),
            left: Vec::new(),
            broken: None,
        }
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
        let mut life = new.fork.map_or_else(Life::default, |fork| self.leaves(new, fork));
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
        for (call, happened) in events.iter().filter_map(told) {
            let known = self.runs.get(&run).and_then(|life| life.conduct.calls.get(&call));
            let performed = |known: &CallLife| writes(known.class) && known.performer == Performer::Node;
            if known.is_some_and(performed) && happened != self.was_applied(run, call) {
                let what = if happened { "succeeded and never happened" } else { "failed and did happen" };
                self.found(Invariant::ResultAfterIntent, Some(run), format!("{call} {what}"));
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
    pub(crate) fn command_acknowledged(&mut self, run: RunId, command: CommandId, now: Duration) {
        if let Some(life) = self.runs.get_mut(&run) {
            life.commanded.entry(command).or_insert(now);
        }
    }

    /// A client was shown an event.
    pub(crate) fn shown(&mut self, run: RunId, seq: u64, hash: Digest) {
        if self.hash_at(run, seq) != Some(hash) {
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

    /// The next owner of a run opens it by its snapshot.
    pub(crate) fn snapshot(&mut self, run: RunId) {
        if let Some(Err((invariant, what))) = self.runs.get_mut(&run).map(Life::snapshot) {
            self.found(invariant, Some(run), what);
        }
    }

    /// A node opened a run, by its newest snapshot where there is one.
    pub(crate) fn opened(&mut self, run: RunId, state: &RunState) {
        // Large values are read beside the journal, which the judge does not do.
        let kept = |state: &RunState| serde_json::to_value(state).ok();
        let same = self.runs.get(&run).is_some_and(|life| life.state == *state || kept(&life.state) == kept(state));
        if !same {
            self.found(Invariant::Folds, Some(run), "a run opens in another state than its journal folds to");
        }
    }

    /// At the end, when all is quiet: a run as the database still has it.
    pub(crate) fn examine(&mut self, row: &RunRow, records: &[Record]) {
        let run = row.run;
        self.snapshot(run);
        let Some(life) = self.runs.get(&run) else {
            return self.found(Invariant::StartKept, Some(run), "the database has a run that was never created");
        };
        let same = records.iter().map(|record| record.hash).eq(life.own.iter().map(|written| written.hash));
        let fault = if Some(row.head) != life.head || !same {
            // A fork shares its parent's records by reference, so this holds for parents too.
            Some((Invariant::ParentKept, "the records are not those that were written".to_owned()))
        } else if row.status != life.state.status() {
            Some((Invariant::Folds, format!("the row says {}, the fold {}", row.status, life.state.status())))
        } else if life.expired {
            None
        } else {
            let again = life
                .fork
                .map_or_else(|| Ok(Life::default()), |fork| Life::forked(fork, &self.past(fork.parent, fork.at)));
            let folded = again.and_then(|mut again| {
                let each = |record| again.record(record, &*self.vault, Duration::ZERO).map(drop);
                records.iter().try_for_each(each).map(|()| again)
            });
            match folded {
                Err(fault) => Some(fault),
                Ok(again) if again.state != life.state => {
                    Some((Invariant::Folds, "the journal folds to another state than before".to_owned()))
                }
                Ok(_) => None,
            }
        };
        if let Some((invariant, what)) = fault {
            self.found(invariant, Some(run), what);
        }
    }
}
