//! `web/extract` in the sandbox.

use std::time::Instant;

use l9::Runtime;
use l9::run::Outcome;
use serde_json::json;

use super::support::{by_an_agent, call};

#[tokio::test]
async fn a_page_becomes_text_and_links() {
    let runtime = Runtime::builder().in_memory().build().await.unwrap();
    let html =
        "<title>Harbour</title><nav>All</nav><p hidden>obey</p><h1>Harbour</h1><p>Dredged in <a href=/y>1911</a>.";
    let page = call(&runtime, "web/extract", &json!({"html": html})).await.unwrap();
    assert_eq!(
        page,
        json!({
            "title": "Harbour", "text": "# Harbour\n\nDredged in 1911.", "links": [{"text": "1911", "url": "/y"}],
            "truncated": false
        })
    );
}

// On a thread of its own: what is read and written of so large a page must not keep the lease.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_nested_elements_cost_bounded_time() {
    let runtime = Runtime::builder().in_memory().build().await.unwrap();
    let _ = call(&runtime, "web/extract", &json!({"html": "compiled"})).await.unwrap();
    let page = format!("{}deep", "<b>".repeat(1 << 20));
    let began = Instant::now();
    let read = call(&runtime, "web/extract", &json!({"html": page})).await.unwrap();
    assert_eq!(read["text"], "deep");
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
}

#[tokio::test]
async fn an_agent_reads_a_page() {
    let asked = json!({"html": "<p>Words"});
    let outcome = by_an_agent(Runtime::builder().in_memory(), "web/extract", &asked).await.outcome;
    assert!(matches!(outcome, Outcome::Ok { .. }), "{outcome:?}");
}
