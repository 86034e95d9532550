//! The border of the served binary: foreign sites, hostile bodies, slow and greedy
//! clients, correlation, and a stop that loses nothing.

mod support;

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use support::provider::Provider;
use support::{PATIENCE, Served, pause};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends bytes over a connection of its own and reads until the server closes it.
async fn raw(served: &Served, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(&served.address).await.expect("a connection");
    stream.write_all(bytes).await.expect("the bytes are taken");
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the server closes");
    read.expect("whole bytes");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn other_hosts_and_origins_are_refused() {
    let served = Served::start().await;
    let port = served.address.rsplit_once(':').unwrap().1.to_owned();
    let with =
        |name: &'static str, value: String| served.send(served.client().get(served.url("/runs")).header(name, value));
    for host in ["evil.example".to_owned(), format!("evil.example:{port}"), "127.0.0.1:1".to_owned()] {
        with("host", host).await.problem(403, "host");
    }
    assert_eq!(with("host", format!("localhost:{port}")).await.status, 200);
    for origin in ["null".to_owned(), "http://evil.example".to_owned(), format!("https://127.0.0.1:{port}")] {
        with("origin", origin).await.problem(403, "origin");
    }
    assert_eq!(with("origin", format!("http://127.0.0.1:{port}")).await.status, 200);
    let answer = served.send(served.client().request(Method::OPTIONS, served.url("/runs"))).await;
    answer.problem(405, "method_not_allowed");
    assert!(!answer.headers.contains_key("access-control-allow-origin"));
    assert!(raw(&served, b"GET /runs HTTP/1.1\r\nconnection: close\r\n\r\n").await.starts_with("HTTP/1.1 400"));
    assert!(raw(&served, b"GET /runs HTTP/1.0\r\n\r\n").await.starts_with("HTTP/1.0 400"));
}

#[tokio::test]
async fn what_cannot_be_answered_is_a_problem() {
    let served = Served::start().await;
    served.get("/nothing").await.problem(404, "not_found");
    served.get("/runs/").await.problem(404, "not_found");
    let wrong = served.request(Method::PUT, "/runs").await;
    wrong.problem(405, "method_not_allowed");
    assert_eq!(wrong.headers["allow"], "GET,HEAD");
    let picky = |path: &str, accept: &str| served.send(served.client().get(served.url(path)).header("accept", accept));
    picky("/runs", "image/png").await.problem(406, "not_acceptable");
    picky("/metrics", "application/json").await.problem(406, "not_acceptable");
    assert_eq!(picky("/runs", "text/html, */*;q=0.1").await.status, 200);
    let plain = served.client().post(served.url("/memory")).body("{\"text\":\"x\"}");
    served.send(plain).await.problem(415, "unsupported_media_type");
    let form = served.client().post(served.url("/memory")).header("content-type", "text/plain").body("{}");
    served.send(form).await.problem(415, "unsupported_media_type");
    served.get("/ws").await.problem(426, "upgrade_required");
    served.get("/runs?state=%ff").await.problem(400, "invalid");
    served.get("/agents/%ff").await.problem(400, "invalid");
}

#[tokio::test]
async fn hostile_bodies_are_measured_before_they_are_understood() {
    let served = Served::start().await;
    let send = |body: Vec<u8>| {
        let request = served.client().post(served.url("/agents/researcher/runs"));
        served.send(request.header("content-type", "application/json").body(body))
    };
    let deep = format!("{{\"input\":{}1{}}}", "[".repeat(40), "]".repeat(40));
    for (body, words) in [
        ("", "malformed JSON"),
        ("{", "malformed JSON"),
        (r#"{"input":"a","input":"b"}"#, "duplicate key"),
        (&deep, "nested deeper"),
        (r#"{"input":9007199254740993}"#, "2^53"),
        (r#"{"input":"a","budget":{"calls":1e999}}"#, "out of range"),
        (r#"{"input":"a"} {}"#, "trailing"),
        (r#"{"input":"a","colour":"red"}"#, "unknown field `colour`"),
        (r#"{"session":"s"}"#, "missing field `input`"),
        (r#"{"input":7}"#, "expected a string"),
        (r#"{"input":" "}"#, "empty"),
        (r#"{"input":"a","wait":"long"}"#, "wait is true, false or a number"),
        (r#"{"input":"a","budget":{"hours":1}}"#, "unknown field `hours` with the value 1: a budget counts micro_usd"),
        (r#"{"input":"a","budget":{"usd":5}}"#, "micro_usd in millionths of a US dollar (5 dollars are 5000000)"),
        (r#"{"input":"a","budget":{"tokens":"5"}}"#, "tokens is \"5\": write a whole number of model tokens"),
        (r#"{"input":"a","budget":{"time_ms":"5s"}}"#, "time_ms is \"5s\": write a whole number of milliseconds"),
        (r#"{"input":"a","budget":{"calls":-1}}"#, "calls is -1: write a whole number of calls"),
        (r#"{"input":"a","budget":{"micro_usd":0.5}}"#, "micro_usd is 0.5: write a whole number of millionths"),
        (r#"{"input":"a","budget":{"egress_bytes":9007199254740992}}"#, "9007199254740992 is beyond 2^53 - 1"),
        (r#"{"input":"a","budget":5}"#, "a budget, which is an object"),
        (r#"{"input":"a","session":""}"#, "session"),
        (r#""input""#, "does not fit"),
        (r#"["input"]"#, "no JSON object"),
        ("null", "no JSON object"),
    ] {
        let detail = send(body.as_bytes().to_vec()).await.problem(400, "invalid");
        assert!(detail.contains(words), "{body}: {detail}");
    }
    assert!(send(b"{\"input\":\"\xff\"}".to_vec()).await.problem(400, "invalid").contains("not UTF-8"));
    let long = json!({"input": "x".repeat(300 << 10)}).to_string();
    assert!(send(long.into_bytes()).await.problem(400, "invalid").contains("at most"));
    let large = json!({"input": "x".repeat(1 << 20)}).to_string();
    send(large.into_bytes()).await.problem(413, "too_large");
    // Without a declared length it is cut at the limit.
    let chunks = futures_util::stream::iter((0..40).map(|_| Ok::<_, std::io::Error>("x".repeat(64 << 10))));
    let request =
        served.client().post(served.url("/agents/researcher/runs")).header("content-type", "application/json");
    let answer = request.body(reqwest::Body::wrap_stream(chunks)).send().await;
    // The server may cut the connection before the client has sent the rest.
    assert!(answer.is_err() || answer.unwrap().status() == 413);
    assert_eq!(served.get("/runs").await.json()["runs"], json!([]));
}

#[tokio::test]
async fn correlation_ids_go_from_request_to_answer_and_log() {
    let served = Served::start_with(&[("LOG_LEVEL", "info")], |_| {}).await;
    let with = |name: &'static str, value: &'static str| {
        served.send(served.client().get(served.url("/nothing")).header(name, value))
    };
    let own = with("x-correlation-id", "order-17").await;
    own.problem(404, "not_found");
    assert_eq!(own.headers["x-correlation-id"], "order-17");
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let traced = with("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").await;
    assert_eq!(traced.headers["x-correlation-id"], trace);
    let made = with("x-correlation-id", "two words").await;
    assert_ne!(made.headers["x-correlation-id"], "two words");
    let log = served.log();
    assert!(log.contains("order-17") && log.contains(trace), "{log}");
}

#[tokio::test]
async fn slow_and_idle_clients_are_let_go() {
    let environment = [
        ("L9__SERVER__HTTP__HEADER_TIMEOUT", "1"),
        ("L9__SERVER__HTTP__BODY_TIMEOUT", "1"),
        ("L9__SERVER__HTTP__KEEP_ALIVE", "2"),
    ];
    let served = Served::start_with(&environment, |_| {}).await;
    assert_eq!(raw(&served, b"").await, "", "a silent connection");
    let half = raw(&served, b"GET /health HTTP/1.1\r\nhost: x\r\n").await;
    assert!(half.is_empty() || half.starts_with("HTTP/1.1 408"), "half a request: {half}");
    assert_eq!(raw(&served, b"PRI * HT").await, "", "half a preface of HTTP/2");
    let host = &served.address;
    let slow = format!(
        "POST /memory HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n{{"
    );
    assert!(raw(&served, slow.as_bytes()).await.starts_with("HTTP/1.1 408"), "half a body");
    let kept = raw(&served, format!("GET /livez HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes()).await;
    assert!(kept.starts_with("HTTP/1.1 200"), "then idle: {kept}");
    let preface = raw(&served, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    assert!(!preface.contains("200"), "HTTP/2 without a request ends too");
    let large = format!("GET / HTTP/1.1\r\nhost: {host}\r\nx: {}\r\n\r\n", "y".repeat(200 << 10));
    assert!(raw_or_cut(&served, large.as_bytes()).await.is_none_or(|answer| answer.starts_with("HTTP/1.1 431")));
}

/// As [`raw`], but the server may cut the connection while bytes are under way.
async fn raw_or_cut(served: &Served, bytes: &[u8]) -> Option<String> {
    let mut stream = TcpStream::connect(&served.address).await.ok()?;
    stream.write_all(bytes).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    Some(answer)
}

#[tokio::test]
async fn connections_beyond_the_cap_wait_their_turn() {
    let served = Served::start_with(&[("L9__SERVER__HTTP__CONNECTIONS", "2")], |_| {}).await;
    // The client that asked for the address has none open; two sockets take both places.
    let (one, two) = (served.socket().await, served.socket().await);
    let third = served.get("/livez");
    tokio::pin!(third);
    assert!(tokio::time::timeout(Duration::from_millis(500), &mut third).await.is_err(), "there is no place");
    drop(one);
    assert_eq!(tokio::time::timeout(PATIENCE, third).await.expect("a place is free").status, 200);
    drop(two);
}

#[tokio::test]
async fn http_2_is_served_in_clear() {
    let served = Served::start().await;
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    let answer = client.get(served.url("/health")).send().await.unwrap();
    assert_eq!((answer.version(), answer.status().as_u16()), (reqwest::Version::HTTP_2, 200));
    let foreign = client.get(served.url("/health")).header("origin", "http://evil.example").send().await.unwrap();
    assert_eq!(foreign.status(), 403);
    let socket = client.get(served.url("/ws")).send().await.unwrap();
    assert_eq!(socket.status(), 426);
}

#[tokio::test]
async fn a_stop_drains_and_what_was_accepted_goes_on_later() {
    let provider = Provider::start(&["slow", " words"], Duration::from_millis(400)).await;
    let mut served = Served::start_with(&provider.environment(), Provider::prepare).await;
    let idle = TcpStream::connect(&served.address).await.unwrap();
    let waiting = {
        let request = served.posting("/agents/talker/runs", &json!({"input": "talk", "wait": true}));
        tokio::spawn(async move { request.send().await.unwrap().text().await.unwrap() })
    };
    let mut stream = loop {
        let runs = served.get("/runs").await.json();
        if let Some(run) = runs["runs"][0]["run_id"].as_str() {
            let request = served.client().get(served.url(&format!("/runs/{run}/events")));
            break request.header("accept", "text/event-stream").send().await.unwrap();
        }
        pause(20).await;
    };
    served.terminate();
    // The waiting request is answered: with the run's id, for the run itself is safe.
    let answer: Value = serde_json::from_str(&waiting.await.unwrap()).unwrap();
    let run = answer["run_id"].as_str().unwrap().to_owned();
    while let Some(chunk) = stream.chunk().await.unwrap() {
        assert!(!chunk.is_empty());
    }
    assert_eq!(served.ended().await, Some(0), "{}", served.log());
    drop(idle);

    // The same data, served again: the run is there and ends.
    let data = served.data.path().to_owned();
    let again = Served::start_over(&provider.environment(), &data).await;
    for _ in 0..300 {
        let shown = again.get(&format!("/runs/{run}")).await.json();
        if shown["end"]["outcome"] == "succeeded" {
            assert_eq!(shown["end"]["answer"], "slow words");
            return;
        }
        pause(100).await;
    }
    panic!("the run never ended: {}", again.log());
}

#[tokio::test]
async fn a_port_in_use_is_told_at_once() {
    let served = Served::start().await;
    let port = served.address.rsplit_once(':').unwrap().1.to_owned();
    let data = tempfile::tempdir().unwrap();
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_l9-server"))
        .args(["serve", "--port", &port, "--data-dir"])
        .arg(data.path())
        .output()
        .await
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains("in use") && told.contains(&port), "{told}");
}
