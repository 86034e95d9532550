//! One model call under a permit of a real governor: an engine in memory runs an agent,
//! whose only turn is the call under test.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use l9_core::agent::{AgentProfile, Profiles};
use l9_core::budget::{Budget, Cost};
use l9_core::entropy::SystemEntropy;
use l9_core::governor::{Baseline, Governor, Permit, Settings as GovernorSettings};
use l9_core::id::{RunId, TenantId};
use l9_core::kernel::{Advance as _, Components, Engine, Settings, StartOptions};
use l9_core::model::{DeltaSink, Estimate, ModelClient, ModelClients, ModelFault, ModelRequest, ModelResponse};
use l9_core::principal::Principal;
use l9_core::queue::{Claim, Depth, Finished, Task, TaskQueue};
use l9_core::redact::KnownSecrets;
use l9_core::run::{Command, CommandRequest};
use l9_core::time::{Clock, SystemClock};
use l9_core::tool::{Tool, ToolName, ToolRegistry};
use l9_memory::in_memory::Store;
use l9_memory::vault::Keyring;

/// How the call goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    /// How long each permit holds.
    pub(crate) deadline: Duration,
    /// How often the governor tries.
    pub(crate) attempts: u32,
    /// When the run is cancelled, if it is.
    pub(crate) cancel_after: Option<Duration>,
    /// The most that the run may use.
    pub(crate) budget: Budget,
}

impl Default for Terms {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(20), attempts: 3, cancel_after: None, budget: Budget::default() }
    }
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Asked {
    /// What the last attempt gave.
    pub(crate) result: Result<ModelResponse, ModelFault>,
    /// The words that were streamed.
    pub(crate) words: String,
    /// How long all attempts took.
    pub(crate) took: Duration,
    /// What the run was charged.
    pub(crate) spent: Cost,
}

/// Makes one call of `client`, each attempt under a permit of its own.
pub(crate) async fn ask(client: Arc<dyn ModelClient>, request: ModelRequest, terms: Terms) -> Asked {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let probe = Arc::new(Probe { client, request, result: Mutex::default() });
    let governor = Arc::new(Governor::new(
        Arc::new(NoTools),
        ModelClients::default().with("probe", Arc::clone(&probe) as Arc<dyn ModelClient>),
        Arc::new(Baseline),
        Arc::new(KnownSecrets::default()),
        Arc::clone(&clock),
        GovernorSettings {
            model_deadline: terms.deadline,
            attempts: terms.attempts,
            backoff: Duration::from_millis(5),
            ..GovernorSettings::default()
        },
    ));
    let words = governor.deltas().subscribe();
    let engine = engine(governor, Arc::clone(&clock));
    let principal = Principal::local();
    let agent = "asker".parse().unwrap();
    let options = StartOptions { budget: terms.budget, ..StartOptions::default() };
    let started = engine.start_agent(&principal, &agent, "go", options).await.unwrap();
    let task = Task { tenant: principal.tenant.clone(), run: started.run, priority: 0 };
    let cancel = async {
        if let Some(after) = terms.cancel_after {
            clock.sleep(after).await;
            let command = Command::Cancel { reason: "enough".into() };
            let request = CommandRequest { id: "stop".parse().unwrap(), by: "person:local".into(), command };
            engine.command(&principal.tenant, started.run, &request).await.unwrap();
        }
    };
    let began = clock.monotonic();
    let (advanced, ()) = tokio::join!(Box::pin(engine.advance(&task)), cancel);
    let took = clock.monotonic().saturating_sub(began);
    advanced.unwrap();
    let (_, state) = engine.show(&principal.tenant, started.run).await.unwrap();
    assert!(state.reserved.is_zero(), "{:?}", state.reserved);
    let none = || Err(ModelFault::new("none", "no permit was issued"));
    let result = probe.result.lock().unwrap().take().unwrap_or_else(none);
    let mut heard = String::new();
    while let Some((_, piece)) = words.try_recv() {
        heard.push_str(&piece);
    }
    Asked { result, words: heard, took, spent: state.spent }
}

fn engine(governor: Arc<Governor>, clock: Arc<dyn Clock>) -> Engine {
    let folder = tempfile::tempdir().unwrap();
    let vault = Arc::new(Keyring::open_or_create(folder.path().join("root.key")).unwrap());
    let profiles = Profiles::default();
    profiles.put(AgentProfile::new("asker").unwrap().with_model("probe").unwrap()).unwrap();
    let parts = Components {
        store: Arc::new(Store::default()),
        vault,
        governor,
        queue: Arc::new(NoQueue),
        profiles: Arc::new(profiles),
        clock,
        entropy: Arc::new(SystemEntropy),
    };
    let settings = Settings { node: "test".into(), owner: "test".into(), lease: Duration::from_secs(60) };
    Engine::new(parts, settings)
}

/// Hands the permit it is given to the client under test, with the test's own request.
#[derive(Debug)]
struct Probe {
    client: Arc<dyn ModelClient>,
    request: ModelRequest,
    result: Mutex<Option<Result<ModelResponse, ModelFault>>>,
}

#[async_trait]
impl ModelClient for Probe {
    fn default_model(&self) -> &str {
        "probe"
    }

    fn estimate(&self, _: &ModelRequest) -> Estimate {
        self.client.estimate(&self.request)
    }

    async fn complete(
        &self,
        permit: Permit,
        _: &ModelRequest,
        deltas: &DeltaSink,
    ) -> Result<ModelResponse, ModelFault> {
        let result = self.client.complete(permit, &self.request, deltas).await;
        // The kernel sees no tool calls, so the run ends with this turn.
        let shown = result.clone().map(|response| ModelResponse { tools: Vec::new(), ..response });
        *self.result.lock().unwrap() = Some(result);
        shown
    }
}

#[derive(Debug)]
struct NoTools;

impl ToolRegistry for NoTools {
    fn find(&self, _: &TenantId, name: &ToolName) -> l9_core::Result<Arc<Tool>> {
        Err(l9_core::Error::not_found(format!("there is no tool {name}")))
    }

    fn list(&self, _: &TenantId) -> Vec<Arc<Tool>> {
        Vec::new()
    }
}

/// The test advances its run itself.
#[derive(Debug)]
struct NoQueue;

#[async_trait]
impl TaskQueue for NoQueue {
    async fn enqueue(&self, _: Task, _: Duration) -> l9_core::Result<()> {
        Ok(())
    }

    async fn claim(&self) -> Option<Claim> {
        None
    }

    async fn finish(&self, _: Claim, _: Finished) -> bool {
        false
    }

    async fn remove(&self, _: RunId) -> bool {
        false
    }

    async fn depth(&self, _: Option<&TenantId>) -> l9_core::Result<Depth> {
        Ok(Depth::default())
    }

    async fn pause(&self, _: bool) -> l9_core::Result<()> {
        Ok(())
    }

    fn close(&self) {}
}
