//! What every backend does with what is about a data subject: it is found by the subject's
//! keyed name, and erased for good.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::chain::{Chain, command, tenant};
use super::curation::keep;
use super::memory::{Store, search, text};
use super::steps::{kind, started, started_in};
use crate::ErrorKind;
use crate::digest::Digest;
use crate::id::RunId;
use crate::journal::{Along, Append, Artifact, NewRun, RunStore, Snapshot, Status};
use crate::label::{Label, MAX_SUBJECTS};
use crate::memory::{NewEntry, Scope, Standing};
use crate::run::Record;

/// Runs are found by whom they are about, and erased for good.
pub(super) async fn runs_are_erased_with_their_forks(store: &dyn RunStore) {
    let (mut chain, lease) = started(store, "about").await;
    let (tenant, run) = (chain.tenant.clone(), chain.run);
    let (ada, bob) = (Digest::from_bytes([1; 32]), Digest::from_bytes([2; 32]));
    let mut told = chain.append(&lease, 2, 10);
    told.along = vec![Along::About(ada), Along::About(ada)];
    let artifact = Artifact { id: Digest::from_bytes([3; 32]), sealed: b"value".to_vec() };
    told.artifacts = vec![artifact.clone()];
    store.append(told).await.expect("appended");
    let open = store.about(&tenant, &ada).await.expect("found");
    assert_eq!(open.iter().map(|row| row.run).collect::<Vec<_>>(), [run]);
    assert_eq!(kind(store.erase(&tenant, run, &[]).await), ErrorKind::Conflict);
    let mut last = chain.append(&lease, 1, 10);
    last.status = Status::Succeeded;
    last.snapshot = Some(Snapshot { head: chain.head, sealed: b"last".to_vec() });
    store.append(last).await.expect("closed");

    let (mut fork, before) = (Chain::new(&tenant), store.read(&tenant, run, 0, 10).await.expect("read"));
    store.create(fork.forked(&before[1]).0).await.expect("forked");
    let mut other = Chain::new(&tenant);
    let new = NewRun { about: vec![ada, bob], ..other.created() };
    store.create(new).await.expect("created");
    let about = async |subject| {
        let rows = store.about(&tenant, subject).await.expect("found");
        rows.into_iter().map(|row| row.run).collect::<BTreeSet<_>>()
    };
    assert_eq!(about(&ada).await, BTreeSet::from([run, fork.run, other.run]));
    assert_eq!(about(&bob).await, BTreeSet::from([other.run]));
    assert_eq!(store.about(&super::chain::tenant("about"), &ada).await.expect("found"), [], "another tenant's are not");

    assert_eq!(store.erase(&tenant, run, &[artifact.id]).await.expect("erased"), before.len() as u64);
    assert_eq!(store.erase(&tenant, run, &[artifact.id]).await.expect("again"), 0);
    let after = store.read(&tenant, run, 0, 10).await.expect("read");
    for (before, after) in before.iter().zip(after) {
        assert_eq!(Record { body: Vec::new(), ..before.clone() }, after);
    }
    assert_eq!(store.snapshot(&tenant, run).await.expect("read"), None);
    assert_eq!(store.artifact(&tenant, artifact.id).await.expect("read"), None);
    assert_eq!(about(&ada).await, BTreeSet::from([other.run]), "the fork was found by its parent");
    assert_eq!(kind(store.refill(&tenant, run, before).await), ErrorKind::Conflict, "an archive brings nothing back");
    assert_eq!(kind(store.erase(&tenant, Chain::new(&tenant).run, &[]).await), ErrorKind::NotFound);
}

/// A run into whose inbox something about a subject came is found before it has looked.
pub(super) async fn who_is_told_of_a_subject_is_about_it_at_once(store: &dyn RunStore) {
    let (mut chain, lease) = started(store, "told").await;
    let tenant = chain.tenant.clone();
    let (parent, held) = started_in(store, &tenant).await;
    store.release(&held, None).await.expect("released");
    let (mut ended, last) = started_in(store, &tenant).await;
    let mut closing = ended.append(&last, 1, 10);
    closing.status = Status::Succeeded;
    store.append(closing).await.expect("closed");
    let ada = Digest::from_bytes([4; 32]);
    let tell = |run, id| Along::Post { run, command: command(id), about: vec![ada] };
    let told = [tell(parent.run, "answer"), tell(ended.run, "late"), tell(Chain::new(&tenant).run, "lost")];
    // Refused, it tells nobody anything.
    let mut stale = chain.clone();
    drop(stale.append(&lease, 1, 10));
    let refused = Append { along: told.to_vec(), ..stale.append(&lease, 1, 10) };
    assert_eq!(kind(store.append(refused).await), ErrorKind::Conflict);
    assert_eq!(store.about(&tenant, &ada).await.expect("found"), []);
    let telling = Append { along: told.to_vec(), ..chain.append(&lease, 1, 10) };
    store.append(telling).await.expect("appended");
    let found: Vec<RunId> = store.about(&tenant, &ada).await.expect("found").iter().map(|row| row.run).collect();
    assert_eq!(found, [parent.run], "who has ended is told nothing");
}

