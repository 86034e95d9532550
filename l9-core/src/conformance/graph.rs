//! What the graph of every memory store must do.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::chain::tenant;
use crate::ErrorKind;
use crate::id::{AgentId, TenantId};
use crate::memory::{Edge, MemoryStore, NewEntry, NewQuarantine, Relation, Scope, Suspect, Walk, When};
use crate::time::{Clock, SystemClock, Timestamp};

type Store = Arc<dyn MemoryStore>;

/// Every case. The store's clock must be the machine's.
pub(super) async fn all(store: &Store) {
    relations_are_walked_by_distance(store).await;
    paths_are_shortest(store).await;
    names_are_merged_and_split(store).await;
    the_graph_is_as_of_any_time(store).await;
    nothing_of_another_scope_is_seen(store).await;
    a_poisoned_source_takes_its_relations_along(store).await;
    bad_relations_and_walks_are_named(store).await;
}

/// Nearest first, both ways, by predicate.
async fn relations_are_walked_by_distance(store: &Store) {
    let tenant = tenant("graph");
    let all = [
        ("Ada", "works at", "Acme"),
        ("Acme", "is in", "Lisbon"),
        ("Mel", "lives in", "LISBON "),
        ("Tom", "knows", "Eve"),
    ];
    keep(store, &tenant, &all).await;
    let scope = Scope::tenant(tenant);
    let at = |hops| walk("ada", hops);
    assert_eq!(told(&store.walk(&scope, &at(1)).await.expect("walked")), ["1 Ada works at Acme"]);
    let far = told(&store.walk(&scope, &at(3)).await.expect("walked"));
    assert_eq!(far, ["1 Ada works at Acme", "2 Acme is in Lisbon", "3 Mel lives in LISBON "]);
    let only = Walk { predicate: Some("Lives  In".into()), ..walk("lisbon", 1) };
    assert_eq!(told(&store.walk(&scope, &only).await.expect("walked")), ["1 Mel lives in LISBON "]);
    let few = Walk { limit: 2, ..at(3) };
    assert_eq!(store.walk(&scope, &few).await.expect("walked").len(), 2);
    assert!(store.walk(&scope, &walk("nobody", 2)).await.expect("walked").is_empty());
    let things = store.entities(&scope, "", When::default(), 99).await.expect("listed");
    let names: Vec<(&str, usize)> = things.iter().map(|thing| (thing.name.as_str(), thing.relations)).collect();
    assert_eq!(names, [("Acme", 2), ("Ada", 1), ("Eve", 1), ("Lisbon", 2), ("Mel", 1), ("Tom", 1)]);
    assert_eq!(store.entities(&scope, "a", When::default(), 1).await.expect("listed").len(), 1);
}

/// The fewest relations, in their order.
async fn paths_are_shortest(store: &Store) {
    let tenant = tenant("graph-path");
    let all =
        [("a", "to", "b"), ("b", "to", "c"), ("c", "to", "d"), ("a", "to", "x"), ("d", "to", "x"), ("y", "to", "z")];
    keep(store, &tenant, &all).await;
    let scope = Scope::tenant(tenant);
    let path = async |from: &str, to: &str, hops: u8| {
        store.path(&scope, from, to, When::default(), hops).await.expect("looked").map(|path| told(&path))
    };
    assert_eq!(path("a", "d", 6).await.expect("a path"), ["1 a to x", "2 d to x"]);
    assert_eq!(path("a", "c", 6).await.expect("a path"), ["1 a to b", "2 b to c"]);
    assert_eq!(path("a", "d", 1).await, None);
    assert_eq!(path("a", "z", 6).await, None);
    assert_eq!(path("a", "nobody", 6).await, None);
    assert_eq!(path("a", "A", 6).await, Some(Vec::new()));
}

