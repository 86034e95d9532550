//! What a run can go through besides its steps: waits, pauses, retries, ends that nobody
//! knows, forks, replays, snapshots, expiry. Through the library's front door.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may fail, and waits for real")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use l9::governor::OnUnknown;
use l9::id::{CallId, CommandId};
use l9::journal::Status;
use l9::kernel::Changes;
use l9::model::scripted::{Scripted, Turn};
use l9::native::{Fault, NativeTool};
use l9::run::{Command, CommandRequest, Event, Resolution};
use l9::tool::{EffectClass, Limits, Probed};
use l9::{AgentProfile, Budget, Builder, ErrorKind, RunHandle, RunId, Runtime, StartOptions, native};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Deserialize, JsonSchema)]
struct Line {
    text: String,
}

#[derive(Serialize, JsonSchema)]
struct Written {
    text: String,
}

fn agent(tools: &[&str]) -> AgentProfile {
    let profile = AgentProfile::new("scribe").unwrap().with_model("script").unwrap();
    tools.iter().fold(profile, |profile, tool| profile.with_tool(tool).unwrap())
}

fn system(turns: Vec<Turn>, tools: &[&str]) -> Builder {
    Runtime::builder().in_memory().model("script", Arc::new(Scripted::new(turns))).agent(agent(tools))
}

/// A tool that fails as often as it is told to, and counts.
fn flaky(
    effect: EffectClass,
    faults: u32,
    calls: &Arc<AtomicU32>,
    keys: &Arc<std::sync::Mutex<Vec<String>>>,
) -> NativeTool {
    let (calls, keys) = (Arc::clone(calls), Arc::clone(keys));
    native::tool("ledger/write", "1.0.0", "Writes.").effect(effect).handler(move |context, line: Line| {
        keys.lock().unwrap().push(context.idempotency_key().to_string());
        let before = calls.fetch_add(1, Ordering::SeqCst);
        async move { if before < faults { Err(Fault::unavailable("not now")) } else { Ok(Written { text: line.text }) } }
    })
}

async fn send(runtime: &Runtime, run: RunId, id: &str, command: Command) -> l9::Result<bool> {
    let request = CommandRequest { id: CommandId::new(id).unwrap(), by: "person:test".into(), command };
    runtime.engine().command(&runtime.principal().tenant, run, &request).await
}

async fn until(runtime: &Runtime, run: RunId, status: Status) {
    let tenant = runtime.principal().tenant;
    let reached = async {
        while runtime.store().run(&tenant, run).await.unwrap().unwrap().status != status {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), reached).await.unwrap();
    // Given up as well, not only written.
    tokio::time::sleep(Duration::from_millis(20)).await;
}

async fn kinds(runtime: &Runtime, run: RunId) -> Vec<&'static str> {
    let mut feed = runtime.engine().feed(&runtime.principal().tenant, run, 0).await.unwrap();
    feed.page().await.unwrap().iter().map(|(_, event)| event.kind()).collect()
}

async fn ended(handle: RunHandle) -> l9::Ended {
    tokio::time::timeout(Duration::from_secs(20), handle.outcome()).await.unwrap().unwrap()
}

