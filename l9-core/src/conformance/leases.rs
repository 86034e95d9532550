//! What every store of runs must do about leases, commands, what is due, and stops.

use std::time::Duration;

use futures_util::future::join_all;

use super::chain::{Chain, command, tenant};
use super::steps::{LONG, ONE, SHORT, TWO, acquired, created, created_in, due, kind, sleep, started};
use crate::ErrorKind;
use crate::id::RunId;
use crate::journal::RunStore;
use crate::stop::{Scope, StoredStop};
use crate::time::Timestamp;

/// Every case.
pub async fn all(store: &dyn RunStore) {
    a_lease_is_held_until_it_is_given_up(store).await;
    a_lease_whose_owner_lost_track_of_it_is_granted_anew(store).await;
    an_ended_lease_is_taken_over_under_a_new_epoch(store).await;
    renewing_keeps_what_is_held(store).await;
    commands_come_once_in_order_and_are_consumed_with_the_append(store).await;
    a_command_wakes_a_parked_run(store).await;
    a_command_during_a_lease_is_not_slept_over(store).await;
    due_runs_come_oldest_first_then_by_priority(store).await;
    what_is_handed_out_is_not_handed_out_again_for_a_while(store).await;
    a_stop_holds_its_tenant(store).await;
}

/// One holder at a time.
pub async fn a_lease_is_held_until_it_is_given_up(store: &dyn RunStore) {
    let chain = created(store, "held", 0).await;
    let lease = acquired(store, &chain, ONE, LONG).await;
    assert_eq!((lease.epoch, lease.head, lease.expired.is_some()), (1, chain.head, false));
    assert_eq!(store.acquire(&chain.tenant, chain.run, TWO, LONG).await.expect("asked"), None);
    assert!(due(store, &chain.tenant).await.is_empty());
    store.release(&lease, None).await.expect("released");
    assert!(due(store, &chain.tenant).await.is_empty(), "nothing wakes it");
    let second = acquired(store, &chain, TWO, LONG).await;
    assert_eq!((second.epoch, second.expired.is_some()), (2, false));
    store.release(&lease, Some(Duration::ZERO)).await.expect("a stale release changes nothing");
    assert_eq!(store.acquire(&chain.tenant, chain.run, ONE, LONG).await.expect("asked"), None);
    store.release(&second, Some(Duration::ZERO)).await.expect("released");
    assert_eq!(due(store, &chain.tenant).await, [chain.run], "it is due at once");
    let owners: Vec<String> = (0..6).map(|n| format!("conformance-{n}")).collect();
    let taken = join_all(owners.iter().map(|owner| store.acquire(&chain.tenant, chain.run, owner, LONG))).await;
    assert_eq!(taken.into_iter().filter(|taken| matches!(taken, Ok(Some(_)))).count(), 1);
    let unknown = Chain::new(&chain.tenant);
    assert_eq!(kind(store.acquire(&unknown.tenant, unknown.run, ONE, LONG).await), ErrorKind::NotFound);
}

/// An owner that did not hear that it holds a lease asks again, and must not wait for
/// itself for ever.
pub async fn a_lease_whose_owner_lost_track_of_it_is_granted_anew(store: &dyn RunStore) {
    let mut chain = created(store, "again", 0).await;
    let unheard = acquired(store, &chain, ONE, LONG).await;
    let lease = acquired(store, &chain, ONE, LONG).await;
    assert_eq!((lease.epoch, lease.expired.is_some()), (unheard.epoch + 1, true));
    assert_eq!(kind(store.append(chain.clone().append(&unheard, 1, 10)).await), ErrorKind::Fenced);
    store.append(chain.append(&lease, 1, 10)).await.expect("appended");
}

/// Taking over increments the epoch and says that the former owner may live.
pub async fn an_ended_lease_is_taken_over_under_a_new_epoch(store: &dyn RunStore) {
    let mut chain = created(store, "takeover", 0).await;
    let first = acquired(store, &chain, ONE, SHORT).await;
    store.append(chain.append(&first, 1, 10)).await.expect("appended");
    sleep(SHORT * 2).await;
    assert_eq!(due(store, &chain.tenant).await, [chain.run]);
    let second = acquired(store, &chain, TWO, LONG).await;
    assert_eq!((second.epoch, second.head, second.expired.is_some()), (first.epoch + 1, chain.head, true));
    assert_eq!(kind(store.append(chain.clone().append(&first, 1, 10)).await), ErrorKind::Fenced);
    store.append(chain.append(&second, 1, 10)).await.expect("appended");
}

