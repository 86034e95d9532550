//! How often somebody may ask: requests and messages by sender, effects by principal.

use reqwest::Method;
use serde_json::json;

use crate::callers::{Caller, guarded, token};

/// The metric's value for a limit.
fn limited(metrics: &str, limit: &str) -> u64 {
    let sample = format!("l9_rate_limited_total{{limit=\"{limit}\"}} ");
    metrics.lines().find_map(|line| line.strip_prefix(&sample)).map_or(0, |value| value.parse().unwrap())
}

#[tokio::test]
async fn requests_over_the_limit_of_their_sender_are_refused_and_say_when_to_come_back() {
    let served = guarded(&[("L9__RATES__REQUESTS", "20")], |_| {}).await;
    let ada = Caller { served: &served, token: token("acme", "person:ada", "viewer") };
    // Another token of the same person is no other sender.
    let again = Caller { served: &served, token: token("acme", "person:ada", "operator") };
    let burst = (0..100).map(|at| if at % 2 == 0 { ada.get("/runs") } else { again.get("/nothing") });
    let answers = futures_util::future::join_all(burst).await;
    let (refused, let_in): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 429);
    assert_eq!((let_in.len(), refused.len()), (20, 80));
    for answer in refused {
        let detail = answer.problem(429, "rate_limited");
        assert!(detail.contains("20 requests and messages a minute (rates.requests)"), "{detail}");
        let seconds: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=62).contains(&seconds) && detail.contains(&format!("wait {seconds} s")), "{detail}");
    }

    // What looks after the server is let in, whoever it is.
    for path in ["/livez", "/readyz", "/health", "/metrics"] {
        for _ in 0..30 {
            assert_eq!(ada.get(path).await.status, 200, "{path}");
        }
    }
    // Others have limits of their own, and so has everybody without a token.
    for (tenant, subject) in [("acme", "person:bob"), ("other", "person:ada")] {
        let other = Caller { served: &served, token: token(tenant, subject, "viewer") };
        assert_eq!(other.get("/runs").await.status, 200, "{tenant} {subject}");
    }
    let mut statuses = Vec::new();
    for at in 0..30 {
        let stranger = served.client().request(Method::GET, served.url("/runs"));
        let forged = stranger.try_clone().unwrap().bearer_auth(format!("{}x", ada.token));
        statuses.push(served.send(if at % 2 == 0 { stranger } else { forged }).await.status.as_u16());
    }
    assert_eq!((statuses[19], statuses[20]), (401, 429), "{statuses:?}");
    assert_eq!(limited(&ada.get("/metrics").await.text, "requests"), 80 + 10);
}

#[tokio::test]
async fn messages_of_sockets_count_with_requests_and_the_connection_stays() {
    let served = guarded(&[("L9__RATES__REQUESTS", "12")], |_| {}).await;
    let ada = Caller { served: &served, token: token("acme", "person:ada", "operator") };
    // Each handshake counts as well.
    let mut sockets = [ada.socket().await, ada.socket().await];
    for at in 0..10 {
        let socket = &mut sockets[at % 2];
        socket.say(&json!({"type": "ping", "id": format!("p{at}")})).await;
        assert_eq!(socket.hear().await["type"], "pong");
    }
    let execute = json!({"type": "agent.execute", "agent_id": "researcher", "input": "x", "id": "over"});
    for frame in [json!({"type": "ping", "id": "over"}), execute, json!({"type": "nonsense", "id": "over"})] {
        for socket in &mut sockets {
            socket.say(&frame).await;
            let error = socket.hear().await;
            assert_eq!((&error["type"], &error["id"]), (&json!("error"), &json!("over")), "{error}");
            assert_eq!(error["problem"], "urn:l9:error:rate_limited");
            assert!(error["detail"].as_str().unwrap().contains("12 requests and messages a minute"), "{error}");
        }
    }
    ada.get("/runs").await.problem(429, "rate_limited");
    let bob = Caller { served: &served, token: token("acme", "person:bob", "viewer") };
    assert_eq!(bob.get("/runs").await.json()["runs"], json!([]), "nothing of it was carried out");

    // A flood still ends the connection.
    for _ in 0..1_000 {
        use futures_util::SinkExt as _;
        let frame = tokio_tungstenite::tungstenite::Message::text(r#"{"type":"ping"}"#);
        if sockets[0].socket.send(frame).await.is_err() {
            break;
        }
    }
    assert_eq!(sockets[0].closed().await, Some(1008));
}

#[tokio::test]
async fn effects_of_one_principal_are_limited_and_the_metric_says_by_what() {
    let served = guarded(&[("L9__RATES__PER_PRINCIPAL", "3")], |_| {}).await;
    let (ada, bob) = (
        Caller { served: &served, token: token("acme", "person:ada", "operator") },
        Caller { served: &served, token: token("acme", "person:bob", "operator") },
    );
    let search =
        async |who: &Caller<'_>| who.post("/tools/memory/search/call", &json!({"arguments": {"query": "x"}})).await;
    for _ in 0..3 {
        assert_eq!(search(&ada).await.status, 200);
    }
    let refused = search(&ada).await;
    assert!(refused.problem(403, "denied").contains("person:ada may have 3 effects a minute"));
    assert_eq!(refused.json()["code"], "rate_limited");
    // Nor by another name of the tool, nor by an agent.
    assert_eq!(ada.post("/tools/memory%2Fsearch/call", &json!({"arguments": {"query": "x"}})).await.status, 403);
    let asked = ada.post("/agents/researcher/runs", &json!({"input": "What is what?", "wait": true})).await;
    assert_eq!(asked.json()["code"], "denied.rate_limited");
    assert_eq!(search(&bob).await.status, 200);
    assert!(limited(&bob.get("/metrics").await.text, "principal") >= 3);
}

#[tokio::test]
async fn a_deployment_that_others_reach_limits_requests_by_itself() {
    let served = guarded(&[("DEPLOYMENT_ENV", "staging"), ("L9__RATES__PER_TENANT", "0")], |_| {}).await;
    let ada = Caller { served: &served, token: token("acme", "person:ada", "viewer") };
    let mut asked = 0;
    while ada.get("/nothing").await.status != 429 {
        asked += 1;
        assert!(asked <= 1_200, "it never ends");
    }
    assert_eq!(asked, 1_200);
}
