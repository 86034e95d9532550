//! Who may stop whom, over HTTP.

use serde_json::json;

use crate::callers::{Caller, guarded};

#[tokio::test]
async fn a_tenant_stops_itself_and_only_an_admin_lets_it_go_on() {
    let served = guarded(&[], |_| {}).await;
    let (operator, admin) = (Caller::new(&served, "acme", "operator"), Caller::new(&served, "acme", "admin"));
    let other = Caller::new(&served, "other", "admin");
    operator.post("/stop", &json!({"reason": " "})).await.problem(400, "invalid");
    for tenant in ["other", "*"] {
        admin.post("/stop", &json!({"tenant": tenant, "reason": "theirs"})).await.problem(403, "denied");
    }
    let stopped = operator.post("/stop", &json!({"reason": "it mails everybody"})).await.json();
    assert_eq!(stopped["stop"]["tenant"], "acme");
    assert_eq!(stopped["stop"]["by"], "person:operator");
    assert_eq!(stopped["held"], 0);
    assert!(stopped["quiet_at"].is_string());
    assert!(stopped["statement"].as_str().unwrap().contains("/quiet\nacme\n"), "{stopped}");

    let start = operator.post("/agents/researcher/runs", &json!({"input": "x"})).await;
    assert!(start.problem(409, "conflict").contains("tenant acme is stopped"));
    assert_eq!(operator.get("/stop").await.json()["stops"][0]["reason"], "it mails everybody");
    assert_eq!(other.get("/stop").await.json()["stops"], json!([]), "nobody else's");
    other.start("goes-on", true).await;

    operator.post("/unstop", &json!({"reason": "mended"})).await.problem(403, "role");
    other.post("/unstop", &json!({"tenant": "acme", "reason": "mended"})).await.problem(403, "denied");
    let lifted = admin.post("/unstop", &json!({"reason": "mended"})).await.json();
    assert_eq!(lifted["lifted"]["reason"], "it mails everybody");
    assert!(lifted["statement"].as_str().unwrap().contains("/lifted\nacme\n"), "{lifted}");
    admin.post("/unstop", &json!({"reason": "again"})).await.problem(404, "not_found");
    operator.start("again", true).await;

    let all = Caller::new(&served, "default", "admin");
    all.post("/stop", &json!({"tenant": "*", "reason": "everything"})).await.json();
    other.post("/agents/researcher/runs", &json!({"input": "x"})).await.problem(409, "conflict");
    all.post("/unstop", &json!({"tenant": "*", "reason": "mended"})).await.json();
    other.start("and-on", true).await;
}
