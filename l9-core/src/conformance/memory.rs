//! What every memory store must do.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use super::chain::tenant;
use super::{curation, duplicates, graph, subjects};
use crate::ErrorKind;
use crate::id::{AgentId, TenantId};
use crate::label::Label;
use crate::memory::{Hit, Layer, MemoryStore, NewEntry, Query, Relation, Scope};
use crate::time::{Clock, SystemClock, Timestamp};

pub(super) type Store = Arc<dyn MemoryStore>;

/// Every case. The store's clock must be the machine's.
pub async fn all(store: Store) {
    entries(&store).await;
    curation::all(&store).await;
    graph::all(&store).await;
    duplicates::the_same_words_of_another_place_are_no_duplicates(&store).await;
    duplicates::hidden_entries_are_no_duplicates(&store).await;
}

/// What holds besides of a store that keeps short-term entries where they would last.
pub async fn short_term(store: &Store) {
    curation::short_term_entries_go_by_their_time(store).await;
}

/// What holds of entries by themselves, without what people do with memory as a whole.
pub async fn entries(store: &Store) {
    what_is_remembered_is_found_and_read_back(store).await;
    equal_content_is_kept_once(store).await;
    a_key_names_one_content(store).await;
    a_call_keeps_all_or_nothing(store).await;
    filters_are_exact(store).await;
    as_of_shows_what_was_known(store).await;
    better_matches_come_first_and_ties_by_time(store).await;
    what_was_said_near_and_by_whom_counts(store).await;
    the_same_question_has_the_same_answer(store).await;
    what_is_forgotten_is_gone(store).await;
    subjects::memories_are_erased_with_what_derives(store).await;
    subjects::equal_words_about_others_are_other_entries(store).await;
    subjects::an_entry_is_about_a_bounded_number(store).await;
    sources_are_listed_with_all_of_theirs(store).await;
    bounds_are_named(store).await;
    hostile_text_is_kept_exactly(store).await;
    words_are_found_in_their_forms_and_scripts(store).await;
    k_bounds_the_answer(store).await;
    many_entries_at_once(store).await;
    duplicates::near_duplicates_are_told_and_kept(store).await;
}

/// Everything that was given comes back.
pub async fn what_is_remembered_is_found_and_read_back(store: &Store) {
    let tenant = tenant("remember");
    let mut given = NewEntry {
        text: "The database was moved to Lisbon on Tuesday.".into(),
        key: Some("note-1".into()),
        agent: Some(AgentId::new("researcher").expect("an agent")),
        session: Some("s1".into()),
        source: Some("notes/moves.md".into()),
        position: Some("lines 3-9".into()),
        layer: Layer::ShortTerm,
        at: Some(Timestamp::from_millis(1_700_000_000_123)),
        subject: Some("ada".into()),
        label: Label::untrusted("web"),
        valid_from: Some(Timestamp::from_millis(1_600_000_000_000)),
        valid_to: Some(Timestamp::from_millis(1_900_000_000_000)),
        derived_from: Vec::new(),
        relation: Some(Relation { subject: "The database".into(), predicate: "is in".into(), object: "Lisbon".into() }),
        metadata: json!({"deep": [1, 2.5, {"x": null}], "lang": "en"}).as_object().cloned().expect("an object"),
    };
    let plain = NewEntry { text: "Nothing else.".into(), ..NewEntry::default() };
    let kept = store.remember(&tenant, vec![given.clone(), plain]).await.expect("kept");
    assert!(kept.len() == 2 && kept.iter().all(|one| !one.duplicate) && kept[0].id != kept[1].id);
    let entry = store.get(&tenant, kept[0].id).await.expect("read").expect("there");
    given.label.subjects.insert(store.subject(&tenant, "ada"));
    assert_eq!((entry.id, &entry.entry), (kept[0].id, &given));
    let other = store.get(&tenant, kept[1].id).await.expect("read").expect("there");
    assert_eq!(other.entry.at, Some(other.recorded_at), "the time of writing stands for an absent one");
    let hits = search(store, &Scope::tenant(tenant.clone()), "where did the databases move?").await;
    assert_eq!(hits.first().map(|hit| &hit.entry), Some(&entry));
    assert!(hits[0].score > 0.0);
    assert_eq!(store.get(&tenant, Uuid::from_u128(7)).await.expect("read"), None);
    assert_eq!(store.get(&super::chain::tenant("remember"), kept[0].id).await.expect("read"), None);
    assert_eq!(count(store, &tenant).await, 2);
    assert_eq!(store.remember(&tenant, Vec::new()).await.expect("nothing"), []);
}

