//! What every memory store must do with what is kept: supersede, list, quarantine, and go
//! back. `memory::all` runs these.

use std::time::Duration;

use uuid::Uuid;

use super::chain::tenant;
use super::memory::{Store, count, search, text};
use super::subjects;
use crate::ErrorKind;
use crate::id::{AgentId, TenantId};
use crate::label::Label;
use crate::memory::{
    Layer, Listing, NewEntry, NewQuarantine, Order, Over, Query, Scope, Shown, Snapshot, Standing, Suspect,
};
use crate::time::{Clock, SystemClock, Timestamp};

/// Every case.
pub(super) async fn all(store: &Store) {
    what_is_superseded_answers_of_before_only(store).await;
    a_superseding_entry_has_what_the_old_one_had(store).await;
    what_is_said_again_after_it_was_superseded_is_new(store).await;
    entries_are_listed_in_pages(store).await;
    conversations_are_listed_with_their_ends(store).await;
    a_quarantine_hides_all_that_was_derived(store).await;
    quarantines_do_not_lift_each_other(store).await;
    what_comes_into_a_quarantine_is_hidden(store).await;
    a_key_is_its_current_holders_in_quarantine_too(store).await;
    going_back_answers_as_then_and_is_undone(store).await;
    an_agents_snapshot_is_of_its_own(store).await;
    snapshots_hold_what_is_forgotten_until_they_expire(store).await;
    subjects::no_snapshot_holds_what_was_erased(store).await;
    subjects::single_memories_are_erased_from_snapshots_too(store).await;
    bad_input_is_named(store).await;
}

/// Those of a time or before go, with their bytes, whatever a snapshot shows; nothing else does.
pub(super) async fn short_term_entries_go_by_their_time(store: &Store) {
    let (tenant, other) = (tenant("short-term"), tenant("short-term-too"));
    let (scope, clock) = (Scope::tenant(tenant.clone()), SystemClock::default());
    let short = |words: &str| NewEntry { layer: Layer::ShortTerm, key: Some(words.into()), ..text(words) };
    let old = keep(store, &tenant, short("kestrels hover")).await;
    let lasting = keep(store, &tenant, text("kestrels nest")).await;
    keep(store, &other, short("kestrels dive")).await;
    store.snapshot(&tenant, None, "with kestrels", "a person").await.expect("a snapshot");
    clock.sleep(Duration::from_millis(5)).await;
    let until = clock.now();
    clock.sleep(Duration::from_millis(5)).await;
    let young = keep(store, &tenant, short("kestrels hunt")).await;
    let written = store.get(&tenant, young).await.expect("read").expect("there").recorded_at;
    let before = Timestamp::from_millis(0);
    let counted = store.expire_short_term(&tenant, before, true).await.expect("counted");
    let oldest = store.get(&tenant, old).await.expect("read").expect("there").recorded_at;
    assert_eq!(counted, Over { entries: 0, oldest: Some(oldest) });
    for dry_run in [true, false] {
        let over = store.expire_short_term(&tenant, until, dry_run).await.expect("expired");
        assert_eq!(over, Over { entries: 1, oldest: Some(written) });
        assert_eq!(search(store, &scope, "kestrels").await.len(), if dry_run { 3 } else { 2 });
    }
    assert!(store.get(&tenant, old).await.expect("read").is_none());
    assert!(store.get(&tenant, lasting).await.expect("read").is_some());
    let overdue = store.overdue(until).await.expect("tenants");
    assert!(overdue.contains(&other) && !overdue.contains(&tenant), "{overdue:?}");
    assert_eq!(count(store, &tenant).await, 2);
    // What went may be said again under its key, and going back does not bring it back.
    assert_ne!(keep(store, &tenant, short("kestrels hover")).await, old);
    let snapshot = store.snapshots(&tenant).await.expect("snapshots").remove(0);
    store.restore(&tenant, snapshot.id, "a person").await.expect("restored");
    let left = search(store, &scope, "kestrels").await;
    assert_eq!(left.iter().map(|hit| hit.entry.id).collect::<Vec<_>>(), [lasting]);
}

