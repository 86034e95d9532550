//! Attacks 12 to 15 and 17: what is put into requests, what answers become, and ways around.
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may fail, and takes real time")]

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use l9::Runtime;
use l9::gateway::{Gateway, Rules};
use serde_json::json;

use super::clients::{Careless, Outspoken};
use super::setup::{Setup, fetch};
use super::world::{PUBLIC, Server, World, answer, ok, path, tool};

#[tokio::test]
async fn attack_12_line_breaks_and_absolute_addresses_in_arguments() {
    let names: &[(&str, &[&str])] = &[("a.test", &[PUBLIC]), ("evil.test", &[PUBLIC])];
    let evil_line = |request: &str| request.to_ascii_lowercase().lines().any(|line| line.starts_with("x-evil"));
    for argument in
        ["x HTTP/1.1\r\nx-evil: 1\r\n\r\n", "http://evil.test/x", "//evil.test/x", "x\nx-evil: 1", "x?admin=1#y"]
    {
        let server = Server::start(|_| ok()).await;
        let world = || Arc::new(World::of(names));
        let escaped = |request: &str, world: &World| {
            evil_line(request)
                || !path(request).starts_with("/api/")
                || path(request).contains(['?', '#'])
                || world.asked() != ["a.test"]
        };
        let (kept, open) = (world(), world());
        let arguments = [json!({ "path": argument })];
        let setup =
            |world: &Arc<World>| Setup::new(tool("a.test", server.port), Gateway::new(Arc::<World>::clone(world)));
        let called = setup(&kept).agent(&arguments).await;
        assert_eq!(called.code, "ok", "{}", called.journal);
        assert!(!escaped(&server.seen()[0], &kept), "{argument} {:?} {:?}", server.seen(), kept.asked());
        // Put in as it is, the same argument of the same call is more than its place.
        let called = setup(&open).by(Arc::new(Careless(Arc::clone(&open)))).agent(&arguments).await;
        assert_eq!(called.code, "ok", "{}", called.journal);
        assert!(escaped(&server.seen()[1], &open), "{argument} {:?} {:?}", server.seen(), open.asked());
    }
    let server = Server::start(|_| ok()).await;
    let call = async |more: &str, careless: bool| {
        let mut manifest = tool("a.test", server.port);
        manifest["runtime"]["headers"] = json!({"x-more": "{more}"});
        let world = Arc::new(World::of(names));
        let mut setup = Setup::new(manifest, Gateway::new(Arc::<World>::clone(&world)));
        if careless {
            setup = setup.by(Arc::new(Careless(world)));
        }
        setup.agent(&[json!({"path": "x", "more": more})]).await.code
    };
    for more in ["1\r\nx-evil: 1", "1\nx-evil: 1", "1\u{0}", "1\u{85}"] {
        let before = server.seen().len();
        assert_eq!((call(more, false).await.as_str(), server.seen().len()), ("invalid_input", before));
        assert_eq!((call(more, true).await.as_str(), server.seen().len()), ("ok", before + 1));
        assert!(server.seen()[before].contains(&format!("x-more: {more}")), "{:?}", server.seen());
    }
    assert_eq!(call("1", false).await, "ok");
    assert!(server.seen().last().unwrap().contains("x-more: 1\r\n"), "{:?}", server.seen());
}

/// None of these headers can be written by a manifest, or by what hands requests to the
/// egress itself, nor take a secret; without the rule about headers they arrive.
async fn headers_stay_the_hosts(names: &[(&str, &str)]) {
    let server = Server::start(|_| ok()).await;
    let world = Arc::new(World::of(&[("a.test", &[PUBLIC])]));
    let gateway = || Gateway::new(Arc::<World>::clone(&world));
    let (mut manifest, go) = (tool("a.test", server.port), [json!({"path": "x"})]);
    manifest["net"][0]["methods"] = json!(["GET", "POST"]);
    for (name, value) in names {
        for secret in [false, true] {
            let mut written = manifest.clone();
            if secret {
                written["secrets"] = json!([{"handle": "key", "audience": "a.test", "inject": {"header": name}}]);
            } else {
                written["runtime"]["headers"] = json!({ *name: value });
            }
            let called = Setup::new(written, gateway()).secret("key", "hunter2-hunter2").agent(&go).await;
            assert_eq!(called.code, "manifest", "{name} {}", called.journal);
            let field = if secret { "secrets[0].inject".to_owned() } else { format!("runtime.headers.{name}") };
            assert!(called.journal.contains(&field), "{name} {}", called.journal);

            let before = server.seen().len();
            let by = |gateway: Gateway| {
                let sandbox = Outspoken::through(gateway.clone(), (name, value), secret);
                Setup::new(manifest.clone(), gateway).by(sandbox)
            };
            let called = by(gateway()).agent(&go).await;
            assert_eq!((called.code.as_str(), server.seen().len()), ("refused", before), "{name} {}", called.journal);
            assert!(called.journal.contains("is the host's to write"), "{name} {}", called.journal);
            let open = gateway().with_rules(Rules { header: |_| false, ..Rules::default() });
            let called = by(open).agent(&go).await;
            assert_eq!((called.code.as_str(), server.seen().len()), ("ok", before + 1), "{name} {}", called.journal);
            let line = format!("{}: {value}\r\n", name.to_ascii_lowercase());
            assert!(server.seen()[before].to_ascii_lowercase().contains(&line), "{name} {:?}", server.seen());
        }
    }
}

