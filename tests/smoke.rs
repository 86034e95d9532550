//! The core workflows in seconds, with nothing installed: ingest, ask, compute, verify,
//! restart, reproduce.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::path::Path;

use l9::journal::{RunFilter, Status};
use l9::run::{Action, Event};
use l9::{Runtime, Settings};

const HARBOUR: &str = "# Harbour\n\nThe harbour of Velmora was dredged in 1911.\n\nThe lighthouse of Velmora has 214 steps and a green lamp.\n";
const ORCHARD: &str = "# Orchard\n\nThe orchard of Tessaly grows quinces. Its keeper is Ilse Brandt.\n";

fn documents() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("harbour.md"), HARBOUR).unwrap();
    std::fs::write(folder.path().join("orchard.md"), ORCHARD).unwrap();
    folder
}

async fn open(data: &Path, seed: Option<u64>) -> Runtime {
    let settings = Settings { data_dir: data.into(), seed, ..Settings::default() };
    Runtime::builder().settings(settings).build().await.unwrap()
}

#[tokio::test]
async fn the_researcher_quotes_what_was_ingested_and_the_quotes_stand_there() {
    let (data, documents) = (tempfile::tempdir().unwrap(), documents());
    let runtime = open(data.path(), None).await;
    let report = runtime.ingest(documents.path()).await.unwrap();
    assert_eq!(report.files, 2);
    let ended = runtime.run("researcher", "How many steps has the lighthouse of Velmora?").await.unwrap();
    let ended = ended.outcome().await.unwrap();
    assert_eq!(ended.status, Status::Succeeded);
    assert!(ended.text().contains("214 steps"), "{}", ended.text());
    assert!(!ended.citations.is_empty());
    for citation in &ended.citations {
        let source = std::fs::read_to_string(&citation.source).unwrap();
        assert!(source.contains(&citation.quote), "{citation:?}");
    }
    let verified = runtime.verify().await.unwrap();
    assert!(verified.records > 5 && verified.faults.is_empty(), "{verified:?}");
    runtime.shutdown().await;
}

#[tokio::test]
async fn arithmetic_goes_through_the_sandboxed_calculator_under_its_contract() {
    let runtime = Runtime::builder().in_memory().build().await.unwrap();
    let mut run = runtime.run("researcher", "What is 17.5% of 2,340?").await.unwrap();
    let (mut intended, mut contract) = (false, None);
    while let Some((_, event)) = run.next_event().await.unwrap() {
        if let Event::EffectIntent(intent) = event
            && let Action::Tool { tool, .. } = &intent.action
            && tool.as_str() == "calc/evaluate"
        {
            (intended, contract) = (true, Some(intent.contract));
        }
    }
    let tool = runtime.registry().get(&"calc/evaluate".parse().unwrap()).unwrap();
    assert!(intended);
    assert_eq!(contract, Some(tool.contract));
    assert!(run.outcome().await.unwrap().text().contains("409.5"));
}

#[tokio::test]
async fn what_was_done_is_there_after_a_restart_and_the_root_key_is_needed() {
    let (data, documents) = (tempfile::tempdir().unwrap(), documents());
    let runtime = open(data.path(), None).await;
    runtime.ingest(documents.path()).await.unwrap();
    let run = runtime.run("researcher", "Who is the keeper of the orchard?").await.unwrap().run();
    let handle = runtime.engine().handle(&runtime.principal(), run).await.unwrap();
    let before = handle.outcome().await.unwrap();
    runtime.shutdown().await;

    let runtime = open(data.path(), None).await;
    let again = runtime.ingest(documents.path()).await.unwrap();
    assert_eq!(again.stored, 0, "what is known is not kept twice");
    assert_eq!(runtime.engine().outcome(&runtime.principal().tenant, run).await.unwrap(), before);
    assert!(before.text().contains("Ilse Brandt"));
    runtime.shutdown().await;

    std::fs::remove_file(data.path().join("root.key")).unwrap();
    let settings = Settings { data_dir: data.path().into(), ..Settings::default() };
    let lost = Runtime::builder().settings(settings).build().await.unwrap_err().to_string();
    assert!(lost.contains("root.key") && lost.contains("restore"), "{lost}");
    assert!(!data.path().join("root.key").exists(), "a lost key is never replaced in silence");
}

#[tokio::test]
async fn a_seed_makes_two_data_folders_write_the_same_journal() {
    let documents = documents();
    let mut heads = Vec::new();
    for _ in 0..2 {
        let data = tempfile::tempdir().unwrap();
        let runtime = open(data.path(), Some(7)).await;
        runtime.ingest(documents.path()).await.unwrap();
        for question in ["Who is the keeper of the orchard?", "What is 12 * 12?"] {
            runtime.run("researcher", question).await.unwrap().outcome().await.unwrap();
        }
        let tenant = runtime.principal().tenant;
        let rows = runtime.store().runs(&tenant, &RunFilter::default(), 10).await.unwrap();
        heads.push(rows.iter().map(|row| (row.run, row.head)).collect::<Vec<_>>());
        runtime.shutdown().await;
    }
    assert_eq!(heads[0].len(), 2);
    assert_eq!(heads[0], heads[1]);
}
