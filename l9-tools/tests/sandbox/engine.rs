//! Tools called as agents call them: through an engine, a governor and a journal in memory.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use l9_core::agent::Profiles;
use l9_core::entropy::{Entropy, SystemEntropy};
use l9_core::governor::{Baseline, Governor, Settings as GovernorSettings};
use l9_core::id::{RunId, TenantId};
use l9_core::kernel::{Advance as _, Components, Ended, Engine, Settings, StartOptions};
use l9_core::model::{ModelClients, Words};
use l9_core::principal::Principal;
use l9_core::queue::{Claim, Depth, Finished, Task, TaskQueue};
use l9_core::redact::KnownSecrets;
use l9_core::run::{Event, Outcome};
use l9_core::time::{Clock, SystemClock};
use l9_core::tool::ToolRegistry;
use l9_memory::in_memory::Store;
use l9_memory::vault::Keyring;
use l9_plan::plan::Executor;
use serde_json::Value;

/// An engine over a registry.
#[derive(Debug)]
pub(crate) struct Governed {
    pub(crate) engine: Engine,
    principal: Principal,
}

/// How one call ended.
#[derive(Debug)]
pub(crate) struct Called {
    pub(crate) run: RunId,
    pub(crate) ended: Ended,
}

impl Governed {
    pub(crate) fn new(registry: Arc<dyn ToolRegistry>) -> Self {
        Self::with(registry, Arc::new(SystemClock::default()), Arc::new(SystemEntropy))
    }

    pub(crate) fn with(registry: Arc<dyn ToolRegistry>, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self::assemble(registry, ModelClients::default(), Profiles::default(), clock, entropy)
    }

    /// An engine whose agents ask models, and that carries out plans.
    pub(crate) fn assemble(
        registry: Arc<dyn ToolRegistry>,
        models: ModelClients,
        profiles: Profiles,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        let governor = Governor::new(
            registry,
            models,
            Arc::new(Baseline),
            Arc::new(KnownSecrets::default()),
            Arc::clone(&clock),
            GovernorSettings { model_deadline: Duration::from_secs(20), ..GovernorSettings::default() },
        )
        .with_plans(Arc::new(Executor { children: 16 }));
        let folder = tempfile::tempdir().unwrap();
        let parts = Components {
            store: Arc::new(Store::default()),
            vault: Arc::new(Keyring::open_or_create(folder.path().join("root.key")).unwrap()),
            governor: Arc::new(governor),
            queue: Arc::new(NoQueue),
            profiles: Arc::new(profiles),
            clock,
            entropy,
        };
        let settings = Settings { node: "test".into(), owner: "test".into(), lease: Duration::from_secs(60) };
        Self { engine: Engine::new(parts, settings), principal: Principal::local() }
    }

    /// One governed call, from its first record to its last.
    pub(crate) async fn call(&self, tool: &str, arguments: &Value) -> Called {
        self.call_by(&self.principal, tool, arguments).await
    }

    /// The same, of somebody.
    pub(crate) async fn call_by(&self, principal: &Principal, tool: &str, arguments: &Value) -> Called {
        let tool = tool.parse().unwrap();
        let tenant = principal.tenant.clone();
        let options = StartOptions::default();
        let started = self.engine.start_tool(principal, &tool, &arguments.to_string(), options).await.unwrap();
        self.finish(tenant, started.run).await
    }

    /// A run that was started, to its last record.
    pub(crate) async fn finish(&self, tenant: TenantId, run: RunId) -> Called {
        let task = Task { tenant: tenant.clone(), run, priority: 0 };
        Box::pin(self.engine.advance(&task)).await.unwrap();
        let ended = self.engine.outcome(&tenant, run).await.unwrap();
        Called { run, ended }
    }

    /// What is shown to those who follow runs.
    pub(crate) fn words(&self) -> Words {
        self.engine.parts().governor.deltas().subscribe()
    }

    /// The receipt of a call: its outcome, the fuel it was charged and its log.
    pub(crate) async fn receipt(&self, run: RunId) -> (Outcome, u64, Vec<String>) {
        let mut handle = self.engine.handle(&self.principal, run).await.unwrap();
        while let Some((_, event)) = handle.next_event().await.unwrap() {
            if let Event::EffectResult(result) = event {
                let log = result.log.iter().map(|line| format!("{} {}", line.level, line.message)).collect();
                return (result.outcome, result.spent.fuel, log);
            }
        }
        unreachable!("the run closed without a receipt")
    }
}

/// The test advances its runs itself.
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
