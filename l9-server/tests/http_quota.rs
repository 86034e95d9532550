//! Quotas of memory by HTTP: what is beyond one is refused whole, whichever way it comes in.

mod support;

use http::Method;
use serde_json::{Value, json};
use support::Served;

const BOUNDS: &[(&str, &str)] = &[
    ("L9__MEMORY__QUOTA__TENANT_ENTRIES", "5"),
    ("L9__MEMORY__QUOTA__AGENT_ENTRIES", "2"),
    ("L9__MEMORY__QUOTA__TENANT_BYTES", "1000000"),
];

fn entries(texts: &[&str]) -> Value {
    texts.iter().map(|text| json!({"text": text, "agent": "researcher"})).collect()
}

#[tokio::test]
async fn what_is_beyond_a_quota_is_refused_whole_and_forgetting_makes_room() {
    let served = Served::start_with(BOUNDS, |_| {}).await;
    let detail = served.post("/memory", &entries(&["one", "two", "three"])).await.problem(429, "exhausted");
    for named in ["agent researcher has 0 of at most 2 entries", "adds 3", "memory.quota.agent_entries"] {
        assert!(detail.contains(named), "{detail}");
    }
    let usage = served.get("/memory/usage?agent=researcher").await.json();
    assert_eq!(usage["tenant"]["entries"], 0, "nothing of it is kept: {usage}");
    let kept = served.post("/memory", &entries(&["one", "two"])).await.json();
    assert_eq!(served.post("/memory", &entries(&["one", "two"])).await.status, 200, "what is known adds nothing");
    served.post("/memory", &json!({"text": "three", "agent": "researcher"})).await.problem(429, "exhausted");
    assert_eq!(served.post("/memory", &json!([{"text": "a"}, {"text": "b"}, {"text": "c"}])).await.status, 201);
    let detail = served.post("/memory", &json!({"text": "d"})).await.problem(429, "exhausted");
    assert!(detail.contains("the tenant has 5 of at most 5 entries"), "{detail}");
    let usage = served.get("/memory/usage?agent=researcher").await.json();
    assert_eq!((&usage["tenant"]["entries"], &usage["tenant"]["most_entries"]), (&json!(5), &json!(5)));
    assert_eq!((&usage["agent"]["entries"], &usage["agent"]["most_bytes"]), (&json!(2), &Value::Null));
    assert!(usage["tenant"]["bytes"].as_u64() > usage["agent"]["bytes"].as_u64(), "{usage}");
    // The tool that agents remember with keeps to it, too.
    let call = json!({"arguments": {"text": "what an agent remembers"}, "wait": 60000});
    let called = served.post("/tools/memory%2Fremember/call", &call).await;
    assert!(called.text.contains("memory.quota.tenant_entries"), "{called:?}");
    let metrics = served.get("/metrics").await;
    assert!(metrics.text.contains("\nl9_memory_entries 5\n"));
    let id = kept["results"][0]["id"].as_str().expect("an id");
    assert_eq!(served.request(Method::DELETE, &format!("/memory/{id}")).await.status, 204);
    assert_eq!(served.post("/memory", &json!({"text": "d"})).await.status, 201);
    served.get("/memory/usage?agent=Not%20One").await.problem(400, "invalid");
}
