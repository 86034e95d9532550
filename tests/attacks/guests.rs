//! Guests of the wasm sandbox with their manifests, each called through a real runtime.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::BTreeMap;
use std::path::Path;

use l9::digest::sha256;
use l9::gateway::Gateway;
use l9::governor::OnUnknown;
use l9::run::Event;
use l9::wasm::{Mount, Settings as Sandbox};
use l9::{Runtime, Settings};
use secrecy::SecretString;
use serde_json::{Value, json};

/// Does with the host whatever its input says.
pub(crate) const HOST_CALLS: &[u8] = include_bytes!("../../l9-tools/guests/dist/hostcalls.wasm");
/// Misbehaves in the way that its tool's name says.
pub(crate) const HOSTILE: &[u8] = include_bytes!("../../l9-tools/guests/dist/hostile.wasm");

/// A component with its manifest, and the sandbox that it is for.
#[derive(Clone)]
pub(crate) struct Guest {
    pub(crate) manifest: Value,
    pub(crate) sandbox: Sandbox,
    pub(crate) gateway: Gateway,
    secrets: Vec<(&'static str, &'static str)>,
    bytes: Vec<u8>,
}

impl Guest {
    pub(crate) fn new(id: &str, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        let manifest = json!({
            "schema_version": 1, "id": id, "version": "1.0.0", "title": "Guest", "description": "Is under test.",
            "runtime": {"kind": "wasm", "module": {
                "sha256": sha256(&[&bytes]).to_string(), "size": bytes.len(), "world": "l9:tool/tool@0.1.0"
            }},
            "input_schema": {"type": "object"},
            "effect": "read",
            "limits": {"fuel": 50_000_000, "wall_ms": 30_000}
        });
        Self { manifest, sandbox: Sandbox::default(), gateway: Gateway::default(), secrets: Vec::new(), bytes }
    }

    /// The guest that calls the host, with room for keys; its mount and its net lead nowhere.
    pub(crate) fn host_calls() -> Self {
        let guest = Self::new("guest/host", HOST_CALLS);
        guest
            .with("fs", json!([{"mount": "none", "mode": "read_only"}]))
            .with("kv", json!({"max_bytes": 67_108_864, "max_keys": 100}))
            .with("net", json!([{"scheme": "https", "host": "nowhere.invalid", "methods": ["GET"]}]))
            .mounting("none", Path::new("."))
    }

    pub(crate) fn with(mut self, field: &str, value: Value) -> Self {
        self.manifest[field] = value;
        self
    }

    pub(crate) fn limit(mut self, name: &str, value: u64) -> Self {
        self.manifest["limits"][name] = json!(value);
        self
    }

    /// A secret that the system has, for any tool and host.
    pub(crate) fn secret(mut self, handle: &'static str, value: &'static str) -> Self {
        self.secrets.push((handle, value));
        self
    }

    /// Another size of the sandbox.
    pub(crate) fn sized(mut self, size: impl FnOnce(&mut Sandbox)) -> Self {
        size(&mut self.sandbox);
        self
    }

    /// A folder that all tenants see under that name.
    pub(crate) fn mounting(mut self, name: &str, path: &Path) -> Self {
        self.sandbox.mounts.insert(name.into(), Mount { path: path.into(), shared: true });
        self
    }

    /// A system with this tool and nothing else, or why there is none.
    pub(crate) async fn start(&self) -> Result<Runtime, String> {
        let settings =
            Settings { attempts: 1, unknown: OnUnknown::Tell, wasm: self.sandbox.clone(), ..Settings::default() };
        let manifest =
            l9::registry::from_json(self.manifest.to_string().as_bytes()).map_err(|error| error.to_string())?;
        let mut builder = Runtime::builder().settings(settings).in_memory().gateway(self.gateway.clone());
        for (handle, value) in &self.secrets {
            builder = builder.tool_secret(*handle, SecretString::from((*value).to_owned()));
        }
        let builder = builder.wasm_tool(manifest, self.bytes.clone());
        Box::pin(builder.build()).await.map_err(|error| error.to_string())
    }

    /// One call, and what it gave: its output, or its fault as `code: message`; `manifest: …`
    /// if it was refused before.
    pub(crate) async fn call(&self, input: &Value) -> Result<Value, String> {
        let runtime = self.start().await.map_err(|error| format!("manifest: {error}"))?;
        let called = call(&runtime, self.manifest["id"].as_str().unwrap(), &input.to_string()).await;
        runtime.shutdown().await;
        called
    }

    /// A call that goes well.
    pub(crate) async fn gives(&self, input: &Value) -> Value {
        self.call(input).await.unwrap()
    }

    /// A call that does not.
    pub(crate) async fn fails(&self, input: &Value) -> String {
        self.call(input).await.unwrap_err()
    }
}

/// One call through a running system.
pub(crate) async fn call(runtime: &Runtime, tool: &str, input: &str) -> Result<Value, String> {
    let handle = runtime.call(tool, input).await.map_err(|error| error.to_string())?;
    let ended = handle.outcome().await.map_err(|error| error.to_string())?;
    match &ended.code {
        None => Ok(ended.answer),
        Some(code) => Err(format!("{code}: {}", ended.text())),
    }
}

/// Everything that a call of the guest that calls the host has journaled.
pub(crate) async fn events(runtime: &Runtime, input: &Value) -> Vec<Event> {
    let (by, handle) = (runtime.principal(), runtime.call("guest/host", &input.to_string()).await.unwrap());
    let run = handle.run();
    handle.outcome().await.unwrap();
    let (mut feed, mut events) = (runtime.engine().feed(&by.tenant, run, 0).await.unwrap(), Vec::new());
    loop {
        let page = feed.page().await.unwrap();
        if page.is_empty() {
            return events;
        }
        events.extend(page.into_iter().map(|(_, event)| event));
    }
}

/// What came of each step of a guest that calls the host: what it gave, or its kind of error.
pub(crate) fn told(output: &Value) -> Vec<Value> {
    let step = |step: &Value| match step.get("error") {
        Some(error) => error.clone(),
        None => step.get("gave").cloned().unwrap_or(json!("done")),
    };
    output["steps"].as_array().unwrap().iter().map(step).collect()
}

/// A component with one core module, written by hand against the canonical ABI. What stands at
/// address 16 when `invoke` gives 16 is the output `1`.
pub(crate) fn component(core: &str) -> Vec<u8> {
    wat::parse_str(format!(
        r#"(component
            (core module $m
                (data (i32.const 16) "\00\00\00\00\40\00\00\00\01\00\00\00")
                (data (i32.const 64) "1")
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
                {core})
            (core instance $i (instantiate $m))
            {LIFTED})"#
    ))
    .unwrap()
}

/// The world's export out of the core instance `$i`.
pub(crate) const LIFTED: &str = r#"
    (type $call (record (field "tool" string) (field "input" string)))
    (type $fault (variant (case "invalid-input" string) (case "failed" string)))
    (export $call' "call" (type $call))
    (export $fault' "fault" (type $fault))
    (func (export "invoke") (param "call" $call') (result (result string (error $fault')))
        (canon lift (core func $i "invoke") (memory (core memory $i "memory"))
            (realloc (core func $i "cabi_realloc"))))"#;

/// Names and contents of a folder's files, links not followed.
pub(crate) fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            let name = entry.file_name().to_string_lossy().into_owned();
            found.insert(name, std::fs::read_to_string(entry.path()).unwrap());
        }
    }
    found
}
