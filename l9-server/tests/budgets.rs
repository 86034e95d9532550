//! Budgets over HTTP, against outside servers that count requests and their bytes: nothing
//! leaves beyond a budget, and what left is charged to the byte.
#![expect(clippy::unwrap_used, reason = "what a test cannot do without ends it")]

mod support;

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use support::Served;
use support::provider::Provider;

/// An outside that takes notes, and answers something.
async fn outside() -> Provider {
    Provider::start(&["noted"], Duration::ZERO).await
}

/// A provider whose model asks for two notes in every turn, for ever.
async fn insatiable() -> Provider {
    let call = |index: u32| json!({"index": index, "id": format!("c{index}"), "function": {"name": "notes__add", "arguments": "{\"text\":\"hello\"}"}});
    let calls = json!({"delta": {"tool_calls": [call(0), call(1)]}, "finish_reason": null});
    let end = json!({"delta": {}, "finish_reason": "tool_calls"});
    Provider::answering(move |_| vec![calls.clone(), end.clone()], Duration::ZERO).await
}

/// Writes an agent `sender` with the tool that reaches the outside, and these prices.
fn prepare(data: &Path, outside: &Provider, prices: &Value) {
    let (_, port) = outside.base_url.trim_end_matches("/v1").rsplit_once(':').unwrap();
    let port: u16 = port.parse().unwrap();
    let manifest = json!({
        "schema_version": 1, "id": "notes/add", "version": "1.0.0", "title": "Add a note",
        "description": "Adds a note.", "effect": "read",
        "runtime": {"kind": "http", "method": "POST", "url": format!("http://127.0.0.1:{port}/v1/notes")},
        "input_schema": {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}},
        "net": [{"scheme": "http", "host": "127.0.0.1", "port": port, "methods": ["POST"], "allow_private": true}],
    });
    for (name, text) in [
        ("tools/notes.json", manifest.to_string()),
        ("agents/sender.yaml", "id: sender\nmodel: openai/test-1\ntools: [notes/add]\n".to_owned()),
        ("config.yaml", json!({"models": {"openai": {"prices": prices}}}).to_string()),
    ] {
        let path = data.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

/// Runs the agent to its end under a budget; gives the end, the run's state and its events.
async fn run(served: &Served, budget: &Value) -> (Value, Value, Vec<Value>) {
    let body = json!({"input": "take notes", "budget": budget, "wait": true});
    let ended = served.post("/agents/sender/runs", &body).await;
    assert_eq!(ended.status, 200, "{ended:?}");
    let ended = ended.json();
    let run = ended["run_id"].as_str().unwrap();
    let shown = served.get(&format!("/runs/{run}")).await.json();
    let events = served.get(&format!("/runs/{run}/events?limit=1000")).await.json();
    (ended, shown, events["events"].as_array().unwrap().clone())
}

fn intents(events: &[Value], kind: &str) -> usize {
    let of_kind = |event: &&Value| event["kind"] == "effect.intent" && event["data"]["action"]["kind"] == kind;
    events.iter().filter(of_kind).count()
}

#[tokio::test]
async fn no_byte_leaves_beyond_the_budget_and_every_one_that_left_is_charged() {
    let (outside, provider) = (outside().await, insatiable().await);
    let served = Served::start_with(&provider.environment(), |data| prepare(data, &outside, &json!({}))).await;
    let limit = 12_000;
    let (ended, shown, events) = run(&served, &json!({"egress_bytes": limit})).await;
    assert_eq!(ended["code"], "denied.budget_exceeded", "{ended}");
    let (asked, noted) = (provider.received(), outside.received());
    assert_eq!((asked.len(), noted.len()), (intents(&events, "model"), intents(&events, "tool")));
    assert!(asked.len() > 2 && noted.len() > 2, "{asked:?} {noted:?}");
    let left: u64 = asked.iter().chain(&noted).sum();
    assert_eq!(shown["spent"]["egress_bytes"], left);
    assert!(left <= limit, "{left} of {limit}");
    // Another run is another budget, and the same again comes to the same end.
    let (_, again, _) = run(&served, &json!({"egress_bytes": limit})).await;
    assert_eq!(again["spent"]["egress_bytes"], left);
}

#[tokio::test]
async fn no_request_is_made_that_could_cost_more_than_is_left() {
    let (outside, provider) = (outside().await, insatiable().await);
    let dollar = json!({"test-1": {"input": 1_000_000, "output": 1_000_000}});
    let served = Served::start_with(&provider.environment(), |data| prepare(data, &outside, &dollar)).await;
    let limit = 6_000;
    let (ended, shown, events) = run(&served, &json!({"micro_usd": limit})).await;
    assert_eq!(ended["code"], "denied.budget_exceeded", "{ended}");
    let asked = provider.received().len();
    assert_eq!(asked, intents(&events, "model"));
    assert_eq!(outside.received().len(), 2 * asked, "the last turn's calls cost no money");
    let spent = shown["spent"]["micro_usd"].as_u64().unwrap();
    assert!(asked > 1 && (1..=limit).contains(&spent), "{asked} requests, {spent} of {limit}");
    // What the next turn could have cost at most was more than was left.
    let denied = events.iter().find(|event| event["kind"] == "effect.denied").unwrap();
    let reason = denied["data"]["reasons"][0].as_str().unwrap();
    assert!(reason.contains(&format!(" micro_usd of {limit}")), "{reason}");
}

#[tokio::test]
async fn a_model_without_a_price_is_never_asked_where_money_is_limited() {
    let (outside, provider) = (outside().await, Provider::start(&["done"], Duration::ZERO).await);
    let served = Served::start_with(&provider.environment(), |data| prepare(data, &outside, &json!({}))).await;
    let (ended, shown, events) = run(&served, &json!({"micro_usd": 5_000_000})).await;
    assert_eq!((&ended["code"], provider.received().len()), (&json!("denied.unpriced_model"), 0));
    assert!(ended["answer"].as_str().unwrap().contains("models.openai.prices"), "{ended}");
    assert_eq!((intents(&events, "model"), &shown["spent"]), (0, &json!({})));
    let (ended, ..) = run(&served, &json!({"tokens": 5_000_000})).await;
    assert_eq!((&ended["outcome"], provider.received().len()), (&json!("succeeded"), 1));

    let free = json!({"test-1": {"input": 0}});
    let served = Served::start_with(&provider.environment(), |data| prepare(data, &outside, &free)).await;
    let (ended, ..) = run(&served, &json!({"micro_usd": 1})).await;
    assert_eq!(ended["outcome"], "succeeded", "a price of zeros is a price: {ended}");
}

#[tokio::test]
async fn a_tool_is_called_only_if_its_whole_request_may_leave() {
    let (outside, provider) = (outside().await, insatiable().await);
    let served = Served::start_with(&provider.environment(), |data| prepare(data, &outside, &json!({}))).await;
    let call = async |budget: Value| {
        let body = json!({"arguments": {"text": "hello"}, "budget": budget});
        served.post("/tools/notes/add/call", &body).await
    };
    let free = call(json!({})).await;
    assert_eq!(free.status, 200, "{free:?}");
    let bytes = outside.received()[0];
    let refused = call(json!({"egress_bytes": bytes - 1})).await;
    assert!(refused.problem(403, "denied").contains(&format!("{bytes} egress_bytes of {}", bytes - 1)), "{refused:?}");
    assert_eq!((refused.json()["code"].as_str(), outside.received().len()), (Some("budget_exceeded"), 1));
    let held = call(json!({"egress_bytes": bytes})).await;
    assert_eq!((held.status.as_u16(), outside.received()), (200, vec![bytes; 2]));
    let run = held.json()["run_id"].as_str().unwrap().to_owned();
    let shown = served.get(&format!("/runs/{run}")).await.json();
    assert_eq!((&shown["spent"]["egress_bytes"], &shown["budget"]), (&json!(bytes), &json!({"egress_bytes": bytes})));
}

#[tokio::test]
async fn a_plan_is_told_what_it_costs_before_anything_runs() {
    let (outside, provider) = (outside().await, insatiable().await);
    let served = Served::start_with(&provider.environment(), |data| prepare(data, &outside, &json!({}))).await;
    let plan = json!({"plan": "notes", "nodes": [
        {"id": "add", "tool": "notes/add", "arguments": {"text": "hello"}, "map": {"over": [1, 2, 3]}},
        {"id": "send", "agent": "sender", "input": "take notes"},
    ]});
    let ask = async |budget: Value| served.post("/plans/validate", &json!({"plan": plan, "budget": budget})).await;
    let told = ask(json!({})).await.json();
    assert_eq!(
        (&told["calls"][0]["verdict"], &told["calls"][0]["effect"]),
        (&json!("allow"), &json!("read")),
        "{told}"
    );
    assert_eq!((&told["cost"]["least"], &told["remarks"]), (&json!({"calls": 4}), &json!([])));
    // The agent's profile limits nothing.
    assert_eq!(told["cost"]["most"], json!({}));
    let scarce = ask(json!({"calls": 3, "egress_bytes": 1})).await.json();
    let remarks: Vec<&str> =
        scarce["remarks"].as_array().unwrap().iter().map(|it| it["message"].as_str().unwrap()).collect();
    assert!(remarks[0].starts_with("one call of node add reserves ") && remarks[0].contains(" egress_bytes of 1 "));
    assert_eq!(remarks[1], "calls: at least 4, and the budget allows 3");
    served.post("/plans/validate", &json!({"plan": {"plan": "none", "nodes": []}})).await.problem(400, "invalid");
    assert_eq!((outside.received().len(), served.get("/runs").await.json()["runs"].clone()), (0, json!([])));
}
