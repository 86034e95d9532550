//! Who may decide about tools, over HTTP.

use serde_json::json;

use crate::callers::{Caller, guarded};

#[tokio::test]
async fn admins_of_the_default_tenant_decide_about_tools_for_all() {
    let served = guarded(&[], |_| {}).await;
    let (operator, admin) = (Caller::new(&served, "default", "operator"), Caller::new(&served, "default", "admin"));
    let other = Caller::new(&served, "acme", "admin");
    let disable = json!({"tool": "calc/evaluate", "reason": "it is checked first"});
    operator.post("/tools/disable", &disable).await.problem(403, "role");
    other.post("/tools/disable", &disable).await.problem(403, "denied");
    admin.post("/tools/disable", &json!({"tool": "calc/evaluate", "reason": " "})).await.problem(400, "invalid");
    let decided = admin.post("/tools/disable", &disable).await.json();
    assert_eq!(decided["decided"][0]["tool"], "calc/evaluate@1.0.2");
    assert!(decided["decided"][0]["statement"].as_str().unwrap().contains("/tool\ncalc/evaluate\n"), "{decided}");

    let call = json!({"arguments": {"expression": "6 * 7"}});
    let told = other.post("/tools/calc/evaluate/call", &call).await.problem(403, "denied");
    assert!(told.contains("was disabled by person:admin: it is checked first"), "{told}");
    let tools = other.get("/tools").await.json();
    let calc = tools["tools"].as_array().unwrap().iter().find(|tool| tool["id"] == "calc/evaluate").unwrap();
    assert_eq!((&calc["state"], &calc["source"]), (&json!("disabled"), &json!("program")));

    admin.post("/tools/accept", &json!({"tool": "calc/evaluate", "reason": "it is sound"})).await.json();
    let called = other.post("/tools/calc/evaluate@1.0.2/call", &call).await.json();
    assert_eq!(called["result"]["result"], "42", "{called}");
    let shown = other.get("/tools/calc/evaluate").await.json();
    assert_eq!(shown["versions"][0]["history"].as_array().unwrap().len(), 3, "{shown}");
    assert!(shown["grants"].as_array().unwrap().contains(&json!("touches nothing outside")), "{shown}");

    admin.post("/tools/revoke", &json!({"tool": "calc/evaluate@7.0.0", "reason": "x"})).await.problem(404, "not_found");
    admin.post("/tools/revoke", &json!({"tool": "calc/evaluate", "reason": "breached"})).await.json();
    let again = json!({"tool": "calc/evaluate@1.0.2", "reason": "please"});
    let told = admin.post("/tools/accept", &again).await.problem(409, "conflict");
    assert!(told.contains("was revoked by person:admin: breached"), "{told}");
}

#[tokio::test]
async fn a_manifest_is_posted_by_an_admin_and_checked_whole() {
    let served = guarded(&[], |_| {}).await;
    let admin = Caller::new(&served, "default", "admin");
    let manifest = json!({
        "schema_version": 1, "id": "notes/list", "version": "1.0.0", "title": "Notes", "description": "Lists notes.",
        "runtime": {"kind": "http", "method": "GET", "url": "https://notes.example.com/v1/notes"},
        "input_schema": {"type": "object"}, "effect": "read",
        "net": [{"scheme": "https", "host": "notes.example.com", "methods": ["GET"], "path_prefix": "/v1"}]
    });
    let with = |field: &str, value: &str| {
        let mut changed = manifest.clone();
        changed[field] = json!(value);
        json!({"manifest": changed})
    };
    let told = admin.post("/tools", &with("title", "")).await.problem(400, "invalid");
    assert!(told.contains("title: 0 characters"), "{told}");
    let told = admin.post("/tools", &with("surprise", "x")).await.problem(400, "invalid");
    assert!(told.contains("surprise"), "{told}");
    let posted = admin.post("/tools", &json!({"manifest": manifest})).await;
    assert_eq!(posted.status, 201);
    assert_eq!(posted.json()["state"], "accepted");
    assert_eq!(admin.get("/tools/notes/list").await.json()["contract_hash"], posted.json()["contract_hash"]);
    let told = admin.post("/tools", &with("description", "Lists everything.")).await.problem(409, "conflict");
    assert!(told.contains("version"), "{told}");
    let told = admin.post("/tools", &with("id", "calc/evaluate")).await.problem(409, "conflict");
    assert!(told.contains("another contract") || told.contains("built into this program"), "{told}");
    let signed = json!({"manifest": with("version", "1.0.1")["manifest"], "signature": "signed, honestly"});
    let told = admin.post("/tools", &signed).await.problem(400, "invalid");
    assert!(told.contains("signature"), "{told}");
}

#[tokio::test]
async fn a_secret_in_somebodys_own_words_is_refused_before_any_of_them_is_kept() {
    let secret = "sk-5ecret-0123456789-abcdef";
    let trace = ("LOG_LEVEL", "trace");
    let served = guarded(&[trace, ("OPENAI_API_KEY", secret)], |_| {}).await;
    let operator = Caller::new(&served, "default", "operator");
    let call = json!({"arguments": {"expression": format!("1 + {secret}")}});
    let told = operator.post("/tools/calc/evaluate/call", &call).await.problem(400, "invalid");
    assert!(told.contains("the call's arguments hold a known secret") && !told.contains(secret), "{told}");
    let input = json!({"input": format!("What is {secret}?")});
    let told = operator.post("/agents/researcher/runs", &input).await.problem(400, "invalid");
    assert!(told.contains("the input holds a known secret") && !told.contains(secret), "{told}");
    assert_eq!(operator.get("/runs").await.json()["runs"], json!([]));
    assert!(!served.log().is_empty() && !served.log().contains(secret));

    // Control: where nobody knows that it is secret, the same call is a run that shows it.
    let open = guarded(&[trace], |_| {}).await;
    let operator = Caller::new(&open, "default", "operator");
    operator.post("/tools/calc/evaluate/call", &call).await;
    let runs = operator.get("/runs").await.json();
    let run = runs["runs"][0]["run_id"].as_str().unwrap();
    assert!(operator.get(&format!("/runs/{run}/events")).await.text.contains(secret), "{runs}");
}
