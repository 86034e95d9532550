//! Tools that a folder of manifests declares, through the front door and over real
//! sockets, against a server without manners: what is retried under which key, what
//! becomes unknown, and what never leaves.
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may fail, and waits for real")]

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use l9::governor::OnUnknown;
use l9::model::scripted::{Scripted, Turn};
use l9::run::{Event, Outcome};
use l9::{AgentProfile, Runtime, StartOptions};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What the server does with one request.
#[derive(Clone)]
enum Act {
    /// Answer with a status, headers and a body.
    Answer(u16, &'static str, String),
    /// Promise more than is sent, then close.
    Cut,
    /// Say nothing for long.
    Slow,
}

/// A server without manners; each request follows the next act, the last one for ever.
struct Rude {
    port: u16,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Rude {
    async fn start(acts: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, seen) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(Vec::new())));
        let saw = Arc::clone(&seen);
        tokio::spawn(async move {
            for turn in 0.. {
                let Ok((stream, _)) = listener.accept().await else { return };
                tokio::spawn(serve(stream, acts[turn.min(acts.len() - 1)].clone(), Arc::clone(&saw)));
            }
        });
        Self { port, seen }
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// The value of a header in every request.
    fn header(&self, name: &str) -> Vec<String> {
        let of = |request: &String| {
            let line = request.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix(name).map(str::to_owned));
            line.map(|value| value.trim_start_matches(':').trim().to_owned())
        };
        self.seen().iter().filter_map(of).collect()
    }
}

async fn serve(mut stream: TcpStream, act: Act, seen: Arc<Mutex<Vec<String>>>) {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                break;
            }
        }
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
        }
    }
    seen.lock().unwrap().push(String::from_utf8_lossy(&bytes).into_owned());
    let answer = match act {
        Act::Answer(status, headers, body) => format!(
            "HTTP/1.1 {status} Any\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        ),
        Act::Cut => "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{\"o".to_owned(),
        Act::Slow => return tokio::time::sleep(Duration::from_secs(30)).await,
    };
    let _ = stream.write_all(answer.as_bytes()).await;
}

fn ok(body: &Value) -> Act {
    Act::Answer(200, "content-type: application/json\r\n", body.to_string())
}

fn status(status: u16) -> Act {
    Act::Answer(status, "", "no".to_owned())
}

/// The manifest of a tool that posts a note.
fn notes(port: u16, effect: &str) -> Value {
    json!({
        "schema_version": 1, "id": "notes/add", "version": "1.0.0", "title": "Add a note",
        "description": "Adds a note to a book.", "effect": effect,
        "runtime": {
            "kind": "http", "method": "POST", "url": format!("http://127.0.0.1:{port}/v1/books/{{book}}/notes"),
            "headers": {"x-lang": "{lang}"}, "query": {"draft": "{draft}"}, "body": {"text": "{text}", "from": "l9"},
        },
        "input_schema": {
            "type": "object", "required": ["book", "text"],
            "properties": {"book": {"type": "string"}, "text": {"type": "string"}, "lang": {"type": "string"}, "draft": {"type": "boolean"}},
        },
        "net": [{"scheme": "http", "host": "127.0.0.1", "port": port, "methods": ["POST"], "path_prefix": "/v1/books", "allow_private": true}],
        "limits": {"wall_ms": 1000, "output_bytes": 2000},
    })
}

fn folder(manifest: &Value) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("notes.json"), manifest.to_string()).unwrap();
    folder
}

async fn refused(folder: &Path) -> String {
    Runtime::builder().in_memory().tools_dir(folder).build().await.unwrap_err().to_string()
}

/// What an agent's one call of the tool came to.
struct Called {
    /// The codes of its `effect.retry` events, and the waits they journal.
    retries: Vec<String>,
    outcome: Option<Outcome>,
    unknown: Option<String>,
    took: Duration,
}

impl Called {
    fn code(&self) -> &str {
        match &self.outcome {
            Some(Outcome::Failed { code, .. }) => code,
            Some(Outcome::Ok { .. }) => "ok",
            _ => self.unknown.as_deref().map_or("none", |_| "unknown"),
        }
    }
}

