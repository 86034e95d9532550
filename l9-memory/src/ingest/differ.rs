//! What of a file is in memory already, what is new, and what is no more.

use std::collections::HashMap;

use l9_core::digest::Digest;
use l9_core::memory::{Entry, NewEntry};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::entry;

/// The metadata of every piece that was taken in before there were [`super::pieces::Mark`]s.
const HASH: &str = "sha256";

/// What a memory takes for the same: the key, else the words and where they stand.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) enum Identity {
    Key(Vec<u8>),
    Content(Digest),
}

impl Identity {
    pub(super) fn of(new: &NewEntry) -> Self {
        entry::key(new).map_or_else(|| Self::Content(entry::content(new)), Self::Key)
    }
}

/// What there is to do for a file.
#[derive(Debug, Default)]
pub(super) struct Difference {
    /// Entries to keep.
    pub(super) fresh: Vec<NewEntry>,
    /// Entries that have to go before those of the same identity are kept.
    pub(super) before: Vec<Uuid>,
    /// Entries that go once all that is fresh is kept.
    pub(super) stale: Vec<Uuid>,
    /// How many pieces are there as they are.
    pub(super) known: usize,
}

impl Difference {
    /// Compares what is kept with what should be.
    pub(super) fn between(kept: Vec<Entry>, wanted: Vec<NewEntry>) -> Self {
        let mut out = Self::default();
        let mut kept_by: HashMap<Identity, Entry> = HashMap::with_capacity(kept.len());
        for entry in kept {
            if let Some(twice) = kept_by.insert(Identity::of(&entry.entry), entry) {
                out.stale.push(twice.id);
            }
        }
        for new in wanted {
            match kept_by.remove(&Identity::of(&new)) {
                Some(old) if is_same(&old.entry, &new) => out.known += 1,
                Some(old) => {
                    out.before.push(old.id);
                    out.fresh.push(new);
                }
                None => out.fresh.push(new),
            }
        }
        out.stale.extend(kept_by.into_values().map(|entry| entry.id));
        out
    }

    /// Whether there is nothing to do.
    pub(super) fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.stale.is_empty()
    }
}

/// Whether an entry says all that it should.
fn is_same(old: &NewEntry, new: &NewEntry) -> bool {
    old.text == new.text
        && old.position == new.position
        && old.session == new.session
        && old.subject == new.subject
        && old.layer == new.layer
        && old.label == new.label
        && old.relation == new.relation
        && old.derived_from == new.derived_from
        && old.valid_to == new.valid_to
        && (new.valid_from.is_none() || old.valid_from == new.valid_from)
        && (new.at.is_none() || old.at == new.at)
        && is_same_metadata(&old.metadata, &new.metadata)
}

fn is_same_metadata(old: &Map<String, Value>, new: &Map<String, Value>) -> bool {
    let outdated = |name: &str| name == HASH && !new.contains_key(HASH);
    old.iter().filter(|(name, _)| !outdated(name)).eq(new.iter())
}
