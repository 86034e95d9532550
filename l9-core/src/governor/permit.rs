//! The permit: proof that an intent is durable, consumed by the effect it allows.
//!
//! Its fields are private to this module and its constructor to the governor, so
//! nothing else can make one; it is neither `Clone` nor `Default`, so one intent
//! allows one effect.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::budget::Budget;
use crate::digest::Digest;
use crate::id::{CallId, RunId, TenantId};
use crate::label::Label;
use crate::model::DeltaSink;
use crate::time::{Clock, Timestamp};
use crate::tool::ContractHash;
use crate::{Error, ErrorKind, Result};

/// The right to perform one attempt of one effect.
#[must_use = "a permit is the right to an effect that has been journaled as intended"]
pub struct Permit {
    grant: Grant,
    clock: Arc<dyn Clock>,
    cancel: CancellationToken,
    beats: Arc<Notify>,
    sent: Arc<AtomicU64>,
    words: DeltaSink,
}

/// What a permit is for.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    pub(super) tenant: TenantId,
    pub(super) run: RunId,
    pub(super) call: CallId,
    pub(super) attempt: u32,
    pub(super) contract: ContractHash,
    pub(super) idempotency_key: Digest,
    pub(super) issued_at: Timestamp,
    pub(super) lapses_at: Duration,
    /// Of what the run's budget limits, what was reserved.
    pub(super) allowance: Budget,
    pub(super) deterministic: bool,
    pub(super) label: Label,
}

impl Permit {
    pub(super) fn issue(grant: Grant, clock: Arc<dyn Clock>, cancel: CancellationToken, words: DeltaSink) -> Self {
        Self { grant, clock, cancel, beats: Arc::default(), sent: Arc::default(), words }
    }

    /// The tenant on whose behalf.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        &self.grant.tenant
    }

    /// The run.
    #[must_use]
    pub fn run(&self) -> RunId {
        self.grant.run
    }

    /// The effect within the run.
    #[must_use]
    pub fn call(&self) -> CallId {
        self.grant.call
    }

    /// The attempt at it, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.grant.attempt
    }

    /// The exact contract the effect was authorised under.
    #[must_use]
    pub fn contract(&self) -> ContractHash {
        self.grant.contract
    }

    /// The same for every attempt at this effect: pass it on as `Idempotency-Key`.
    #[must_use]
    pub fn idempotency_key(&self) -> Digest {
        self.grant.idempotency_key
    }

    /// The time of the intent; the only wall clock a deterministic tool may see.
    #[must_use]
    pub fn issued_at(&self) -> Timestamp {
        self.grant.issued_at
    }

    /// Whether the run is seeded, so that all tools must be deterministic.
    #[must_use]
    pub fn deterministic(&self) -> bool {
        self.grant.deterministic
    }

    /// The label of the arguments.
    #[must_use]
    pub fn label(&self) -> &Label {
        &self.grant.label
    }

    /// How long the effect may still take.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.grant.lapses_at.saturating_sub(self.clock.monotonic())
    }

    /// Fires when the run is cancelled or its lease is lost.
    #[must_use]
    pub fn cancelled(&self) -> &CancellationToken {
        &self.cancel
    }

    /// Shows words to those who follow the run, secrets masked, once they can no longer be
    /// the beginning of one. They are not journaled. Says that it is alive as well.
    pub fn show(&self, text: &str) {
        self.words.push(text);
        self.beat();
    }

    /// Gives a sign of life: a tool whose manifest asks for heartbeats is stopped without.
    pub fn beat(&self) {
        self.beats.notify_one();
    }

    pub(super) fn beats(&self) -> Arc<Notify> {
        Arc::clone(&self.beats)
    }

    /// Counts bytes of a request that is about to leave the machine, right before it does.
    ///
    /// # Errors
    /// `Denied` when more would leave than the run's budget holds for this effect: then
    /// none may.
    pub fn draw(&self, bytes: u64) -> Result<()> {
        let most = self.grant.allowance.egress_bytes.unwrap_or(u64::MAX);
        let count = |sent: u64| sent.checked_add(bytes).filter(|sum| *sum <= most);
        self.sent.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count).map(drop).map_err(|sent| {
            let message = format!(
                "{bytes} bytes would leave, and of the {most} egress_bytes reserved for this effect {} are left: start \
                 the run with a larger budget",
                most.saturating_sub(sent)
            );
            Error::new(ErrorKind::Denied, message)
        })
    }

    /// Takes back what was counted, and did not leave after all.
    pub fn give_back(&self, bytes: u64) {
        self.sent.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(super) fn sent(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.sent)
    }

    /// Waits on the system's clock.
    pub async fn wait(&self, duration: Duration) {
        self.clock.sleep(duration).await;
    }

    /// To be asked again right before bytes leave.
    ///
    /// # Errors
    /// `Cancelled` after cancellation, `Denied` after the permit has lapsed.
    pub fn check(&self) -> Result<()> {
        if self.cancel.is_cancelled() {
            return Err(Error::new(ErrorKind::Cancelled, "the run was cancelled"));
        }
        if self.remaining().is_zero() {
            return Err(Error::new(ErrorKind::Denied, "the permit has lapsed: its deadline has passed"));
        }
        Ok(())
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.grant.fmt(f)
    }
}
