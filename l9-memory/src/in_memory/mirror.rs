//! Memories that are kept elsewhere, mirrored in this process.

use l9_core::Result;
use l9_core::id::TenantId;
use l9_core::memory::{Entry, NewEntry, Quarantine, Remembered};
use uuid::Uuid;

use super::memory::Memory;
use super::tenant::Added;

impl Memory {
    /// What entries would be, and those of them that are new.
    pub(crate) fn decide(&self, tenant: &TenantId, new: &[NewEntry]) -> Result<(Vec<Remembered>, Vec<Entry>)> {
        let mut tenants = self.tenants();
        let kept = tenants.entry(tenant.clone()).or_default();
        let (remembered, added) = kept.decide(tenant, new, None, self.clock.now(), &*self.entropy)?;
        kept.hold(&self.quota, &added)?;
        Ok((remembered, added.into_iter().map(|added| added.entry).collect()))
    }

    /// Takes in entries that were kept elsewhere, in their order; those that are there stay.
    pub(crate) fn take_in(&self, tenant: &TenantId, entries: Vec<Entry>) {
        let mut tenants = self.tenants();
        let kept = tenants.entry(tenant.clone()).or_default();
        for entry in entries {
            if !kept.entries.contains_key(&entry.id) {
                kept.insert(Added::of(entry));
            }
        }
    }

    /// Lets entries go that are elsewhere no more.
    pub(crate) fn let_go(&self, tenant: &TenantId, ids: &[Uuid]) {
        if ids.is_empty() {
            return;
        }
        if let Some(kept) = self.tenants().get_mut(tenant) {
            ids.iter().for_each(|id| kept.remove(*id));
            let entries = &kept.entries;
            kept.derivations.retain(|(_, id)| entries.contains_key(id));
            kept.about.retain(|(_, id)| entries.contains_key(id));
        }
    }

    /// Has the quarantines stand that stand elsewhere, and no others.
    pub(crate) fn stand_under(&self, tenant: &TenantId, quarantines: &[Quarantine]) {
        let now = self.clock.now();
        let mut tenants = self.tenants();
        let kept = tenants.entry(tenant.clone()).or_default();
        let stands = |id: Uuid| quarantines.iter().any(|found| found.id == id && found.released_at.is_none());
        let known: Vec<Uuid> = kept.quarantines.iter().map(|found| found.id).collect();
        for lifted in known.iter().filter(|id| !stands(**id)) {
            kept.lift(*lifted, now);
        }
        kept.quarantines.retain(|found| stands(found.id));
        for new in quarantines.iter().filter(|new| stands(new.id) && !known.contains(&new.id)) {
            kept.impose(new.clone(), now);
        }
    }

    /// What a quarantine hides.
    pub(crate) fn hidden_by(&self, tenant: &TenantId, quarantine: Uuid) -> Vec<Uuid> {
        let tenants = self.tenants();
        let entries = tenants.get(tenant).into_iter().flat_map(|kept| kept.entries.values());
        let mut hidden: Vec<Uuid> =
            entries.filter(|kept| kept.quarantines.contains(&quarantine)).map(|kept| kept.entry.id).collect();
        hidden.sort_unstable();
        hidden
    }
}
