//! What governed calls of wasm tools cost beside the raw pooled calls of the same components,
//! in one program and in turns, so that their ratio means something on any machine: loading a
//! compiled component, one call after another, a thousand at once, and a tenant beside many
//! others that fill the pool. Prints figures; asserts only that every call gave its answer.
//!
//! Run with `cargo bench -p l9-tools --bench sandbox [-- load|call|mixed|tenants]`.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot be set up has nothing to measure")]
#![expect(clippy::disallowed_methods, reason = "a stopwatch within a call needs the real clock")]

#[path = "../../tests/sandbox/engine.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod engine;
mod raw;
mod stopwatch;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use engine::Governed;
use futures_util::future::join_all;
use l9_core::agent::{AgentProfile, Profiles};
use l9_core::digest::sha256;
use l9_core::entropy::SystemEntropy;
use l9_core::kernel::StartOptions;
use l9_core::model::ModelClients;
use l9_core::model::scripted::{Scripted, Turn};
use l9_core::principal::Principal;
use l9_core::time::SystemClock;
use l9_core::tool::Manifest;
use l9_tools::registry::{Registry, from_json};
use l9_tools::wasm::{Sandbox, Settings, WORLD};
use raw::Pool;
use serde_json::{Value, json};
use stopwatch::{Model, Timed, Took};

const HOSTILE: &[u8] = include_bytes!("../../guests/dist/hostile.wasm");
const TEXT: &[u8] = include_bytes!("../../guests/dist/text.wasm");
const CALC: &[u8] = include_bytes!("../../guests/dist/calc.wasm");
const DATA: &[u8] = include_bytes!("../../guests/dist/data.wasm");

/// As in the server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() {
    let only = std::env::args().nth(1).filter(|name| !name.starts_with('-'));
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    if wanted("load") {
        load().await;
    }
    if wanted("call") {
        call().await;
    }
    if wanted("mixed") {
        mixed().await;
    }
    if wanted("tenants") {
        tenants().await;
    }
}

fn manifest(id: &str, component: &[u8], more: &Value) -> Manifest {
    let mut manifest = json!({
        "schema_version": 1, "id": id, "version": "1.0.0", "title": "Measured",
        "description": "Is measured.", "input_schema": {"type": "object"}, "effect": "pure",
        "runtime": {"kind": "wasm", "module": {
            "sha256": sha256(&[component]).to_string(), "size": component.len(), "world": WORLD
        }}
    });
    let parts = more.as_object().into_iter().flatten();
    parts.for_each(|(name, part)| manifest[name] = part.clone());
    from_json(manifest.to_string().as_bytes()).unwrap()
}

/// The median and the value that 99 of 100 stay below, in microseconds.
fn median_and_p99(mut took: Vec<Duration>) -> (f64, f64) {
    took.sort();
    let micros = |place: usize| took[place.min(took.len() - 1)].as_secs_f64() * 1e6;
    (micros(took.len() / 2), micros(took.len() * 99 / 100))
}

/// A component that was compiled once: from the cache, and without one.
async fn load() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { cache: Some(folder.path().into()), ..Settings::default() };
    let sandbox = Sandbox::builder(settings).with_cache_key([7; 32]).build().unwrap();
    let manifest = manifest("text/split", TEXT, &Value::Null);
    sandbox.load(&manifest, TEXT).await.unwrap();
    let (mut cached, mut compiled) = (Vec::new(), Vec::new());
    for round in 0..200 {
        let began = Instant::now();
        drop(sandbox.load(&manifest, TEXT).await.unwrap());
        cached.push(began.elapsed());
        if round % 40 == 0 {
            let sandbox = Sandbox::new(Settings::default()).unwrap();
            let began = Instant::now();
            drop(sandbox.load(&manifest, TEXT).await.unwrap());
            compiled.push(began.elapsed());
        }
    }
    let ((cached, worst), (compiled, _)) = (median_and_p99(cached), median_and_p99(compiled));
    println!(
        "load of {} KiB: compiled before {cached:.0} us, p99 {worst:.0} us; compiling {compiled:.0} us",
        TEXT.len() >> 10
    );
}

/// One call after another: each between two turns of a model, whose own path is measured with
/// it, and each after the other in a plan, where nothing else is.
async fn call() {
    let pool = Pool::new();
    let sandbox = Sandbox::new(Settings::default()).unwrap();
    for (size, input) in [("30 B", json!({"text": "0123456789"})), ("1 KiB", json!({"text": "x".repeat(1_000)}))] {
        let manifest = manifest("hostile/echo", HOSTILE, &Value::Null);
        let guest = sandbox.load(&manifest, HOSTILE).await.unwrap();
        let timed = Timed::new(guest, Some(pool.load(HOSTILE)));
        let registry = Registry::default();
        registry.register(manifest, Arc::clone(&timed) as _).unwrap();
        let registry = Arc::new(registry);
        Calls::of_a_model(&registry, &timed, &input).await.print(&format!("call of {size} between turns"));
        Calls::of_a_plan(&registry, &timed, &input).await.print(&format!("call of {size} in a plan"));
    }
}

