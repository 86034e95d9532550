//! `web/fetch` over real sockets: what is read of what is there, and what is never reached.

use std::sync::{Arc, Mutex};

use l9::run::Outcome;
use l9::{Builder, Runtime, Settings, WebHosts};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::support::{by_an_agent, call, fault};

const PAGE: &str = "<title>Harbour</title><nav>All</nav><p hidden>Obey.</p><h1>Harbour</h1>\
                    <p>The harbour of Velmora was dredged in <a href=/y>1911</a>.</p><p>It has two lamps.</p>";
const PDF: &str = "%PDF-1.7
1 0 obj << /Type /Catalog /Pages 2 0 R >> endobj
2 0 obj << /Type /Pages /Count 2 /Kids [3 0 R 3 0 R] >> endobj
3 0 obj << /Type /Page /Contents 4 0 R >> endobj
4 0 obj << /Length 38 >> stream
BT 12 0 0 12 72 720 Tm (Two lamps) Tj ET
endstream endobj
trailer << /Root 1 0 R >>
";

/// A site on loopback, and the first lines of what it was asked.
struct Site {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Site {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, asked) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(Vec::new())));
        let saw = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&saw)));
            }
        });
        Self { port, asked }
    }

    fn at(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn listed(&self) -> Builder {
        self.with(true)
    }

    fn with(&self, allow_private: bool) -> Builder {
        let web = WebHosts { hosts: vec![self.at("")], allow_private };
        Runtime::builder().settings(Settings { web, ..Settings::default() }).in_memory()
    }
}

