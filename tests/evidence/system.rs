//! A system with a run that has everything in it, and the two verifiers.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use l9::evidence::{SigningKey, Trust, Verdict, VerifyingKey, verify_bundle};
use l9::model::scripted::{Scripted, Turn};
use l9::tool::EffectClass;
use l9::{AgentProfile, RunId, Runtime, native};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Deserialize, JsonSchema)]
struct Ask {
    bytes: usize,
}

#[derive(Serialize, JsonSchema)]
struct Answer {
    text: String,
}

/// A folder with a system in it.
pub(crate) struct System {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) runtime: Runtime,
}

/// What is made of one run: the bundle, the key, and a checkpoint from before.
#[derive(Clone)]
pub(crate) struct Evidence {
    pub(crate) bytes: Vec<u8>,
    pub(crate) key: VerifyingKey,
    pub(crate) head: Option<String>,
}

impl System {
    pub(crate) async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let runtime = open(folder.path()).await;
        Self { folder, runtime }
    }

    /// The log's key, as its operator has it.
    pub(crate) fn key(&self) -> SigningKey {
        key(self.folder.path())
    }

    /// A run with a large value in it.
    pub(crate) async fn run(&self) -> RunId {
        let handle = self.runtime.run("scribe", "write").await.unwrap();
        let run = handle.run();
        let ended = tokio::time::timeout(Duration::from_secs(60), handle.outcome()).await.unwrap().unwrap();
        assert_eq!(ended.text(), "the end");
        run
    }

    /// A checkpoint as somebody keeps it elsewhere.
    pub(crate) async fn head(&self) -> String {
        self.runtime.audit().checkpoint().await.unwrap().unwrap().note
    }

    pub(crate) async fn evidence(&self, run: RunId, head: Option<String>) -> Evidence {
        let tenant = self.runtime.principal().tenant;
        let bundle = self.runtime.audit().export(&tenant, run, &[]).await.unwrap();
        Evidence { bytes: bundle.bytes, key: self.key().public().clone(), head }
    }
}

pub(crate) fn key(folder: &Path) -> SigningKey {
    let mut secret = [0; 32];
    hex::decode_to_slice(std::fs::read_to_string(folder.join("audit.key")).unwrap().trim(), &mut secret).unwrap();
    SigningKey::unnamed(&secret).unwrap()
}

pub(crate) async fn open(folder: &Path) -> Runtime {
    let turns = vec![
        Turn::call([("text/make", r#"{"bytes":70000}"#), ("text/make", r#"{"bytes":66000}"#)]),
        Turn::call([("text/make", r#"{"bytes":10}"#), ("text/none", "{}")]),
        Turn::say("the end"),
    ];
    let make = native::tool("text/make", "1.0.0", "Makes text.")
        .effect(EffectClass::Pure)
        .handler(|_, ask: Ask| async move { Ok(Answer { text: "é\"".repeat(ask.bytes / 4) }) });
    let profile = AgentProfile::new("scribe").unwrap().with_model("script").unwrap().with_tool("text/make").unwrap();
    Runtime::builder()
        .data_dir(folder)
        .model("script", Arc::new(Scripted::new(turns)))
        .agent(profile)
        .tool(make)
        .build()
        .await
        .unwrap()
}

impl Evidence {
    pub(crate) fn verify(&self) -> Verdict {
        verify_bundle(&self.bytes, &Trust { key: &self.key, head: self.head.as_deref() })
    }
}

/// What the Python verifier says of each: `None` if it accepts.
pub(crate) fn second_opinion(all: &[&Evidence]) -> Vec<Option<String>> {
    const DRIVER: &str = "
import sys
sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True
import verify_evidence as v
for at in range(int(sys.argv[3])):
    place = f'{sys.argv[2]}/{at}'
    try:
        head = open(place + '.head', encoding='utf-8').read()
    except FileNotFoundError:
        head = None
    try:
        v.judge(open(place, 'rb').read(), v.Key(open(place + '.key').read()), head)
        print('accepted')
    except (v.Rejected, ValueError, RecursionError) as error:
        print('rejected:', str(error).replace(chr(10), ' '))
";
    let folder = tempfile::tempdir().unwrap();
    for (at, evidence) in all.iter().enumerate() {
        let place = folder.path().join(at.to_string());
        std::fs::write(&place, &evidence.bytes).unwrap();
        std::fs::write(place.with_extension("key"), evidence.key.to_string()).unwrap();
        if let Some(head) = &evidence.head {
            std::fs::write(place.with_extension("head"), head).unwrap();
        }
    }
    let scripts = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let mut python = Command::new("python3");
    python.arg("-c").arg(DRIVER).arg(scripts).arg(folder.path()).arg(all.len().to_string());
    let output = python.output().expect("python3 runs: install it to have the second verifier");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<Option<String>> = said.lines().map(|line| (line != "accepted").then(|| line.to_owned())).collect();
    assert_eq!(lines.len(), all.len(), "{said}");
    lines
}
