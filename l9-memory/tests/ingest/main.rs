//! Files and folders become memories that quote exactly, once.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod again;
mod documents;
mod failing;
mod place;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use l9_core::ErrorKind;
use l9_core::id::{AgentId, TenantId};
use l9_core::memory::MemoryStore;
use l9_memory::ingest::{Ingest, Status};
use place::{Place, document};

#[tokio::test]
async fn pieces_stand_in_their_files_and_say_where() {
    let place = Place::new();
    let text = document(30);
    place.write("docs/a.md", &text);
    place.write("docs/sub/b.txt", "Plain words about kestrels.\r\n");
    let report = place.take(&place.folder.path().join("docs")).await.unwrap();
    assert_eq!((report.files, report.stored as u64, report.skipped.len()), (2, place.count().await, 0));
    let entry = &place.found("number17").await[0].entry;
    assert!(text.contains(&entry.text) && entry.text.starts_with("## Part 17"));
    assert_eq!(entry.metadata["heading"], "Title > Part 17");
    let source = place.folder.path().join("docs").join("a.md");
    assert_eq!(entry.source.as_deref(), source.to_str());
    let line = text[..text.find(&entry.text).unwrap()].matches('\n').count() + 1;
    assert!(entry.position.as_ref().unwrap().starts_with(&format!("lines {line}-")), "{:?}", entry.position);
    assert_eq!(place.found("kestrel").await[0].entry.text, "Plain words about kestrels.");
}

#[tokio::test]
async fn taking_in_again_stores_nothing_and_a_change_replaces() {
    let place = Place::new();
    let path = place.write("a.md", document(8));
    let first = place.take(&path).await.unwrap();
    let again = place.take(&path).await.unwrap();
    assert_eq!((again.stored, again.unchanged, again.duplicates), (0, 1, first.stored));
    // Shorter by whole pieces: those that remain are as they were.
    place.write("a.md", document(5));
    let shorter = place.take(&path).await.unwrap();
    // The first piece stands for the file, so it is kept anew; the next three stay.
    assert_eq!((shorter.stored, shorter.duplicates, shorter.replaced), (1, 4, 4), "{shorter:?}");
    assert_eq!(place.count().await, 5);
    assert!(place.found("number7").await.is_empty() && !place.found("number4").await.is_empty());
    // A change in the first piece.
    place.write("a.md", document(5).replace("Title", "Other"));
    place.take(&path).await.unwrap();
    assert_eq!(place.count().await, 5);
    place.write("a.md", "");
    assert_eq!(place.take(&path).await.unwrap().skipped[0].reason, "it has no words");
    assert_eq!(place.count().await, 0);
}

#[tokio::test]
async fn an_intake_that_was_broken_off_is_completed() {
    let place = Place::new();
    let path = place.write("a.md", document(12));
    let whole = place.take(&path).await.unwrap();
    for lost in [vec![3, 4], vec![0], vec![11], (1..12).collect()] {
        for part in lost {
            for entry in place.found(&format!("number{part}")).await {
                place.memory.forget(&TenantId::default_tenant(), entry.id).await.unwrap();
            }
        }
        place.take(&path).await.unwrap();
        assert_eq!(place.count().await, whole.stored as u64);
        for part in 0..12 {
            assert!(!place.found(&format!("number{part}")).await.is_empty(), "part {part}");
        }
    }
}

#[tokio::test]
async fn what_is_no_text_is_refused_by_name_and_skipped_in_folders() {
    let place = Place::new();
    let nul = place.write("d/nul.txt", b"abc\0def");
    let latin = place.write("d/latin.md", b"caf\xe9");
    place.write("d/picture.png", b"\x89PNG");
    place.write("d/bad.jsonl", "{\"text\": \"fine\"}\nnot json\n");
    place.write("d/.hidden/x.txt", "secret");
    place.write("d/CVS/x.txt", "old");
    place.write("d/good.txt", "good words");
    for (path, part) in [(&nul, "NUL byte stands at offset 3"), (&latin, "offset 3")] {
        let error = place.take(path).await.unwrap_err();
        assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains(part), "{error}");
    }
    let report = place.take(&place.folder.path().join("d")).await.unwrap();
    assert_eq!((report.files, report.stored, place.count().await), (1, 1, 1));
    let names: Vec<_> = report.skipped.iter().map(|one| one.path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["picture.png", "bad.jsonl", "latin.md", "nul.txt"]);
    assert!(report.skipped[1].reason.contains("line 2"), "{:?}", report.skipped);
    assert_eq!(place.take(&place.folder.path().join("none")).await.unwrap_err().kind(), ErrorKind::NotFound);
    // Named by itself, any UTF-8 text will do.
    let odd = place.write("notes.xyz", "odd words");
    assert_eq!(place.take(&odd).await.unwrap().stored, 1);
}

#[tokio::test]
#[cfg(unix)]
async fn links_are_followed_within_the_folder_only_and_loops_end() {
    use std::os::unix::fs::symlink;
    let place = Place::new();
    place.write("outside/secret.txt", "secret words");
    place.write("in/a.txt", "inner words");
    place.write("in/sub/b.txt", "other words");
    let inner = place.folder.path().join("in");
    symlink(place.folder.path().join("outside"), inner.join("out")).unwrap();
    symlink(place.folder.path().join("outside/secret.txt"), inner.join("s.txt")).unwrap();
    symlink(&inner, inner.join("sub/loop")).unwrap();
    symlink("nowhere", inner.join("broken.txt")).unwrap();
    let report = place.take(&inner).await.unwrap();
    assert_eq!(report.stored, 2);
    assert_eq!(report.skipped.len(), 3, "{:?}", report.skipped);
    assert!(place.found("secret").await.is_empty());
}

#[tokio::test]
async fn json_lines_bring_their_fields_and_keys() {
    let place = Place::new();
    let path = place.write(
        "log.ndjson",
        "{\"message\": \"disk full\", \"host\": \"db-1\"}\n{\"text\": \"said\", \"key\": \"D1:1\", \"session\": \"s\"}\n",
    );
    let report = place.take(&path).await.unwrap();
    assert_eq!(report.stored, 2);
    let entry = &place.found("disk").await[0].entry;
    assert_eq!((entry.metadata["host"].as_str(), entry.position.as_deref()), (Some("db-1"), Some("line 1")));
    let said = &place.found("said").await[0].entry;
    assert_eq!((said.key.as_deref(), said.session.as_deref()), (Some("D1:1"), Some("s")));
    assert_eq!(place.take(&path).await.unwrap().stored, 0);
}

#[tokio::test]
async fn agents_have_their_own_and_progress_is_told() {
    let place = Place::new();
    let path = place.write("docs/a.md", document(400));
    let store: Arc<dyn MemoryStore> = place.memory.clone();
    let heard = AtomicUsize::new(0);
    for agent in ["a", "b"] {
        let ingest =
            Ingest::new(store.clone(), TenantId::default_tenant()).with_agent(Some(AgentId::new(agent).unwrap()));
        let report = ingest
            .path(&path, &|status: &Status| {
                assert!(status.done <= status.files && status.files == 1);
                heard.fetch_add(1, Ordering::Relaxed);
            })
            .await
            .unwrap();
        assert!(report.stored > 300 && report.replaced == 0);
    }
    assert!(heard.load(Ordering::Relaxed) >= 6);
}
