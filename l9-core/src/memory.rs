//! The trait behind which memories are kept, and their form.
//!
//! Content is kept as it was said. Nothing here is reachable by an agent: agents
//! reach memory through tools, and so through the governor.
//!
//! An entry never changes. What became of it (superseded, quarantined, forgotten, and the
//! undoing of each) is a log of changes beside it, so that every question can be asked of
//! now and of any time before.

mod curation;
mod embedding;
mod graph;
mod listing;
mod quota;

use std::collections::BTreeSet;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::Result;
use crate::digest::Digest;
use crate::id::{AgentId, TenantId};
use crate::journal::Write;
use crate::label::Label;
use crate::time::Timestamp;

pub use curation::{
    Curation, Expired, NewQuarantine, Over, Quarantine, Quarantined, Released, Restored, Snapshot, Suspect,
};
pub use embedding::{Embedder, Embedding, Space};
pub use graph::{Edge, Entity, FAR, FARTHEST, Graph, Relation, SAME_AS, Walk, When};
pub use listing::{Cursor, Listing, Order, Page, Session, Shown, Stored};
pub use quota::{Quota, Share, Usage, Used};

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
    /// For a while: gone `memory.short_term_ttl_ms` after it was written.
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
    /// The person it is about. Its label names them too, by their keyed name.
    pub subject: Option<String>,
    /// Where it came from and who may see it.
    #[serde(rename = "labels")]
    pub label: Label,
    /// From when on it is true in the world; always, if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<Timestamp>,
    /// From when on it is not true any more; never, if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_to: Option<Timestamp>,
    /// The entries it was made from, such as those that it sums up; at most 256 ids.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub derived_from: Vec<Uuid>,
    /// What it states of two things, for the graph; `text` says the same in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relation: Option<Relation>,
    /// Anything else.
    pub metadata: Map<String, Value>,
}

/// What an entry is taken for now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Standing {
    /// It is found.
    #[default]
    Current,
    /// Another entry says what is true now.
    Superseded,
    /// Nobody finds it until its quarantine is released.
    Quarantined,
    /// Nobody finds it; its bytes are kept for a snapshot.
    Forgotten,
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
    /// What it is taken for now, whatever time was asked about.
    pub standing: Standing,
    /// The entry that says what is true now instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub superseded_by: Option<Uuid>,
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
    /// Only what was true then, as far as it is known.
    pub valid_at: Option<Timestamp>,
    /// Whether each hit says why it was found.
    pub explain: bool,
    /// Whether near duplicates are hits of their own, and not told with the best of them.
    pub duplicates: bool,
}

impl Query {
    /// No words, as of some times: what a look at the graph lets pass.
    #[must_use]
    pub fn at(when: When) -> Self {
        Self { as_of: when.as_of, valid_at: when.valid_at, ..Self::new("", 0) }
    }

    /// The `k` best hits for the words, in every layer, as of now.
    #[must_use]
    pub fn new(text: impl Into<String>, k: usize) -> Self {
        Self { text: text.into(), k, layer: None, as_of: None, valid_at: None, explain: false, duplicates: false }
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
    /// Others that were found and say the same in the same place with small differences, best
    /// first: they are not hits of their own, unless that was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub duplicates: Vec<Uuid>,
    /// Why it was found, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<Why>,
}

/// Why an entry was found: what its score is made of.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Why {
    /// The stems of the query that stand in the entry itself; others stand beside it, or look alike.
    pub words: Vec<String>,
    /// How well it matches together with what was said just before and after, from 0 to 1; the best has 1.
    pub text: f64,
    /// How well its whole conversation matches, from 0 to 1; the best has 1.
    pub conversation: f64,
    /// Whether the query names who said it.
    pub speaker: bool,
    /// How near its meaning is to the query's together with what was said just before and after,
    /// from 0 to 1; the best has 1. Absent if no vectors were compared, or it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meaning: Option<f64>,
    /// Why no vectors were compared although there is an embedder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meaning_failed: Option<String>,
}

/// Keeps memories. What is current is what neither was forgotten, nor superseded, nor is in
/// quarantine.
#[async_trait]
pub trait MemoryStore: Curation + Graph {
    /// Keeps entries, all or none; tells for each whether it was known already.
    ///
    /// What is derived from a quarantined entry or comes from a quarantined source is kept in
    /// that quarantine.
    ///
    /// # Errors
    /// `Invalid` for an empty or oversized text or an entry that it derives from and is not
    /// there, `Conflict` for a key that has another content, `Exhausted` for what a quota has no
    /// room for, `Unavailable` or `Exhausted` from the backend.
    async fn remember(&self, tenant: &TenantId, entries: Vec<NewEntry>) -> Result<Vec<Remembered>>;

    /// Prepares what the journal of the same database writes together with a result, all or
    /// none; tells for each entry what it will be. The append is refused as a `Conflict` if
    /// something equal was kept meanwhile.
    ///
    /// # Errors
    /// As [`MemoryStore::remember`].
    async fn prepare(&self, tenant: &TenantId, entries: Vec<NewEntry>) -> Result<(Vec<Remembered>, Write)>;

