//! Against servers that nobody here wrote: `scripts/mcp-check.sh` installs them and runs
//! these.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use l9::Runtime;
use l9::mcp::Settings;
use l9::registry::recorded;
use l9::tool::{EffectClass, ToolRegistry as _};
use serde_json::{Value, json};

use crate::support::{PATIENCE, accept, until};

/// The program that `scripts/mcp-check.sh` gives.
fn program(name: &str) -> Settings {
    let program = std::env::var(name).expect("run this through scripts/mcp-check.sh");
    Settings { command: Some(program), ..Settings::default() }
}

async fn met(settings: Settings) -> Runtime {
    let runtime = Runtime::builder().in_memory().mcp_server("foreign", settings).build().await.unwrap();
    runtime.meet_servers().await;
    let server = runtime.servers().pop().unwrap();
    assert!(server.ok && server.detail.starts_with("connected") && !server.detail.contains("not taken"), "{server:?}");
    runtime
}

async fn call(runtime: &Runtime, tool: &str, arguments: Value) -> Value {
    let handle = runtime.call(&format!("foreign/{tool}"), &arguments.to_string()).await.unwrap();
    let ended = tokio::time::timeout(PATIENCE, handle.outcome()).await.unwrap().unwrap();
    assert_eq!(ended.code, None, "{tool}: {ended:?}");
    ended.answer
}

#[tokio::test]
#[ignore = "needs foreign servers: scripts/mcp-check.sh cargo test -p l9 --features mcp --test mcp -- --ignored"]
async fn a_foreign_server_of_time_tells_it_and_says_what_it_cannot() {
    let settings = Settings { args: vec!["--local-timezone".into(), "Etc/UTC".into()], ..program("L9_MCP_TIME") };
    let runtime = met(settings).await;
    let told = call(
        &runtime,
        "convert_time",
        json!({
            "source_timezone": "Europe/Berlin", "time": "12:00", "target_timezone": "Asia/Tokyo"
        }),
    )
    .await;
    assert!(told["text"].as_str().unwrap().contains("Asia/Tokyo"), "{told}");
    let failed = call(&runtime, "get_current_time", json!({"timezone": "Nowhere/At_All"})).await;
    assert_eq!(failed["error"], true, "{failed}");
    runtime.shutdown().await;
}

#[tokio::test]
#[ignore = "needs foreign servers: scripts/mcp-check.sh cargo test -p l9 --features mcp --test mcp -- --ignored"]
async fn a_foreign_server_that_describes_itself_otherwise_is_blocked_until_it_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    // Its descriptions name the zone that it is started with.
    let started = async |zone: &str| {
        let settings = Settings { args: vec!["--local-timezone".into(), zone.into()], ..program("L9_MCP_TIME") };
        let runtime = Runtime::builder().data_dir(folder.path()).mcp_server("foreign", settings).build().await.unwrap();
        runtime.connect_servers().await;
        runtime
    };
    let zone = json!({"timezone": "Etc/UTC"});
    let runtime = started("Etc/UTC").await;
    call(&runtime, "get_current_time", zone.clone()).await;
    runtime.shutdown().await;

    let runtime = started("Asia/Tokyo").await;
    let refused = runtime.call("foreign/get_current_time", &zone.to_string()).await.unwrap_err().to_string();
    assert!(refused.contains("its server changed its input schema") && !refused.contains("Tokyo"), "{refused}");
    let recorded = recorded(&runtime.registry().standings(), &"foreign/get_current_time".parse().unwrap());
    let changes = recorded.last().unwrap().changes.clone().unwrap();
    assert!(changes.contains("Etc/UTC") && changes.contains("Asia/Tokyo"), "{changes}");
    accept(&runtime, "foreign/get_current_time").await;
    call(&runtime, "get_current_time", zone).await;
    runtime.shutdown().await;
}

#[tokio::test]
#[ignore = "needs foreign servers: scripts/mcp-check.sh cargo test -p l9 --features mcp --test mcp -- --ignored"]
async fn a_foreign_server_of_a_database_keeps_what_it_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("notes.db").display().to_string();
    let runtime = met(Settings { args: vec!["--db-path".into(), database], ..program("L9_MCP_SQLITE") }).await;
    call(&runtime, "create_table", json!({"query": "CREATE TABLE notes (words TEXT)"})).await;
    call(&runtime, "write_query", json!({"query": "INSERT INTO notes VALUES ('seventeen geese')"})).await;
    let read = call(&runtime, "read_query", json!({"query": "SELECT words FROM notes"})).await;
    assert!(read["text"].as_str().unwrap().contains("seventeen geese"), "{read}");
    runtime.shutdown().await;
}

#[tokio::test]
#[ignore = "needs foreign servers: scripts/mcp-check.sh cargo test -p l9 --features mcp --test mcp -- --ignored"]
async fn a_foreign_server_of_pages_fetches_one_and_its_words_are_not_trusted() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/geese.txt", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4_096]);
            let page = "seventeen geese";
            let head = format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}", page.len());
            let _ = stream.write_all(format!("{head}\r\nconnection: close\r\n\r\n{page}").as_bytes());
        }
    });
    let runtime = met(Settings {
        args: ["--ignore-robots-txt", "--allow-private-ips"].map(str::to_owned).to_vec(),
        ..program("L9_MCP_FETCH")
    })
    .await;
    let fetched = call(&runtime, "fetch", json!({"url": url})).await;
    assert!(fetched["text"].as_str().unwrap().contains("seventeen geese"), "{fetched}");
    let tool = runtime.registry().get(&"foreign/fetch".parse().unwrap()).unwrap();
    assert_eq!(tool.manifest.effect, EffectClass::OpaqueWrite, "whatever it hints");
    runtime.shutdown().await;
}

#[tokio::test]
#[ignore = "needs foreign servers: scripts/mcp-check.sh cargo test -p l9 --features mcp --test mcp -- --ignored"]
async fn a_foreign_server_that_shows_everything_is_understood_over_both_transports() {
    let runtime = met(program("L9_MCP_EVERYTHING")).await;
    everything(&runtime).await;
    runtime.shutdown().await;

    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let served = Command::new(std::env::var("L9_MCP_EVERYTHING").unwrap())
        .arg("streamableHttp")
        .env("PORT", port.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _served = Served(served);
    until("it listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()).await;
    let url = Some(format!("http://127.0.0.1:{port}/mcp"));
    let runtime = met(Settings { url, allow_private: true, ..Settings::default() }).await;
    everything(&runtime).await;
    runtime.shutdown().await;
}

/// A server that ends with the test.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn everything(runtime: &Runtime) {
    assert_eq!(call(runtime, "echo", json!({"message": "hello"})).await["text"], "Echo: hello");
    let tools = runtime.registry().list(&l9::TenantId::default_tenant());
    let structured = tools.iter().find(|tool| tool.manifest.id.as_str() == "foreign/get-structured-content");
    assert!(structured.is_some_and(|tool| tool.manifest.output_schema.is_some()));
    let weather = call(runtime, "get-structured-content", json!({"location": "Chicago"})).await;
    assert!(weather["structured"].is_object(), "{weather}");
    let drawn = call(runtime, "get-tiny-image", json!({})).await;
    assert_eq!(drawn["parts"][0]["media_type"], "image/png", "{drawn}");
    let slow = call(runtime, "trigger-long-running-operation", json!({"duration": 1, "steps": 4})).await;
    assert!(slow["text"].as_str().unwrap().contains("completed"), "{slow}");
}
