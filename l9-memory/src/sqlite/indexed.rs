//! The index of a tenant in this process, and the rows it is built from.

use std::sync::RwLock;

use l9_core::Result;
use l9_core::id::TenantId;
use l9_core::memory::Layer;
use l9_core::time::Timestamp;
use l9_core::vault::Vault;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::entries;
use crate::retrieval::{Document, Index, Terms};

/// The index of one tenant, and who may add to it.
#[derive(Default)]
pub(super) struct Slot {
    pub(super) loading: tokio::sync::Mutex<()>,
    pub(super) indexed: RwLock<Indexed>,
}

#[derive(Default)]
pub(super) struct Indexed {
    pub(super) index: Index,
    /// The newest entry it has seen, and the newest removal.
    pub(super) entries: i64,
    pub(super) forgotten: i64,
}

/// A row of [`Memory::load`].
pub(super) struct Loaded {
    pub(super) position: i64,
    pub(super) id: Uuid,
    /// Absent for a removal.
    pub(super) entry: Option<LoadedEntry>,
}

pub(super) struct LoadedEntry {
    pub(super) layer: Layer,
    pub(super) at: i64,
    pub(super) recorded_at: i64,
    pub(super) agent: Option<Vec<u8>>,
    pub(super) session: Option<Vec<u8>>,
    pub(super) terms: Vec<u8>,
}

/// A row that is opened.
pub(super) struct Opened {
    pub(super) position: i64,
    pub(super) id: Uuid,
    pub(super) entry: Option<LoadedEntry>,
    pub(super) terms: Option<Terms>,
}

impl Loaded {
    pub(super) fn read(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let entry = match row.try_get::<Option<i64>, _>(2)? {
            None => None,
            Some(_) => Some(LoadedEntry {
                layer: entries::layer(row, 2)?,
                at: row.try_get(3)?,
                recorded_at: row.try_get(4)?,
                agent: row.try_get(5)?,
                session: row.try_get(6)?,
                terms: row.try_get(7)?,
            }),
        };
        Ok(Self { position: row.try_get(0)?, id: entries::uuid(row, 1)?, entry })
    }

    pub(super) fn open(mut self, vault: &dyn Vault, tenant: &TenantId) -> Result<Opened> {
        let terms = match &mut self.entry {
            Some(entry) => entries::open_terms(vault, tenant, self.id, &std::mem::take(&mut entry.terms))?,
            None => None,
        };
        Ok(Opened { position: self.position, id: self.id, entry: self.entry, terms })
    }
}

impl Opened {
    /// Whether its terms were made by the rules of another version.
    pub(super) fn is_stale(&self) -> bool {
        self.entry.is_some() && self.terms.is_none()
    }
}

impl Indexed {
    /// Removals first, then what was added after them.
    pub(super) fn take_in(&mut self, rows: Vec<Opened>) {
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