/// What was measured of calls.
#[derive(Default)]
struct Calls {
    raw: Vec<Duration>,
    sandboxed: Vec<Duration>,
    path: Vec<Duration>,
    governed: Vec<Duration>,
}

impl Calls {
    /// All that L9 does from the end of one effect to the start of the next is measured twice
    /// for each call, and half of it is taken: the other half is the model's own.
    async fn of_a_model(registry: &Arc<Registry>, timed: &Arc<Timed>, input: &Value) -> Self {
        const TURNS: usize = 8;
        let text = input.to_string();
        let mut turns: Vec<Turn> = (0..TURNS).map(|_| Turn::call([("hostile/echo", text.as_str())])).collect();
        turns.push(Turn::say("done"));
        let model = Arc::new(Model { script: Scripted::new(turns), asked: Mutex::default() });
        let profiles = Profiles::default();
        profiles.put(AgentProfile::new("caller").unwrap().with_tool("hostile/echo").unwrap()).unwrap();
        let models = ModelClients::default().with("scripted", Arc::clone(&model) as _);
        let governed = assembled(registry, models, profiles);
        let mut calls = Self::default();
        for round in 0..2_000 {
            let governed = Arc::clone(&governed);
            // Where a worker runs it, as a server's workers do.
            let run = tokio::spawn(async move {
                let (me, agent) = (Principal::local(), "caller".parse().unwrap());
                let started = governed.engine.start_agent(&me, &agent, "go", StartOptions::default()).await.unwrap();
                governed.finish(me.tenant, started.run).await
            });
            run.await.unwrap();
            let (asked, took) = (std::mem::take(&mut *model.asked.lock().unwrap()), timed.take());
            assert_eq!((asked.len(), took.len()), (TURNS + 1, TURNS));
            if round < 100 {
                continue;
            }
            for (call, asked) in took.iter().zip(asked.windows(2)) {
                calls.add(call, ((call.began - asked[0].1) + (asked[1].0 - call.ended)) / 2);
            }
        }
        calls
    }

    /// All that L9 does from the end of one call to the start of the next: the result, the
    /// decision, the governed path, the intent and their commit.
    async fn of_a_plan(registry: &Arc<Registry>, timed: &Arc<Timed>, input: &Value) -> Self {
        const NODES: usize = 200;
        let node = |place: usize| {
            let needs: Vec<String> = place.checked_sub(1).into_iter().map(|before| format!("n{before}")).collect();
            json!({"id": format!("n{place}"), "tool": "hostile/echo", "arguments": input, "needs": needs})
        };
        let plan = json!({"plan": "calls", "output": "done", "nodes": (0..NODES).map(node).collect::<Vec<_>>()});
        let governed = assembled(registry, ModelClients::default(), Profiles::default());
        let mut calls = Self::default();
        for round in 0..80 {
            let (governed, plan) = (Arc::clone(&governed), plan.clone());
            let run = tokio::spawn(async move {
                let (me, options) = (Principal::local(), StartOptions::default());
                let started = governed.engine.start_plan(&me, &plan, &Value::Null, options).await.unwrap();
                governed.finish(me.tenant, started.run).await
            });
            let ended = run.await.unwrap().ended;
            let took = timed.take();
            assert_eq!(took.len(), NODES, "{}", ended.text());
            if round >= 4 {
                took.windows(2).for_each(|calls_in_turn| {
                    calls.add(&calls_in_turn[1], calls_in_turn[1].began - calls_in_turn[0].ended);
                });
            }
        }
        calls
    }

    fn add(&mut self, call: &Took, path: Duration) {
        self.raw.push(call.raw);
        self.sandboxed.push(call.sandbox);
        self.path.push(path);
        self.governed.push(call.sandbox + path);
    }

    fn print(self, what: &str) {
        let [raw, sandboxed, path, governed] = [self.raw, self.sandboxed, self.path, self.governed].map(median_and_p99);
        println!(
            "{what}: raw {:.1} us, p99 {:.1}; sandboxed {:.1}, p99 {:.1} ({:.2} x raw); governed path around it {:.1}, p99 \
             {:.1}; a governed call {:.1}, p99 {:.1}, which is {:.1} and {:.1} beyond raw ({:.2} x raw)",
            raw.0,
            raw.1,
            sandboxed.0,
            sandboxed.1,
            sandboxed.0 / raw.0,
            path.0,
            path.1,
            governed.0,
            governed.1,
            governed.0 - raw.0,
            governed.1 - raw.1,
            governed.0 / raw.0
        );
    }
}

fn assembled(registry: &Arc<Registry>, models: ModelClients, profiles: Profiles) -> Arc<Governed> {
    let (clock, entropy) = (Arc::new(SystemClock::default()), Arc::new(SystemEntropy));
    Arc::new(Governed::assemble(Arc::clone(registry) as _, models, profiles, clock, entropy))
}

