//! Memories found by meaning, through the real binary: a real model in a folder, made known by
//! `/health`, `explain` and `doctor`.

mod support;

use l9_services::sentence_model;
use serde_json::{Value, json};
use support::{Served, pause};

#[tokio::test]
async fn a_paraphrase_is_found_once_the_entry_has_its_vector() {
    let folder = sentence_model();
    let environment = [
        ("L9__MEMORY__EMBEDDER", "local"),
        ("L9__MEMORY__MODEL_DIR", folder.to_str().unwrap()),
        ("L9__MEMORY__EMBEDDING_QUERY_MS", "20000"),
    ];
    let served = Served::start_with(&environment, |_| {}).await;
    for text in ["Refunds are paid within a week.", "The harbour was dredged in May.", "Kestrels hover over fields."] {
        assert_eq!(served.post("/memory", &json!({"text": text})).await.status, 201);
    }
    let mut health = Value::Null;
    for _ in 0..400 {
        health = served.get("/health").await.json()["components"]["embedder"].clone();
        if health["detail"].as_str().is_some_and(|detail| detail.contains("3 memories have vectors, 0 wait")) {
            break;
        }
        pause(50).await;
    }
    assert_eq!(health["status"], "ok", "{health}");
    assert!(health["detail"].as_str().unwrap().starts_with("model/384/"), "{health}");
    let found = served.get("/memory/search?q=how+do+I+get+my+money+back&k=1&explain=true").await;
    let hit = &found.json()["results"][0];
    assert_eq!(hit["text"], "Refunds are paid within a week.", "{}", found.text);
    assert_eq!((hit["why"]["words"].as_array().map(Vec::len), &hit["why"]["meaning"]), (Some(0), &json!(1.0)));
    let metrics = served.get("/metrics").await.text;
    assert!(metrics.contains("l9_embedding_vectors_total 3"), "{metrics}");
}

#[tokio::test]
async fn a_server_that_is_away_takes_nothing_with_it() {
    let environment = [
        ("L9__MEMORY__EMBEDDER", "openai"),
        // A port on which nobody answers.
        ("L9__MEMORY__EMBEDDING_BASE_URL", "http://127.0.0.1:9/v1"),
        ("L9__MEMORY__EMBEDDING_QUERY_MS", "100"),
    ];
    let served = Served::start_with(&environment, |_| {}).await;
    assert_eq!(served.post("/memory", &json!({"text": "Kestrels hover."})).await.status, 201);
    let found = served.get("/memory/search?q=kestrel&explain=true").await;
    let why = &found.json()["results"][0]["why"];
    assert!(why["meaning"].is_null() && why["meaning_failed"].is_string(), "{}", found.text);
    let mut health = Value::Null;
    for _ in 0..400 {
        health = served.get("/health").await.json()["components"]["embedder"].clone();
        if health["status"] == "stale" {
            break;
        }
        pause(50).await;
    }
    assert!(health["detail"].as_str().is_some_and(|detail| detail.contains("127.0.0.1:9")), "{health}");
    assert_eq!(served.get("/health").await.status, 200);
}
