//! What stands before the routes: where it may listen, origins, what anybody sees, and
//! that no token is told.

use reqwest::Method;
use serde_json::json;

use crate::callers::{Caller, SECRET, guarded, token};
use crate::support::Served;

#[tokio::test]
async fn whoever_is_not_known_sees_the_state_alone() {
    let served = guarded(&[], |_| {}).await;
    let viewer = Caller::new(&served, "acme", "viewer");
    let health = served.get("/health").await;
    assert_eq!((health.status.as_u16(), health.json()["status"].as_str()), (200, Some("ok")));
    assert!(health.json().get("components").is_none(), "{health:?}");
    assert!(viewer.get("/health").await.json()["components"]["store"].is_object());
    assert!(!served.get("/").await.text.contains("researcher"));
    assert!(viewer.get("/").await.text.contains("researcher"));
    assert_eq!(served.get("/metrics").await.status, 200, "asked on this machine");
    for header in ["x-forwarded-for", "forwarded", "via", "x-real-ip"] {
        let asked = |token: Option<&str>| {
            let request = served.client().get(served.url("/metrics")).header(header, "x");
            served.send(token.into_iter().fold(request, |request, token| request.bearer_auth(token)))
        };
        asked(None).await.problem(401, "unauthenticated");
        assert_eq!(asked(Some(&viewer.token)).await.status, 200);
    }
    let metrics = served.get("/metrics").await.text;
    assert!(!metrics.contains("person:"), "{metrics}");
}

#[tokio::test]
async fn it_listens_to_others_only_with_authentication() {
    let served = guarded(&[("L9__SERVER__HOST", "0.0.0.0")], |_| {}).await;
    let port = served.address.rsplit_once(':').unwrap().1.to_owned();
    let token = token("acme", "person:ada", "viewer");
    // Any name will do: it is the token that counts.
    let named = served.client().get(served.url("/runs")).header("host", format!("l9.example:{port}"));
    assert_eq!(served.send(named.bearer_auth(&token)).await.status, 200);
    served.get("/metrics").await.problem(401, "unauthenticated");
    let bare = std::process::Command::new(env!("CARGO_BIN_EXE_l9-server"))
        .args(["serve", "--host", "0.0.0.0", "--port", "0"])
        .current_dir(served.data.path())
        .env_clear()
        .output()
        .unwrap();
    assert_eq!(bare.status.code(), Some(2));
    let said = String::from_utf8_lossy(&bare.stderr).into_owned();
    assert!(said.contains("others can reach") && said.contains("JWT_SECRET"), "{said}");
}

#[tokio::test]
async fn pages_of_listed_origins_may_ask_and_others_may_not() {
    let served = guarded(&[("CORS_ORIGINS", "https://console.example, http://localhost:3000")], |_| {}).await;
    let token = token("acme", "person:ada", "viewer");
    let from = |method: Method, origin: &'static str| {
        served.client().request(method, served.url("/runs")).header("origin", origin)
    };
    let asked = from(Method::OPTIONS, "https://console.example").header("access-control-request-method", "POST");
    let preflight = served.send(asked).await;
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.headers["access-control-allow-origin"], "https://console.example");
    assert!(preflight.headers["access-control-allow-headers"].to_str().unwrap().contains("authorization"));
    let answer = served.send(from(Method::GET, "https://console.example").bearer_auth(&token)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["access-control-allow-origin"], "https://console.example");
    assert_eq!(answer.headers["vary"], "origin");
    assert!(!answer.headers.contains_key("access-control-allow-credentials"));
    // A page reads why it was refused.
    let refused = served.send(from(Method::GET, "http://localhost:3000")).await;
    refused.problem(401, "unauthenticated");
    assert_eq!(refused.headers["access-control-allow-origin"], "http://localhost:3000");
    for origin in ["https://evil.example", "null", "https://console.example.evil.example"] {
        for request in [
            from(Method::GET, origin).bearer_auth(&token),
            from(Method::OPTIONS, origin).header("access-control-request-method", "POST"),
        ] {
            let answer = served.send(request).await;
            answer.problem(403, "origin");
            assert!(!answer.headers.contains_key("access-control-allow-origin"), "{origin}");
        }
    }
    // Its own pages, also behind a proxy that ends TLS.
    let own =
        served.client().post(served.url("/memory")).header("host", "l9.example").header("origin", "https://l9.example");
    served.send(own).await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn tokens_and_the_secret_are_never_told() {
    let served = guarded(&[("LOG_LEVEL", "trace"), ("LOG_FORMAT", "json")], |_| {}).await;
    let operator = Caller::new(&served, "acme", "operator");
    operator.start("k", true).await;
    operator.socket().await.say(&json!({"type": "ping"})).await;
    let forged = format!("{}A", operator.token);
    let eve = Caller { served: &served, token: forged.clone() };
    let refused = eve.get("/runs").await;
    let two = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    let answer = two.get(served.url("/runs")).bearer_auth(&operator.token).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, reqwest::Version::HTTP_2));
    let log = served.log();
    assert!(log.contains("credentials were refused") && log.contains("person:operator"));
    let metrics = served.get("/metrics").await.text;
    assert!(metrics.contains("l9_authentication_refusals_total{reason=\"signature\"} 1"), "{metrics}");
    for text in [&log, &refused.text, &metrics] {
        for secret in [operator.token.as_str(), forged.as_str(), SECRET] {
            let signature = secret.rsplit('.').next().unwrap();
            assert!(!text.contains(signature), "a token is told");
        }
    }
}

#[tokio::test]
async fn without_authentication_nothing_has_changed() {
    let served = Served::start_with(&[("CORS_ORIGINS", "http://localhost:3000")], |_| {}).await;
    // Whatever a client brings, everybody is the local principal.
    let brought = served.client().get(served.url("/runs")).bearer_auth("nonsense");
    assert_eq!(served.send(brought).await.status, 200);
    assert!(served.get("/health").await.json()["components"]["store"].is_object());
    let page = served.client().get(served.url("/runs")).header("origin", "http://localhost:3000");
    let answer = served.send(page).await;
    assert_eq!(answer.headers["access-control-allow-origin"], "http://localhost:3000");
    let evil = served.client().get(served.url("/runs")).header("origin", "http://evil.example");
    served.send(evil).await.problem(403, "origin");
    let host = served.client().get(served.url("/runs")).header("host", "l9.example");
    served.send(host).await.problem(403, "host");
}
