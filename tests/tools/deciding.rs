//! What people decide about tools: it holds in every process, for running runs too, for
//! ever where that was said, and an outsider finds it.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use l9::evidence::ToolDecision;
use l9::governor::Permit;
use l9::model::scripted::{Scripted, Turn};
use l9::native::{self, Context};
use l9::run::Event;
use l9::time::{Clock as _, SystemClock};
use l9::tool::{EffectClass, Manifest, ToolFault, ToolOutput, ToolSandbox, ToolState};
use l9::tools::Decision;
use l9::{AgentProfile, ErrorKind, Runtime};
use l9_tools::registry::from_json;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::words::{Bed, ask, decide};

async fn until(holds: impl Fn() -> bool) {
    let clock = SystemClock::default();
    while !holds() {
        clock.sleep(std::time::Duration::from_millis(10)).await;
    }
}

/// A tool that waits until it is told to end.
fn gate(reached: &Arc<Notify>, open: &Arc<Notify>) -> native::NativeTool {
    let (reached, open) = (Arc::clone(reached), Arc::clone(open));
    native::tool("demo/gate", "1.0.0", "Waits.").effect(EffectClass::Read).handler(
        move |_: Context, _: serde_json::Map<String, Value>| {
            let (reached, open) = (Arc::clone(&reached), Arc::clone(&open));
            async move {
                reached.notify_one();
                open.notified().await;
                Ok("open".to_owned())
            }
        },
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disabled_tool_is_refused_to_a_running_run_of_another_process_which_is_told_who_and_why() {
    let bed = Bed::new();
    bed.word("word", "demo/word", "1.0.0", "word");
    let (reached, open) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let turns = vec![
        Turn::call([("demo/word", "{}")]),
        Turn::call([("demo/gate", "{}")]),
        Turn::call([("demo/word", "{}")]),
        Turn::say("done"),
    ];
    let agent = AgentProfile::new("talker").unwrap().with_model("script").unwrap();
    let agent = agent.with_tool("demo/word").unwrap().with_tool("demo/gate").unwrap();
    let builder = Runtime::builder().settings(bed.settings()).model("script", Arc::new(Scripted::new(turns)));
    let working = Box::pin(builder.agent(agent).tool(gate(&reached, &open)).build()).await.unwrap();
    let deciding = bed.start().await;

    let mut handle = working.run("talker", "talk").await.unwrap();
    reached.notified().await;
    let decided = decide(&deciding, "demo/word", ToolState::Disabled, "it says too much").await.unwrap();
    assert_eq!(decided.len(), 1);
    let (id, version) = ("demo/word".parse().unwrap(), "1.0.0".parse().unwrap());
    let is = |state| working.registry().standings().entry(&id, &version).is_some_and(|entry| entry.state == state);
    // Learned by itself: nothing here tells it.
    until(|| is(ToolState::Disabled)).await;
    open.notify_one();
    let (mut gave, mut denied) = (0, Vec::new());
    while let Some((_, event)) = handle.next_event().await.unwrap() {
        match event {
            Event::EffectResult(result) => gave += usize::from(format!("{result:?}").contains("word")),
            Event::EffectDenied(refused) => denied.push((refused.code.clone(), refused.reasons.join("; "))),
            _ => {}
        }
    }
    assert!(gave > 0, "it could be called before");
    let [(code, reason)] = denied.as_slice() else { panic!("{denied:?}") };
    assert_eq!(code, "withheld");
    assert_eq!(reason, "demo/word 1.0.0 was disabled by person:ada: it says too much");

    // Accepted again, it is called again.
    decide(&deciding, "demo/word", ToolState::Accepted, "it was mended").await.unwrap();
    until(|| is(ToolState::Accepted)).await;
    assert_eq!(ask(&working, "demo/word").await.unwrap(), "word");
    working.shutdown().await;
    deciding.shutdown().await;
}

/// A sandbox that takes its time to get ready.
#[derive(Debug)]
struct Slow {
    reached: Arc<Notify>,
    ready: Arc<Notify>,
    calls: Arc<AtomicU32>,
}

#[async_trait::async_trait]
impl ToolSandbox for Slow {
    async fn prepare(&self) {
        self.reached.notify_one();
        self.ready.notified().await;
    }

    async fn call(&self, _: Permit, _: &Manifest, _: &Value) -> Result<ToolOutput, ToolFault> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        Ok(ToolOutput { value: json!("called"), ..ToolOutput::default() })
    }
}

#[tokio::test]
async fn what_is_disabled_while_it_gets_ready_is_not_begun() {
    for disables in [false, true] {
        let bed = Bed::new();
        let runtime = bed.start().await;
        let (reached, ready, calls) = (Arc::<Notify>::default(), Arc::<Notify>::default(), Arc::default());
        let manifest = json!({
            "schema_version": 1, "id": "demo/slow", "version": "1.0.0", "title": "Slow", "description": "Slow.",
            "runtime": {"kind": "native"}, "input_schema": {"type": "object"}, "effect": "read"
        });
        let manifest = from_json(manifest.to_string().as_bytes()).unwrap();
        let (reaches, waits, counts) = (Arc::clone(&reached), Arc::clone(&ready), Arc::clone(&calls));
        let slow = Slow { reached: reaches, ready: waits, calls: counts };
        runtime.registry().register(manifest, Arc::new(slow)).unwrap();
        let asked = ask(&runtime, "demo/slow");
        let meanwhile = async {
            reached.notified().await;
            if disables {
                decide(&runtime, "demo/slow", ToolState::Disabled, "it is broken").await.unwrap();
            }
            ready.notify_one();
        };
        let (answer, ()) = tokio::join!(asked, meanwhile);
        assert_eq!(calls.load(Ordering::SeqCst), u32::from(!disables));
        match answer {
            Ok(answer) => assert_eq!((answer.as_str(), disables), ("called", false)),
            Err(error) => assert!(disables && error.contains("was disabled by person:ada: it is broken"), "{error}"),
        }
        runtime.shutdown().await;
    }
}

#[tokio::test]
async fn revoked_is_for_ever_and_newer_versions_wait_for_a_person() {
    let bed = Bed::new();
    bed.word("word", "demo/word", "1.0.0", "word");
    let runtime = bed.start().await;
    decide(&runtime, "demo/word", ToolState::Revoked, "its maker was breached").await.unwrap();
    for state in [ToolState::Accepted, ToolState::Disabled] {
        let error = decide(&runtime, "demo/word@1.0.0", state, "please").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.to_string().contains("was revoked by person:ada: its maker was breached"), "{error}");
    }
    assert!(decide(&runtime, "demo/word@1.0.0", ToolState::Revoked, "again").await.unwrap().is_empty());
    runtime.shutdown().await;
    let runtime = bed.start().await;
    assert!(ask(&runtime, "demo/word").await.unwrap_err().contains("was revoked by person:ada"));
    bed.word("word", "demo/word", "1.0.1", "mended");
    runtime.tools().reload().await.unwrap();
    let error = ask(&runtime, "demo/word@1.0.1").await.unwrap_err();
    assert!(error.contains("waits for an admin") && error.contains("1.0.0 was revoked"), "{error}");
    decide(&runtime, "demo/word", ToolState::Accepted, "looked at it").await.unwrap();
    assert_eq!(ask(&runtime, "demo/word").await.unwrap(), "mended");
    runtime.shutdown().await;
}