async fn call(manifest: &Value, arguments: &Value) -> (Called, String) {
    let folder = folder(manifest);
    let arguments = arguments.to_string();
    let turns = vec![Turn::call([("notes/add", arguments.as_str())]), Turn::say("done")];
    let profile = AgentProfile::new("scribe").unwrap().with_model("script").unwrap().with_tool("notes/add").unwrap();
    let settings = l9::Settings { backoff_ms: 20, unknown: OnUnknown::Tell, ..l9::Settings::default() };
    let runtime = Runtime::builder()
        .settings(settings)
        .in_memory()
        .tools_dir(folder.path())
        .tool_secret("notes-key", SecretString::from("Bearer hunter2-hunter2".to_owned()))
        .model("script", Arc::new(Scripted::new(turns)))
        .agent(profile)
        .build()
        .await
        .unwrap();
    let began = std::time::Instant::now();
    let mut handle = runtime.run_with("scribe", "write", StartOptions::default()).await.unwrap();
    let mut called = Called { retries: Vec::new(), outcome: None, unknown: None, took: Duration::ZERO };
    let mut journal = String::new();
    let mut tools = Vec::new();
    while let Some((_, event)) = handle.next_event().await.unwrap() {
        journal.push_str(&format!("{event:?}\n"));
        match event {
            Event::EffectIntent(intent) if format!("{:?}", intent.action).contains("notes/add") => {
                tools.push(intent.call)
            }
            Event::EffectRetry(retry) => called.retries.push(retry.code.clone()),
            Event::EffectUnknown(unknown) => called.unknown = Some(unknown.reason.clone()),
            Event::EffectResult(result) if tools.contains(&result.call) => {
                called.outcome = Some(result.outcome.clone())
            }
            _ => {}
        }
    }
    called.took = began.elapsed();
    runtime.shutdown().await;
    (called, journal)
}

fn note() -> Value {
    json!({"book": "a/b?c", "text": "hello"})
}

#[tokio::test]
async fn a_request_is_filled_from_the_arguments_and_nothing_else() {
    let server = Rude::start(vec![ok(&json!({"id": 7}))]).await;
    let mut manifest = notes(server.port, "keyed_write");
    manifest["secrets"] =
        json!([{"handle": "notes-key", "audience": "127.0.0.1", "inject": {"header": "authorization"}}]);
    let (called, journal) = call(&manifest, &json!({"book": "a/b?c", "text": "hello", "draft": true})).await;
    assert_eq!(called.code(), "ok", "{journal}");
    let seen = server.seen();
    assert!(seen[0].starts_with("POST /v1/books/a%2Fb%3Fc/notes?draft=true HTTP/1.1"), "{}", seen[0]);
    let body: Value = serde_json::from_str(seen[0].split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(body, json!({"text": "hello", "from": "l9"}));
    assert!(server.header("x-lang").is_empty(), "a header without its argument is left out");
    assert_eq!(server.header("authorization"), ["bearer hunter2-hunter2"]);
    assert!(!journal.contains("hunter2"), "{journal}");
}

#[tokio::test]
async fn an_argument_outside_its_constraint_goes_nowhere() {
    let server = Rude::start(vec![ok(&json!({}))]).await;
    let mut manifest = notes(server.port, "keyed_write");
    manifest["args"] = json!({"/book": {"role": "body", "constraint": {"enum": ["a/b?c"]}}});
    let (called, journal) = call(&manifest, &json!({"book": "another", "text": "hello"})).await;
    assert_eq!((called.code(), server.seen().len()), ("none", 0), "{journal}");
    assert!(journal.contains("invalid_arguments") && journal.contains("/book: "), "{journal}");
    // Control: the one book that it allows.
    assert_eq!(call(&manifest, &note()).await.0.code(), "ok");
}

#[tokio::test]
async fn a_keyed_write_is_made_again_under_the_same_key_and_the_journal_shows_it() {
    for first in [status(500), status(503), Act::Cut, Act::Slow] {
        let server = Rude::start(vec![first, ok(&json!({"id": 7}))]).await;
        let (called, journal) = call(&notes(server.port, "keyed_write"), &note()).await;
        assert_eq!((called.code(), called.retries.clone()), ("ok", vec!["unavailable".to_owned()]), "{journal}");
        let keys = server.header("idempotency-key");
        assert!(keys.len() == 2 && keys[0] == keys[1] && !keys[0].is_empty(), "{keys:?}");
    }
}

#[tokio::test]
async fn an_opaque_write_in_doubt_is_unknown_and_never_made_again() {
    for act in [status(500), Act::Cut, Act::Slow] {
        let server = Rude::start(vec![act]).await;
        let (called, journal) = call(&notes(server.port, "opaque_write"), &note()).await;
        assert!(called.unknown.is_some() && called.retries.is_empty(), "{journal}");
        assert_eq!(server.seen().len(), 1);
    }
}

#[tokio::test]
async fn being_turned_away_is_certain_and_the_asked_wait_is_kept() {
    let busy = Act::Answer(429, "retry-after: 1\r\n", String::new());
    let server = Rude::start(vec![busy, ok(&json!({}))]).await;
    let (called, journal) = call(&notes(server.port, "opaque_write"), &note()).await;
    assert_eq!((called.code(), called.retries.clone()), ("ok", vec!["not_sent".to_owned()]), "{journal}");
    assert!(called.took >= Duration::from_secs(1), "{:?}", called.took);
}

#[tokio::test]
async fn refusals_are_certain_and_tell_what_was_said() {
    for code in [400, 404, 409, 422] {
        let server = Rude::start(vec![Act::Answer(code, "", "the book is closed".into())]).await;
        let (called, journal) = call(&notes(server.port, "opaque_write"), &note()).await;
        assert_eq!((called.code(), server.seen().len()), ("failed", 1), "{journal}");
        assert!(journal.contains("the book is closed"), "{journal}");
    }
}

#[tokio::test]
async fn nothing_listening_is_not_sent_and_tried_again() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    let (called, journal) = call(&notes(port, "opaque_write"), &note()).await;
    assert_eq!((called.code(), called.retries.len()), ("not_sent", 2), "{journal}");
}

