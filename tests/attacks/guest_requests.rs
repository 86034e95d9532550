//! Attacks on the network by a tool in the sandbox, which may ask the host for any request: it
//! gets no further than a tool that is declared, and never sees a secret.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::sync::Arc;

use l9::gateway::{Gateway, Rules};
use l9::run::{Event, Outcome};
use l9::{Budget, StartOptions};
use serde_json::{Value, json};

use super::guests::{Guest, events, told};
use super::world::{PUBLIC, Server, World, answer, elsewhere, ok, path};

const SECRET: &str = "sk-5ecret-0123456789-abcdef";

/// A guest that may read and write below `/api` at `a.test` and `b.test`.
fn guest(world: World, server: &Server) -> Guest {
    let grant = |host: &str, more: Value| {
        let mut grant = json!({"scheme": "http", "host": host, "port": server.port, "methods": ["GET", "POST"], "path_prefix": "/api"});
        grant.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        grant
    };
    let net = json!([grant("a.test", json!({"redirects": 2})), grant("b.test", json!({}))]);
    let mut guest = Guest::host_calls().with("net", net).with("effect", json!("opaque_write"));
    guest.gateway = Gateway::new(Arc::new(world));
    guest
}

fn world() -> World {
    World::of(&[("a.test", &[PUBLIC]), ("b.test", &[PUBLIC]), ("inside.test", &["10.0.0.8"])])
}

/// One request.
fn send(method: &str, url: &str, more: &Value) -> Value {
    let mut step = json!({"call": "http.send", "method": method, "path": url});
    step.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    step
}

fn get(url: &str) -> Value {
    send("GET", url, &json!({}))
}

fn steps(steps: &[Value]) -> Value {
    json!({ "steps": steps })
}

/// Whether a write that failed was said not to have happened.
fn is_certain(events: &[Event]) -> bool {
    let failed = |event: &Event| matches!(event, Event::EffectResult(result) if matches!(result.outcome, Outcome::Failed { happened: false, .. }));
    let unknown = |event: &Event| matches!(event, Event::EffectUnknown(_));
    assert!(events.iter().any(|event| failed(event) || unknown(event)), "{events:?}");
    !events.iter().any(unknown)
}

#[tokio::test]
async fn a_guest_is_answered_and_every_byte_that_it_sends_is_charged() {
    let server = Server::start(|request| answer(201, "x-a: 1\r\n", path(request))).await;
    let guest = guest(world(), &server);
    let url = |at: &str| format!("http://a.test:{}/api/{at}", server.port);
    let post =
        |at: &str| send("POST", &url(at), &json!({"text": "{}", "headers": [["content-type", "application/json"]]}));
    let runtime = guest.start().await.unwrap();
    let journaled = events(&runtime, &steps(&[post("one?x=1"), post("two"), get(&url("three"))])).await;
    let [Event::EffectResult(result)] =
        &journaled.iter().filter(|event| matches!(event, Event::EffectResult(_))).cloned().collect::<Vec<_>>()[..]
    else {
        panic!("{journaled:?}")
    };
    let shown = format!("{:?}", result.outcome);
    assert!(shown.contains("/api/one?x=1") && shown.contains("x-a") && shown.contains("201"), "{shown}");
    let seen = server.seen();
    assert_eq!(result.spent.egress_bytes, seen.iter().map(|request| request.len() as u64).sum::<u64>(), "{seen:?}");
    assert!(seen[0].starts_with("POST /api/one?x=1 HTTP/1.1\r\n") && seen[0].ends_with("\r\n\r\n{}"), "{seen:?}");
    // A far side knows each write again, and no read.
    let key =
        |request: &str| request.lines().find_map(|line| line.strip_prefix("idempotency-key: ").map(str::to_owned));
    let keys: Vec<Option<String>> = seen.iter().map(|request| key(request)).collect();
    assert!(keys[0].is_some() && keys[1].is_some() && keys[0] != keys[1] && keys[2].is_none(), "{seen:?}");

    // What a budget does not hold does not leave.
    let by = runtime.principal();
    let begin = async |egress_bytes: u64| {
        let budget = Budget { egress_bytes: Some(egress_bytes), ..Budget::default() };
        let options = StartOptions { budget, ..StartOptions::default() };
        let input = steps(&[get(&url("four"))]).to_string();
        let started = runtime.engine().start_tool(&by, &"guest/host".parse().unwrap(), &input, options).await.unwrap();
        runtime.engine().handle(&by, started.run).await.unwrap().outcome().await.unwrap()
    };
    let refused = begin(1_000).await;
    assert!(refused.code.is_some() && refused.text().contains("egress_bytes"), "{refused:?}");
    assert_eq!(server.seen().len(), 3);
    assert_eq!((begin(16 << 20).await.code, server.seen().len()), (None, 4));
    runtime.shutdown().await;
}

