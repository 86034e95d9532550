//! Memories that are kept elsewhere, mirrored in this process.

use l9_core::Result;
use l9_core::id::TenantId;
use l9_core::memory::{Entry, NewEntry, Remembered};
use uuid::Uuid;

use super::memory::Memory;
use crate::entry;

impl Memory {
    /// What entries would be, and those of them that are new.
    pub(crate) fn decide(&self, tenant: &TenantId, new: Vec<NewEntry>) -> Result<(Vec<Remembered>, Vec<Entry>)> {
        let (remembered, added) = self.look(tenant, new)?;
        Ok((remembered, added.into_iter().map(|(entry, _)| entry).collect()))
    }

    /// Takes in entries that were kept elsewhere, oldest first; those that are there stay.
    pub(crate) fn take_in(&self, tenant: &TenantId, mut entries: Vec<Entry>) {
        entries.sort_by_key(|entry| (entry.recorded_at, entry.id));
        let mut tenants = self.tenants();
        let kept = tenants.entry(tenant.clone()).or_default();
        for entry in entries {
            if !kept.entries.contains_key(&entry.id) {
                let content = entry::content(&entry.entry);
                kept.insert(entry, content);
            }
        }
    }

    /// Lets entries go that are elsewhere no more.
    pub(crate) fn let_go(&self, tenant: &TenantId, ids: &[Uuid]) {
        if let Some(kept) = self.tenants().get_mut(tenant) {
            ids.iter().for_each(|id| drop(kept.remove(*id)));
        }
    }
}
