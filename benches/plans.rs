//! What long plans cost: checking, starting and carrying out plans of trivial nodes, side by side
//! and in a line, in memory and on SQLite, at one size and at 10 and 100 times that. Prints
//! figures; asserts only that every node succeeded.
//!
//! Run with `cargo bench -p l9 --bench plans [-- memory|sqlite [N]]`.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a benchmark may fail, and reads the real clock")]

use std::path::Path;
use std::time::{Duration, Instant};

use l9::journal::Status;
use l9::native::NativeTool;
use l9::plan::{NodeState, PlanView};
use l9::tool::EffectClass;
use l9::{Builder, Runtime, Settings, StartOptions, native};
use serde_json::{Value, json};

/// Does nothing.
#[derive(serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
struct Nothing {}

fn main() {
    let only = std::env::args().nth(1).filter(|name| !name.starts_with('-'));
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    let most = std::env::args().nth(2).and_then(|count| count.parse().ok()).unwrap_or(100_000);
    let threads = tokio::runtime::Runtime::new().unwrap();
    println!("shape  store    nodes    check     start     carry out  a node");
    for nodes in [most / 100, most / 10, most] {
        for (shape, plan) in [("wide", wide(nodes)), ("line", line(nodes)), ("skips", skips(nodes))] {
            if wanted("memory") {
                threads.block_on(measure(shape, "memory", Runtime::builder().in_memory(), &plan, nodes));
            }
            if wanted("sqlite") {
                let folder = tempfile::tempdir().unwrap();
                threads.block_on(measure(shape, "sqlite", on_disk(folder.path()), &plan, nodes));
            }
        }
    }
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

async fn measure(shape: &str, store: &str, builder: Builder, plan: &Value, nodes: usize) {
    let runtime = builder.tool(nothing()).build().await.unwrap();
    runtime.start().await;
    let principal = runtime.principal();
    let began = Instant::now();
    runtime.engine().check_plan(&principal, plan).unwrap();
    let check = began.elapsed();
    let began = Instant::now();
    let started = runtime.engine().start_plan(&principal, plan, &Value::Null, StartOptions::default()).await.unwrap();
    let start = began.elapsed();
    let began = Instant::now();
    let ended = runtime.engine().handle(&principal, started.run).await.unwrap().outcome().await.unwrap();
    let carry_out = began.elapsed();
    assert_eq!(ended.status, Status::Succeeded, "{}", ended.text());
    let (_, state) = runtime.engine().show(&principal.tenant, started.run).await.unwrap();
    let expected = if shape == "skips" { NodeState::Skipped } else { NodeState::Succeeded };
    assert!(PlanView::of(&state).unwrap().nodes.iter().all(|node| node.state == expected));
    let micros = carry_out.as_secs_f64() * 1e6 / nodes as f64;
    println!(
        "{shape:<6} {store:<8} {nodes:>7} {:>8} {:>9} {:>12} {micros:>7.1} us",
        millis(check),
        millis(start),
        millis(carry_out)
    );
    runtime.shutdown().await;
}

fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}
