//! Hostile guests against the sandbox, below the level of permits: each ends as the right
//! typed fault, within its limit, while honest calls go on.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use l9_core::digest::{Digest, sha256};
use l9_core::entropy::SystemEntropy;
use l9_core::id::{TenantId, ToolId};
use l9_core::time::{Clock, SystemClock, Timestamp};
use l9_core::tool::{
    Approval, AuditArgs, Determinism, EffectClass, Labels, Limits, Manifest, Module, Runtime, ToolFault, ToolOutput,
};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use super::call::Call;
use super::host::{Ambient, Reach};
use super::{Guest, Sandbox, Settings, WORLD};

const HOSTILE: &[u8] = include_bytes!("../../guests/dist/hostile.wasm");

fn manifest(id: &str, bytes: &[u8], limits: Limits) -> Manifest {
    let module = Module { sha256: sha256(&[bytes]), size: bytes.len() as u64, world: WORLD.into() };
    Manifest {
        schema_version: 1,
        id: ToolId::new(id).unwrap(),
        version: semver::Version::new(1, 0, 0),
        title: "Test".into(),
        description: "A guest under test.".into(),
        runtime: Runtime::Wasm { module },
        input_schema: json!({"type": "object"}),
        output_schema: None,
        effect: EffectClass::Pure,
        destructive: false,
        args: Default::default(),
        subjects: Vec::new(),
        limits,
        net: Vec::new(),
        fs: Vec::new(),
        kv: None,
        secrets: Vec::new(),
        rate: None,
        labels: Labels::default(),
        approval: Approval::default(),
        determinism: Determinism::Deterministic,
        audit: AuditArgs::default(),
        expires: None,
    }
}

fn limits() -> Limits {
    Limits { fuel: 50_000_000, ..Limits::default() }
}

fn still() -> Ambient {
    Ambient::Still { now: Timestamp::from_millis(1_700_000_000_000), key: Digest::from_bytes([7; 32]) }
}

/// A guest with the means to call it.
struct Bench {
    guest: Arc<Guest>,
    cancel: CancellationToken,
    remaining: Duration,
    ambient: Ambient,
}

impl Bench {
    fn new(guest: Arc<Guest>) -> Self {
        Self { guest, cancel: CancellationToken::new(), remaining: Duration::from_secs(60), ambient: still() }
    }

    /// The hostile component, compiled once for all tests.
    async fn hostile() -> Self {
        static GUEST: OnceCell<Arc<Guest>> = OnceCell::const_new();
        Self::new(Arc::clone(GUEST.get_or_init(|| async { Self::of(HOSTILE).await.guest }).await))
    }

    async fn of(bytes: &'static [u8]) -> Self {
        let sandbox = Sandbox::new(Settings::default()).unwrap();
        Self::new(sandbox.load(&manifest("hostile/echo", bytes, limits()), bytes).await.unwrap())
    }

    async fn call(&self, tool: &str, input: &Value, limits: &Limits) -> Result<ToolOutput, ToolFault> {
        let input = input.to_string();
        let call = Call {
            tool,
            input: &input,
            limits,
            ambient: self.ambient.clone(),
            reach: Reach::default(),
            remaining: &|| self.remaining,
            cancel: &self.cancel,
        };
        let linked = self.guest.linked(&manifest("hostile/echo", HOSTILE, limits.clone())).await?;
        self.guest.perform(linked, call, &TenantId::default_tenant()).await
    }

    async fn fault(&self, tool: &str, input: &Value, limits: &Limits) -> ToolFault {
        self.call(tool, input, limits).await.unwrap_err()
    }
}

async fn refused(bytes: &'static [u8]) -> String {
    let sandbox = Sandbox::new(Settings::default()).unwrap();
    sandbox.load(&manifest("hostile/echo", bytes, limits()), bytes).await.unwrap_err().to_string()
}

/// A component with one core module, written by hand against the canonical ABI.
fn component(core: &str) -> &'static [u8] {
    let text = format!(
        r#"(component
            (core module $m {core})
            (core instance $i (instantiate $m))
            (type $call (record (field "tool" string) (field "input" string)))
            (type $fault (variant (case "invalid-input" string) (case "failed" string)))
            (export $call' "call" (type $call))
            (export $fault' "fault" (type $fault))
            (func (export "invoke") (param "call" $call') (result (result string (error $fault')))
                (canon lift (core func $i "invoke") (memory (core memory $i "memory"))
                    (realloc (core func $i "cabi_realloc")))))"#
    );
    Box::leak(wat::parse_str(text).unwrap().into_boxed_slice())
}