/// Superseding.
pub(super) async fn what_is_superseded_answers_of_before_only(store: &Store) {
    let tenant = tenant("supersede");
    let (scope, clock) = (Scope::tenant(tenant.clone()), SystemClock::default());
    let old = keep(store, &tenant, text("the office is in Lisbon")).await;
    clock.sleep(Duration::from_millis(5)).await;
    let before = clock.now();
    clock.sleep(Duration::from_millis(5)).await;
    let moved = Timestamp::from_millis(1_000);
    let new = NewEntry { valid_from: Some(moved), ..text("the office is in Porto") };
    let new = store.supersede(&tenant, old, new).await.expect("superseded").id;
    assert_eq!(search(store, &scope, "office").await.len(), 1, "what is superseded is stale");
    assert_eq!(search(store, &scope, "office").await[0].entry.id, new);
    for (as_of, valid_at, wanted) in [
        (Some(before), None, old),
        (Some(clock.now()), None, new),
        (None, Some(Timestamp::from_millis(999)), old),
        (None, Some(moved), new),
        (Some(before), Some(moved), old),
    ] {
        let query = Query { as_of, valid_at, ..Query::new("office", 9) };
        let hits = store.search(&scope, &query).await.expect("found");
        assert_eq!(hits.iter().map(|hit| hit.entry.id).collect::<Vec<_>>(), [wanted], "{as_of:?} {valid_at:?}");
    }
    let kept = store.get(&tenant, old).await.expect("read").expect("there");
    assert_eq!((kept.standing, kept.superseded_by), (Standing::Superseded, Some(new)));
    assert_eq!(kept.entry.text, "the office is in Lisbon");
    assert_eq!(count(store, &tenant).await, 1);
    let again = store.supersede(&tenant, old, text("in Faro")).await.expect_err("it is superseded");
    assert!(again.kind() == ErrorKind::Conflict && again.to_string().contains(&new.to_string()), "{again}");
    let unknown = store.supersede(&tenant, Uuid::from_u128(7), text("x")).await.expect_err("unknown");
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
    // Forgetting the new one does not make the old one true again; reinstating it does.
    assert!(store.forget(&tenant, new).await.expect("forgotten"));
    assert!(search(store, &scope, "office").await.is_empty());
    store.reinstate(&tenant, old).await.expect("reinstated");
    assert_eq!(search(store, &scope, "office").await[0].entry.id, old);
    assert_eq!(store.reinstate(&tenant, old).await.expect_err("it is current").kind(), ErrorKind::Conflict);
}

/// Whose it is, whom it is about, and its key go with it.
pub(super) async fn a_superseding_entry_has_what_the_old_one_had(store: &Store) {
    let tenant = tenant("supersede");
    let agent = AgentId::new("clerk").expect("an agent");
    let old = NewEntry {
        agent: Some(agent.clone()),
        subject: Some("ada".into()),
        key: Some("home".into()),
        ..text("Ada lives in Lisbon")
    };
    let old = keep(store, &tenant, old).await;
    let new = store.supersede(&tenant, old, text("Ada lives in Porto")).await.expect("superseded").id;
    let entry = store.get(&tenant, new).await.expect("read").expect("there").entry;
    assert_eq!((entry.agent, entry.subject.as_deref(), entry.key.as_deref()), (Some(agent), Some("ada"), Some("home")));
    assert_eq!(entry.valid_from, entry.at, "it is valid from when it was said");
    let taken = store.reinstate(&tenant, old).await.expect_err("its key is the other's");
    assert!(taken.kind() == ErrorKind::Conflict && taken.to_string().contains(&new.to_string()), "{taken}");
    assert!(store.forget(&tenant, new).await.expect("forgotten"));
    store.reinstate(&tenant, old).await.expect("its key is free");
}

