//! What this process knows of the emergency stop: while one stands, no effect starts.

use std::collections::BTreeSet;

use tokio::sync::watch;

use crate::id::TenantId;
use crate::stop::Scope;

/// Who is stopped.
#[derive(Debug, Default)]
pub struct Stops {
    known: watch::Sender<Known>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Known {
    /// What somebody said to this process.
    said: BTreeSet<Scope>,
    /// What stands in the store.
    stored: BTreeSet<Scope>,
}

impl Known {
    fn holds(&self, tenant: &TenantId) -> bool {
        self.said.iter().chain(&self.stored).any(|scope| scope.holds(tenant))
    }
}

impl Stops {
    /// Stops one tenant, or all, in this process, whatever the store says.
    pub fn stop(&self, scope: Scope) {
        self.known.send_if_modified(|known| known.said.insert(scope));
    }

    /// Takes back what [`Stops::stop`] said.
    pub fn unstop(&self, scope: &Scope) {
        self.known.send_if_modified(|known| known.said.remove(scope));
    }

    /// Learns what stands in the store.
    pub(crate) fn learn(&self, stored: BTreeSet<Scope>) {
        self.known.send_if_modified(|known| {
            let news = known.stored != stored;
            known.stored = stored;
            news
        });
    }

    /// Whether a tenant is stopped.
    #[must_use]
    pub fn is_stopped(&self, tenant: &TenantId) -> bool {
        self.known.borrow().holds(tenant)
    }

    /// Whether a stop that stands in the store holds a tenant: new runs are refused.
    pub(crate) fn is_ordered(&self, tenant: &TenantId) -> bool {
        self.known.borrow().stored.iter().any(|scope| scope.holds(tenant))
    }

    /// Ends once a tenant is stopped.
    pub async fn stopped(&self, tenant: &TenantId) {
        let mut known = self.known.subscribe();
        if known.wait_for(|known| known.holds(tenant)).await.is_err() {
            std::future::pending().await
        }
    }
}