#[tokio::test]
async fn echo_answers_and_reports_its_fuel() {
    let bench = Bench::hostile().await;
    let input = json!({"a": [1, 2.5, "x"]});
    let output = bench.call("hostile/echo", &input, &limits()).await.unwrap();
    assert_eq!(output.value, input);
    assert!((1..1_000_000).contains(&output.fuel), "{}", output.fuel);
}

#[tokio::test]
async fn each_misdeed_has_its_fault() {
    let bench = Bench::hostile().await;
    let small = Limits { output_bytes: 1_000, ..limits() };
    let none = json!({});
    for (tool, input, code, message) in [
        ("hostile/loop", &none, "limit.fuel", "out of fuel: used 50,000,000 of 50,000,000"),
        // Rust keeps its frames in linear memory; running out of them is an access below it.
        ("hostile/recurse", &none, "trap", "out of bounds memory access"),
        ("hostile/trap", &none, "trap", "unreachable"),
        ("hostile/badjson", &none, "invalid_output", "malformed JSON"),
        ("hostile/fault", &json!({"message": "no\nluck"}), "failed", "no\\nluck"),
        ("hostile/none", &none, "invalid_input", "no tool named"),
        ("hostile/flood", &json!({"bytes": 70_000}), "limit.output", "crossed to the host"),
        ("hostile/logflood", &none, "limit.host_call", "host"),
    ] {
        let fault = bench.fault(tool, input, &small).await;
        assert!(fault.code.starts_with(code), "{tool}: {fault}");
        assert!(fault.message.contains(message), "{tool}: {fault}");
        assert!(!fault.retryable && fault.fuel > 0, "{tool}: {fault:?}");
    }
}

#[tokio::test]
async fn texts_are_compared_within_fuel_and_output_however_much_differs() {
    let bench = Bench::of(include_bytes!("../../guests/dist/text.wasm")).await;
    // Those of `text/diff`.
    let limits = Limits { fuel: 5_000_000_000, output_bytes: 4 << 20, ..limits() };
    let text = |word: &str, lines: usize, nth: &dyn Fn(usize) -> usize| -> String {
        (0..lines).map(|at| format!("{word}{}\n", nth(at))).collect()
    };
    let scattered = |at: usize| (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) as usize >> 40;
    let ordered = text("a", 60_000, &|at| at);
    for (before, after) in [
        (ordered.clone(), text("b", 60_000, &|at| at)),
        (ordered.clone(), text("a", 60_000, &|at| 60_000 - at)),
        (ordered.clone(), text("a", 60_000, &|at| at * 7_919 % 60_000)),
        (text("", 170_000, &|at| scattered(at) % 2), text("", 170_000, &|at| scattered(at + 170_000) % 2)),
        ("\n".repeat(100_000), "\nb\n".repeat(100_000)),
    ] {
        let input = json!({"before": before, "after": after, "context": 0});
        assert!(input.to_string().len() <= limits.input_bytes as usize);
        let output = bench.call("text/diff", &input, &limits).await.unwrap();
        assert!(output.fuel < limits.fuel / 5 * 4, "{} fuel", output.fuel);
        assert!(output.value["added"].as_u64() > Some(0));
    }
}

#[tokio::test]
async fn memory_is_limited_and_the_fault_says_how_much_was_wanted() {
    let bench = Bench::hostile().await;
    let limits = Limits { memory_bytes: 64 << 20, fuel: 5_000_000_000, ..limits() };
    let fault = bench.fault("hostile/allocate", &json!({}), &limits).await;
    assert_eq!(fault.code, "limit.memory", "{fault}");
    assert!(fault.message.starts_with("wanted ") && fault.message.ends_with(" of 64 MiB"), "{fault}");
}

