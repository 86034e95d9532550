//! The trait behind which memories are kept, and their form.
//!
//! Content is kept as it was said. Nothing here is reachable by an agent: agents
//! reach memory through tools, and so through the governor.

use std::fmt;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::Result;
use crate::id::{AgentId, TenantId};
use crate::journal::Write;
use crate::label::Label;
use crate::time::Timestamp;

/// Which rows a caller may touch. Every field that is set must match exactly; rows
/// without an agent belong to all agents of the tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The tenant: always exact.
    pub tenant: TenantId,
    /// Only this agent's rows and those of no agent.
    pub agent: Option<AgentId>,
    /// Only this session's rows.
    pub session: Option<String>,
}

impl Scope {
    /// Everything of a tenant.
    #[must_use]
    pub fn tenant(tenant: TenantId) -> Self {
        Self { tenant, agent: None, session: None }
    }
}

/// How long a memory is meant to last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Layer {
    /// Until its session ends.
    ShortTerm,
    /// Until it is forgotten.
    #[default]
    LongTerm,
}

/// Something to remember.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NewEntry {
    /// Its words, kept exactly; 1 byte to 1 MiB.
    pub text: String,
    /// The caller's own id, unique within an agent.
    pub key: Option<String>,
    /// Whose memory; absent for all agents.
    pub agent: Option<AgentId>,
    /// The conversation it belongs to.
    pub session: Option<String>,
    /// The file or address it came from.
    pub source: Option<String>,
    /// Where within the source, such as `lines 3-9`.
    pub position: Option<String>,
    /// How long it is meant to last.
    pub layer: Layer,
    /// When it was said; the time of writing if absent.
    pub at: Option<Timestamp>,
    /// The person it is about.
    pub subject: Option<String>,
    /// Where it came from and who may see it.
    #[serde(rename = "labels")]
    pub label: Label,
    /// Anything else.
    pub metadata: Map<String, Value>,
}

/// A memory as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// Its id.
    pub id: Uuid,
    /// What was remembered; `at` is always set.
    #[serde(flatten)]
    pub entry: NewEntry,
    /// When it was written.
    pub recorded_at: Timestamp,
}

/// What became of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Remembered {
    /// The entry's id: the new one's, or that of the equal one kept before.
    pub id: Uuid,
    /// Whether equal content of the same agent, session, source and position, or an
    /// entry of the same key and content, was kept already.
    pub duplicate: bool,
}

/// A file or address of which memories are kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// How many memories there are of it.
    pub entries: u64,
    /// The newest of them.
    pub newest: Entry,
}

/// A question to memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// Words to find.
    pub text: String,
    /// The most hits.
    pub k: usize,
    /// Only this layer.
    pub layer: Option<Layer>,
    /// Only what was known at that time.
    pub as_of: Option<Timestamp>,
}

impl Query {
    /// The `k` best hits for the words, in every layer, as of now.
    #[must_use]
    pub fn new(text: impl Into<String>, k: usize) -> Self {
        Self { text: text.into(), k, layer: None, as_of: None }
    }
}

/// One hit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Hit {
    /// The memory.
    #[serde(flatten)]
    pub entry: Entry,
    /// How well it matches, greater is better; comparable within one answer only.
    pub score: f64,
}

/// Keeps memories.
#[async_trait]
pub trait MemoryStore: fmt::Debug + Send + Sync {
    /// Keeps entries, all or none; tells for each whether it was known already.
    ///
    /// # Errors
    /// `Invalid` for an empty or oversized text, `Conflict` for a key that has another
    /// content, `Unavailable` or `Exhausted` from the backend.
    async fn remember(&self, tenant: &TenantId, entries: Vec<NewEntry>) -> Result<Vec<Remembered>>;

    /// Prepares what the journal of the same database writes together with a result, all or
    /// none; tells for each entry what it will be. The append is refused as a `Conflict` if
    /// something equal was kept meanwhile.
    ///
    /// # Errors
    /// As [`MemoryStore::remember`].
    async fn prepare(&self, tenant: &TenantId, entries: Vec<NewEntry>) -> Result<(Vec<Remembered>, Write)>;

    /// The best hits, best first; ties by time, newest first, then by id.
    ///
    /// # Errors
    /// `Invalid` for a query over 10,000 bytes; `Unavailable` from the backend.
    async fn search(&self, scope: &Scope, query: &Query) -> Result<Vec<Hit>>;

    /// One memory of the tenant.
    ///
    /// # Errors
    /// `Corrupt` when it does not open; `Unavailable` from the backend.
    async fn get(&self, tenant: &TenantId, id: Uuid) -> Result<Option<Entry>>;

    /// Removes one memory; tells whether it was there.
    ///
    /// # Errors
    /// `Unavailable` from the backend.
    async fn forget(&self, tenant: &TenantId, id: Uuid) -> Result<bool>;

    /// Removes every memory of a source; tells how many there were.
    ///
    /// # Errors
    /// `Unavailable` from the backend.
    async fn forget_source(&self, tenant: &TenantId, source: &str) -> Result<u64>;

    /// Every memory of a source, oldest first.
    ///
    /// # Errors
    /// `Corrupt` when one does not open; `Unavailable` from the backend.
    async fn of_source(&self, tenant: &TenantId, source: &str) -> Result<Vec<Entry>>;

    /// Every source of which memories are kept.
    ///
    /// # Errors
    /// As [`MemoryStore::of_source`].
    async fn sources(&self, tenant: &TenantId) -> Result<Vec<Source>>;

    /// How many memories a scope has.
    ///
    /// # Errors
    /// `Unavailable` from the backend.
    async fn count(&self, scope: &Scope) -> Result<u64>;
}
