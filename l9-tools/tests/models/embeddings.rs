//! The embeddings client against a provider without manners.

use std::sync::Arc;
use std::time::Duration;

use l9_core::ErrorKind;
use l9_core::memory::Embedder as _;
use l9_core::time::{Clock as _, SystemClock};
use l9_tools::egress::Gateway;
use l9_tools::models::openai::{Embeddings, EmbeddingsSettings};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::KEY;
use super::support::provider::{Act, Provider};

fn client(provider: &Provider, model: &str) -> Embeddings {
    let settings =
        EmbeddingsSettings { base_url: format!("{}/v1/", provider.url()), model: model.into(), dimensions: 2 };
    let key = SecretString::from(KEY.to_owned());
    Embeddings::new(settings, Some(&key), &Gateway::default(), Arc::new(SystemClock::default())).unwrap()
}

fn http(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}"
    )
    .into_bytes()
}

fn vectors(vectors: &Value) -> Vec<u8> {
    http(
        "200 OK",
        "",
        &json!({"object": "list", "data": vectors, "model": "m", "usage": {"total_tokens": 3}}).to_string(),
    )
}

fn two() -> Vec<u8> {
    // In another order than they were asked for.
    vectors(&json!([{"index": 1, "embedding": [0.0, 2.5]}, {"index": 0, "embedding": [1, -1e-3]}]))
}

#[tokio::test]
async fn texts_become_vectors_in_their_order() {
    let provider = Provider::start([vec![Act::Drip(two())]]).await;
    let embedder = client(&provider, "m");
    assert_eq!(embedder.embed(&["one", ""]).await.unwrap(), [[1.0, -1e-3], [0.0, 2.5]]);
    let received = provider.received();
    assert!(received[0].head.starts_with("POST /v1/embeddings HTTP/1.1"), "{}", received[0].head);
    assert_eq!(received[0].header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!(received[0].body, json!({"model": "m", "input": ["one", " "], "encoding_format": "float"}));
    let other = client(&provider, "text-embedding-3-small");
    other.embed(&["one", "two"]).await.unwrap();
    assert_eq!(provider.received()[1].body["dimensions"], 2);
    assert_ne!(embedder.space(), other.space());
    assert!(embedder.space().name().starts_with("m/2/"), "{}", embedder.space().name());
}

#[tokio::test]
async fn what_may_pass_is_asked_again_and_the_wait_is_the_far_sides() {
    let limited = http("429 Too Many Requests", "retry-after: 1\r\n", r#"{"error":{"message":"slow down"}}"#);
    let provider = Provider::start([
        vec![Act::Write(limited)],
        vec![Act::Write(http("503 Service Unavailable", "", "{}"))],
        vec![Act::Write(two())],
    ])
    .await;
    let clock = SystemClock::default();
    let before = clock.monotonic();
    client(&provider, "m").embed(&["one", "two"]).await.unwrap();
    assert!(clock.monotonic() - before >= Duration::from_millis(1900), "a second, and then our own");
    assert_eq!(provider.received().len(), 3);
}

#[tokio::test]
async fn what_stays_is_told_at_once_and_names_the_mend() {
    let long = http("429 Too Many Requests", "retry-after: 3600\r\n", "{}");
    let named = http("401 Unauthorized", "", &json!({"error": {"message": format!("no {KEY}")}}).to_string());
    for (answer, kind, says) in [
        (long, ErrorKind::Exhausted, "limits the rate"),
        (named, ErrorKind::Denied, "OPENAI_API_KEY"),
        (http("400 Bad Request", "", r#"{"error":{"message":"too long"}}"#), ErrorKind::Invalid, "too long"),
        (http("404 Not Found", "", "{}"), ErrorKind::Unavailable, "model's name"),
        (http("302 Found", "location: https://example.org/\r\n", ""), ErrorKind::Unavailable, "redirects"),
    ] {
        let provider = Provider::start([vec![Act::Write(answer)]]).await;
        let error = client(&provider, "m").embed(&["one", "two"]).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(says) && !error.to_string().contains(KEY), "{error}");
        assert_eq!(provider.received().len(), 1, "{says}");
    }
}

#[tokio::test]
async fn an_answer_that_is_none_is_never_taken_for_vectors() {
    let item = |index: usize, embedding: Value| json!({"index": index, "embedding": embedding});
    let good = || item(0, json!([1.0, 2.0]));
    let whole = String::from_utf8(two()).unwrap();
    let cases = [
        (vectors(&json!([good(), item(1, json!([1.0, 2.0, 3.0]))])), "3 dimensions instead of 2"),
        (vectors(&json!([good()])), "1 vectors for 2 texts"),
        (vectors(&json!([good(), good()])), "two of it"),
        (vectors(&json!([good(), item(7, json!([1.0, 2.0]))])), "text 7"),
        (vectors(&json!([good(), item(1, json!(["a", "b"]))])), "no answer of the embeddings wire"),
        (http("200 OK", "", "<html>"), "no answer of the embeddings wire"),
        (whole.as_bytes()[..whole.len() - 9].to_vec(), "cannot be asked"),
    ];
    let asked = cases.into_iter().map(async |(answer, says)| {
        let provider = Provider::start([vec![Act::Write(answer)]]).await;
        let error = client(&provider, "m").embed(&["one", "two"]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains(says), "{says}: {error}");
        assert!(error.to_string().contains(&provider.url()), "{error}");
        assert_eq!(provider.received().len(), 4, "it may pass");
    });
    futures_util::future::join_all(asked).await;
}
