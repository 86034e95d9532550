//! What a backend of memories does: rows in and out, nothing opened.

use std::fmt;

use async_trait::async_trait;
use l9_core::Result;
use l9_core::digest::Digest;
use l9_core::id::TenantId;
use l9_core::memory::Remembered;
use uuid::Uuid;

use super::indexed::Loaded;
use super::plan::Plan;
use super::sealing::{Kept, Marks};

/// Which entries to remove.
#[derive(Debug, Clone, Copy)]
pub enum Removal {
    /// The one of this id.
    Id(Uuid),
    /// Those of this source's token.
    Source(Digest),
}

/// An entry as it lies in its row.
#[derive(Debug)]
pub struct SealedEntry {
    pub(crate) id: Uuid,
    pub(crate) recorded_at: i64,
    pub(crate) sealed: Vec<u8>,
}

/// The rows of memories. Every entry and every removal has a position; whoever has seen
/// a tenant's position has seen all of the tenant's before it.
#[async_trait]
pub trait Rows: fmt::Debug + Send + Sync {
    /// The newest positions of the tenant's entries and removals; zero before the first.
    async fn newest(&self, tenant: &TenantId) -> Result<(i64, i64)>;

    /// Every removal after a position, and up to `limit` entries after another in their
    /// order, of one state of the database: an entry never comes without the removals
    /// before it.
    async fn load(&self, tenant: &TenantId, entries: i64, forgotten: i64, limit: i64) -> Result<Vec<Loaded>>;

    /// The entries of these ids that are there, in any order.
    async fn fetch(&self, tenant: &TenantId, ids: &[Uuid]) -> Result<Vec<SealedEntry>>;

    /// Entries that equal new ones.
    async fn find(&self, tenant: &TenantId, marks: &[Marks]) -> Result<Kept>;

    /// Carries a plan out in one transaction; `None` if something is new that was not
    /// prepared.
    async fn keep(&self, plan: Plan) -> Result<Option<Vec<Remembered>>>;

    /// Removes entries and notes their ids; tells how many there were.
    async fn remove(&self, tenant: &TenantId, what: Removal) -> Result<u64>;

    /// The entries of a source's token, oldest first.
    async fn of_source(&self, tenant: &TenantId, source: Digest) -> Result<Vec<SealedEntry>>;

    /// The newest entry of every source, and how many the source has.
    async fn sources(&self, tenant: &TenantId) -> Result<Vec<(u64, SealedEntry)>>;

    /// How many entries there are of an agent or of none, and of a session.
    async fn count(&self, tenant: &TenantId, agent: Option<Digest>, session: Option<Digest>) -> Result<u64>;
}
