//! What is taken in again: only what changed, with nothing lost on the way.

use std::sync::Arc;

use l9_core::ErrorKind;
use l9_core::id::{AgentId, TenantId};
use l9_core::memory::{Curation, MemoryStore, NewEntry, NewQuarantine, Query, Scope, Suspect};
use l9_memory::ingest::{Change, Ingest, Options, Report, Status};

use super::failing::Failing;
use super::place::{Place, document};

fn changes(report: &Report) -> Vec<(String, Change)> {
    let name = |path: &std::path::Path| path.file_name().unwrap().to_string_lossy().into_owned();
    report.changes.iter().map(|one| (name(&one.path), one.change)).collect()
}

fn change(name: &str, change: Change) -> (String, Change) {
    (name.to_owned(), change)
}

#[tokio::test]
async fn a_changed_piece_is_kept_anew_and_the_others_stay_who_they_are() {
    let place = Place::new();
    let path = place.write("a.md", document(8));
    place.take(&path).await.unwrap();
    let same = place.found("number3").await[0].id;
    let other = place.found("number5").await[0].id;
    place.write("a.md", document(8).replace("number5", "number55"));
    let report = place.take(&path).await.unwrap();
    // The changed piece, and the one that stands for the file.
    assert_eq!((report.stored, report.duplicates, report.replaced), (2, 6, 2), "{report:?}");
    assert_eq!((place.found("number3").await[0].id, place.count().await), (same, 8));
    assert!(place.found("number55").await[0].id != other && place.found("number5").await.is_empty());
    assert_eq!(place.take(&path).await.unwrap().unchanged, 1);
    // A piece that moved says where it stands now.
    place.write("a.md", format!("\n\n{}", document(8)));
    place.take(&path).await.unwrap();
    let text = format!("\n\n{}", document(8));
    let moved = &place.found("number3").await[0].entry;
    let line = text[..text.find(&moved.text).unwrap()].matches('\n').count() + 1;
    assert!(moved.position.as_ref().unwrap().starts_with(&format!("lines {line}-")));
    assert_eq!(place.count().await, 8);
}

#[tokio::test]
async fn what_only_its_surroundings_changed_is_kept_anew_as_well() {
    let place = Place::new();
    let path = place.write("a.md", document(8));
    place.take(&path).await.unwrap();
    place.write("a.md", document(8).replace("# Title", "# Other"));
    place.take(&path).await.unwrap();
    assert_eq!(place.found("number6").await[0].entry.metadata["heading"], "Other > Part 6");
    let lines = place.write("b.jsonl", "{\"text\": \"one\", \"key\": \"k\", \"metadata\": {\"user\": \"ada\"}}\n");
    place.take(&lines).await.unwrap();
    place.write("b.jsonl", "{\"text\": \"two\", \"key\": \"k\", \"metadata\": {\"user\": \"bob\"}}\n");
    let report = place.take(&lines).await.unwrap();
    assert_eq!((report.stored, report.replaced, place.count().await), (1, 1, 9));
    assert!(place.found("one").await.is_empty());
    assert_eq!(place.found("two").await[0].entry.metadata["user"], "bob");
    assert_eq!(place.take(&lines).await.unwrap().unchanged, 1);
}

#[tokio::test]
async fn files_that_are_gone_go_and_renamed_ones_are_told() {
    let place = Place::new();
    let docs = place.path("docs");
    for (name, words) in [("a.txt", "apples"), ("b.txt", "berries"), ("sub/c.txt", "cherries"), ("d.txt", "dates")] {
        place.write(&format!("docs/{name}"), words);
    }
    place.write("docs2/a.txt", "other apples");
    place.take(&place.path("docs2")).await.unwrap();
    let first = place.take(&docs).await.unwrap();
    assert!(first.count(Change::New) == 4 && first.changes.len() == 4);
    std::fs::remove_dir_all(docs.join("sub")).unwrap();
    std::fs::rename(docs.join("b.txt"), docs.join("bb.txt")).unwrap();
    place.write("docs/d.txt", "durians");
    place.write("docs/e.txt", "elderberries");
    let expected = [
        change("bb.txt", Change::Renamed),
        change("d.txt", Change::Changed),
        change("e.txt", Change::New),
        change("c.txt", Change::Removed),
    ];
    let before = place.count().await;
    let dry = place.take_with(&docs, Options { dry_run: true, ..Options::default() }).await;
    assert_eq!((changes(&dry), place.count().await), (expected.to_vec(), before));
    assert_eq!((dry.stored, dry.replaced, dry.removed, dry.dry_run), (3, 1, 2, true));
    let kept = place.take_with(&docs, Options { keep_missing: true, ..Options::default() }).await;
    assert_eq!((kept.count(Change::New), kept.removed), (2, 0));
    assert!(!place.found("cherries").await.is_empty());
    let report = place.take(&docs).await.unwrap();
    assert_eq!(report.removed, 2);
    assert!(place.found("cherries").await.is_empty());
    assert_eq!(place.found("berries").await[0].entry.source.as_deref(), docs.join("bb.txt").to_str());
    assert_eq!((place.count().await, place.take(&docs).await.unwrap().unchanged), (5, 4));
    assert!(!place.found("apples").await.is_empty());
    let again = place.take_with(&docs, Options { dry_run: true, ..Options::default() }).await;
    assert_eq!((again.unchanged, again.changes.len()), (4, 0));
}

