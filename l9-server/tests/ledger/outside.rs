//! What stands outside of L9: a model's provider and a server of tools that count what
//! arrives, and the files by which L9 knows them.

use std::path::Path;
use std::time::Duration;

use l9_services::{Fault, Ledger};
use serde_json::{Value, json};

use crate::cases::{LETTERS, Trouble, turns_of};
use crate::support::provider::Provider;

/// The tools by the kind of their lines, with their effect classes.
const TOOLS: [(&str, &str); 8] = [
    ("read", "read"),
    ("keyed", "keyed_write"),
    ("queryable", "queryable_write"),
    ("opaque", "opaque_write"),
    ("asks", "keyed_write"),
    ("pays", "keyed_write"),
    ("mail", "keyed_write"),
    ("other", "keyed_write"),
];

/// The outside.
pub(crate) struct Outside {
    pub(crate) ledger: Ledger,
    pub(crate) provider: Provider,
}

impl Outside {
    pub(crate) async fn start() -> Self {
        let (ledger, provider) =
            tokio::join!(Ledger::start(Duration::ZERO), Provider::answering(choices, Duration::ZERO));
        Self { ledger, provider }
    }

    /// How many requests have arrived: at the provider, and at the tools' server.
    pub(crate) fn requests(&self) -> (u32, u32) {
        let tools = self.ledger.lines().values().map(|line| line.requests).sum();
        (u32::try_from(self.provider.asked().len()).unwrap(), tools)
    }

    pub(crate) fn prepare_for(&self, trouble: Trouble) {
        match trouble {
            Trouble::None => {}
            Trouble::Busy => self.provider.fail(1),
            Trouble::Cut => self.ledger.fail([Fault::Cut]),
        }
    }

    /// The environment of a server that knows it, in which nobody is waited for who could say
    /// how an unknown effect ended.
    pub(crate) fn environment(&self) -> Vec<(&str, &str)> {
        let effects = [("L9__EFFECTS__UNKNOWN", "tell"), ("L9__EFFECTS__BACKOFF_MS", "20")];
        self.provider.environment().into_iter().chain(effects).collect()
    }

    /// Writes the folders `agents` and `tools`.
    pub(crate) fn prepare(&self, data: &Path) {
        for folder in ["agents", "tools"] {
            std::fs::create_dir_all(data.join(folder)).unwrap();
        }
        for profile in profiles(&[]) {
            // Every JSON is YAML.
            let file = format!("agents/{}.yaml", profile["id"].as_str().unwrap());
            std::fs::write(data.join(file), profile.to_string()).unwrap();
        }
        for (kind, effect) in TOOLS {
            std::fs::write(data.join(format!("tools/{kind}.json")), self.manifest(kind, effect).to_string()).unwrap();
        }
    }

    fn manifest(&self, kind: &str, effect: &str) -> Value {
        let address = self.ledger.address;
        // A write's key goes into its header; a read has none there.
        let key = if effect == "read" { "?key={$idempotency_key}" } else { "" };
        let mut manifest = json!({
            "schema_version": 1, "id": format!("ledger/{kind}"), "version": "1.0.0", "title": "Write a line",
            "description": "Writes a line to the ledger.", "effect": effect,
            "runtime": {
                "kind": "http", "method": "POST", "url": format!("http://{address}/{kind}{key}"), "body": {"text": "{text}"},
            },
            "input_schema": {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}},
            "net": [{"scheme": "http", "host": address.ip(), "port": address.port(), "methods": ["GET", "POST"],
                "path_prefix": "/", "allow_private": true}],
            "limits": {"wall_ms": 20_000},
        });
        match kind {
            "queryable" => {
                let url = format!("http://{address}/probe?key={{$idempotency_key}}");
                manifest["runtime"]["probe"] = json!({"method": "GET", "url": url});
            }
            "asks" | "pays" => manifest["approval"] = json!("always"),
            _ => {}
        }
        if matches!(kind, "mail" | "pays") {
            manifest["input_schema"]["properties"]["to"] = json!({"type": "string"});
            manifest["args"] = json!({"/to": {"role": "recipient"}});
        }
        manifest
    }
}

/// Writes the letters that are taken into memory.
pub(crate) fn write_letters(folder: &Path) {
    std::fs::create_dir_all(folder.join("letters")).unwrap();
    for (name, text) in LETTERS {
        std::fs::write(folder.join(name), text).unwrap();
    }
}

/// The agents, with further tools for the one that does most.
pub(crate) fn profiles(further: &[&str]) -> [Value; 4] {
    let granted = TOOLS.iter().map(|(kind, _)| format!("ledger/{kind}")).filter(|tool| tool != "ledger/other");
    let others = ["calc/evaluate", "memory/search", "memory/remember", "run/wait"];
    let tools: Vec<String> = granted.chain(others.iter().chain(further).map(|tool| (*tool).to_owned())).collect();
    [
        json!({"id": "scribe", "model": "openai/test-1", "tools": tools, "delegates": ["helper", "deputy"]}),
        json!({"id": "helper", "model": "openai/test-1"}),
        json!({"id": "deputy", "model": "openai/test-1", "tools": ["ledger/asks"]}),
        json!({"id": "poor", "model": "openai/test-1", "tools": ["ledger/keyed"], "budget": {"calls": 1}}),
    ]
}

/// The model's answer to a conversation: the next turn of the case that it is about. It
/// remembers nothing, so that a request that is made again is answered alike.
fn choices(body: &Value) -> Vec<Value> {
    let said = |role: &str| -> Vec<&Value> {
        body["messages"].as_array().into_iter().flatten().filter(|message| message["role"] == role).collect()
    };
    let input = said("user")[0]["content"].as_str().unwrap();
    let turn = said("assistant").len();
    let Some(calls) = turns_of(input).into_iter().nth(turn) else {
        return vec![json!({"delta": {"content": "done"}, "finish_reason": "stop"})];
    };
    let call = |(at, (tool, arguments)): (usize, (&str, Value))| {
        json!({"index": at, "id": format!("call-{turn}-{at}"), "type": "function",
            "function": {"name": wire(body, tool), "arguments": arguments.to_string()}})
    };
    let calls: Vec<Value> = calls.into_iter().enumerate().map(call).collect();
    vec![json!({"delta": {"tool_calls": calls}, "finish_reason": "tool_calls"})]
}

/// The name under which a tool was offered; its own if it was not.
fn wire(body: &Value, tool: &str) -> String {
    let spelt = tool.replace('/', "__");
    let mut offered = body["tools"].as_array().into_iter().flatten();
    if offered.any(|offer| offer["function"]["name"] == spelt.as_str()) { spelt } else { tool.to_owned() }
}
