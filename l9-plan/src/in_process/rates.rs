//! What claims take up of their rates, of each tenant until it is over.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use l9_core::id::TenantId;

use crate::rate::Rate;

/// Until when the time of tenants is taken up. Who is absent may claim as after a quiet period.
#[derive(Debug, Default)]
pub(super) struct Rates {
    taken: HashMap<TenantId, Duration>,
    ends: BTreeSet<(Duration, TenantId)>,
}

impl Rates {
    /// The time from which on a tenant may claim one more.
    pub(super) fn free(&self, tenant: &TenantId, rate: Rate) -> Duration {
        rate.free(self.taken(tenant))
    }

    /// A tenant claims one.
    pub(super) fn take(&mut self, tenant: &TenantId, rate: Rate, now: Duration) {
        let before = self.taken(tenant);
        let until = rate.take(before, now);
        self.ends.remove(&(before, tenant.clone()));
        self.ends.insert((until, tenant.clone()));
        self.taken.insert(tenant.clone(), until);
    }

    /// Forgets what is over.
    pub(super) fn forget(&mut self, now: Duration) {
        while let Some((_, tenant)) = self.ends.first().filter(|(until, _)| *until <= now) {
            self.taken.remove(tenant);
            self.ends.pop_first();
        }
    }

    fn taken(&self, tenant: &TenantId) -> Duration {
        self.taken.get(tenant).copied().unwrap_or_default()
    }
}
