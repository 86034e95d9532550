//! What every memory store must do with near duplicates.

use uuid::Uuid;

use super::chain::tenant;
use super::memory::{Store, count, text};
use crate::id::{AgentId, TenantId};
use crate::label::Label;
use crate::memory::{Hit, Layer, Listing, NewEntry, NewQuarantine, Order, Query, Relation, Scope, Suspect};
use crate::time::Timestamp;

const ONE: &str = "The harbour office opens at eight on Monday.";
const OTHER: &str = "the harbor office opens at 8 on Monday";

async fn found(store: &Store, tenant: &TenantId, query: Query) -> Vec<Hit> {
    store.search(&Scope::tenant(tenant.clone()), &query).await.expect("found")
}

async fn kept(store: &Store, tenant: &TenantId, entries: Vec<NewEntry>) -> Vec<Uuid> {
    store.remember(tenant, entries).await.expect("kept").iter().map(|one| one.id).collect()
}

/// One of a group is a hit and names the others; all of them stay.
pub(super) async fn near_duplicates_are_told_and_kept(store: &Store) {
    let tenant = tenant("near");
    let different =
        ["The harbour office opens at nine on Monday.", "The harbour office never opens at eight on Monday."];
    let mut said = vec![text(ONE), text(OTHER), text("The harbour office opens at eight on Monday!")];
    said.extend(different.map(text));
    let ids = kept(store, &tenant, said).await;
    let hits = found(store, &tenant, Query::new("when does the harbour office open", 10)).await;
    let group = hits.iter().find(|hit| ids[..3].contains(&hit.entry.id)).expect("one of them");
    let mut told = group.duplicates.clone();
    told.push(group.entry.id);
    told.sort_unstable();
    let mut same = ids[..3].to_vec();
    same.sort_unstable();
    assert_eq!(told, same, "{hits:?}");
    let others: Vec<&Hit> = hits.iter().filter(|hit| hit.entry.id != group.entry.id).collect();
    assert_eq!(others.len(), 2, "{hits:?}");
    assert!(others.iter().all(|hit| ids[3..].contains(&hit.entry.id) && hit.duplicates.is_empty()), "{hits:?}");
    // No place of an answer is spent on them.
    let few = found(store, &tenant, Query::new("when does the harbour office open", 3)).await;
    assert_eq!(few, hits);
    let all = Query { duplicates: true, ..Query::new("when does the harbour office open", 10) };
    let all = found(store, &tenant, all).await;
    assert!(all.len() == 5 && all.iter().all(|hit| hit.duplicates.is_empty()), "{all:?}");
    let listed = store.list(&Scope::tenant(tenant.clone()), &Listing::new(Order::Oldest, 10)).await.expect("listed");
    assert_eq!((listed.items.len(), count(store, &tenant).await), (5, 5));
    for id in ids {
        assert!(store.get(&tenant, id).await.expect("read").is_some());
    }
}

/// The same words elsewhere are no duplicates.
pub(super) async fn the_same_words_of_another_place_are_no_duplicates(store: &Store) {
    let base = || text(ONE);
    let time = Timestamp::from_millis(1_700_000_000_000);
    let stated = Relation { subject: "office".into(), predicate: "opens".into(), object: "8".into() };
    let elsewhere = [
        NewEntry { agent: Some(AgentId::new("other").expect("an agent")), ..base() },
        NewEntry { layer: Layer::ShortTerm, session: Some("s".into()), ..base() },
        NewEntry { subject: Some("ada".into()), session: Some("s".into()), ..base() },
        NewEntry { label: Label::untrusted("web"), session: Some("s".into()), ..base() },
        NewEntry { valid_from: Some(time), session: Some("s".into()), ..base() },
        NewEntry { relation: Some(stated), ..base() },
    ];
    for other in elsewhere {
        let tenant = tenant("elsewhere");
        kept(store, &tenant, vec![text(OTHER), other.clone()]).await;
        let hits = found(store, &tenant, Query::new("harbour office", 10)).await;
        assert!(hits.len() == 2 && hits.iter().all(|hit| hit.duplicates.is_empty()), "{other:?}: {hits:?}");
    }
    // Of another conversation they are, unless their words point to something there.
    for (words, linked) in [("The office opens at eight.", true), ("They said that it opens at eight.", false)] {
        let tenant = tenant("pointing");
        let said = |session: &str| NewEntry { session: Some(session.into()), ..text(words) };
        kept(store, &tenant, vec![said("one"), said("two")]).await;
        let hits = found(store, &tenant, Query::new("opens at eight", 10)).await;
        assert_eq!(hits.len(), if linked { 1 } else { 2 }, "{hits:?}");
    }
}

/// What is not current is in no group.
pub(super) async fn hidden_entries_are_no_duplicates(store: &Store) {
    let tenant = tenant("near");
    let ids = kept(store, &tenant, vec![text(ONE), text(OTHER)]).await;
    let hits = async || found(store, &tenant, Query::new("harbour office", 10)).await;
    let told = |hits: &[Hit]| hits.iter().map(|hit| hit.duplicates.len()).collect::<Vec<_>>();
    assert_eq!(told(&hits().await), [1]);
    let suspect = NewQuarantine { suspect: Suspect::Entry(ids[0]), reason: "a test".into(), by: "tester".into() };
    let quarantine = store.quarantine(&tenant, suspect).await.expect("quarantined").quarantine.id;
    assert_eq!(told(&hits().await), [0]);
    store.release(&tenant, quarantine, "tester").await.expect("released");
    assert_eq!(told(&hits().await), [1]);
    store.supersede(&tenant, ids[1], text("The harbour office is closed for good.")).await.expect("superseded");
    assert_eq!(told(&hits().await), [0, 0]);
    store.reinstate(&tenant, ids[1]).await.expect("reinstated");
    assert!(store.forget(&tenant, ids[1]).await.expect("forgotten"));
    assert_eq!(told(&hits().await), [0, 0]);
}
