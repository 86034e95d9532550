//! The real binary over a real PostgreSQL server: one that goes away and comes back, and
//! one that two nodes share.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test's helpers, whose failure is the test's")]

mod support;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use l9_services::{Postgres, Stop};
use serde_json::{Value, json};
use support::provider::Provider;
use support::{PASSAGE, Served, chained, pause};

/// A command of the binary over the same database: its exit code and all that it said.
async fn cli(url: &str, data: &Path, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_l9-server"));
    command.args(arguments).arg("--data-dir").arg(data).current_dir(data).env_clear().env("DATABASE_URL", url);
    command.stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8(said).unwrap())
}

/// Stops or starts the server where it holds up nobody.
async fn turn(server: &Arc<Postgres>, work: fn(&Postgres)) {
    let server = Arc::clone(server);
    tokio::task::spawn_blocking(move || work(&server)).await.unwrap();
}

/// The run, as soon as it is in a state.
async fn in_state(node: &Served, run: &str, state: &str) -> Value {
    for _ in 0..300 {
        let answer = node.get(&format!("/runs/{run}")).await;
        if answer.status == 200 && answer.json()["state"] == state {
            return answer.json();
        }
        pause(100).await;
    }
    panic!("run {run} never was {state}: {}", node.log());
}

async fn ask(node: &Served, agent: &str) -> String {
    let asked = node.post(&format!("/agents/{agent}/runs"), &json!({"input": "How does L9 resume a run?"})).await;
    assert_eq!(asked.status, 202, "{asked:?}");
    asked.json()["run_id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_outlives_its_database_being_away() {
    let server = Arc::new(Postgres::start());
    let url = server.database();
    let provider = Provider::start(&["It ", "folds ", "its ", "journal."], Duration::from_millis(800)).await;
    let environment = [&provider.environment()[..], &[("DATABASE_URL", url.as_str())]].concat();
    let node = Served::start_with(&environment, Provider::prepare).await;
    assert_eq!(node.get("/readyz").await.status, 200);
    let run = ask(&node, "talker").await;
    in_state(&node, &run, "running").await;
    pause(300).await;

    turn(&server, |server| server.stop(Stop::Fast)).await;
    let refusal = node.get("/readyz").await.problem(503, "unavailable");
    assert!(refusal.contains("postgresql://127.0.0.1"), "{refusal}");
    let health = node.get("/health").await;
    assert_eq!(
        (health.status.as_u16(), health.json()["components"]["store"]["status"].as_str()),
        (503, Some("failed"))
    );
    assert_eq!(node.get("/livez").await.status, 200, "the process itself is well");
    let (code, said) = cli(&url, node.data.path(), &["doctor"]).await;
    assert!(code == 1 && said.contains("postgresql://127.0.0.1") && said.contains("is it running there"), "{said}");
    // The provider's answer ends meanwhile, and has nowhere to go.
    pause(3_500).await;
    turn(&server, Postgres::resume).await;

    let ended = in_state(&node, &run, "succeeded").await;
    assert_eq!(node.get("/readyz").await.status, 200);
    let events = node.get(&format!("/runs/{run}/events")).await.json();
    let events = events["events"].as_array().or_else(|| events.as_array()).unwrap().clone();
    chained(&events, 0);
    assert_eq!(events.len() as u64, ended["head"]["next"].as_u64().unwrap_or(events.len() as u64));
    assert!(node.get("/metrics").await.text.contains("database_connection_pool{state=\"idle\"}"));

    let (code, said) = cli(&url, node.data.path(), &["audit", "verify", "--json"]).await;
    let report: Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
    assert_eq!((code, report["ok"].as_bool(), report["runs"].as_u64()), (0, Some(true), Some(1)), "{said}");
    let (code, said) = cli(&url, node.data.path(), &["doctor"]).await;
    assert_eq!(code, 0, "{said}");
    for arguments in
        [&["config", "show"][..], &["config", "show", "--json"], &["doctor", "--json"], &["audit", "verify"]]
    {
        let (_, said) = cli(&url, node.data.path(), arguments).await;
        assert!(!said.contains("private%20server") && !said.contains("private server"), "{arguments:?}: {said}");
    }
    assert!(!node.log().contains("private%20server"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_of_one_database_see_the_same() {
    let server = Postgres::shared();
    let url = server.database();
    let environment = [("DATABASE_URL", url.as_str()), ("DATABASE_POOL_SIZE", "4"), ("DATABASE_POOL_TIMEOUT", "3")];
    let one = Served::start_with(&environment, |_| {}).await;
    let key = one.data.path().join("root.key");
    let two = Served::start_with(&environment, |data| {
        std::fs::copy(&key, data.join("root.key")).unwrap();
    })
    .await;
    one.remember().await;
    let run = two.research().await;
    let seen = in_state(&one, &run, "succeeded").await;
    assert_eq!(seen["run_id"], run.as_str());
    let events = one.get(&format!("/runs/{run}/events")).await;
    assert!(events.text.contains("run.closed"), "{events:?}");
    assert_eq!(events.text, two.get(&format!("/runs/{run}/events")).await.text);
    let found = two.get("/memory/search?q=crash").await;
    assert!(found.text.contains(PASSAGE), "{found:?}");

    // A third node without the key, and one with another.
    let third = tempfile::tempdir().unwrap();
    let (code, said) = cli(&url, third.path(), &["runs", "list"]).await;
    assert!(code != 0 && said.contains("root.key") && said.contains("another node"), "{said}");
    let other = tempfile::tempdir().unwrap();
    let (_, said) = cli(&server.database(), other.path(), &["memory", "search", "anything"]).await;
    assert!(other.path().join("root.key").exists(), "{said}");
    let (code, said) = cli(&url, other.path(), &["runs", "list"]).await;
    assert!(code != 0 && said.contains("share one key file"), "{said}");
}

/// A folder whose configuration declares a layer unsealed.
fn unsealed(data: &Path) {
    let config = "memory:\n  embedder: hashing\n  unsealed_layers: [long_term]\n";
    std::fs::write(data.join("config.yaml"), config).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unsealed_layers_are_refused_where_there_is_no_pgvector() {
    let server = Postgres::shared();
    let folder = tempfile::tempdir().unwrap();
    unsealed(folder.path());
    // The server may offer the extension; the database does not have it.
    let (code, said) = cli(&server.database(), folder.path(), &["runs", "list"]).await;
    for part in ["memory.unsealed_layers", "pgvector 0.8", "CREATE EXTENSION vector"] {
        assert!(code != 0 && said.contains(part), "{part}: {said}");
    }
    // SQLite never does.
    let (code, said) = cli("", folder.path(), &["run", "researcher", "anything"]).await;
    assert!(code != 0 && said.contains("memory.unsealed_layers") && said.contains("DATABASE_URL"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs pgvector: scripts/test runs it on PostgreSQL 18"]
async fn unsealed_layers_are_searched_by_pgvector() {
    let server = Postgres::shared();
    let url = server.database();
    let name = url.rsplit('/').next().and_then(|path| path.split('?').next()).unwrap();
    let _ = server.sql(name, "CREATE EXTENSION vector");
    let node = Served::start_with(&[("DATABASE_URL", url.as_str())], unsealed).await;
    for text in ["Refunds are paid within a week.", "The harbour was dredged in May."] {
        assert_eq!(node.post("/memory", &json!({"text": text})).await.status, 201);
    }
    for _ in 0..400 {
        let detail = node.get("/health").await.json()["components"]["embedder"]["detail"].to_string();
        if detail.contains("2 memories have vectors, 0 wait") {
            break;
        }
        pause(50).await;
    }
    let found = node.get("/memory/search?q=refund&k=1&explain=true").await.json();
    assert_eq!(found["results"][0]["text"], "Refunds are paid within a week.", "{found}");
    assert_eq!(found["results"][0]["why"]["meaning"], json!(1.0), "{found}");
    let rows = "SELECT (SELECT count(*) FROM unsealed_vectors), (SELECT count(*) FROM vectors)";
    assert_eq!(server.sql(name, rows), "2|0");
}
