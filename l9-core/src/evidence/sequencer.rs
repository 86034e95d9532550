//! The sequencer: gives records their leaves and signs what the tree is then.
//!
//! One at a time extends a log, under a lease of its own. It never stands in the way of
//! an append, and whoever wants a receipt may have it take up what waits at once.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

use super::checkpoint::{Checkpoint, SignedCheckpoint};
use super::log::{AuditLog, Entry, Extension};
use super::note::SigningKey;
use super::tile::{Edge, Tiles};
use super::tree::leaf_hash;
use crate::time::Clock;
use crate::{Error, Result};

/// How often the tree grows, and by how much.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The longest that a record waits for its checkpoint while all is well, in
    /// milliseconds.
    pub interval_ms: u64,
    /// After about so many records there is a checkpoint.
    pub records: usize,
    /// How long the sequencer's lease lasts, in milliseconds.
    pub lease_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { interval_ms: 1_000, records: 256, lease_ms: 15_000 }
    }
}

/// Extends a log.
pub struct Sequencer {
    log: Arc<dyn AuditLog>,
    key: SigningKey,
    clock: Arc<dyn Clock>,
    owner: String,
    settings: Settings,
    leading: Mutex<Option<Leading>>,
    newest: watch::Sender<Option<SignedCheckpoint>>,
}

/// What is known while the lease is held.
struct Leading {
    epoch: u64,
    edge: Edge,
    renew_at: Duration,
}

impl Sequencer {
    /// A sequencer of this owner's.
    #[must_use]
    pub fn new(
        log: Arc<dyn AuditLog>,
        key: SigningKey,
        clock: Arc<dyn Clock>,
        owner: String,
        settings: Settings,
    ) -> Self {
        Self { log, key, clock, owner, settings, leading: Mutex::default(), newest: watch::Sender::new(None) }
    }

    /// The log that it extends.
    #[must_use]
    pub fn log(&self) -> &Arc<dyn AuditLog> {
        &self.log
    }

    /// What signs.
    #[must_use]
    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// The checkpoints that this sequencer signs from now on; some may be passed over.
    #[must_use]
    pub fn checkpoints(&self) -> watch::Receiver<Option<SignedCheckpoint>> {
        self.newest.subscribe()
    }

    /// The newest checkpoint that the key signed, by this process or another. One that was
    /// tampered with in the log does not count.
    pub(super) async fn newest(&self) -> Option<SignedCheckpoint> {
        let stored = match self.log.newest(1).await {
            Ok(mut stored) => stored.pop(),
            Err(error) => {
                tracing::debug!(%error, "the newest checkpoint was not read");
                None
            }
        };
        let signed = stored.and_then(|stored| SignedCheckpoint::open(self.key.public(), &stored.note).ok());
        let own = self.newest.borrow().clone();
        own.into_iter().chain(signed).max_by_key(|signed| signed.checkpoint.size)
    }

    /// Takes up what waits until told to stop, and gives the lease up then.
    pub async fn run(&self, stop: CancellationToken) {
        let every = Duration::from_millis(self.settings.interval_ms);
        let mut told = None;
        while !stop.is_cancelled() {
            match self.advance().await {
                Ok(_) => told = None,
                // Said once, or a log that cannot be extended would fill the disk with it.
                Err(error) if told == Some(error.kind()) => tracing::debug!(%error, "the audit tree does not grow"),
                Err(error) => {
                    tracing::warn!(%error, "the audit tree does not grow");
                    metrics::counter!("l9_audit_failures_total").increment(1);
                    told = Some(error.kind());
                }
            }
            tokio::select! {
                () = self.clock.sleep(every) => {}
                () = stop.cancelled() => {}
            }
        }
        self.finish().await;
    }

    /// Takes up what waits a last time, and gives the lease up.
    async fn finish(&self) {
        if let Err(error) = self.advance().await {
            tracing::debug!(%error, "the audit tree did not grow at the end");
        }
        if self.leading.lock().await.take().is_some()
            && let Err(error) = self.lead(Duration::ZERO).await
        {
            tracing::debug!(%error, "the sequencer's lease was not given up");
        }
    }