/// Whom an entry is about stands in its label, and all of theirs goes, what derives from it too.
pub(super) async fn memories_are_erased_with_what_derives(store: &Store) {
    let tenant = tenant("subjects");
    let scope = Scope::tenant(tenant.clone());
    let about = |subject: &str, text: &str| NewEntry {
        text: text.into(),
        subject: Some(subject.into()),
        ..NewEntry::default()
    };
    let erased = async |subject: &Digest, also: &[Uuid], dry| {
        store.erase(&tenant, subject, also, dry).await.expect("erased").len()
    };
    let (ada, bob) = (store.subject(&tenant, "ada"), store.subject(&tenant, "bob"));
    assert!(ada != bob && ada != store.subject(&super::chain::tenant("subjects"), "ada"));
    let new = vec![about("ada", "plums for her"), about("bob", "plums for him"), text("plums for all")];
    let kept = store.remember(&tenant, new).await.expect("kept");
    let entry = store.get(&tenant, kept[0].id).await.expect("read").expect("there").entry;
    assert_eq!((entry.subject.as_deref(), entry.label.subjects), (Some("ada"), BTreeSet::from([ada])));
    let summary = NewEntry { derived_from: vec![kept[0].id], ..text("plums in short") };
    let summary = store.remember(&tenant, vec![summary]).await.expect("kept")[0].id;
    let label = store.get(&tenant, summary).await.expect("read").expect("there").entry.label;
    assert_eq!(label.subjects, BTreeSet::from([ada]), "whoever reads it reads of her");
    let of_both = Label { subjects: BTreeSet::from([ada, bob]), ..Label::trusted() };
    let labelled = NewEntry { label: of_both, ..text("plums of both") };
    let labelled = store.remember(&tenant, vec![labelled]).await.expect("kept")[0].id;
    assert_eq!(search(store, &scope, "plums").await.len(), 5);

    assert_eq!(erased(&ada, &[], true).await, 3);
    assert_eq!(search(store, &scope, "plums").await.len(), 5, "a dry run erases nothing");
    assert_eq!(erased(&ada, &[], false).await, 3);
    assert_eq!(erased(&ada, &[], false).await, 0);
    let left: BTreeSet<Uuid> = search(store, &scope, "plums").await.iter().map(|hit| hit.entry.id).collect();
    assert_eq!(left, BTreeSet::from([kept[1].id, kept[2].id]));
    for id in [kept[0].id, summary, labelled] {
        assert_eq!(store.get(&tenant, id).await.expect("read"), None);
    }
    // Who was erased may be spoken of again.
    store.remember(&tenant, vec![about("ada", "plums for her")]).await.expect("kept");
    assert_eq!((search(store, &scope, "plums").await.len(), erased(&ada, &[], true).await), (3, 1));
    assert_eq!(erased(&store.subject(&tenant, "nobody"), &[], false).await, 0);
}

/// A snapshot brings back what was forgotten, and nothing that was erased.
pub(super) async fn no_snapshot_holds_what_was_erased(store: &Store) {
    let tenant = tenant("erased");
    let scope = Scope::tenant(tenant.clone());
    let about = NewEntry { subject: Some("ada".into()), ..text("dates for her") };
    let (hers, plain) = (keep(store, &tenant, about).await, keep(store, &tenant, text("dates for all")).await);
    let snapshot = store.snapshot(&tenant, None, "both", "t").await.expect("taken").id;
    for id in [hers, plain] {
        assert!(store.forget(&tenant, id).await.expect("forgotten"));
    }
    let gone = store.erase(&tenant, &store.subject(&tenant, "ada"), &[], false).await.expect("erased");
    assert_eq!(gone, BTreeSet::from([hers]));
    let restored = store.restore(&tenant, snapshot, "t").await.expect("restored");
    assert_eq!((restored.returned, search(store, &scope, "dates").await.len()), (1, 1));
    assert_eq!(store.get(&tenant, hers).await.expect("read"), None);
}

