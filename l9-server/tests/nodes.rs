//! Processes of the real binary that share a database: what each of their roles serves and does,
//! how they are listed, and how one leaves.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test's helpers, whose failure is the test's")]

mod support;

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use l9_services::Postgres;
use serde_json::{Value, json};
use support::provider::Provider;
use support::{Served, chained, pause};

/// A node's name as a variable.
fn named(name: &str) -> (&str, &str) {
    ("L9__WORKERS__NODE", name)
}

async fn ask(node: &Served, agent: &str) -> String {
    let asked = node.post(&format!("/agents/{agent}/runs"), &json!({"input": "How does L9 resume a run?"})).await;
    assert_eq!(asked.status, 202, "{asked:?}");
    asked.json()["run_id"].as_str().unwrap().to_owned()
}

async fn state(node: &Served, run: &str) -> Value {
    node.get(&format!("/runs/{run}")).await.json()["state"].clone()
}

async fn in_state(node: &Served, run: &str, wanted: &str) {
    for _ in 0..300 {
        if state(node, run).await == wanted {
            return;
        }
        pause(100).await;
    }
    panic!("run {run} never was {wanted}: {}", node.log());
}

/// The events of a run.
async fn events(node: &Served, run: &str) -> Vec<Value> {
    let page = node.get(&format!("/runs/{run}/events?limit=1000")).await.json();
    let events = page["events"].as_array().unwrap().clone();
    chained(&events, 0);
    events
}

/// The names of the nodes that had a run, in their order.
async fn owners(node: &Served, run: &str) -> Vec<String> {
    let events = events(node, run).await;
    let taken = events.iter().filter(|event| event["kind"] == "lease.taken");
    taken.map(|event| event["data"]["node"].as_str().unwrap().to_owned()).collect()
}

/// The nodes as a node lists them: name, state and roles.
async fn listed(node: &Served) -> Vec<(String, String, String)> {
    let nodes = node.get("/nodes").await.json();
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let roles = |value: &Value| value.as_array().unwrap().iter().map(word).collect::<Vec<_>>().join(",");
    let shown = |node: &Value| (word(&node["name"]), word(&node["state"]), roles(&node["roles"]));
    nodes["nodes"].as_array().unwrap().iter().map(shown).collect()
}

