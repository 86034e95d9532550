//! Runs in this process. Its clock for leases is the monotonic one, so that they pass
//! under a seeded wall clock too.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use l9_core::digest::Digest;
use l9_core::id::{CommandId, RunId, ScheduleId, TenantId};
use l9_core::journal::{
    Along, Append, Appended, Artifact, Created, DeadLetter, ForkPoint, Inbox, Journal, NewRun, RunFilter, RunRow,
    Snapshot, StoredCommand,
};
use l9_core::run::{ApprovalAsked, Record};
use l9_core::schedule::StoredSchedule;
use l9_core::stop::{Scope, StoredStop};
use l9_core::time::{Clock, SystemClock};
use l9_core::tool::StoredToolChange;
use l9_core::{Error, Result};

use super::audit::Tree;
use super::memory::Addition;
use super::roster::Said;
use crate::check;

/// Keeps runs in this process.
pub struct Store {
    pub(super) clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) runs: BTreeMap<(TenantId, RunId), Run>,
    keys: HashMap<(TenantId, String), RunId>,
    artifacts: HashMap<(TenantId, Digest), Vec<u8>>,
    /// The runs that hold values about a data subject.
    about: BTreeSet<(TenantId, Digest, RunId)>,
    /// Every record in the order it was written; its position is its index plus one, and
    /// its index its leaf.
    pub(super) log: Vec<(TenantId, RunId, u64)>,
    pub(super) tree: Tree,
    pub(super) stops: BTreeMap<Scope, StoredStop>,
    pub(super) tools: Vec<StoredToolChange>,
    pub(super) nodes: BTreeMap<String, Said>,
    pub(super) schedules: BTreeMap<(TenantId, ScheduleId), StoredSchedule>,
}

pub(super) struct Run {
    pub(super) row: RunRow,
    records: Vec<Record>,
    pub(super) lease: Option<(String, Duration)>,
    pub(super) wake_at: Option<Duration>,
    pub(super) dead: Option<DeadLetter>,
    snapshot: Option<Snapshot>,
    pub(super) inbox: Vec<StoredCommand>,
    seen: BTreeSet<CommandId>,
}

impl Default for Store {
    fn default() -> Self {
        Self::new(Arc::new(SystemClock::default()))
    }
}

impl Store {
    /// An empty one, whose leases pass by the clock's monotonic time.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Mutex::default() }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Journal for Store {
    async fn create(&self, new: NewRun) -> Result<Created> {
        check::create(&new)?;
        let now = self.clock.monotonic();
        let mut state = self.state();
        if let Some(fork) = new.fork
            && state.existing(&new).is_none()
            && state.has_emptied(&new.record.tenant, fork)
        {
            return Err(check::past_is_gone(fork));
        }
        Ok(state.create(new, now))
    }

    async fn append(&self, append: Append) -> Result<Appended> {
        check::append(&append)?;
        let now = self.clock.monotonic();
        let mut state = self.state();
        let run = state.run(&append.tenant, append.run)?;
        let current = check::Current {
            epoch: run.row.epoch,
            head: run.row.head,
            leased: run.lease.as_ref().is_some_and(|(_, until)| *until > now),
        };
        current.admits(&append)?;
        // Before anything else is written, since nothing else can be refused.
        for along in &append.along {
            if let Along::Write(write) = along {
                let addition = write.prepared::<Addition>().ok_or_else(check::foreign)?;
                if !addition.keep() {
                    return Err(check::kept_meanwhile(append.run));
                }
            }
        }
        let head = check::end(&append);
        run.row.head = head;
        run.row.status = append.status;
        run.row.updated_at = append.records.last().map_or(run.row.updated_at, |record| record.at);
        run.inbox.retain(|command| !append.consumed.contains(&command.id));
        if append.status.is_closed() {
            (run.lease, run.wake_at) = (None, None);
        }
        run.snapshot = append.snapshot.or_else(|| run.snapshot.take());
        let commands = !run.inbox.is_empty();
        let seqs: Vec<u64> = append.records.iter().map(|record| record.seq).collect();
        run.records.extend(append.records);
        state.log.extend(seqs.into_iter().map(|seq| (append.tenant.clone(), append.run, seq)));
        state.keep(&append.tenant, append.artifacts);
        for along in append.along {
            match along {
                Along::Begin(new) => drop(state.create(*new, now)),
                Along::Post { run, command, about } => {
                    if let Ok(true) = state.post(&append.tenant, run, command, now) {
                        let told = about.into_iter().map(|subject| (append.tenant.clone(), subject, run));
                        state.about.extend(told);
                    }
                }
                Along::About(subject) => drop(state.about.insert((append.tenant.clone(), subject, append.run))),
                _ => {}
            }
        }
        Ok(Appended { head, commands })
    }

    async fn read(&self, tenant: &TenantId, run: RunId, from: u64, limit: usize) -> Result<Vec<Record>> {
        let state = self.state();
        let Some(run) = state.runs.get(&(tenant.clone(), run)) else { return Ok(Vec::new()) };
        let from = usize::try_from(from.saturating_sub(run.begins())).unwrap_or(usize::MAX);
        Ok(run.records.iter().skip(from).take(limit).cloned().collect())
    }

