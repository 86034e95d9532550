//! The index of a tenant in this process, and the rows it is built from.

use std::sync::RwLock;

use l9_core::Result;
use l9_core::id::TenantId;
use l9_core::memory::Layer;
use l9_core::time::Timestamp;
use l9_core::vault::Vault;
use uuid::Uuid;

use super::sealing;
use crate::retrieval::{Cause, Document, Index, Terms};
use crate::vault::SubjectKeys;

/// The index of one tenant, and who may add to it.
#[derive(Default)]
pub(crate) struct Slot {
    pub(crate) loading: tokio::sync::Mutex<()>,
    pub(crate) indexed: RwLock<Indexed>,
}

#[derive(Default)]
pub(crate) struct Indexed {
    pub(crate) index: Index,
    /// The newest entry it has seen, and the newest change.
    pub(crate) entries: i64,
    pub(crate) changes: i64,
    /// The newest vector it has seen.
    pub(crate) vectors: i64,
}

/// What a row says of an entry, or of a change.
#[derive(Debug)]
pub struct Loaded {
    pub(crate) position: i64,
    pub(crate) id: Uuid,
    pub(crate) what: Changed,
}

/// What is new about an entry.
#[derive(Debug)]
pub(crate) enum Changed {
    /// It was kept.
    Added(LoadedEntry),
    /// It is gone.
    Removed,
    /// Something hides it.
    Hidden(Cause, Timestamp),
    /// Something hides it no longer.
    Shown(Cause, Timestamp),
}

impl Changed {
    /// What a row of the log says.
    pub(crate) fn of(
        change: i64,
        at: i64,
        cause: Option<Uuid>,
        valid_from: Option<i64>,
    ) -> std::result::Result<Self, String> {
        let at = Timestamp::from_millis(at);
        let cause_id = || cause.ok_or_else(|| format!("a change of kind {change} names no cause"));
        let superseded = || {
            let valid_from = Timestamp::from_millis(valid_from.unwrap_or_default());
            Ok::<_, String>(Cause::Superseded { by: cause_id()?, valid_from })
        };
        Ok(match change {
            1 => Self::Removed,
            2 => Self::Hidden(Cause::Forgotten, at),
            3 => Self::Shown(Cause::Forgotten, at),
            4 => Self::Hidden(superseded()?, at),
            5 => Self::Shown(superseded()?, at),
            6 => Self::Hidden(Cause::Quarantined(cause_id()?), at),
            7 => Self::Shown(Cause::Quarantined(cause_id()?), at),
            other => return Err(format!("{other} is not a kind of change")),
        })
    }
}

#[derive(Debug)]
pub(crate) struct LoadedEntry {
    pub(crate) layer: Layer,
    pub(crate) at: i64,
    pub(crate) recorded_at: i64,
    pub(crate) valid_from: Option<i64>,
    pub(crate) valid_to: Option<i64>,
    pub(crate) agent: Option<Vec<u8>>,
    pub(crate) session: Option<Vec<u8>>,
    pub(crate) terms: Vec<u8>,
}

/// A row that is opened.
pub(crate) struct Opened {
    pub(crate) position: i64,
    pub(crate) id: Uuid,
    pub(crate) what: Changed,
    pub(crate) terms: Option<Terms>,
    /// Whether its terms were made by the rules of another version.
    pub(crate) stale: bool,
}

impl Loaded {
    /// What has to be opened of it.
    pub(crate) fn sealed(&self) -> Option<&[u8]> {
        match &self.what {
            Changed::Added(entry) => Some(&entry.terms),
            _ => None,
        }
    }

    /// Opens it. What was erased has no terms; that it is removed comes with the changes.
    pub(crate) fn open(mut self, vault: &dyn Vault, keys: &SubjectKeys, tenant: &TenantId) -> Result<Opened> {
        let opened = match &mut self.what {
            Changed::Added(entry) => {
                sealing::open_terms(vault, keys, tenant, self.id, &std::mem::take(&mut entry.terms))?
            }
            _ => None,
        };
        let stale = matches!(opened, Some(None));
        Ok(Opened { position: self.position, id: self.id, what: self.what, terms: opened.flatten(), stale })
    }
}

impl Indexed {
    /// Changes first, in their order, then what was added: what hides an entry that is still to
    /// come waits for it in the index.
    pub(crate) fn take_in(&mut self, rows: Vec<Opened>) {
        let (added, mut changed): (Vec<_>, Vec<_>) =
            rows.into_iter().partition(|row| matches!(row.what, Changed::Added(_)));
        changed.sort_by_key(|row| row.position);
        for row in changed {
            match row.what {
                Changed::Removed => drop(self.index.remove(row.id)),
                Changed::Hidden(cause, at) => self.index.hide(row.id, cause, at),
                Changed::Shown(cause, at) => self.index.show(row.id, cause, at),
                Changed::Added(_) => {}
            }
            self.changes = self.changes.max(row.position);
        }
        for row in added {
            self.entries = self.entries.max(row.position);
            let (Changed::Added(entry), Some(terms)) = (row.what, row.terms) else { continue };
            let document = Document {
                id: row.id,
                agent: entry.agent.map(|token| self.index.name(&token)),
                session: entry.session.map(|token| self.index.name(&token)),
                layer: entry.layer,
                at: Timestamp::from_millis(entry.at),
                recorded_at: Timestamp::from_millis(entry.recorded_at),
                valid_from: entry.valid_from.map(Timestamp::from_millis),
                valid_to: entry.valid_to.map(Timestamp::from_millis),
            };
            self.index.add(document, &terms);
        }
    }
}
