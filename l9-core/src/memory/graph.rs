//! The knowledge graph: what entries state of two things. It is a view of what is kept, so
//! that times, quarantines, snapshots and forgetting hold for it as for any entry.

use std::fmt;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Entry, Scope, Standing};
use crate::Result;
use crate::time::Timestamp;

/// The most relations that a walk goes from where it began.
pub const FAR: u8 = 3;
/// The most relations of a path.
pub const FARTHEST: u8 = 6;
/// The predicate under which two names are one thing.
pub const SAME_AS: &str = "same as";

/// What an entry states: that one thing stands in a relation to another. Names are compared
/// without regard to case, width and runs of spaces. Two things become one by a relation `same
/// as`, and two again when that entry is superseded or forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Relation {
    /// Of what it is stated, such as `Ada`; 1 to 512 bytes, as the others.
    pub subject: String,
    /// What is stated, such as `works at`.
    pub predicate: String,
    /// The other thing, such as `Acme`.
    pub object: String,
}

/// As of which times the graph is looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct When {
    /// Only what was known then; now, if absent.
    pub as_of: Option<Timestamp>,
    /// Only what was true then, as far as it is known.
    pub valid_at: Option<Timestamp>,
}

/// A walk from one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walk {
    /// Its name.
    pub from: String,
    /// How many relations away, 1 to 3.
    pub hops: u8,
    /// Only relations of this predicate.
    pub predicate: Option<String>,
    /// As of which times.
    pub when: When,
    /// The most relations.
    pub limit: usize,
}

/// A thing that relations name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Entity {
    /// Its name, as it was first written.
    pub name: String,
    /// Its other names, by relations `same as`.
    pub also: Vec<String>,
    /// In how many relations it stands, those of its other names and `same as` among them.
    pub relations: usize,
}

/// A relation and the entry that states it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Edge {
    /// The entry's id.
    #[schemars(with = "String")]
    pub id: Uuid,
    /// What it states.
    #[serde(flatten)]
    pub relation: Relation,
    /// How many relations away from where the walk began, from 1 on.
    pub hops: u8,
    /// Its words.
    pub text: String,
    /// The file or address it came from.
    pub source: Option<String>,
    /// The entries it was made from.
    #[schemars(with = "Vec<String>")]
    pub derived_from: Vec<Uuid>,
    /// When it was said.
    pub at: Option<Timestamp>,
    /// From when on it is true.
    pub valid_from: Option<Timestamp>,
    /// From when on it is not true any more.
    pub valid_to: Option<Timestamp>,
    /// What its entry is taken for now, whatever time was asked about.
    pub standing: Standing,
}

impl Edge {
    /// What an entry states, if it does.
    #[must_use]
    pub fn of(entry: Entry, hops: u8) -> Option<Self> {
        let Entry { id, entry, standing, .. } = entry;
        Some(Self {
            id,
            relation: entry.relation?,
            hops,
            text: entry.text,
            source: entry.source,
            derived_from: entry.derived_from,
            at: entry.at,
            valid_from: entry.valid_from,
            valid_to: entry.valid_to,
            standing,
        })
    }
}

/// Looks at the graph.
#[async_trait]
pub trait Graph: fmt::Debug + Send + Sync {
    /// The things whose names begin with some letters, by name; all of them for none.
    ///
    /// # Errors
    /// `Unavailable` from the backend.
    async fn entities(&self, scope: &Scope, begins: &str, when: When, limit: usize) -> Result<Vec<Entity>>;

    /// The relations around a thing, nearest first, then in the order they were kept in; none
    /// for a name that nobody knows.
    ///
    /// # Errors
    /// `Invalid` for hops beyond 3; `Unavailable` from the backend.
    async fn walk(&self, scope: &Scope, walk: &Walk) -> Result<Vec<Edge>>;

    /// The fewest relations that lead from one thing to another, in their order; `None` if
    /// none do within `hops`, 1 to 6.
    ///
    /// # Errors
    /// `Invalid` for hops beyond 6; `Unavailable` from the backend.
    async fn path(&self, scope: &Scope, from: &str, to: &str, when: When, hops: u8) -> Result<Option<Vec<Edge>>>;
}