const WRITE: (&str, &str) = ("ledger/write", r#"{"text":"x"}"#);

#[tokio::test]
async fn a_wait_ends_with_its_signal_and_holds_nothing_meanwhile() {
    let turns = vec![Turn::call([("run/wait", r#"{"signal":"paid"}"#)]), Turn::say("thanks")];
    let runtime = system(turns, &["run/wait"]).build().await.unwrap();
    let tenant = runtime.principal().tenant;
    let handle = runtime.run("scribe", "wait").await.unwrap();
    let run = handle.run();
    until(&runtime, run, Status::Waiting).await;
    let (row, state) = runtime.engine().show(&tenant, run).await.unwrap();
    assert_eq!(state.waits.values().map(|wait| wait.signal.as_deref()).collect::<Vec<_>>(), [Some("paid")]);
    // A lease that is free can be had: nobody holds the run.
    let lease = runtime.store().acquire(&tenant, run, "somebody", Duration::from_secs(5)).await.unwrap().unwrap();
    runtime.store().release(&lease, None).await.unwrap();
    let error =
        send(&runtime, run, "s0", Command::Signal { name: "shipped".into(), value: json!(1) }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("waits for paid"), "{error}");
    assert_eq!(runtime.store().run(&tenant, run).await.unwrap().unwrap().head, row.head, "nothing was written");
    assert!(
        send(&runtime, run, "s1", Command::Signal { name: "paid".into(), value: json!({"eur": 7}) }).await.unwrap()
    );
    let outcome = ended(handle).await;
    assert_eq!(outcome.text(), "thanks");
    let again = Command::Signal { name: "paid".into(), value: json!({"eur": 7}) };
    assert!(!send(&runtime, run, "s1", again).await.unwrap());
    let other = Command::Signal { name: "paid".into(), value: json!(8) };
    assert_eq!(send(&runtime, run, "s1", other).await.unwrap_err().kind(), ErrorKind::Conflict);
    let (_, state) = runtime.engine().show(&tenant, run).await.unwrap();
    let output = state.output(CallId::Tool { turn: 1, index: 0 }).unwrap();
    assert_eq!(*output, json!({"signal": "paid", "value": {"eur": 7}}));
    assert!(!state.label.is_trusted(), "a signal's words are somebody else's");
    assert_eq!(runtime.engine().replay(&tenant, run, &BTreeMap::new()).await.unwrap().divergence, None);
}

#[tokio::test]
async fn a_wait_ends_when_its_time_has_passed() {
    let turns = vec![Turn::call([("run/wait", r#"{"seconds":3}"#)]), Turn::say("later")];
    let runtime = system(turns, &["run/wait"]).build().await.unwrap();
    let handle = runtime.run("scribe", "wait").await.unwrap();
    until(&runtime, handle.run(), Status::Waiting).await;
    assert_eq!(ended(handle).await.text(), "later");
}

#[tokio::test]
async fn a_paused_run_starts_nothing_until_it_is_resumed() {
    let (calls, keys) = (Arc::default(), Arc::default());
    let turns = vec![Turn::call([WRITE]).after(Duration::from_millis(300)), Turn::say("done")];
    let tool = flaky(EffectClass::KeyedWrite, 0, &calls, &keys);
    let runtime = system(turns, &["ledger/write"]).tool(tool).build().await.unwrap();
    let mut handle = runtime.run("scribe", "write").await.unwrap();
    let run = handle.run();
    while !matches!(handle.next_event().await.unwrap(), Some((_, Event::EffectIntent(_)))) {}
    let pause = Command::Pause { reason: "look first".into() };
    assert!(send(&runtime, run, "p1", pause.clone()).await.unwrap());
    until(&runtime, run, Status::Waiting).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(calls.load(Ordering::SeqCst), 0, "the model's turn ended, and its call waits");
    assert_eq!(send(&runtime, run, "p2", pause).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert!(send(&runtime, run, "r1", Command::Resume { reason: "fine".into() }).await.unwrap());
    assert_eq!(ended(handle).await.text(), "done");
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn every_attempt_is_recorded_and_all_have_one_key() {
    for effect in [EffectClass::Read, EffectClass::KeyedWrite] {
        let (calls, keys) = (Arc::<AtomicU32>::default(), Arc::<std::sync::Mutex<Vec<String>>>::default());
        let tool = flaky(effect, 2, &calls, &keys);
        let turns = vec![Turn::call([WRITE]), Turn::say("done")];
        let builder = system(turns, &["ledger/write"]).tool(tool).retries(3, Duration::from_millis(20));
        let runtime = builder.build().await.unwrap();
        let handle = runtime.run("scribe", "write").await.unwrap();
        let run = handle.run();
        assert_eq!(ended(handle).await.text(), "done");
        let kinds = kinds(&runtime, run).await;
        let count = |kind: &str| kinds.iter().filter(|other| **other == kind).count();
        assert_eq!((count("effect.retry"), calls.load(Ordering::SeqCst)), (2, 3));
        let keys = keys.lock().unwrap().clone();
        assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
        let tenant = runtime.principal().tenant;
        assert_eq!(runtime.engine().replay(&tenant, run, &BTreeMap::new()).await.unwrap().divergence, None);
    }
}

#[tokio::test]
async fn a_write_whose_end_nobody_knows_waits_for_a_person() {
    let decisions = [
        (Resolution::Happened { value: json!({"text": "seen"}) }, "effect.reconciled"),
        (Resolution::NotHappened, "effect.reconciled"),
        (Resolution::Unknown, "effect.reconciled"),
    ];
    for (verdict, kind) in decisions {
        let (calls, keys) = (Arc::<AtomicU32>::default(), Arc::default());
        let tool = flaky(EffectClass::OpaqueWrite, 9, &calls, &keys);
        let turns = vec![Turn::call([WRITE]), Turn::say("done")];
        let runtime = system(turns, &["ledger/write"]).tool(tool).build().await.unwrap();
        let handle = runtime.run("scribe", "write").await.unwrap();
        let run = handle.run();
        until(&runtime, run, Status::Waiting).await;
        let call = CallId::Tool { turn: 1, index: 0 };
        let tenant = runtime.principal().tenant;
        let (_, state) = runtime.engine().show(&tenant, run).await.unwrap();
        assert_eq!(state.undecided().map(|(call, _)| call).collect::<Vec<_>>(), [call]);
        let other = Command::Resolve { call: CallId::Single, verdict: verdict.clone(), reason: String::new() };
        assert_eq!(send(&runtime, run, "d0", other).await.unwrap_err().kind(), ErrorKind::Conflict);
        let decide = Command::Resolve { call, verdict, reason: "looked it up".into() };
        assert!(send(&runtime, run, "d1", decide).await.unwrap());
        assert_eq!(ended(handle).await.text(), "done");
        assert_eq!(calls.load(Ordering::SeqCst), 1, "issued once, whatever was decided");
        assert!(kinds(&runtime, run).await.contains(&kind));
        assert_eq!(runtime.engine().replay(&tenant, run, &BTreeMap::new()).await.unwrap().divergence, None);
    }
}

#[tokio::test]
async fn a_later_failure_does_not_undo_what_an_earlier_attempt_may_have_done() {
    let calls = Arc::<AtomicU32>::default();
    let counted = Arc::clone(&calls);
    let tool =
        native::tool("ledger/write", "1.0.0", "Writes.").effect(EffectClass::KeyedWrite).handler(move |_, _: Line| {
            let before = counted.fetch_add(1, Ordering::SeqCst);
            async move {
                // The first may have landed; the second gives its word for itself only.
                Err::<Written, _>(if before == 0 { Fault::unavailable("cut off") } else { Fault::failed("refused") })
            }
        });
    let turns = vec![Turn::call([WRITE]), Turn::say("done")];
    let builder = system(turns, &["ledger/write"]).tool(tool).retries(3, Duration::from_millis(10));
    let runtime = builder.build().await.unwrap();
    let handle = runtime.run("scribe", "write").await.unwrap();
    until(&runtime, handle.run(), Status::Waiting).await;
    let (_, state) = runtime.engine().show(&runtime.principal().tenant, handle.run()).await.unwrap();
    assert_eq!((state.undecided().count(), calls.load(Ordering::SeqCst)), (1, 2));
}

#[tokio::test]
async fn a_policy_may_let_runs_go_on_without_knowing() {
    let (calls, keys) = (Arc::<AtomicU32>::default(), Arc::default());
    let tool = flaky(EffectClass::OpaqueWrite, 9, &calls, &keys);
    let turns = vec![Turn::call([WRITE]), Turn::say("done")];
    let runtime = system(turns, &["ledger/write"]).tool(tool).on_unknown(OnUnknown::Tell).build().await.unwrap();
    let handle = runtime.run("scribe", "write").await.unwrap();
    let run = handle.run();
    assert_eq!(ended(handle).await.text(), "done");
    assert!(kinds(&runtime, run).await.contains(&"effect.reconciled"), "the policy's decision is recorded");
}

#[tokio::test]
async fn a_run_ends_at_its_deadline_busy_or_waiting() {
    for turns in [
        vec![Turn::say("too late").after(Duration::from_secs(600))],
        vec![Turn::call([("run/wait", r#"{"signal":"never"}"#)]), Turn::say("no")],
    ] {
        let runtime = system(turns, &["run/wait"]).build().await.unwrap();
        let options = StartOptions { deadline: Some(Duration::from_millis(400)), ..StartOptions::default() };
        let handle = runtime.run_with("scribe", "hurry", options).await.unwrap();
        let outcome = ended(handle).await;
        assert_eq!((outcome.status, outcome.code.as_deref()), (Status::Failed, Some("deadline")));
    }
}

#[tokio::test]
async fn a_tool_without_a_sign_of_life_is_stopped() {
    let tool = |beats: bool| {
        let limits = Limits { wall_ms: 20_000, heartbeat_ms: Some(150), ..Limits::default() };
        native::tool("slow/work", "1.0.0", "Works.").effect(EffectClass::Read).limits(limits).handler(
            move |context, _: Line| async move {
                for _ in 0..8 {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    if beats {
                        context.beat();
                    }
                }
                Ok(Written { text: "worked".into() })
            },
        )
    };
    for (beats, status) in [(true, Status::Succeeded), (false, Status::Failed)] {
        let runtime = Runtime::builder().in_memory().tool(tool(beats)).build().await.unwrap();
        let outcome = ended(runtime.call("slow/work", r#"{"text":"x"}"#).await.unwrap()).await;
        assert_eq!(outcome.status, status, "{outcome:?}");
        if !beats {
            assert_eq!(outcome.code.as_deref(), Some("limit.heartbeat"));
        }
    }
}

/// Six turns, each with two calls at once.
fn long() -> Vec<Turn> {
    let mut turns: Vec<Turn> = (0..6).map(|_| Turn::call([WRITE, WRITE])).collect();
    turns.push(Turn::say("the end"));
    turns
}

#[tokio::test]
async fn a_fork_shares_the_past_performs_none_of_it_and_leaves_its_parent_alone() {
    let (calls, keys) = (Arc::<AtomicU32>::default(), Arc::default());
    let other = Scripted::new(vec![Turn::say("another way")]);
    let runtime = system(long(), &["ledger/write"])
        .tool(flaky(EffectClass::KeyedWrite, 0, &calls, &keys))
        .model("other", Arc::new(other))
        .build()
        .await
        .unwrap();
    let (engine, principal) = (runtime.engine(), runtime.principal());
    let tenant = principal.tenant.clone();
    let handle = runtime.run("scribe", "write").await.unwrap();
    let parent = handle.run();
    assert_eq!(ended(handle).await.text(), "the end");
    let before = runtime.store().run(&tenant, parent).await.unwrap().unwrap();
    let made = calls.load(Ordering::SeqCst);
    assert_eq!(made, 12);

    // Right after the results of turn 2.
    let mut feed = engine.feed(&tenant, parent, 0).await.unwrap();
    let events = feed.page().await.unwrap();
    let turn = |event: &Event| matches!(event, Event::EffectIntent(intent) if intent.call == CallId::Turn(3));
    let at = events.iter().position(|(_, event)| turn(event)).unwrap() as u64;
    let call = CallId::Tool { turn: 1, index: 0 };
    let changes = Changes {
        model: Some("other".parse().unwrap()),
        results: BTreeMap::from([(call, json!({"text": "edited"}))]),
        ..Changes::default()
    };
    let fork = engine.fork(&principal, parent, at, &changes, Some("f".into())).await.unwrap();
    assert_eq!(engine.fork(&principal, parent, at, &changes, Some("f".into())).await.unwrap().run, fork.run);
    let outcome = ended(engine.handle(&principal, fork.run).await.unwrap()).await;
    assert_eq!(outcome.text(), "another way");
    assert_eq!(calls.load(Ordering::SeqCst), made, "nothing of the past was performed again");
    assert_eq!(runtime.store().run(&tenant, parent).await.unwrap().unwrap(), before, "the parent is as it was");
    let diff = engine.diff(&tenant, parent, fork.run).await.unwrap();
    assert_eq!(diff.shared, at);
    let what: Vec<&str> = diff.differences.iter().map(|difference| difference.what.as_str()).collect();
    assert!(what.starts_with(&["model"]) && what.contains(&"turn/1/tool/0") && what.contains(&"outcome"), "{what:?}");
    assert!(!what.contains(&"turn/2/tool/0"), "{what:?}");
    let (_, state) = engine.show(&tenant, fork.run).await.unwrap();
    assert_eq!((state.parent, state.output(call)), (Some(parent), Some(&json!({"text": "edited"}))));
    assert_eq!(engine.replay(&tenant, fork.run, &BTreeMap::new()).await.unwrap().divergence, None);

    // A fork of the fork, and forks that cannot be.
    let row = runtime.store().run(&tenant, fork.run).await.unwrap().unwrap();
    let again = engine.fork(&principal, fork.run, row.head.next - 1, &Changes::default(), None).await.unwrap();
    ended(engine.handle(&principal, again.run).await.unwrap()).await;
    for (at, changes) in [
        (0, Changes::default()),
        (before.head.next + 1, Changes::default()),
        (before.head.next, Changes::default()),
        (2, Changes { results: BTreeMap::from([(call, json!(1))]), ..Changes::default() }),
        (2, Changes { tools: Some(vec!["no/tool".parse().unwrap()]), ..Changes::default() }),
    ] {
        let error = engine.fork(&principal, parent, at, &changes, None).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Invalid | ErrorKind::NotFound), "{error}");
    }
    let report = runtime.verify().await.unwrap();
    assert_eq!((report.faults, report.runs), (vec![], 3));
}

/// The seq after the first event that is like that.
async fn after(runtime: &Runtime, run: RunId, like: impl Fn(&Event) -> bool) -> u64 {
    let mut feed = runtime.engine().feed(&runtime.principal().tenant, run, 0).await.unwrap();
    let events = feed.page().await.unwrap();
    events.iter().position(|(_, event)| like(event)).unwrap() as u64 + 1
}

#[tokio::test]
async fn a_fork_leaves_a_write_in_doubt_to_its_parent_and_begins_the_rest_under_keys_of_its_own() {
    for (effect, faults, expected) in [(EffectClass::KeyedWrite, 1, 2), (EffectClass::Read, 1, 3)] {
        let (calls, keys) = (Arc::<AtomicU32>::default(), Arc::<std::sync::Mutex<Vec<String>>>::default());
        let turns = vec![Turn::call([WRITE]), Turn::say("done")];
        let builder = system(turns, &["ledger/write"]).tool(flaky(effect, faults, &calls, &keys));
        let runtime = builder.retries(3, Duration::from_millis(10)).build().await.unwrap();
        let handle = runtime.run("scribe", "write").await.unwrap();
        let parent = handle.run();
        assert_eq!(ended(handle).await.text(), "done");
        let at = after(&runtime, parent, |event| matches!(event, Event::EffectRetry(_))).await;
        let (engine, principal) = (runtime.engine(), runtime.principal());
        let fork = engine.fork(&principal, parent, at, &Changes::default(), None).await.unwrap();
        assert_eq!(ended(engine.handle(&principal, fork.run).await.unwrap()).await.text(), "done");
        assert_eq!(calls.load(Ordering::SeqCst), expected, "{effect:?}");
        let keys = keys.lock().unwrap().clone();
        assert!(keys[..2].iter().all(|key| *key == keys[0]) && keys[2..].iter().all(|key| *key != keys[0]), "{keys:?}");
        let (_, state) = engine.show(&principal.tenant, fork.run).await.unwrap();
        let known = state.output(CallId::Tool { turn: 1, index: 0 }).is_some();
        assert_eq!(known, effect == EffectClass::Read, "the fork does not know how its parent's write ended");
        assert_eq!(engine.replay(&principal.tenant, fork.run, &BTreeMap::new()).await.unwrap().divergence, None);
    }
}

/// The events of a run about its call of a tool, from the first attempt's end on.
async fn after_retry(runtime: &Runtime, run: RunId) -> Vec<&'static str> {
    let all = kinds(runtime, run).await;
    let from = all.iter().position(|kind| *kind == "effect.retry").unwrap() + 1;
    all[from..].iter().copied().filter(|kind| kind.starts_with("effect.") || *kind == "run.closed").collect()
}

#[tokio::test]
async fn a_write_that_may_have_happened_is_unknown_where_no_other_attempt_is_made() {
    for (effect, denied) in [(EffectClass::KeyedWrite, "effect.unknown"), (EffectClass::Read, "effect.denied")] {
        // The turn and the first attempt use up what there is.
        let (calls, keys) = (Arc::<AtomicU32>::default(), Arc::default());
        let turns = vec![Turn::call([WRITE]), Turn::say("done")];
        let runtime = system(turns, &["ledger/write"]).tool(flaky(effect, 9, &calls, &keys));
        let runtime = runtime.retries(3, Duration::from_millis(10)).on_unknown(OnUnknown::Tell).build().await.unwrap();
        let options =
            StartOptions { budget: Budget { calls: Some(2), ..Budget::default() }, ..StartOptions::default() };
        let handle = runtime.run_with("scribe", "write", options).await.unwrap();
        let run = handle.run();
        ended(handle).await;
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        let after = after_retry(&runtime, run).await;
        assert_eq!(after[0], denied, "{after:?}");
        let (_, state) = runtime.engine().show(&runtime.principal().tenant, run).await.unwrap();
        assert_eq!((state.spent.calls, state.reserved.calls), (2, 0), "nothing is charged twice");
        assert_eq!(runtime.verify().await.unwrap().faults, vec![]);

        // Somebody stops the run before the second attempt.
        let (calls, keys) = (Arc::<AtomicU32>::default(), Arc::default());
        let builder = system(vec![Turn::call([WRITE])], &["ledger/write"]).tool(flaky(effect, 9, &calls, &keys));
        let runtime = builder.retries(3, Duration::from_secs(60)).build().await.unwrap();
        let handle = runtime.run("scribe", "write").await.unwrap();
        let run = handle.run();
        until(&runtime, run, Status::Waiting).await;
        send(&runtime, run, "stop", Command::Cancel { reason: "enough".into() }).await.unwrap();
        assert_eq!(ended(handle).await.status, Status::Cancelled);
        let expected: &[&str] =
            if effect == EffectClass::Read { &["run.closed"] } else { &["effect.unknown", "run.closed"] };
        assert_eq!(after_retry(&runtime, run).await, expected);
        assert_eq!(runtime.verify().await.unwrap().faults, vec![]);
    }
}

#[tokio::test]
async fn a_fork_of_an_unknown_write_is_decided_upon_by_the_policy_as_well() {
    let (calls, keys) = (Arc::<AtomicU32>::default(), Arc::default());
    let tool = flaky(EffectClass::OpaqueWrite, 9, &calls, &keys);
    let turns = vec![Turn::call([WRITE]), Turn::say("done")];
    let runtime = system(turns, &["ledger/write"]).tool(tool).on_unknown(OnUnknown::Tell).build().await.unwrap();
    let handle = runtime.run("scribe", "write").await.unwrap();
    let parent = handle.run();
    ended(handle).await;
    // Between the end that nobody knows and the policy's decision.
    let at = after(&runtime, parent, |event| matches!(event, Event::EffectUnknown(_))).await;
    let principal = runtime.principal();
    let fork = runtime.engine().fork(&principal, parent, at, &Changes::default(), None).await.unwrap();
    assert_eq!(ended(runtime.engine().handle(&principal, fork.run).await.unwrap()).await.text(), "done");
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_replay_is_exact_and_names_the_first_divergence() {
    let (calls, keys) = (Arc::<AtomicU32>::default(), Arc::default());
    let tool = flaky(EffectClass::KeyedWrite, 0, &calls, &keys);
    let runtime = system(long(), &["ledger/write"]).tool(tool).build().await.unwrap();
    let (engine, tenant) = (runtime.engine(), runtime.principal().tenant);
    let handle = runtime.run("scribe", "write").await.unwrap();
    let run = handle.run();
    ended(handle).await;
    let made = calls.load(Ordering::SeqCst);
    let replayed = engine.replay(&tenant, run, &BTreeMap::new()).await.unwrap();
    assert_eq!((replayed.effects, &replayed.divergence), (19, &None), "7 turns and 12 calls");
    let call = CallId::Tool { turn: 2, index: 1 };
    let edited = engine.replay(&tenant, run, &BTreeMap::from([(call, json!({"text": "other"}))])).await.unwrap();
    let divergence = edited.divergence.unwrap();
    assert_eq!(divergence.call, Some(CallId::Turn(3)), "the next question is another");
    assert_eq!(calls.load(Ordering::SeqCst), made, "a replay performs nothing");
    let nothing = engine.replay(&tenant, run, &BTreeMap::from([(CallId::Single, json!(1))])).await.unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn a_long_run_opens_from_its_snapshot_as_the_fold_of_all() {
    let folder = tempfile::tempdir().unwrap();
    let mut turns: Vec<Turn> = (0..60).map(|_| Turn::call([WRITE; 8])).collect();
    turns.push(Turn::say("the end"));
    let (calls, keys) = (Arc::<AtomicU32>::default(), Arc::default());
    let mut profile = agent(&["ledger/write"]);
    profile.limits.turns = 100;
    let runtime = Runtime::builder()
        .data_dir(folder.path())
        .model("script", Arc::new(Scripted::new(turns)))
        .agent(profile)
        .tool(flaky(EffectClass::KeyedWrite, 0, &calls, &keys))
        .build()
        .await
        .unwrap();
    let tenant = runtime.principal().tenant;
    let handle = runtime.run("scribe", "write").await.unwrap();
    let run = handle.run();
    assert_eq!(ended(handle).await.text(), "the end");
    let row = runtime.store().run(&tenant, run).await.unwrap().unwrap();
    let snapshot = runtime.store().snapshot(&tenant, run).await.unwrap().expect("there is one");
    assert!(
        row.head.next > 1_000 && snapshot.head.next * 4 > row.head.next * 3,
        "{} of {}",
        snapshot.head.next,
        row.head.next
    );
    // Verification holds the snapshot against the fold.
    assert_eq!(runtime.verify().await.unwrap().faults, []);
    let (_, state) = runtime.engine().show(&tenant, run).await.unwrap();
    assert_eq!(state.calls.len(), 60 * 9 + 1);
    let ended = runtime.engine().outcome(&tenant, run).await.unwrap();

    // Expired, the last state is what is left, and the chain.
    let expired = runtime.engine().expire(&tenant, Duration::ZERO, true, None).await.unwrap();
    assert_eq!((expired.runs, expired.records), (1, row.head.next), "told, not done");
    tokio::time::sleep(Duration::from_millis(5)).await;
    runtime.engine().expire(&tenant, Duration::ZERO, false, None).await.unwrap();
    let (_, after) = runtime.engine().show(&tenant, run).await.unwrap();
    assert_eq!(after, state);
    assert_eq!(runtime.engine().outcome(&tenant, run).await.unwrap(), ended);
    assert_eq!(runtime.verify().await.unwrap().faults, []);
    let error = runtime.engine().replay(&tenant, run, &BTreeMap::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Expired);
    let error = runtime.engine().fork(&runtime.principal(), run, 5, &Changes::default(), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Expired);
    assert_eq!(runtime.engine().expire(&tenant, Duration::ZERO, false, None).await.unwrap().runs, 0, "once is enough");
    runtime.shutdown().await;
}

#[tokio::test]
async fn a_queryable_write_that_was_cut_off_is_asked_for() {
    for (happened, calls_in_all) in [(true, 1), (false, 2)] {
        let folder = tempfile::tempdir().unwrap();
        let calls = Arc::<AtomicU32>::default();
        let system = |calls: Arc<AtomicU32>, hang: bool| {
            let probe = move |_, _: Line| async move {
                Ok(if happened { Probed::Happened(json!({"text": "adopted"})) } else { Probed::NotHappened })
            };
            let tool = native::tool("ledger/write", "1.0.0", "Writes.")
                .effect(EffectClass::QueryableWrite)
                .handler(move |_, line: Line| {
                    calls.fetch_add(1, Ordering::SeqCst);
                    async move {
                        if hang {
                            std::future::pending::<()>().await;
                        }
                        Ok(Written { text: line.text })
                    }
                })
                .with_probe(probe);
            let turns = vec![Turn::call([WRITE]), Turn::say("done")];
            Runtime::builder()
                .data_dir(folder.path())
                .model("script", Arc::new(Scripted::new(turns)))
                .agent(agent(&["ledger/write"]))
                .tool(tool)
        };
        // The owner vanishes in the middle of the call, with all its tasks.
        let (first, seen) = (system(Arc::clone(&calls), true), Arc::clone(&calls));
        let (run, tenant) = tokio::task::spawn_blocking(move || {
            let threads = tokio::runtime::Runtime::new().unwrap();
            let began = threads.block_on(async {
                let first = first.build().await.unwrap();
                let run = first.run("scribe", "write").await.unwrap().run();
                while seen.load(Ordering::SeqCst) == 0 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                (run, first.principal().tenant)
            });
            threads.shutdown_timeout(Duration::from_secs(5));
            began
        })
        .await
        .unwrap();
        let second = system(Arc::clone(&calls), false).build().await.unwrap();
        second.start().await;
        let handle = second.engine().handle(&second.principal(), run).await.unwrap();
        assert_eq!(ended(handle).await.text(), "done");
        assert_eq!(calls.load(Ordering::SeqCst), calls_in_all);
        let kinds = kinds(&second, run).await;
        assert_eq!(kinds.contains(&"effect.retry"), !happened, "what the tool said is recorded");
        assert_eq!(second.engine().replay(&tenant, run, &BTreeMap::new()).await.unwrap().divergence, None);
        second.shutdown().await;
    }
}

#[tokio::test]
async fn an_archived_run_comes_back_whole_and_nothing_else_does() {
    let (data, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let turns = vec![Turn::call([("calc/evaluate", r#"{"expression":"6*7"}"#)]), Turn::say("42")];
    let runtime = Runtime::builder()
        .data_dir(data.path())
        .model("script", Arc::new(Scripted::new(turns)))
        .agent(agent(&["calc/evaluate"]))
        .build()
        .await
        .unwrap();
    let tenant = runtime.principal().tenant;
    let (first, other) = (runtime.run("scribe", "one").await.unwrap(), runtime.run("scribe", "two").await.unwrap());
    let (run, another) = (first.run(), other.run());
    ended(first).await;
    ended(other).await;
    let before = runtime.store().read(&tenant, run, 0, 1_000).await.unwrap();
    let archive = l9::archive::Folder::at(kept.path());
    let engine = runtime.engine();
    assert_eq!(engine.restore(&tenant, run, &archive).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(engine.expire(&tenant, Duration::ZERO, false, Some(&archive)).await.unwrap().runs, 2);
    assert_eq!(engine.replay(&tenant, run, &BTreeMap::new()).await.unwrap_err().kind(), ErrorKind::Expired);
    // The file is named by the root, and one that was changed is not taken.
    let root = before.last().unwrap().hash;
    let file = kept.path().join(format!("{root}.l9run"));
    let whole = std::fs::read(&file).unwrap();
    for at in (0..whole.len()).step_by(211) {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        std::fs::write(&file, damaged).unwrap();
        let refused = engine.restore(&tenant, run, &archive).await;
        assert!(refused.is_err(), "byte {at}");
    }
    let foreign = kept.path().join(format!("{}.l9run", engine.show(&tenant, another).await.unwrap().0.head.hash));
    std::fs::copy(foreign, &file).unwrap();
    assert_eq!(engine.restore(&tenant, run, &archive).await.unwrap_err().kind(), ErrorKind::Corrupt);
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(engine.restore(&tenant, run, &archive).await.unwrap_err().kind(), ErrorKind::Corrupt);
    std::fs::write(&file, &whole).unwrap();
    assert_eq!(engine.restore(&tenant, run, &archive).await.unwrap(), before.len() as u64);
    assert_eq!(runtime.store().read(&tenant, run, 0, 1_000).await.unwrap(), before);
    assert_eq!(engine.replay(&tenant, run, &BTreeMap::new()).await.unwrap().divergence, None);
    assert_eq!(runtime.verify().await.unwrap().faults, []);
    runtime.shutdown().await;
}