    /// Takes up what waits, unless somebody else extends the log; tells how many records
    /// got a leaf.
    ///
    /// # Errors
    /// As those of [`AuditLog`], and `Corrupt` when the stored tree is not what was signed.
    pub async fn advance(&self) -> Result<u64> {
        let mut leading = self.leading.lock().await;
        let mut done = 0;
        loop {
            let entries = self.log.pending(self.settings.records.max(1)).await?;
            metrics::gauge!("l9_audit_pending_records").set(as_f64(entries.len() as u64));
            if entries.is_empty() {
                return Ok(done);
            }
            let Some(mut now) = self.renewed(leading.take()).await? else { return Ok(done) };
            let last = entries.len() < self.settings.records;
            done += self.extend(&mut now, entries).await?;
            *leading = Some(now);
            if last {
                return Ok(done);
            }
        }
    }

    async fn extend(&self, now: &mut Leading, entries: Vec<Entry>) -> Result<u64> {
        let begun = self.clock.monotonic();
        let (count, from) = (entries.len() as u64, now.edge.size());
        let tiles = now.edge.extend(entries.iter().map(|entry| leaf_hash(&entry.hash)));
        let checkpoint = Checkpoint::sign(&self.key, now.edge.size(), now.edge.root(), self.clock.now());
        let extension = Extension { epoch: now.epoch, from, entries, tiles, checkpoint: checkpoint.clone() };
        self.log.extend(extension).await?;
        metrics::counter!("l9_audit_records_total").increment(count);
        metrics::counter!("l9_audit_checkpoints_total").increment(1);
        metrics::gauge!("l9_audit_tree_size").set(as_f64(now.edge.size()));
        metrics::histogram!("l9_audit_checkpoint_seconds").record((self.clock.monotonic() - begun).as_secs_f64());
        self.newest.send_replace(Some(checkpoint));
        Ok(count)
    }

    /// The lease, held for a while to come; `None` if somebody else has it.
    async fn renewed(&self, leading: Option<Leading>) -> Result<Option<Leading>> {
        let asked = self.clock.monotonic();
        if let Some(now) = leading.filter(|now| asked < now.renew_at) {
            return Ok(Some(now));
        }
        let ttl = Duration::from_millis(self.settings.lease_ms);
        let Some(lead) = self.lead(ttl).await? else { return Ok(None) };
        let ids = Edge::tiles(lead.size);
        let mut tiles = Tiles::default();
        tiles.add(self.log.tiles(&ids).await?);
        let edge = Edge::load(lead.size, &tiles)?;
        self.compare(&edge).await?;
        Ok(Some(Leading { epoch: lead.epoch, edge, renew_at: asked + ttl / 3 }))
    }

    /// What is stored must be what was signed: a tree that was tampered with is not
    /// signed over.
    async fn compare(&self, edge: &Edge) -> Result<()> {
        let newest = self.log.newest(1).await?;
        let signed =
            newest.first().map(|newest| SignedCheckpoint::open(self.key.public(), &newest.note)).transpose()?;
        let (size, root) =
            signed.map_or((0, Edge::default().root()), |signed| (signed.checkpoint.size, signed.checkpoint.root));
        if (size, root) == (edge.size(), edge.root()) {
            return Ok(());
        }
        Err(Error::corrupt(format!(
            "the audit tree of {} leaves is not that of its newest checkpoint over {size}: restore it from a backup",
            edge.size()
        )))
    }

    async fn lead(&self, ttl: Duration) -> Result<Option<super::log::Lead>> {
        self.log.lead(&self.owner, &self.key.public().to_string(), ttl).await
    }
}

impl fmt::Debug for Sequencer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sequencer").field("owner", &self.owner).field("key", &self.key).finish_non_exhaustive()
    }
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floats; counts stay far below 2^53")]
fn as_f64(count: u64) -> f64 {
    count as f64
}
