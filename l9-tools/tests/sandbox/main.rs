//! Tools through the whole governed path: the built-in ones, native ones, and a hostile
//! component beside an honest one.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test's helpers, whose failure is the test's")]

mod engine;
mod interfaces;

use std::sync::Arc;
use std::time::Duration;

use engine::Governed;
use l9_core::digest::sha256;
use l9_core::entropy::{SeededEntropy, SystemEntropy};
use l9_core::id::TenantId;
use l9_core::journal::Status;
use l9_core::memory::{MemoryStore, NewEntry};
use l9_core::run::Outcome;
use l9_core::time::{Clock, SeededClock, SystemClock};
use l9_core::tool::{EffectClass, Manifest};
use l9_memory::in_memory::Memory;
use l9_tools::native;
use l9_tools::registry::{Registry, from_json};
use l9_tools::wasm::{Sandbox, Settings, WORLD};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const HOSTILE: &[u8] = include_bytes!("../../guests/dist/hostile.wasm");

async fn builtin(memory: Arc<dyn MemoryStore>) -> Arc<Registry> {
    let registry = Arc::new(Registry::default());
    let sandbox = Sandbox::new(Settings::default()).unwrap();
    l9_tools::builtin::register_all(&registry, &sandbox, memory, &Default::default()).unwrap();
    registry
}

fn hostile(name: &str) -> Manifest {
    let manifest = json!({
        "schema_version": 1, "id": format!("hostile/{name}"), "version": "1.0.0", "title": "Hostile",
        "description": "Misbehaves in one way.", "input_schema": {"type": "object"}, "effect": "pure",
        "runtime": {"kind": "wasm", "module": {
            "sha256": sha256(&[HOSTILE]).to_string(), "size": HOSTILE.len(), "world": WORLD
        }},
        "limits": {"fuel": 50_000_000, "wall_ms": 2_000, "host_calls": 20, "log_bytes": 300}
    });
    from_json(manifest.to_string().as_bytes()).unwrap()
}

async fn with_hostile() -> Arc<Registry> {
    let registry = Arc::new(Registry::default());
    let sandbox = Sandbox::new(Settings::default()).unwrap();
    for name in ["echo", "loop", "allocate", "trap", "logflood", "random", "badjson", "fault"] {
        let manifest = hostile(name);
        let guest = sandbox.load(&manifest, HOSTILE).await.unwrap();
        registry.register(manifest, guest).unwrap();
    }
    registry
}

#[tokio::test]
async fn built_in_tools_answer_as_their_manifests_say() {
    let memory = Arc::new(Memory::new(Arc::new(SystemClock::default()), Arc::new(SystemEntropy)));
    let tenant = TenantId::default_tenant();
    let entry = |text: &str, source: Option<&str>, key: Option<&str>| NewEntry {
        text: text.into(),
        source: source.map(str::to_owned),
        key: key.map(str::to_owned),
        position: source.map(|_| "lines 3-9".into()),
        ..NewEntry::default()
    };
    let entries = vec![
        entry("A lease is renewed every third of its length.", Some("docs/leases.md"), None),
        entry("The lease of the office ends in May.", None, Some("office")),
    ];
    memory.remember(&tenant, entries).await.unwrap();
    let governed = Governed::new(builtin(memory).await);

    let sum = governed.call("calc/evaluate", &json!({"expression": "15% of 2730"})).await.ended;
    assert_eq!((sum.status, &sum.answer["result"]), (Status::Succeeded, &json!("409.5")), "{sum:?}");

    let found = governed.call("memory/search", &json!({"query": "lease renewed"})).await.ended;
    let passages = found.answer["passages"].as_array().unwrap().clone();
    let sources: Vec<_> = passages.iter().map(|passage| passage["source"].as_str().unwrap()).collect();
    assert!(sources.contains(&"docs/leases.md") && sources.contains(&"memory:office"), "{sources:?}");
    assert_eq!(passages[0]["position"], "lines 3-9");

    let given: Vec<Value> = passages
        .iter()
        .map(|passage| json!({"source": passage["source"], "position": passage["position"], "text": passage["text"]}))
        .collect();
    let input = json!({"query": "How often is a lease renewed?", "passages": given});
    let quotes = governed.call("text/extract", &input).await.ended;
    assert_eq!(quotes.answer["quotes"][0]["quote"], "A lease is renewed every third of its length.", "{quotes:?}");

    let parts = governed.call("text/split", &json!({"text": "One two. Three four.", "max_chars": 12})).await.ended;
    assert_eq!(parts.answer["parts"].as_array().unwrap().len(), 2, "{parts:?}");
    let diff = governed.call("text/diff", &json!({"before": "a\n", "after": "b\n"})).await.ended;
    assert_eq!((&diff.answer["added"], &diff.answer["removed"]), (&json!(1), &json!(1)), "{diff:?}");
}

