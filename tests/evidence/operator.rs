//! What is tampered with in the database, as the system itself finds it.

use std::path::Path;
use std::time::Duration;

use l9::digest::Digest;
use l9::evidence::{Order, Standstill, Turn};
use l9::stop::Scope;

use crate::system::{System, open};

/// Runs SQL over the database, with Python's library.
fn sql(folder: &Path, script: &str) {
    let code = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.executescript(sys.argv[2]); db.commit()";
    let status = std::process::Command::new("python3")
        .args(["-c", code])
        .arg(folder.join("l9.db"))
        .arg(script)
        .status()
        .unwrap();
    assert!(status.success());
}

async fn tampered(script: &str) -> l9::evidence::Report {
    let system = System::open().await;
    system.run().await;
    system.run().await;
    system.runtime.shutdown().await;
    sql(system.folder.path(), script);
    let runtime = open(system.folder.path()).await;
    let report = runtime.verify().await.unwrap();
    runtime.shutdown().await;
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rebuilt_tree_shows_what_was_done_to_the_records_or_to_the_tree() {
    let report = tampered("UPDATE records SET hash = zeroblob(32) WHERE position = 4").await;
    let named = report.faults.iter().any(|fault| fault.seq == Some(3) && fault.what.contains("leaf 3"));
    assert!(named && !report.is_whole(), "{report:?}");
    for (script, words) in [
        ("DELETE FROM records WHERE position = 4", "leaf 3 is missing"),
        ("DELETE FROM records WHERE position > 4", "is missing"),
        ("UPDATE audit_checkpoints SET note = replace(note, 'time ', 'time 1')", "signature"),
        ("DELETE FROM audit_checkpoints WHERE size = (SELECT max(size) FROM audit_checkpoints)", ""),
    ] {
        let report = tampered(script).await;
        let faults = report.tree.as_ref().unwrap().faults.join("; ");
        let quiet = words.is_empty() && report.is_whole();
        assert!(quiet || faults.contains(words) && !report.is_whole(), "{script}: {report:?}");
    }
    let report = tampered("UPDATE audit_tiles SET hashes = zeroblob(length(hashes)) WHERE level = 0").await;
    assert!(report.faults.iter().any(|fault| fault.what.contains("leaf 0")), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_that_was_tampered_with_is_not_signed_over() {
    let system = System::open().await;
    system.run().await;
    system.runtime.shutdown().await;
    sql(system.folder.path(), "UPDATE audit_tiles SET hashes = zeroblob(length(hashes)) WHERE level = 0");
    let runtime = open(system.folder.path()).await;
    let run = runtime.run("scribe", "write").await.unwrap();
    run.outcome().await.unwrap();
    let error = runtime.audit().checkpoint().await.unwrap_err();
    assert!(error.to_string().contains("not that of its newest checkpoint"), "{error}");
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_key_is_never_replaced() {
    let system = System::open().await;
    system.run().await;
    system.runtime.shutdown().await;
    std::fs::remove_file(system.folder.path().join("audit.key")).unwrap();
    let runtime = open(system.folder.path()).await;
    let error = runtime.audit().key().await.unwrap_err();
    assert!(error.to_string().contains("audit.key") && error.to_string().contains("backup"), "{error}");
    let report = runtime.verify().await.unwrap();
    assert!(report.tree.unwrap().faults[0].contains("key"));
    runtime.shutdown().await;
    assert!(!system.folder.path().join("audit.key").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn seeded_systems_sign_the_same_root_with_the_same_key() {
    let mut notes = Vec::new();
    for _ in 0..2 {
        let runtime = l9::Runtime::builder().in_memory().seed(7).build().await.unwrap();
        let handle = runtime.run("researcher", "What is 2 + 2?").await.unwrap();
        let run = handle.run();
        handle.outcome().await.unwrap();
        let tenant = runtime.principal().tenant;
        let row = runtime.store().run(&tenant, run).await.unwrap().unwrap();
        notes.push(runtime.audit().receipt(&tenant, run, row.head.next).await.unwrap().unwrap().note);
        runtime.shutdown().await;
    }
    assert_eq!(notes[0], notes[1]);
}

/// A statement of quiet is only as good as the records after it.
#[tokio::test(flavor = "multi_thread")]
async fn what_began_while_all_was_said_to_be_quiet_is_found() {
    let system = System::open().await;
    let audit = system.runtime.audit();
    let faults = async || {
        audit.checkpoint().await.unwrap();
        system.runtime.verify().await.unwrap().tree.unwrap().faults
    };
    system.run().await;
    let (stopped, note) = audit.stop(Scope::All, "person:ada", "a drill", Duration::from_secs(5)).await.unwrap();
    assert!(stopped.quiet_at.is_some() && note.is_some());
    audit.unstop(&Scope::All, "person:ada", "the drill is over").await.unwrap();
    system.run().await;
    assert_eq!(faults().await, Vec::<String>::new(), "what began after a stop was lifted may begin");

    let now = audit.checkpoint().await.unwrap().unwrap().checkpoint;
    let order = Order { by: "person:eve".into(), reason: "a lie".into(), within_ms: None }.digest().unwrap();
    let quiet = Standstill {
        turn: Turn::Quiet,
        scope: Scope::All,
        since: now.at,
        at: now.at,
        size: now.size,
        root: now.root,
        order,
    };
    let elsewhere = Standstill { scope: Scope::Tenant("other".parse().unwrap()), ..quiet.clone() };
    audit.log().attest(&elsewhere.sign(&system.key())).await.unwrap();
    system.run().await;
    assert_eq!(faults().await, Vec::<String>::new(), "another tenant's quiet is not broken by it");
    audit.log().attest(&quiet.sign(&system.key())).await.unwrap();
    let found = faults().await;
    assert!(!found.is_empty() && found.iter().all(|fault| fault.contains("began while * was stopped")), "{found:?}");
    audit.log().attest(&Standstill { root: Digest::ZERO, ..elsewhere }.sign(&system.key())).await.unwrap();
    assert!(faults().await.iter().any(|fault| fault.contains("the tree does not begin with")));
}
