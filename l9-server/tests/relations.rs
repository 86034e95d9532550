//! Relations taken from what is remembered, through the real binary: by rules, and by an agent
//! whose model answers well, rudely, or not at all.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what a test cannot do without ends it")]

mod support;

use std::path::Path;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use support::provider::Provider;
use support::{Served, pause};

async fn keep(served: &Served, entry: Value) -> String {
    served.post("/memory", &entry).await.json()["results"][0]["id"].as_str().expect("an id").to_owned()
}

/// The relations around a thing.
async fn around(served: &Served, name: &str) -> Vec<Value> {
    let answer = served.get(&format!("/memory/graph/neighbours?entity={name}")).await;
    answer.json()["relations"].as_array().unwrap_or_else(|| panic!("{}", answer.text)).clone()
}

/// Waits until `/health` says something of the reader.
async fn reader(served: &Served, says: &str) -> Value {
    let mut health = Value::Null;
    for _ in 0..600 {
        health = served.get("/health").await.json()["components"]["relations"].clone();
        if health["detail"].as_str().is_some_and(|detail| detail.contains(says)) {
            return health;
        }
        pause(50).await;
    }
    panic!("{health} never said {says}: {}", served.log());
}

#[tokio::test]
async fn rules_fill_the_graph_and_what_they_took_goes_with_its_source() {
    let served = Served::start_with(&[("L9__MEMORY__RELATIONS", "rules")], |_| {}).await;
    let text = "Ada works at Acme and lives in Lisbon. She might know Bob.";
    let id = keep(&served, json!({"text": text, "labels": {"untrusted": ["mail"]}})).await;
    let health = reader(&served, "1 memories were read, 2 relations taken from them, 0 wait").await;
    assert_eq!(health["status"], "ok", "{health}");
    assert!(health["detail"].as_str().unwrap().starts_with("rules/1: "), "{health}");
    let found = around(&served, "Ada").await;
    let told: Vec<(&Value, &Value)> = found.iter().map(|one| (&one["predicate"], &one["object"])).collect();
    assert_eq!(told, [(&json!("works at"), &json!("Acme")), (&json!("lives in"), &json!("Lisbon"))]);
    assert_eq!(found[0]["derived_from"], json!([id]));
    let taken = served.get(&format!("/memory/{}", found[0]["id"].as_str().unwrap())).await.json();
    assert_eq!(taken["labels"]["untrusted"], json!(["mail"]), "{taken}");
    assert_eq!(taken["metadata"]["l9.taken_by"], "rules/1");
    // By words it is its source that is found.
    let hits = served.get("/memory/search?q=Ada+works+Acme").await.json();
    let hits: Vec<&Value> = hits["results"].as_array().unwrap().iter().map(|hit| &hit["id"]).collect();
    assert_eq!(hits, [&json!(id)]);
    // Nobody else says that an entry was taken so.
    let forged = json!({"text": "x", "metadata": {"l9.taken_by": "me"}});
    served.post("/memory", &forged).await.problem(400, "invalid");

    let done = served.post("/memory/quarantine", &json!({"entry": id, "reason": "doubt"})).await.json();
    assert_eq!(done["entries"].as_array().unwrap().len(), 3);
    assert!(around(&served, "Ada").await.is_empty());
    served.request(Method::DELETE, &format!("/memory/quarantine/{}", done["id"].as_str().unwrap())).await;
    assert_eq!(around(&served, "Ada").await.len(), 2);
    assert_eq!(served.request(Method::DELETE, &format!("/memory/{id}")).await.status, 204);
    assert!(around(&served, "Ada").await.is_empty());
    let metrics = served.get("/metrics").await.text;
    assert!(metrics.contains("l9_relations_taken_total 2"), "{metrics}");
}

