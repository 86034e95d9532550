//! The kill switch: while it is on, no effect starts.

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock};

use crate::id::TenantId;

/// Which tenants are stopped.
#[derive(Debug, Default)]
pub struct Stops {
    stopped: RwLock<(bool, BTreeSet<TenantId>)>,
}

impl Stops {
    /// Stops one tenant, or all.
    pub fn stop(&self, tenant: Option<&TenantId>) {
        let mut stopped = self.stopped.write().unwrap_or_else(PoisonError::into_inner);
        match tenant {
            Some(tenant) => drop(stopped.1.insert(tenant.clone())),
            None => stopped.0 = true,
        }
    }

    /// Lets one tenant, or all, go on.
    pub fn unstop(&self, tenant: Option<&TenantId>) {
        let mut stopped = self.stopped.write().unwrap_or_else(PoisonError::into_inner);
        match tenant {
            Some(tenant) => drop(stopped.1.remove(tenant)),
            None => stopped.0 = false,
        }
    }

    /// Whether a tenant is stopped.
    #[must_use]
    pub fn is_stopped(&self, tenant: &TenantId) -> bool {
        let stopped = self.stopped.read().unwrap_or_else(PoisonError::into_inner);
        stopped.0 || stopped.1.contains(tenant)
    }
}