#[tokio::test]
async fn a_guest_reaches_no_address_that_was_not_granted_or_is_not_public() {
    let server = Server::start(|_| ok()).await;
    let port = server.port;
    let world = || world().leading("10.0.0.8", "127.0.0.1");
    let mut inside = guest(world(), &server);
    for host in ["127.0.0.1", "inside.test"] {
        let grant = json!({"scheme": "http", "host": host, "port": port, "methods": ["GET"]});
        inside.manifest["net"].as_array_mut().unwrap().push(grant);
    }
    let urls: Vec<String> = [
        format!("http://127.0.0.1:{port}/api"),
        format!("http://0x7f.1:{port}/api"),
        format!("http://2130706433:{port}/api"),
        format!("http://inside.test:{port}/api"),
        format!("http://[::ffff:7f00:1]:{port}/api"),
        format!("http://a.test.evil.test:{port}/api"),
        format!("http://a.test:{}/api", port ^ 1),
        format!("http://a.test:{port}/api-evil"),
        format!("http://a.test:{port}/api/..%2fother"),
        format!("https://a.test:{port}/api"),
        format!("http://a.test@127.0.0.1:{port}/api"),
        format!("http://a.test:{port}\\@127.0.0.1/api"),
        "file:///etc/passwd".to_owned(),
        "/api".to_owned(),
        String::new(),
    ]
    .into();
    let all: Vec<Value> = urls
        .iter()
        .map(|url| get(url))
        .chain([send("DELETE", &format!("http://a.test:{port}/api"), &json!({}))])
        .collect();
    let output = inside.gives(&steps(&all)).await;
    for (at, told) in told(&output).iter().enumerate() {
        assert!(
            ["denied", "invalid-request", "not-sent"].map(Value::from).contains(told),
            "{:?}: {told}",
            urls.get(at)
        );
    }
    assert_eq!(server.seen(), Vec::<String>::new(), "nothing arrived");
    // Control: those that were granted are reached where the rule about addresses is away.
    inside.gateway = Gateway::new(Arc::new(world())).with_rules(Rules { address: |_| None, ..Rules::default() });
    let output = inside.gives(&steps(&all[..4])).await;
    assert!(told(&output).iter().all(|told| told["status"] == 200), "{output}");
}

#[tokio::test]
async fn a_guest_is_led_nowhere_that_it_may_not_go_by_itself() {
    let port = Arc::new(std::sync::atomic::AtomicU16::new(0));
    let known = Arc::clone(&port);
    let server = Server::start(move |request| {
        let port = known.load(std::sync::atomic::Ordering::Relaxed);
        match path(request) {
            "/api/inwards" => elsewhere(&format!("http://127.0.0.1:{port}/api/x")),
            "/api/inside" => elsewhere(&format!("http://inside.test:{port}/api/x")),
            "/api/out" => elsewhere("/other"),
            "/api/round" => elsewhere("/api/round"),
            "/api/on" => elsewhere(&format!("http://b.test:{port}/api/there")),
            _ => ok(),
        }
    })
    .await;
    port.store(server.port, std::sync::atomic::Ordering::Relaxed);
    let url = |at: &str| format!("http://a.test:{}/api/{at}", server.port);
    let led: Vec<Value> = ["inwards", "inside", "out", "round"].map(|at| get(&url(at))).into();
    let mut guest = guest(world().leading("10.0.0.8", "127.0.0.1"), &server);
    let output = guest.gives(&steps(&led)).await;
    assert_eq!(told(&output), vec!["no-answer"; 4], "{output}");
    assert_eq!(server.seen().len(), 4, "{:?}", server.seen());
    // Control: where it may go it is led, without the secret that was for the first host.
    guest = guest.with("secrets", json!([{"handle": "key", "audience": "a.test", "inject": {"header": "x-key"}}]));
    guest = guest.secret("key", SECRET);
    let output = guest.gives(&steps(&[send("GET", &url("on"), &json!({"secrets": ["key"]}))])).await;
    assert_eq!(told(&output)[0]["status"], 200, "{output}");
    let seen = server.seen();
    assert!(seen[4].contains(SECRET) && seen[5].starts_with("GET /api/there") && !seen[5].contains(SECRET), "{seen:?}");
}

