//! Processes of the real binary that share a database: what each of their roles serves and does,
//! how they are listed, and how one leaves.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test's helpers, whose failure is the test's")]

mod support;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use l9::time::{Clock, SystemClock, Timestamp};
use l9_services::{Postgres, Redis, RedisCluster};
use serde_json::{Value, json};
use support::provider::Provider;
use support::{Served, chained, pause};
use tempfile::TempDir;

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
    let told = now();
    leaver.terminate();
    in_state(&stayer, &run, "succeeded").await;
    let took = Duration::from_millis(u64::try_from(now() - told).unwrap());
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

type Environment = Vec<(&'static str, String)>;

/// The environment of a node over a PostgreSQL database.
fn with_database(url: String) -> Environment {
    vec![("DATABASE_URL", url), ("DATABASE_POOL_SIZE", "4".into())]
}

/// What it says of a Redis server.
fn redis_at(url: String, password: &str) -> Environment {
    vec![("REDIS_URL", url), ("REDIS_PASSWORD", password.into())]
}

/// A node that answers requests and one that works, which share their environment; and their
/// folders.
async fn front_and_back(environment: &Environment, provider: &Provider) -> (Served, Served, [TempDir; 2]) {
    let environment = environment.iter().map(|(name, value)| (*name, value.as_str()));
    let environment: Vec<(&str, &str)> = environment.chain(provider.environment()).collect();
    let environment = |name| [&environment[..], &[named(name)]].concat();
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    for folder in &folders {
        Provider::prepare(folder.path());
        let profile = "id: asker\nmodel: openai/test-1\ntools: [memory/search]\n";
        std::fs::write(folder.path().join("agents/asker.yaml"), profile).unwrap();
    }
    let [one, two] = folders.each_ref().map(TempDir::path);
    let front = Served::start_as("api", &environment("front"), one).await;
    std::fs::copy(one.join("root.key"), two.join("root.key")).unwrap();
    let back = Served::start_as("worker", &environment("back"), two).await;
    (front, back, folders)
}

/// A search in each of six turns, then a word.
fn searches(body: &Value) -> Vec<Value> {
    let messages = body["messages"].as_array().into_iter().flatten();
    let turn = messages.filter(|message| message["role"] == "assistant").count();
    let Some(tool) = body["tools"][0]["function"]["name"].as_str().filter(|_| turn < 6) else {
        return vec![json!({"delta": {"content": "found"}, "finish_reason": "stop"})];
    };
    let function = json!({"name": tool, "arguments": "{\"query\": \"crash\"}"});
    let call = json!({"index": 0, "id": format!("call-{turn}"), "type": "function", "function": function});
    vec![json!({"delta": {"tool_calls": [call]}, "finish_reason": "tool_calls"})]
}

/// The middle of how late a run's events reached a WebSocket client of a node, in milliseconds.
async fn lag(node: &Served) -> i64 {
    let mut socket = node.socket().await;
    socket.say(&json!({"type": "agent.execute", "agent_id": "asker", "input": "How?", "id": "c1"})).await;
    let mut lags = Vec::new();
    loop {
        let frame = socket.hear().await;
        if frame["type"] == "run.event" {
            assert_eq!(frame["seq"], lags.len(), "{frame}");
            lags.push(now() - millis(&frame["at"]));
        } else if frame["type"] == "run.closed" {
            assert!(lags.len() > 20, "{lags:?}");
            lags.sort_unstable();
            return lags[lags.len() / 2];
        }
    }
}

fn now() -> i64 {
    SystemClock::default().now().as_millis()
}

fn millis(at: &Value) -> i64 {
    at.as_str().unwrap().parse::<Timestamp>().unwrap().as_millis()
}

/// How long commands to busy runs take that are sent through a node, in milliseconds, in order.
async fn commands(node: &Served, count: usize) -> Vec<i64> {
    let mut runs = Vec::new();
    for _ in 0..count {
        runs.push(ask(node, "talker").await);
    }
    for run in &runs {
        in_state(node, run, "running").await;
    }
    pause(500).await;
    let mut sent = Vec::new();
    for run in &runs {
        sent.push(now());
        assert_eq!(node.post(&format!("/runs/{run}/cancel"), &json!({"reason": "test"})).await.status, 202);
        pause(60).await;
    }
    let mut took = Vec::new();
    for (run, sent) in runs.iter().zip(sent) {
        in_state(node, run, "cancelled").await;
        let events = events(node, run).await;
        let heard = events.iter().find(|event| event["kind"] == "cancel.requested").unwrap();
        took.push(millis(&heard["at"]) - sent);
    }
    took.sort_unstable();
    took
}

async fn heard(node: &Served) -> u64 {
    let metrics = node.get("/metrics").await.text;
    metrics.lines().find_map(|line| line.strip_prefix("l9_hints_heard_total ")?.parse().ok()).unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hints_go_from_node_to_node_and_a_lost_redis_only_slows() {
    let (redis, server) = (Redis::start(), Postgres::shared());
    let environment = || [with_database(server.database()), redis_at(redis.bare_url(), redis.password())].concat();
    let slow = Provider::start(&["It ", "folds ", "its ", "journal."], Duration::from_millis(800)).await;
    let (front, back, _folders) = front_and_back(&environment(), &slow).await;
    let took = commands(&front, 8).await;
    println!("commands through another node took {took:?} ms");
    // The owner looks by itself every half second: without hints this would be chance.
    assert!(took[6] < 150, "commands wait for the poll: {took:?}");
    drop((front, back));

    let provider = Provider::answering(searches, Duration::from_millis(120)).await;
    let (front, back, _folders) = front_and_back(&environment(), &provider).await;
    let with = lag(&front).await;
    // The one heard of each step, the other that a run was accepted; nobody hears itself.
    let both = (heard(&front).await, heard(&back).await);
    assert!(both.0 > 10 && (1..=3).contains(&both.1), "{both:?}");
    assert!(with < 100, "events wait for the poll: {with} ms");
    redis.stop();
    let without = lag(&front).await;
    assert_eq!(front.get("/readyz").await.status, 200);
    redis.resume();
    let mut again = without;
    for _ in 0..5 {
        again = lag(&front).await;
        if again < 100 {
            break;
        }
    }
    println!("events came {with} ms late with Redis, {without} ms without, {again} ms once it was back");
    assert!(again < 100, "hints do not come back: {again} ms");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_share_a_redis_cluster_and_go_on_when_the_server_of_the_queue_dies() {
    let (cluster, server) = (RedisCluster::start(), Postgres::shared());
    let quick = ["L9__REDIS__CONNECT_TIMEOUT_MS", "L9__REDIS__ANSWER_TIMEOUT_MS"].map(|name| (name, "500".to_owned()));
    let in_cluster = [&[("L9__REDIS__CLUSTER", "true".to_owned())], &quick[..]].concat();
    let redis = redis_at(cluster.bare_url(), cluster.password());
    let provider = Provider::answering(searches, Duration::from_millis(20)).await;
    let environment = [with_database(server.database()), redis, in_cluster].concat();
    let (front, back, _folders) = front_and_back(&environment, &provider).await;

    let before = lag(&front).await;
    assert!(before < 100, "events wait for the poll: {before} ms");
    let queue = front.get("/queue").await.json();
    assert_eq!((&queue["read_from"], &queue["ready"]), (&json!("redis"), &json!(0)), "{queue}");
    let entry = json!({"text": "the kestrel hovers", "layer": "short_term"});
    assert_eq!(front.post("/memory", &entry).await.status, 201);
    let found = front.get("/memory/search?q=kestrel&layer=short_term").await.json();
    assert_eq!(found["results"].as_array().map(Vec::len), Some(1), "{found}");

    let key = cluster.key_like(":queue:meta");
    cluster.owner(&key).stop();
    let meanwhile = ask(&front, "asker").await;
    in_state(&front, &meanwhile, "succeeded").await;
    cluster.wait_for_another(&key);
    let mut tries = 0;
    while back.get("/health").await.json()["components"]["queue"]["status"] != "ok" {
        tries += 1;
        assert!(tries < 200, "the queue does not come back: {}", back.log());
        pause(50).await;
    }
    let mut after = lag(&front).await;
    for _ in 0..5 {
        if after < 100 {
            break;
        }
        after = lag(&front).await;
    }
    println!("events came {before} ms late with all servers, {after} ms once another had the place of one");
    assert!(after < 100, "hints do not come back: {after} ms");
    for node in [&front, &back] {
        assert!(!node.log().contains(cluster.password()));
    }
}

/// What the example's command does with the nodes: a run through the one that only answers, and
/// the list of all three.
const TOUR: &str = r#"
set -eu
post() { curl --silent --show-error --fail-with-body --noproxy '*' -H 'content-type: application/json' "$@"; echo; }
post "$L9/memory" -d '{"text": "L9 resumes a run after a crash by folding the events of its journal."}'
post "$L9/agents/researcher/runs" -d '{"input": "How does L9 resume a run after a crash?", "wait": true}'
"$L9_SERVER" nodes list --json
echo "$L9_NODES"
"#;

#[tokio::test]
async fn the_example_starts_three_nodes_and_stops_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut command = tokio::process::Command::new(root.join("examples/cluster/run.sh"));
    command.args(["sh", "-c", TOUR]).env("L9_SERVER", env!("CARGO_BIN_EXE_l9-server")).stdin(Stdio::null());
    for name in ["DATABASE_URL", "REDIS_URL", "L9_DATA_DIR", "DEPLOYMENT_ENV", "OPENAI_API_KEY", "ANTHROPIC_API_KEY"] {
        command.env_remove(name);
    }
    let output = tokio::time::timeout(2 * support::PATIENCE, command.output()).await.expect("it ends").unwrap();
    let (said, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{log}");
    let lines: Vec<&str> = said.lines().collect();
    let [_, run, nodes, addresses] = lines[..] else { panic!("{said}\n{log}") };
    let run: Value = serde_json::from_str(run).unwrap();
    assert_eq!(run["outcome"], "succeeded", "{run}");
    let nodes: Value = serde_json::from_str(nodes).unwrap();
    let shown: Vec<_> = nodes["nodes"].as_array().unwrap().iter().map(|node| (&node["name"], &node["state"])).collect();
    let here = json!("here");
    assert_eq!(shown, [(&json!("front"), &here), (&json!("one"), &here), (&json!("two"), &here)]);
    for address in addresses.split(' ') {
        let gone = reqwest::Client::builder().no_proxy().build().unwrap().get(format!("{address}/livez")).send().await;
        assert!(gone.is_err(), "{address} still serves");
    }
}