#[tokio::test]
async fn output_within_what_may_cross_but_over_its_own_limit_is_refused_exactly() {
    let bench = Bench::hostile().await;
    let limits = Limits { output_bytes: 1_000, ..limits() };
    let fault = bench.fault("hostile/flood", &json!({"bytes": 1_001}), &limits).await;
    assert_eq!(fault.to_string(), "limit.output: the output has 1,001 bytes, over the limit of 1,000");
    assert!(bench.call("hostile/flood", &json!({"bytes": 1_000}), &limits).await.is_ok());
}

#[tokio::test]
async fn output_that_is_too_deep_is_refused() {
    let bench = Bench::hostile().await;
    let limits = Limits { depth: 4, ..limits() };
    let deep = json!([[[[[1]]]]]);
    let fault = bench.fault("hostile/echo", &deep, &limits).await;
    assert_eq!(fault.code, "invalid_output");
    assert!(fault.message.contains("deeper than 4"), "{fault}");
}

#[tokio::test]
async fn a_log_flood_is_cut_before_the_quota_of_calls_ends_it() {
    let bench = Bench::hostile().await;
    let limits = Limits { host_calls: 50, ..limits() };
    let fault = bench.fault("hostile/logflood", &json!({}), &limits).await;
    assert_eq!(fault.to_string(), "limit.host_calls: called the host more than 50 times");
    let limits = Limits { host_call_bytes: 70_000, ..limits };
    let fault = bench.fault("hostile/logflood", &json!({}), &limits).await;
    assert_eq!(fault.to_string(), "limit.host_call_bytes: passed more than 69 KiB in calls to the host");
}

#[tokio::test]
async fn more_random_bytes_than_the_quota_end_the_call() {
    let bench = Bench::hostile().await;
    let fault = bench.fault("hostile/random", &json!({"len": 4_000_000_000_u32}), &limits()).await;
    assert_eq!(fault.code, "limit.host_call_bytes", "{fault}");
    let fault = bench.fault("hostile/random", &json!({"len": 65_537}), &limits()).await;
    assert_eq!(fault.to_string(), "limit.random: drew 65,537 random bytes at once, over the limit of 65,536");
}

#[tokio::test]
async fn still_time_and_randomness_repeat_and_real_ones_do_not() {
    let mut bench = Bench::hostile().await;
    let input = json!({"len": 40});
    let first = bench.call("hostile/random", &input, &limits()).await.unwrap();
    let second = bench.call("hostile/random", &input, &limits()).await.unwrap();
    assert_eq!(first, second);
    assert_eq!(first.value["before_ms"], 1_700_000_000_000_u64);
    bench.ambient = Ambient::Real { clock: Arc::new(SystemClock::default()), entropy: Arc::new(SystemEntropy) };
    let real = bench.call("hostile/random", &input, &limits()).await.unwrap();
    assert_ne!(real.value["random"], first.value["random"]);
    assert_ne!(real.value["before_ms"], first.value["before_ms"]);
}

#[tokio::test(flavor = "current_thread")]
async fn a_loop_ends_in_time_on_a_single_thread() {
    let bench = Bench::hostile().await;
    let limits = Limits { wall_ms: 100, fuel: u64::MAX >> 1, ..limits() };
    let clock = SystemClock::default();
    let fault = bench.fault("hostile/loop", &json!({}), &limits).await;
    assert_eq!(fault.to_string(), "limit.time: took longer than 100 ms");
    assert!(fault.fuel > 0);
    assert!(clock.monotonic() < Duration::from_secs(5), "{:?}", clock.monotonic());
}

#[tokio::test(flavor = "current_thread")]
async fn a_cancelled_loop_ends() {
    let bench = Bench::hostile().await;
    let limits = Limits { fuel: u64::MAX >> 1, wall_ms: 30_000, ..limits() };
    let token = bench.cancel.clone();
    tokio::spawn(async move {
        SystemClock::default().sleep(Duration::from_millis(50)).await;
        token.cancel();
    });
    let fault = bench.fault("hostile/loop", &json!({}), &limits).await;
    assert_eq!(fault.code, "cancelled");
}

