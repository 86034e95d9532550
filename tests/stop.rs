//! The emergency stop: with hundreds of busy runs nothing starts after it, all is quiet within
//! seconds, the statement verifies, it outlives the process, and everything goes on afterwards.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may fail, and waits for real")]

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use l9::evidence::{StatementVerdict, Turn, verify_statement};
use l9::governor::{Decision, OnUnknown, Policy, PolicyAction, PolicyRequest, Verdict};
use l9::journal::{RunFilter, RunRow, Status};
use l9::model::scripted::{self, Scripted};
use l9::native::{self, NativeTool};
use l9::stop::Scope;
use l9::tool::EffectClass;
use l9::{AgentProfile, Engine, ErrorKind, Runtime, Settings};
use l9_services::Ledger;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const BUSY: usize = 200;

#[derive(Deserialize, Serialize, JsonSchema)]
struct Nothing {}

/// A tool that reaches the ledger, which takes its time to answer.
fn slow(ledger: &Ledger, kind: &'static str, class: EffectClass) -> NativeTool {
    let address = ledger.address;
    native::tool(&format!("ledger/{kind}"), "1.0.0", "Writes slowly.").effect(class).handler(
        move |context, _: Nothing| async move {
            let key = context.idempotency_key();
            let exchange = async {
                let mut stream = tokio::net::TcpStream::connect(address).await?;
                stream.write_all(format!("POST /{kind} HTTP/1.1\r\nidempotency-key: {key}\r\n\r\n").as_bytes()).await?;
                stream.read_to_string(&mut String::new()).await
            };
            exchange.await?;
            Ok(Nothing {})
        },
    )
}

async fn system(folder: &Path, ledger: &Ledger) -> Runtime {
    let both = || scripted::Turn::call([("ledger/keyed", "{}"), ("ledger/opaque", "{}")]);
    let turns = vec![both(), both(), both(), scripted::Turn::say("done")];
    let mut agent = AgentProfile::new("busy").unwrap().with_model("script").unwrap();
    for tool in ["ledger/keyed", "ledger/opaque"] {
        agent = agent.with_tool(tool).unwrap();
    }
    let mut settings = Settings { data_dir: folder.to_owned(), ..Settings::default() };
    settings.unknown = OnUnknown::Tell;
    Runtime::builder()
        .settings(settings)
        .model("script", Arc::new(Scripted::new(turns)))
        .agent(agent)
        .tool(slow(ledger, "keyed", EffectClass::KeyedWrite))
        .tool(slow(ledger, "opaque", EffectClass::OpaqueWrite))
        .build()
        .await
        .unwrap()
}

fn requests(ledger: &Ledger) -> u32 {
    ledger.lines().values().map(|line| line.requests).sum()
}

async fn rows(runtime: &Runtime) -> Vec<RunRow> {
    runtime.store().runs(&runtime.principal().tenant, &RunFilter::default(), 1_000).await.unwrap()
}

async fn intents(runtime: &Runtime) -> usize {
    let tenant = runtime.principal().tenant;
    let mut intents = 0;
    for row in rows(runtime).await {
        let records = runtime.store().read(&tenant, row.run, 0, 1_000).await.unwrap();
        intents += records.iter().filter(|record| record.kind == "effect.intent").count();
    }
    intents
}

