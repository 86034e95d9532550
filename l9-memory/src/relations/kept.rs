//! What stores know of the reading of entries, and the entries that relations are kept as.

use async_trait::async_trait;
use l9_core::Result;
use l9_core::id::{RunId, TenantId};
use l9_core::label::Label;
use l9_core::memory::{Entry, NewEntry, Relation};
use l9_core::time::Timestamp;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::rules::MANY;
use crate::rounds::Claimable;

/// The name in metadata under which an entry says what took it from its origin; nobody else may
/// use it.
pub(crate) const TAKEN: &str = "l9.taken_by";

/// Memories that can be read for what they state.
#[async_trait]
pub trait Readable: Claimable {
    /// Entries after a position that a reader has not read, in the order of their positions. Those
    /// that are short-term, forgotten, superseded or in quarantine, or were taken from another, are
    /// not to be read.
    async fn unread(&self, tenant: &TenantId, reader: &str, after: i64, limit: usize) -> Result<Vec<Unread>>;

    /// Keeps what was read of entries that still stand, in the place of what was read of them
    /// before; tells how many relations were kept. What a run said counts as failed once the run's
    /// records were erased: whom they were about must not come back with it.
    async fn keep_readings(&self, tenant: &TenantId, reader: &str, readings: Vec<Reading>) -> Result<u64>;

    /// How far a reader has got with the memories of all tenants. Such as could not be read is one of
    /// the viewer's tenant, if it has any.
    async fn readings(&self, reader: &str, viewer: &TenantId) -> Result<Progress>;
}

/// An entry that is to be read.
#[derive(Debug, Clone)]
pub struct Unread {
    pub(crate) position: i64,
    /// The entry, as it is kept.
    pub entry: Entry,
}

/// What was read of an entry.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The entry.
    pub origin: Uuid,
    /// What is kept of it.
    pub(crate) taken: Vec<NewEntry>,
    /// The run that said so, if one did.
    pub(crate) run: Option<RunId>,
    /// Why it could not be read: it is not read again by the same reader.
    pub(crate) failure: Option<String>,
}

/// What a reader says of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// What it states, and what influenced that besides the entry.
    Relations(Vec<Relation>, Label),
    /// The same, as a run said it.
    Said(RunId, Vec<Relation>, Label),
    /// Why that cannot be told, now or later; never any words of the entry.
    Failed(String),
}

/// How far entries have been read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// What reads them, and its version.
    pub reader: String,
    /// How many entries it has read.
    pub read: u64,
    /// How many it has not read yet.
    pub pending: u64,
    /// How many relations were taken from those that it has read.
    pub relations: u64,
    /// How many could not be read, and will not be.
    pub failed: u64,
    /// One of those of the viewer's tenant, and why.
    pub such_as: Option<String>,
    /// What keeps it from reading the viewer's tenant for now, if anything does; without a name, if
    /// it is that of another.
    pub failing: Option<String>,
    /// When this was counted, if it could not be counted anew in time.
    pub counted_at: Option<Timestamp>,
}

impl Reading {
    /// Of an entry, by a reader.
    #[must_use]
    pub fn of(entry: &Entry, reader: &str, read: Read) -> Self {
        let origin = entry.id;
        let (run, relations, label) = match read {
            Read::Failed(why) => return Self { origin, taken: Vec::new(), run: None, failure: Some(why) },
            Read::Relations(relations, label) => (None, relations, label),
            Read::Said(run, relations, label) => (Some(run), relations, label),
        };
        let taken = |relation| taken(entry, reader, relation, &label);
        let taken = relations.into_iter().take(MANY).map(taken).collect();
        Self { origin, taken, run, failure: None }
    }

    /// Nothing is kept of it if the run that said it is one of those whose records are gone.
    pub(crate) fn without(&mut self, gone: &[RunId]) {
        if let Some(run) = self.run.filter(|run| gone.contains(run)) {
            let why = format!("its run is gone: the records of run {run} were erased");
            (self.taken, self.run, self.failure) = (Vec::new(), None, Some(why));
        }
    }
}

/// The entry that a relation is kept as: whose its origin is, about whom, as trusted and as true.
fn taken(origin: &Entry, reader: &str, relation: Relation, influence: &Label) -> NewEntry {
    let Entry { id, entry, .. } = origin;
    let mut label = entry.label.clone();
    label.join(influence);
    NewEntry {
        text: format!("{} {} {}.", relation.subject, relation.predicate, relation.object),
        agent: entry.agent.clone(),
        session: entry.session.clone(),
        // Where it stands, so that two that state the same are two.
        position: Some(format!("memory {id}")),
        layer: entry.layer,
        at: entry.at,
        subject: entry.subject.clone(),
        label,
        valid_from: entry.valid_from,
        valid_to: entry.valid_to,
        derived_from: vec![*id],
        relation: Some(relation),
        metadata: [(TAKEN.to_owned(), Value::from(reader))].into_iter().collect(),
        ..NewEntry::default()
    }
}
