//! Work behind what is remembered: entries that lack something get it, in rounds.
//!
//! What is to be done follows from what is there, so nothing is queued and a process that is
//! killed goes on where it was. Of several processes on one database one does a work at a time,
//! and another takes over when it is silent.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use l9_core::Result;
use l9_core::id::TenantId;
use l9_core::time::{Clock, Timestamp};
use tokio_util::sync::CancellationToken;

/// How often it is looked whether something is new.
const POLL: Duration = Duration::from_secs(1);
/// The longest wait after a failure; it begins with [`POLL`] and doubles.
const LONGEST: Duration = Duration::from_mins(5);
/// How long a work is one process's without a sign of it.
pub(crate) const CLAIM: Duration = Duration::from_mins(1);
/// How often everything is looked over, not only what is new.
pub(crate) const SWEEP: Duration = Duration::from_mins(10);
/// Positions may become visible in another order than they were given: so many are looked at
/// again.
const OVERLAP: i64 = 1024;

/// Entries that are worked through behind those who keep them.
#[async_trait]
pub trait Claimable: fmt::Debug + Send + Sync {
    /// The position of the newest entry; zero before the first.
    async fn newest_entry(&self) -> Result<i64>;

    /// The tenants with entries after a position, and after which position of theirs to look.
    async fn remembering_after(&self, position: i64) -> Result<Vec<(TenantId, i64)>>;

    /// Takes a work for an owner until a minute after `now`; tells whether nobody else has it.
    async fn claim(&self, work: &str, owner: &str, now: Timestamp) -> Result<bool>;
}

/// How far one process has got with a work.
pub(crate) struct Rounds<'w> {
    memory: &'w dyn Claimable,
    clock: &'w dyn Clock,
    /// The name that the work is claimed under, and by whom.
    work: &'w str,
    owner: &'w str,
    /// Everything up to there has been looked at.
    seen: i64,
    swept: Option<Duration>,
    claimed: Option<Duration>,
    wait: Duration,
    /// Tenants that could not be worked through.
    late: BTreeMap<TenantId, Late>,
}

/// A tenant that could not be worked through: it is tried again by itself, later and later, and
/// keeps no other waiting.
struct Late {
    /// After which position to look.
    after: i64,
    again: Duration,
    wait: Duration,
}

/// What one round has to look at.
pub(crate) struct Round {
    /// Whose entries, and after which position.
    pub(crate) tenants: Vec<(TenantId, i64)>,
    /// The newest position, if more was looked for than who is late.
    newest: Option<i64>,
    /// When it began, if it looks at everything.
    sweep: Option<Duration>,
}

impl<'w> Rounds<'w> {
    pub(crate) fn new(memory: &'w dyn Claimable, clock: &'w dyn Clock, work: &'w str, owner: &'w str) -> Self {
        let late = BTreeMap::new();
        Self { memory, clock, work, owner, seen: 0, swept: None, claimed: None, wait: POLL, late }
    }

    /// What is to be looked at now, if this process is to do it.
    pub(crate) async fn next(&mut self) -> Result<Option<Round>> {
        let newest = self.memory.newest_entry().await?;
        let now = self.clock.monotonic();
        let sweep = self.swept.is_none_or(|swept| now.saturating_sub(swept) >= SWEEP).then_some(now);
        let is_new = newest > self.seen || sweep.is_some();
        let is_due = self.late.values().any(|late| late.again <= now);
        if !is_new && !is_due || !self.claims().await? {
            return Ok(None);
        }
        let after = if sweep.is_some() { 0 } else { (self.seen - OVERLAP).max(0) };
        let mut tenants = if is_new { self.memory.remembering_after(after).await? } else { Vec::new() };
        tenants.retain(|(tenant, after)| match self.late.get_mut(tenant) {
            Some(late) => {
                late.after = late.after.min(*after);
                false
            }
            None => true,
        });
        let due = self.late.iter().filter(|(_, late)| late.again <= now);
        tenants.extend(due.map(|(tenant, late)| (tenant.clone(), late.after)));
        Ok(Some(Round { tenants, newest: is_new.then_some(newest), sweep }))
    }

    /// Notes that a tenant was worked through, or could not be.
    pub(crate) fn note(&mut self, (tenant, after): &(TenantId, i64), failed: bool) {
        let before = self.late.remove(tenant);
        if failed {
            let wait = before.map_or(POLL, |late| (late.wait * 2).min(LONGEST));
            let late = Late { after: *after, again: self.clock.monotonic() + wait, wait };
            self.late.insert(tenant.clone(), late);
        }
    }

    /// Notes that a round got to its end; tells whether it looked at everything.
    pub(crate) fn end(&mut self, round: &Round) -> bool {
        self.seen = round.newest.unwrap_or(self.seen);
        self.swept = round.sweep.or(self.swept);
        round.sweep.is_some()
    }

    /// Whether the work is this process's, for a while.
    pub(crate) async fn claims(&mut self) -> Result<bool> {
        let now = self.clock.monotonic();
        if self.claimed.is_some_and(|claimed| now.saturating_sub(claimed) < CLAIM / 3) {
            return Ok(true);
        }
        let is_ours = self.memory.claim(self.work, self.owner, self.clock.now()).await?;
        self.claimed = is_ours.then_some(now);
        Ok(is_ours)
    }

    /// Whether the work was this process's when that was asked last.
    pub(crate) fn is_ours(&self) -> bool {
        self.claimed.is_some()
    }

    /// How long to wait after a round: longer after each one that failed.
    pub(crate) fn wait(&mut self, failed: bool) -> Duration {
        self.wait = if failed { (self.wait * 2).min(LONGEST) } else { POLL };
        self.wait
    }

    /// Waits, unless it is told to stop.
    pub(crate) async fn pause(&self, stop: &CancellationToken) {
        tokio::select! {
            () = self.clock.sleep(self.wait) => {}
            () = stop.cancelled() => {}
        }
    }
}
