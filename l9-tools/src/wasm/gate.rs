//! The gate in front of the pool: so many calls at once, so much memory at once, and no
//! tenant more than its share. Who comes first goes first.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use l9_core::id::TenantId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::settings::Settings;

/// Memory is counted in units of this many bytes.
const UNIT: u64 = 1 << 20;

/// Admits calls to the pool.
#[derive(Debug)]
pub(super) struct Gate {
    slots: Arc<Semaphore>,
    memory: Arc<Semaphore>,
    tenants: Mutex<HashMap<TenantId, Arc<Semaphore>>>,
    per_tenant: usize,
}

/// A place in the pool; given back when dropped.
#[derive(Debug)]
pub(super) struct Place<'a> {
    gate: &'a Gate,
    tenant: TenantId,
    held: Option<[OwnedSemaphorePermit; 3]>,
}

impl Gate {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(settings.calls as usize)),
            memory: Arc::new(Semaphore::new(units(settings.total_memory_bytes) as usize)),
            tenants: Mutex::default(),
            per_tenant: settings.calls_per_tenant as usize,
        }
    }

    /// Waits for a place; the tenant's own share first, so that who waits for it holds
    /// nothing that others could use. `None` only when the gate is closed.
    pub(super) async fn enter(&self, tenant: &TenantId, memory_bytes: u64) -> Option<Place<'_>> {
        let mut place = Place { gate: self, tenant: tenant.clone(), held: None };
        let share = acquire(&self.share(tenant), 1).await?;
        let memory = acquire(&self.memory, units(memory_bytes)).await?;
        let slot = acquire(&self.slots, 1).await?;
        place.held = Some([slot, memory, share]);
        Some(place)
    }

    fn share(&self, tenant: &TenantId) -> Arc<Semaphore> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = tenants.get(tenant) {
            return Arc::clone(share);
        }
        let share = Arc::new(Semaphore::new(self.per_tenant));
        tenants.insert(tenant.clone(), Arc::clone(&share));
        share
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.held = None;
        let mut tenants = self.gate.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody of this tenant runs or waits: forget it, so that tenants don't pile up.
        if tenants.len() > 1_000 && tenants.get(&self.tenant).is_some_and(|share| Arc::strong_count(share) == 1) {
            tenants.remove(&self.tenant);
        }
    }
}

async fn acquire(semaphore: &Arc<Semaphore>, units: u32) -> Option<OwnedSemaphorePermit> {
    if let Ok(permit) = Arc::clone(semaphore).try_acquire_many_owned(units) {
        return Some(permit);
    }
    Arc::clone(semaphore).acquire_many_owned(units).await.ok()
}

fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn tenant(name: &str) -> TenantId {
        TenantId::new(name).unwrap()
    }

    #[test]
    fn one_tenant_cannot_take_the_whole_pool() {
        let gate = Gate::new(&Settings { calls: 3, calls_per_tenant: 2, ..Settings::default() });
        let first = gate.enter(&tenant("a"), UNIT).now_or_never().flatten().unwrap();
        let _second = gate.enter(&tenant("a"), UNIT).now_or_never().flatten().unwrap();
        assert!(gate.enter(&tenant("a"), UNIT).now_or_never().is_none());
        let _other = gate.enter(&tenant("b"), UNIT).now_or_never().flatten().unwrap();
        assert!(gate.enter(&tenant("c"), UNIT).now_or_never().is_none());
        drop(first);
        assert!(gate.enter(&tenant("a"), UNIT).now_or_never().is_some());
    }

    #[test]
    fn declared_memory_is_bounded_in_sum() {
        let settings = Settings { total_memory_bytes: 300 * UNIT, ..Settings::default() };
        let gate = Gate::new(&settings);
        let first = gate.enter(&tenant("a"), 200 * UNIT).now_or_never().flatten().unwrap();
        assert!(gate.enter(&tenant("a"), 200 * UNIT).now_or_never().is_none());
        drop(first);
        assert!(gate.enter(&tenant("a"), 200 * UNIT).now_or_never().is_some());
    }
}