    async fn snapshot(&self, tenant: &TenantId, run: RunId) -> Result<Option<Snapshot>> {
        Ok(self.state().runs.get(&(tenant.clone(), run)).and_then(|run| run.snapshot.clone()))
    }

    async fn expire(&self, tenant: &TenantId, run: RunId, snapshot: Snapshot, gone: &[Digest]) -> Result<u64> {
        let mut state = self.state();
        let leaves = |fork: ForkPoint| fork.parent == run;
        let shared = state.runs.iter().any(|((owner, _), fork)| owner == tenant && fork.row.fork.is_some_and(leaves));
        let row = state.run(tenant, run)?;
        check::expire(run, (row.row.status, row.row.head, shared), &snapshot)?;
        row.snapshot = Some(snapshot);
        let full = row.records.iter_mut().filter(|record| !record.body.is_empty());
        let emptied = full.map(|record| record.body = Vec::new()).count() as u64;
        gone.iter().for_each(|id| drop(state.artifacts.remove(&(tenant.clone(), *id))));
        Ok(emptied)
    }

    async fn about(&self, tenant: &TenantId, subject: &Digest) -> Result<Vec<RunRow>> {
        let state = self.state();
        let is_named = |run: RunId| state.about.contains(&(tenant.clone(), *subject, run));
        let mut found: BTreeSet<RunId> = BTreeSet::new();
        let runs = || state.runs.iter().filter(|((owner, _), _)| owner == tenant);
        loop {
            let of_one =
                |run: &&Run| is_named(run.row.run) || run.row.fork.is_some_and(|at| found.contains(&at.parent));
            let all: BTreeSet<RunId> = runs().map(|(_, run)| run).filter(of_one).map(|run| run.row.run).collect();
            if all == found {
                return Ok(runs()
                    .filter(|((_, run), _)| found.contains(run))
                    .map(|(_, run)| run.row.clone())
                    .collect());
            }
            found = all;
        }
    }

    async fn erase(&self, tenant: &TenantId, run: RunId, artifacts: &[Digest]) -> Result<u64> {
        let mut state = self.state();
        let row = state.run(tenant, run)?;
        check::erase(run, row.row.status)?;
        (row.snapshot, row.inbox) = (None, Vec::new());
        let full = row.records.iter_mut().filter(|record| !record.is_expired());
        let emptied = full.map(|record| record.body = Vec::new()).count() as u64;
        artifacts.iter().for_each(|id| drop(state.artifacts.remove(&(tenant.clone(), *id))));
        state.about.retain(|(owner, _, about)| owner != tenant || *about != run);
        Ok(emptied)
    }

    async fn refill(&self, tenant: &TenantId, run: RunId, records: Vec<Record>) -> Result<u64> {
        let mut state = self.state();
        let row = state.run(tenant, run)?;
        let erased = row.snapshot.is_none() && row.records.iter().any(Record::is_expired);
        check::refill(run, row.row.status, erased)?;
        let begins = row.begins();
        let mut filled = 0;
        for record in records {
            let at = usize::try_from(record.seq.wrapping_sub(begins)).unwrap_or(usize::MAX);
            let Some(kept) = row.records.get_mut(at).filter(|kept| kept.is_expired() && kept.hash == record.hash)
            else {
                continue;
            };
            kept.body = record.body;
            filled += 1;
        }
        Ok(filled)
    }

    async fn recent(&self, tenant: &TenantId, before: Option<u64>, limit: usize) -> Result<Vec<(u64, Record)>> {
        let state = self.state();
        let older = |position: u64| before.is_none_or(|before| position < before);
        let newest_first = state.log.iter().enumerate().rev().map(|(at, logged)| (at as u64 + 1, logged));
        let positions = newest_first.filter(|(position, (owner, ..))| owner == tenant && older(*position));
        positions
            .take(limit)
            .map(|(position, (tenant, run, seq))| {
                let run = state.runs.get(&(tenant.clone(), *run));
                let own = |run: &Run| run.records.get(usize::try_from(seq - run.begins()).ok()?).cloned();
                let record = run.and_then(own);
                Ok((position, record.ok_or_else(|| Error::internal("the log names a record that is not kept"))?))
            })
            .collect()
    }

    async fn run(&self, tenant: &TenantId, run: RunId) -> Result<Option<RunRow>> {
        Ok(self.state().runs.get(&(tenant.clone(), run)).map(|run| run.row.clone()))
    }

