//! Arguments that a tool's manifest keeps from whoever reads the journal, and how much of them is
//! shown instead.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use l9::digest::Digest;
use l9::governor::Choice;
use l9::id::CommandId;
use l9::kernel::OpenQuestion;
use l9::model::scripted::{Scripted, Turn};
use l9::principal::Role;
use l9::run::{Event, Remember};
use l9::tool::{Approval, ArgRole, AuditArgs, AuditDetail, EffectClass};
use l9::{AgentProfile, Ended, Principal, RunHandle, RunId, Runtime, StartOptions, native};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::questions::asked;
use crate::system::{Evidence, key, second_opinion};

/// What a model writes, what a person writes instead, and what somebody calls the tool with.
const SECRETS: [&str; 3] = ["4711-by-the-model", "4712-by-a-person", "4713-by-hand"];

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Put {
    pin: String,
    #[serde(default)]
    kind: Kind,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Kind {
    #[default]
    Door,
}

#[derive(Serialize, JsonSchema)]
struct Kept {
    characters: usize,
}

type Pins = Arc<Mutex<Vec<String>>>;

async fn open(folder: &Path, (version, detail): (&str, AuditDetail), pins: &Pins) -> Runtime {
    let [model, ..] = SECRETS;
    let (right, wrong) = (json!({"pin": model}).to_string(), json!({"pin": "x", "kind": model}).to_string());
    let turns = vec![
        Turn::call([("safe/put", right.as_str()), ("safe/put", wrong.as_str())]),
        Turn::call([("safe/put", right.as_str())]),
        Turn::say("done"),
    ];
    open_with(folder, (version, detail), turns, pins).await
}

async fn open_with(folder: &Path, (version, detail): (&str, AuditDetail), turns: Vec<Turn>, pins: &Pins) -> Runtime {
    let pins = Arc::clone(pins);
    let put = native::tool("safe/put", version, "Keeps a number.")
        .effect(EffectClass::KeyedWrite)
        .approval(Approval::Always)
        .audit(AuditArgs { args: detail })
        .arg("/pin", ArgRole::Recipient.into())
        .handler(move |_, put: Put| {
            let Kind::Door = put.kind;
            let characters = put.pin.len();
            pins.lock().unwrap().push(put.pin);
            async move { Ok(Kept { characters }) }
        });
    let profile = AgentProfile::new("clerk").unwrap().with_model("script").unwrap().with_tool("safe/put").unwrap();
    let builder = Runtime::builder().data_dir(folder).model("script", Arc::new(Scripted::new(turns)));
    builder.agent(profile).tool(put).build().await.unwrap()
}

async fn until(reached: impl Fn() -> bool) {
    let look = async {
        while !reached() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), look).await.unwrap();
}

async fn approve(runtime: &Runtime, question: &OpenQuestion, instead: Option<&str>) {
    let arguments = instead.map(|pin| json!({ "pin": pin }));
    decide(runtime, question, Choice::Approve { arguments, remember: Remember::Once }).await;
}

async fn decide(runtime: &Runtime, question: &OpenQuestion, choice: Choice) {
    let command = CommandId::new(question.id.to_string().replace('/', "-")).unwrap();
    let by = runtime.principal();
    runtime.engine().decide(&by, question.id, choice, "it may".into(), command).await.unwrap();
}

async fn ended(handle: RunHandle) -> Ended {
    tokio::time::timeout(Duration::from_secs(20), handle.outcome()).await.unwrap().unwrap()
}

