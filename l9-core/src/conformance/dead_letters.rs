//! What every store of runs must do about runs that were given up.

use std::time::Duration;

use super::chain::{Chain, command, tenant};
use super::steps::{LONG, ONE, TWO, acquired, created_in, due, kind, started_in};
use crate::ErrorKind;
use crate::id::TenantId;
use crate::journal::{DeadLetter, RunStore};
use crate::queue::Task;
use crate::time::Timestamp;

/// Every case.
pub async fn all(store: &dyn RunStore) {
    what_is_given_up_is_not_due_until_it_is_redriven(store).await;
    a_command_and_whoever_tries_again_end_a_death(store).await;
    what_is_held_or_has_news_is_not_given_up(store).await;
}

fn letter(chain: &Chain, millis: i64) -> DeadLetter {
    let at = Timestamp::from_millis(1_700_000_000_000 + millis);
    DeadLetter { tenant: chain.tenant.clone(), run: chain.run, at, sealed: format!("why {millis}").into_bytes() }
}

async fn dead(store: &dyn RunStore, tenant: &TenantId) -> Vec<DeadLetter> {
    let dead = store.dead(Some(tenant), usize::MAX).await.expect("read");
    assert_eq!(store.dead_count(Some(tenant)).await.expect("counted"), dead.len() as u64);
    dead
}

/// A dead run rests, with its reason, whatever becomes of any queue.
pub async fn what_is_given_up_is_not_due_until_it_is_redriven(store: &dyn RunStore) {
    let (tenant, other) = (tenant("dead"), tenant("dead-beside"));
    let (one, two) = (created_in(store, &tenant, 7).await, created_in(store, &tenant, 0).await);
    let beside = created_in(store, &other, 0).await;
    for letter in [letter(&two, 1), letter(&one, 2), letter(&beside, 3)] {
        assert!(store.bury(letter).await.expect("buried"));
    }
    assert!(due(store, &tenant).await.is_empty());
    assert_eq!(dead(store, &tenant).await, [letter(&two, 1), letter(&one, 2)]);
    assert_eq!(store.dead(Some(&tenant), 1).await.expect("read"), [letter(&two, 1)]);
    let all = store.dead(None, usize::MAX).await.expect("read");
    assert!(all.contains(&letter(&one, 2)) && all.contains(&letter(&beside, 3)));
    assert!(store.dead_count(None).await.expect("counted") >= 3);
    assert_eq!(store.redrive(&other, one.run).await.expect("asked"), None, "it is another tenant's");
    let task = Task { tenant: tenant.clone(), run: one.run, priority: 7 };
    assert_eq!(store.redrive(&tenant, one.run).await.expect("redriven"), Some(task));
    assert_eq!(store.redrive(&tenant, one.run).await.expect("asked"), None);
    assert_eq!(due(store, &tenant).await, [one.run]);
    assert_eq!(dead(store, &tenant).await, [letter(&two, 1)]);
    let unknown = Chain::new(&tenant);
    assert_eq!(kind(store.bury(letter(&unknown, 4)).await), ErrorKind::NotFound);
    assert_eq!(store.redrive(&tenant, unknown.run).await.expect("asked"), None);
}

/// It may be cancelled, and is dead no more once somebody has it.
pub async fn a_command_and_whoever_tries_again_end_a_death(store: &dyn RunStore) {
    let tenant = tenant("dead-woken");
    let chain = created_in(store, &tenant, 0).await;
    assert!(store.bury(letter(&chain, 1)).await.expect("buried"));
    store.post(&tenant, chain.run, command("x")).await.expect("posted");
    assert_eq!(due(store, &tenant).await, [chain.run]);
    let lease = acquired(store, &chain, ONE, LONG).await;
    assert!(dead(store, &tenant).await.is_empty());
    store.release(&lease, None).await.expect("released");
    assert!(!store.bury(letter(&chain, 2)).await.expect("asked"), "a command waits");
    assert_eq!(due(store, &tenant).await, [chain.run]);
}

/// What somebody works on, and what has ended, has no need of it.
pub async fn what_is_held_or_has_news_is_not_given_up(store: &dyn RunStore) {
    let tenant = tenant("dead-held");
    let (mut chain, lease) = started_in(store, &tenant).await;
    assert!(!store.bury(letter(&chain, 1)).await.expect("asked"));
    store.release(&lease, Some(Duration::ZERO)).await.expect("released");
    let lease = acquired(store, &chain, TWO, LONG).await;
    let mut last = chain.append(&lease, 1, 10);
    last.status = crate::journal::Status::Succeeded;
    store.append(last).await.expect("appended");
    assert!(!store.bury(letter(&chain, 2)).await.expect("asked"));
    assert!(dead(store, &tenant).await.is_empty());
}