/// What a statement says to whoever has the log's key.
async fn read(runtime: &Runtime, statement: &str) -> StatementVerdict {
    let verdict = verify_statement(statement.as_bytes(), runtime.audit().key().await.unwrap());
    assert!(verdict.ok, "{:?}", verdict.faults);
    verdict
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(90), wait).await.is_ok(), "not in time: {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_busy_runs_are_quiet_within_seconds_and_go_on_when_they_may() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::start(Duration::from_secs(4)).await;
    let runtime = system(folder.path(), &ledger).await;
    for _ in 0..BUSY {
        runtime.run("busy", "go").await.unwrap();
    }
    until("everybody is busy", async || requests(&ledger) as usize >= 2 * BUSY).await;

    let (by, why) = ("person:ada", "it writes everywhere");
    let (stopped, statement) = runtime.audit().stop(Scope::All, by, why, Duration::from_secs(5)).await.unwrap();
    let (sent, intended) = (requests(&ledger), intents(&runtime).await);
    let quiet_at = stopped.quiet_at.expect("all is quiet within five seconds");
    assert_eq!((stopped.stop.by.as_str(), stopped.stop.reason.as_str()), (by, why));
    let stated = read(&runtime, &statement.unwrap()).await;
    let (standstill, order) = (stated.standstill.unwrap(), stated.order.unwrap());
    assert_eq!((standstill.turn, &standstill.scope, standstill.at), (Turn::Quiet, &Scope::All, quiet_at));
    assert_eq!((order.by.as_str(), order.reason.as_str(), order.within_ms), (by, why, Some(5_000)));
    assert_eq!(stated.in_time, Some(standstill.took_ms() <= 5_000));
    assert!(rows(&runtime).await.iter().all(|row| !row.status.is_closed()), "nobody was ended by it");

    assert_eq!(runtime.run("busy", "too late").await.unwrap_err().kind(), ErrorKind::Conflict);
    let again = runtime.engine().stop(Scope::All, "person:bob", "me too", Duration::ZERO).await.unwrap();
    assert_eq!((again.stop, again.held), (stopped.stop, 0), "the first stands");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!((requests(&ledger), intents(&runtime).await), (sent, intended), "nothing starts");
    assert_eq!(runtime.audit().unstop(&Scope::All, by, " ").await.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(runtime.audit().log().statements().await.unwrap().len(), 1, "nothing is stated of what is refused");
    runtime.shutdown().await;

    // Nor does it in a process that knows of it from the store only.
    let runtime = system(folder.path(), &ledger).await;
    runtime.start().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((requests(&ledger), intents(&runtime).await), (sent, intended), "the stop outlives the process");
    let report = runtime.verify().await.unwrap();
    assert_eq!((report.faults, report.tree.unwrap().faults), (vec![], Vec::<String>::new()));

    let (lifted, statement) = runtime.audit().unstop(&Scope::All, "person:eve", "it is mended").await.unwrap();
    assert_eq!(lifted.by, by);
    let stated = read(&runtime, &statement).await;
    let standstill = stated.standstill.unwrap();
    assert_eq!((standstill.turn, standstill.since), (Turn::Lifted, lifted.at));
    assert_eq!(stated.order.unwrap().by, "person:eve", "who lifts it is not who ordered it");
    until("all runs have ended", async || rows(&runtime).await.iter().all(|row| row.status == Status::Succeeded)).await;
    assert_eq!(rows(&runtime).await.len(), BUSY);
    for (key, line) in ledger.lines() {
        match line.kind.as_str() {
            "keyed" => assert_eq!(line.applied, 1, "{key}"),
            _ => assert_eq!(line.requests, 1, "{key}: an opaque write is issued at most once"),
        }
    }
    let report = runtime.verify().await.unwrap();
    assert_eq!((report.faults, report.tree.unwrap().faults), (vec![], Vec::<String>::new()));
    assert_eq!(runtime.audit().unstop(&Scope::All, by, "again").await.unwrap_err().kind(), ErrorKind::NotFound);
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_of_another_tenant_is_not_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::start(Duration::ZERO).await;
    let runtime = system(folder.path(), &ledger).await;
    let other = Scope::Tenant("other".parse().unwrap());
    let (stopped, _) = runtime.audit().stop(other, "person:ada", "not ours", Duration::ZERO).await.unwrap();
    assert_eq!(stopped.held, 0);
    assert_eq!(runtime.run("busy", "go").await.unwrap().outcome().await.unwrap().text(), "done");
    let (stopped, note) = runtime
        .audit()
        .stop(Scope::Tenant(runtime.principal().tenant), "person:ada", "ours", Duration::ZERO)
        .await
        .unwrap();
    assert!(stopped.quiet_at.is_some() && note.is_some());
    assert_eq!(runtime.engine().stops().await.unwrap().len(), 2);
    runtime.shutdown().await;
}

/// Allows everything, and stops everybody in the middle of the first turn's calls.
#[derive(Debug, Default)]
struct Halting {
    engine: OnceLock<Engine>,
    halted: AtomicBool,
}

impl Policy for Halting {
    fn decide(&self, request: &PolicyRequest<'_>) -> Verdict {
        if matches!(request.action, PolicyAction::InvokeTool { .. }) && !self.halted.swap(true, Ordering::SeqCst) {
            self.engine.get().unwrap().parts().governor.stops().stop(Scope::All);
        }
        Verdict { decision: Decision::Allow, reasons: Vec::new() }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_between_two_calls_of_one_turn_refuses_neither() {
    let began: Arc<AtomicU32> = Arc::default();
    let counted = Arc::clone(&began);
    let counts = native::tool("ledger/keyed", "1.0.0", "Counts.").effect(EffectClass::KeyedWrite);
    let counts = counts.handler(move |_, _: Nothing| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move { Ok(Nothing {}) }
    });
    let policy = Arc::new(Halting::default());
    let turns =
        vec![scripted::Turn::call([("ledger/keyed", "{}"), ("ledger/keyed", "{}")]), scripted::Turn::say("done")];
    let agent = AgentProfile::new("busy").unwrap().with_model("script").unwrap().with_tool("ledger/keyed").unwrap();
    let runtime = Runtime::builder()
        .in_memory()
        .policy(Arc::<Halting>::clone(&policy))
        .model("script", Arc::new(Scripted::new(turns)))
        .agent(agent)
        .tool(counts)
        .build()
        .await
        .unwrap();
    policy.engine.set(runtime.engine().clone()).unwrap();
    let handle = runtime.run("busy", "go").await.unwrap();
    let (run, tenant) = (handle.run(), runtime.principal().tenant);
    let everything = Scope::All;
    until("the run stands still", async || {
        policy.halted.load(Ordering::SeqCst) && runtime.store().held(&everything).await.unwrap() == 0
    })
    .await;
    let kinds = async || -> Vec<String> {
        runtime.store().read(&tenant, run, 0, 1_000).await.unwrap().into_iter().map(|record| record.kind).collect()
    };
    let so_far = kinds().await;
    assert!(!so_far.iter().any(|kind| kind == "effect.denied"), "{so_far:?}");
    let intended = so_far.iter().filter(|kind| *kind == "effect.intent").count();
    assert_eq!(intended, 2, "the model's turn, and the call that was judged before the stop: {so_far:?}");
    assert_eq!(began.load(Ordering::SeqCst), 0, "it was not begun once the stop was there");
    runtime.engine().parts().governor.stops().unstop(&everything);
    assert_eq!(handle.outcome().await.unwrap().text(), "done");
    let all = kinds().await;
    assert!(!all.iter().any(|kind| kind == "effect.denied"), "{all:?}");
    assert_eq!(began.load(Ordering::SeqCst), 2);
    runtime.shutdown().await;
}