/// Everything that is told of a run to those who may read it.
async fn told(runtime: &Runtime, run: RunId, bundle: &[u8]) -> String {
    let (engine, tenant) = (runtime.engine(), runtime.principal().tenant);
    let mut all = String::from_utf8(bundle.to_vec()).unwrap();
    let mut feed = engine.feed(&tenant, run, 0).await.unwrap();
    for (view, _) in feed.page().await.unwrap() {
        all += &serde_json::to_string(&view).unwrap();
    }
    // With another answer of the model the journal goes another way, which is told in words.
    let edits = BTreeMap::from([(
        "turn/1".parse().unwrap(),
        json!({"text": "no", "stop": "end", "model": "script",
        "usage": {"input_tokens": 0, "output_tokens": 0}}),
    )]);
    let (_, state) = engine.show(&tenant, run).await.unwrap();
    if state.calls.contains_key(&"turn/1".parse().unwrap()) {
        let replayed = engine.replay(&tenant, run, &edits).await.unwrap();
        assert!(replayed.divergence.is_some());
        all += &serde_json::to_string(&replayed).unwrap();
    }
    let started = runtime.run("clerk", "another").await.unwrap();
    all + &serde_json::to_string(&engine.diff(&tenant, run, started.run()).await.unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_are_shown_as_far_as_the_manifest_says_and_always_performed() {
    for (detail, shown, shape) in
        [(AuditDetail::Full, true, false), (AuditDetail::Redacted, false, true), (AuditDetail::Hash, false, false)]
    {
        let [model, person, hand] = SECRETS;
        let (folder, pins) = (tempfile::tempdir().unwrap(), Pins::default());
        let runtime = open(folder.path(), ("1.0.0", detail), &pins).await;
        let run = runtime.run("clerk", "keep it").await.unwrap().run();
        let question = asked(&runtime).await;
        assert_eq!(question.arguments, json!({ "pin": model }), "whoever decides sees what about");
        let viewer = Principal { roles: [Role::Viewer].into_iter().collect(), ..runtime.principal() };
        assert_eq!(question.clone().seen_by(&viewer).arguments == question.arguments, shown);
        // What is sealed beside the journal outlives the process that put it there.
        runtime.shutdown().await;
        let runtime = open(folder.path(), ("1.0.0", detail), &pins).await;
        runtime.start().await;
        approve(&runtime, &asked(&runtime).await, None).await;
        until(|| pins.lock().unwrap().len() == 1).await;
        approve(&runtime, &asked(&runtime).await, Some(person)).await;
        let handle = runtime.engine().handle(&runtime.principal(), run).await.unwrap();
        assert_eq!(ended(handle).await.text(), "done");

        let (me, tool) = (runtime.principal(), "safe/put".parse().unwrap());
        let call = json!({ "pin": hand }).to_string();
        let single = runtime.engine().start_tool(&me, &tool, &call, StartOptions::default()).await.unwrap().run;
        approve(&runtime, &asked(&runtime).await, None).await;
        ended(runtime.engine().handle(&me, single).await.unwrap()).await;
        assert_eq!(*pins.lock().unwrap(), [model, person, hand]);

        for (run, secrets) in [(run, &[model, person][..]), (single, &[hand][..])] {
            let replayed = runtime.engine().replay(&me.tenant, run, &BTreeMap::new()).await.unwrap();
            assert_eq!(replayed.divergence, None, "{detail:?}");
            let bundle = runtime.audit().export(&me.tenant, run, &[]).await.unwrap();
            let all = told(&runtime, run, &bundle.bytes).await;
            for secret in secrets {
                assert_eq!(all.contains(secret), shown, "{detail:?} {secret}: {all}");
            }
            assert_eq!(all.contains(r#""shape":{"pin":"string"}"#), shape, "{detail:?}: {all}");
            let evidence = Evidence { bytes: bundle.bytes, key: key(folder.path()).public().clone(), head: None };
            let verdict = evidence.verify();
            assert!(verdict.ok, "{:?}", verdict.faults);
            assert_eq!(second_opinion(&[&evidence]), [None]);
        }
        assert!(runtime.verify().await.unwrap().is_whole(), "{detail:?}");
        runtime.shutdown().await;
    }
}

/// The addresses of the arguments in one event of a run: the kind, and which of them.
fn addresses(events: &[Event]) -> Vec<(&'static str, Digest)> {
    events.iter().flat_map(|event| event.artifacts().into_iter().map(|id| (event.kind(), id))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_bodies_refer_to_goes_with_them_and_the_rest_with_the_run() {
    let (folder, pins) = (tempfile::tempdir().unwrap(), Pins::default());
    let runtime = open(folder.path(), ("1.0.0", AuditDetail::Hash), &pins).await;
    let tenant = runtime.principal().tenant;
    let run = runtime.run("clerk", "keep it").await.unwrap().run();
    for count in 1..=2 {
        approve(&runtime, &asked(&runtime).await, None).await;
        until(|| pins.lock().unwrap().len() == count).await;
    }
    ended(runtime.engine().handle(&runtime.principal(), run).await.unwrap()).await;
    let mut feed = runtime.engine().feed(&tenant, run, 0).await.unwrap();
    let events: Vec<Event> = feed.page().await.unwrap().into_iter().map(|(_, event)| event).collect();
    let all = addresses(&events);
    let there = async |kind: &str| {
        let mut found = Vec::new();
        for (_, id) in all.iter().filter(|(of, _)| *of == kind) {
            found.push(runtime.store().artifact(&tenant, *id).await.unwrap().is_some());
        }
        found
    };
    let kinds = ["approval.asked", "effect.denied", "effect.intent", "effect.result"];
    let counts = [2, 1, 2, 2];
    for (kind, count) in kinds.into_iter().zip(counts) {
        assert_eq!(there(kind).await, vec![true; count], "{kind}");
    }
    let expired = runtime.engine().expire(&tenant, Duration::ZERO, false, None).await.unwrap();
    assert_eq!((expired.runs, expired.kept), (1, Vec::new()));
    // The last state has what was called and what came of it, and nothing else.
    for (kind, count) in kinds.into_iter().zip(counts) {
        assert_eq!(there(kind).await, vec![kind.starts_with("effect.in") || kind == "effect.result"; count], "{kind}");
    }
    let row = runtime.store().run(&tenant, run).await.unwrap().unwrap();
    runtime.engine().erase(&tenant, &row).await.unwrap();
    for (kind, count) in kinds.into_iter().zip(counts) {
        assert_eq!(there(kind).await, vec![false; count], "{kind}");
    }
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_that_is_remembered_verifies_over_a_snapshot() {
    let (folder, pins) = (tempfile::tempdir().unwrap(), Pins::default());
    let put = json!({ "pin": SECRETS[0] }).to_string();
    let mut turns = vec![Turn::call([("safe/put", put.as_str())])];
    turns.extend((0..9).map(|_| Turn::call([("safe/put", put.as_str()); 16])));
    turns.push(Turn::say("done"));
    let runtime = open_with(folder.path(), ("1.0.0", AuditDetail::Hash), turns, &pins).await;
    let run = runtime.run("clerk", "keep them").await.unwrap().run();
    let class = Choice::Approve { arguments: None, remember: Remember::Class };
    decide(&runtime, &asked(&runtime).await, class).await;
    let handle = runtime.engine().handle(&runtime.principal(), run).await.unwrap();
    assert_eq!(ended(handle).await.text(), "done");
    assert_eq!(pins.lock().unwrap().len(), 1 + 9 * 16, "it was asked once");
    let tenant = runtime.principal().tenant;
    assert!(runtime.store().snapshot(&tenant, run).await.unwrap().is_some());
    assert_eq!(runtime.verify().await.unwrap().faults, []);
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_shown_of_what_a_tool_was_called_with_whose_manifest_is_gone() {
    let (folder, pins) = (tempfile::tempdir().unwrap(), Pins::default());
    let runtime = open(folder.path(), ("1.0.0", AuditDetail::Hash), &pins).await;
    let run = runtime.run("clerk", "keep it").await.unwrap().run();
    asked(&runtime).await;
    runtime.shutdown().await;
    let runtime = open(folder.path(), ("1.1.0", AuditDetail::Full), &pins).await;
    runtime.start().await;
    approve(&runtime, &asked(&runtime).await, None).await;
    let handle = runtime.engine().handle(&runtime.principal(), run).await.unwrap();
    assert_eq!(ended(handle).await.text(), "done");
    let mut feed = runtime.engine().feed(&runtime.principal().tenant, run, 0).await.unwrap();
    let page = feed.page().await.unwrap();
    let all: Vec<String> = page.iter().map(|(view, _)| serde_json::to_string(view).unwrap()).collect();
    assert!(all.iter().any(|line| line.contains("stale_contract")), "{all:#?}");
    assert!(!all.iter().any(|line| line.contains(SECRETS[0])), "{all:#?}");
    assert_eq!(*pins.lock().unwrap(), Vec::<String>::new());
    runtime.shutdown().await;
}