/// Lisbon, Porto, and Lisbon again; a document says the same as before.
pub(super) async fn what_is_said_again_after_it_was_superseded_is_new(store: &Store) {
    let tenant = tenant("again");
    let first = keep(store, &tenant, text("in Lisbon")).await;
    let second = store.supersede(&tenant, first, text("in Porto")).await.expect("superseded").id;
    let third = store.supersede(&tenant, second, text("in Lisbon")).await.expect("superseded");
    assert!(!third.duplicate && third.id != first);
    assert!(store.remember(&tenant, vec![text("in Lisbon")]).await.expect("kept")[0].duplicate);
    let porto = store.remember(&tenant, vec![text("in Porto")]).await.expect("kept")[0];
    assert!(!porto.duplicate, "it is said anew");
    let piece = NewEntry { source: Some("facts.md".into()), key: Some("facts.md".into()), ..text("from a document") };
    let old = keep(store, &tenant, piece.clone()).await;
    store.supersede(&tenant, old, text("the document is wrong")).await.expect("superseded");
    let taken_in = store.remember(&tenant, vec![piece]).await.expect("kept")[0];
    assert_eq!((taken_in.id, taken_in.duplicate), (old, true), "a document that says it still does not undo it");
    assert!(search(store, &Scope::tenant(tenant), "from a document").await.iter().all(|hit| hit.entry.id != old));
}

/// Lists.
pub(super) async fn entries_are_listed_in_pages(store: &Store) {
    let tenant = tenant("list");
    let said = |at: usize| NewEntry {
        at: Some(Timestamp::from_millis(100 - (at as i64) / 2)),
        session: at.is_multiple_of(2).then(|| "s".into()),
        source: at.is_multiple_of(3).then(|| "f".into()),
        layer: if (1..4).contains(&at) { Layer::ShortTerm } else { Layer::LongTerm },
        ..text(&format!("line {at}"))
    };
    let kept = store.remember(&tenant, (0..10).map(said).collect()).await.expect("kept");
    let mut order: Vec<usize> = (0..10).collect();
    order.sort_by_key(|at| (100 - at / 2, *at));
    let scope = Scope::tenant(tenant.clone());
    for (order_asked, wanted) in
        [(Order::Oldest, order.clone()), (Order::Newest, order.iter().rev().copied().collect())]
    {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = Listing { after, ..Listing::new(order_asked, 3) };
            let page = store.list(&scope, &page).await.expect("listed");
            assert!(page.items.len() == 3 || page.next.is_none());
            seen.extend(page.items.iter().map(|entry| entry.id));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, wanted.iter().map(|at| kept[*at].id).collect::<Vec<_>>(), "{order_asked:?}");
    }
    store.supersede(&tenant, kept[0].id, text("another")).await.expect("superseded");
    let listed = |session: Option<&str>, listing: Listing| {
        let scope = Scope { session: session.map(Into::into), ..scope.clone() };
        async move { store.list(&scope, &listing).await.expect("listed").items.len() }
    };
    let listing = || Listing::new(Order::Newest, 99);
    assert_eq!(listed(None, listing()).await, 10);
    assert_eq!(listed(Some("s"), listing()).await, 4);
    assert_eq!(listed(Some("s"), Listing { shown: Shown::All, ..listing() }).await, 5);
    assert_eq!(listed(None, Listing { shown: Shown::Hidden, ..listing() }).await, 1);
    assert_eq!(listed(None, Listing { source: Some("f".into()), ..listing() }).await, 3);
    assert_eq!(listed(None, Listing { layer: Some(Layer::ShortTerm), ..listing() }).await, 3);
}