/// What a command of the binary says over the same data.
async fn cli(data: &Path, arguments: &[&str]) -> String {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_l9-server"));
    command.args(arguments).arg("--data-dir").arg(data).current_dir(data).env_clear().stdin(Stdio::null());
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn each_role_serves_and_does_what_it_names() {
    let folder = tempfile::tempdir().unwrap();
    let front = Served::start_as("api", &[named("front")], folder.path()).await;
    front.remember().await;
    let run = ask(&front, "researcher").await;
    // Two looks of a worker into the journal, if there were one.
    pause(2_500).await;
    assert_eq!(state(&front, &run).await, "queued", "a node without the role worker advances nothing");
    assert!(front.get("/metrics").await.text.contains("task_queue_depth{state=\"ready\"} 0"), "nor keeps it in line");

    let mut back = Served::start_as("worker", &[named("back")], folder.path()).await;
    in_state(&front, &run, "succeeded").await;
    assert_eq!(owners(&front, &run).await, ["back"]);
    for path in ["/health", "/livez", "/readyz", "/metrics"] {
        assert_eq!(back.get(path).await.status, 200, "{path}");
    }
    for path in ["/", "/openapi.json", "/agents", "/runs", "/nodes", "/ws"] {
        let refusal = back.get(path).await.problem(404, "not_found");
        assert!(refusal.contains("no role `api`"), "{path}: {refusal}");
    }
    let refused = back.post("/agents/researcher/runs", &json!({"input": "anything"})).await;
    refused.problem(404, "not_found");

    let node = |name: &str, roles: &str| (name.to_owned(), "here".to_owned(), roles.to_owned());
    assert_eq!(listed(&front).await, [node("back", "worker"), node("front", "api")]);
    let said: Value = serde_json::from_str(&cli(folder.path(), &["nodes", "list", "--json"]).await).unwrap();
    assert_eq!(said["nodes"][1]["address"], front.address.as_str(), "{said}");
    assert_eq!(said["nodes"][0]["version"], env!("CARGO_PKG_VERSION"));
    let said = cli(folder.path(), &["nodes", "list"]).await;
    assert!(said.contains("front") && said.contains("worker") && said.contains(&back.address), "{said}");

    back.terminate();
    assert_eq!(back.ended().await, Some(0));
    assert_eq!(listed(&front).await, [node("front", "api")], "whoever says that it goes is not listed");
}

/// Two nodes that have nothing in common but a PostgreSQL database and the root key.
async fn two_nodes(url: &str, more: &[(&str, &str)], prepare: fn(&Path)) -> (Served, Served) {
    let environment = |name| [more, &[("DATABASE_URL", url), ("DATABASE_POOL_SIZE", "4"), named(name)]].concat();
    let one = Served::start_with(&environment("one"), prepare).await;
    let key = one.data.path().join("root.key");
    let two = Served::start_with(&environment("two"), |data| {
        std::fs::copy(&key, data.join("root.key")).unwrap();
        prepare(data);
    })
    .await;
    (one, two)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_told_to_go_hands_its_runs_over_at_once() {
    let server = Postgres::shared();
    let url = server.database();
    let provider = Provider::start(&["It ", "folds ", "its ", "journal."], Duration::from_millis(800)).await;
    let lease = ("L9__WORKERS__LEASE_MS", "120000");
    let more = [&provider.environment()[..], &[lease]].concat();
    let (one, two) = two_nodes(&url, &more, Provider::prepare).await;
    let run = ask(&one, "talker").await;
    in_state(&one, &run, "running").await;
    let before = owners(&one, &run).await;
    let (mut leaver, stayer) = if before == ["one"] { (one, two) } else { (two, one) };
    let told = Instant::now();
    leaver.terminate();
    in_state(&stayer, &run, "succeeded").await;
    let took = told.elapsed();
    println!("handed over and ended in {took:.1?}, under a lease of 120 s");
    assert!(took < Duration::from_secs(20), "the lease was waited for: {took:?}");
    assert_eq!(leaver.ended().await, Some(0));
    let after = owners(&stayer, &run).await;
    assert_eq!((after.len(), &after[0]), (2, &before[0]), "{after:?}");
    assert_ne!(after[0], after[1]);
    let calls = events(&stayer, &run).await.iter().filter(|event| event["kind"] == "effect.intent").count();
    assert_eq!(calls, 1, "what was under way was waited for, and not made again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_died_is_away_and_forgotten_after_a_day() {
    let server = Postgres::shared();
    let url = server.database();
    let (one, mut two) = two_nodes(&url, &[], |_| {}).await;
    let all = "api,worker,scheduler";
    let node = |name: &str, state: &str| (name.to_owned(), state.to_owned(), all.to_owned());
    assert_eq!(listed(&one).await, [node("one", "here"), node("two", "here")]);
    two.kill().await;
    let mut nodes = Vec::new();
    for _ in 0..60 {
        nodes = listed(&one).await;
        if nodes.contains(&node("two", "away")) {
            break;
        }
        pause(250).await;
    }
    assert_eq!(nodes, [node("one", "here"), node("two", "away")]);
    let name = url.rsplit('/').next().and_then(|path| path.split('?').next()).unwrap();
    let _ = server.sql(name, "UPDATE nodes SET seen_at = seen_at - 86400000 WHERE name = 'two'");
    for _ in 0..40 {
        nodes = listed(&one).await;
        if nodes.len() == 1 {
            break;
        }
        pause(250).await;
    }
    assert_eq!(nodes, [node("one", "here")]);
}