#[tokio::test]
async fn of_several_versions_that_wait_a_bare_name_takes_none() {
    let bed = Bed::new();
    bed.word("word", "demo/word", "2.0.0", "two");
    let runtime = bed.start().await;
    bed.word("old", "demo/word", "1.0.0", "old");
    bed.word("older", "demo/word", "0.9.0", "older");
    runtime.tools().reload().await.unwrap();
    let error = decide(&runtime, "demo/word", ToolState::Accepted, "back").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let (id, version) = ("demo/word".parse().unwrap(), "0.9.0".parse().unwrap());
    let contract = runtime.registry().standings().entry(&id, &version).unwrap().contract.to_string();
    let older = format!("0.9.0 (contract {})", &contract[..12]);
    for told in ["2 versions of demo/word wait", older.as_str(), "1.0.0 (contract ", "demo/word@VERSION"] {
        assert!(error.to_string().contains(told), "{told} is not in {error}");
    }
    assert_eq!(ask(&runtime, "demo/word").await.unwrap(), "two");
    decide(&runtime, "demo/word@0.9.0", ToolState::Accepted, "back").await.unwrap();
    assert_eq!(ask(&runtime, "demo/word").await.unwrap(), "older");
    // Control: the only one that waits is meant by the bare name.
    decide(&runtime, "demo/word", ToolState::Accepted, "not so far back").await.unwrap();
    assert_eq!(ask(&runtime, "demo/word").await.unwrap(), "old");
    runtime.shutdown().await;
}

