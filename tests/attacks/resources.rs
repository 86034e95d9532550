//! Attacks on the machine's memory, time and room, by guests of the wasm sandbox.
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may fail, and waits for real")]

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use l9::run::Event;
use l9::{Principal, RunHandle, Runtime, StartOptions};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::guests::{Guest, HOSTILE, LIFTED, call, component, events, told};

/// The memory that every component needs.
const MEMORY: &str = r#"(memory (export "memory") 1)"#;

/// A component whose `invoke` does this and then answers `1`.
fn doing(before: &str, body: &str) -> Vec<u8> {
    component(&format!(r#"{before} (func (export "invoke") (param i32 i32 i32 i32) (result i32) {body} i32.const 16)"#))
}

async fn answers(guest: &Guest) {
    assert_eq!(guest.gives(&json!({})).await, json!(1));
}

#[tokio::test]
async fn attack_22_memory_without_end_in_one_memory_or_many() {
    // Each memory stays below 64 MiB; together they have 78.
    let grow = doing(r#"(memory (export "memory") 1) (memory $second 640)"#, "(drop (memory.grow 0 (i32.const 600)))");
    let two = Guest::new("hostile/two", grow);
    assert_eq!(two.fails(&json!({})).await, "limit.memory: wanted 78 MiB of 64 MiB");
    let hoard = Guest::new("hostile/allocate", HOSTILE).limit("fuel", 5_000_000_000);
    let error = hoard.fails(&json!({})).await;
    assert!(error.starts_with("limit.memory: wanted ") && error.ends_with(" of 64 MiB"), "{error}");
    let many = doing(&format!("{MEMORY} {}", "(memory 1)".repeat(64)), "");
    let many = Guest::new("hostile/many", many);
    let error = many.fails(&json!({})).await;
    assert!(error.starts_with("manifest: ") && error.contains("memor"), "{error}");

    // Control: with the room all of it is had.
    answers(&two.limit("memory_bytes", 128 << 20)).await;
    let roomy = many.sized(|sandbox| {
        (sandbox.memories, sandbox.calls, sandbox.calls_per_tenant) = (65, 1, 1);
        sandbox.memory_bytes = 64 << 20;
    });
    answers(&roomy).await;
}

#[tokio::test]
async fn attack_23_tables_without_end() {
    let grow = doing(
        &format!("{MEMORY} (table $first 60 funcref) (table $second 1 funcref)"),
        "(drop (table.grow $second (ref.null func) (i32.const 59)))",
    );
    let two = Guest::new("hostile/tables", grow);
    assert_eq!(
        two.clone().limit("table_elements", 100).fails(&json!({})).await,
        "limit.table: wanted 120 of 100 table elements"
    );
    let huge = Guest::new("hostile/table", doing(&format!("{MEMORY} (table 30000 funcref)"), ""));
    let error = huge.fails(&json!({})).await;
    assert!(error.starts_with("manifest: ") && error.contains("table"), "{error}");

    // Control: with the room both are had.
    answers(&two.limit("table_elements", 120)).await;
    answers(&huge.limit("table_elements", 40_000).sized(|sandbox| sandbox.table_elements = 40_000)).await;
}

#[tokio::test]
async fn attack_24_loops_without_end_in_invoke_start_realloc_and_post_return() {
    let guests = [
        Guest::new("hostile/loop", HOSTILE),
        Guest::new("hostile/start", include_bytes!("../../l9-tools/guests/dist/hostile-start-loop.wasm")),
        Guest::new("hostile/realloc", include_bytes!("../../l9-tools/guests/dist/hostile-realloc-loop.wasm")),
        Guest::new("hostile/post", include_bytes!("../../l9-tools/guests/dist/hostile-post-return-loop.wasm")),
    ];
    for guest in guests {
        let error = guest.fails(&json!({})).await;
        assert_eq!(error, "limit.fuel: out of fuel: used 50,000,000 of 50,000,000");
        // Control: with fuel to burn it goes on, until its time is up.
        let error = guest.limit("fuel", 1_000_000_000_000).limit("wall_ms", 300).fails(&json!({})).await;
        assert_eq!(error, "limit.time: took longer than 300 ms");
    }
}

#[tokio::test]
async fn attack_25_a_host_call_that_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let guest = Guest::host_calls().with("fs", json!([{"mount": "work", "mode": "read_write"}]));
    let guest = guest.with("effect", json!("opaque_write")).mounting("work", folder.path()).limit("wall_ms", 500);
    let write = json!({"steps": [{"call": "files.write", "mount": "work", "path": "late.txt", "text": "late"}]});
    let runtime = guest.start().await.unwrap();
    // Another process has the mount, and does not let go.
    let held = File::open(folder.path()).unwrap();
    held.lock().unwrap();
    // A write that did not end is not said to have failed.
    let late = events(&runtime, &write).await;
    let unknown = late.into_iter().find_map(|event| match event {
        Event::EffectUnknown(unknown) => Some(unknown.reason),
        _ => None,
    });
    assert_eq!(unknown.unwrap(), "limit.time: took longer than 500 ms");
    // A call that has ended changes nothing when it could at last.
    held.unlock().unwrap();
    let next = json!({"steps": [{"call": "files.write", "mount": "work", "path": "next.txt", "text": "next"}]});
    // Control: with nobody in its way the same call is done in time.
    assert_eq!(told(&call(&runtime, "guest/host", &next.to_string()).await.unwrap()), ["done"]);
    runtime.shutdown().await;
    assert!(!folder.path().join("late.txt").exists() && folder.path().join("next.txt").exists());
    assert_eq!(told(&guest.gives(&write).await), ["done"]);
}

#[tokio::test]
async fn attack_26_giant_copies_in_one_instruction() {
    // Straight on, without a loop: 32 MiB each.
    let copies = "(memory.copy (i32.const 0) (i32.const 33554432) (i32.const 33554432))".repeat(10);
    let guest = Guest::new(
        "hostile/copy",
        component(&format!(
            r#"(memory (export "memory") 1024)
           (func (export "invoke") (param i32 i32 i32 i32) (result i32) {copies}
             (i32.store (i32.const 20) (i32.const 64)) (i32.store (i32.const 24) (i32.const 1))
             (i32.store8 (i32.const 64) (i32.const 49)) i32.const 16)"#
        )),
    );
    let error = guest.fails(&json!({})).await;
    assert!(error.starts_with("limit.fuel: out of fuel: used "), "{error}");
    // Control: whoever pays for each byte gets the copies.
    answers(&guest.limit("fuel", 1_000_000_000)).await;
}

#[tokio::test]
async fn attack_27_recursion_without_end() {
    // Down so many frames and up again.
    let deep = |frames: u32| {
        let down = r#"(func $down (param i32) (result i32)
            (if (result i32) (i32.eqz (local.get 0)) (then (i32.const 0))
                (else (i32.add (call $down (i32.sub (local.get 0) (i32.const 1))) (local.get 0)))))"#;
        doing(&format!("{MEMORY} {down}"), &format!("(drop (call $down (i32.const {frames})))"))
    };
    let endless = Guest::new("hostile/deep", deep(u32::MAX));
    assert_eq!(endless.fails(&json!({})).await, "limit.stack: the call stack is exhausted");
    let deep = Guest::new("hostile/deep", deep(50_000));
    assert_eq!(deep.fails(&json!({})).await, "limit.stack: the call stack is exhausted");
    // Control: on a larger stack the same depth is reached.
    answers(&deep.sized(|sandbox| sandbox.stack_bytes = 16 << 20)).await;
}

#[tokio::test]
async fn attack_28_a_flood_of_handles() {
    let flood = wat::parse_str(format!(
        r#"(component
            (type $thing (resource (rep i32)))
            (core func $new (canon resource.new $thing))
            (core module $m
                (import "" "new" (func $new (param i32) (result i32)))
                (memory (export "memory") 1)
                (data (i32.const 16) "\00\00\00\00\40\00\00\00\01\00\00\00") (data (i32.const 64) "1")
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
                (func (export "invoke") (param i32 i32 i32 i32) (result i32) (local $left i32)
                    (local.set $left (i32.const 100))
                    (loop $again
                        (drop (call $new (i32.const 1)))
                        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                        (br_if $again (local.get $left)))
                    i32.const 16))
            (core instance $i (instantiate $m (with "" (instance (export "new" (func $new))))))
            {LIFTED})"#
    ));
    let guest = Guest::new("hostile/handles", flood.unwrap());
    let error = guest.clone().limit("handles", 50).fails(&json!({})).await;
    assert_eq!(error, "limit.handles: held more than 50 handles");
    // Control: so many handles may be had where they are allowed.
    answers(&guest.limit("handles", 200)).await;
}