/// The same words at the same place are one entry.
pub async fn equal_content_is_kept_once(store: &Store) {
    let tenant = tenant("equal");
    let entry = |session: Option<&str>, position: Option<&str>, agent: Option<&str>| NewEntry {
        text: "twice".into(),
        session: session.map(Into::into),
        position: position.map(Into::into),
        agent: agent.map(|agent| AgentId::new(agent).expect("an agent")),
        ..NewEntry::default()
    };
    let all = vec![
        entry(None, None, None),
        entry(Some("s"), None, None),
        entry(None, Some("s"), None),
        entry(None, None, Some("s")),
        entry(Some(""), None, None),
        // What is kept for a while, or holds at another time, is not what is kept for good.
        NewEntry { layer: Layer::ShortTerm, ..entry(None, None, None) },
        NewEntry { valid_to: Some(Timestamp::from_millis(2)), ..entry(None, None, None) },
        NewEntry { valid_to: Some(Timestamp::from_millis(1)), ..entry(None, None, None) },
    ];
    let first = store.remember(&tenant, all.clone()).await.expect("kept");
    assert!(first.iter().all(|one| !one.duplicate), "{first:?}");
    let second = store.remember(&tenant, [all.clone(), all].concat()).await.expect("kept");
    assert!(second.iter().all(|one| one.duplicate));
    assert!(second.iter().zip(first.iter().cycle()).all(|(one, other)| one.id == other.id));
    let twice = store.remember(&tenant, vec![text("new"), text("new")]).await.expect("kept");
    assert_eq!((twice[0].duplicate, twice[1].duplicate, twice[0].id), (false, true, twice[1].id));
    assert_eq!(count(store, &tenant).await, 9);
}

/// A key stands for one content within an agent.
pub async fn a_key_names_one_content(store: &Store) {
    let tenant = tenant("key");
    let keyed = |text: &str, key: &str, agent: Option<&str>| NewEntry {
        text: text.into(),
        key: Some(key.into()),
        agent: agent.map(|agent| AgentId::new(agent).expect("an agent")),
        ..NewEntry::default()
    };
    let first = store.remember(&tenant, vec![keyed("one", "k", None)]).await.expect("kept")[0];
    let again = store.remember(&tenant, vec![keyed("one", "k", None)]).await.expect("kept")[0];
    assert_eq!((again.id, again.duplicate), (first.id, true));
    let error = store.remember(&tenant, vec![keyed("two", "k", None)]).await.expect_err("another content");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("\"k\""), "{error}");
    let elsewhere = store.remember(&tenant, vec![keyed("two", "k", Some("a")), keyed("two", "k", Some("b"))]).await;
    assert!(elsewhere.expect("other agents").iter().all(|one| !one.duplicate));
    // The same words under other keys are other memories.
    let other = store.remember(&tenant, vec![keyed("one", "k2", None)]).await.expect("kept")[0];
    assert!(!other.duplicate && other.id != first.id);
    let within = store.remember(&tenant, vec![keyed("x", "k3", None), keyed("y", "k3", None)]).await;
    assert_eq!(within.expect_err("within one call").kind(), ErrorKind::Conflict);
    assert!(store.forget(&tenant, first.id).await.expect("forgotten"));
    assert!(!store.remember(&tenant, vec![keyed("two", "k", None)]).await.expect("the key is free")[0].duplicate);
}

/// One bad entry keeps the others out.
pub async fn a_call_keeps_all_or_nothing(store: &Store) {
    let tenant = tenant("all");
    let taken = NewEntry { key: Some("k".into()), ..text("taken") };
    store.remember(&tenant, vec![taken.clone()]).await.expect("kept");
    let bad = [text(""), NewEntry { text: "other".into(), ..taken }];
    for bad in bad {
        assert!(store.remember(&tenant, vec![text("good"), bad, text("better")]).await.is_err());
        assert_eq!(count(store, &tenant).await, 1);
        assert!(search(store, &Scope::tenant(tenant.clone()), "good better").await.is_empty());
    }
}

