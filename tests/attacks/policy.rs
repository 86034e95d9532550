//! Attacks on what was allowed: more than was approved, and more often than may be.
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may fail, and waits for real")]

use std::sync::Arc;
use std::time::Duration;

use l9::ErrorKind;
use l9::gateway::Gateway;
use l9::governor::Choice;
use l9::id::CommandId;
use l9::kernel::OpenQuestion;
use l9::model::scripted::Turn;
use l9::run::Remember;
use serde_json::{Value, json};

use super::setup::Setup;
use super::world::{PUBLIC, Server, World, ok, path, tool};

fn setup(manifest: Value) -> Setup {
    Setup::new(manifest, Gateway::new(Arc::new(World::of(&[("api.test", &[PUBLIC])]))))
}

/// Waits until a run asks its question of that number.
async fn question(runtime: &l9::Runtime, number: u64) -> OpenQuestion {
    loop {
        match runtime.engine().approvals(&runtime.principal().tenant).await.unwrap().pop() {
            Some(question) if u64::from(question.id.ask) == number => return question,
            _ => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

#[tokio::test]
async fn attack_51_an_approval_that_is_used_again_with_other_arguments() {
    let server = Server::start(|_| ok()).await;
    let mut manifest = tool("api.test", server.port);
    manifest["approval"] = json!("always");
    manifest["args"] = json!({"/path": {"role": "path"}});
    let turns = || {
        let call = |path: &str| Turn::call([("web/fetch", json!({ "path": path }).to_string().as_str())]);
        vec![call("approved"), call("other"), Turn::say("done")]
    };
    let approve = |remember| Choice::Approve { arguments: None, remember };
    let command = |id: &str| CommandId::new(id).unwrap();
    for remember in [Remember::Once, Remember::Class] {
        let (seen, (runtime, _folder)) = (server.seen().len(), setup(manifest.clone()).build(turns()).await.unwrap());
        let (me, handle) = (runtime.principal(), runtime.run("agent", "go").await.unwrap());
        let first = question(&runtime, 1).await;
        runtime.engine().decide(&me, first.id, approve(remember), "this one".into(), command("a")).await.unwrap();
        let second = question(&runtime, 2).await;
        assert_eq!(second.arguments, json!({"path": "other"}));
        // The decision about the first is sent again while the second waits.
        let again = runtime.engine().decide(&me, first.id, approve(remember), "again".into(), command("b")).await;
        assert_eq!(again.unwrap_err().kind(), ErrorKind::Conflict);
        runtime.engine().decide(&me, second.id, Choice::Reject, "not that".into(), command("c")).await.unwrap();
        assert_eq!(handle.outcome().await.unwrap().text(), "done");
        let seen = &server.seen()[seen..];
        assert_eq!(seen.len(), 1, "{remember:?}");
        assert!(seen.iter().all(|request| path(request) == "/api/approved"), "{seen:?}");
    }

    // Control: a person who says so for the whole run is not asked again.
    let (seen, (runtime, _folder)) = (server.seen().len(), setup(manifest).build(turns()).await.unwrap());
    let (me, handle) = (runtime.principal(), runtime.run("agent", "go").await.unwrap());
    let first = question(&runtime, 1).await;
    runtime.engine().decide(&me, first.id, approve(Remember::Run), "all".into(), command("a")).await.unwrap();
    assert_eq!(handle.outcome().await.unwrap().text(), "done");
    let paths: Vec<String> = server.seen()[seen..].iter().map(|request| path(request).to_owned()).collect();
    assert_eq!(paths, ["/api/approved", "/api/other"]);
}

#[tokio::test]
async fn attack_52_a_rate_that_is_got_round_by_an_alias_or_a_burst() {
    const BURST: usize = 8;
    let names =
        ["web/fetch", "WEB/fetch", "web/fetch ", "web//fetch", "web%2Ffetch", "web/\u{200b}fetch", "./web/fetch"];
    let reached = async |rate: Option<Value>| {
        let server = Server::start(|_| ok()).await;
        let mut manifest = tool("api.test", server.port);
        manifest["rate"] = rate.unwrap_or_else(|| json!({}));
        let burst = |name: &&'static str| Turn::call(vec![(*name, r#"{"path":"x"}"#); BURST]);
        let mut turns: Vec<Turn> = names.iter().map(burst).collect();
        // And once more under its own name.
        turns.extend([burst(&names[0]), Turn::say("done")]);
        let (runtime, _folder) = setup(manifest).build(turns).await.unwrap();
        assert_eq!(runtime.run("agent", "go").await.unwrap().outcome().await.unwrap().text(), "done");
        server.seen().len()
    };
    assert_eq!(reached(Some(json!({"per_caller": 3}))).await, 3);
    // Control: without a rate the same bursts come through, and only under its own name.
    assert_eq!(reached(None).await, 2 * BURST);
}
