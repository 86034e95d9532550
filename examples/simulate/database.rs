//! The one database of a simulated world: the product's own in-memory backend over true
//! time, with the judge looking at every step that changes it, and the bugs that may be
//! planted. What it acknowledges is durable; nodes reach it through a
//! [`crate::connection::Connection`] only.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use l9::digest::Digest;
use l9::id::{RunId, TenantId};
use l9::journal::{
    Along, Append, Appended, Created, ForkPoint, Inbox as _, Journal as _, Lease, Leases as _, NewRun, RunRow,
    Snapshot, StoredCommand,
};
use l9::run::{Event, Record, RunOutcome, read_records};
use l9::{Error, ErrorKind, Result};
use l9_memory::in_memory::Store;

use crate::clock::DatabaseClock;
use crate::sim::Sim;

/// How many appends in a thousand that hold an intent are lost where that is planted.
const PLANTED_LOSS: u64 = 20;

/// After how many appends in a thousand the judge goes on from a snapshot of the state.
const SNAPSHOT: u64 = 150;

/// A bug of the database that the judge must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plant {
    /// Neither the epoch nor the lease of an append is checked.
    Epoch,
    /// Some appends of intents are acknowledged and lost.
    Intent,
    /// The expected head of an append is not checked.
    Head,
}

impl FromStr for Plant {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "epoch" => Ok(Self::Epoch),
            "intent" => Ok(Self::Intent),
            "head" => Ok(Self::Head),
            other => Err(format!("{other:?} cannot be planted: use epoch, intent or head")),
        }
    }
}

/// The database.
#[derive(Debug)]
pub(crate) struct Database {
    sim: Arc<Sim>,
    /// For what changes nothing.
    pub(crate) store: Store,
    plant: Option<Plant>,
}

impl Database {
    pub(crate) fn new(sim: Arc<Sim>, plant: Option<Plant>) -> Self {
        let store = Store::new(Arc::new(DatabaseClock(Arc::clone(&sim.timeline))));
        Self { sim, store, plant }
    }

    pub(crate) async fn create(&self, new: NewRun) -> Result<Created> {
        let parent = match new.fork {
            Some(fork) => Some((fork, self.whole(&new.record.tenant, fork).await?)),
            None => None,
        };
        let created = self.store.create(new.clone()).await?;
        if let Created::New(row) = &created {
            self.sim.judge(|judge, now| judge.created(&new, now));
            self.sim.note(Some(row.run), format!("accepted: {} {}", row.kind, row.name));
            if let Some((fork, before)) = parent {
                let after = self.whole(&new.record.tenant, fork).await?;
                self.sim.judge(|judge, _| judge.forked(fork, &before, &after));
                self.sim.note(Some(row.run), format!("forked from {} at {}", fork.parent, fork.at));
                let backs = self.sim.judge(|judge, _| judge.rolls_back(row.run));
                self.sim.count(|counts| {
                    counts.forks += u64::from(!backs);
                    counts.rollbacks += u64::from(backs);
                });
            }
        }
        Ok(created)
    }

    /// A run that another leaves, with all of its records.
    async fn whole(&self, tenant: &TenantId, fork: ForkPoint) -> Result<(RunRow, Vec<Record>)> {
        let row = self.store.run(tenant, fork.parent).await?;
        let row = row.ok_or_else(|| Error::not_found("a fork of nothing"))?;
        let records = self.records(&row).await?;
        Ok((row, records))
    }