/// Conversations.
pub(super) async fn conversations_are_listed_with_their_ends(store: &Store) {
    let tenant = tenant("sessions");
    let said = |session: &str, at: i64| NewEntry {
        session: Some(session.into()),
        at: Some(Timestamp::from_millis(at)),
        ..text(&format!("{session} at {at}"))
    };
    let entries = vec![said("b", 20), said("a", 30), said("b", 10), said("c", 5), text("of none"), said("b", 20 + 1)];
    let kept = store.remember(&tenant, entries).await.expect("kept");
    let scope = Scope::tenant(tenant.clone());
    let first = store.sessions(&scope, None, 2).await.expect("listed");
    let shown: Vec<(String, i64, i64, u64)> = first
        .items
        .iter()
        .map(|found| (found.session.clone(), found.first.as_millis(), found.last.as_millis(), found.entries))
        .collect();
    assert_eq!(shown, [("a".into(), 30, 30, 1), ("b".into(), 10, 21, 3)]);
    let rest = store.sessions(&scope, first.next, 2).await.expect("listed");
    assert_eq!(rest.items.iter().map(|found| found.session.as_str()).collect::<Vec<_>>(), ["c"]);
    assert_eq!(rest.next, None);
    let history = Scope { session: Some("b".into()), ..scope };
    let history = store.list(&history, &Listing::new(Order::Oldest, 9)).await.expect("listed");
    let ids: Vec<Uuid> = history.items.iter().map(|entry| entry.id).collect();
    assert_eq!(ids, [kept[2].id, kept[0].id, kept[5].id]);
}

/// One poisoned document: what was made of it goes with it, through every step, and comes back.
pub(super) async fn a_quarantine_hides_all_that_was_derived(store: &Store) {
    let (tenant, other) = (tenant("quarantine"), tenant("quarantine"));
    let of = |source: &str, words: &str| NewEntry { source: Some(source.into()), ..text(words) };
    let poisoned = keep(store, &tenant, of("rumours.md", "plums cure all")).await;
    let sound = keep(store, &tenant, of("facts.md", "plums are fruit")).await;
    keep(store, &other, of("rumours.md", "plums elsewhere")).await;
    let derived = |words: &str, from: Vec<Uuid>| NewEntry { derived_from: from, ..text(words) };
    let summary = keep(store, &tenant, derived("plums sum up", vec![sound, poisoned])).await;
    let further = keep(store, &tenant, derived("plums in short", vec![summary])).await;
    let spoken = NewEntry { label: Label::untrusted("rumours.md"), ..text("plums, I read, cure") };
    let spoken = keep(store, &tenant, spoken).await;
    // The document is taken in anew meanwhile: what came of its old words is still of it.
    assert!(store.forget(&tenant, poisoned).await.expect("forgotten"));
    let poisoned = keep(store, &tenant, of("rumours.md", "plums cure everything")).await;
    let scope = Scope::tenant(tenant.clone());
    let before = search(store, &scope, "plums").await;
    assert_eq!(before.len(), 5);
    let done = store.quarantine(&tenant, source("rumours.md")).await.expect("quarantined");
    let mut hidden = vec![poisoned, summary, further, spoken];
    hidden.sort();
    assert_eq!(done.entries, hidden);
    let ids = |hits: Vec<crate::memory::Hit>| hits.into_iter().map(|hit| hit.entry.id).collect::<Vec<_>>();
    assert_eq!(ids(search(store, &scope, "plums").await), [sound]);
    assert_eq!((count(store, &tenant).await, count(store, &other).await), (1, 1));
    let shown = store.get(&tenant, further).await.expect("read").expect("there");
    assert_eq!(shown.standing, Standing::Quarantined);
    let refused = store.supersede(&tenant, summary, text("x")).await.expect_err("it is hidden");
    assert!(refused.kind() == ErrorKind::Conflict && refused.to_string().contains("quarantine"), "{refused}");
    let listed = store.quarantines(&tenant).await.expect("listed");
    assert_eq!(listed, std::slice::from_ref(&done.quarantine));
    assert_eq!((listed[0].reason.as_str(), listed[0].by.as_str()), ("test", "person:test"));
    let released = store.release(&tenant, done.quarantine.id, "person:else").await.expect("released");
    assert_eq!(released.entries, hidden);
    assert_eq!(released.quarantine.released_by.as_deref(), Some("person:else"));
    assert_eq!(search(store, &scope, "plums").await, before);
    let twice = store.release(&tenant, done.quarantine.id, "person:else").await.expect_err("it was released");
    assert_eq!(twice.kind(), ErrorKind::Conflict);
    let foreign = store.release(&other, done.quarantine.id, "person:else").await.expect_err("another tenant's");
    assert_eq!(foreign.kind(), ErrorKind::NotFound);
}