#[tokio::test]
async fn attack_13_headers_that_frame_a_request_or_prove_who_sends_it() {
    headers_stay_the_hosts(&[
        ("Host", "evil.test"),
        ("Transfer-Encoding", "chunked"),
        ("Content-Length", "1"),
        ("Connection", "x-evil"),
        ("TE", "trailers"),
        ("Trailer", "x-evil"),
        ("Upgrade", "evil"),
        ("Expect", "evil"),
        ("Accept-Encoding", "gzip"),
        ("X-HTTP-Method-Override", "delete"),
        ("X-Original-URL", "/admin"),
    ])
    .await;
    // Credentials are secrets: they go when they are granted as such, and in no other way.
    let server = Server::start(|_| ok()).await;
    let gateway = || Gateway::new(Arc::new(World::of(&[("a.test", &[PUBLIC])])));
    let go = [json!({"path": "x"})];
    for (at, name) in ["Authorization", "Cookie"].into_iter().enumerate() {
        let mut manifest = tool("a.test", server.port);
        manifest["runtime"]["headers"] = json!({ name: "hunter2-hunter2" });
        let called = Setup::new(manifest, gateway()).agent(&go).await;
        assert_eq!((called.code.as_str(), server.seen().len()), ("manifest", at), "{name} {}", called.journal);
        let sandbox = Outspoken::through(gateway(), (name, "hunter2-hunter2"), false);
        let mut manifest = tool("a.test", server.port);
        manifest["net"][0]["methods"] = json!(["POST"]);
        manifest["runtime"]["method"] = json!("POST");
        let called = Setup::new(manifest, gateway()).by(sandbox).agent(&go).await;
        assert_eq!((called.code.as_str(), server.seen().len()), ("refused", at), "{name} {}", called.journal);
        let mut manifest = tool("a.test", server.port);
        manifest["secrets"] = json!([{"handle": "key", "audience": "a.test", "inject": {"header": name}}]);
        let called = Setup::new(manifest, gateway()).secret("key", "hunter2-hunter2").agent(&go).await;
        assert_eq!((called.code.as_str(), server.seen().len()), ("ok", at + 1), "{name} {}", called.journal);
        let line = format!("{}: hunter2-hunter2", name.to_ascii_lowercase());
        assert!(server.seen()[at].contains(&line), "{:?}", server.seen());
    }
}

#[tokio::test]
async fn attack_14_headers_of_proxies() {
    headers_stay_the_hosts(&[
        ("Proxy-Authorization", "evil"),
        ("Proxy-Connection", "evil"),
        ("Forwarded", "for=127.0.0.1"),
        ("Via", "1.1 evil"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Forwarded-Host", "evil.test"),
        ("X-Forwarded-Proto", "https"),
        ("X-Real-IP", "127.0.0.1"),
        ("Max-Forwards", "0"),
    ])
    .await;
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
    let outside = TcpListener::bind("127.0.0.1:0").unwrap();
    for import in [
        "wasi:sockets/tcp@0.2.0",
        "wasi:sockets/tcp-create-socket@0.2.0",
        "wasi:sockets/udp@0.2.0",
        "wasi:sockets/ip-name-lookup@0.2.0",
        "wasi:sockets/instance-network@0.2.0",
        "wasi:http/outgoing-handler@0.2.0",
    ] {
        let guest = wat::parse_str(format!(
            r#"(component
                (import "{import}" (instance $way (export "connect" (func (param "port" u16)))))
                (core func $connect (canon lower (func $way "connect")))
                (core module $m
                    (import "way" "connect" (func $connect (param i32)))
                    (func (export "reach") (param i32) (call $connect (local.get 0))))
                (core instance $i (instantiate $m (with "way" (instance (export "connect" (func $connect))))))
                (func (export "reach") (param "port" u16) (canon lift (core func $i "reach"))))"#
        ))
        .unwrap();
        let error = load(guest.clone()).await.unwrap_err();
        assert!(error.contains(&format!("imports {import}")), "{error}");
        // A host that has the import lets the same guest out.
        granting(import, &guest, outside.local_addr().unwrap().port());
        outside.accept().unwrap();
    }
    // The guest that computes imports none of them, and loads.
    load(include_bytes!("../../l9-tools/guests/dist/calc.wasm").to_vec()).await.unwrap();
}

/// Runs a guest in a host whose only difference is that it has that import.
fn granting(import: &str, guest: &[u8], port: u16) {
    use wasmtime::component::{Component, Linker};
    use wasmtime::{Engine, Store, StoreContextMut};

    let engine = Engine::default();
    let mut linker = Linker::<()>::new(&engine);
    let connect = |_: StoreContextMut<'_, ()>, (port,): (u16,)| {
        TcpStream::connect(("127.0.0.1", port)).map(drop).map_err(wasmtime::Error::from)
    };
    linker.instance(import).unwrap().func_wrap("connect", connect).unwrap();
    let mut store = Store::new(&engine, ());
    let component = Component::new(&engine, guest).unwrap();
    let instance = linker.instantiate(&mut store, &component).unwrap();
    instance.get_typed_func::<(u16,), ()>(&mut store, "reach").unwrap().call(&mut store, (port,)).unwrap();
}
