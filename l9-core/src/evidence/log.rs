//! The trait behind which the tree is stored.
//!
//! Records get their leaves after they are durable, never in the append's transaction:
//! one sequencer at a time takes those that have none, in an order that is settled, and
//! adds them with the checkpoint over them, all or nothing.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use super::checkpoint::SignedCheckpoint;
use super::tile::TileId;
use crate::Result;
use crate::digest::Digest;
use crate::id::{RunId, TenantId};
use crate::time::Timestamp;

/// A stored tile.
pub type Tile = (TileId, Vec<Digest>);

/// A record as the tree knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its leaf; while it has none, the backend's own mark of it.
    pub position: u64,
    /// The record's tenant.
    pub tenant: TenantId,
    /// The record's run.
    pub run: RunId,
    /// The record's seq.
    pub seq: u64,
    /// The record's hash as it is stored.
    pub hash: Digest,
}

/// The right to extend the tree, until somebody takes it over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lead {
    /// Greater than every earlier one's.
    pub epoch: u64,
    /// How many leaves there are.
    pub size: u64,
}

/// Leaves to be added.
#[derive(Debug, Clone)]
pub struct Extension {
    /// The sequencer's lease.
    pub epoch: u64,
    /// The tree's size as the sequencer knows it.
    pub from: u64,
    /// The records that get the leaves from there on: the first of what
    /// [`AuditLog::pending`] gave, in its order.
    pub entries: Vec<Entry>,
    /// Every tile that changes, with all its hashes.
    pub tiles: Vec<Tile>,
    /// The checkpoint over them.
    pub checkpoint: SignedCheckpoint,
}

/// A horizon and the note that was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedHorizon {
    /// Whose runs.
    pub tenant: TenantId,
    /// Bodies of runs that ended before this time may be gone.
    pub before: Timestamp,
    /// The note.
    pub note: String,
}

/// Stores the tree over all records of all tenants.
#[async_trait]
pub trait AuditLog: fmt::Debug + Send + Sync {
    /// Takes the right to extend the tree, or renews it for who has it; `None` while
    /// somebody else does. Times are the database's own. With no time at all it is given
    /// up. The first one's key is the log's.
    ///
    /// # Errors
    /// `Conflict` when the log is signed by another key.
    async fn lead(&self, owner: &str, signer: &str, ttl: Duration) -> Result<Option<Lead>>;

    /// Records without a leaf, in the order in which they will get theirs: about `limit`,
    /// and more where a backend counts whole appends. Each run's come in their order.
    ///
    /// # Errors
    /// From the backend only.
    async fn pending(&self, limit: usize) -> Result<Vec<Entry>>;

    /// Adds leaves, tiles and a checkpoint, durable when it returns; all or nothing.
    ///
    /// # Errors
    /// `Fenced` when the epoch is not the newest, `Conflict` when the tree has another
    /// size or a record has a leaf, `Corrupt` when records between them are missing.
    async fn extend(&self, extension: Extension) -> Result<()>;

    /// The tiles of these ids that are there, in any order.
    ///
    /// # Errors
    /// `Corrupt` when a tile cannot be read.
    async fn tiles(&self, ids: &[TileId]) -> Result<Vec<Tile>>;

    /// The first checkpoint over at least so many leaves.
    ///
    /// # Errors
    /// From the backend only.
    async fn covering(&self, size: u64) -> Result<Option<SignedCheckpoint>>;

    /// The newest checkpoints, newest first.
    ///
    /// # Errors
    /// From the backend only.
    async fn newest(&self, limit: usize) -> Result<Vec<SignedCheckpoint>>;

    /// The leaves of a run's own records from a seq on, one for each, as far as they have
    /// any.
    ///
    /// # Errors
    /// From the backend only.
    async fn leaves_of(&self, tenant: &TenantId, run: RunId, from: u64, limit: usize) -> Result<Vec<u64>>;

    /// The records of the leaves from one on, in their order; a record that is missing is
    /// left out.
    ///
    /// # Errors
    /// `Corrupt` when a row cannot be read.
    async fn entries(&self, from: u64, limit: usize) -> Result<Vec<Entry>>;

    /// Publishes a horizon, durable when it returns.
    ///
    /// # Errors
    /// From the backend only.
    async fn publish(&self, horizon: SignedHorizon) -> Result<()>;

    /// The tenant's horizon that reaches furthest.
    ///
    /// # Errors
    /// From the backend only.
    async fn horizon(&self, tenant: &TenantId) -> Result<Option<SignedHorizon>>;

    /// Keeps a signed statement, durable when it returns.
    ///
    /// # Errors
    /// From the backend only.
    async fn attest(&self, note: &str) -> Result<()>;

    /// Every statement that was kept, oldest first.
    ///
    /// # Errors
    /// From the backend only.
    async fn statements(&self) -> Result<Vec<String>>;
}
