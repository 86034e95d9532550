//! What long plans cost: checking, starting and carrying out plans of trivial nodes, side by side
//! and in a line, in memory and on SQLite, at one size and at 10 and 100 times that; beside SQLite
//! alone, which is given the same rows. Prints figures; asserts only that every node ended as it
//! must.
//!
//! Run with `cargo bench -p l9 --bench plans [-- memory|sqlite [N]]`, or for one line with
//! `[-- wide|line|skips memory|sqlite N]`.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a benchmark may fail, and reads the real clock")]

mod machine;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use l9::journal::Status;
use l9::native::NativeTool;
use l9::plan::{NodeState, PlanView};
use l9::tool::EffectClass;
use l9::{Builder, RunId, Runtime, Settings, StartOptions, native};
use machine::{kilobytes, sqlite};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, Row as _, SqliteConnection};

/// Does nothing.
#[derive(serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
struct Nothing {}

/// A plan of so many nodes.
type Shape = fn(usize) -> Value;

const SHAPES: [(&str, Shape); 3] = [("wide", wide), ("line", line), ("skips", skips)];

/// As in the server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let given: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    if let [shape, store, nodes] = given.as_slice() {
        let plan = SHAPES.iter().find(|(name, _)| name == shape).unwrap().1;
        return one(shape, store, nodes.parse().unwrap(), plan);
    }
    let most = given.get(1).map_or(100_000, |count| count.parse().unwrap());
    println!("shape  store     nodes        check        start    carry out     a node   memory   SQLite alone  share");
    for nodes in [most / 100, most / 10, most] {
        for (shape, _) in SHAPES {
            for store in ["memory", "sqlite"] {
                if given.first().is_none_or(|only| only == store) {
                    // A process of its own: what one plan needed is not there for the next.
                    let mut alone = Command::new(std::env::current_exe().unwrap());
                    assert!(alone.args([shape, store, &nodes.to_string()]).status().unwrap().success());
                }
            }
        }
    }
}

fn one(shape: &str, store: &str, nodes: usize, plan: Shape) {
    let threads = tokio::runtime::Runtime::new().unwrap();
    let (plan, folder) = (plan(nodes), tempfile::tempdir().unwrap());
    let builder = if store == "memory" { Runtime::builder().in_memory() } else { on_disk(folder.path()) };
    // On a thread of the runtime's, as in the server: what one frees there another uses.
    let measured = threads.spawn(measure(format!("{shape:<6} {store:<8}"), builder, plan, nodes));
    let (run, took) = threads.block_on(measured).unwrap();
    if store == "sqlite" {
        let raw = threads.block_on(raw(folder.path(), run));
        print!("   {:>12}   {:.2}", millis(raw), raw.as_secs_f64() / took.as_secs_f64());
    }
    println!();
}

fn on_disk(folder: &Path) -> Builder {
    Runtime::builder().settings(Settings { data_dir: folder.to_owned(), ..Settings::default() })
}

fn nothing() -> NativeTool {
    let tool = native::tool("bench/nothing", "1.0.0", "Does nothing.").effect(EffectClass::Read);
    tool.handler(|_, _: Nothing| async move { Ok(Nothing {}) })
}

fn call(place: usize, needs: &[String]) -> Value {
    json!({"id": format!("n{place}"), "tool": "bench/nothing", "arguments": {}, "needs": needs})
}

/// Nodes that need nothing of each other, 64 at once.
fn wide(nodes: usize) -> Value {
    let nodes: Vec<Value> = (0..nodes).map(|place| call(place, &[])).collect();
    json!({"plan": "wide", "parallel": 64, "output": "done", "nodes": nodes})
}

/// Nodes each of which needs the one before.
fn line(nodes: usize) -> Value {
    let needs = |place: usize| if place == 0 { Vec::new() } else { vec![format!("n{}", place - 1)] };
    let nodes: Vec<Value> = (0..nodes).map(|place| call(place, &needs(place))).collect();
    json!({"plan": "line", "output": "done", "nodes": nodes})
}