/// What is kept of a source is read whole, in the order it came.
pub async fn sources_are_listed_with_all_of_theirs(store: &Store) {
    let (tenant, other) = (tenant("sources"), tenant("sources"));
    let of = |text: &str, source: Option<&str>| NewEntry {
        text: text.into(),
        source: source.map(Into::into),
        ..NewEntry::default()
    };
    assert_eq!(store.sources(&tenant).await.expect("read"), []);
    for text in ["one", "two"] {
        store.remember(&tenant, vec![of(text, Some("a.md"))]).await.expect("kept");
    }
    store.remember(&tenant, vec![of("b", Some("a.m")), of("c", None)]).await.expect("kept");
    store.remember(&other, vec![of("theirs", Some("a.md"))]).await.expect("kept");
    let texts = |entries: &[crate::memory::Entry]| -> Vec<String> {
        entries.iter().map(|entry| entry.entry.text.clone()).collect()
    };
    let kept = store.of_source(&tenant, "a.md").await.expect("read");
    assert_eq!(texts(&kept), ["one", "two"]);
    assert_eq!(store.of_source(&tenant, "a.").await.expect("read"), []);
    let sources = async || {
        let mut found = store.sources(&tenant).await.expect("read");
        found.sort_by_key(|source| source.newest.entry.source.clone());
        found.into_iter().map(|source| (source.entries, source.newest.entry.text)).collect::<Vec<_>>()
    };
    assert_eq!(sources().await, [(1, "b".to_owned()), (2, "two".to_owned())]);
    store.forget(&tenant, kept[1].id).await.expect("forgotten");
    assert_eq!(sources().await, [(1, "b".to_owned()), (1, "one".to_owned())]);
    store.forget_source(&tenant, "a.m").await.expect("forgotten");
    assert_eq!(sources().await, [(1, "one".to_owned())]);
}

/// Filters never let another's row through, however alike the names.
pub async fn filters_are_exact(store: &Store) {
    let (mine, other) = (tenant("filter"), tenant("filter"));
    let entry = |agent: Option<&str>, session: Option<&str>, layer: Layer| NewEntry {
        text: format!("shared words {agent:?} {session:?} {layer:?}"),
        agent: agent.map(|agent| AgentId::new(agent).expect("an agent")),
        session: session.map(Into::into),
        layer,
        ..NewEntry::default()
    };
    let entries = vec![
        entry(None, None, Layer::LongTerm),
        entry(Some("a"), None, Layer::LongTerm),
        entry(Some("a"), Some("s"), Layer::ShortTerm),
        entry(Some("ab"), Some("s%"), Layer::LongTerm),
        entry(Some("a_"), Some("S"), Layer::LongTerm),
        entry(None, Some("s"), Layer::ShortTerm),
    ];
    store.remember(&mine, entries).await.expect("kept");
    store.remember(&other, vec![entry(Some("a"), Some("s"), Layer::LongTerm)]).await.expect("kept");
    let scope = |agent: Option<&str>, session: Option<&str>| Scope {
        tenant: mine.clone(),
        agent: agent.map(|agent| AgentId::new(agent).expect("an agent")),
        session: session.map(Into::into),
    };
    for (agent, session, wanted) in [
        (None, None, 6),
        (Some("a"), None, 4),
        (Some("ab"), None, 3),
        (Some("nobody"), None, 2),
        (None, Some("s"), 2),
        (Some("a"), Some("s"), 2),
        (Some("ab"), Some("s"), 1),
        (None, Some("S"), 1),
        (None, Some("%"), 0),
        (None, Some(""), 0),
    ] {
        let scope = scope(agent, session);
        let hits = search(store, &scope, "shared words").await;
        assert_eq!(hits.len(), wanted, "agent {agent:?} session {session:?}");
        assert_eq!(store.count(&scope).await.expect("counted"), wanted as u64);
        for hit in hits {
            let has = hit.entry.entry;
            assert!(agent.is_none() || has.agent.is_none() || has.agent.as_ref().map(AgentId::as_str) == agent);
            assert!(session.is_none() || has.session.as_deref() == session);
        }
    }
    for (layer, wanted) in [(Layer::ShortTerm, 2), (Layer::LongTerm, 4)] {
        let query = Query { layer: Some(layer), ..Query::new("shared words", 99) };
        let hits = store.search(&scope(None, None), &query).await.expect("found");
        assert!(hits.len() == wanted && hits.iter().all(|hit| hit.entry.entry.layer == layer));
    }
}