#[tokio::test]
async fn other_content_is_text_and_a_huge_body_is_cut_short() {
    let page = Act::Answer(200, "content-type: application/json\r\n", "<html>".into());
    let server = Rude::start(vec![page]).await;
    let (called, journal) = call(&notes(server.port, "read"), &note()).await;
    assert!(called.code() == "ok" && journal.contains("<html>"), "{journal}");
    let server = Rude::start(vec![Act::Answer(200, "", "x".repeat(100_000))]).await;
    let (called, journal) = call(&notes(server.port, "read"), &note()).await;
    assert_eq!(called.code(), "limit.output", "{journal}");
}

#[tokio::test]
async fn redirects_and_private_addresses_are_not_followed() {
    let secret = Rude::start(vec![ok(&json!({}))]).await;
    let headers: &'static str = format!("location: http://127.0.0.1:{}/\r\n", secret.port).leak();
    let server = Rude::start(vec![Act::Answer(302, headers, String::new())]).await;
    let (called, journal) = call(&notes(server.port, "read"), &note()).await;
    assert_eq!((called.code(), secret.seen().len()), ("redirected", 0), "{journal}");
    for host in ["127.0.0.1", "localhost"] {
        let mut manifest = notes(secret.port, "opaque_write");
        manifest["net"][0]["allow_private"] = json!(false);
        manifest["net"][0]["host"] = json!(host);
        manifest["runtime"]["url"] = json!(format!("http://{host}:{}/v1/books/{{book}}", secret.port));
        let (called, journal) = call(&manifest, &note()).await;
        assert_eq!((called.code(), secret.seen().len()), ("refused", 0), "{journal}");
        assert!(journal.contains("allow_private"), "{journal}");
    }
}

#[tokio::test]
async fn a_faulty_manifest_names_file_field_and_mend() {
    let cases = [
        (
            "/runtime/url",
            json!("http://127.0.0.1:9/other/{book}"),
            "runtime.url: POST there is granted by no entry of net",
        ),
        ("/runtime/url", json!("http://{book}:9/v1/books"), "write scheme and host out"),
        ("/runtime/url", json!("http://127.0.0.1:9/v1/books/{nobody}"), "which input_schema does not declare"),
        ("/runtime/headers", json!({"Authorization": "x"}), "runtime.headers.Authorization: grant it in secrets"),
        ("/runtime/headers", json!({"Idempotency-Key": "x"}), "the host writes it"),
        ("/runtime/method", json!("TRACE"), "runtime.method: is \"TRACE\""),
        ("/id", json!("run/now"), "reserved"),
        ("/effect", json!("pure"), "write read"),
    ];
    for (at, value, expected) in cases {
        let mut manifest = notes(9, "keyed_write");
        *manifest.pointer_mut(at).unwrap() = value;
        let error = refused(folder(&manifest).path()).await;
        assert!(error.contains("notes.json: ") && error.contains(expected), "{error}");
    }
    let mut manifest = notes(9, "keyed_write");
    manifest["secrets"] = json!([{"handle": "gone", "audience": "127.0.0.1", "inject": {"header": "x-key"}}]);
    let error = refused(folder(&manifest).path()).await;
    assert!(error.contains("the secret gone is not granted to notes/add for 127.0.0.1"), "{error}");
}
