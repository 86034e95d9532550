//! What people do with memory as a whole: quarantine, snapshots, and going back to one.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Result;
use crate::id::{AgentId, TenantId};
use crate::time::Timestamp;

/// What is no longer believed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Suspect {
    /// A file or address: all that came from it, or bears it among the sources of its label.
    Source(String),
    /// One entry.
    #[schemars(with = "String")]
    Entry(Uuid),
}

impl fmt::Display for Suspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(source) => write!(f, "source {source}"),
            Self::Entry(id) => write!(f, "memory {id}"),
        }
    }
}

/// A quarantine to impose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewQuarantine {
    /// What is no longer believed.
    pub suspect: Suspect,
    /// Why.
    pub reason: String,
    /// Who says so.
    pub by: String,
}

/// A quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Quarantine {
    /// Its id.
    #[schemars(with = "String")]
    pub id: Uuid,
    /// What is no longer believed.
    pub suspect: Suspect,
    /// Why.
    pub reason: String,
    /// Who imposed it.
    pub by: String,
    /// Since when.
    pub at: Timestamp,
    /// Until when, if it was released.
    pub released_at: Option<Timestamp>,
    /// Who released it.
    pub released_by: Option<String>,
}

/// What a quarantine did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Quarantined {
    /// The quarantine.
    #[serde(flatten)]
    pub quarantine: Quarantine,
    /// The entries it hides.
    #[schemars(with = "Vec<String>")]
    pub entries: Vec<Uuid>,
}

/// What a release did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Released {
    /// The quarantine.
    #[serde(flatten)]
    pub quarantine: Quarantine,
    /// The entries that are current again: nothing else hides them.
    #[schemars(with = "Vec<String>")]
    pub entries: Vec<Uuid>,
}

/// A state of memory that can be gone back to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Snapshot {
    /// Its id.
    #[schemars(with = "String")]
    pub id: Uuid,
    /// What it was called.
    pub name: String,
    /// Whose memory; null for the whole tenant's.
    pub agent: Option<AgentId>,
    /// Who took it.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// What going back did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Restored {
    /// The state that was gone back to.
    pub snapshot: Snapshot,
    /// The state before, to undo it with.
    pub before: Snapshot,
    /// How many entries were forgotten: those that were kept or brought back since.
    pub forgotten: u64,
    /// How many were brought back: those that were forgotten since.
    pub returned: u64,
    /// How many are superseded again: those that were reinstated since.
    pub superseded: u64,
    /// How many were reinstated: those that were superseded since.
    pub reinstated: u64,
}

/// What was, or would be, dropped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Expired {
    /// How many snapshots.
    pub snapshots: u64,
    /// How many forgotten entries whose bytes only those covered.
    pub entries: u64,
    /// How many short-term entries whose time is over.
    pub short_term: u64,
}

/// What short-term entries are over, or would be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Over {
    /// How many went.
    pub entries: u64,
    /// When the oldest of those that stay was written.
    pub oldest: Option<Timestamp>,
}

/// What people do with memory as a whole. Each of it is undone by another, and leaves the
/// entries themselves as they are.
#[async_trait]
pub trait Curation: fmt::Debug + Send + Sync {
    /// Hides what is suspected and everything that was derived from it, and what will be. An
    /// entry derives from those its `derived_from` names and from the sources of its label.
    ///
    /// # Errors
    /// `NotFound` for an unknown entry, `Invalid` for an empty source or no reason.
    async fn quarantine(&self, tenant: &TenantId, new: NewQuarantine) -> Result<Quarantined>;

    /// Lifts a quarantine: what it hid and nothing else hides is current again.
    ///
    /// # Errors
    /// `NotFound` for an unknown one, `Conflict` for one that was released.
    async fn release(&self, tenant: &TenantId, quarantine: Uuid, by: &str) -> Result<Released>;

    /// Every quarantine, newest first, also those that were released.
    ///
    /// # Errors
    /// `Unavailable` from the backend.
    async fn quarantines(&self, tenant: &TenantId) -> Result<Vec<Quarantine>>;

    /// Marks the present state, of one agent's own entries or of the whole tenant.
    ///
    /// # Errors
    /// `Invalid` for an empty or overlong name.
    async fn snapshot(&self, tenant: &TenantId, agent: Option<AgentId>, name: &str, by: &str) -> Result<Snapshot>;

    /// Every snapshot, newest first.
    ///
    /// # Errors
    /// `Unavailable` from the backend.
    async fn snapshots(&self, tenant: &TenantId) -> Result<Vec<Snapshot>>;

    /// Goes back to a snapshot: what was kept since is forgotten, what was forgotten or
    /// superseded since is as it was. Quarantines stay as they are, and so does what was
    /// erased. The state before is marked first.
    ///
    /// # Errors
    /// `NotFound` for an unknown or expired snapshot.
    async fn restore(&self, tenant: &TenantId, snapshot: Uuid, by: &str) -> Result<Restored>;

    /// Drops snapshots that are older, and the bytes of what was forgotten and none covers any
    /// more; a dry run only counts.
    ///
    /// # Errors
    /// `Unavailable` from the backend.
    async fn expire_snapshots(&self, tenant: &TenantId, older_than: Duration, dry_run: bool) -> Result<Expired>;

    /// Removes the short-term entries that were written at a time or before, whatever a snapshot
    /// shows; a dry run only counts.
    ///
    /// # Errors
    /// `Unavailable` from the backend.
    async fn expire_short_term(&self, tenant: &TenantId, until: Timestamp, dry_run: bool) -> Result<Over>;

    /// The tenants that have short-term entries of a time or before.
    ///
    /// # Errors
    /// `Unavailable` from the backend.
    async fn overdue(&self, until: Timestamp) -> Result<Vec<TenantId>>;
}
