//! How many runs one, two and three nodes carry out over one PostgreSQL server that keeps what it
//! acknowledged, with the queue in the database and with it in Redis: closed-loop clients start
//! plans of eight trivial nodes over HTTP, at every node in turn, and wait for their ends. A node
//! advances as many runs at a time as it is configured to, and then a few only, so that it has
//! time left when the machine's cores are few. Beside each line, what the machine did meanwhile.
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
use serde_json::{Value, json};

/// Clients, each of which waits for the end of its plan.
const CLIENTS: u64 = 64;

/// Nodes of each plan.
const NODES: usize = 8;

/// How many runs a node advances at a time.
const CONCURRENCY: [usize; 2] = [256, 2];

#[expect(clippy::print_stdout, reason = "a benchmark prints")]
fn main() {
    let seconds = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(10.0);
    let time = Duration::from_secs_f64(seconds);
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (postgres, redis) = (Postgres::durable(), Redis::start());
    println!("{CLIENTS} clients, plans of {NODES} nodes, {} cores", std::thread::available_parallelism().unwrap());
    println!("queue     at a time   nodes   runs/s   effects/s   records/s   cores in use");
    for (queue, concurrency) in ["database", "redis"].into_iter().flat_map(|queue| CONCURRENCY.map(|c| (queue, c))) {
        for count in 1..=3 {
            let (database, folder) = (postgres.database(), tempfile::tempdir().unwrap());
            let nodes: Vec<Node> = (0..count)
                .map(|place| {
                    let redis = (queue == "redis").then(|| redis.url());
                    Node::start(folder.path(), place, concurrency, &database, redis.as_deref())
                })
                .collect();
            threads.block_on(load(&nodes, Duration::from_secs(2)));
            let before = (records(&postgres, &database), busy());
            let began = Instant::now();
            let runs = threads.block_on(load(&nodes, time));
            let took = began.elapsed().as_secs_f64();
            let (records, busy) = (records(&postgres, &database) - before.0, busy() - before.1);
            let rate = runs as f64 / took;
            println!(
                "{queue:<9} {concurrency:>9} {count:>7} {rate:>8.0} {:>11.0} {:>11.0} {:>14.2}",
                rate * NODES as f64,
                records as f64 / took,
                busy / took
            );
        }
    }
}

/// A process of the server.
struct Node {
    child: Child,
    address: String,
}

impl Node {
    fn start(folder: &Path, place: usize, concurrency: usize, database: &str, redis: Option<&str>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_l9-server"));
        command.args(["serve", "--json", "--port", "0"]).env_clear().current_dir(folder);
        command.env("L9_DATA_DIR", folder.join(format!("data-{place}")));
        command.env("L9__STORAGE__ROOT_KEY", folder.join("root.key"));
        command.env("L9__WORKERS__NODE", format!("node-{place}"));
        command.env("L9__WORKERS__COUNT", concurrency.to_string());
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

/// How many plans clients saw to their ends within a time.
async fn load(nodes: &[Node], time: Duration) -> u64 {
    let call =
        |place: usize| json!({"id": format!("n{place}"), "tool": "calc/evaluate", "arguments": {"expression": "6*7"}});
    let plan = json!({"plan": "load", "output": "done", "nodes": (0..NODES).map(call).collect::<Vec<_>>()});
    let body = json!({"plan": plan, "wait": true}).to_string();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let (done, began) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..CLIENTS {
        let url = format!("http://{}/plans", nodes[client as usize % nodes.len()].address);
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
