//! Who may stop whom, over HTTP.

use serde_json::json;

use crate::callers::{Caller, guarded, token};
use crate::support::Served;

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

/// A server whose policies are the defaults and another.
async fn under(policy: &str) -> Served {
    guarded(&[], |data| {
        std::fs::create_dir(data.join("policies")).unwrap();
        std::fs::write(data.join("policies/default.cedar"), defaults()).unwrap();
        std::fs::write(data.join("policies/own.cedar"), policy).unwrap();
    })
    .await
}

/// The policies that come with L9.
fn defaults() -> String {
    let printed = std::process::Command::new(env!("CARGO_BIN_EXE_l9-server"))
        .args(["policy", "defaults", "--profile", "staging"])
        .current_dir(std::env::temp_dir())
        .output()
        .unwrap();
    assert!(printed.status.success(), "{printed:?}");
    String::from_utf8(printed.stdout).unwrap()
}

fn admin<'a>(served: &'a Served, subject: &str) -> Caller<'a> {
    Caller { served, token: token("acme", subject, "admin") }
}

#[tokio::test]
async fn a_policy_that_forbids_one_person_to_lift_a_stop_is_obeyed() {
    let served = under(
        r#"@id("not-eve") @reason("somebody else decides whether all goes on")
        forbid (principal == L9::Person::"eve", action == L9::Action::"Administer", resource)
        when { context.operation == L9::Operation::"unstop" };"#,
    )
    .await;
    let (eve, ada) = (admin(&served, "person:eve"), admin(&served, "person:ada"));
    eve.post("/stop", &json!({"reason": "it mails everybody"})).await.json();
    let refused = eve.post("/unstop", &json!({"reason": "it is all right"})).await.problem(403, "denied");
    assert!(refused.contains("person:eve") && refused.contains("not-eve: somebody else decides"), "{refused}");
    assert_eq!(ada.get("/stop").await.json()["stops"][0]["by"], "person:eve", "it stands");
    let lifted = ada.post("/unstop", &json!({"reason": "mended"})).await.json();
    assert_eq!(lifted["lifted"]["by"], "person:eve");
}

#[tokio::test]
async fn no_policy_that_is_missing_too_wide_or_broken_stands_in_the_way_of_a_stop() {
    // It permits nothing that has to do with the system, forbids everything, and overflows.
    let served = guarded(&[], |data| {
        std::fs::create_dir(data.join("policies")).unwrap();
        let own = r#"
            @id("all") forbid (principal, action, resource);
            @id("overflows") forbid (principal, action == L9::Action::"Administer", resource)
            when { 9223372036854775807 + 1 > 0 };"#;
        std::fs::write(data.join("policies/own.cedar"), own).unwrap();
    })
    .await;
    let operator = Caller::new(&served, "acme", "operator");
    let stopped = operator.post("/stop", &json!({"reason": "it mails everybody"})).await.json();
    assert_eq!(stopped["held"], 0);
    admin(&served, "person:ada").post("/unstop", &json!({"reason": "mended"})).await.problem(403, "denied");

    // One that was written for it is obeyed.
    let served = under(
        r#"@id("people") @reason("programs do not stop people's work")
        forbid (principal is L9::Service, action == L9::Action::"Administer", resource)
        when { context.operation == L9::Operation::"stop" };"#,
    )
    .await;
    let robot = Caller { served: &served, token: token("acme", "service:ci", "operator") };
    let refused = robot.post("/stop", &json!({"reason": "red"})).await.problem(403, "denied");
    assert!(refused.contains("programs do not stop"), "{refused}");
    Caller::new(&served, "acme", "operator").post("/stop", &json!({"reason": "mine"})).await.json();
}

#[tokio::test]
async fn health_tells_viewers_of_the_stops_that_hold_their_tenant_and_nobody_else() {
    let served = guarded(&[], |_| {}).await;
    let (ada, other) = (admin(&served, "person:ada"), Caller::new(&served, "other", "viewer"));
    let stop = async |who: &Caller<'_>| {
        let health = who.get("/health").await;
        // It was told to: whoever balances loads must not take it for broken.
        assert_eq!((health.status.as_u16(), &health.json()["status"]), (200, &json!("ok")));
        let stop = health.json()["components"]["stop"].clone();
        (stop["status"].as_str().unwrap().to_owned(), stop["detail"].as_str().unwrap().to_owned())
    };
    let none = ("ok".to_owned(), "none stands".to_owned());
    assert_eq!(stop(&ada).await, none);

    let since = ada.post("/stop", &json!({"reason": "it mails everybody"})).await.json()["stop"]["at"].clone();
    let (status, detail) = stop(&ada).await;
    let since = since.as_str().unwrap();
    assert_eq!(status, "stopped");
    assert_eq!(detail, format!("tenant acme, by person:ada since {since}: it mails everybody"));
    assert_eq!(stop(&other).await, none, "another tenant's stop is not told");

    let all = Caller::new(&served, "default", "admin");
    all.post("/stop", &json!({"tenant": "*", "reason": "everything"})).await.json();
    let (status, detail) = stop(&other).await;
    assert_eq!(status, "stopped");
    assert!(detail.starts_with("all tenants, by person:admin since ") && detail.ends_with(": everything"), "{detail}");
    assert!(stop(&ada).await.1.contains("it mails everybody"), "both are told");

    let forged = Caller { served: &served, token: format!("{}x", ada.token) };
    // Somebody without a token, or with none that counts, hears of no stop.
    for answer in [served.get("/health").await, forged.get("/health").await] {
        assert_eq!(answer.status, 200);
        for word in ["stop", "acme", "person:", "everybody", "everything"] {
            assert!(!answer.text.contains(word), "{answer:?}");
        }
    }

    ada.post("/unstop", &json!({"reason": "mended"})).await.json();
    all.post("/unstop", &json!({"tenant": "*", "reason": "mended"})).await.json();
    assert_eq!(stop(&ada).await, none);
}
