//! WebSockets and event streams: credentials at the handshake, a role for each frame, the
//! end of a token.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::callers::{Caller, connect, guarded, mint, token};
use crate::support::provider::Provider;
use crate::support::{Socket, pause};

const UNKNOWN: &str = "01890000-0000-7000-8000-000000000000";

#[tokio::test]
async fn a_socket_needs_a_token_at_its_handshake() {
    let served = guarded(&[], |_| {}).await;
    let token = token("acme", "person:ada", "viewer");
    let bearer = format!("Bearer {token}");
    for headers in [
        vec![],
        vec![("sec-websocket-protocol", "l9".to_owned())],
        vec![("sec-websocket-protocol", format!("l9, bearer.{token}x"))],
        vec![("cookie", format!("token={token}"))],
        vec![("authorization", bearer.clone()), ("sec-websocket-protocol", format!("l9, bearer.{token}"))],
        vec![("authorization", bearer.clone()), ("authorization", bearer.clone())],
    ] {
        let borrowed: Vec<(&'static str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(connect(&served, &borrowed).await.err(), Some(401), "{headers:?}");
    }
    let in_address = served.get(&format!("/ws?token={token}&access_token={token}")).await;
    in_address.problem(401, "unauthenticated");
    let (mut socket, response) = connect(&served, &[("authorization", &bearer)]).await.ok().unwrap();
    assert!(!response.headers().contains_key("sec-websocket-protocol"));
    socket.say(&json!({"type": "ping"})).await;
    assert_eq!(socket.hear().await["type"], "pong");
    // The answered protocol is never the one with the token in it.
    let viewer = Caller { served: &served, token };
    viewer.socket().await;
}

async fn problem(socket: &mut Socket, frame: serde_json::Value) -> (String, String) {
    socket.say(&frame).await;
    let error = socket.hear().await;
    assert_eq!(error["type"], "error", "{error}");
    (error["problem"].as_str().unwrap().to_owned(), error["detail"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn every_frame_needs_its_role() {
    let served = guarded(&[], |_| {}).await;
    let execute = json!({"type": "agent.execute", "agent_id": "researcher", "input": "x"});
    let decide =
        json!({"type": "approval.decide", "approval_id": format!("{UNKNOWN}.1"), "decision": "reject", "reason": "x"});
    let mut operations = vec![execute];
    for kind in ["run.cancel", "run.pause", "run.resume"] {
        operations.push(json!({"type": kind, "run_id": UNKNOWN}));
    }
    operations.push(json!({"type": "run.signal", "run_id": UNKNOWN, "name": "go"}));
    for (role, refused, needed) in [
        ("viewer", &operations, "operator"),
        ("approver", &operations, "operator"),
        ("viewer", &vec![decide.clone()], "approver"),
        ("operator", &vec![decide], "approver"),
    ] {
        let mut socket = Caller::new(&served, "acme", role).socket().await;
        for frame in refused {
            let (kind, detail) = problem(&mut socket, frame.clone()).await;
            assert_eq!(kind, "urn:l9:error:role", "{role}: {frame}");
            assert!(detail.contains(&format!("the role {needed}")), "{detail}");
        }
        socket.say(&json!({"type": "memory.search", "q": "x"})).await;
        assert_eq!(socket.hear().await["type"], "memory.results");
    }
    assert!(Caller::new(&served, "acme", "viewer").get("/runs").await.json()["runs"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn a_socket_hears_nothing_of_another_tenant() {
    let provider = Provider::start(&["secret ", "words"], Duration::from_millis(300)).await;
    let served = guarded(&provider.environment(), Provider::prepare).await;
    let (acme, other) = (Caller::new(&served, "acme", "operator"), Caller::new(&served, "other", "admin"));
    let mut spy = other.socket().await;
    let mut socket = acme.socket().await;
    socket.say(&json!({"type": "agent.execute", "agent_id": "talker", "input": "talk"})).await;
    let run = socket.hear().await["run_id"].as_str().unwrap().to_owned();
    for (kind, further) in [
        ("run.subscribe", json!({})),
        ("run.cancel", json!({})),
        ("run.pause", json!({})),
        ("run.signal", json!({"name": "go"})),
        ("approval.decide", json!({"decision": "reject", "reason": "x"})),
    ] {
        let frame = |id: &str| {
            let mut frame = further.clone();
            frame["type"] = json!(kind);
            let named = kind == "approval.decide";
            frame[if named { "approval_id" } else { "run_id" }] =
                json!(if named { format!("{id}.1") } else { id.to_owned() });
            frame
        };
        let (foreign, unknown) = (problem(&mut spy, frame(&run)).await, problem(&mut spy, frame(UNKNOWN)).await);
        assert_eq!(foreign.0, "urn:l9:error:not_found", "{kind}");
        assert_eq!((foreign.0, foreign.1.replace(&run, UNKNOWN)), unknown, "{kind}");
    }
    let frames = socket.hear_until("run.closed").await;
    assert_eq!(frames.last().unwrap()["answer"], "secret words");
    spy.say(&json!({"type": "ping"})).await;
    assert_eq!(spy.hear().await["type"], "pong", "no event and no delta came before");
}

#[tokio::test]
async fn streams_and_sockets_end_with_their_token() {
    let provider = Provider::start(&["one ", "two ", "three ", "four"], Duration::from_millis(1_500)).await;
    let served = guarded(&provider.environment(), Provider::prepare).await;
    let operator = Caller::new(&served, "acme", "operator");
    let started = operator.post("/agents/talker/runs", &json!({"input": "talk"})).await.json();
    let run = started["run_id"].as_str().unwrap();
    let short = mint(&["--tenant", "acme", "--subject", "person:ada", "--role", "viewer", "--ttl", "3s"]);
    let viewer = Caller { served: &served, token: short };
    let mut socket = viewer.socket().await;
    socket.say(&json!({"type": "run.subscribe", "run_id": run})).await;
    let stream = viewer.request(Method::GET, &format!("/runs/{run}/events")).header("accept", "text/event-stream");
    let stream = tokio::spawn(stream.send());
    assert_eq!(socket.closed().await, Some(1008));
    let streamed = stream.await.unwrap().unwrap().text().await.unwrap();
    assert!(streamed.contains("run.created") && !streamed.contains("run.closed"), "it was cut: {streamed}");
    pause(100).await;
    viewer.get("/runs").await.problem(401, "unauthenticated");
    operator.post(&format!("/runs/{run}/cancel"), &json!({"reason": "enough"})).await;
}