#[tokio::test]
async fn a_rename_in_one_go_says_the_name_before() {
    let place = Place::new();
    let docs = place.path("docs");
    place.write("docs/b.txt", "berries");
    place.take(&docs).await.unwrap();
    std::fs::rename(docs.join("b.txt"), docs.join("bb.txt")).unwrap();
    let report = place.take(&docs).await.unwrap();
    assert_eq!(changes(&report), [change("bb.txt", Change::Renamed)]);
    assert_eq!(report.changes[0].from.as_deref(), Some(docs.join("b.txt").as_path()));
    assert_eq!((report.stored, report.removed, place.count().await), (1, 1, 1));
}

#[tokio::test]
async fn a_file_that_is_refused_gives_its_place_in_the_report_to_no_other() {
    let (place, tenant) = (Place::new(), TenantId::default_tenant());
    let docs = place.path("docs");
    place.write("docs/m.jsonl", "{\"text\": \"merlins\", \"key\": \"k\"}\n{\"text\": \"hobbies\"}\n");
    place.take(&docs).await.unwrap();
    // The key has other words by now, so that what comes back under another name is refused.
    place.memory.forget(&tenant, place.found("merlins").await[0].id).await.unwrap();
    let other = NewEntry { text: "kestrels".into(), key: Some("k".into()), ..NewEntry::default() };
    place.memory.remember(&tenant, vec![other]).await.unwrap();
    std::fs::rename(docs.join("m.jsonl"), docs.join("b.jsonl")).unwrap();
    place.write("docs/c.txt", "cherries");
    let report = place.take(&docs).await.unwrap();
    assert_eq!(report.skipped.len(), 1, "{report:?}");
    assert_eq!(changes(&report), [change("c.txt", Change::New), change("m.jsonl", Change::Removed)]);
}

#[tokio::test]
async fn nothing_goes_that_is_another_s_or_cannot_be_seen() {
    let place = Place::new();
    let docs = place.path("docs");
    place.write("docs/a.txt", "apples");
    place.write("docs/b.txt", "berries");
    place.take(&docs).await.unwrap();
    let own = place.ingest().with_agent(Some(AgentId::new("writer").unwrap()));
    own.path(&docs, &|_: &Status| {}).await.unwrap();
    // A file that is there and cannot be read any more.
    place.write("docs/a.txt", b"caf\xe9");
    std::fs::remove_file(docs.join("b.txt")).unwrap();
    let report = place.take(&docs).await.unwrap();
    assert_eq!((report.removed, report.skipped.len()), (1, 1));
    let found = place.found("apples berries").await;
    let agents: Vec<_> = found.iter().filter(|one| one.entry.text == "berries").map(|one| &one.entry.agent).collect();
    assert_eq!((found.len(), agents), (3, vec![&Some(AgentId::new("writer").unwrap())]));
    // Another folder of the same name, elsewhere.
    std::fs::rename(&docs, place.path("was")).unwrap();
    place.write("other/c.txt", "cherries");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(place.path("other"), &docs).unwrap();
        let report = place.take(&docs).await.unwrap();
        assert_eq!((report.removed, report.skipped.len(), report.stored), (0, 1, 1), "{report:?}");
        assert!(report.skipped[0].reason.contains("another folder of this name"));
    }
}

#[tokio::test]
async fn what_a_gitignore_names_is_left_out_and_goes() {
    let place = Place::new();
    let tree = place.path("tree");
    place.write("tree/src/lib.rs", "//! The library of kestrels.\n");
    place.write("tree/target/out.txt", "generated kestrels");
    place.write("tree/src/gen/a.rs", "// generated merlins");
    place.write("tree/src/gen/keep.rs", "// kept hobbies");
    assert_eq!(place.take(&tree).await.unwrap().files, 4);
    place.write("tree/.gitignore", "/target/\n*.rs\n!*.rs\n");
    place.write("tree/src/.gitignore", "gen/*\n!gen/keep.rs\n");
    let report = place.take(&tree).await.unwrap();
    assert_eq!((report.files, report.ignored, report.removed), (2, 2, 2), "{report:?}");
    assert!(place.found("merlins").await.is_empty() && !place.found("hobbies").await.is_empty());
    let all = place.take_with(&tree, Options { ignores: false, ..Options::default() }).await;
    assert_eq!((all.files, all.ignored, all.stored), (4, 0, 2));
}