    /// All of a run's records, with those it shares.
    pub(crate) async fn records(&self, row: &RunRow) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        while (records.len() as u64) < row.head.next {
            let (from, run) = (records.len() as u64, (row.run, row.fork));
            let page = read_records(&self.store, &row.tenant, run, from, usize::MAX).await?;
            if page.is_empty() {
                break;
            }
            records.extend(page);
        }
        Ok(records)
    }

    pub(crate) async fn expire(
        &self,
        tenant: &TenantId,
        run: RunId,
        snapshot: Snapshot,
        gone: &[Digest],
    ) -> Result<u64> {
        let emptied = self.store.expire(tenant, run, snapshot, gone).await?;
        if emptied > 0 {
            self.sim.note(Some(run), format!("{emptied} bodies expired"));
            self.sim.count(|counts| counts.expired += 1);
            self.sim.judge(|judge, _| judge.expired(run));
        }
        Ok(emptied)
    }

    pub(crate) async fn append(&self, append: Append) -> Result<Appended> {
        let head = append.records.last().map_or(append.expected, Record::head);
        let accepted = Appended { head, commands: false };
        let intends = append.records.iter().any(|record| record.kind == "effect.intent");
        if self.plant == Some(Plant::Intent) && intends && self.sim.draw(|random| random.chance(PLANTED_LOSS)) {
            self.sim.note(Some(append.run), format!("acknowledged and lost: {}", kinds(&append)));
            return Ok(accepted);
        }
        let stored = match self.store.append(append.clone()).await {
            Err(error) if self.looks_away(&append, &error).await => Ok(accepted),
            stored => stored,
        };
        match &stored {
            Ok(_) => self.accepted(&append),
            Err(error) => {
                self.sim.count(|counts| counts.refused_appends += 1);
                let (epoch, next) = (append.epoch, append.expected.next);
                self.sim.note(Some(append.run), format!("refused under epoch {epoch} at {next}: {error:?}"));
            }
        }
        stored
    }

    /// Whether a planted bug lets pass what the store refused.
    async fn looks_away(&self, append: &Append, error: &Error) -> bool {
        match (self.plant, error.kind()) {
            (Some(Plant::Head), ErrorKind::Conflict) => true,
            (Some(Plant::Epoch), ErrorKind::Fenced) => {
                let row = self.store.run(&append.tenant, append.run).await.ok().flatten();
                row.is_some_and(|row| row.head == append.expected)
            }
            _ => false,
        }
    }

    fn accepted(&self, append: &Append) {
        self.sim.note(Some(append.run), format!("epoch {} appended {}", append.epoch, kinds(append)));
        let events = self.sim.judge(|judge, now| judge.appended(append, now));
        append.along.iter().for_each(|along| self.comes_along(along));
        self.sim.count(|counts| {
            counts.appends += 1;
            counts.snapshots += u64::from(append.snapshot.is_some());
            events.iter().for_each(|event| counts.happened(event));
            if append.status.is_closed() {
                *counts.closed.entry(append.status.to_string()).or_default() += 1;
            }
        });
        let intends = events.iter().any(|event| matches!(event, Event::EffectIntent(_)));
        let aimed = self.sim.weather().aimed;
        // A snapshot is as good a moment as an intent, and so is a pause.
        let delicate = append.snapshot.is_some() || events.iter().any(|event| matches!(event, Event::RunPaused(_)));
        if self.sim.draw(|random| intends && random.chance(aimed) || delicate && random.chance(4 * aimed)) {
            self.sim.aim(append.run);
        }
        if self.sim.draw(|random| random.chance(SNAPSHOT)) {
            self.sim.judge(|judge, _| judge.snapshot(append.run));
        }
        for event in &events {
            if let Some(text) = shown(event) {
                self.sim.note(Some(append.run), text);
            }
        }
    }

    /// What else came about with an append: runs that work for it, or compensate what it did, and
    /// the cancellation of the former.
    fn comes_along(&self, along: &Along) {
        match along {
            Along::Begin(new) => {
                self.sim.judge(|judge, now| judge.created(new, now));
                self.sim.note(Some(new.record.run), format!("begins: {} {}", new.kind, new.name));
                self.sim.count(|counts| match new.fork {
                    Some(_) => counts.rollbacks += 1,
                    None => counts.children += 1,
                });
            }
            Along::Post { run, command, .. } if command.id.as_str().starts_with("cancel/") => {
                self.sim.judge(|judge, now| judge.command_acknowledged(*run, command.id.clone(), now));
            }
            _ => {}
        }
    }

    pub(crate) async fn acquire(
        &self,
        tenant: &TenantId,
        run: RunId,
        owner: &str,
        ttl: Duration,
    ) -> Result<Option<Lease>> {
        let lease = self.store.acquire(tenant, run, owner, ttl).await?;
        if let Some(lease) = &lease {
            self.sim.judge(|judge, now| judge.acquired(lease, owner, ttl, now));
            let expired = if lease.expired.is_some() { ", the former one had run out" } else { "" };
            self.sim.note(Some(run), format!("lease {} to {owner}{expired}", lease.epoch));
            self.sim.count(|counts| counts.takeovers += u64::from(lease.expired.is_some()));
        }
        Ok(lease)
    }

    pub(crate) async fn renew(&self, owner: &str, ttl: Duration) -> Result<Vec<Lease>> {
        let renewed = self.store.renew(owner, ttl).await?;
        let count = renewed.len() as u64;
        self.sim.judge(|judge, now| judge.renewed(owner, ttl, count, now));
        if count > 0 {
            self.sim.note(None, format!("{count} leases of {owner} renewed"));
        }
        Ok(renewed)
    }

    pub(crate) async fn release(&self, lease: &Lease, wake_in: Option<Duration>) -> Result<()> {
        self.store.release(lease, wake_in).await?;
        self.sim.judge(|judge, _| judge.released(lease));
        self.sim.note(Some(lease.run), format!("lease {} given up", lease.epoch));
        Ok(())
    }

    pub(crate) async fn post(&self, tenant: &TenantId, run: RunId, command: StoredCommand) -> Result<bool> {
        let id = command.id.clone();
        let first = self.store.post(tenant, run, command).await?;
        self.sim.note(Some(run), format!("command {id} kept, first: {first}"));
        Ok(first)
    }
}

