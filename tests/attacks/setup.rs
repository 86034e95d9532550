//! One call of a tool through a real runtime, and what came of it.
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may fail, and waits for real")]

use std::sync::Arc;
use std::time::Duration;

use l9::gateway::{Gateway, Rules};
use l9::governor::{Choice, OnUnknown};
use l9::id::{ApprovalId, CommandId};
use l9::journal::RunFilter;
use l9::model::scripted::{Scripted, Turn};
use l9::redact::KnownSecrets;
use l9::run::{Event, Outcome, Remember};
use l9::tool::ToolSandbox;
use l9::{AgentProfile, Runtime, Settings};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::world::{Server, World};

/// A system with one tool.
pub(crate) struct Setup {
    pub(crate) manifest: Value,
    pub(crate) gateway: Gateway,
    pub(crate) settings: Settings,
    /// Secrets that any tool may use.
    pub(crate) secrets: Vec<(&'static str, String)>,
    /// What performs the calls, if not what the manifest says.
    pub(crate) sandbox: Option<Arc<dyn ToolSandbox>>,
    /// What is masked and does not leave; it learns the secrets above.
    pub(crate) known: Arc<KnownSecrets>,
}

/// What came of a call: the code of its fault, or `ok`, or `unknown`; `manifest` if there
/// was none because the manifest was refused.
#[derive(Debug)]
pub(crate) struct Called {
    pub(crate) code: String,
    /// Everything that was journaled, or why the manifest was refused.
    pub(crate) journal: String,
}

impl Setup {
    pub(crate) fn new(manifest: Value, gateway: Gateway) -> Self {
        let settings = Settings { attempts: 1, unknown: OnUnknown::Tell, ..Settings::default() };
        Self { manifest, gateway, settings, secrets: Vec::new(), sandbox: None, known: Arc::default() }
    }

    /// The same, performed by another sandbox.
    pub(crate) fn by(mut self, sandbox: Arc<dyn ToolSandbox>) -> Self {
        self.sandbox = Some(sandbox);
        self
    }

    pub(crate) fn secret(mut self, handle: &'static str, value: impl Into<String>) -> Self {
        self.secrets.push((handle, value.into()));
        self
    }

    /// The system, and the folder that its manifest lies in.
    pub(crate) async fn build(self, turns: Vec<Turn>) -> Result<(Runtime, tempfile::TempDir), String> {
        let folder = tempfile::tempdir().unwrap();
        if self.sandbox.is_none() {
            std::fs::write(folder.path().join("tool.json"), self.manifest.to_string()).unwrap();
        }
        let id = self.manifest["id"].as_str().unwrap().to_owned();
        let profile = AgentProfile::new("agent").unwrap().with_model("script").unwrap().with_tool(&id).unwrap();
        let builder = Runtime::builder().known_secrets(Arc::clone(&self.known));
        let mut builder = builder.settings(self.settings).in_memory().tools_dir(folder.path());
        for (handle, value) in self.secrets {
            builder = builder.tool_secret(handle, SecretString::from(value));
        }
        let builder = builder.gateway(self.gateway).model("script", Arc::new(Scripted::new(turns))).agent(profile);
        let runtime = Box::pin(builder.build()).await.map_err(|error| error.to_string())?;
        if let Some(sandbox) = self.sandbox {
            let manifest = serde_json::from_value(self.manifest).unwrap();
            runtime.registry().register(manifest, sandbox).map_err(|error| error.to_string())?;
        }
        Ok((runtime, folder))
    }

    /// An agent calls the tool with each of these arguments, one after the other; the code is
    /// the last one's.
    pub(crate) async fn agent(self, arguments: &[Value]) -> Called {
        let id = self.manifest["id"].as_str().unwrap().to_owned();
        let texts: Vec<String> = arguments.iter().map(Value::to_string).collect();
        let mut turns: Vec<Turn> = texts.iter().map(|text| Turn::call([(id.as_str(), text.as_str())])).collect();
        turns.push(Turn::say("done"));
        match self.build(turns).await {
            Err(journal) => Called { code: "manifest".into(), journal },
            Ok((runtime, _folder)) => {
                let handle = runtime.run("agent", "go").await.unwrap();
                watched(&runtime, handle, &id).await
            }
        }
    }