/// Tools with something to do: the tool, its component, its input.
fn mix() -> [(&'static str, &'static [u8], Value); 4] {
    [
        ("hostile/echo", HOSTILE, json!({"text": "0123456789"})),
        ("calc/evaluate", CALC, json!({"expression": "15% of 2730 + sqrt(2)"})),
        ("text/split", TEXT, json!({"text": "One sentence. And one more. ".repeat(20), "max_chars": 200})),
        ("data/query", DATA, json!({"text": "a,b\n1,2\n3,4\n", "format": "csv", "select": ["a"]})),
    ]
}

/// A thousand runs of one call each at once, from their first record to their last, beside a
/// thousand raw calls of the same at once.
async fn mixed() {
    const CALLS: usize = 1_000;
    let pool = Pool::new();
    let sandbox = Sandbox::new(Settings { calls_per_tenant: 32, ..Settings::default() }).unwrap();
    let registry = Registry::default();
    let mut raws = Vec::new();
    for (tool, component, _) in mix() {
        let manifest = manifest(tool, component, &json!({"limits": {"fuel": 5_000_000_000_u64}}));
        let guest = sandbox.load(&manifest, component).await.unwrap();
        registry.register(manifest, guest).unwrap();
        raws.push(pool.load(component));
    }
    let (governed, raws) = (Arc::new(Governed::new(Arc::new(registry))), Arc::new(raws));
    let slots = Arc::new(tokio::sync::Semaphore::new(32));
    let (mut ours, mut bare, mut latencies) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..10 {
        let began = Instant::now();
        let calls = (0..CALLS).map(|n| {
            let (raws, slots) = (Arc::clone(&raws), Arc::clone(&slots));
            tokio::spawn(async move {
                let (tool, _, input) = &mix()[n % 4];
                let _slot = slots.acquire().await.unwrap();
                raws[n % 4].call(tool, &input.to_string()).await
            })
        });
        join_all(calls).await.into_iter().for_each(|answer| assert!(!answer.unwrap().is_empty()));
        bare.push(began.elapsed());
        let began = Instant::now();
        let calls = (0..CALLS).map(|n| {
            let governed = Arc::clone(&governed);
            tokio::spawn(async move {
                let (tool, _, input) = &mix()[n % 4];
                let called = governed.call(tool, input).await;
                (called.ended.text().to_owned(), Instant::now())
            })
        });
        for answer in join_all(calls).await {
            let (text, ended) = answer.unwrap();
            assert!(!text.is_empty());
            latencies.push(ended - began);
        }
        ours.push(began.elapsed());
    }
    let ((ours, _), (bare, _), (median, p99)) = (median_and_p99(ours), median_and_p99(bare), median_and_p99(latencies));
    println!(
        "{CALLS} runs of four tools at once: {:.1} ms, {:.0} a second, {:.2} x raw calls ({:.1} ms); one is done after \
         {:.1} ms, p99 {:.1}",
        ours / 1e3,
        CALLS as f64 / ours * 1e6,
        ours / bare,
        bare / 1e3,
        median / 1e3,
        p99 / 1e3
    );
}

/// A tenant that calls now and then, alone and beside 64 others that fill the pool all the
/// time, with calls that do nothing else than compute.
async fn tenants() {
    let sandbox = Sandbox::new(Settings::default()).unwrap();
    let registry = Registry::default();
    let echo = manifest("hostile/echo", HOSTILE, &Value::Null);
    let timed = Timed::new(sandbox.load(&echo, HOSTILE).await.unwrap(), None);
    registry.register(echo, Arc::clone(&timed) as _).unwrap();
    let busy = manifest("hostile/loop", HOSTILE, &json!({"limits": {"fuel": 20_000_000}}));
    registry.register(busy.clone(), sandbox.load(&busy, HOSTILE).await.unwrap()).unwrap();
    let governed = Arc::new(Governed::new(Arc::new(registry)));
    let somebody = |n: usize| Principal { tenant: format!("tenant-{n}").parse().unwrap(), ..Principal::local() };
    let now_and_then = async || {
        for _ in 0..500 {
            governed.call_by(&somebody(65), "hostile/echo", &json!({"text": "x"})).await;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        median_and_p99(timed.take().iter().map(|took| took.sandbox).collect())
    };
    now_and_then().await;
    let idle = now_and_then().await;
    let stop = Arc::new(AtomicBool::new(false));
    let others: Vec<_> = (0..64 * 4)
        .map(|n| {
            let (governed, stop, who) = (Arc::clone(&governed), Arc::clone(&stop), somebody(n % 64));
            tokio::spawn(async move {
                let mut calls = 0_u64;
                while !stop.load(Ordering::Relaxed) {
                    governed.call_by(&who, "hostile/loop", &json!({})).await;
                    calls += 1;
                }
                calls
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    let beside = now_and_then().await;
    let lasted = began.elapsed();
    stop.store(true, Ordering::Relaxed);
    let calls: u64 = join_all(others).await.into_iter().map(|calls| calls.unwrap()).sum();
    println!(
        "a call of a tenant: alone {:.1} us, p99 {:.1}; beside 64 tenants that fill the pool ({:.0} calls a second) {:.1}, \
         p99 {:.1} ({:.1} x)",
        idle.0,
        idle.1,
        calls as f64 / lasted.as_secs_f64(),
        beside.0,
        beside.1,
        beside.1 / idle.1
    );
}
