//! Tools that count who calls them, and what a run's journal says of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use l9::id::CommandId;
use l9::model::scripted::{Scripted, Turn};
use l9::native::{self, NativeTool};
use l9::run::{Command, CommandRequest, Event, Stage};
use l9::tool::{EffectClass, Rate};
use l9::{AgentProfile, Builder, Ended, Principal, RunHandle, RunId, Runtime, StartOptions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The longest that a test waits for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

#[derive(Deserialize, Serialize, JsonSchema)]
pub(crate) struct Line {
    #[serde(default)]
    pub(crate) text: String,
}

/// How often a tool was called, and how often at once.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    all: AtomicU32,
    now: AtomicU32,
    most: AtomicU32,
}

/// A call that has begun; it ends when this is dropped.
pub(crate) struct Begun(Arc<Calls>);

impl Drop for Begun {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Calls {
    pub(crate) fn begin(self: &Arc<Self>) -> Begun {
        self.all.fetch_add(1, Ordering::SeqCst);
        self.most.fetch_max(self.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        Begun(Arc::clone(self))
    }

    /// How many have begun.
    pub(crate) fn all(&self) -> u32 {
        self.all.load(Ordering::SeqCst)
    }

    /// How many there were at once.
    pub(crate) fn most(&self) -> u32 {
        self.most.load(Ordering::SeqCst)
    }
}

/// A tool that takes a moment and echoes.
pub(crate) fn echo(id: &str, rate: Rate, calls: &Arc<Calls>) -> NativeTool {
    let calls = Arc::clone(calls);
    native::tool(id, "1.0.0", "Echoes.").effect(EffectClass::Read).rate(rate).handler(move |_, line: Line| {
        let calls = Arc::clone(&calls);
        async move {
            let _begun = calls.begin();
            tokio::time::sleep(Duration::from_millis(5)).await;
            Ok(line)
        }
    })
}

/// An agent that asks a scripted model by its own name.
pub(crate) fn agent(id: &str, tools: &[&str]) -> AgentProfile {
    let profile = AgentProfile::new(id).unwrap().with_model(id).unwrap();
    tools.iter().fold(profile, |profile, tool| profile.with_tool(tool).unwrap())
}

/// A system with an agent `caller` that follows a script.
pub(crate) fn system(turns: Vec<Turn>, tools: &[&str]) -> Builder {
    Runtime::builder().in_memory().model("caller", Arc::new(Scripted::new(turns))).agent(agent("caller", tools))
}

pub(crate) fn somebody(tenant: &str, subject: &str) -> Principal {
    Principal { tenant: tenant.parse().unwrap(), subject: subject.to_owned(), ..Principal::local() }
}

/// Starts an agent for somebody.
pub(crate) async fn start(runtime: &Runtime, who: &Principal, agent: &str) -> RunHandle {
    runtime.start().await;
    let options = StartOptions::default();
    let started = runtime.engine().start_agent(who, &agent.parse().unwrap(), "go", options).await.unwrap();
    runtime.engine().handle(who, started.run).await.unwrap()
}

/// Starts the agent `caller` so often.
pub(crate) async fn start_many(runtime: &Runtime, who: &Principal, often: usize) -> Vec<RunHandle> {
    let mut handles = Vec::with_capacity(often);
    for _ in 0..often {
        handles.push(start(runtime, who, "caller").await);
    }
    handles
}

/// Starts a call of a tool by somebody.
pub(crate) async fn call(runtime: &Runtime, who: &Principal, tool: &str, options: StartOptions) -> RunHandle {
    runtime.start().await;
    let started = runtime.engine().start_tool(who, &tool.parse().unwrap(), "{}", options).await.unwrap();
    runtime.engine().handle(who, started.run).await.unwrap()
}

pub(crate) async fn ended(handle: RunHandle) -> Ended {
    tokio::time::timeout(PATIENCE, handle.outcome()).await.expect("it ends").unwrap()
}

/// Why nothing came of effects: the code and the reason of each that was refused.
pub(crate) async fn refusals(runtime: &Runtime, who: &Principal, run: RunId) -> Vec<(String, String)> {
    let denied = events(runtime, who, run).await.into_iter().filter_map(|event| match event {
        Event::EffectDenied(denied) => {
            assert_eq!(denied.stage, Stage::Budget, "{denied:?}");
            Some((denied.code, denied.reasons.join("; ")))
        }
        _ => None,
    });
    denied.collect()
}

pub(crate) async fn events(runtime: &Runtime, who: &Principal, run: RunId) -> Vec<Event> {
    let (mut feed, mut events) = (runtime.engine().feed(&who.tenant, run, 0).await.unwrap(), Vec::new());
    loop {
        let page = feed.page().await.unwrap();
        if page.is_empty() {
            return events;
        }
        events.extend(page.into_iter().map(|(_, event)| event));
    }
}

/// The kinds of a run's records, in order.
pub(crate) async fn kinds(runtime: &Runtime, who: &Principal, run: RunId) -> Vec<&'static str> {
    events(runtime, who, run).await.iter().map(Event::kind).collect()
}

/// Checks that a run is derived from its journal as it went, without any limiter.
pub(crate) async fn replays(runtime: &Runtime, who: &Principal, run: RunId) {
    let replayed = runtime.engine().replay(&who.tenant, run, &BTreeMap::new()).await.unwrap();
    assert_eq!(replayed.divergence, None, "{run}");
}

pub(crate) async fn send(runtime: &Runtime, who: &Principal, run: RunId, id: &str, command: Command) {
    let id = CommandId::new(id).unwrap();
    let request = CommandRequest { id, by: who.subject.clone(), command };
    runtime.engine().command(&who.tenant, run, &request).await.unwrap();
}

pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let look = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, look).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}