    /// A person calls the tool; the code is `none` if nothing was begun.
    pub(crate) async fn person(self, arguments: &str) -> Called {
        let id = self.manifest["id"].as_str().unwrap().to_owned();
        let (runtime, _folder) = self.build(Vec::new()).await.unwrap();
        match runtime.call(&id, arguments).await {
            Ok(handle) => watched(&runtime, handle, &id).await,
            Err(error) => {
                let tenant = runtime.principal().tenant;
                let runs = runtime.store().runs(&tenant, &RunFilter::default(), 10).await.unwrap();
                assert!(runs.is_empty(), "{runs:?}");
                Called { code: "none".into(), journal: error.to_string() }
            }
        }
    }

    /// A person calls the tool, whose manifest asks first; what `learned` has becomes known
    /// while it waits, and then it is approved.
    pub(crate) async fn approved(mut self, arguments: &str, learned: Option<&str>) -> Called {
        let id = self.manifest["id"].as_str().unwrap().to_owned();
        self.manifest["approval"] = json!("always");
        let known = Arc::clone(&self.known);
        let (runtime, _folder) = self.build(Vec::new()).await.unwrap();
        let (by, handle) = (runtime.principal(), runtime.call(&id, arguments).await.unwrap());
        let question = asked(&runtime).await;
        let secret = learned.map(|secret| SecretString::from(secret.to_owned()));
        known.learn(secret.iter().map(|secret| ("other-key", secret)));
        let approve = Choice::Approve { arguments: None, remember: Remember::Once };
        let command = CommandId::new("approve").unwrap();
        runtime.engine().decide(&by, question, approve, "for the test".into(), command).await.unwrap();
        watched(&runtime, handle, &id).await
    }
}

/// Waits until a run asks a person.
pub(crate) async fn asked(runtime: &Runtime) -> ApprovalId {
    loop {
        match runtime.engine().approvals(&runtime.principal().tenant).await.unwrap().pop() {
            Some(question) => return question.id,
            None => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn watched(runtime: &Runtime, mut handle: l9::RunHandle, id: &str) -> Called {
    let (mut code, mut journal, mut calls) = ("none".to_owned(), String::new(), Vec::new());
    while let Some((_, event)) = handle.next_event().await.unwrap() {
        journal.push_str(&format!("{event:?}\n"));
        match event {
            Event::EffectIntent(intent) if format!("{:?}", intent.action).contains(id) => calls.push(intent.call),
            Event::EffectDenied(_) => code = "denied".into(),
            Event::EffectUnknown(_) => code = "unknown".into(),
            Event::EffectResult(result) if calls.contains(&result.call) => {
                code = match &result.outcome {
                    Outcome::Failed { code, .. } => code.clone(),
                    _ => "ok".into(),
                };
            }
            _ => {}
        }
    }
    runtime.shutdown().await;
    Called { code, journal }
}

/// One call of a tool by an agent, in a world.
pub(crate) async fn fetch(manifest: Value, world: &Arc<World>) -> Called {
    fetch_by(manifest, Gateway::new(Arc::<World>::clone(world))).await
}

/// The same without the rule about addresses.
pub(crate) async fn fetch_unguarded(manifest: Value, world: &Arc<World>) -> Called {
    fetch_by(
        manifest,
        Gateway::new(Arc::<World>::clone(world)).with_rules(Rules { address: |_| None, ..Rules::default() }),
    )
    .await
}

async fn fetch_by(manifest: Value, gateway: Gateway) -> Called {
    Setup::new(manifest, gateway).agent(&[json!({"path": "x"})]).await
}

pub(crate) fn refused(called: &Called, server: &Server) {
    assert_eq!((called.code.as_str(), server.seen().len()), ("refused", 0), "{}", called.journal);
}

pub(crate) fn reached(called: &Called, server: &Server) {
    assert_eq!((called.code.as_str(), server.seen().len()), ("ok", 1), "{}", called.journal);
}
