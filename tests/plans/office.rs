//! A system with a few tools that say what they did, and what is asked of plans in it.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use l9::entropy::SystemEntropy;
use l9::governor::Choice;
use l9::id::{ApprovalId, CommandId};
use l9::journal::RunFilter;
use l9::native::{Fault, NativeTool};
use l9::plan::{NodeView, Plan, PlanView, Target};
use l9::run::{Breakpoint, Command, CommandRequest, Event, Remember};
use l9::tool::EffectClass;
use l9::{Builder, Ended, Result, RunId, Runtime, StartOptions, native};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What the tools of an office did, whichever process.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    calls: Mutex<HashMap<&'static str, usize>>,
    tries: Mutex<HashMap<String, u32>>,
    written: Mutex<Vec<String>>,
    busy: AtomicUsize,
    most: AtomicUsize,
}

pub(crate) struct Office {
    pub(crate) runtime: Runtime,
    pub(crate) ledger: Arc<Ledger>,
    folder: Option<PathBuf>,
}

#[derive(Deserialize, Serialize, JsonSchema)]
struct Echo {
    value: Value,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Flaky {
    name: String,
    failures: u32,
}

#[derive(Serialize, JsonSchema)]
struct Tries {
    tries: u32,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Named {
    name: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Kept {
    kept: String,
}

#[derive(Deserialize, Serialize, JsonSchema)]
struct Nap {
    millis: u64,
}

fn tools(ledger: &Arc<Ledger>) -> [NativeTool; 4] {
    let count = |ledger: &Arc<Ledger>, name| {
        let ledger = Arc::clone(ledger);
        move || *ledger.calls.lock().unwrap().entry(name).or_default() += 1
    };
    let (echoed, tried, wrote, napped) = (
        count(ledger, "office/echo"),
        count(ledger, "office/flaky"),
        count(ledger, "office/write"),
        count(ledger, "office/nap"),
    );
    let (flaky, write, nap) = (Arc::clone(ledger), Arc::clone(ledger), Arc::clone(ledger));
    [
        native::tool("office/echo", "1.0.0", "Says it again.").effect(EffectClass::Read).handler(
            move |_, echo: Echo| {
                echoed();
                async move { Ok(echo) }
            },
        ),
        native::tool("office/flaky", "1.0.0", "Fails at first.").effect(EffectClass::Read).handler(
            move |_, given: Flaky| {
                tried();
                let mut all = flaky.tries.lock().unwrap();
                let tries = all.entry(given.name.clone()).or_default();
                *tries += 1;
                let tries = *tries;
                async move {
                    if tries <= given.failures {
                        return Err(Fault::failed(format!("{} is out of order", given.name)));
                    }
                    Ok(Tries { tries })
                }
            },
        ),
        native::tool("office/write", "1.0.0", "Writes down.").effect(EffectClass::KeyedWrite).handler(
            move |_, given: Named| {
                wrote();
                write.written.lock().unwrap().push(given.name.clone());
                async move { Ok(Kept { kept: given.name }) }
            },
        ),
        native::tool("office/nap", "1.0.0", "Takes a while.").effect(EffectClass::Read).handler(
            move |_, given: Nap| {
                napped();
                let ledger = Arc::clone(&nap);
                async move {
                    let busy = ledger.busy.fetch_add(1, Ordering::SeqCst) + 1;
                    ledger.most.fetch_max(busy, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(given.millis)).await;
                    ledger.busy.fetch_sub(1, Ordering::SeqCst);
                    Ok(given)
                }
            },
        ),
    ]
}

/// A plan as a value: its own fields, and its nodes.
pub(crate) fn plan(name: &str, fields: &Value, nodes: &[Value]) -> Value {
    let mut plan = fields.clone();
    plan["plan"] = json!(name);
    plan["nodes"] = json!(nodes);
    plan
}

impl Office {
    pub(crate) async fn open() -> Self {
        Self::with(|builder| builder).await
    }

    pub(crate) async fn with(more: impl FnOnce(Builder) -> Builder) -> Self {
        let ledger = Arc::default();
        let builder = tools(&ledger).into_iter().fold(Runtime::builder().in_memory(), Builder::tool);
        let runtime = more(builder).build().await.unwrap();
        runtime.start().await;
        Self { runtime, ledger, folder: None }
    }

    pub(crate) async fn at(folder: &Path) -> Self {
        Self::of(folder, Arc::default()).await
    }

    async fn of(folder: &Path, ledger: Arc<Ledger>) -> Self {
        let builder = tools(&ledger).into_iter().fold(Runtime::builder().data_dir(folder), Builder::tool);
        let runtime = builder.build().await.unwrap();
        runtime.start().await;
        Self { runtime, ledger, folder: Some(folder.to_owned()) }
    }

    /// The same over the same database, as another process would have it.
    pub(crate) async fn restarted(self) -> Self {
        self.runtime.shutdown().await;
        Self::of(self.folder.as_ref().unwrap(), self.ledger).await
    }

    pub(crate) async fn try_start(&self, plan: &Value, input: &Value) -> Result<RunId> {
        let principal = self.runtime.principal();
        let started = self.runtime.engine().start_plan(&principal, plan, input, StartOptions::default()).await?;
        Ok(started.run)
    }

    pub(crate) async fn start(&self, text: &str, input: &Value) -> RunId {
        let plan = Plan::parse(text).unwrap().value().unwrap();
        self.try_start(&plan, input).await.unwrap()
    }

    pub(crate) async fn run(&self, text: &str, input: &Value) -> Ended {
        let run = self.start(text, input).await;
        self.ended(run).await
    }

    pub(crate) async fn run_value(&self, plan: &Value, input: &Value) -> Ended {
        let run = self.try_start(plan, input).await.unwrap();
        self.ended(run).await
    }

    pub(crate) async fn ended(&self, run: RunId) -> Ended {
        let handle = self.runtime.engine().handle(&self.runtime.principal(), run).await.unwrap();
        tokio::time::timeout(Duration::from_secs(30), handle.outcome()).await.unwrap().unwrap()
    }

    /// The newest run.
    pub(crate) async fn last(&self) -> RunId {
        let tenant = self.runtime.principal().tenant;
        self.runtime.store().runs(&tenant, &RunFilter::default(), 1).await.unwrap()[0].run
    }

    pub(crate) async fn view(&self, run: RunId) -> PlanView {
        let (_, state) = self.runtime.engine().show(&self.runtime.principal().tenant, run).await.unwrap();
        PlanView::of(&state).unwrap()
    }

    pub(crate) async fn node(&self, run: RunId, id: &str) -> NodeView {
        self.view(run).await.nodes.into_iter().find(|node| node.id == id).unwrap()
    }

    pub(crate) async fn state(&self, run: RunId, id: &str) -> &'static str {
        self.node(run, id).await.state.as_str()
    }

    pub(crate) async fn until(&self, run: RunId, id: &str, state: &str) {
        let look = async {
            while self.state(run, id).await != state {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let late = tokio::time::timeout(Duration::from_secs(20), look).await.is_err();
        assert!(!late, "{id} is no {state}: {:?}", self.view(run).await);
    }

    /// Waits until the plan stands at a breakpoint.
    pub(crate) async fn stands(&self, run: RunId) {
        let look = async {
            while self.view(run).await.hits.is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let late = tokio::time::timeout(Duration::from_secs(20), look).await.is_err();
        assert!(!late, "it stands nowhere: {:?}", self.view(run).await);
    }

    /// Sends a command and gives what became of it.
    pub(crate) async fn tell(&self, run: RunId, command: Command) -> Result<(), String> {
        let tenant = self.runtime.principal().tenant;
        let fresh = RunId::generate(self.runtime.clock().now(), &SystemEntropy, "");
        let id = CommandId::new(format!("command/{fresh}")).unwrap();
        let request = CommandRequest { id: id.clone(), by: "person:test".into(), command };
        self.runtime.engine().command(&tenant, run, &request).await.map_err(|error| error.message().to_owned())?;
        let answer = self.runtime.engine().answer(&tenant, run, &id);
        tokio::time::timeout(Duration::from_secs(20), answer).await.unwrap().unwrap()
    }

    pub(crate) async fn resume(&self, run: RunId) {
        self.tell(run, Command::Resume { reason: "go on".into() }).await.unwrap();
    }

    pub(crate) async fn signal(&self, run: RunId, name: &str, value: Value) {
        self.tell(run, Command::Signal { name: name.into(), value }).await.unwrap();
    }

    pub(crate) async fn stop_at(&self, run: RunId, breakpoint: Breakpoint) {
        self.tell(run, Command::Break { breakpoint, clear: false }).await.unwrap();
    }

    pub(crate) async fn patch(&self, run: RunId, expected: u64, patch: Value) -> Result<(), String> {
        self.tell(run, Command::Patch { expected, patch, reason: "better".into() }).await
    }

    pub(crate) async fn roll_back(&self, run: RunId, target: Target) -> Result<(), String> {
        self.tell(run, Command::RollBack { target, reason: "wrong".into() }).await
    }

    /// Approves the newest question of a run.
    pub(crate) async fn approve(&self, run: RunId, arguments: Option<Value>) {
        let principal = self.runtime.principal();
        let (_, state) = self.runtime.engine().show(&principal.tenant, run).await.unwrap();
        let (id, command) = (ApprovalId { run, ask: state.asked }, CommandId::new("approval/1").unwrap());
        let choice = Choice::Approve { arguments, remember: Remember::default() };
        self.runtime.engine().decide(&principal, id, choice, "fine".into(), command).await.unwrap();
    }

    pub(crate) fn called(&self, tool: &str) -> usize {
        self.ledger.calls.lock().unwrap().get(tool).copied().unwrap_or(0)
    }

    pub(crate) fn written(&self) -> Vec<String> {
        self.ledger.written.lock().unwrap().clone()
    }

    pub(crate) fn most_at_once(&self) -> usize {
        self.ledger.most.load(Ordering::SeqCst)
    }

    pub(crate) async fn events(&self, run: RunId) -> Vec<Event> {
        let mut feed = self.runtime.engine().feed(&self.runtime.principal().tenant, run, 0).await.unwrap();
        let mut events = Vec::new();
        loop {
            let page = feed.page().await.unwrap();
            if page.is_empty() {
                return events;
            }
            events.extend(page.into_iter().map(|(_, event)| event));
        }
    }

    /// Every record verifies, and every run is derived again as it was recorded.
    pub(crate) async fn sound(&self) {
        assert_eq!(self.runtime.verify().await.unwrap().faults, []);
        let tenant = self.runtime.principal().tenant;
        for row in self.runtime.store().runs(&tenant, &RunFilter::default(), 1_000).await.unwrap() {
            let replayed = self.runtime.engine().replay(&tenant, row.run, &BTreeMap::new()).await.unwrap();
            assert_eq!(replayed.divergence, None, "{} {}", row.name, row.run);
        }
    }
}
