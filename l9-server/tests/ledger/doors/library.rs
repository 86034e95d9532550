//! The library: a runtime within this process, with a tool of its own Rust code.

use async_trait::async_trait;
use l9::budget::Budget;
use l9::governor::{Choice, OnUnknown};
use l9::id::{ApprovalId, CommandId};
use l9::kernel::StartOptions;
use l9::label::Label;
use l9::memory::{Query, Scope};
use l9::native::{self, Fault, NativeTool};
use l9::tool::EffectClass;
use l9::{AgentProfile, RunId, Runtime, Settings};
use l9_services::Ledger;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Door, Stand};
use crate::cases::{Alone, Decision, LETTER};
use crate::outside::{Outside, profiles, write_letters};
use crate::support::pause;

#[derive(Deserialize, Serialize, JsonSchema)]
struct Line {
    text: String,
}

/// A tool of Rust code that writes to the ledger.
fn native(ledger: &Ledger) -> NativeTool {
    let address = ledger.address;
    native::tool("native/write", "1.0.0", "Writes a line to the ledger.").effect(EffectClass::KeyedWrite).handler(
        move |context, line: Line| async move {
            let exchange = async {
                let mut stream = tokio::net::TcpStream::connect(address).await?;
                let (key, text) = (context.idempotency_key(), &line.text);
                let head = format!("POST /keyed HTTP/1.1\r\nidempotency-key: {key}\r\ncontent-length: {}", text.len());
                stream.write_all(format!("{head}\r\n\r\n{text}").as_bytes()).await?;
                let mut answer = String::new();
                stream.read_to_string(&mut answer).await
            };
            exchange.await.map_err(|error| Fault::unavailable(error.to_string()))?;
            Ok(line)
        },
    )
}

/// An embedding program.
pub(crate) struct Library {
    runtime: Runtime,
    begun: Option<RunId>,
    _folder: TempDir,
}

impl Library {
    pub(crate) async fn open(outside: &Outside) -> Self {
        let folder = tempfile::tempdir().unwrap();
        outside.prepare(folder.path());
        write_letters(folder.path());
        let mut settings = Settings {
            data_dir: folder.path().join("data"),
            tools_dir: Some(folder.path().join("tools")),
            unknown: OnUnknown::Tell,
            backoff_ms: 20,
            openai_api_key: Some("sk-test-0123456789".to_owned().into()),
            ..Settings::default()
        };
        settings.openai.base_url.clone_from(&outside.provider.base_url);
        let mut builder = Runtime::builder().settings(settings).tool(native(&outside.ledger));
        for profile in profiles(&["native/write"]) {
            builder = builder.agent(serde_json::from_value::<AgentProfile>(profile).unwrap());
        }
        let runtime = builder.build().await.unwrap();
        runtime.ingest(folder.path().join("letters")).await.unwrap();
        Self { runtime, begun: None, _folder: folder }
    }

    /// Waits until the run that was begun has ended, or somebody is asked what is not decided
    /// yet, for it or for a run that it delegated to.
    async fn follow(&self, decided: Option<ApprovalId>) -> Stand {
        let (engine, tenant, run) = (self.runtime.engine(), self.runtime.principal().tenant, self.begun.unwrap());
        for _ in 0..3_000 {
            let stand = Stand { run: run.to_string(), ..Stand::default() };
            let open = engine.approvals(&tenant).await.unwrap();
            if let Some(question) = open.iter().find(|question| Some(question.id) != decided) {
                return Stand { question: Some(json!(question)), ..stand };
            }
            let (row, _) = engine.show(&tenant, run).await.unwrap();
            if row.status.is_closed() {
                return Stand { outcome: row.status.to_string(), ..stand };
            }
            pause(20).await;
        }
        panic!("run {run} goes nowhere");
    }
}

#[async_trait]
impl Door for Library {
    fn name(&self) -> &'static str {
        "library,"
    }

    fn has_native(&self) -> bool {
        true
    }

    async fn run(&mut self, agent: &str, input: &str) -> Stand {
        self.begun = Some(self.runtime.run(agent, input).await.unwrap().run());
        self.follow(None).await
    }

    async fn call(&mut self, tool: &str, arguments: &Value, terms: Alone) -> Stand {
        let arguments = arguments.to_string();
        let mut options = StartOptions::default();
        match terms {
            Alone::Labelled => options.label = Label::untrusted(LETTER),
            Alone::Poor => options.budget = Budget { calls: Some(0), ..Budget::default() },
            Alone::Plainly | Alone::Never => {
                self.begun = Some(self.runtime.call(tool, &arguments).await.unwrap().run());
                return self.follow(None).await;
            }
        }
        let (engine, principal) = (self.runtime.engine(), self.runtime.principal());
        let started = engine.start_tool(&principal, &tool.parse().unwrap(), &arguments, options).await.unwrap();
        self.begun = Some(started.run);
        self.follow(None).await
    }

    async fn decide(&mut self, question: &Value, decision: Decision, arguments: Option<Value>) -> Stand {
        let id: ApprovalId = question["id"].as_str().unwrap().parse().unwrap();
        let remember = serde_json::from_value(json!(decision.remember)).unwrap();
        let choice = if decision.approves { Choice::Approve { arguments, remember } } else { Choice::Reject };
        let (by, command) = (self.runtime.principal(), CommandId::new(format!("decide/{id}")).unwrap());
        self.runtime.engine().decide(&by, id, choice, "for the test".into(), command).await.unwrap();
        self.follow(Some(id)).await
    }

    async fn journal(&mut self, run: &str) -> Vec<Value> {
        let (tenant, run) = (self.runtime.principal().tenant, run.parse().unwrap());
        let mut feed = self.runtime.engine().feed(&tenant, run, 0).await.unwrap();
        let mut events = Vec::new();
        while let Some((view, _)) = feed.next().await.unwrap() {
            events.push(json!(view));
        }
        events
    }

    async fn memory(&mut self, words: &str) -> Vec<Value> {
        let scope = Scope::tenant(self.runtime.principal().tenant);
        let hits = self.runtime.memory().search(&scope, &Query::new(words, 8)).await.unwrap();
        hits.iter().map(|hit| json!({"key": hit.entry.entry.key})).collect()
    }
}