/// `same as` makes two names one thing; forgetting it makes them two again.
async fn names_are_merged_and_split(store: &Store) {
    let tenant = tenant("graph-same");
    let all = [
        ("Ada Byron", "wrote", "notes"),
        ("Countess of Lovelace", "knew", "Babbage"),
        ("Ada Byron", "Same as", "Countess of Lovelace"),
    ];
    let kept = keep(store, &tenant, &all).await;
    let scope = Scope::tenant(tenant.clone());
    let ada = walk("Ada Byron", 1);
    assert_eq!(store.walk(&scope, &ada).await.expect("walked").len(), 3);
    let things = store.entities(&scope, "ada", When::default(), 9).await.expect("listed");
    assert_eq!((things.len(), things[0].also.as_slice()), (1, &["Countess of Lovelace".to_owned()][..]));
    let path = store.path(&scope, "notes", "babbage", When::default(), 2).await.expect("looked");
    assert_eq!(
        path.map(|path| told(&path)).expect("a path"),
        ["1 Ada Byron wrote notes", "2 Countess of Lovelace knew Babbage"]
    );
    assert!(store.forget(&tenant, kept[2]).await.expect("forgotten"));
    assert_eq!(told(&store.walk(&scope, &ada).await.expect("walked")), ["1 Ada Byron wrote notes"]);
    assert!(store.path(&scope, "notes", "babbage", When::default(), 6).await.expect("looked").is_none());
}

/// What was known, and what was true.
async fn the_graph_is_as_of_any_time(store: &Store) {
    let tenant = tenant("graph-time");
    let clock = SystemClock::default();
    let stated = |object: &str, from: i64, to: Option<i64>| NewEntry {
        valid_from: Some(Timestamp::from_millis(from)),
        valid_to: to.map(Timestamp::from_millis),
        ..stating("Ada", "lives in", object)
    };
    let kept =
        store.remember(&tenant, vec![stated("Oslo", 100, Some(200)), stated("Riga", 200, None)]).await.expect("kept");
    clock.sleep(Duration::from_millis(15)).await;
    let before = clock.now();
    clock.sleep(Duration::from_millis(15)).await;
    let moved = stating("Ada", "lives in", "Quito");
    let moved = NewEntry { valid_from: Some(Timestamp::from_millis(300)), ..moved };
    store.supersede(&tenant, kept[1].id, moved).await.expect("superseded");
    let scope = Scope::tenant(tenant);
    for (as_of, valid_at, wanted) in [
        (None, None, vec!["1 Ada lives in Oslo", "1 Ada lives in Quito"]),
        (None, Some(150), vec!["1 Ada lives in Oslo"]),
        (None, Some(250), vec!["1 Ada lives in Riga"]),
        (None, Some(350), vec!["1 Ada lives in Quito"]),
        (Some(before), Some(350), vec!["1 Ada lives in Riga"]),
        (Some(before), None, vec!["1 Ada lives in Oslo", "1 Ada lives in Riga"]),
        (Some(Timestamp::EPOCH), None, vec![]),
    ] {
        let when = When { as_of, valid_at: valid_at.map(Timestamp::from_millis) };
        let found = store.walk(&scope, &Walk { when, ..walk("Ada", 1) }).await.expect("walked");
        assert_eq!(told(&found), wanted, "as of {as_of:?}, valid at {valid_at:?}");
    }
}

/// Tenants and agents.
async fn nothing_of_another_scope_is_seen(store: &Store) {
    let (mine, other) = (tenant("graph-scope"), tenant("graph-scope"));
    let agent = |name: &str| Some(AgentId::new(name).expect("an agent"));
    let entries = vec![
        NewEntry { agent: agent("a"), ..stating("hub", "to", "one") },
        NewEntry { agent: agent("b"), ..stating("hub", "to", "two") },
        stating("hub", "to", "three"),
    ];
    store.remember(&mine, entries).await.expect("kept");
    keep(store, &other, &[("hub", "to", "four"), ("one", "to", "three")]).await;
    let scope = Scope { agent: agent("a"), ..Scope::tenant(mine) };
    assert_eq!(told(&store.walk(&scope, &walk("hub", 3)).await.expect("walked")), ["1 hub to one", "1 hub to three"]);
    let names = store.entities(&scope, "", When::default(), 9).await.expect("listed");
    assert_eq!(names.iter().map(|thing| thing.name.as_str()).collect::<Vec<_>>(), ["hub", "one", "three"]);
    assert!(store.path(&scope, "one", "two", When::default(), 6).await.expect("looked").is_none());
}