/// What was written later was not known.
pub async fn as_of_shows_what_was_known(store: &Store) {
    let tenant = tenant("asof");
    let clock = SystemClock::default();
    store.remember(&tenant, vec![text("known early")]).await.expect("kept");
    clock.sleep(Duration::from_millis(20)).await;
    let between = clock.now();
    clock.sleep(Duration::from_millis(20)).await;
    let late = NewEntry { at: Some(Timestamp::EPOCH), ..text("known late") };
    store.remember(&tenant, vec![late]).await.expect("kept");
    let scope = Scope::tenant(tenant);
    for (as_of, wanted) in [(None, 2), (Some(between), 1), (Some(clock.now()), 2), (Some(Timestamp::EPOCH), 0)] {
        let hits = store.search(&scope, &Query { as_of, ..Query::new("known", 9) }).await.expect("found");
        assert_eq!(hits.len(), wanted, "{as_of:?}");
    }
}

/// Order.
pub async fn better_matches_come_first_and_ties_by_time(store: &Store) {
    let tenant = tenant("order");
    let said = |text: &str, at: i64, session: &str| NewEntry {
        text: text.into(),
        at: Some(Timestamp::from_millis(at)),
        session: Some(session.into()),
        ..NewEntry::default()
    };
    let kept = store
        .remember(
            &tenant,
            vec![
                said("pears grow here", 10, "a"),
                said("pears grow here", 30, "b"),
                said("pears grow here", 20, "c"),
                said("pears and apples grow here", 5, "d"),
                said("nothing of the kind stands in this long line of other words", 50, "e"),
                said("pears grow here", 20, "f"),
            ],
        )
        .await
        .expect("kept");
    let hits = search(store, &Scope::tenant(tenant), "apples pears").await;
    let ids: Vec<Uuid> = hits.iter().map(|hit| hit.entry.id).collect();
    let tied = [kept[2].id.min(kept[5].id), kept[2].id.max(kept[5].id)];
    assert_eq!(ids, [kept[3].id, kept[1].id, tied[0], tied[1], kept[0].id]);
    assert!(hits.is_sorted_by(|one, other| one.score >= other.score));
}

/// An answer is found by the question before it, and says why.
pub async fn what_was_said_near_and_by_whom_counts(store: &Store) {
    let tenant = tenant("near");
    let turns = [
        ("s1", "Ada: Did you ever visit Lisbon?"),
        ("s1", "Mel: Yes, for a week in spring."),
        ("s1", "Ada: How lovely."),
        ("s2", "Ada: I bought a red motorcycle."),
        ("s2", "Mel: Nice, mine is blue."),
        ("s3", "Mel: Lunch was good."),
    ];
    let entries = turns.iter().enumerate().map(|(at, (session, said))| NewEntry {
        session: Some((*session).into()),
        at: Some(Timestamp::from_millis(i64::try_from(at).expect("few"))),
        ..text(said)
    });
    let kept = store.remember(&tenant, entries.collect()).await.expect("kept");
    let scope = Scope::tenant(tenant);
    let asked = |text: &str| Query { explain: true, ..Query::new(text, 9) };
    let hits = store.search(&scope, &asked("When was Mel in Lisbon?")).await.expect("found");
    let top: Vec<Uuid> = hits.iter().take(2).map(|hit| hit.entry.id).collect();
    assert!(top.contains(&kept[0].id) && top.contains(&kept[1].id), "{hits:?}");
    let answer = hits.iter().find(|hit| hit.entry.id == kept[1].id).and_then(|hit| hit.why.as_ref()).expect("why");
    assert_eq!((answer.words.as_slice(), answer.speaker), (&["mel".to_owned()][..], true));
    assert!(answer.conversation > 0.99, "{answer:?}");
    let hits = store.search(&scope, &asked("What did Ada buy, a motorcylce?")).await.expect("found");
    assert_eq!(hits[0].entry.id, kept[3].id, "a misspelt word is found by its likeness");
    assert!(search(store, &scope, "lisbon").await.iter().all(|hit| hit.why.is_none()));
}