    /// The best hits, best first; ties by time, newest first, then by id. Of near duplicates the
    /// best is a hit and names the others, unless the query asks for all.
    ///
    /// # Errors
    /// `Invalid` for a query over 10,000 bytes; `Unavailable` from the backend.
    async fn search(&self, scope: &Scope, query: &Query) -> Result<Vec<Hit>>;

    /// One memory of the tenant, also one that is superseded or in quarantine.
    ///
    /// # Errors
    /// `Corrupt` when it does not open; `Unavailable` from the backend.
    async fn get(&self, tenant: &TenantId, id: Uuid) -> Result<Option<Entry>>;

    /// One memory as it was said, where tokens stand in for personal data in every other
    /// answer; for those who may see that.
    ///
    /// # Errors
    /// As [`MemoryStore::get`].
    async fn as_said(&self, tenant: &TenantId, id: Uuid) -> Result<Option<Entry>> {
        self.get(tenant, id).await
    }

    /// Keeps an entry that says what is true from its `valid_from` on (from when it was said, if
    /// absent), and takes another out of the answers from now on: that one is still found as of
    /// a time before, and as valid before. The new one has the old one's agent, subject and,
    /// unless the old one comes from a source, key, if it names none.
    ///
    /// # Errors
    /// As [`MemoryStore::remember`]; `NotFound` for an unknown entry, `Conflict` for one that is
    /// superseded already or in quarantine.
    async fn supersede(&self, tenant: &TenantId, old: Uuid, new: NewEntry) -> Result<Remembered>;

    /// Makes a superseded entry current again. The one that superseded it stays as it is.
    ///
    /// # Errors
    /// `NotFound` for an unknown entry, `Conflict` for one that is not superseded or whose key
    /// another has by now.
    async fn reinstate(&self, tenant: &TenantId, old: Uuid) -> Result<()>;

    /// Takes one memory out of all answers; tells whether it was there. Its bytes are removed
    /// at once, unless a snapshot covers it: then with the last of those.
    ///
    /// # Errors
    /// `Unavailable` from the backend.
    async fn forget(&self, tenant: &TenantId, id: Uuid) -> Result<bool>;

    /// Forgets every memory of a source; tells how many there were.
    ///
    /// # Errors
    /// `Unavailable` from the backend.
    async fn forget_source(&self, tenant: &TenantId, source: &str) -> Result<u64>;

    /// The name under which labels carry a data subject: keyed, so that it says nothing to who
    /// does not know whom to ask for, and the same wherever the tenant's memories are kept.
    fn subject(&self, tenant: &TenantId, name: &str) -> Digest;

    /// Removes every memory whose label names a data subject, those of some ids also, and all
    /// that derives from one of them, for good and whatever snapshots stand, with the key that
    /// the subject's were sealed under; tells which were there. With `dry`, only tells which are.
    ///
    /// # Errors
    /// `Unavailable` from the backend; asked for again, it goes on.
    async fn erase(&self, tenant: &TenantId, subject: &Digest, also: &[Uuid], dry: bool) -> Result<BTreeSet<Uuid>>;

    /// What there is of a tenant in the order of ids, from behind one on: as it was said, and
    /// what is forgotten and a snapshot covers too; for whoever looks for what is to be erased.
    /// Fewer than `limit` are the last.
    ///
    /// # Errors
    /// `Unavailable` from the backend; that one entry does not open, its own place tells.
    async fn stored(&self, tenant: &TenantId, after: Option<Uuid>, limit: usize) -> Result<Vec<Stored>>;

    /// Every memory of a source but forgotten ones, oldest first: also those that are
    /// superseded or in quarantine.
    ///
    /// # Errors
    /// `Corrupt` when one does not open; `Unavailable` from the backend.
    async fn of_source(&self, tenant: &TenantId, source: &str) -> Result<Vec<Entry>>;

    /// Every source of which memories are kept, counted as [`MemoryStore::of_source`] gives them.
    ///
    /// # Errors
    /// As [`MemoryStore::of_source`].
    async fn sources(&self, tenant: &TenantId) -> Result<Vec<Source>>;

    /// How much is kept of a tenant, or of an agent's own of it; of all tenants together without
    /// one. What is forgotten, has expired or was erased does not count, whatever covers it.
    ///
    /// # Errors
    /// `Unavailable` from the backend.
    async fn usage(&self, tenant: Option<&TenantId>, agent: Option<&AgentId>) -> Result<Used>;

    /// How many current memories a scope has.
    ///
    /// # Errors
    /// `Unavailable` from the backend.
    async fn count(&self, scope: &Scope) -> Result<u64>;

    /// Entries by the time they were said; of one time, in the order they were kept in. The
    /// entries of a session, oldest first, are its conversation.
    ///
    /// # Errors
    /// `Unavailable` from the backend.
    async fn list(&self, scope: &Scope, listing: &Listing) -> Result<Page<Entry>>;

    /// The conversations of a scope that have current entries, the one that was said something
    /// in last first.
    ///
    /// # Errors
    /// `Unavailable` from the backend.
    async fn sessions(&self, scope: &Scope, after: Option<Cursor>, limit: usize) -> Result<Page<Session>>;
}
