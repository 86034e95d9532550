//! Delegation: children begin once, end once, do no more than their parent may, and stop with
//! it. Through the library's front door. That they use no more than it has, `budgets/trees.rs`
//! holds.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may fail, and waits for real"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use l9::id::{CallId, CommandId};
use l9::journal::{RunFilter, RunRow, Status};
use l9::kernel::Changes;
use l9::model::scripted::{Scripted, Turn};
use l9::native::NativeTool;
use l9::run::{CallState, Command, CommandRequest, Event};
use l9::tool::EffectClass;
use l9::{AgentProfile, Builder, Ended, RunHandle, Runtime, native};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Deserialize, Serialize, JsonSchema)]
struct Nothing {}

/// A tool that takes a while and counts.
fn work(calls: &Arc<AtomicU32>, takes: Duration) -> NativeTool {
    let calls = Arc::clone(calls);
    native::tool("office/work", "1.0.0", "Works.").effect(EffectClass::Read).handler(move |_, _: Nothing| {
        calls.fetch_add(1, Ordering::SeqCst);
        async move {
            tokio::time::sleep(takes).await;
            Ok(Nothing {})
        }
    })
}

fn agent(id: &str, tools: &[&str], delegates: &[&str]) -> AgentProfile {
    let profile = AgentProfile::new(id).unwrap().with_model(id).unwrap();
    let mut profile = tools.iter().fold(profile, |profile, tool| profile.with_tool(tool).unwrap());
    profile.delegates = delegates.iter().map(|id| id.parse().unwrap()).collect();
    profile
}

fn script(turns: Vec<Turn>) -> Arc<Scripted> {
    Arc::new(Scripted::new(turns))
}

fn delegate(arguments: &[&str]) -> Turn {
    Turn::call(arguments.iter().map(|arguments| ("run/delegate", *arguments)))
}

/// A boss that delegates to a clerk who works.
fn office(boss: Vec<Turn>, clerk: Vec<Turn>, calls: &Arc<AtomicU32>, takes: Duration) -> Builder {
    Runtime::builder()
        .model("boss", script(boss))
        .model("clerk", script(clerk))
        .agent(agent("boss", &["office/work"], &["clerk"]))
        .agent(agent("clerk", &["office/work", "calc/evaluate"], &[]))
        .tool(work(calls, takes))
}

async fn ended(handle: RunHandle) -> Ended {
    tokio::time::timeout(Duration::from_secs(20), handle.outcome()).await.unwrap().unwrap()
}

async fn rows(runtime: &Runtime) -> Vec<RunRow> {
    runtime.store().runs(&runtime.principal().tenant, &RunFilter::default(), 1_000).await.unwrap()
}

async fn sound(runtime: &Runtime) {
    assert_eq!(runtime.verify().await.unwrap().faults, []);
    let tenant = runtime.principal().tenant;
    for row in rows(runtime).await {
        let replayed = runtime.engine().replay(&tenant, row.run, &BTreeMap::new()).await.unwrap();
        assert_eq!(replayed.divergence, None, "{}", row.run);
    }
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let look = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(15), look).await.unwrap_or_else(|_| panic!("{what}"));
}