#[tokio::test]
async fn a_built_in_tool_is_disabled_and_accepted_like_any_other() {
    let bed = Bed::new();
    let runtime = bed.start().await;
    let call = async || {
        let handle = runtime.call("calc/evaluate", r#"{"expression": "6 * 7"}"#).await?;
        handle.outcome().await
    };
    assert_eq!(call().await.unwrap().answer["result"], "42");
    decide(&runtime, "calc/evaluate", ToolState::Disabled, "no sums today").await.unwrap();
    let error = call().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.to_string().contains("was disabled by person:ada: no sums today"), "{error}");
    let refused = runtime.run("researcher", "What is 2 + 3?").await.unwrap_err();
    assert!(refused.to_string().contains("no sums today"), "{refused}");
    decide(&runtime, "calc/evaluate", ToolState::Accepted, "tomorrow").await.unwrap();
    assert_eq!(call().await.unwrap().answer["result"], "42");
    runtime.shutdown().await;
}

#[tokio::test]
async fn decisions_are_stated_under_the_logs_signature_and_the_store_is_held_to_it() {
    let bed = Bed::new();
    bed.word("word", "demo/word", "1.0.0", "word");
    let runtime = bed.start().await;
    runtime.start().await;
    assert_eq!(ask(&runtime, "demo/word").await.unwrap(), "word");
    let decided = decide(&runtime, "demo/word", ToolState::Disabled, "it says too much").await.unwrap();
    let key = runtime.audit().key().await.unwrap().clone();
    let stated = ToolDecision::open(&key, &decided[0].statement).unwrap();
    assert_eq!((stated.tool.as_str(), stated.version.as_str()), ("demo/word", "1.0.0"));
    assert_eq!((stated.contract, stated.state), (decided[0].contract.0, ToolState::Disabled));
    assert_eq!(runtime.audit().log().statements().await.unwrap(), [decided[0].statement.clone()]);
    decide(&runtime, "demo/word", ToolState::Revoked, "for ever").await.unwrap();
    let faults = async |runtime: &Runtime| runtime.verify().await.unwrap().tree.unwrap().faults;
    assert_eq!(faults(&runtime).await, Vec::<String>::new());
    runtime.shutdown().await;

    // Somebody takes the last decision out of the database: the tool could be called again.
    forget_the_last_change(&bed).await;
    let runtime = bed.start().await;
    let found = faults(&runtime).await;
    let expected = "a statement says that demo/word 1.0.0 was revoked, and the store does not have it";
    assert_eq!(found, [expected]);
    runtime.shutdown().await;
}

async fn forget_the_last_change(bed: &Bed) {
    let script = "import sqlite3, sys\n\
                  db = sqlite3.connect(sys.argv[1])\n\
                  db.execute('DELETE FROM tool_changes WHERE position = (SELECT max(position) FROM tool_changes)')\n\
                  db.commit()";
    let mut python = tokio::process::Command::new("python3");
    let ran = python.args(["-c", script]).arg(bed.data_dir().join("l9.db")).status().await.unwrap();
    assert!(ran.success());
}

#[tokio::test]
async fn a_decision_needs_a_reason_and_names_exactly_what_it_is_about() {
    let bed = Bed::new();
    bed.word("a", "demo/word", "1.0.0", "one");
    bed.word("b", "demo/word", "1.1.0", "two");
    let runtime = bed.start().await;
    for reason in [" ", "why\n2.0.0 accepted", "why\u{1b}]0;title\u{7}"] {
        let error = decide(&runtime, "demo/word", ToolState::Disabled, reason).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
    let error = decide(&runtime, "demo/word@7.0.0", ToolState::Disabled, "why").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let error = decide(&runtime, "demo/word", ToolState::Accepted, "why").await.unwrap_err();
    assert!(error.to_string().contains("nothing of demo/word waits to be accepted"), "{error}");
    let (tenant, name) = (runtime.principal().tenant, "demo/word@1.0.0".parse().unwrap());
    let one = runtime.engine().parts().governor.registry().find(&tenant, &name).unwrap();
    let exactly = |contract: &str| Decision {
        name: "demo/word".parse().unwrap(),
        contract: Some(contract.to_owned()),
        state: ToolState::Disabled,
        reason: "why".to_owned(),
    };
    let error = runtime.decide_tool("person:ada", &exactly("")).await.unwrap_err();
    assert!(error.to_string().contains("give more of it"), "{error}");
    let contract = one.contract.to_string();
    let decided = runtime.decide_tool("person:ada", &exactly(&contract[..16])).await.unwrap();
    assert_eq!(decided.iter().map(|one| one.tool.to_string()).collect::<Vec<_>>(), ["demo/word@1.0.0"]);
    assert_eq!(ask(&runtime, "demo/word").await.unwrap(), "two");
    // Without a version all are meant.
    decide(&runtime, "demo/word", ToolState::Disabled, "all").await.unwrap();
    assert!(ask(&runtime, "demo/word").await.is_err());
    runtime.shutdown().await;
}