/// Nodes that are skipped, each after the one before: what deciding alone costs.
fn skips(nodes: usize) -> Value {
    let skipped = |place: usize| {
        let mut node = call(place, &if place == 0 { Vec::new() } else { vec![format!("n{}", place - 1)] });
        node["when"] = json!("false");
        node["trigger"] = json!("all_done");
        node
    };
    let nodes: Vec<Value> = (0..nodes).map(skipped).collect();
    json!({"plan": "skips", "output": "done", "nodes": nodes})
}

/// Prints what a plan costs; gives its run, and how long that took to be carried out.
async fn measure(what: String, builder: Builder, plan: Value, nodes: usize) -> (RunId, Duration) {
    let runtime = builder.tool(nothing()).build().await.unwrap();
    runtime.start().await;
    let principal = runtime.principal();
    let before = kilobytes("VmRSS:");
    let began = Instant::now();
    runtime.engine().check_plan(&principal, &plan).unwrap();
    let check = began.elapsed();
    let began = Instant::now();
    let started = runtime.engine().start_plan(&principal, &plan, &Value::Null, StartOptions::default()).await.unwrap();
    let start = began.elapsed();
    let began = Instant::now();
    let ended = runtime.engine().handle(&principal, started.run).await.unwrap().outcome().await.unwrap();
    let carry_out = began.elapsed();
    let memory = kilobytes("VmHWM:").saturating_sub(before);
    assert_eq!(ended.status, Status::Succeeded, "{}", ended.text());
    let (_, state) = runtime.engine().show(&principal.tenant, started.run).await.unwrap();
    let expected = if what.starts_with("skips") { NodeState::Skipped } else { NodeState::Succeeded };
    assert!(PlanView::of(&state).unwrap().nodes.iter().all(|node| node.state == expected));
    print!(
        "{what} {nodes:>6} {:>12} {:>12} {:>12} {:>7.1} us {:>5.2} KB",
        millis(check),
        millis(start),
        millis(carry_out),
        carry_out.as_secs_f64() * 1e6 / nodes as f64,
        memory as f64 / nodes as f64,
    );
    runtime.shutdown().await;
    (started.run, carry_out)
}

/// How long SQLite alone takes for the records of a run: the same rows, into the same table of
/// another file of the same durability, 64 inserts a commit.
async fn raw(folder: &Path, run: RunId) -> Duration {
    let columns = "tenant, run, seq, epoch, at, kind, version, body, commitment, prev, hash";
    let options = sqlite(&folder.join("raw.db")).pragma("cache_size", "-16384").pragma("temp_store", "memory");
    let mut alone = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql(include_str!("../l9-memory/src/sqlite/migrations/0001.sql")).execute(&mut alone).await.unwrap();
    let kept = SqliteConnectOptions::new().filename(folder.join("l9.db"));
    let mut kept = SqliteConnection::connect_with(&kept).await.unwrap();
    let all = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT {columns} FROM records WHERE run = ? ORDER BY seq")));
    let rows = all.bind(run.as_bytes().as_slice()).fetch_all(&mut kept).await.unwrap();
    let insert = format!("INSERT INTO records ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    let began = Instant::now();
    for group in rows.chunks(64) {
        let mut commit = alone.begin().await.unwrap();
        for row in group {
            let mut one = sqlx::query(sqlx::AssertSqlSafe(insert.as_str()));
            one = one.bind(row.get::<&str, _>(0)).bind(row.get::<&[u8], _>(1));
            one = (2..5).fold(one, |one, column| one.bind(row.get::<i64, _>(column)));
            one = one.bind(row.get::<&str, _>(5)).bind(row.get::<i64, _>(6));
            one = (7..11).fold(one, |one, column| one.bind(row.get::<&[u8], _>(column)));
            one.execute(&mut *commit).await.unwrap();
        }
        commit.commit().await.unwrap();
    }
    began.elapsed()
}

fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}