/// Asking twice.
pub async fn the_same_question_has_the_same_answer(store: &Store) {
    let tenant = tenant("same");
    let entries = (0..200).map(|at| text(&format!("entry {at} about {}", ["rain", "snow", "sun"][at % 3]))).collect();
    store.remember(&tenant, entries).await.expect("kept");
    let scope = Scope::tenant(tenant);
    let first = search(store, &scope, "rain and sun about 17").await;
    assert_eq!(first, search(store, &scope, "rain and sun about 17").await);
    assert!(first[0].entry.entry.text.contains("17"));
}

/// Forgetting.
pub async fn what_is_forgotten_is_gone(store: &Store) {
    let (tenant, other) = (tenant("forget"), tenant("forget"));
    let of =
        |text: &str, source: &str| NewEntry { text: text.into(), source: Some(source.into()), ..NewEntry::default() };
    let entries = vec![of("plum one", "a"), of("plum two", "a"), of("plum three", "a%"), of("plum four", "b")];
    let kept = store.remember(&tenant, entries.clone()).await.expect("kept");
    store.remember(&other, entries).await.expect("kept");
    let scope = Scope::tenant(tenant.clone());
    assert_eq!(search(store, &scope, "plum").await.len(), 4);
    assert!(!store.forget(&other, kept[0].id).await.expect("another tenant's"));
    assert!(store.forget(&tenant, kept[3].id).await.expect("forgotten"));
    assert!(!store.forget(&tenant, kept[3].id).await.expect("again"));
    assert_eq!(store.get(&tenant, kept[3].id).await.expect("read"), None);
    assert_eq!(store.forget_source(&tenant, "a").await.expect("forgotten"), 2);
    assert_eq!(store.forget_source(&tenant, "a").await.expect("again"), 0);
    let left = search(store, &scope, "plum one two three four").await;
    assert_eq!(left.iter().map(|hit| hit.entry.id).collect::<Vec<_>>(), [kept[2].id]);
    assert_eq!((count(store, &tenant).await, count(store, &other).await), (1, 4));
    let again = store.remember(&tenant, vec![of("plum one", "a")]).await.expect("kept");
    assert!(!again[0].duplicate, "what was forgotten is new");
    assert_eq!(search(store, &scope, "plum").await.len(), 2);
}

/// Refusals say which bound and which entry.
pub async fn bounds_are_named(store: &Store) {
    let tenant = tenant("bounds");
    let huge = "x".repeat((1 << 20) + 1);
    for (entries, part) in [(vec![text("")], "empty"), (vec![text("fine"), text(&huge)], "1048577")] {
        let error = store.remember(&tenant, entries).await.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(part), "{error}");
    }
    let error = store.search(&Scope::tenant(tenant.clone()), &Query::new("y".repeat(10_001), 5)).await;
    assert_eq!(error.expect_err("refused").kind(), ErrorKind::Invalid);
    assert!(search(store, &Scope::tenant(tenant.clone()), &"why ".repeat(2_500)).await.is_empty());
    for nothing in ["", " ", "?!", "\u{0}", "\u{1f600}"] {
        assert!(search(store, &Scope::tenant(tenant.clone()), nothing).await.is_empty());
    }
    assert_eq!(count(store, &tenant).await, 0);
}