/// What is erased by its id goes with what derives from it, whatever snapshots stand, and also
/// what is forgotten is there to be looked through.
pub(super) async fn single_memories_are_erased_from_snapshots_too(store: &Store) {
    let tenant = tenant("single");
    let scope = Scope::tenant(tenant.clone());
    let [named, forgotten, stays] = ["figs of Ada", "figs again, of Ada", "figs of nobody"];
    let named = keep(store, &tenant, text(named)).await;
    let short = keep(store, &tenant, NewEntry { derived_from: vec![named], ..text("figs in short") }).await;
    let (forgotten, stays) = (keep(store, &tenant, text(forgotten)).await, keep(store, &tenant, text(stays)).await);
    let snapshot = store.snapshot(&tenant, None, "all", "t").await.expect("taken").id;
    assert!(store.forget(&tenant, forgotten).await.expect("forgotten"));
    let stored = async |limit| {
        let (mut found, mut after) = (BTreeSet::new(), None);
        loop {
            let page = store.stored(&tenant, after, limit).await.expect("read");
            after = page.last().map(|stored| stored.id);
            let is_full = page.len() == limit;
            for stored in page {
                let entry = stored.entry.expect("it opens").expect("nobody is erased");
                assert!(entry.id == stored.id && entry.entry.text.starts_with("figs"));
                assert!(found.insert((stored.id, entry.standing == Standing::Forgotten)), "each once, in order");
            }
            if !is_full {
                return found;
            }
        }
    };
    let all = |id| (id, id == forgotten);
    for limit in [1, 3, 100] {
        assert_eq!(stored(limit).await, [named, short, forgotten, stays].map(all).into());
    }
    let nobody = store.subject(&tenant, "nobody");
    let unknown = Uuid::from_u128(7);
    for dry in [true, false] {
        let gone = store.erase(&tenant, &nobody, &[named, forgotten, unknown], dry).await.expect("erased");
        assert_eq!(gone, BTreeSet::from([named, short, forgotten]), "{dry}");
    }
    assert_eq!(stored(100).await, BTreeSet::from([all(stays)]));
    store.restore(&tenant, snapshot, "t").await.expect("restored");
    let found: Vec<Uuid> = search(store, &scope, "figs").await.iter().map(|hit| hit.entry.id).collect();
    assert_eq!(found, [stays]);
}

/// The same words about two people are two entries, or the one's erasure would be the other's.
pub(super) async fn equal_words_about_others_are_other_entries(store: &Store) {
    let tenant = tenant("equal");
    let about = |subject: &str, key: Option<&str>| NewEntry {
        text: "likes pears".into(),
        subject: Some(subject.into()),
        key: key.map(str::to_owned),
        ..NewEntry::default()
    };
    let of_both = vec![about("ada", None), about("bob", None), text("likes pears"), about("ada", None)];
    let kept = store.remember(&tenant, of_both.clone()).await.expect("kept");
    assert_eq!(kept.iter().map(|kept| kept.duplicate).collect::<Vec<_>>(), [false, false, false, true]);
    let again = store.remember(&tenant, of_both).await.expect("kept");
    assert!(again.iter().all(|again| again.duplicate));
    assert_eq!(again.iter().map(|again| again.id).collect::<Vec<_>>(), kept.iter().map(|it| it.id).collect::<Vec<_>>());
    // As a label of a run says it, or what it derives from.
    let label = Label { subjects: BTreeSet::from([store.subject(&tenant, "bob")]), ..Label::trusted() };
    let derived = NewEntry { derived_from: vec![kept[1].id], ..text("likes pears") };
    for new in [NewEntry { label, ..text("likes pears") }, derived] {
        let known = store.remember(&tenant, vec![new]).await.expect("kept")[0];
        assert_eq!((known.id, known.duplicate), (kept[1].id, true));
    }
    // What has a key is one entry, and says of whom.
    store.remember(&tenant, vec![about("ada", Some("taste"))]).await.expect("kept");
    assert!(store.remember(&tenant, vec![about("ada", Some("taste"))]).await.expect("kept")[0].duplicate);
    assert_eq!(kind(store.remember(&tenant, vec![about("bob", Some("taste"))]).await), ErrorKind::Conflict);
    let two = vec![about("ada", Some("new")), about("bob", Some("new"))];
    assert_eq!(kind(store.remember(&tenant, two).await), ErrorKind::Conflict);

    assert_eq!(store.erase(&tenant, &store.subject(&tenant, "ada"), &[], false).await.expect("erased").len(), 2);
    let left: BTreeSet<Uuid> =
        search(store, &Scope::tenant(tenant.clone()), "pears").await.iter().map(|hit| hit.entry.id).collect();
    assert_eq!(left, BTreeSet::from([kept[1].id, kept[2].id]));
}

/// What would be about too many people is refused, those of what it derives from included.
pub(super) async fn an_entry_is_about_a_bounded_number(store: &Store) {
    let tenant = tenant("many");
    let people = |from: usize, count: usize| {
        let subjects = (from..from + count).map(|at| store.subject(&tenant, &at.to_string())).collect();
        Label { subjects, ..Label::trusted() }
    };
    let about = |label: Label, said: &str| NewEntry { label, ..text(said) };
    let most = keep(store, &tenant, about(people(0, MAX_SUBJECTS), "of most")).await;
    let other = keep(store, &tenant, about(people(MAX_SUBJECTS, 1), "of another")).await;
    let refused = store.remember(&tenant, vec![about(people(0, MAX_SUBJECTS + 1), "of too many")]).await;
    assert_eq!(kind(refused), ErrorKind::Invalid);
    let derived = NewEntry { derived_from: vec![most, other], ..text("of too many") };
    assert_eq!(kind(store.remember(&tenant, vec![derived]).await), ErrorKind::Invalid);
}