#[tokio::test]
async fn faults_reach_the_journal_with_the_fuel_they_used() {
    let governed = Governed::new(with_hostile().await);
    for (tool, code) in [
        ("hostile/loop", "limit.fuel"),
        ("hostile/allocate", "limit."),
        ("hostile/trap", "trap"),
        ("hostile/logflood", "limit.host_calls"),
        ("hostile/badjson", "invalid_output"),
        ("hostile/fault", "failed"),
    ] {
        let called = governed.call(tool, &json!({})).await;
        assert_eq!(called.ended.status, Status::Failed, "{tool}");
        let (outcome, fuel, _) = governed.receipt(called.run).await;
        let Outcome::Failed { code: actual, message, .. } = outcome else { panic!("{tool}: {outcome:?}") };
        assert!(actual.starts_with(code) && !message.is_empty(), "{tool}: {actual}: {message}");
        assert!(fuel > 0, "{tool} was not charged");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_honest_tool_answers_while_hostile_ones_run() {
    let governed = Arc::new(Governed::new(with_hostile().await));
    let attacks: Vec<_> = ["loop", "allocate", "logflood", "loop", "allocate", "loop"]
        .iter()
        .map(|name| {
            let (governed, name) = (Arc::clone(&governed), format!("hostile/{name}"));
            tokio::spawn(async move { Box::pin(governed.call(&name, &json!({}))).await.ended.status })
        })
        .collect();
    let clock = SystemClock::default();
    for number in 0..20 {
        let before = clock.monotonic();
        let echo = governed.call("hostile/echo", &json!({ "n": number })).await;
        assert_eq!(echo.ended.answer, json!({ "n": number }));
        let took = clock.monotonic() - before;
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
    for attack in attacks {
        assert_eq!(attack.await.unwrap(), Status::Failed);
    }
}

#[tokio::test]
async fn a_seeded_run_draws_the_same_time_and_randomness_again() {
    let draw = async || {
        let (clock, entropy) = (Arc::new(SeededClock::new(7)), Arc::new(SeededEntropy::new(7)));
        let governed = Governed::with(with_hostile().await, clock, entropy);
        governed.call("hostile/random", &json!({"len": 32})).await.ended.answer
    };
    let first = draw().await;
    assert_eq!(first, draw().await);
    assert_eq!(first["random"].as_str().unwrap().len(), 64);
    let governed = Governed::new(with_hostile().await);
    let free = governed.call("hostile/random", &json!({"len": 32})).await.ended.answer;
    assert_ne!(free["random"], first["random"]);
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Order {
    what: String,
}

#[derive(Serialize, JsonSchema)]
struct Done {
    words: String,
    key: String,
}

async fn carry_out(context: native::Context, order: Order) -> native::Result<Done> {
    match order.what.as_str() {
        "panic" => panic!("handlers\nmay panic"),
        "parse" => drop("x".parse::<u32>()?),
        "refuse" => return Err(native::Fault::invalid_input("what: refuse is not for sale, ask for something else")),
        "later" => return Err(l9_core::Error::unavailable("the shop is closed").into()),
        "sleep" => SystemClock::default().sleep(Duration::from_secs(30)).await,
        "flood" => return Ok(Done { words: "x".repeat(2 << 20), key: String::new() }),
        _ => context.log("info", "all is\nwell"),
    }
    context.check()?;
    Ok(Done { words: format!("{} for {}", order.what, context.tenant()), key: context.idempotency_key().to_string() })
}

fn shop() -> Arc<Registry> {
    let registry = Arc::new(Registry::default());
    let limits = l9_core::tool::Limits { wall_ms: 200, ..Default::default() };
    let tool = native::tool("shop/order", "1.0.0", "Orders something from a shop.")
        .title("Order")
        .effect(EffectClass::Read)
        .limits(limits)
        .handler(carry_out);
    registry.register_native(tool).unwrap();
    registry
}

#[tokio::test]
async fn a_native_tool_gets_facts_logs_and_fails_in_types() {
    let governed = Governed::new(shop());
    let called = governed.call("shop/order", &json!({"what": "tea"})).await;
    assert_eq!(called.ended.answer["words"], "tea for default");
    assert_eq!(called.ended.answer["key"].as_str().unwrap().len(), 64);
    assert_eq!(governed.receipt(called.run).await.2, ["info all is\\nwell"]);

    for (what, code, message) in [
        ("panic", "panic", "the tool panicked: handlers\\nmay panic"),
        ("parse", "error", "invalid digit"),
        ("refuse", "invalid_input", "ask for something else"),
        ("later", "unavailable", "the shop is closed"),
        ("sleep", "limit.time", "took longer than"),
        ("flood", "limit.output", "over the limit"),
    ] {
        let called = governed.call("shop/order", &json!({ "what": what })).await;
        let (outcome, _, _) = governed.receipt(called.run).await;
        let Outcome::Failed { code: actual, message: told, .. } = outcome else { panic!("{what}: {outcome:?}") };
        assert_eq!(actual, code, "{what}: {told}");
        assert!(told.contains(message), "{what}: {told}");
        if what == "sleep" {
            // Of its 200 ms, what was left when it began.
            let had: u64 = told.split_whitespace().find_map(|word| word.parse().ok()).unwrap();
            assert!((1..=200).contains(&had), "{told}");
        }
    }
}