#[tokio::test(flavor = "current_thread")]
async fn an_honest_call_answers_while_guests_loop() {
    let bench = Arc::new(Bench::hostile().await);
    let busy = Limits { wall_ms: 1_500, fuel: u64::MAX >> 1, ..limits() };
    let loops: Vec<_> = (0..4)
        .map(|_| {
            let (bench, busy) = (Arc::clone(&bench), busy.clone());
            tokio::spawn(async move { bench.fault("hostile/loop", &json!({}), &busy).await })
        })
        .collect();
    tokio::task::yield_now().await;
    let clock = SystemClock::default();
    let mut slowest = Duration::ZERO;
    for _ in 0..10 {
        let before = clock.monotonic();
        bench.call("hostile/echo", &json!({"n": 1}), &limits()).await.unwrap();
        slowest = slowest.max(clock.monotonic() - before);
        tokio::task::yield_now().await;
    }
    // Four guests with slices of 5 ms each stand between two looks at the executor.
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    for ended in loops {
        assert_eq!(ended.await.unwrap().code, "limit.time");
    }
}

#[tokio::test]
async fn waiting_for_a_full_pool_ends_with_the_permit() {
    let sandbox = Sandbox::new(Settings { calls: 1, calls_per_tenant: 1, ..Settings::default() }).unwrap();
    let guest = sandbox.load(&manifest("hostile/echo", HOSTILE, limits()), HOSTILE).await.unwrap();
    let busy = Bench::new(Arc::clone(&guest));
    let waiting = Bench { remaining: Duration::from_millis(50), ..Bench::new(guest) };
    let long = Limits { fuel: u64::MAX >> 1, wall_ms: 500, ..limits() };
    let (looped, refused) = tokio::join!(async { busy.fault("hostile/loop", &json!({}), &long).await }, async {
        waiting.fault("hostile/echo", &json!({}), &limits()).await
    });
    assert_eq!(looped.code, "limit.time");
    assert!(refused.code == "not_sent" && refused.retryable, "{refused:?}");
}

#[tokio::test]
async fn loops_in_start_realloc_and_post_return_run_out_of_fuel() {
    for bytes in [
        include_bytes!("../../guests/dist/hostile-start-loop.wasm").as_slice(),
        include_bytes!("../../guests/dist/hostile-realloc-loop.wasm"),
        include_bytes!("../../guests/dist/hostile-post-return-loop.wasm"),
    ] {
        let fault = Bench::of(bytes).await.fault("hostile/echo", &json!({}), &limits()).await;
        assert_eq!(fault.code, "limit.fuel", "{fault}");
    }
}

#[tokio::test]
async fn a_wild_pointer_is_a_trap() {
    let bench = Bench::of(include_bytes!("../../guests/dist/hostile-wild-pointer.wasm")).await;
    let fault = bench.fault("hostile/echo", &json!({}), &limits()).await;
    assert_eq!(fault.code, "trap");
    assert!(fault.message.contains("out of bounds"), "{fault}");
}

#[tokio::test]
async fn what_could_never_run_is_refused_when_it_is_loaded() {
    let memory = refused(include_bytes!("../../guests/dist/hostile-memory-bomb.wasm")).await;
    assert!(memory.contains("memory"), "{memory}");
    let table = refused(include_bytes!("../../guests/dist/hostile-table-bomb.wasm")).await;
    assert!(table.contains("table"), "{table}");
    let many = refused(include_bytes!("../../guests/dist/hostile-many-memories.wasm")).await;
    assert!(many.contains("memor"), "{many}");
    assert!(refused(b"\0asm nonsense").await.contains("cannot be compiled"));
}