/// Any text is kept as it is.
pub async fn hostile_text_is_kept_exactly(store: &Store) {
    let tenant = tenant("hostile");
    let texts = [
        "nul \0 within".to_owned(),
        "\u{202e}right to left\u{202c} \u{1f469}\u{200d}\u{1f680} \u{fffd}".to_owned(),
        "'; DROP TABLE entries; -- \" OR 1=1 NEAR(a b) * ^ {x} :".to_owned(),
        " ".to_owned(),
        "a\u{301}".repeat(1000),
        "\u{10ffff}\u{feff}\u{1}".to_owned(),
        format!("needle {}", "wide ".repeat(209_000)),
        "z".repeat(1 << 20),
    ];
    let kept = store.remember(&tenant, texts.iter().map(|one| text(one)).collect()).await.expect("kept");
    for (one, given) in kept.iter().zip(&texts) {
        let entry = store.get(&tenant, one.id).await.expect("read").expect("there");
        assert!(entry.entry.text == *given, "a text of {} bytes changed", given.len());
    }
    let scope = Scope::tenant(tenant);
    for (query, wanted) in [("needle", 6), ("\"drop table\" OR *", 2), ("within\0", 0)] {
        let hits = search(store, &scope, query).await;
        assert_eq!(hits.first().map(|hit| hit.entry.id), Some(kept[wanted].id), "{query:?}");
    }
}

/// Forms of words, names and scripts.
pub async fn words_are_found_in_their_forms_and_scripts(store: &Store) {
    let tenant = tenant("words");
    let texts = [
        "Deployments were resumed",
        "set max_retry_count in config.yaml",
        "Caf\u{e9} M\u{fc}nchen \u{2014} \u{fb01}ne",
        "\u{6771}\u{4eac}\u{30bf}\u{30ef}\u{30fc}\u{306b}\u{884c}\u{3063}\u{305f}",
        "\u{41c}\u{43e}\u{441}\u{43a}\u{432}\u{430} \u{437}\u{438}\u{43c}\u{43e}\u{439}",
        "version 42 of GPT-4",
    ];
    let kept = store.remember(&tenant, texts.iter().map(|one| text(one)).collect()).await.expect("kept");
    let scope = Scope::tenant(tenant);
    for (query, wanted) in [
        ("resuming a deployment", 0),
        ("maxRetryCount", 1),
        ("retry", 1),
        ("CAFE\u{301}", 2),
        ("fine", 2),
        ("\u{6771}\u{4eac}", 3),
        ("\u{43c}\u{43e}\u{441}\u{43a}\u{432}\u{430}", 4),
        ("gpt4", 5),
        ("42", 5),
    ] {
        let hits = search(store, &scope, query).await;
        assert_eq!(hits.first().map(|hit| hit.entry.id), Some(kept[wanted].id), "{query:?}");
    }
}

/// The most hits.
pub async fn k_bounds_the_answer(store: &Store) {
    let tenant = tenant("bound");
    store.remember(&tenant, (0..40).map(|at| text(&format!("same words {at}"))).collect()).await.expect("kept");
    let scope = Scope::tenant(tenant);
    let all = store.search(&scope, &Query::new("same words", usize::MAX)).await.expect("found");
    assert_eq!(all.len(), 40);
    for k in [0, 1, 7, 39, 40, 41] {
        let hits = store.search(&scope, &Query::new("same words", k)).await.expect("found");
        assert_eq!(hits, all[..k.min(40)], "k = {k}");
    }
}

/// A bulk.
pub async fn many_entries_at_once(store: &Store) {
    let tenant = tenant("bulk");
    let entries: Vec<NewEntry> = (0..1500).map(|at| text(&format!("line {at} of the bulk"))).collect();
    let kept = store.remember(&tenant, entries.clone()).await.expect("kept");
    assert!(kept.iter().all(|one| !one.duplicate));
    assert!(store.remember(&tenant, entries).await.expect("kept").iter().all(|one| one.duplicate));
    assert_eq!(count(store, &tenant).await, 1500);
    let hits = search(store, &Scope::tenant(tenant), "1234").await;
    assert_eq!(hits.iter().map(|hit| hit.entry.id).collect::<Vec<_>>(), [kept[1234].id]);
}

pub(super) fn text(text: &str) -> NewEntry {
    NewEntry { text: text.into(), ..NewEntry::default() }
}

pub(super) async fn search(store: &Store, scope: &Scope, words: &str) -> Vec<Hit> {
    store.search(scope, &Query::new(words, 50)).await.expect("found")
}

pub(super) async fn count(store: &Store, tenant: &TenantId) -> u64 {
    store.count(&Scope::tenant(tenant.clone())).await.expect("counted")
}