/// Two of them.
pub(super) async fn quarantines_do_not_lift_each_other(store: &Store) {
    let tenant = tenant("quarantine");
    let both = NewEntry { source: Some("a".into()), label: Label::untrusted("b"), ..text("pears of both") };
    let both = keep(store, &tenant, both).await;
    let old = keep(store, &tenant, NewEntry { source: Some("a".into()), ..text("pears of old") }).await;
    let new = store.supersede(&tenant, old, text("pears anew")).await.expect("superseded").id;
    let a = store.quarantine(&tenant, source("a")).await.expect("quarantined").quarantine.id;
    let b = store.quarantine(&tenant, source("b")).await.expect("quarantined").quarantine.id;
    assert!(store.release(&tenant, a, "t").await.expect("released").entries.is_empty(), "the other still holds");
    let found = |hits: Vec<crate::memory::Hit>| hits.into_iter().map(|hit| hit.entry.id).collect::<Vec<_>>();
    let scope = Scope::tenant(tenant.clone());
    assert_eq!(found(search(store, &scope, "pears").await), [new], "what is superseded stays so");
    assert_eq!(store.release(&tenant, b, "t").await.expect("released").entries, [both]);
    assert_eq!(search(store, &scope, "pears").await.len(), 2);
}

/// A quarantine holds for what comes later.
pub(super) async fn what_comes_into_a_quarantine_is_hidden(store: &Store) {
    let tenant = tenant("quarantine");
    let hidden = keep(store, &tenant, text("figs are blue")).await;
    let suspect = NewQuarantine { suspect: Suspect::Entry(hidden), ..source("") };
    let of_entry = store.quarantine(&tenant, suspect).await.expect("quarantined").quarantine.id;
    store.quarantine(&tenant, source("late.md")).await.expect("nothing is there yet");
    let late = |new: NewEntry| NewEntry { text: format!("figs {}", new.text), ..new };
    keep(store, &tenant, late(NewEntry { derived_from: vec![hidden], ..text("derived") })).await;
    keep(store, &tenant, late(NewEntry { source: Some("late.md".into()), ..text("of the source") })).await;
    keep(store, &tenant, late(NewEntry { label: Label::untrusted("late.md"), ..text("of the label") })).await;
    let scope = Scope::tenant(tenant.clone());
    assert!(search(store, &scope, "figs").await.is_empty());
    assert_eq!(store.release(&tenant, of_entry, "t").await.expect("released").entries.len(), 2);
    assert_eq!(search(store, &scope, "figs").await.len(), 2);
}

/// Who has a key now comes before who had it.
pub(super) async fn a_key_is_its_current_holders_in_quarantine_too(store: &Store) {
    let tenant = tenant("keys");
    let piece =
        |words: &str| NewEntry { key: Some("plums.md 1".into()), source: Some("plums.md".into()), ..text(words) };
    let old = keep(store, &tenant, piece("plums fell")).await;
    store.supersede(&tenant, old, text("plums rose")).await.expect("superseded");
    let new = keep(store, &tenant, piece("plums are dear")).await;
    let suspect = NewQuarantine { suspect: Suspect::Entry(new), ..source("") };
    store.quarantine(&tenant, suspect).await.expect("quarantined");
    let again = store.remember(&tenant, vec![piece("plums are dear")]).await.expect("known");
    assert_eq!((again[0].id, again[0].duplicate), (new, true));
    let error = store.remember(&tenant, vec![piece("plums fell")]).await.expect_err("another's words");
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
}

