//! A system whose tools come from a folder: small components, each of which answers every
//! call with one word.

use std::path::{Path, PathBuf};

use l9::digest::sha256;
use l9::evidence::SigningKey;
use l9::registry::{from_json, sign, signature_path};
use l9::tool::{Manifest, ToolState};
use l9::tools::{Decided, Decision};
use l9::{Result, Runtime, Settings};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A data folder with a folder of tools in it.
pub(crate) struct Bed {
    folder: TempDir,
}

/// A component that answers with a word; `imports` stands before it, in the text format.
pub(crate) fn component(word: &str, imports: &str) -> Vec<u8> {
    let answer = format!("\\22{word}\\22");
    let length = word.len() + 2;
    let text = format!(
        r#"(component
            {imports}
            (core module $m
              (memory (export "memory") 1)
              (data (i32.const 16) "\00\00\00\00\40\00\00\00\{length:02x}\00\00\00\00\00\00\00")
              (data (i32.const 64) "{answer}")
              (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
              (func (export "invoke") (param i32 i32 i32 i32) (result i32) i32.const 16))
            (core instance $i (instantiate $m))
            (type $call (record (field "tool" string) (field "input" string)))
            (type $fault (variant (case "invalid-input" string) (case "failed" string)))
            (export $call' "call" (type $call))
            (export $fault' "fault" (type $fault))
            (func (export "invoke") (param "call" $call') (result (result string (error $fault')))
                (canon lift (core func $i "invoke") (memory (core memory $i "memory"))
                    (realloc (core func $i "cabi_realloc")))))"#
    );
    wat::parse_str(text).expect("the component is well-formed")
}

/// The manifest of a component.
pub(crate) fn manifest(id: &str, version: &str, component: &[u8]) -> Value {
    json!({
        "schema_version": 1,
        "id": id,
        "version": version,
        "title": "A word",
        "description": "Gives a word.",
        "runtime": {"kind": "wasm", "module": {
            "sha256": sha256(&[component]).to_string(), "size": component.len(), "world": "l9:tool/tool@0.1.0"
        }},
        "input_schema": {"type": "object"},
        "effect": "pure",
        "limits": {"fuel": 1_000_000, "wall_ms": 60_000}
    })
}

/// The key of somebody who releases tools.
pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::unnamed(&[seed; 32]).expect("a key")
}

impl Bed {
    pub(crate) fn new() -> Self {
        let bed = Self { folder: TempDir::new().expect("a folder") };
        std::fs::create_dir(bed.tools()).expect("a folder of tools");
        bed
    }

    pub(crate) fn data_dir(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn tools(&self) -> PathBuf {
        self.folder.path().join("tools")
    }

    /// Where a tool's manifest stands.
    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.tools().join(format!("{file}.json"))
    }

    /// Puts a manifest and its component into the folder.
    pub(crate) fn put(&self, file: &str, manifest: &Value, component: &[u8]) -> Manifest {
        std::fs::write(self.path(file).with_extension("wasm"), component).expect("written");
        std::fs::write(self.path(file), manifest.to_string()).expect("written");
        from_json(manifest.to_string().as_bytes()).expect("a manifest")
    }

    /// Puts in a tool that answers with a word.
    pub(crate) fn word(&self, file: &str, id: &str, version: &str, word: &str) -> Manifest {
        let component = component(word, "");
        self.put(file, &manifest(id, version, &component), &component)
    }

    /// Signs what stands under a name.
    pub(crate) fn sign(&self, file: &str, manifest: &Manifest, key: &SigningKey) {
        std::fs::write(signature_path(&self.path(file)), sign(manifest, key).expect("signed")).expect("written");
    }

    pub(crate) fn settings(&self) -> Settings {
        let tools_dir = Some(self.tools());
        Settings { data_dir: self.data_dir().to_owned(), tools_dir, ..Settings::default() }
    }

    /// Starts a system over the folder, or tells why it does not start.
    pub(crate) async fn try_start(&self, settings: Settings) -> Result<Runtime> {
        Box::pin(Runtime::builder().settings(settings).build()).await
    }

    pub(crate) async fn start(&self) -> Runtime {
        self.try_start(self.settings()).await.expect("the system starts")
    }
}

/// Settings under which only what these keys signed comes in.
pub(crate) fn trusting(mut settings: Settings, keys: &[(&str, &SigningKey)]) -> Settings {
    let key = |(name, key): &(&str, &SigningKey)| ((*name).to_owned(), key.public().to_string());
    settings.tools.trusted_keys = keys.iter().map(key).collect();
    settings.tools.require_signature = true;
    settings
}

/// Calls a tool and gives its word, or why it has none.
pub(crate) async fn ask(runtime: &Runtime, tool: &str) -> std::result::Result<String, String> {
    let handle = runtime.call(tool, "{}").await.map_err(|error| error.to_string())?;
    let ended = handle.outcome().await.map_err(|error| error.to_string())?;
    match &ended.code {
        None => Ok(ended.text()),
        Some(code) => Err(format!("{code}: {}", ended.text())),
    }
}

/// Decides about a tool, as Ada.
pub(crate) async fn decide(runtime: &Runtime, tool: &str, state: ToolState, reason: &str) -> Result<Vec<Decided>> {
    let name = tool.parse().expect("a name");
    let decision = Decision { name, contract: None, state, reason: reason.to_owned() };
    runtime.decide_tool("person:ada", &decision).await
}
