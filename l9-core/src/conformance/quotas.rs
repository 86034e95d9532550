//! What every memory store must do under a quota.

use std::sync::Arc;

use super::chain::tenant;
use super::memory::{Store, text};
use crate::ErrorKind;
use crate::id::{AgentId, TenantId};
use crate::memory::{NewEntry, Quota, Used};

/// The quota that the store of these cases has.
pub const QUOTA: Quota =
    Quota { tenant_entries: Some(6), tenant_bytes: Some(30_000), agent_entries: Some(3), agent_bytes: Some(20_000) };

fn of(agent: &str, words: &str) -> NewEntry {
    NewEntry { agent: Some(AgentId::new(agent).expect("an agent")), ..text(words) }
}

async fn used(store: &Store, tenant: &TenantId, agent: Option<&str>) -> Used {
    let agent = agent.map(|agent| AgentId::new(agent).expect("an agent"));
    store.usage(Some(tenant), agent.as_ref()).await.expect("counted")
}

/// That nothing of a call is kept, and its refusal names what it must.
async fn refused(store: &Store, tenant: &TenantId, entries: Vec<NewEntry>, named: &[&str]) {
    let before = used(store, tenant, None).await;
    let error = store.remember(tenant, entries).await.expect_err("beyond the quota");
    assert_eq!(error.kind(), ErrorKind::Exhausted, "{error}");
    named.iter().for_each(|name| assert!(error.to_string().contains(name), "{name}: {error}"));
    assert_eq!(used(store, tenant, None).await, before);
}

/// Every case. The store has [`QUOTA`].
pub async fn all(store: Store) {
    a_quota_of_entries_is_held(&store).await;
    a_quota_of_bytes_is_held(&store).await;
    what_is_erased_gives_its_room_back(&store).await;
    writers_do_not_pass_a_quota_together(&store).await;
}

/// What holds besides of a store that supersedes, has snapshots and writes with a journal.
pub async fn over_time(store: &Store) {
    what_is_forgotten_gives_its_room_back_whatever_covers_it(store).await;
}

async fn a_quota_of_entries_is_held(store: &Store) {
    let tenant = tenant("quota");
    assert_eq!(used(store, &tenant, None).await, Used::default());
    let ids = store.remember(&tenant, vec![of("ada", "one"), of("ada", "two"), text("three")]).await.expect("kept");
    assert_eq!((used(store, &tenant, None).await.entries, used(store, &tenant, Some("ada")).await.entries), (3, 2));
    let two = vec![of("ada", "four"), of("ada", "five")];
    refused(store, &tenant, two, &["agent ada has 2 of at most 3 entries", "adds 2", "memory.quota.agent_entries"])
        .await;
    // What is kept already adds nothing, nor does another agent's fill this one's.
    store.remember(&tenant, vec![of("ada", "one"), of("ada", "four"), of("bob", "five")]).await.expect("kept");
    assert_eq!(used(store, &tenant, Some("ada")).await.entries, 3);
    let two = vec![text("six"), text("seven")];
    refused(store, &tenant, two, &["the tenant has 5 of at most 6 entries", "memory.quota.tenant_entries"]).await;
    store.remember(&tenant, vec![text("six")]).await.expect("kept");
    refused(store, &tenant, vec![text("seven")], &["6 of at most 6"]).await;
    store.remember(&tenant, vec![text("six")]).await.expect("known");
    assert!(store.forget(&tenant, ids[0].id).await.expect("forgotten"));
    store.remember(&tenant, vec![of("ada", "seven")]).await.expect("room again");
    refused(store, &tenant, vec![of("ada", "eight")], &["6 of at most 6"]).await;
    // Nor does another tenant's.
    store.remember(&super::chain::tenant("quota"), vec![of("ada", "eight")]).await.expect("kept");
    assert!(store.usage(None, None).await.expect("counted").entries >= 7);
}

async fn a_quota_of_bytes_is_held(store: &Store) {
    let tenant = tenant("quota");
    let long = |word: &str| format!("{word} ").repeat(12_000 / (word.len() + 1));
    store.remember(&tenant, vec![of("ada", &long("plum"))]).await.expect("kept");
    let now = used(store, &tenant, Some("ada")).await;
    assert!(now.entries == 1 && (12_000..20_000).contains(&now.bytes), "{now:?}");
    let named = ["agent ada has", "of at most 20000 bytes", "memory.quota.agent_bytes"];
    refused(store, &tenant, vec![of("ada", &long("pear"))], &named).await;
    let id = store.remember(&tenant, vec![text(&long("pear")), text("a bit")]).await.expect("kept")[0].id;
    let named = ["the tenant has", "of at most 30000 bytes", "memory.quota.tenant_bytes"];
    refused(store, &tenant, vec![text(&long("fig"))], &named).await;
    assert!(store.forget(&tenant, id).await.expect("forgotten"));
    store.remember(&tenant, vec![text(&long("fig"))]).await.expect("room again");
}

