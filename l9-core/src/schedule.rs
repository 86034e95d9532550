//! The trait behind which schedules are stored, for all processes of a store.
//!
//! A store knows when somebody must look at a schedule, and nothing else of it: what it is and
//! how far it came are sealed before they get here.

use std::fmt;

use async_trait::async_trait;

use crate::Result;
use crate::id::TenantId;
pub use crate::id::{ScheduleId, SeriesId};
use crate::time::Timestamp;

/// A schedule as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSchedule {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its name there.
    pub id: ScheduleId,
    /// Which making of it.
    pub series: SeriesId,
    /// How often it was changed.
    pub version: u64,
    /// When somebody must look at it; never if absent.
    pub due_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// What it is, sealed.
    pub definition: Vec<u8>,
    /// How far it came, sealed.
    pub state: Vec<u8>,
}

/// How far a schedule came since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// When somebody must look at it next; never if absent.
    pub due_at: Option<Timestamp>,
    /// How far it came, sealed.
    pub state: Vec<u8>,
}

/// Stores schedules.
#[async_trait]
pub trait Schedules: fmt::Debug + Send + Sync {
    /// Keeps a new one; durable when it returns.
    ///
    /// # Errors
    /// `Conflict` when the tenant has one of that id.
    async fn create_schedule(&self, new: StoredSchedule) -> Result<()>;

    /// One of the tenant's.
    ///
    /// # Errors
    /// From the backend only.
    async fn schedule(&self, tenant: &TenantId, id: &ScheduleId) -> Result<Option<StoredSchedule>>;

    /// The tenant's, in the order of their ids, after one of them.
    ///
    /// # Errors
    /// From the backend only.
    async fn schedules(
        &self,
        tenant: &TenantId,
        after: Option<&ScheduleId>,
        limit: usize,
    ) -> Result<Vec<StoredSchedule>>;

    /// Those of all tenants that somebody must look at by `now`, the longest due first.
    ///
    /// # Errors
    /// From the backend only.
    async fn due_schedules(&self, now: Timestamp, limit: usize) -> Result<Vec<StoredSchedule>>;

    /// Puts how far it came in the place of what `seen` says, and makes its version one more,
    /// durable when it returns; tells whether that is what stood there. If not, somebody else
    /// was first, or it is gone.
    ///
    /// # Errors
    /// From the backend only.
    async fn move_schedule(&self, seen: &StoredSchedule, moved: Moved) -> Result<bool>;

    /// Removes one; tells whether it was there.
    ///
    /// # Errors
    /// From the backend only.
    async fn remove_schedule(&self, tenant: &TenantId, id: &ScheduleId) -> Result<bool>;
}