/// Renewing extends the holder's leases, and only those that have not ended.
pub async fn renewing_keeps_what_is_held(store: &dyn RunStore) {
    let (chain, ended) = (created(store, "renew", 0).await, created(store, "renew", 0).await);
    acquired(store, &ended, "conformance-renew", Duration::from_millis(1)).await;
    let held = acquired(store, &chain, "conformance-renew", SHORT * 5).await;
    sleep(SHORT).await;
    assert_eq!(store.renew("conformance-renew", LONG).await.expect("renewed"), [held]);
    assert_eq!(store.renew("conformance-nobody", LONG).await.expect("renewed"), []);
    sleep(SHORT * 5).await;
    assert_eq!(store.acquire(&chain.tenant, chain.run, TWO, LONG).await.expect("asked"), None);
    assert!(store.acquire(&ended.tenant, ended.run, TWO, LONG).await.expect("asked").is_some());
}

/// Each command once, in the order they came.
pub async fn commands_come_once_in_order_and_are_consumed_with_the_append(store: &dyn RunStore) {
    let (mut chain, lease) = started(store, "inbox").await;
    let (tenant, run) = (chain.tenant.clone(), chain.run);
    for id in ["b", "a", "c"] {
        assert!(store.post(&tenant, run, command(id)).await.expect("posted"));
    }
    let mut again = command("a");
    again.sealed = b"another content".to_vec();
    assert!(!store.post(&tenant, run, again).await.expect("posted"));
    let ids = |pending: Vec<crate::journal::StoredCommand>| -> Vec<String> {
        pending.iter().map(|command| command.id.to_string()).collect()
    };
    let pending = store.pending(&tenant, run).await.expect("pending");
    assert_eq!(pending[1], command("a"));
    assert_eq!(ids(pending), ["b", "a", "c"]);
    let mut append = chain.append(&lease, 1, 10);
    append.consumed = vec![command("a").id, command("b").id];
    // A refused append consumes nothing.
    let mut refused = append.clone();
    refused.epoch += 1;
    refused.records.iter_mut().for_each(|record| record.epoch += 1);
    assert_eq!(kind(store.append(refused).await), ErrorKind::Fenced);
    assert!(store.append(append).await.expect("appended").commands, "c still waits");
    assert_eq!(ids(store.pending(&tenant, run).await.expect("pending")), ["c"]);
    assert!(!store.post(&tenant, run, command("b")).await.expect("posted"), "it was carried out already");
    let mut append = chain.append(&lease, 1, 10);
    append.consumed = vec![command("c").id];
    assert!(!store.append(append).await.expect("appended").commands);
    assert!(store.pending(&tenant, run).await.expect("pending").is_empty());
    let unknown = Chain::new(&tenant);
    assert_eq!(kind(store.post(&tenant, unknown.run, command("a")).await), ErrorKind::NotFound);
}

/// A parked run is due when a command comes.
pub async fn a_command_wakes_a_parked_run(store: &dyn RunStore) {
    let (chain, lease) = started(store, "wake").await;
    store.release(&lease, Some(LONG)).await.expect("released");
    assert!(due(store, &chain.tenant).await.is_empty());
    store.post(&chain.tenant, chain.run, command("x")).await.expect("posted");
    assert_eq!(due(store, &chain.tenant).await, [chain.run]);
}

/// A command that came after the owner last looked.
pub async fn a_command_during_a_lease_is_not_slept_over(store: &dyn RunStore) {
    let (mut chain, lease) = started(store, "during").await;
    store.post(&chain.tenant, chain.run, command("x")).await.expect("posted");
    assert!(store.append(chain.append(&lease, 1, 10)).await.expect("appended").commands);
    store.release(&lease, None).await.expect("released");
    assert_eq!(due(store, &chain.tenant).await, [chain.run]);
}