/// Going back.
pub(super) async fn going_back_answers_as_then_and_is_undone(store: &Store) {
    let (tenant, other) = (tenant("restore"), tenant("restore"));
    let scope = Scope::tenant(tenant.clone());
    let keyed = |words: &str| NewEntry { key: Some(words.into()), ..text(&format!("olives {words}")) };
    let entries = vec![keyed("stay"), keyed("go"), keyed("change"), keyed("sicken")];
    let kept = store.remember(&tenant, entries).await.expect("kept");
    let then = search(store, &scope, "olives").await;
    let yesterday = store.snapshot(&tenant, None, "yesterday", "person:test").await.expect("taken");
    assert!(store.forget(&tenant, kept[1].id).await.expect("forgotten"));
    assert_eq!(store.get(&tenant, kept[1].id).await.expect("read"), None, "nobody reads what is forgotten");
    assert!(!store.forget(&tenant, kept[1].id).await.expect("again"));
    keep(store, &tenant, NewEntry { key: Some("go".into()), ..text("olives with the key of another") }).await;
    store.supersede(&tenant, kept[2].id, text("olives changed")).await.expect("superseded");
    let suspect = NewQuarantine { suspect: Suspect::Entry(kept[3].id), ..source("") };
    let quarantine = store.quarantine(&tenant, suspect).await.expect("quarantined").quarantine.id;
    let today = search(store, &scope, "olives").await;
    assert_eq!(today.len(), 3);
    let refused = store.restore(&other, yesterday.id, "t").await.expect_err("another tenant's");
    assert_eq!(refused.kind(), ErrorKind::NotFound);
    let done = store.restore(&tenant, yesterday.id, "person:else").await.expect("restored");
    assert_eq!((done.forgotten, done.returned, done.superseded, done.reinstated), (2, 1, 0, 1));
    let back = search(store, &scope, "olives").await;
    let ids =
        |hits: &[crate::memory::Hit]| hits.iter().map(|hit| hit.entry.id).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(ids(&back), [kept[0].id, kept[1].id, kept[2].id].into(), "a quarantine is not lifted by going back");
    store.release(&tenant, quarantine, "t").await.expect("released");
    assert_eq!(search(store, &scope, "olives").await, then, "it answers as then");
    // And forth again.
    let undone = store.restore(&tenant, done.before.id, "person:else").await.expect("restored");
    assert_eq!((undone.forgotten, undone.returned, undone.superseded, undone.reinstated), (1, 2, 1, 0));
    assert!(ids(&search(store, &scope, "olives").await).is_superset(&ids(&today)));
    let names: Vec<String> = store.snapshots(&tenant).await.expect("listed").into_iter().map(|one| one.name).collect();
    assert!(names.len() == 3 && names.contains(&"yesterday".to_owned()), "{names:?}");
    assert_eq!(done.before.by, "person:else");
    assert!(store.snapshots(&other).await.expect("listed").is_empty());
}

/// One agent's own memory.
pub(super) async fn an_agents_snapshot_is_of_its_own(store: &Store) {
    let tenant = tenant("restore");
    let [one, other] = ["one", "other"].map(|agent| AgentId::new(agent).expect("an agent"));
    let of = |agent: Option<&AgentId>, words: &str| NewEntry { agent: agent.cloned(), ..text(words) };
    keep(store, &tenant, of(Some(&one), "limes first")).await;
    let Snapshot { id, agent, .. } = store.snapshot(&tenant, Some(one.clone()), "own", "t").await.expect("taken");
    assert_eq!(agent.as_ref(), Some(&one));
    for (agent, words) in [(Some(&one), "limes second"), (Some(&other), "limes of the other"), (None, "limes of all")] {
        keep(store, &tenant, of(agent, words)).await;
    }
    let done = store.restore(&tenant, id, "t").await.expect("restored");
    assert_eq!((done.forgotten, done.before.agent), (1, Some(one)));
    let left = search(store, &Scope::tenant(tenant), "limes").await;
    assert!(left.len() == 3 && left.iter().all(|hit| hit.entry.entry.text != "limes second"));
}