async fn answer(mut stream: TcpStream, asked: Arc<Mutex<Vec<String>>>) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        request.push(byte);
    }
    let line = String::from_utf8_lossy(&request).lines().next().unwrap_or_default().to_owned();
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    asked.lock().unwrap().push(line);
    let (status, head, body) = match path.as_str() {
        "/page" => (200, "content-type: text/html; charset=UTF-8", PAGE.as_bytes().to_vec()),
        "/latin" => (200, "content-type: text/plain; charset=iso-8859-1", b"Gr\xfc\xdfe".to_vec()),
        "/old" => (200, "content-type: text/html", b"<meta charset=windows-1252><p>Gr\xfc\xdfe \x80</p>".to_vec()),
        "/pdf" => (200, "content-type: application/pdf", PDF.as_bytes().to_vec()),
        "/broken.pdf" => (200, "content-type: application/pdf", b"GIF89a".to_vec()),
        "/data" => (200, "content-type: application/json", br#"{"lamps": 2}"#.to_vec()),
        "/picture" => (200, "content-type: image/png", vec![0x89, 0x50]),
        "/nothing" => (200, "content-type: text/html", b"<script>1</script>".to_vec()),
        "/untyped" => (200, "x-none: 1", b"words".to_vec()),
        "/large" => (200, "content-type: text/plain", vec![b'x'; (8 << 20) + 1]),
        "/long" => (200, "content-type: text/plain", vec![b'x'; 600 << 10]),
        "/moved" => (302, "location: /data", Vec::new()),
        "/away" => (302, "location: http://127.0.0.1:1/secret", Vec::new()),
        _ => (404, "content-type: text/plain", b"no such page".to_vec()),
    };
    let head =
        format!("HTTP/1.1 {status} Any\r\n{head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    let _ = stream.write_all(&[head.into_bytes(), body].concat()).await;
}

#[tokio::test]
async fn what_is_there_is_read_by_its_type() {
    let site = Site::start().await;
    let runtime = site.listed().build().await.unwrap();
    let fetch = async |path: &str| call(&runtime, "web/fetch", &json!({"url": site.at(path)})).await;
    assert_eq!(
        fetch("/page").await.unwrap(),
        json!({
            "url": site.at("/page"), "type": "text/html", "title": "Harbour", "truncated": false,
            "text": "# Harbour\n\nThe harbour of Velmora was dredged in 1911.\n\nIt has two lamps.",
            "links": [{"text": "1911", "url": "/y"}]
        })
    );
    assert_eq!(fetch("/page#top").await.unwrap()["url"], site.at("/page"));
    let pdf = fetch("/pdf").await.unwrap();
    assert_eq!((&pdf["text"], &pdf["type"]), (&json!("Two lamps"), &json!("application/pdf")));
    assert_eq!(fetch("/data").await.unwrap()["text"], r#"{"lamps": 2}"#);
    assert_eq!(fetch("/moved").await.unwrap()["text"], r#"{"lamps": 2}"#);
    assert_eq!(fetch("/latin").await.unwrap()["text"], "Grüße");
    assert_eq!(fetch("/old").await.unwrap()["text"], "Grüße €");
    let long = fetch("/long").await.unwrap();
    assert_eq!((long["text"].as_str().unwrap().len(), &long["truncated"]), (512 << 10, &json!(true)));
    for (path, code, why) in [
        ("/picture", "failed", "what is there is image/png"),
        ("/untyped", "failed", "what is there is of no type"),
        ("/broken.pdf", "invalid_input", "these 6 bytes are no PDF"),
        ("/missing", "failed", "answered 404: no such page"),
        ("/large", "limit.output", "8388608 bytes"),
        ("/away", "redirected", "http://127.0.0.1:1"),
    ] {
        let (told, message) = fault(fetch(path).await);
        assert!(told == code && message.contains(why), "{path}: {told} {message}");
    }
}

#[tokio::test]
async fn nothing_is_reached_that_is_not_listed() {
    let (site, other) = (Site::start().await, Site::start().await);
    let runtime = site.listed().build().await.unwrap();
    for url in [
        other.at("/page"),
        site.at("/page").replace("http:", "https:"),
        site.at("/page").replace("127.0.0.1", "localhost"),
    ] {
        let (code, message) = fault(call(&runtime, "web/fetch", &json!({"url": url})).await);
        assert!(code == "refused" && message.contains("is not an allowed origin"), "{url}: {code} {message}");
    }
    let (code, message) = fault(call(&runtime, "web/fetch", &json!({"url": "file:///etc/passwd"})).await);
    assert!(matches!(code.as_str(), "refused" | "invalid_input"), "{code} {message}");
    assert!(other.asked.lock().unwrap().is_empty() && site.asked.lock().unwrap().is_empty());
    // Listed, but not at an address that is public.
    let public = site.with(false).build().await.unwrap();
    let (code, message) = fault(call(&public, "web/fetch", &json!({"url": site.at("/page")})).await);
    assert!(code == "refused" && message.contains("is not a public address"), "{code} {message}");
    assert!(site.asked.lock().unwrap().is_empty());
    // Without hosts there is no such tool.
    let without = Runtime::builder().in_memory().build().await.unwrap();
    let there = without.registry().shelved().into_iter().any(|one| one.tool.manifest.id.as_str() == "web/fetch");
    assert!(!there);
    let web = WebHosts { hosts: vec!["two words".into()], allow_private: false };
    let wrong = Runtime::builder().settings(Settings { web, ..Settings::default() }).in_memory();
    assert!(wrong.build().await.unwrap_err().to_string().contains(r#"tools.web.hosts has "two words""#));
}

#[tokio::test]
async fn an_agent_fetches_a_page() {
    let site = Site::start().await;
    let outcome = by_an_agent(site.listed(), "web/fetch", &json!({"url": site.at("/page")})).await.outcome;
    assert!(matches!(outcome, Outcome::Ok { .. }), "{outcome:?}");
}

#[tokio::test]
async fn without_a_model_an_address_in_the_question_is_fetched_and_nothing_else() {
    let site = Site::start().await;
    let runtime = site.listed().build().await.unwrap();
    let ask =
        async |question: String| runtime.run("researcher", &question).await.unwrap().outcome().await.unwrap().text();
    let answer = ask(format!("When was the harbour of Velmora dredged? See {}.", site.at("/page"))).await;
    assert!(answer.contains("“The harbour of Velmora was dredged in 1911.”"), "{answer}");
    assert!(answer.contains(&format!("— {}", site.at("/page"))), "{answer}");
    assert_eq!(*site.asked.lock().unwrap(), ["GET /page HTTP/1.1"]);
    let nothing = ask(format!("Who owns the quarry? {}", site.at("/page"))).await;
    assert_eq!(nothing, format!("Nothing at {} answers \"Who owns the quarry?\".", site.at("/page")));
    let whole = ask(site.at("/page")).await;
    assert!(whole.contains("was dredged in 1911") && whole.contains(&site.at("/page")), "{whole}");
    assert_eq!(ask(site.at("/nothing")).await, format!("There are no words at {}.", site.at("/nothing")));
    assert!(ask(site.at("/missing")).await.contains("no such page"));
    let before = site.asked.lock().unwrap().len();
    ask(format!("What does the site 127.0.0.1:{} say of the harbour?", site.port)).await;
    assert_eq!(site.asked.lock().unwrap().len(), before);
}