#[tokio::test]
async fn attack_29_a_huge_list_handed_to_the_host() {
    let keep = json!({"steps": [{"call": "kv.set", "path": "k", "size": 8 << 20}]});
    let guest = Guest::host_calls().limit("fuel", 50_000_000_000);
    let error = guest.fails(&keep).await;
    assert!(error.starts_with("limit.output: more than 1 MiB crossed to the host at once"), "{error}");
    // Little by little is bounded in sum, and so is how often.
    let often = json!({"steps": [{"call": "kv.set", "path": "k", "size": 60_000, "times": 1_000}]});
    let error = guest.fails(&often).await;
    assert_eq!(error, "limit.host_call_bytes: passed more than 16 MiB in calls to the host");
    let error = guest.clone().limit("host_calls", 100).fails(&often).await;
    assert_eq!(error, "limit.host_calls: called the host more than 100 times");
    // What the host hands back counts as well.
    let back = json!({"steps": [{"call": "kv.set", "path": "k", "size": 60_000}, {"call": "kv.get", "path": "k", "times": 1_000}]});
    assert_eq!(guest.fails(&back).await, "limit.host_call_bytes: passed more than 16 MiB in calls to the host");

    // Control: where it is allowed, each of them is done.
    let allowed = guest.limit("output_bytes", 64 << 20).limit("host_call_bytes", 512 << 20);
    let roomy = allowed.limit("memory_bytes", 128 << 20);
    for attack in [keep, often, back] {
        assert!(roomy.gives(&attack).await["steps"].as_array().unwrap().iter().all(|step| step.get("error").is_none()));
    }
}

