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

use std::fmt;
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

/// The same component, pooled and metered alike, with nothing around it.
struct Raw {
    engine: Engine,
    pre: bindings::ToolPre<Bare>,
}

impl Raw {
    fn new() -> Self {
        let mut pool = PoolingAllocationConfig::new();
        pool.linear_memory_keep_resident(256 << 10).table_keep_resident(256 << 10).pagemap_scan(Enabled::Auto);
        let mut config = Config::new();
        config.concurrency_support(false).allocation_strategy(pool);
        config.consume_fuel(true).epoch_interruption(true);
        let engine = Engine::new(&config).unwrap();
        let mut linker = Linker::new(&engine);
        bindings::Tool::add_to_linker::<_, HasSelf<_>>(&mut linker, |bare: &mut Bare| bare).unwrap();
        let component = Component::from_binary(&engine, HOSTILE).unwrap();
        let pre = bindings::ToolPre::new(linker.instantiate_pre(&component).unwrap()).unwrap();
        Self { engine, pre }
    }

    async fn call(&self, input: &str) -> String {
        let mut store = Store::new(&self.engine, Bare);
        store.set_fuel(500_000_000).unwrap();
        store.set_epoch_deadline(1_000);
        let tool = self.pre.instantiate_async(&mut store).await.unwrap();
        let call = bindings::Call { tool: "hostile/echo", input };
        tool.call_invoke(&mut store, call).await.unwrap().unwrap()
    }
}

/// What the same calls took in the sandbox and raw.
#[derive(Debug, Default, Clone, Copy)]
struct Took {
    calls: u64,
    sandbox: Duration,
    raw: Duration,
}

/// Times the sandbox, and in turn before or after it the raw call of the same input, so
/// that both find the caches as a governed call leaves them.
struct Stopwatch {
    guest: Arc<Guest>,
    raw: Arc<Raw>,
    took: Arc<Mutex<Took>>,
}

impl fmt::Debug for Stopwatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stopwatch")
    }
}

impl Stopwatch {
    async fn raw(&self, input: &Value) -> Duration {
        let text = input.to_string();
        let began = Instant::now();
        self.raw.call(&text).await;
        began.elapsed()
    }
}

#[async_trait]
impl ToolSandbox for Stopwatch {
    async fn call(&self, permit: Permit, manifest: &Manifest, input: &Value) -> Result<ToolOutput, ToolFault> {
        let raw_first = self.took.lock().unwrap().calls.is_multiple_of(2);
        let mut raw = if raw_first { self.raw(input).await } else { Duration::ZERO };
        let began = Instant::now();
        let output = self.guest.call(permit, manifest, input).await;
        let sandbox = began.elapsed();
        if !raw_first {
            raw = self.raw(input).await;
        }
        let mut took = self.took.lock().unwrap();
        *took = Took { calls: took.calls + 1, sandbox: took.sandbox + sandbox, raw: took.raw + raw };
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
    let took = Arc::new(Mutex::new(Took::default()));
    let sandbox = Sandbox::new(Settings::default()).unwrap();
    let guest = runtime.block_on(sandbox.load(&manifest(), HOSTILE)).unwrap();
    let raw = Arc::new(Raw::new());
    let timed = Registry::default();
    let stopwatch = Stopwatch { guest: Arc::clone(&guest), raw: Arc::clone(&raw), took: Arc::clone(&took) };
    timed.register(manifest(), Arc::new(stopwatch)).unwrap();
    let timed = Governed::new(Arc::new(timed));
    let plain = Registry::default();
    plain.register(manifest(), guest).unwrap();
    let plain = Governed::new(Arc::new(plain));
    let measured = |times: u64, input: &Value| {
        *took.lock().unwrap() = Took::default();
        (0..times).for_each(|_| drop(runtime.block_on(timed.call("hostile/echo", input))));
        *took.lock().unwrap()
    };

    let mut group = criterion.benchmark_group("echo");
    for (size, input) in [("30 B", json!({"text": "0123456789"})), ("1 KiB", json!({"text": "x".repeat(1_000)}))] {
        let text = input.to_string();
        group.bench_function(BenchmarkId::new("raw, in a tight loop", size), |bencher| {
            bencher.to_async(&runtime).iter(|| raw.call(&text));
        });
        group.bench_function(BenchmarkId::new("raw", size), |bencher| {
            bencher.iter_custom(|times| measured(times, &input).raw);
        });
        group.bench_function(BenchmarkId::new("sandbox", size), |bencher| {
            bencher.iter_custom(|times| measured(times, &input).sandbox);
        });
        group.bench_function(BenchmarkId::new("sandbox beyond raw", size), |bencher| {
            bencher.iter_custom(|times| {
                let took = measured(times, &input);
                // A sample that a busy machine has turned round counts as next to nothing.
                took.sandbox.saturating_sub(took.raw).max(Duration::from_nanos(times))
            });
        });
        group.bench_function(BenchmarkId::new("governed run", size), |bencher| {
            bencher.to_async(&runtime).iter(|| plain.call("hostile/echo", &input));
        });
    }
    group.finish();
}

/// What the first call of a built-in component costs: from the cache, and without one.
fn start(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { cache: Some(folder.path().into()), ..Settings::default() };
    let sandbox = Sandbox::builder(settings).with_cache_key([7; 32]).build().unwrap();
    let manifest = manifest_of("text/split", TEXT);
    runtime.block_on(sandbox.load(&manifest, TEXT)).unwrap();
    let mut group = criterion.benchmark_group("start");
    group.bench_function("from the cache", |bencher| {
        bencher.to_async(&runtime).iter(|| sandbox.load(&manifest, TEXT));
    });
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