/// Quarantine of a document hides what was derived from it, and nothing else; release brings it back.
async fn a_poisoned_source_takes_its_relations_along(store: &Store) {
    let tenant = tenant("graph-poison");
    let document =
        NewEntry { text: "Ada pays Eve.".into(), source: Some("letters/eve.md".into()), ..NewEntry::default() };
    let document = store.remember(&tenant, vec![document]).await.expect("kept")[0].id;
    let derived = NewEntry { derived_from: vec![document], ..stating("Ada", "pays", "Eve") };
    store.remember(&tenant, vec![derived, stating("Ada", "works at", "Acme")]).await.expect("kept");
    let scope = Scope::tenant(tenant.clone());
    let both = told(&store.walk(&scope, &walk("Ada", 1)).await.expect("walked"));
    assert_eq!(both, ["1 Ada pays Eve", "1 Ada works at Acme"]);
    let suspect =
        NewQuarantine { suspect: Suspect::Source("letters/eve.md".into()), reason: "forged".into(), by: "ada".into() };
    let quarantined = store.quarantine(&tenant, suspect).await.expect("quarantined");
    assert_eq!(told(&store.walk(&scope, &walk("Ada", 1)).await.expect("walked")), ["1 Ada works at Acme"]);
    assert!(store.entities(&scope, "eve", When::default(), 9).await.expect("listed").is_empty());
    store.release(&tenant, quarantined.quarantine.id, "ada").await.expect("released");
    assert_eq!(told(&store.walk(&scope, &walk("Ada", 1)).await.expect("walked")), both);
}

/// Refusals name the value.
async fn bad_relations_and_walks_are_named(store: &Store) {
    let tenant = tenant("graph-bad");
    let long = "x".repeat(513);
    for (subject, predicate, part) in [("", "is", "subject"), ("a", "  ", "predicate"), ("a", long.as_str(), "513")] {
        let error = store.remember(&tenant, vec![stating(subject, predicate, "b")]).await.expect_err("refused");
        assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains(part), "{error}");
    }
    let scope = Scope::tenant(tenant);
    for hops in [0, 4, 255] {
        let error = store.walk(&scope, &walk("a", hops)).await.expect_err("refused");
        assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains(&hops.to_string()), "{error}");
    }
    assert!(store.path(&scope, "a", "b", When::default(), 7).await.is_err());
}

fn walk(from: &str, hops: u8) -> Walk {
    Walk { from: from.into(), hops, predicate: None, when: When::default(), limit: 100 }
}

fn stating(subject: &str, predicate: &str, object: &str) -> NewEntry {
    let relation = Relation { subject: subject.into(), predicate: predicate.into(), object: object.into() };
    NewEntry { text: format!("{subject} {predicate} {object}."), relation: Some(relation), ..NewEntry::default() }
}

async fn keep(store: &Store, tenant: &TenantId, stated: &[(&str, &str, &str)]) -> Vec<Uuid> {
    let entries = stated.iter().map(|(subject, predicate, object)| stating(subject, predicate, object)).collect();
    store.remember(tenant, entries).await.expect("kept").into_iter().map(|kept| kept.id).collect()
}

fn told(edges: &[Edge]) -> Vec<String> {
    let told = |edge: &Edge| {
        let Relation { subject, predicate, object } = &edge.relation;
        format!("{} {subject} {predicate} {object}", edge.hops)
    };
    edges.iter().map(told).collect()
}
