//! What a backend of memories does: rows in and out, nothing opened.

use std::fmt;

use async_trait::async_trait;
use l9_core::Result;
use l9_core::id::TenantId;
use l9_core::memory::{Query, Standing};
use uuid::Uuid;

use super::connection::{Job, Row, Value};
use super::indexed::Loaded;
use super::sealing::{Kept, Marks};
use crate::vault::SealedRows;

/// What holds of an entry, as its row says it.
pub(crate) const FORGOTTEN: i64 = 1;
pub(crate) const SUPERSEDED: i64 = 2;
pub(crate) const QUARANTINED: i64 = 4;

/// An entry as it lies in its row.
#[derive(Debug)]
pub struct SealedEntry {
    pub(crate) id: Uuid,
    pub(crate) recorded_at: i64,
    pub(crate) standing: i64,
    pub(crate) superseded_by: Option<Uuid>,
    pub(crate) sealed: Vec<u8>,
}

impl SealedEntry {
    /// What its row says it is taken for.
    pub(crate) fn standing(&self) -> Standing {
        match self.standing {
            standing if standing & FORGOTTEN != 0 => Standing::Forgotten,
            standing if standing & QUARANTINED != 0 => Standing::Quarantined,
            standing if standing & SUPERSEDED != 0 => Standing::Superseded,
            _ => Standing::Current,
        }
    }

    /// Whether it is neither forgotten nor superseded.
    pub(crate) fn stands(&self) -> bool {
        self.standing & (FORGOTTEN | SUPERSEDED) == 0
    }

    /// Whether it may be in an answer: one that was hidden after the index was asked may not,
    /// unless another time was asked about.
    pub(crate) fn is_shown(&self, query: &Query) -> bool {
        match self.standing() {
            Standing::Current => true,
            Standing::Superseded => query.as_of.is_some() || query.valid_at.is_some(),
            _ => query.as_of.is_some(),
        }
    }
}

/// The rows of memories. Every entry and every change has a position; whoever has seen
/// a tenant's position has seen all of the tenant's before it.
#[async_trait]
pub trait Rows: SealedRows + fmt::Debug + Send + Sync {
    /// The newest positions of the tenant's entries and changes; zero before the first.
    async fn newest(&self, tenant: &TenantId) -> Result<(i64, i64)>;

    /// Every change after a position in their order, and up to `limit` entries after another
    /// in theirs, of one state of the database: an entry never comes without the changes
    /// before it.
    async fn load(&self, tenant: &TenantId, entries: i64, changes: i64, limit: i64) -> Result<Vec<Loaded>>;

    /// The entries of these ids that are there, in any order.
    async fn fetch(&self, tenant: &TenantId, ids: &[Uuid]) -> Result<Vec<SealedEntry>>;

    /// Entries that equal new ones.
    async fn find(&self, tenant: &TenantId, marks: &[Marks]) -> Result<Kept>;

    /// Reads rows, outside of any transaction.
    async fn read(&self, sql: &str, values: &[Value]) -> Result<Vec<Row>>;

    /// Runs a job of about so many rows in one transaction that alone writes the tenant's
    /// memories.
    async fn write(&self, tenant: &TenantId, rows: usize, job: Job) -> Result<()>;
}