async fn what_is_erased_gives_its_room_back(store: &Store) {
    let tenant = tenant("quota");
    let about = |words: &str| NewEntry { subject: Some("ada".into()), ..text(words) };
    let source = |words: &str| NewEntry { source: Some("notes.md".into()), ..text(words) };
    let entries = vec![about("one"), about("two"), source("three"), source("four"), text("five")];
    store.remember(&tenant, entries).await.expect("kept");
    let subject = store.subject(&tenant, "ada");
    assert_eq!(store.erase(&tenant, &subject, &[], false).await.expect("erased").len(), 2);
    assert_eq!(used(store, &tenant, None).await.entries, 3);
    assert_eq!(store.forget_source(&tenant, "notes.md").await.expect("forgotten"), 2);
    assert_eq!(used(store, &tenant, None).await.entries, 1);
}

async fn writers_do_not_pass_a_quota_together(store: &Store) {
    let tenant = tenant("quota");
    let write = |at: usize| {
        let (store, tenant) = (Arc::clone(store), tenant.clone());
        tokio::spawn(async move { store.remember(&tenant, vec![text(&format!("writer {at}"))]).await })
    };
    let (mut kept, mut refused) = (0, 0);
    for writer in (0..20).map(write).collect::<Vec<_>>() {
        match writer.await.expect("it ends") {
            Ok(_) => kept += 1,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Exhausted, "{error}");
                refused += 1;
            }
        }
    }
    assert_eq!((kept, refused), (6, 14));
    assert_eq!(used(store, &tenant, None).await.entries, 6);
}

async fn what_is_forgotten_gives_its_room_back_whatever_covers_it(store: &Store) {
    let tenant = tenant("quota");
    let entries = vec![of("ada", "one"), of("ada", "two"), of("ada", "three")];
    let ids = store.remember(&tenant, entries).await.expect("kept");
    let full = used(store, &tenant, Some("ada")).await;
    let snapshot = store.snapshot(&tenant, None, "full", "tester").await.expect("marked");
    assert!(store.forget(&tenant, ids[0].id).await.expect("forgotten"));
    assert_eq!(used(store, &tenant, Some("ada")).await.entries, 2);
    // What is superseded can be asked for and counts.
    store.supersede(&tenant, ids[1].id, text("two, then four")).await.expect("room for one");
    let error = store.supersede(&tenant, ids[2].id, text("three, then five")).await.expect_err("no room");
    assert_eq!(error.kind(), ErrorKind::Exhausted, "{error}");
    assert_eq!(store.get(&tenant, ids[2].id).await.expect("read").expect("there").superseded_by, None);
    // Nor is there for what is written with a journal.
    let two = vec![of("ada", "six"), of("ada", "seven")];
    let error = store.prepare(&tenant, two).await.map(drop).expect_err("no room");
    assert_eq!(error.kind(), ErrorKind::Exhausted, "{error}");
    // Going back does what it says, and what it hides has no room any more.
    store.restore(&tenant, snapshot.id, "tester").await.expect("restored");
    assert_eq!(used(store, &tenant, Some("ada")).await, full);
    // It may go beyond a bound, where what adds nothing is taken and nothing else is.
    store.forget(&tenant, ids[0].id).await.expect("forgotten");
    let others = ["seven", "eight", "nine"].map(|words| of("bob", words)).to_vec();
    store.remember(&tenant, others).await.expect("room for three");
    let own = Some(AgentId::new("ada").expect("an agent"));
    let snapshot = store.snapshot(&tenant, own, "less", "tester").await.expect("marked");
    store.forget(&tenant, ids[1].id).await.expect("forgotten");
    store.remember(&tenant, vec![text("ten"), text("eleven")]).await.expect("room for two");
    store.restore(&tenant, snapshot.id, "tester").await.expect("restored");
    assert_eq!(used(store, &tenant, None).await.entries, 7);
    let known = store.remember(&tenant, vec![of("bob", "nine")]).await.expect("known");
    assert!(known[0].duplicate);
    refused(store, &tenant, vec![text("twelve")], &["7 of at most 6 entries"]).await;
}