/// What only a snapshot holds goes with it.
pub(super) async fn snapshots_hold_what_is_forgotten_until_they_expire(store: &Store) {
    let tenant = tenant("expire");
    let (scope, clock) = (Scope::tenant(tenant.clone()), SystemClock::default());
    let held = keep(store, &tenant, text("dates held")).await;
    store.snapshot(&tenant, None, "first", "t").await.expect("taken");
    let bare = keep(store, &tenant, text("dates not held")).await;
    clock.sleep(Duration::from_millis(5)).await;
    let before = clock.now();
    clock.sleep(Duration::from_millis(5)).await;
    for id in [held, bare] {
        assert!(store.forget(&tenant, id).await.expect("forgotten"));
    }
    let as_of = || async {
        let query = Query { as_of: Some(before), ..Query::new("dates", 9) };
        store.search(&scope, &query).await.expect("found").len()
    };
    assert_eq!((search(store, &scope, "dates").await.len(), as_of().await), (0, 1));
    let month = Duration::from_secs(30 * 86_400);
    assert_eq!(store.expire_snapshots(&tenant, month, false).await.expect("counted").snapshots, 0);
    let would = store.expire_snapshots(&tenant, Duration::ZERO, true).await.expect("counted");
    assert_eq!((would.snapshots, would.entries, as_of().await), (1, 1, 1), "a dry run drops nothing");
    assert_eq!(store.expire_snapshots(&tenant, Duration::ZERO, false).await.expect("dropped"), would);
    assert_eq!(as_of().await, 0);
    assert!(store.snapshots(&tenant).await.expect("listed").is_empty());
}

/// Refusals.
pub(super) async fn bad_input_is_named(store: &Store) {
    let tenant = tenant("bounds");
    let unknown = Uuid::from_u128(7);
    let backwards = NewEntry {
        valid_from: Some(Timestamp::from_millis(10)),
        valid_to: Some(Timestamp::from_millis(10)),
        ..text("x")
    };
    let many = NewEntry { derived_from: vec![unknown; 257], ..text("x") };
    let derived = NewEntry { derived_from: vec![unknown], ..text("x") };
    for (entry, part) in [(backwards, "valid_to"), (many, "257"), (derived, "00000007")] {
        let error = store.remember(&tenant, vec![text("fine"), entry]).await.expect_err("refused");
        assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains(part), "{error}");
    }
    assert_eq!(count(store, &tenant).await, 0);
    let blank = NewQuarantine { reason: " ".into(), ..source("a") };
    for bad in [blank, source("")] {
        assert_eq!(store.quarantine(&tenant, bad).await.expect_err("refused").kind(), ErrorKind::Invalid);
    }
    let suspect = NewQuarantine { suspect: Suspect::Entry(unknown), ..source("") };
    assert_eq!(store.quarantine(&tenant, suspect).await.expect_err("unknown").kind(), ErrorKind::NotFound);
    for name in ["", &"n".repeat(1025)] {
        assert_eq!(store.snapshot(&tenant, None, name, "t").await.expect_err("refused").kind(), ErrorKind::Invalid);
    }
    assert_eq!(store.restore(&tenant, unknown, "t").await.expect_err("unknown").kind(), ErrorKind::NotFound);
    assert_eq!(store.release(&tenant, unknown, "t").await.expect_err("unknown").kind(), ErrorKind::NotFound);
    assert_eq!(store.reinstate(&tenant, unknown).await.expect_err("unknown").kind(), ErrorKind::NotFound);
    assert!("seven".parse::<crate::memory::Cursor>().is_err());
}

pub(super) async fn keep(store: &Store, tenant: &TenantId, new: NewEntry) -> Uuid {
    store.remember(tenant, vec![new]).await.expect("kept")[0].id
}

fn source(source: &str) -> NewQuarantine {
    NewQuarantine { suspect: Suspect::Source(source.into()), reason: "test".into(), by: "person:test".into() }
}