const TWO: [&str; 2] = [r#"{"agent":"clerk","input":"one"}"#, r#"{"agent":"clerk","input":"two"}"#];

#[tokio::test]
async fn children_work_at_the_same_time_and_their_answers_come_back() {
    let calls = Arc::default();
    let clerk = vec![Turn::call([("office/work", "{}")]), Turn::say("worked")];
    let boss = vec![delegate(&TWO), Turn::say("all done")];
    let runtime = office(boss, clerk, &calls, Duration::from_millis(20)).in_memory().build().await.unwrap();
    let handle = runtime.run("boss", "have it done").await.unwrap();
    let run = handle.run();
    assert_eq!(ended(handle).await.text(), "all done");
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    let (_, state) = runtime.engine().show(&runtime.principal().tenant, run).await.unwrap();
    for index in 0..2 {
        let output = state.output(CallId::Tool { turn: 1, index }).unwrap();
        assert_eq!((&output["status"], &output["answer"]), (&"succeeded".into(), &"worked".into()));
    }
    assert!(!state.label.is_trusted(), "what the children read, the parent has read");
    assert!(state.reserved.is_zero());
    assert_eq!(rows(&runtime).await.len(), 3);
    sound(&runtime).await;
    // Nobody takes the ids under which runs tell each other something.
    for id in ["child/01a2075d-1c6b-76b0-b262-270a81ee68f0", "cancel/run:01a2075d-1c6b-76b0-b262-270a81ee68f0"] {
        let command = Command::Pause { reason: "look".into() };
        let request = CommandRequest { id: CommandId::new(id).unwrap(), by: "person:test".into(), command };
        let refused = runtime.engine().command(&runtime.principal().tenant, run, &request).await.unwrap_err();
        assert_eq!(refused.kind(), l9::ErrorKind::Invalid);
    }
}

#[tokio::test]
async fn a_child_may_do_no_more_than_its_parent() {
    let calls = Arc::default();
    // The clerk's own profile grants the calculator; its boss has none.
    let clerk = vec![Turn::call([("calc/evaluate", r#"{"expression":"1+1"}"#)]), Turn::say("tried")];
    let boss = vec![
        delegate(&[r#"{"agent":"clerk","input":"sum"}"#, r#"{"agent":"boss","input":"again"}"#, r#"{"agent":"who"}"#]),
        Turn::say("done"),
    ];
    let runtime = office(boss, clerk, &calls, Duration::ZERO).in_memory().build().await.unwrap();
    let handle = runtime.run("boss", "sum").await.unwrap();
    let run = handle.run();
    assert_eq!(ended(handle).await.text(), "done");
    let tenant = runtime.principal().tenant;
    let (_, state) = runtime.engine().show(&tenant, run).await.unwrap();
    let code = |index| match &state.calls[&CallId::Tool { turn: 1, index }] {
        CallState::Denied { code, .. } => code.clone(),
        other => format!("{other:?}"),
    };
    assert_eq!((code(1), code(2)), ("forbidden".to_owned(), "invalid_arguments".to_owned()));
    let child = rows(&runtime).await.into_iter().find(|row| row.run != run).unwrap();
    let (_, state) = runtime.engine().show(&tenant, child.run).await.unwrap();
    let CallState::Denied { code, .. } = &state.calls[&CallId::Tool { turn: 1, index: 0 }] else { panic!("allowed") };
    assert_eq!(code, "forbidden");
    sound(&runtime).await;
}

#[tokio::test]
async fn delegation_is_bounded_in_depth() {
    let turns = || vec![delegate(&[r#"{"agent":"echo","input":"deeper"}"#]), Turn::say("back")];
    let runtime = Runtime::builder()
        .in_memory()
        .model("echo", script(turns()))
        .agent(agent("echo", &[], &["echo"]))
        .build()
        .await
        .unwrap();
    assert_eq!(ended(runtime.run("echo", "go").await.unwrap()).await.text(), "back");
    assert_eq!(rows(&runtime).await.len(), 5, "four below the first");
    sound(&runtime).await;
}

#[tokio::test]
async fn children_stop_with_their_parent() {
    let calls = Arc::default();
    let clerk = vec![Turn::call([("office/work", "{}")]), Turn::say("worked")];
    let boss = vec![delegate(&TWO), Turn::say("all done")];
    let runtime = office(boss, clerk, &calls, Duration::from_secs(3600)).in_memory().build().await.unwrap();
    let handle = runtime.run("boss", "have it done").await.unwrap();
    until("both work", async || calls.load(Ordering::SeqCst) == 2).await;
    let command = Command::Cancel { reason: "enough".into() };
    let request = CommandRequest { id: CommandId::new("stop").unwrap(), by: "person:test".into(), command };
    runtime.engine().command(&runtime.principal().tenant, handle.run(), &request).await.unwrap();
    let run = handle.run();
    assert_eq!(ended(handle).await.status, Status::Cancelled);
    let open = rows(&runtime).await.into_iter().filter(|row| !row.status.is_closed()).count();
    assert_eq!(open, 0, "no child outlives the grace");
    let (_, state) = runtime.engine().show(&runtime.principal().tenant, run).await.unwrap();
    assert!(state.children.is_empty() && state.reserved.is_zero());
    sound(&runtime).await;
}

#[tokio::test]
async fn a_family_survives_its_process() {
    let (folder, calls) = (tempfile::tempdir().unwrap(), Arc::default());
    let wait = || vec![Turn::call([("run/wait", r#"{"signal":"go"}"#)]), Turn::say("worked")];
    let open = || {
        office(vec![delegate(&TWO), Turn::say("all done")], wait(), &calls, Duration::ZERO)
            .agent(agent("boss", &["office/work", "run/wait"], &["clerk"]))
            .agent(agent("clerk", &["run/wait"], &[]))
            .data_dir(folder.path())
            .build()
    };
    let first = open().await.unwrap();
    let run = first.run("boss", "have it done").await.unwrap().run();
    let waiting =
        async |runtime: &Runtime| rows(runtime).await.iter().filter(|row| row.status == Status::Waiting).count() == 3;
    until("all wait", async || waiting(&first).await).await;
    first.shutdown().await;
    let second = open().await.unwrap();
    second.start().await;
    assert_eq!(rows(&second).await.len(), 3, "nobody began twice");
    for row in rows(&second).await.into_iter().filter(|row| row.run != run) {
        let command = Command::Signal { name: "go".into(), value: serde_json::Value::Null };
        let request = CommandRequest { id: CommandId::new("go").unwrap(), by: "person:test".into(), command };
        second.engine().command(&row.tenant, row.run, &request).await.unwrap();
    }
    let handle = second.engine().handle(&second.principal(), run).await.unwrap();
    assert_eq!(ended(handle).await.text(), "all done");
    assert_eq!(rows(&second).await.len(), 3);
    sound(&second).await;
    second.shutdown().await;
}

#[tokio::test]
async fn a_fork_has_children_of_its_own() {
    let calls = Arc::default();
    let clerk = vec![Turn::call([("office/work", "{}")]), Turn::say("worked")];
    let boss = vec![delegate(&TWO[..1]), Turn::say("all done")];
    let runtime = office(boss, clerk, &calls, Duration::from_millis(5)).in_memory().build().await.unwrap();
    let handle = runtime.run("boss", "have it done").await.unwrap();
    let run = handle.run();
    ended(handle).await;
    let principal = runtime.principal();
    let mut feed = runtime.engine().feed(&principal.tenant, run, 0).await.unwrap();
    let events = feed.page().await.unwrap();
    let spawned = events.iter().position(|(_, event)| matches!(event, Event::ChildSpawned(_))).unwrap() as u64;
    // Where the child works, and where it has ended.
    for (at, children) in [(spawned + 1, 2), (events.len() as u64 - 1, 2)] {
        let fork = runtime.engine().fork(&principal, run, at, &Changes::default(), None).await.unwrap();
        let handle = runtime.engine().handle(&principal, fork.run).await.unwrap();
        assert_eq!(ended(handle).await.text(), "all done");
        let began = rows(&runtime).await.iter().filter(|row| row.name == "clerk").count();
        assert_eq!(began, children, "forked at {at}");
    }
    sound(&runtime).await;
}
