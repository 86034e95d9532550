//! What the sandbox adds to a raw pooled call of the same component, and what the whole
//! governed path adds to the sandbox. All three take turns in one program, so that their
//! difference means something on any machine.
//!
//! A permit comes only from the governor, so the sandbox is timed where it is called: by a
//! stopwatch around it, inside a governed call.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot be set up has nothing to measure")]
#![expect(clippy::disallowed_methods, reason = "a stopwatch within a call needs the real clock")]

#[path = "../tests/sandbox/engine.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod engine;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use engine::Governed;
use l9_core::digest::sha256;
use l9_core::governor::Permit;
use l9_core::tool::{Manifest, ToolFault, ToolOutput, ToolSandbox};
use l9_tools::registry::{Registry, from_json};
use l9_tools::wasm::{Guest, Sandbox, Settings, WORLD};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Config, Enabled, Engine, PoolingAllocationConfig, Store};

const HOSTILE: &[u8] = include_bytes!("../guests/dist/hostile.wasm");

const TEXT: &[u8] = include_bytes!("../guests/dist/text.wasm");

mod bindings {
    wasmtime::component::bindgen!({
        path: "wit",
        world: "tool",
        ownership: Borrowing { duplicate_if_necessary: true },
        exports: { default: async },
    });
}

/// A host without limits, quotas or faults.
struct Bare;

impl bindings::l9::tool::types::Host for Bare {}

impl bindings::l9::tool::host::Host for Bare {
    fn log(&mut self, _: bindings::l9::tool::types::Level, _: String) {}

    fn now_ms(&mut self) -> u64 {
        0
    }

    fn random(&mut self, len: u32) -> Vec<u8> {
        vec![0; len as usize]
    }
}

/// The same component with nothing around it. `metered` has fuel and epochs, as ours does.
struct Raw {
    engine: Engine,
    pre: bindings::ToolPre<Bare>,
    metered: bool,
}

impl Raw {
    fn new(metered: bool) -> Self {
        let mut pool = PoolingAllocationConfig::new();
        pool.linear_memory_keep_resident(256 << 10).table_keep_resident(256 << 10).pagemap_scan(Enabled::Auto);
        let mut config = Config::new();
        config.concurrency_support(false).allocation_strategy(pool);
        config.consume_fuel(metered).epoch_interruption(metered);
        let engine = Engine::new(&config).unwrap();
        let mut linker = Linker::new(&engine);
        bindings::Tool::add_to_linker::<_, HasSelf<_>>(&mut linker, |bare: &mut Bare| bare).unwrap();
        let component = Component::from_binary(&engine, HOSTILE).unwrap();
        let pre = bindings::ToolPre::new(linker.instantiate_pre(&component).unwrap()).unwrap();
        Self { engine, pre, metered }
    }

    async fn call(&self, input: &str) -> String {
        let mut store = Store::new(&self.engine, Bare);
        if self.metered {
            store.set_fuel(500_000_000).unwrap();
            store.set_epoch_deadline(1_000);
        }
        let tool = self.pre.instantiate_async(&mut store).await.unwrap();
        let call = bindings::Call { tool: "hostile/echo", input };
        tool.call_invoke(&mut store, call).await.unwrap().unwrap()
    }
}

/// Times what it passes on.
#[derive(Debug)]
struct Stopwatch {
    guest: Arc<Guest>,
    took: Arc<Mutex<Duration>>,
}

#[async_trait]
impl ToolSandbox for Stopwatch {
    async fn call(&self, permit: Permit, manifest: &Manifest, input: &Value) -> Result<ToolOutput, ToolFault> {
        let began = Instant::now();
        let output = self.guest.call(permit, manifest, input).await;
        *self.took.lock().unwrap() += began.elapsed();
        output
    }
}

fn manifest() -> Manifest {
    manifest_of("hostile/echo", HOSTILE)
}

fn manifest_of(id: &str, component: &[u8]) -> Manifest {
    let manifest = json!({
        "schema_version": 1, "id": id, "version": "1.0.0", "title": "Echo",
        "description": "Answers with its input.", "input_schema": {"type": "object"}, "effect": "pure",
        "runtime": {"kind": "wasm", "module": {
            "sha256": sha256(&[component]).to_string(), "size": component.len(), "world": WORLD
        }}
    });
    from_json(manifest.to_string().as_bytes()).unwrap()
}

fn calls(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let took = Arc::new(Mutex::new(Duration::ZERO));
    let registry = Registry::default();
    let sandbox = Sandbox::new(Settings::default()).unwrap();
    let guest = runtime.block_on(sandbox.load(&manifest(), HOSTILE)).unwrap();
    registry.register(manifest(), Arc::new(Stopwatch { guest, took: Arc::clone(&took) })).unwrap();
    let governed = Governed::new(Arc::new(registry));
    let (raw, metered) = (Raw::new(false), Raw::new(true));

    let mut group = criterion.benchmark_group("echo");
    for (size, input) in [("30 B", json!({"text": "0123456789"})), ("1 KiB", json!({"text": "x".repeat(1_000)}))] {
        let text = input.to_string();
        group.bench_function(BenchmarkId::new("raw", size), |bencher| {
            bencher.to_async(&runtime).iter(|| raw.call(&text));
        });
        group.bench_function(BenchmarkId::new("raw, metered", size), |bencher| {
            bencher.to_async(&runtime).iter(|| metered.call(&text));
        });
        group.bench_function(BenchmarkId::new("sandbox", size), |bencher| {
            bencher.iter_custom(|times| {
                *took.lock().unwrap() = Duration::ZERO;
                for _ in 0..times {
                    runtime.block_on(governed.call("hostile/echo", &input));
                }
                *took.lock().unwrap()
            });
        });
        // Between governed calls the caches are as cold as the sandbox finds them.
        group.bench_function(BenchmarkId::new("raw, between governed calls", size), |bencher| {
            bencher.iter_custom(|times| {
                let mut raw_took = Duration::ZERO;
                for _ in 0..times {
                    runtime.block_on(async {
                        governed.call("hostile/echo", &input).await;
                        let began = Instant::now();
                        raw.call(&text).await;
                        raw_took += began.elapsed();
                    });
                }
                raw_took
            });
        });
        group.bench_function(BenchmarkId::new("governed run", size), |bencher| {
            bencher.to_async(&runtime).iter(|| governed.call("hostile/echo", &input));
        });
    }
    group.finish();
}

/// What a start costs per built-in component: from the cache, and without one.
fn start(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { cache: Some(folder.path().into()), ..Settings::default() };
    let sandbox = Sandbox::builder(settings).with_cache_key([7; 32]).build().unwrap();
    let manifest = manifest_of("text/split", TEXT);
    runtime.block_on(sandbox.load(&manifest, TEXT)).unwrap();
    let mut group = criterion.benchmark_group("start");
    group.bench_function("from the cache", |bencher| bencher.iter(|| sandbox.embed(&manifest, TEXT).unwrap()));
    let uncached = Sandbox::new(Settings::default()).unwrap();
    group.sample_size(10);
    group.bench_function("compile", |bencher| {
        bencher.to_async(&runtime).iter(|| uncached.load(&manifest, TEXT));
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).measurement_time(Duration::from_secs(3));
    targets = start, calls
}
criterion_main!(benches);