#[tokio::test]
async fn a_guest_writes_no_header_that_frames_routes_or_proves() {
    let server = Server::start(|_| ok()).await;
    let url = format!("http://a.test:{}/api", server.port);
    let with = |name: &str, value: &str| send("GET", &url, &json!({"headers": [[name, value]]}));
    let forbidden: Vec<Value> = [
        ("Host", "evil.test"),
        ("content-length", "5"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "upgrade"),
        ("Authorization", "Bearer x"),
        ("cookie", "a=b"),
        ("Proxy-Authorization", "x"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("Forwarded", "for=127.0.0.1"),
        ("X-HTTP-Method-Override", "DELETE"),
        ("accept-encoding", "gzip"),
        ("Idempotency-Key", "mine"),
        ("x-a", "1\r\nhost: evil.test"),
        ("x-a: 1\r\nhost", "evil.test"),
        ("", "x"),
    ]
    .map(|(name, value)| with(name, value))
    .into();
    let mut guest = guest(world(), &server);
    let output = guest.gives(&steps(&forbidden)).await;
    assert_eq!(told(&output), vec!["invalid-request"; forbidden.len()], "{output}");
    assert!(server.seen().is_empty(), "{:?}", server.seen());
    // Control: others are sent, and these as well where the rule is away.
    guest.gateway = Gateway::new(Arc::new(world())).with_rules(Rules { header: |_| false, ..Rules::default() });
    let output = guest.gives(&steps(&[with("x-forwarded-for", "127.0.0.1"), with("x-a", "1")])).await;
    assert!(told(&output).iter().all(|told| told["status"] == 200), "{output}");
    assert!(server.seen()[0].contains("x-forwarded-for: 127.0.0.1"), "{:?}", server.seen());
}

#[tokio::test]
async fn a_guest_has_a_secret_sent_and_never_sees_its_value() {
    let server = Server::start(|request| {
        let key = request.lines().find_map(|line| line.strip_prefix("x-key: ")).unwrap_or("none");
        let backwards: String = key.chars().rev().collect();
        answer(200, &format!("x-echo: {key}\r\n"), format!("you sent {key} and {backwards}"))
    })
    .await;
    let url = |host: &str| format!("http://{host}:{}/api", server.port);
    let granted = json!([{"handle": "key", "audience": "a.test", "inject": {"header": "x-key"}}]);
    let guest =
        guest(world(), &server).with("secrets", granted).secret("key", SECRET).secret("other", "another-secret-99");
    // Letter by letter, so that no scanner of outputs masks what the guest was shown.
    let with = |handle: &str, host: &str| send("GET", &url(host), &json!({"secrets": [handle], "spelt": true}));
    let output = guest.gives(&steps(&[with("key", "a.test")])).await;
    assert!(server.seen()[0].contains(&format!("x-key: {SECRET}")), "{:?}", server.seen());
    let body = told(&output)[0]["body"].as_str().unwrap().replace(' ', "");
    assert_eq!(body, "yousent[redacted:key]and[redacted:key]", "{output}");
    assert!(!output.to_string().contains(SECRET), "{output}");
    // Control: what is no secret is shown as it is.
    let plain = send("GET", &url("a.test"), &json!({"headers": [["x-key", "not-a-secret"]], "spelt": true}));
    let output = guest.gives(&steps(&[plain])).await;
    assert!(told(&output)[0]["body"].as_str().unwrap().replace(' ', "").contains("not-a-secret"), "{output}");

    // To another host, under another handle, or in sight, it does not leave.
    let seen = server.seen().len();
    let in_sight = send("POST", &url("a.test"), &json!({"text": format!("key={SECRET}")}));
    let attempts = [with("key", "b.test"), with("other", "a.test"), with("no-such", "a.test")];
    let output = guest.gives(&steps(&attempts)).await;
    assert_eq!(told(&output), vec!["denied"; 3], "{output}");
    let message = |at: usize, handle: &str| output["steps"][at]["message"].as_str().unwrap().replace(handle, "HANDLE");
    assert_eq!(
        (message(1, "other"), message(1, "other")),
        (message(2, "no-such"), message(0, "key")),
        "the same words for all"
    );
    let called = guest.call(&steps(&[in_sight])).await;
    assert!(!called.is_ok_and(|output| told(&output)[0]["status"] == 200));
    assert_eq!(server.seen().len(), seen);
    // One that its owner grants to other tools is refused when the tool comes in.
    let unknown = json!([{"handle": "no-such", "audience": "a.test", "inject": {"header": "x-key"}}]);
    let refused = guest.with("secrets", unknown).fails(&steps(&[])).await;
    assert!(refused.contains("manifest: ") && refused.contains("is not granted to guest/host"), "{refused}");
}

#[tokio::test]
async fn a_guest_that_sent_a_write_and_then_failed_is_in_doubt() {
    let server = Server::start(|request| match path(request) {
        "/api/silent" => Vec::new(),
        "/api/elsewhere" => answer(307, "location: http://127.0.0.1/api\r\n", ""),
        "/api/refused" => answer(404, "", "no"),
        _ => ok(),
    })
    .await;
    let url = |at: &str| format!("http://a.test:{}/api/{at}", server.port);
    let post = |at: &str| send("POST", &url(at), &json!({"text": "pay"}));
    let nonsense = json!({"call": "nonsense"});
    let certain = async |guest: &Guest, step: Value| {
        let runtime = guest.start().await.unwrap();
        let events = events(&runtime, &steps(&[step, nonsense.clone()])).await;
        runtime.shutdown().await;
        is_certain(&events)
    };
    let guest = guest(world(), &server);
    for sent in ["paid", "silent", "elsewhere", "refused"] {
        assert!(!certain(&guest, post(sent)).await, "{sent}");
    }
    // What only read, and what did not leave, is known not to have happened.
    assert!(certain(&guest, get(&url("paid"))).await);
    assert!(certain(&guest, post("../out")).await);
    let mut apart = guest.clone();
    apart.manifest["net"][0]["port"] = json!(1);
    let nobody = send("POST", "http://a.test:1/api", &json!({"text": "pay"}));
    assert!(certain(&apart, nobody).await);
}

#[tokio::test]
async fn requests_answers_and_redirects_of_a_guest_are_bounded() {
    let server = Server::start(|request| match path(request) {
        "/api/large" => answer(200, "", vec![b'x'; 50_000]),
        "/api/on" => elsewhere("/api/x"),
        _ => ok(),
    })
    .await;
    let url = |at: &str| format!("http://a.test:{}/api/{at}", server.port);
    let guest = guest(world(), &server);
    let with = |field: &str, value: u64| {
        let mut bounded = guest.clone();
        bounded.manifest["net"][0][field] = json!(value);
        bounded
    };
    let all = [get(&url("x")), get(&url("on")), get(&url("x")), get(&url("x"))];
    let output = with("max_requests", 3).gives(&steps(&all)).await;
    let outcomes = told(&output);
    assert_eq!(
        (&outcomes[0]["status"], &outcomes[1]["status"], &outcomes[2]),
        (&json!(200), &json!(200), &json!("denied")),
        "{output}"
    );
    assert!(output["steps"][2]["message"].as_str().unwrap().contains("net[0].max_requests"), "{output}");
    assert_eq!(server.seen().len(), 3, "the redirect is one of them");
    let output = with("max_requests", 2).gives(&steps(&all[..2])).await;
    assert_eq!(told(&output)[1]["status"], 302, "a redirect that there is no request left for is not followed");

    let output = with("max_response_bytes", 49_999).gives(&steps(&[get(&url("large"))])).await;
    assert_eq!(told(&output), ["no-answer"], "{output}");
    let output = with("max_response_bytes", 50_000).gives(&steps(&[get(&url("large"))])).await;
    assert_eq!(told(&output)[0]["status"], 200);
    let guest = guest.with("effect", json!("read"));
    let fault = guest.clone().limit("host_call_bytes", 40_000).fails(&steps(&[get(&url("large"))])).await;
    assert!(fault.starts_with("limit.host_call_bytes: passed more than 40 KiB"), "{fault}");
    let fault = guest.limit("host_calls", 1).fails(&steps(&[get(&url("x")), get(&url("x"))])).await;
    assert!(fault.starts_with("limit.host_calls: "), "{fault}");
}
