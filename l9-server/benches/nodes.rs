//! How many runs one node and more carry out over one PostgreSQL server that keeps what it
//! acknowledged: closed-loop clients start them over HTTP, at every node in turn, and wait for
//! their ends. Plans of eight trivial nodes, with the queue in the database and with it in Redis,
//! take what cores there are. Runs of agents wait for a model that answers after 100 ms, and a
//! node advances 16 of them at a time, so it has time left when the machine's cores are few:
//! what a further node brings is seen there, until the cores are full. Beside each line, what the
//! machine did meanwhile.
//!
//! Run with `cargo bench -p l9-server --bench nodes [-- SECONDS]`.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a benchmark may fail, and reads the real clock")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use l9_services::{Postgres, Redis};
use provider::Provider;
use serde_json::{Value, json};

#[path = "../tests/support/provider.rs"]
#[expect(dead_code, reason = "tests ask it more")]
mod provider;

/// Clients, each of which waits for the end of its run.
const CLIENTS: u64 = 128;

/// Nodes of each plan.
const NODES: usize = 8;

/// What is started: where, with what, how many runs a node advances at a time, and whether the
/// queue is in Redis.
struct Work {
    name: &'static str,
    path: &'static str,
    body: Value,
    at_a_time: usize,
    redis: bool,
    /// The most nodes.
    nodes: usize,
}

#[expect(clippy::print_stdout, reason = "a benchmark prints")]
fn main() {
    let seconds = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(10.0);
    let time = Duration::from_secs_f64(seconds);
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (postgres, redis) = (Postgres::durable(), Redis::start());
    // Two pieces, each after half of the time.
    let model = threads.block_on(Provider::start(&["done"], Duration::from_millis(50)));
    println!("{CLIENTS} clients, plans of {NODES} nodes, {} cores", std::thread::available_parallelism().unwrap());
    println!("runs     queue     at a time   nodes   runs/s   records/s   cores in use");
    for work in works() {
        for count in 1..=work.nodes {
            let (database, folder) = (postgres.database(), tempfile::tempdir().unwrap());
            let redis = work.redis.then(|| redis.url());
            let start = |place| Node::start(folder.path(), place, &work, &database, redis.as_deref(), &model);
            let nodes: Vec<Node> = (0..count).map(start).collect();
            threads.block_on(load(&nodes, &work, Duration::from_secs(2)));
            let before = (records(&postgres, &database), busy());
            let began = Instant::now();
            let runs = threads.block_on(load(&nodes, &work, time));
            let took = began.elapsed().as_secs_f64();
            let (records, busy) = (records(&postgres, &database) - before.0, busy() - before.1);
            println!(
                "{:<8} {:<9} {:>9} {count:>7} {:>8.0} {:>11.0} {:>14.2}",
                work.name,
                if work.redis { "redis" } else { "database" },
                work.at_a_time,
                runs as f64 / took,
                records as f64 / took,
                busy / took
            );
        }
    }
}

fn works() -> [Work; 3] {
    let call =
        |place: usize| json!({"id": format!("n{place}"), "tool": "calc/evaluate", "arguments": {"expression": "6*7"}});
    let plan = json!({"plan": "load", "output": "done", "nodes": (0..NODES).map(call).collect::<Vec<_>>()});
    let plan = json!({"plan": plan, "wait": true});
    let agent = json!({"input": "talk", "wait": true});
    [
        Work { name: "plans", path: "/plans", body: plan.clone(), at_a_time: 256, redis: false, nodes: 3 },
        Work { name: "plans", path: "/plans", body: plan, at_a_time: 256, redis: true, nodes: 3 },
        Work { name: "agents", path: "/agents/talker/runs", body: agent, at_a_time: 16, redis: false, nodes: 7 },
    ]
}

/// A process of the server.
struct Node {
    child: Child,
    address: String,
}

impl Node {
    fn start(folder: &Path, place: usize, work: &Work, database: &str, redis: Option<&str>, model: &Provider) -> Self {
        let data = folder.join(format!("data-{place}"));
        std::fs::create_dir(&data).unwrap();
        Provider::prepare(&data);
        let mut command = Command::new(env!("CARGO_BIN_EXE_l9-server"));
        command.args(["serve", "--json", "--port", "0"]).env_clear().current_dir(folder);
        command.env("L9_DATA_DIR", data).envs(model.environment());
        command.env("L9__STORAGE__ROOT_KEY", folder.join("root.key"));
        command.env("L9__WORKERS__NODE", format!("node-{place}"));
        command.env("L9__WORKERS__COUNT", work.at_a_time.to_string());
        command.env("DATABASE_URL", database).env("LOG_LEVEL", "error");
        if let Some(redis) = redis {
            command.env("REDIS_URL", redis).env("L9__WORKERS__QUEUE", "redis");
        }
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        Self { child, address: said["listening"].as_str().unwrap().to_owned() }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// How many runs clients saw to their ends within a time.
async fn load(nodes: &[Node], work: &Work, time: Duration) -> u64 {
    let body = work.body.to_string();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let (done, began) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..CLIENTS {
        let url = format!("http://{}{}", nodes[client as usize % nodes.len()].address, work.path);
        let (http, body, done) = (http.clone(), body.clone(), Arc::clone(&done));
        clients.spawn(async move {
            while began.elapsed() < time {
                let answer =
                    http.post(&url).header("content-type", "application/json").body(body.clone()).send().await.unwrap();
                let (status, text) = (answer.status(), answer.text().await.unwrap());
                assert_eq!(status, 200, "{text}");
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    clients.join_all().await;
    done.load(Ordering::Relaxed)
}

fn records(postgres: &Postgres, database: &str) -> u64 {
    let name = database.rsplit_once('/').unwrap().1.split('?').next().unwrap();
    postgres.sql(name, "SELECT count(*) FROM records").trim().parse().unwrap()
}

/// How many seconds all cores together have worked since the machine began, in the kernel's
/// hundredths.
fn busy() -> f64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap();
    let of: Vec<f64> = stat.lines().next().unwrap().split_whitespace().skip(1).map(|n| n.parse().unwrap()).collect();
    // user, nice, system, idle, iowait, irq, softirq
    (of[0] + of[1] + of[2] + of[5] + of[6]) / 100.0
}
