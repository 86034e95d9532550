//! What a person waits for and what a step costs, without the flush: start to ready, the
//! governed path per effect, search; one of them if it is named. Prints figures; asserts
//! nothing.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a benchmark may fail, and reads the real clock")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use l9::memory::{NewEntry, Query, Scope};
use l9::model::scripted::{Scripted, Turn};
use l9::{AgentProfile, Runtime, StartOptions};

const TURNS: usize = 12;

fn median(mut took: Vec<Duration>) -> Duration {
    took.sort();
    took[took.len() / 2]
}

fn micros(took: Duration) -> f64 {
    took.as_secs_f64() * 1e6
}

/// As in the server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() {
    let only = std::env::args().nth(1).filter(|name| !name.starts_with('-'));
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    if wanted("start") {
        start().await;
    }
    if wanted("governed") {
        governed().await;
    }
    if wanted("search") {
        search().await;
    }
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

/// What a run costs beyond one without effects, divided by its effects: an upper bound of
/// what the governed path, the fold and the journal (in memory) add to one effect. The
/// tool does nothing, so nothing of its own is in the figure.
async fn governed() {
    let idle: Vec<Turn> = vec![Turn::say("done")];
    let agent = |id: &str, model: &str| AgentProfile::new(id).unwrap().with_model(model).unwrap();
    let turns = |calls: usize| {
        let mut turns: Vec<Turn> = (0..TURNS).map(|_| Turn::call(vec![("bench/nothing", "{}"); calls])).collect();
        turns.push(Turn::say("done"));
        Arc::new(Scripted::new(turns))
    };
    let nothing = l9::native::tool("bench/nothing", "1.0.0", "Does nothing.")
        .effect(l9::tool::EffectClass::Read)
        .handler(|_, _: Nothing| async move { Ok(Nothing {}) });
    let runtime = Runtime::builder()
        .in_memory()
        .tool(nothing)
        .model("one", turns(1))
        .model("many", turns(16))
        .model("idle", Arc::new(Scripted::new(idle)))
        .agent(agent("one", "one").with_tool("bench/nothing").unwrap())
        .agent(agent("many", "many").with_tool("bench/nothing").unwrap())
        .agent(agent("idle", "idle"))
        .build()
        .await
        .unwrap();
    runtime.start().await;
    let mut took = [Vec::new(), Vec::new(), Vec::new()];
    for round in 0..330 {
        for (agent, took) in ["one", "many", "idle"].into_iter().zip(&mut took) {
            let began = Instant::now();
            finish(&runtime, agent).await;
            if round >= 30 {
                took.push(began.elapsed());
            }
        }
    }
    let [one, many, idle] = took.map(median);
    println!(
        "one call a turn: {:.1} µs an effect, model turns among them; 15 more calls a turn: {:.1} µs a call",
        micros(one - idle) / (2 * TURNS) as f64,
        micros(many - one) / (15 * TURNS) as f64
    );
    runtime.shutdown().await;
}

/// Runs an agent to its end without following it: a follower opens every record again, on
/// the other core and at its own cost.
async fn finish(runtime: &Runtime, agent: &str) {
    let (principal, agent) = (runtime.principal(), agent.parse().unwrap());
    let started = runtime.engine().start_agent(&principal, &agent, "go", StartOptions::default()).await.unwrap();
    while !runtime.store().run(&principal.tenant, started.run).await.unwrap().unwrap().status.is_closed() {
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
}

/// What the tool takes and gives.
#[derive(serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
struct Nothing {}

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