/// Who waits longest goes first.
pub async fn due_runs_come_oldest_first_then_by_priority(store: &dyn RunStore) {
    let tenant = tenant("due");
    let mut runs = Vec::new();
    for priority in [0, 9, 0, 5, 0] {
        let chain = created_in(store, &tenant, priority).await;
        let lease = acquired(store, &chain, ONE, LONG).await;
        runs.push((chain.run, lease));
    }
    store.release(&runs[4].1, Some(SHORT * 3)).await.expect("released");
    for at in [2, 1, 3, 0] {
        store.release(&runs[at].1, Some(Duration::ZERO)).await.expect("released");
        // Far enough apart that the clock's grain does not matter.
        sleep(Duration::from_millis(3)).await;
    }
    let runs: Vec<RunId> = runs.into_iter().map(|(run, _)| run).collect();
    let now = due(store, &tenant).await;
    assert_eq!(now[..4], [runs[2], runs[1], runs[3], runs[0]]);
    sleep(SHORT * 4).await;
    assert_eq!(due(store, &tenant).await, [runs[2], runs[1], runs[3], runs[0], runs[4]]);
    let tasks = store.due(usize::MAX, Duration::ZERO).await.expect("due");
    assert!(tasks.iter().any(|task| task.run == runs[1] && task.priority == 9));
    assert_eq!(store.due(1, Duration::ZERO).await.expect("due").len(), 1);
}

/// Several nodes ask; each due run goes to one of them.
pub async fn what_is_handed_out_is_not_handed_out_again_for_a_while(store: &dyn RunStore) {
    let tenant = tenant("offer");
    let (chain, taken) = (created_in(store, &tenant, 0).await, created_in(store, &tenant, 0).await);
    let mine = async |hold| -> Vec<RunId> {
        let tasks = store.due(usize::MAX, hold).await.expect("due");
        tasks.iter().filter(|task| task.tenant == tenant).map(|task| task.run).collect()
    };
    assert_eq!(mine(SHORT * 4).await.len(), 2);
    assert!(mine(SHORT).await.is_empty(), "they were handed out");
    // Whoever has it may take it, and what comes then makes it due at once.
    let lease = acquired(store, &taken, ONE, LONG).await;
    store.release(&lease, Some(Duration::ZERO)).await.expect("released");
    assert_eq!(mine(SHORT * 4).await, [taken.run]);
    store.post(&tenant, chain.run, command("x")).await.expect("posted");
    assert_eq!(mine(SHORT).await, [chain.run]);
    sleep(SHORT * 5).await;
    assert_eq!(mine(Duration::ZERO).await.len(), 2, "whoever was handed them did nothing");
}

/// While a stop stands, nobody gets a lease of its tenant, and other tenants do not notice.
pub async fn a_stop_holds_its_tenant(store: &dyn RunStore) {
    let (tenant, other) = (tenant("stopped"), tenant("not-stopped"));
    let scope = Scope::Tenant(tenant.clone());
    let (held, parked) = (created_in(store, &tenant, 0).await, created_in(store, &tenant, 0).await);
    let beside = created_in(store, &other, 0).await;
    let lease = acquired(store, &held, ONE, LONG).await;
    let order = |sealed: &[u8]| StoredStop {
        scope: scope.clone(),
        at: Timestamp::from_millis(1_700_000_000_000),
        sealed: sealed.to_vec(),
    };
    assert_eq!(store.held(&scope).await.expect("counted"), 1);
    assert_eq!(store.stop(order(b"first")).await.expect("stopped"), order(b"first"));
    assert_eq!(store.stop(order(b"second")).await.expect("stopped"), order(b"first"), "the first stands");
    assert!(store.stops().await.expect("read").contains(&order(b"first")));
    assert_eq!(store.held(&scope).await.expect("counted"), 1, "who has a lease is waited for");
    assert_eq!(store.renew(ONE, LONG).await.expect("renewed").iter().filter(|own| own.run == held.run).count(), 1);
    store.release(&lease, Some(Duration::ZERO)).await.expect("released");
    assert_eq!(store.held(&scope).await.expect("counted"), 0);
    let due = async || -> Vec<RunId> {
        let tasks = store.due(usize::MAX, Duration::ZERO).await.expect("due");
        tasks.iter().filter(|task| task.tenant == tenant || task.tenant == other).map(|task| task.run).collect()
    };
    for chain in [&held, &parked] {
        assert_eq!(store.acquire(&tenant, chain.run, TWO, LONG).await.expect("asked"), None);
    }
    assert_eq!(due().await, [beside.run], "what is stopped is not due");
    acquired(store, &beside, TWO, LONG).await;
    assert_eq!(store.unstop(&scope).await.expect("lifted"), Some(order(b"first")));
    assert_eq!(store.unstop(&scope).await.expect("lifted"), None);
    assert_eq!(due().await.len(), 2, "they go on");
    acquired(store, &held, TWO, LONG).await;
}
