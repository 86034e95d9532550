//! What a person waits for and what a step costs, without the flush: start to ready, the
//! governed path per effect, search. Prints figures; asserts nothing.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a benchmark may fail, and reads the real clock")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use l9::memory::{NewEntry, Query, Scope};
use l9::model::scripted::{Scripted, Turn};
use l9::{AgentProfile, Runtime};

const TURNS: usize = 12;

fn median(mut took: Vec<Duration>) -> Duration {
    took.sort();
    took[took.len() / 2]
}

fn micros(took: Duration) -> f64 {
    took.as_secs_f64() * 1e6
}

#[tokio::main]
async fn main() {
    start().await;
    governed().await;
    search().await;
}

/// Opening an existing data folder until a run could be taken.
async fn start() {
    let folder = tempfile::tempdir().unwrap();
    let mut took = Vec::new();
    for _ in 0..12 {
        let began = Instant::now();
        let runtime = Runtime::builder().data_dir(folder.path()).build().await.unwrap();
        runtime.start().await;
        took.push(began.elapsed());
        runtime.call("calc/evaluate", r#"{"expression":"1+1"}"#).await.unwrap().outcome().await.unwrap();
        runtime.shutdown().await;
    }
    println!(
        "start to ready: first {:.1} ms, then {:.1} ms at the median",
        took[0].as_secs_f64() * 1e3,
        median(took).as_secs_f64() * 1e3
    );
}

/// Everything a run does, divided by its effects: an upper bound of what the governed
/// path, the fold and the journal (in memory) add to one effect.
async fn governed() {
    let expression = r#"{"expression":"17.5% of 2,340"}"#;
    let mut turns: Vec<Turn> = (0..TURNS).map(|_| Turn::call([("calc/evaluate", expression)])).collect();
    turns.push(Turn::say("done"));
    let idle: Vec<Turn> = vec![Turn::say("done")];
    let agent = |id: &str, model: &str| AgentProfile::new(id).unwrap().with_model(model).unwrap();
    let runtime = Runtime::builder()
        .in_memory()
        .model("script", Arc::new(Scripted::new(turns)))
        .model("idle", Arc::new(Scripted::new(idle)))
        .agent(agent("busy", "script").with_tool("calc/evaluate").unwrap())
        .agent(agent("idle", "idle"))
        .build()
        .await
        .unwrap();
    let mut took = [Vec::new(), Vec::new()];
    for round in 0..330 {
        for (agent, took) in ["busy", "idle"].into_iter().zip(&mut took) {
            let began = Instant::now();
            runtime.run(agent, "go").await.unwrap().outcome().await.unwrap();
            if round >= 30 {
                took.push(began.elapsed());
            }
        }
    }
    let [busy, idle] = took.map(median);
    let effects = 2 * TURNS;
    println!(
        "a run of {effects} more effects takes {:.0} µs more than one without: {:.1} µs an effect, half of them wasm calls",
        micros(busy - idle),
        micros(busy - idle) / effects as f64
    );
    runtime.shutdown().await;
}

/// BM25 over sealed rows.
async fn search() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = Runtime::builder().data_dir(folder.path()).build().await.unwrap();
    let tenant = runtime.principal().tenant;
    let places = ["harbour", "orchard", "station", "library", "bridge", "market", "mill", "tower"];
    for (rows, from) in [(1_000, 0), (9_000, 1_000), (90_000, 10_000)] {
        let entries: Vec<NewEntry> = (from..from + rows)
            .map(|n| NewEntry {
                text: format!(
                    "The {} number {n} of district {} keeps {} crates of quinces.",
                    places[n % 8],
                    n % 97,
                    n * 7 % 1013
                ),
                ..NewEntry::default()
            })
            .collect();
        let began = Instant::now();
        for batch in entries.chunks(1_000) {
            runtime.memory().remember(&tenant, batch.to_vec()).await.unwrap();
        }
        let kept = began.elapsed();
        let mut took = Vec::new();
        for n in 0..40 {
            let query = Query::new(format!("How many crates does the {} number {} keep?", places[n % 8], n * 13), 10);
            let began = Instant::now();
            let hits = runtime.memory().search(&Scope::tenant(tenant.clone()), &query).await.unwrap();
            took.push(began.elapsed());
            assert!(!hits.is_empty());
        }
        println!(
            "{:>7} memories: {:.0} kept a second, search {:.2} ms at the median",
            from + rows,
            rows as f64 / kept.as_secs_f64(),
            median(took).as_secs_f64() * 1e3
        );
    }
    runtime.shutdown().await;
}