    async fn runs(&self, tenant: &TenantId, filter: &RunFilter, limit: usize) -> Result<Vec<RunRow>> {
        let state = self.state();
        let asked = |run: &Run| {
            !run.row.status.is_closed() && run.records.iter().any(|record| record.kind == ApprovalAsked::KIND)
        };
        let runs = state.runs.values().rev().filter(|run| !filter.asked || asked(run));
        let rows = runs.map(|run| &run.row).filter(|row| {
            row.tenant == *tenant
                && filter.status.is_none_or(|status| status == row.status)
                && filter.name.as_ref().is_none_or(|name| *name == row.name)
                && filter.closed_before.is_none_or(|before| row.status.is_closed() && row.updated_at < before)
                && filter.before.is_none_or(|before| row.run < before)
        });
        Ok(rows.take(limit).cloned().collect())
    }

    async fn tenants(&self) -> Result<Vec<TenantId>> {
        let tenants: BTreeSet<TenantId> = self.state().runs.keys().map(|(tenant, _)| tenant.clone()).collect();
        Ok(tenants.into_iter().collect())
    }

    async fn artifact(&self, tenant: &TenantId, id: Digest) -> Result<Option<Vec<u8>>> {
        Ok(self.state().artifacts.get(&(tenant.clone(), id)).cloned())
    }

    async fn ping(&self) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Inbox for Store {
    async fn post(&self, tenant: &TenantId, run: RunId, command: StoredCommand) -> Result<bool> {
        let now = self.clock.monotonic();
        self.state().post(tenant, run, command, now)
    }

    async fn pending(&self, tenant: &TenantId, run: RunId) -> Result<Vec<StoredCommand>> {
        Ok(self.state().runs.get(&(tenant.clone(), run)).map(|run| run.inbox.clone()).unwrap_or_default())
    }
}

impl Run {
    /// The seq of its own first record.
    fn begins(&self) -> u64 {
        self.row.own()
    }
}

impl State {
    /// Whether a run has records that were not erased.
    pub(super) fn is_whole(&self, tenant: &TenantId, run: RunId) -> bool {
        let run = self.runs.get(&(tenant.clone(), run));
        run.is_some_and(|run| run.snapshot.is_some() || run.records.iter().any(|record| !record.is_expired()))
    }

    /// The hash of a record.
    pub(super) fn hash(&self, tenant: &TenantId, run: RunId, seq: u64) -> Option<Digest> {
        let run = self.runs.get(&(tenant.clone(), run))?;
        run.records.get(usize::try_from(seq.checked_sub(run.begins())?).ok()?).map(|record| record.hash)
    }

    pub(super) fn run(&mut self, tenant: &TenantId, run: RunId) -> Result<&mut Run> {
        self.runs.get_mut(&(tenant.clone(), run)).ok_or_else(|| check::unknown(run))
    }

    /// Whether records of the parent's own are emptied that a fork would share.
    fn has_emptied(&self, tenant: &TenantId, fork: ForkPoint) -> bool {
        let parent = self.runs.get(&(tenant.clone(), fork.parent));
        parent.is_some_and(|parent| parent.records.iter().any(|record| record.seq < fork.at && record.is_expired()))
    }

    /// The run of that key or id.
    fn existing(&self, new: &NewRun) -> Option<&RunRow> {
        let (tenant, run) = (&new.record.tenant, new.record.run);
        let key = new.idempotency_key.as_ref();
        let by_key = key.and_then(|key| self.keys.get(&(tenant.clone(), key.clone())).copied());
        self.runs.get(&(tenant.clone(), by_key.unwrap_or(run))).map(|existing| &existing.row)
    }

    fn create(&mut self, new: NewRun, now: Duration) -> Created {
        let (tenant, run) = (new.record.tenant.clone(), new.record.run);
        if let Some(existing) = self.existing(&new) {
            return Created::Existing(existing.clone());
        }
        let row = check::new_row(&new);
        if let Some(key) = new.idempotency_key {
            self.keys.insert((tenant.clone(), key), run);
        }
        self.keep(&tenant, new.artifacts);
        self.about.extend(new.about.into_iter().map(|subject| (tenant.clone(), subject, run)));
        self.log.push((tenant.clone(), run, new.record.seq));
        let created = Run {
            row: row.clone(),
            records: vec![new.record],
            lease: None,
            wake_at: Some(now),
            dead: None,
            snapshot: None,
            inbox: Vec::new(),
            seen: BTreeSet::new(),
        };
        self.runs.insert((tenant, run), created);
        Created::New(row)
    }

    fn post(&mut self, tenant: &TenantId, run: RunId, command: StoredCommand, now: Duration) -> Result<bool> {
        let row = self.run(tenant, run)?;
        if row.seen.contains(&command.id) {
            return Ok(false);
        }
        if row.row.status.is_closed() {
            return Err(check::closed(run));
        }
        row.seen.insert(command.id.clone());
        row.inbox.push(command);
        if row.lease.is_none() {
            row.wake_at = Some(row.wake_at.map_or(now, |at| at.min(now)));
        }
        Ok(true)
    }

    fn keep(&mut self, tenant: &TenantId, artifacts: Vec<Artifact>) {
        for artifact in artifacts {
            self.artifacts.entry((tenant.clone(), artifact.id)).or_insert(artifact.sealed);
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("runs", &self.state().runs.len()).finish_non_exhaustive()
    }
}