fn kinds(append: &Append) -> String {
    let kinds: Vec<String> = append.records.iter().map(|record| format!("{} {}", record.seq, record.kind)).collect();
    kinds.join(", ")
}

/// What the kinds alone do not tell.
fn shown(event: &Event) -> Option<String> {
    match event {
        Event::EffectIntent(intent) => {
            let (call, attempt) = (intent.call, intent.attempt);
            Some(format!("  attempt {attempt} at {call}, {:?}, not after {}", intent.class, intent.not_after))
        }
        Event::EffectResult(result) => {
            let outcome = match &result.outcome {
                l9::run::Outcome::Ok { .. } => "ok",
                l9::run::Outcome::Failed { code, .. } => code,
            };
            Some(format!("  attempt {} at {}: {outcome}", result.attempt, result.call))
        }
        Event::ApprovalAsked(asked) => Some(format!("  {} is asked about: {}", asked.call, asked.reasons.join("; "))),
        Event::EffectUnknown(unknown) => Some(format!("  {} is unknown: {}", unknown.call, unknown.reason)),
        Event::EffectDenied(denied) => Some(format!("  {} is denied: {}", denied.call, denied.code)),
        Event::EffectRetry(retry) => {
            let doubt = if retry.in_doubt { ", in doubt" } else { "" };
            Some(format!(
                "  attempt {} at {}: {}, again at {}{doubt}",
                retry.attempt, retry.call, retry.code, retry.retry_at
            ))
        }
        Event::EffectReconciled(decided) => {
            Some(format!("  {} is taken for {:?}, says {}", decided.call, decided.verdict, decided.by))
        }
        Event::CommandRejected(rejected) => {
            Some(format!("  command {} is rejected: {}", rejected.command, rejected.reason))
        }
        Event::BreakpointHit(hit) => Some(format!("  stands {:?} {}", hit.hit.at, hit.hit.id)),
        Event::PlanRolledBack(rolled_back) => Some(format!("  {:?}", rolled_back.rollback)),
        Event::RunClosed(outcome) => match &**outcome {
            RunOutcome::Failed { code, message } => Some(format!("  failed: {code}: {message}")),
            _ => None,
        },
        _ => None,
    }
}
