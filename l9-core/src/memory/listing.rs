//! Pages of entries and of conversations.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Entry, Layer};
use crate::time::Timestamp;
use crate::{Error, Result};

/// Which entries to list, and how many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Only this layer.
    pub layer: Option<Layer>,
    /// Only what came from this file or address.
    pub source: Option<String>,
    /// Whether what is not current is shown.
    pub shown: Shown,
    /// Which first.
    pub order: Order,
    /// After the last of another page.
    pub after: Option<Cursor>,
    /// The most entries.
    pub limit: usize,
}

impl Listing {
    /// The first `limit` current entries in this order.
    #[must_use]
    pub fn new(order: Order, limit: usize) -> Self {
        Self { layer: None, source: None, shown: Shown::Current, order, after: None, limit }
    }
}

/// Whether what is not current is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Shown {
    /// What is found.
    #[default]
    Current,
    /// What is superseded or in quarantine.
    Hidden,
    /// Both.
    All,
}

/// Which comes first, by the time it was said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// The newest.
    #[default]
    Newest,
    /// The oldest.
    Oldest,
}

/// A part of what there is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Page<T> {
    /// In order.
    pub items: Vec<T>,
    /// What the next page begins after, if there is more.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// Cuts what was found down to `limit`: one more was asked for, to see whether there is.
    pub fn cut(mut found: Vec<(Cursor, T)>, limit: usize) -> Self {
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|(cursor, _)| *cursor);
        Self { items: found.into_iter().map(|(_, item)| item).collect(), next }
    }
}

/// A place between two items of a list: the time and the number of the one before. It means
/// nothing to anybody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// When the item was said, in milliseconds.
    pub at: i64,
    /// Its place among those of the same time.
    pub position: i64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.at, self.position)
    }
}

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parsed = text.split_once('.').and_then(|(at, position)| Some((at.parse().ok()?, position.parse().ok()?)));
        let (at, position) = parsed.ok_or_else(|| {
            let shown: String = text.chars().take(80).collect();
            Error::invalid(format!("{shown:?} is no place in a list: use the `next` of the page before"))
        })?;
        Ok(Self { at, position })
    }
}

impl Serialize for Cursor {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// An entry by its place.
#[derive(Debug)]
pub struct Stored {
    /// Its id.
    pub id: Uuid,
    /// What it is, or why it cannot be read; nothing if whom it is about was erased.
    pub entry: Result<Option<Entry>>,
}

/// A conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Session {
    /// Its name.
    pub session: String,
    /// When something was said in it first.
    pub first: Timestamp,
    /// When something was said in it last.
    pub last: Timestamp,
    /// How many current entries it has.
    pub entries: u64,
}
