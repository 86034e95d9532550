//! Work behind what is remembered: entries that lack something get it, in rounds.
//!
//! What is to be done follows from what is there, so nothing is queued and a process that is
//! killed goes on where it was. Of several processes on one database one does a work at a time,
//! and another takes over when it is silent.

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
}

/// What one round has to look at.
pub(crate) struct Round {
    /// Whose entries, and after which position.
    pub(crate) tenants: Vec<(TenantId, i64)>,
    newest: i64,
    /// When it began, if it looks at everything.
    sweep: Option<Duration>,
}

impl<'w> Rounds<'w> {
    pub(crate) fn new(memory: &'w dyn Claimable, clock: &'w dyn Clock, work: &'w str, owner: &'w str) -> Self {
        Self { memory, clock, work, owner, seen: 0, swept: None, claimed: None, wait: POLL }
    }

    /// What is to be looked at now, if this process is to do it.
    pub(crate) async fn next(&mut self) -> Result<Option<Round>> {
        let newest = self.memory.newest_entry().await?;
        let now = self.clock.monotonic();
        let sweep = self.swept.is_none_or(|swept| now.saturating_sub(swept) >= SWEEP).then_some(now);
        if newest <= self.seen && sweep.is_none() || !self.claims().await? {
            return Ok(None);
        }
        let after = if sweep.is_some() { 0 } else { (self.seen - OVERLAP).max(0) };
        Ok(Some(Round { tenants: self.memory.remembering_after(after).await?, newest, sweep }))
    }

    /// Notes that a round got to its end; tells whether it looked at everything.
    pub(crate) fn end(&mut self, round: &Round) -> bool {
        self.seen = round.newest;
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