#[tokio::test]
async fn a_store_that_fails_in_the_middle_loses_nothing_and_is_gone_on_with() {
    let place = Place::new();
    let docs = place.path("docs");
    // Two calls of a thousand pieces, and some more.
    let text = document(2_500);
    place.write("docs/a.md", &text);
    place.write("docs/b.txt", "berries");
    let failing = Failing::after(1_500, &place.memory);
    let ingest = Ingest::new(Arc::new(failing), TenantId::default_tenant());
    let error = ingest.path(&docs, &|_: &Status| {}).await.unwrap_err();
    assert_eq!((error.kind(), place.count().await), (ErrorKind::Exhausted, 1_000));
    let rest = place.take(&docs).await.unwrap();
    assert_eq!((rest.stored, rest.duplicates, place.count().await), (1_501, 1_000, 2_501));
    // A change whose new words have no room leaves the old ones where they are.
    place.write("docs/a.md", text.replace("number", "figure"));
    let failing = Failing::after(0, &place.memory);
    let ingest = Ingest::new(Arc::new(failing), TenantId::default_tenant());
    assert_eq!(ingest.path(&docs, &|_: &Status| {}).await.unwrap_err().kind(), ErrorKind::Exhausted);
    assert_eq!(place.count().await, 2_501);
    assert!(!place.found("number2400").await.is_empty());
    place.take(&docs).await.unwrap();
    assert_eq!(place.count().await, 2_501);
    assert!(place.found("number2400").await.is_empty() && !place.found("figure2400").await.is_empty());
}

#[tokio::test]
async fn what_is_hidden_of_a_file_is_known_and_what_is_forgotten_is_taken_in_anew() {
    let place = Place::new();
    let (tenant, path) = (TenantId::default_tenant(), place.write("a.md", document(8)));
    place.take(&path).await.unwrap();
    let source = path.to_str().unwrap().to_owned();
    let suspect = Suspect::Source(source.clone());
    let new = NewQuarantine { suspect, reason: "forged".into(), by: "a person".into() };
    let hidden = place.memory.quarantine(&tenant, new).await.unwrap();
    assert_eq!((hidden.entries.len(), place.count().await), (8, 0));
    let report = place.take(&path).await.unwrap();
    assert_eq!((report.stored, place.count().await), (0, 0), "{report:?}");
    place.memory.release(&tenant, hidden.quarantine.id, "a person").await.unwrap();
    let old = place.found("number3").await[0].id;
    let other = NewEntry { text: "Part 3 says otherwise.".into(), ..NewEntry::default() };
    place.memory.supersede(&tenant, old, other).await.unwrap();
    assert_eq!(place.take(&path).await.unwrap().stored, 0);
    assert!(place.found("number3").await.is_empty());
    // A snapshot covers what is forgotten now: its bytes are there, and are no piece of the file.
    place.memory.snapshot(&tenant, None, "before", "a person").await.unwrap();
    assert_eq!(place.memory.forget_source(&tenant, &source).await.unwrap(), 8);
    assert_eq!(place.memory.of_source(&tenant, &source).await.unwrap(), []);
    assert_eq!(place.memory.sources(&tenant).await.unwrap(), []);
    assert_eq!(place.take(&path).await.unwrap().stored, 8);
    assert!(!place.found("number3").await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_in_answers_while_it_is_taken_in_again() {
    let place = Place::new();
    let path = place.write("a.md", document(3_000));
    place.take(&path).await.unwrap();
    let (memory, done) = (place.memory.clone(), tokio_util::sync::CancellationToken::new());
    let ended = done.clone();
    let watch = tokio::spawn(async move {
        let mut looks = 0;
        while !ended.is_cancelled() {
            let query = Query::new("more is said here", 10);
            let hits = memory.search(&Scope::tenant(TenantId::default_tenant()), &query).await.unwrap();
            assert_eq!(hits.len(), 10, "after {looks} looks");
            looks += 1;
        }
        looks
    });
    place.write("a.md", document(3_000).replace("number", "figure"));
    let report = place.take(&path).await.unwrap();
    done.cancel();
    assert!(watch.await.unwrap() > 1);
    assert_eq!((report.stored as u64, report.replaced, place.count().await), (3_000, 3_000, 3_000));
}
