//! The server without manners, and calls of its tools by an agent in a whole system.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use l9::governor::OnUnknown;
use l9::mcp::{Override, Settings};
use l9::model::scripted::{Scripted, Turn};
use l9::run::{Event, Outcome};
use l9::time::{Clock as _, SystemClock};
use l9::tool::{EffectClass, ToolState};
use l9::tools::Decision;
use l9::{AgentProfile, Builder, Runtime, StartOptions};
use serde_json::{Value, json};

/// No wait in a test is longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What stands in the environment of a server and must show nowhere.
pub(crate) const SECRET: &str = "hunter2-hunter2-hunter2";

/// Its handle.
pub(crate) const HANDLE: &str = "rude-token";

/// The folder of a server's script and log, and of the data of its systems.
pub(crate) struct Rude {
    folder: tempfile::TempDir,
    served: Option<(Child, u16)>,
}

impl Drop for Rude {
    fn drop(&mut self) {
        if let Some((child, _)) = &mut self.served {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Rude {
    pub(crate) fn new() -> Self {
        let rude = Self { folder: tempfile::tempdir().unwrap(), served: None };
        rude.says(&json!({}));
        rude
    }

    /// One that is reached over HTTP.
    pub(crate) fn over_http() -> Self {
        let mut rude = Self::new();
        let mut child = Command::new("python3")
            .args(rude.arguments())
            .arg("--http")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is needed: install it");
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        rude.served = Some((child, port.trim().parse().unwrap()));
        rude
    }

    /// Changes what the server says from now on.
    pub(crate) fn says(&self, script: &Value) {
        // Never half of it.
        std::fs::write(self.folder.path().join("next.json"), script.to_string()).unwrap();
        std::fs::rename(self.folder.path().join("next.json"), self.script()).unwrap();
    }

    /// One tool, so described.
    pub(crate) fn lists(&self, description: &str) {
        self.says(&json!({"tools": [echo(description)]}));
    }

    fn script(&self) -> PathBuf {
        self.folder.path().join("script.json")
    }

    fn arguments(&self) -> Vec<String> {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mcp/rude.py");
        let log = self.folder.path().join("log");
        let paths = [program.as_path(), Path::new("--script"), &self.script(), Path::new("--log"), &log];
        paths.iter().map(|path| path.display().to_string()).collect()
    }

    /// Its settings, with a secret in its environment.
    pub(crate) fn settings(&self) -> Settings {
        match self.served {
            Some((_, port)) => Settings {
                url: Some(format!("http://127.0.0.1:{port}/mcp")),
                allow_private: true,
                ..Settings::default()
            },
            None => Settings {
                command: Some("python3".into()),
                args: self.arguments(),
                secrets: BTreeMap::from([("TOKEN".to_owned(), HANDLE.to_owned())]),
                ..Settings::default()
            },
        }
    }

    /// The requests of that method that arrived.
    pub(crate) fn arrived(&self, method: &str) -> Vec<Value> {
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let messages = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        messages.filter(|message| message["method"] == method || message["http"] == method).collect()
    }

    /// What was answered to requests of the server's own.
    pub(crate) fn arrived_answers(&self) -> Vec<Value> {
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let messages = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        messages.filter(|message| message.get("method").is_none() && message.get("id").is_some()).collect()
    }

    /// The data folder of its systems.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A system over what those before it left.
    pub(crate) fn system(&self, settings: Settings) -> Builder {
        let secret = SECRET.to_owned().into();
        Runtime::builder().data_dir(self.data()).tool_secret(HANDLE, secret).mcp_server("rude", settings)
    }
}

/// A tool that echoes.
pub(crate) fn echo(description: &str) -> Value {
    json!({"name": "echo", "description": description, "inputSchema": {"type": "object"}})
}

/// What an operator says of a tool that only reads.
pub(crate) fn reads(mut settings: Settings, tool: &str) -> Settings {
    settings.overrides.insert(tool.into(), Override { effect: EffectClass::Read, ..Override::default() });
    settings
}

/// What one call came to.
#[derive(Debug, Default)]
pub(crate) struct Called {
    pub(crate) outcome: Option<Outcome>,
    /// The code and the reasons with which it was refused.
    pub(crate) refused: Option<(String, String)>,
    /// Why nobody knows how it ended.
    pub(crate) unknown: Option<String>,
    /// The codes of attempts that were made again.
    pub(crate) retries: Vec<String>,
    pub(crate) intents: usize,
    pub(crate) untrusted: bool,
    /// Everything that was journaled.
    pub(crate) journal: String,
}

impl Called {
    /// The code it ended with: `ok`, `unknown`, `none`, or that of its fault or refusal.
    pub(crate) fn code(&self) -> &str {
        match (&self.outcome, &self.refused) {
            (Some(Outcome::Ok { .. }), _) => "ok",
            (Some(Outcome::Failed { code, .. }), _) | (None, Some((code, _))) => code,
            _ if self.unknown.is_some() => "unknown",
            _ => "none",
        }
    }

    /// What was said of its failure.
    pub(crate) fn message(&self) -> &str {
        match (&self.outcome, &self.refused) {
            (Some(Outcome::Failed { message, .. }), _) | (None, Some((_, message))) => message,
            _ => self.unknown.as_deref().unwrap_or_default(),
        }
    }
}

/// A system whose agent makes these calls, one a turn.
pub(crate) async fn system(rude: &Rude, settings: Settings, calls: &[(&str, Value)]) -> Runtime {
    let mut turns: Vec<Turn> = calls
        .iter()
        .map(|(tool, arguments)| Turn::call([(format!("rude/{tool}").as_str(), arguments.to_string().as_str())]))
        .collect();
    turns.push(Turn::say("done"));
    let mut profile = AgentProfile::new("scribe").unwrap().with_model("script").unwrap();
    for (tool, _) in calls {
        if !profile.may_call(&format!("rude/{tool}").parse().unwrap()) {
            profile = profile.with_tool(&format!("rude/{tool}")).unwrap();
        }
    }
    rude.system(settings)
        .on_unknown(OnUnknown::Tell)
        .retries(3, Duration::from_millis(700))
        .model("script", Arc::new(Scripted::new(turns)))
        .agent(profile)
        .build()
        .await
        .unwrap()
}

/// Runs the agent to its end and tells what each of its tool calls came to.
pub(crate) async fn run(runtime: &Runtime) -> Vec<Called> {
    let mut handle = runtime.run_with("scribe", "write", StartOptions::default()).await.unwrap();
    let (mut calls, mut journal) = (Vec::new(), String::new());
    let mut called: BTreeMap<String, Called> = BTreeMap::new();
    while let Some((_, event)) = tokio::time::timeout(PATIENCE, handle.next_event()).await.unwrap().unwrap() {
        journal.push_str(&format!("{event:?}\n"));
        match event {
            Event::EffectIntent(intent) if format!("{:?}", intent.action).contains("rude/") => {
                let call = intent.call.to_string();
                if !calls.contains(&call) {
                    calls.push(call.clone());
                }
                called.entry(call).or_default().intents += 1;
            }
            Event::EffectDenied(denied) if denied.target.starts_with("rude/") => {
                let call = denied.call.to_string();
                let refused = Some((denied.code.clone(), denied.reasons.join("; ")));
                called.entry(call.clone()).or_default().refused = refused;
                if !calls.contains(&call) {
                    calls.push(call);
                }
            }
            Event::EffectRetry(retry) => {
                if let Some(called) = called.get_mut(&retry.call.to_string()) {
                    called.retries.push(retry.code.clone());
                }
            }
            Event::EffectUnknown(unknown) => {
                if let Some(called) = called.get_mut(&unknown.call.to_string()) {
                    called.unknown = Some(unknown.reason.clone());
                }
            }
            Event::EffectResult(result) => {
                if let Some(called) = called.get_mut(&result.call.to_string()) {
                    called.untrusted = !result.label.untrusted.is_empty();
                    called.outcome = Some(result.outcome.clone());
                }
            }
            _ => {}
        }
    }
    let whole = |call| Called { journal: journal.clone(), ..called.remove(&call).unwrap() };
    calls.into_iter().map(whole).collect()
}

/// One call by an agent in a system of its own.
pub(crate) async fn call(rude: &Rude, settings: Settings, tool: &str, arguments: Value) -> Called {
    let runtime = system(rude, settings, &[(tool, arguments)]).await;
    let called = run(&runtime).await.pop().expect("the tool was called");
    runtime.shutdown().await;
    called
}

/// The output of a call that went well, made without an agent.
pub(crate) async fn output(rude: &Rude, settings: Settings, tool: &str, arguments: Value) -> Value {
    let runtime = rude.system(settings).build().await.unwrap();
    let handle = runtime.call(&format!("rude/{tool}"), &arguments.to_string()).await.unwrap();
    let ended = tokio::time::timeout(PATIENCE, handle.outcome()).await.unwrap().unwrap();
    runtime.shutdown().await;
    assert_eq!(ended.code, None, "{ended:?}");
    ended.answer
}

/// Has an admin accept a tool.
pub(crate) async fn accept(runtime: &Runtime, tool: &str) {
    let decision = Decision {
        name: tool.parse().unwrap(),
        contract: None,
        state: ToolState::Accepted,
        reason: "it is well".to_owned(),
    };
    runtime.decide_tool("person:ada", &decision).await.unwrap();
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    let clock = SystemClock::default();
    while !holds() {
        assert!(clock.monotonic() < PATIENCE, "it never came to be that {what}");
        clock.sleep(Duration::from_millis(20)).await;
    }
}
