//! A served system with two MCP servers in its configuration, one a program and one over
//! HTTP, and an agent that uses both.
#![expect(clippy::unwrap_used, reason = "a test's helpers, whose failure is the test's")]

mod support;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use support::Served;
use support::provider::Provider;

/// A server over HTTP; killed when dropped.
struct Far(Child, String);

impl Drop for Far {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn rude() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/mcp/rude.py")
}

impl Far {
    fn start() -> Self {
        let mut child = Command::new("python3")
            .arg(rude())
            .arg("--http")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is needed: install it");
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Self(child, format!("http://127.0.0.1:{}/mcp", port.trim()))
    }
}

/// Calls both tools, then says so.
fn choices(body: &Value) -> Vec<Value> {
    let turns = body["messages"].as_array().into_iter().flatten().filter(|message| message["role"] == "assistant");
    let tool = match turns.count() {
        0 => "notes__echo",
        1 => "far__echo",
        _ => return vec![json!({"delta": {"content": "both echoed"}, "finish_reason": "stop"})],
    };
    let call = json!({"index": 0, "id": format!("call-{tool}"), "type": "function",
        "function": {"name": tool, "arguments": "{\"said\": \"hello\"}"}});
    vec![json!({"delta": {"tool_calls": [call]}, "finish_reason": "tool_calls"})]
}

#[tokio::test]
async fn an_agent_uses_the_tools_of_both_servers_and_the_journal_has_each() {
    let (far, provider) = (Far::start(), Provider::answering(choices, Duration::ZERO).await);
    let configuration = json!({"mcp": {"servers": {
        "notes": {"command": "python3", "args": [rude()], "tools": ["echo"]},
        "far": {"url": far.1, "allow_private": true},
        "gone": {"command": "no-such-program-anywhere"},
    }}});
    let agent = json!({"id": "clerk", "model": "openai/test-1", "tools": ["notes/echo", "far/echo"]});
    let served = Served::start_with(&provider.environment(), |data| {
        // Every JSON is YAML.
        std::fs::write(data.join("config.yaml"), configuration.to_string()).unwrap();
        std::fs::create_dir_all(data.join("agents")).unwrap();
        std::fs::write(data.join("agents/clerk.yaml"), agent.to_string()).unwrap();
    })
    .await;
    let health = well(&served).await;
    assert_eq!(health["status"], "ok", "a server that is not there is not the system's fault: {health}");
    let gone = &health["components"]["mcp gone"];
    assert!(gone["status"] == "stale" && gone["detail"].as_str().unwrap().contains("no-such-program"), "{gone}");

    let ended = served.post("/agents/clerk/runs", &json!({"input": "echo hello", "wait": true})).await;
    assert_eq!(ended.json()["answer"], "both echoed", "{ended:?}");
    let run = ended.json()["run_id"].as_str().unwrap().to_owned();
    let events = served.get(&format!("/runs/{run}/events")).await.text;
    for tool in ["notes/echo", "far/echo"] {
        assert_eq!(events.matches(&format!("\"tool\":\"{tool}\"")).count(), 1, "{tool}: {events}");
    }
    let told = &provider.asked()[2]["messages"];
    assert!(told.to_string().contains("hello"), "the model reads what the tools gave: {told}");
    let called = served.post("/tools/far/echo/call", &json!({"arguments": {"a": 2}})).await;
    assert_eq!(called.status, 200, "{called:?}");
    let mut served = served;
    served.terminate();
    assert_eq!(served.ended().await, Some(0), "{}", served.log());
}

/// The health once both servers that are there are connected to.
async fn well(served: &Served) -> Value {
    for tries in 0.. {
        assert!(tries < 600, "never connected: {}", served.log());
        let health = served.get("/health").await.json();
        let connected = |name: &str| {
            let detail = &health["components"][format!("mcp {name}")]["detail"];
            detail.as_str().is_some_and(|detail| detail.starts_with("connected"))
        };
        if connected("notes") && connected("far") && health["components"]["mcp gone"]["status"] == "stale" {
            return health;
        }
        support::pause(100).await;
    }
    unreachable!("the tries end")
}
