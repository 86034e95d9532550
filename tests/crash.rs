//! kill -9 at random moments, many times: every run closes, every chain verifies, a
//! keyed effect is applied once, an opaque one is issued at most once. The outside
//! ledger counts raw requests, so nothing is hidden by deduplication.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may fail, and waits for real"
)]

mod support;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use l9::journal::{RunFilter, Status};
use l9::run::{Event, EventView};
use l9::tool::EffectClass;
use l9::{Runtime, TenantId};
use support::Ledger;

const RUNS: usize = 12;
const KILLS: usize = 40;

fn scribe(folder: &std::path::Path, ledger: &Ledger) -> Child {
    let mut program: PathBuf = std::env::current_exe().unwrap();
    program.pop();
    program.pop();
    program.push("examples/ledger_agent");
    Command::new(&program)
        .arg(folder)
        .arg(ledger.address.to_string())
        .arg(RUNS.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("{} does not start: {error}; `cargo build --examples` makes it", program.display())
        })
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_runs_resume_close_and_never_do_anything_twice() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::start(Duration::from_millis(12)).await;
    // Primes, so that kills fall on ever other moments of the program's life.
    let mut alive = [37, 53, 71, 97, 113, 139, 151, 179].into_iter().cycle();
    let mut killed = 0;
    for _ in 0..KILLS {
        let mut child = scribe(folder.path(), &ledger);
        tokio::time::sleep(Duration::from_millis(alive.next().unwrap())).await;
        if child.try_wait().unwrap().is_none() {
            killed += 1;
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let mut last = scribe(folder.path(), &ledger);
    let ended = tokio::task::spawn_blocking(move || last.wait().unwrap()).await.unwrap();
    assert!(ended.success(), "the last start must drive every run to its end");

    let runtime = Runtime::builder().data_dir(folder.path()).build().await.unwrap();
    let tenant = TenantId::default_tenant();
    let report = runtime.verify().await.unwrap();
    assert_eq!(report.faults, []);
    assert_eq!(report.runs as usize, RUNS);

    let rows = runtime.store().runs(&tenant, &RunFilter::default(), 100).await.unwrap();
    assert!(rows.iter().all(|row| row.status == Status::Succeeded), "{rows:?}");
    let lines = ledger.lines();
    let mut keys: BTreeMap<String, (EffectClass, u32)> = BTreeMap::new();
    let mut crossed = 0;
    for row in rows {
        for record in runtime.store().read(&tenant, row.run, 0, 10_000).await.unwrap() {
            match EventView::of(&record, &**runtime.vault()).unwrap().1 {
                Event::EffectIntent(intent) if intent.class != EffectClass::Read => {
                    let entry = keys.entry(intent.idempotency_key.to_string()).or_insert((intent.class, 0));
                    entry.1 += 1;
                    crossed += u32::from(intent.attempt > 1);
                }
                Event::EffectUnknown(_) => crossed += 1,
                _ => {}
            }
        }
    }
    println!("{killed} kills, {crossed} of them between an intent and its result, {} effects", keys.len());
    assert_eq!(keys.len(), RUNS * 4, "two keyed and two opaque effects a run");
    for (key, (class, intents)) in &keys {
        let line = lines.get(key).cloned().unwrap_or_default();
        assert!(line.requests <= *intents, "{key}: {} requests for {intents} intents", line.requests);
        match class {
            EffectClass::KeyedWrite => assert_eq!(line.applied, 1, "{key} must be applied once"),
            _ => assert!(line.requests <= 1 && *intents == 1, "{key} must be issued at most once: {line:?}"),
        }
    }
    assert!(lines.keys().all(|key| keys.contains_key(key)), "the ledger saw an effect that was never intended");
    assert!(killed > 0 && crossed > 0, "no kill fell between an intent and its result: the test tested nothing");
    runtime.shutdown().await;
}
