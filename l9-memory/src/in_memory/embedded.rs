//! Vectors of memories in this process: in the index, and nowhere else.

use async_trait::async_trait;
use l9_core::Result;
use l9_core::id::TenantId;
use l9_core::time::Timestamp;
use uuid::Uuid;

use super::memory::Memory;
use crate::embed::{Claimable, Embeddable, Unembedded};
use crate::vectors::Code;

#[async_trait]
impl Claimable for Memory {
    async fn newest_entry(&self) -> Result<i64> {
        Ok(self.tenants().values().map(|kept| kept.written()).sum())
    }

    async fn remembering_after(&self, _: i64) -> Result<Vec<(TenantId, i64)>> {
        // Positions are each tenant's own.
        Ok(self.tenants().keys().map(|tenant| (tenant.clone(), 0)).collect())
    }

    async fn claim(&self, _: &str, _: &str, _: Timestamp) -> Result<bool> {
        Ok(true)
    }
}

#[async_trait]
impl Embeddable for Memory {
    async fn unembedded(&self, tenant: &TenantId, _: &str, after: i64, limit: usize) -> Result<Vec<Unembedded>> {
        let tenants = self.tenants();
        let Some(kept) = tenants.get(tenant) else { return Ok(Vec::new()) };
        let without = kept.entries.values().filter(|one| one.position > after && !kept.index.is_embedded(one.entry.id));
        let mut found: Vec<_> = without.filter(|one| !kept.is_taken(one.entry.id)).collect();
        found.sort_by_key(|one| one.position);
        let unembedded = |one: &&super::tenant::Kept| Unembedded {
            position: one.position,
            id: one.entry.id,
            text: one.entry.entry.text.clone(),
        };
        Ok(found.iter().take(limit).map(unembedded).collect())
    }

    async fn keep_vectors(&self, tenant: &TenantId, _: &str, vectors: Vec<(Uuid, Code)>) -> Result<()> {
        let mut tenants = self.tenants();
        let Some(kept) = tenants.get_mut(tenant) else { return Ok(()) };
        for (id, code) in vectors {
            if kept.entries.contains_key(&id) {
                kept.index.embed(id, code)?;
            }
        }
        Ok(())
    }

    async fn embedded(&self, _: &str) -> Result<(u64, u64)> {
        let tenants = self.tenants();
        let (mut embedded, mut entries) = (0, 0);
        for kept in tenants.values() {
            entries += kept.entries.keys().filter(|id| !kept.is_taken(**id)).count() as u64;
            embedded += kept.entries.keys().filter(|id| kept.index.is_embedded(**id)).count() as u64;
        }
        Ok((embedded, entries.saturating_sub(embedded)))
    }

    async fn drop_others(&self, _: &str, _: Timestamp) -> Result<u64> {
        Ok(0)
    }
}
