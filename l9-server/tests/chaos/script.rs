//! What runs do: the model behind the agent `scribe`, and the tools with which it writes to
//! the outside ledger, one for every effect class.

use std::fmt::Display;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};

/// The tools by the kind of their lines, with their effect classes.
const TOOLS: [(&str, &str); 4] =
    [("read", "read"), ("keyed", "keyed_write"), ("queryable", "queryable_write"), ("opaque", "opaque_write")];

/// What the scribe calls in each of its turns; then it says that it is done.
const TURNS: [&[(&str, u32)]; 3] =
    [&[("keyed", 1)], &[("opaque", 1), ("keyed", 2), ("read", 1)], &[("queryable", 1), ("opaque", 2)]];

/// A line of somebody's, such as a run's number, that is written with a tool.
pub(crate) fn line(whose: impl Display, kind: &str, at: u32) -> String {
    format!("{whose} {kind} {at}")
}

/// That line as the ledger is told it.
pub(crate) fn item(line: &str) -> String {
    json!({ "text": line }).to_string()
}

/// What a run is asked.
pub(crate) fn input(n: u32) -> String {
    format!("Write the lines of {n}")
}

/// Somebody's plan: it writes the lines that an agent writes, a list of them side by side. What
/// may end without anybody knowing how may fail, and what needs it goes on all the same.
pub(crate) fn plan(whose: impl Display) -> Value {
    let write = |id: &str, kind: &str, at: u32, needs: &[&str]| {
        let optional = matches!(kind, "opaque" | "queryable");
        json!({
            "id": id, "tool": format!("ledger/{kind}"), "arguments": {"text": line(&whose, kind, at)}, "needs": needs,
            "trigger": "all_done", "optional": optional, "retry": {"attempts": 3, "backoff_seconds": 0},
        })
    };
    let mut list = write("list", "queryable", 0, &["first"]);
    list["map"] = json!({"over": [line(&whose, "queryable", 1), line(&whose, "queryable", 2)], "parallel": 2});
    list["arguments"] = json!({"text": "${item}"});
    let nodes = [
        write("first", "keyed", 1, &[]),
        write("once", "opaque", 1, &["first"]),
        list,
        json!({"id": "moment", "needs": ["once", "list"], "trigger": "all_done", "wait": {"seconds": 0}}),
        write("last", "keyed", 2, &["moment"]),
        write("look", "read", 1, &["moment"]),
    ];
    json!({"plan": "scribe", "output": "written", "nodes": nodes})
}

/// The model's answer to a conversation: the next turn of the run it belongs to. It
/// remembers nothing, so that a call that is made again is answered alike.
pub(crate) fn choices(body: &Value) -> Vec<Value> {
    let said = |role: &str| -> Vec<&Value> {
        body["messages"].as_array().into_iter().flatten().filter(|message| message["role"] == role).collect()
    };
    let n =
        said("user").iter().find_map(|message| message["content"].as_str()?.rsplit(' ').next()?.parse::<u32>().ok());
    let turn = said("assistant").len();
    let Some((n, calls)) = n.zip(TURNS.get(turn)) else {
        return vec![json!({"delta": {"content": "written"}, "finish_reason": "stop"})];
    };
    let call = |(at, (kind, number)): (usize, &(&str, u32))| {
        let arguments = json!({"text": line(n, kind, *number)}).to_string();
        json!({"index": at, "id": format!("call-{turn}-{at}"), "type": "function",
            "function": {"name": wire(body, kind), "arguments": arguments}})
    };
    let calls: Vec<Value> = calls.iter().enumerate().map(call).collect();
    vec![json!({"delta": {"tool_calls": calls}, "finish_reason": "tool_calls"})]
}

/// The name under which a tool was offered.
fn wire(body: &Value, kind: &str) -> String {
    let offered = body["tools"].as_array().into_iter().flatten();
    let mut names = offered.filter_map(|tool| tool["function"]["name"].as_str());
    names.find(|name| name.ends_with(kind)).unwrap_or(kind).to_owned()
}

/// Writes the folders `agents` and `tools` that every node reads.
pub(crate) fn prepare(folder: &Path, ledger: SocketAddr) {
    let (agents, tools) = (folder.join("agents"), folder.join("tools"));
    fs::create_dir(&agents).unwrap();
    fs::create_dir(&tools).unwrap();
    let names: Vec<String> = TOOLS.iter().map(|(kind, _)| format!("ledger/{kind}")).collect();
    let profile = format!("id: scribe\nmodel: openai/test-1\ntools: [{}]\n", names.join(", "));
    fs::write(agents.join("scribe.yaml"), profile).unwrap();
    for (kind, effect) in TOOLS {
        fs::write(tools.join(format!("{kind}.json")), manifest(kind, effect, ledger).to_string()).unwrap();
    }
}

fn manifest(kind: &str, effect: &str, ledger: SocketAddr) -> Value {
    // A write's key goes into its header; a read has none there.
    let key = if effect == "read" { "?key={$idempotency_key}" } else { "" };
    let mut manifest = json!({
        "schema_version": 1, "id": format!("ledger/{kind}"), "version": "1.0.0", "title": "Write a line",
        "description": "Writes a line to the ledger.", "effect": effect,
        "runtime": {
            "kind": "http", "method": "POST", "url": format!("http://{ledger}/{kind}{key}"), "body": {"text": "{text}"},
        },
        "input_schema": {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}},
        "net": [{"scheme": "http", "host": ledger.ip(), "port": ledger.port(), "methods": ["GET", "POST"],
            "path_prefix": "/", "allow_private": true}],
        "limits": {"wall_ms": 1000},
    });
    if effect == "queryable_write" {
        let url = format!("http://{ledger}/probe?key={{$idempotency_key}}");
        manifest["runtime"]["probe"] = json!({"method": "GET", "url": url});
    }
    manifest
}