#[tokio::test]
async fn two_memories_share_one_limit() {
    // Each memory alone stays below the limit of 64 MiB; together they pass it.
    let bytes = component(
        r#"(memory (export "memory") 1) (memory $second 640)
           (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
           (func (export "invoke") (param i32 i32 i32 i32) (result i32)
             (drop (memory.grow 0 (i32.const 600))) i32.const 0)"#,
    );
    let fault = Bench::of(bytes).await.fault("hostile/echo", &json!({}), &limits()).await;
    assert_eq!(fault.to_string(), "limit.memory: wanted 78 MiB of 64 MiB");
}

#[tokio::test]
async fn two_tables_share_one_limit() {
    let bytes = component(
        r#"(memory (export "memory") 1) (table $first 60 funcref) (table $second 1 funcref)
           (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
           (func (export "invoke") (param i32 i32 i32 i32) (result i32)
             (drop (table.grow $second (ref.null func) (i32.const 59))) i32.const 0)"#,
    );
    let limits = Limits { table_elements: 100, ..limits() };
    let fault = Bench::of(bytes).await.fault("hostile/echo", &json!({}), &limits).await;
    assert_eq!(fault.to_string(), "limit.table: wanted 120 of 100 table elements");
}

#[tokio::test]
async fn more_instances_than_the_limit_are_refused() {
    let bench = Bench::hostile().await;
    let fault = bench.fault("hostile/echo", &json!({}), &Limits { instances: 0, ..limits() }).await;
    assert_eq!(fault.code, "limit.instances", "{fault}");
}

#[tokio::test]
async fn a_flood_of_handles_ends_at_its_limit() {
    // Makes resources of its own until the host refuses another handle.
    let text = r#"(component
        (type $thing (resource (rep i32)))
        (core func $new (canon resource.new $thing))
        (core module $m
            (import "" "new" (func $new (param i32) (result i32)))
            (memory (export "memory") 1)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
            (func (export "invoke") (param i32 i32 i32 i32) (result i32)
                (loop $again (drop (call $new (i32.const 1))) (br $again)) i32.const 0))
        (core instance $i (instantiate $m (with "" (instance (export "new" (func $new))))))
        (type $call (record (field "tool" string) (field "input" string)))
        (type $fault (variant (case "invalid-input" string) (case "failed" string)))
        (export $call' "call" (type $call))
        (export $fault' "fault" (type $fault))
        (func (export "invoke") (param "call" $call') (result (result string (error $fault')))
            (canon lift (core func $i "invoke") (memory (core memory $i "memory"))
                (realloc (core func $i "cabi_realloc")))))"#;
    let bytes: &'static [u8] = Box::leak(wat::parse_str(text).unwrap().into_boxed_slice());
    let limits = Limits { handles: 50, ..limits() };
    let fault = Bench::of(bytes).await.fault("hostile/echo", &json!({}), &limits).await;
    assert_eq!(fault.to_string(), "limit.handles: held more than 50 handles");
}

#[tokio::test]
async fn endless_recursion_exhausts_the_stack_and_only_that() {
    let bytes = component(
        r#"(memory (export "memory") 1)
           (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
           (func $again (param i32) (result i32)
             (i32.add (call $again (i32.add (local.get 0) (i32.const 1))) (local.get 0)))
           (func (export "invoke") (param i32 i32 i32 i32) (result i32) (call $again (i32.const 0)))"#,
    );
    let fault = Bench::of(bytes).await.fault("hostile/echo", &json!({}), &limits()).await;
    assert_eq!(fault.to_string(), "limit.stack: the call stack is exhausted");
}

#[tokio::test]
async fn giant_copies_pay_by_the_byte() {
    // Straight-line copies of 32 MiB each, without a single loop.
    let copies = "(memory.copy (i32.const 0) (i32.const 33554432) (i32.const 33554432))".repeat(100);
    let bytes = component(&format!(
        r#"(memory (export "memory") 1024)
           (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
           (func (export "invoke") (param i32 i32 i32 i32) (result i32) {copies} i32.const 0)"#
    ));
    let fault = Bench::of(bytes).await.fault("hostile/echo", &json!({}), &limits()).await;
    assert_eq!(fault.code, "limit.fuel", "{fault}");
}

#[tokio::test]
async fn nothing_is_left_for_the_next_call() {
    // Counts its calls in memory, in a global and in a grown page; answers with the count.
    let bytes = component(
        r#"(memory (export "memory") 1) (global $calls (mut i32) (i32.const 0))
           (data (i32.const 2048) "0")
           (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
           (func (export "invoke") (param i32 i32 i32 i32) (result i32)
             (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
             (i32.store8 (i32.const 2048)
               (i32.add (i32.load8_u (i32.const 2048)) (i32.add (global.get $calls)
                 (i32.load8_u (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 1))))))
             (drop (memory.grow (i32.const 1)))
             (i32.store8 (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 1)) (i32.const 5))
             (i32.store (i32.const 16) (i32.const 0))
             (i32.store (i32.const 20) (i32.const 2048))
             (i32.store (i32.const 24) (i32.const 1))
             i32.const 16)"#,
    );
    let bench = Bench::of(bytes).await;
    for _ in 0..40 {
        let output = bench.call("hostile/echo", &json!({}), &limits()).await.unwrap();
        assert_eq!(output.value, json!(1), "state leaked between calls");
    }
}

#[tokio::test]
async fn foreign_imports_are_refused_by_name() {
    let import = wat::parse_str(r#"(component (import "wasi:cli/environment@0.2.0" (instance)))"#).unwrap();
    let bytes: &'static [u8] = Box::leak(import.into_boxed_slice());
    let error = refused(bytes).await;
    assert!(error.contains("imports wasi:cli/environment@0.2.0"), "{error}");
    let empty = wat::parse_str("(component)").unwrap();
    let error = refused(Box::leak(empty.into_boxed_slice())).await;
    assert!(error.contains("does not export the world"), "{error}");
}

#[tokio::test]
async fn bytes_that_differ_from_the_manifest_are_refused() {
    let sandbox = Sandbox::new(Settings::default()).unwrap();
    let mut swapped = HOSTILE.to_vec();
    *swapped.last_mut().unwrap() ^= 1;
    let honest = manifest("hostile/echo", HOSTILE, limits());
    let error = sandbox.load(&honest, swapped).await.unwrap_err().to_string();
    assert!(error.contains("runtime.module.sha256"), "{error}");
    let error = sandbox.load(&honest, b"x".as_slice()).await.unwrap_err().to_string();
    assert!(error.contains("runtime.module.size"), "{error}");
    let mut other = honest.clone();
    let Runtime::Wasm { module } = &mut other.runtime else { unreachable!() };
    module.world = "wasi:cli/command@0.2.0".into();
    assert!(sandbox.load(&other, HOSTILE).await.unwrap_err().to_string().contains("world"));
    let greedy = manifest("hostile/echo", HOSTILE, Limits { memory_bytes: 1 << 40, ..limits() });
    assert!(sandbox.load(&greedy, HOSTILE).await.unwrap_err().to_string().contains("limits.memory_bytes"));
    let small = Sandbox::new(Settings { component_bytes: 1 << 10, ..Settings::default() }).unwrap();
    assert!(small.load(&honest, HOSTILE).await.unwrap_err().to_string().contains("at most 1024 are compiled"));
}

fn cached(folder: &Path, key: u8) -> Sandbox {
    let settings = Settings { cache: Some(folder.into()), ..Settings::default() };
    Sandbox::builder(settings).with_cache_key([key; 32]).build().unwrap()
}

fn only_file(folder: &Path) -> std::path::PathBuf {
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

#[tokio::test]
async fn forged_truncated_and_foreign_cache_files_are_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = manifest("hostile/echo", HOSTILE, limits());
    cached(folder.path(), 1).load(&manifest, HOSTILE).await.unwrap();
    let file = only_file(folder.path());
    let honest = std::fs::read(&file).unwrap();
    let is_taken = |key| cached(folder.path(), key).shared.workshop.cached(sha256(&[HOSTILE])).is_some();
    assert!(is_taken(1), "an honest file is used");
    assert!(!is_taken(2), "another key's file is not");
    let mut forged = honest.clone();
    *forged.last_mut().unwrap() ^= 1;
    for bad in [forged.as_slice(), &honest[..honest.len() / 2], &honest[..10], b"", &honest[40..]] {
        std::fs::write(&file, bad).unwrap();
        assert!(!is_taken(1));
    }
    // What was ignored is compiled and written anew.
    let bench = Bench::new(cached(folder.path(), 1).load(&manifest, HOSTILE).await.unwrap());
    assert!(bench.call("hostile/echo", &json!({}), &limits()).await.is_ok());
    assert_eq!(std::fs::read(&file).unwrap().len(), honest.len());
    assert!(is_taken(1));
}

#[tokio::test]
async fn another_component_cannot_take_a_cached_ones_place() {
    let folder = tempfile::tempdir().unwrap();
    let other: &[u8] = include_bytes!("../../guests/dist/hostile-wild-pointer.wasm");
    cached(folder.path(), 1).load(&manifest("hostile/echo", HOSTILE, limits()), HOSTILE).await.unwrap();
    let file = only_file(folder.path());
    let name = file
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .replace(&sha256(&[HOSTILE]).to_string(), &sha256(&[other]).to_string());
    std::fs::rename(&file, folder.path().join(name)).unwrap();
    assert!(cached(folder.path(), 1).shared.workshop.cached(sha256(&[other])).is_none());
}