/// The log of a call.
async fn log_of(guest: &Guest, input: &Value) -> Vec<String> {
    let runtime = guest.start().await.unwrap();
    let results = events(&runtime, input).await.into_iter().filter_map(|event| match event {
        Event::EffectResult(result) => Some(result.log),
        _ => None,
    });
    runtime.shutdown().await;
    results.flatten().map(|line| line.message).collect()
}

#[tokio::test]
async fn attack_30_a_flood_of_stdout_stderr_and_log() {
    let flood = json!({"steps": [{"call": "host.log", "text": "x".repeat(90), "times": 1_000}]});
    let guest = Guest::host_calls();
    let log = log_of(&guest.clone().limit("log_bytes", 300), &flood).await;
    assert!(log.iter().map(String::len).sum::<usize>() < 400, "{log:?}");
    assert!(log.last().unwrap().contains("more lines were dropped: the log is full"), "{log:?}");
    // There is no other way to write: a component that wants one is not loaded.
    for stream in ["stdout", "stderr"] {
        let wants = format!(r#"(component (import "wasi:cli/{stream}@0.2.0" (instance)))"#);
        let error = Guest::new("hostile/print", wat::parse_str(wants).unwrap()).fails(&json!({})).await;
        assert!(
            error.starts_with("manifest: ") && error.contains(&format!("imports wasi:cli/{stream}@0.2.0")),
            "{error}"
        );
    }
    // Control: with the room every line is kept.
    assert_eq!(log_of(&guest.limit("log_bytes", 1 << 20), &flood).await.len(), 1_000);
}

#[tokio::test]
async fn attack_31_a_flood_of_output_and_json_without_bottom() {
    let flood = Guest::new("hostile/flood", HOSTILE);
    let bytes = json!({"bytes": 100_000});
    let error = flood.clone().limit("output_bytes", 1_000).fails(&bytes).await;
    assert!(error.starts_with("limit.output: "), "{error}");
    let error = flood.clone().limit("output_bytes", 49_999).fails(&json!({"bytes": 50_000})).await;
    assert_eq!(error, "limit.output: the output has 50,000 bytes, over the limit of 49,999");
    // The guest builds the depth itself: the host would not have let it in.
    let open = "[".repeat(60);
    let text = format!("{open}{}", "]".repeat(60));
    let deep = component(&format!(
        r#"(memory (export "memory") 1) (data (i32.const 2048) "{text}")
           (func (export "invoke") (param i32 i32 i32 i32) (result i32)
             (i32.store (i32.const 20) (i32.const 2048)) (i32.store (i32.const 24) (i32.const 120)) i32.const 16)"#
    ));
    let deep = Guest::new("hostile/deep", deep);
    let error = deep.fails(&json!({})).await;
    assert!(error.starts_with("invalid_output: ") && error.contains("deeper than 32"), "{error}");

    // Control: within the limits both come through.
    assert_eq!(flood.limit("output_bytes", 100_000).gives(&bytes).await.as_str().unwrap().len(), 99_998);
    assert!(deep.limit("depth", 64).gives(&json!({})).await.is_array());
}

/// A call of somebody of a tenant, once it stands before the pool or is in it.
async fn asked(runtime: &Runtime, tenant: &str) -> RunHandle {
    let who = Principal { tenant: tenant.parse().unwrap(), ..Principal::local() };
    let (engine, tool) = (runtime.engine(), "hostile/loop".parse().unwrap());
    let run = engine.start_tool(&who, &tool, "{}", StartOptions::default()).await.unwrap().run;
    let mut feed = engine.feed(&who.tenant, run, 0).await.unwrap();
    while !feed.page().await.unwrap().iter().any(|(_, event)| matches!(event, Event::EffectIntent(_))) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    engine.handle(&who, run).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_32_tenants_that_fill_the_pool() {
    const TENANTS: usize = 64;
    // Long enough that far more come than go.
    let guest = Guest::new("hostile/loop", HOSTILE).limit("fuel", 400_000_000).limit("wall_ms", 300_000);
    let guest = guest.sized(|sandbox| (sandbox.calls, sandbox.calls_per_tenant) = (4, 2));
    let runtime = Arc::new(guest.start().await.unwrap());
    runtime.start().await;
    let ended = Arc::new(AtomicUsize::new(0));
    let until_its_end = |call: RunHandle| {
        let ended = Arc::clone(&ended);
        tokio::spawn(async move {
            assert_eq!(call.outcome().await.unwrap().code.as_deref(), Some("limit.fuel"), "it ran to its own end");
            ended.fetch_add(1, Ordering::SeqCst)
        })
    };
    // Two calls of each: every place is taken, and far more wait.
    let mut asking = JoinSet::new();
    for number in 0..2 * TENANTS {
        let runtime = Arc::clone(&runtime);
        asking.spawn(async move { asked(&runtime, &format!("greedy-{}", number % TENANTS)).await });
    }
    let calls: Vec<_> = asking.join_all().await.into_iter().map(&until_its_end).collect();
    // Control: one of those gets its turn after its own calls.
    let another = until_its_end(asked(&runtime, "greedy-63").await);
    let modest = until_its_end(asked(&runtime, "modest").await);
    let before = ended.load(Ordering::SeqCst);
    let (modest, another) = (modest.await.unwrap(), another.await.unwrap());
    assert!(before < TENANTS, "{before} had ended before anybody waited");
    // Whoever had no turn yet may go before it, and nobody twice.
    assert!(modest < TENANTS + TENANTS / 4, "{modest} went before the one that came last");
    assert!(another > modest + TENANTS / 4, "{another} went before the greedy, {modest} before the modest");
    for call in calls {
        call.await.unwrap();
    }
}

#[tokio::test]
async fn attack_33_a_component_that_takes_for_ever_to_compile() {
    // Functions of nothing, and many.
    let bomb = doing(&format!("{MEMORY} {}", "(func (drop (i32.const 1)))".repeat(40_000)), "");
    let guest = Guest::new("hostile/compile", bomb.clone());
    let error = guest.clone().sized(|sandbox| sandbox.component_bytes = 256_000).fails(&json!({})).await;
    let size = bomb.len();
    assert_eq!(
        error,
        format!("manifest: the component of hostile/compile has {size} bytes: at most 256000 are compiled")
    );
    // Control: where it may be so large it is compiled and runs.
    answers(&guest).await;
}

#[tokio::test]
async fn attack_34_threads_and_processes() {
    for (wants, name) in [
        (r#"(component (import "wasi:thread-spawn/spawn@0.1.0" (instance)))"#, "imports wasi:thread-spawn/spawn@0.1.0"),
        (r#"(component (import "wasi:cli/command@0.2.0" (instance)))"#, "imports wasi:cli/command@0.2.0"),
        (r#"(component (import "wasi:sockets/tcp@0.2.0" (instance)))"#, "imports wasi:sockets/tcp@0.2.0"),
        ("(component (core type $f (func (param i32))) (core func (canon thread.spawn-ref $f)))", "cannot be compiled"),
    ] {
        let error = Guest::new("hostile/spawn", wat::parse_str(wants).unwrap()).fails(&json!({})).await;
        assert!(error.starts_with("manifest: ") && error.contains(name), "{error}");
    }
    let shared = doing(r#"(memory (export "memory") 1 1 shared)"#, "");
    let error = Guest::new("hostile/shared", shared).fails(&json!({})).await;
    assert!(error.starts_with("manifest: ") && error.contains("cannot be compiled"), "{error}");
    // Control: the same with a memory of its own runs.
    answers(&Guest::new("hostile/shared", doing(r#"(memory (export "memory") 1 1)"#, ""))).await;
}

#[tokio::test]
async fn attack_35_a_tool_that_invokes_itself() {
    let core = r#"(core module $m
        (memory (export "memory") 1) (data (i32.const 16) "\00\00\00\00\40\00\00\00\01\00\00\00") (data (i32.const 64) "1")
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
        (func (export "invoke") (param i32 i32 i32 i32) (result i32) i32.const 16))
        (core instance $i (instantiate $m))"#;
    let with = |import: &str| {
        Guest::new("hostile/self", wat::parse_str(format!("(component {import} {core} {LIFTED})")).unwrap())
    };
    for (import, name) in [
        (r#"(import "invoke" (func))"#, "imports invoke"),
        (r#"(import "l9:tool/tool@0.1.0" (instance))"#, "imports l9:tool/tool@0.1.0"),
        (r#"(import "l9:tool/tools@0.1.0" (instance))"#, "imports l9:tool/tools@0.1.0"),
    ] {
        let error = with(import).fails(&json!({})).await;
        assert!(error.starts_with("manifest: ") && error.contains(name), "{error}");
    }
    // Nor may it come back to itself while it is called: realloc that calls invoke again and again
    // runs out of stack in its own call.
    let again = component(
        r#"(memory (export "memory") 1)
           (func $invoke (export "invoke") (param i32 i32 i32 i32) (result i32)
             (i32.add (call $invoke (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)) (i32.const 1)))"#,
    );
    assert_eq!(Guest::new("hostile/self", again).fails(&json!({})).await, "limit.stack: the call stack is exhausted");
    // Control: without the import it runs.
    answers(&with("")).await;
}
