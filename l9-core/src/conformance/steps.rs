//! What many cases do with a store.

use std::time::Duration;

use super::chain::{Chain, tenant};
use crate::ErrorKind;
use crate::id::{RunId, TenantId};
use crate::journal::{Head, Lease, RunStore};
use crate::time::{Clock, SystemClock};

pub(super) const LONG: Duration = Duration::from_secs(60);
pub(super) const SHORT: Duration = Duration::from_millis(80);
pub(super) const ONE: &str = "conformance-one";
pub(super) const TWO: &str = "conformance-two";

pub(super) async fn created(store: &dyn RunStore, case: &str, priority: i32) -> Chain {
    created_in(store, &tenant(case), priority).await
}

pub(super) async fn created_in(store: &dyn RunStore, tenant: &TenantId, priority: i32) -> Chain {
    let mut chain = Chain::new(tenant);
    let mut new = chain.created();
    new.priority = priority;
    store.create(new).await.expect("created");
    chain
}

pub(super) async fn started(store: &dyn RunStore, case: &str) -> (Chain, Lease) {
    started_in(store, &tenant(case)).await
}

pub(super) async fn started_in(store: &dyn RunStore, tenant: &TenantId) -> (Chain, Lease) {
    let chain = created_in(store, tenant, 0).await;
    let lease = acquired(store, &chain, ONE, LONG).await;
    (chain, lease)
}

pub(super) async fn acquired(store: &dyn RunStore, chain: &Chain, owner: &str, ttl: Duration) -> Lease {
    let lease = store.acquire(&chain.tenant, chain.run, owner, ttl).await.expect("asked").expect("nobody holds it");
    assert_ne!(lease.head, Head::START);
    lease
}

/// The tenant's due runs, in the order the store gives.
pub(super) async fn due(store: &dyn RunStore, tenant: &TenantId) -> Vec<RunId> {
    let tasks = store.due(usize::MAX, Duration::ZERO).await.expect("due");
    tasks.iter().filter(|task| task.tenant == *tenant).map(|task| task.run).collect()
}

pub(super) async fn sleep(duration: Duration) {
    SystemClock::default().sleep(duration).await;
}

pub(super) fn kind<T: std::fmt::Debug>(outcome: crate::Result<T>) -> ErrorKind {
    outcome.expect_err("this is refused").kind()
}