/// Answers by what the entry says.
async fn model() -> Provider {
    let answer = |body: &Value| {
        let asked = body["messages"].to_string();
        let stated = |object: &str| {
            json!({"relations": [
                {"subject": "Ada", "predicate": "consults for", "object": object},
                {"subject": "Ada", "predicate": "consults for", "object": "Nowhere Inc"},
            ]})
        };
        let (words, finish) = match asked.as_str() {
            asked if asked.contains("Acme") => (format!("```json\n{}\n```", stated("Acme")), "stop"),
            asked if asked.contains("nonsense") => ("I would rather not.".to_owned(), "stop"),
            asked if asked.contains("cut off") => (r#"{"relations": [{"subject": "Ada""#.to_owned(), "length"),
            _ => (stated("Globex").to_string(), "stop"),
        };
        vec![
            json!({"delta": {"content": words}, "finish_reason": null}),
            json!({"delta": {"content": ""}, "finish_reason": finish}),
        ]
    };
    Provider::answering(answer, Duration::ZERO).await
}

fn prepare(data: &Path) {
    std::fs::create_dir(data.join("agents")).unwrap();
    let profile = "id: reader\nmodel: openai/test-1\ninstructions: Answer with relations in JSON.\n";
    std::fs::write(data.join("agents/reader.yaml"), profile).unwrap();
}

#[tokio::test]
async fn an_agent_reads_by_governed_runs_and_a_rude_model_is_asked_once() {
    let provider = model().await;
    let mut environment = provider.environment().to_vec();
    environment.extend([("L9__MEMORY__RELATIONS", "agent"), ("L9__MEMORY__RELATIONS_AGENT", "reader")]);
    let mut served = Served::start_with(&environment, prepare).await;
    let text = "Ada has consulted for Acme since May.";
    let id = keep(&served, json!({"text": text, "labels": {"untrusted": ["mail"]}})).await;
    reader(&served, "agent/reader/1: 1 memories were read, 1 relations taken from them, 0 wait").await;
    let found = around(&served, "Ada").await;
    assert_eq!(found.len(), 1, "what the text does not name is left out: {found:?}");
    assert_eq!((&found[0]["object"], &found[0]["derived_from"]), (&json!("Acme"), &json!([id])));
    let taken = served.get(&format!("/memory/{}", found[0]["id"].as_str().unwrap())).await.json();
    assert!(taken["labels"]["untrusted"].as_array().unwrap().contains(&json!("mail")), "{taken}");
    // It was a run as any other.
    let runs = served.get("/runs").await.json();
    let runs = runs["runs"].as_array().unwrap_or_else(|| panic!("{runs}"));
    assert_eq!(runs.len(), 1, "{runs:?}");
    let run = served.get(&format!("/runs/{}/events", runs[0]["run_id"].as_str().unwrap())).await.text;
    assert!(run.contains("\"effect.intent\"") && run.contains("mail"), "{run}");

    keep(&served, json!({"text": "Ada speaks nonsense."})).await;
    keep(&served, json!({"text": "Ada was cut off."})).await;
    let health = reader(&served, "3 memories were read").await;
    let said = health["detail"].as_str().unwrap();
    assert!(said.contains("2 could not be read, such as memory ") && said.contains("run "), "{health}");
    assert_eq!(health["status"], "ok");
    let asked = provider.asked().len();
    pause(2_500).await;
    assert_eq!(provider.asked().len(), asked, "nobody is asked again");

    // A stop pauses it; what waits is read after it, also by another process.
    served.post("/stop", &json!({"reason": "drill"})).await;
    keep(&served, json!({"text": "Ada has consulted for Globex."})).await;
    let health = reader(&served, "is stopped").await;
    assert_eq!(health["status"], "stale", "{health}");
    assert_eq!(provider.asked().len(), asked);
    served.terminate();
    served.ended().await;
    let again = Served::start_over(&environment, served.data.path()).await;
    again.post("/unstop", &json!({"reason": "over"})).await;
    reader(&again, "4 memories were read").await;
    assert_eq!(around(&again, "Ada").await.len(), 2);
    assert_eq!(provider.asked().len(), asked + 1);
}

#[tokio::test]
async fn an_agent_that_is_not_there_is_named_and_nothing_else_stops() {
    let environment = [("L9__MEMORY__RELATIONS", "agent"), ("L9__MEMORY__RELATIONS_AGENT", "nobody")];
    let served = Served::start_with(&environment, |_| {}).await;
    keep(&served, json!({"text": "Ada works at Acme."})).await;
    let health = reader(&served, "nobody").await;
    assert!(health["detail"].as_str().unwrap().contains("1 wait"), "{health}");
    assert_eq!(served.get("/health").await.status, 200);
}
