//! The index of a tenant in this process, and the rows it is built from.

use std::sync::RwLock;

use l9_core::Result;
use l9_core::id::TenantId;
use l9_core::memory::Layer;
use l9_core::time::Timestamp;
use l9_core::vault::Vault;
use uuid::Uuid;

use super::sealing;
use crate::retrieval::{Document, Index, Terms};

/// The index of one tenant, and who may add to it.
#[derive(Default)]
pub(crate) struct Slot {
    pub(crate) loading: tokio::sync::Mutex<()>,
    pub(crate) indexed: RwLock<Indexed>,
}

#[derive(Default)]
pub(crate) struct Indexed {
    pub(crate) index: Index,
    /// The newest entry it has seen, and the newest removal.
    pub(crate) entries: i64,
    pub(crate) forgotten: i64,
}

/// What a row says of an entry, or of a removal.
#[derive(Debug)]
pub struct Loaded {
    pub(crate) position: i64,
    pub(crate) id: Uuid,
    /// Absent for a removal.
    pub(crate) entry: Option<LoadedEntry>,
}

#[derive(Debug)]
pub(crate) struct LoadedEntry {
    pub(crate) layer: Layer,
    pub(crate) at: i64,
    pub(crate) recorded_at: i64,
    pub(crate) agent: Option<Vec<u8>>,
    pub(crate) session: Option<Vec<u8>>,
    pub(crate) terms: Vec<u8>,
}

/// A row that is opened.
pub(crate) struct Opened {
    pub(crate) position: i64,
    pub(crate) id: Uuid,
    pub(crate) entry: Option<LoadedEntry>,
    pub(crate) terms: Option<Terms>,
}

impl Loaded {
    pub(crate) fn open(mut self, vault: &dyn Vault, tenant: &TenantId) -> Result<Opened> {
        let terms = match &mut self.entry {
            Some(entry) => sealing::open_terms(vault, tenant, self.id, &std::mem::take(&mut entry.terms))?,
            None => None,
        };
        Ok(Opened { position: self.position, id: self.id, entry: self.entry, terms })
    }
}

impl Opened {
    /// Whether its terms were made by the rules of another version.
    pub(crate) fn is_stale(&self) -> bool {
        self.entry.is_some() && self.terms.is_none()
    }
}

impl Indexed {
    /// Removals first, then what was added after them.
    pub(crate) fn take_in(&mut self, rows: Vec<Opened>) {
        let (added, removed): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.entry.is_some());
        for row in removed {
            self.index.remove(row.id);
            self.forgotten = self.forgotten.max(row.position);
        }
        for row in added {
            self.entries = self.entries.max(row.position);
            let (Some(entry), Some(terms)) = (row.entry, row.terms) else { continue };
            let document = Document {
                id: row.id,
                agent: entry.agent.map(|token| self.index.name(&token)),
                session: entry.session.map(|token| self.index.name(&token)),
                layer: entry.layer,
                at: Timestamp::from_millis(entry.at),
                recorded_at: Timestamp::from_millis(entry.recorded_at),
            };
            self.index.add(document, &terms);
        }
    }
}
