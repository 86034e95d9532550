//! A running system: the engine and everything around it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use l9_core::Result;
use l9_core::agent::Profiles;
use l9_core::evidence;
use l9_core::id::{AgentId, TenantId};
use l9_core::journal::RunStore;
use l9_core::kernel::{Engine, Kernel as _, RunHandle, StartOptions};
use l9_core::memory::{Embedding, MemoryStore, Usage};
use l9_core::node::{Role, Roles, Roster};
use l9_core::principal::Principal;
use l9_core::queue::TaskQueue;
use l9_core::run::Relay;
use l9_core::time::Clock;
use l9_core::vault::Vault;
use l9_memory::guard::Guarded;
use l9_memory::ingest;
use l9_plan::Worker;
use l9_tools::registry::Registry;
use serde::Serialize;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::audit::Audit;
use crate::builder::Builder;
use crate::dispatch::{Place, QueueStatus};
use crate::documents;
use crate::embedding::Embeddings;
use crate::relations::Relations;
use crate::schedules::Schedules;
use crate::servers::ServerHealth;
use crate::settings::Settings;
use crate::short_term::ShortTerm;
use crate::tools::{Decided, Decision, Tools};

/// A running system. Cheap to clone; [`Runtime::shutdown`] ends it for all clones.
#[derive(Debug, Clone)]
pub struct Runtime {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) settings: Settings,
    pub(crate) engine: Engine,
    pub(crate) memory: Arc<dyn MemoryStore>,
    /// What the memory is behind.
    pub(crate) guard: Arc<Guarded>,
    pub(crate) short_term: ShortTerm,
    pub(crate) embeddings: Embeddings,
    pub(crate) relations: Relations,
    pub(crate) schedules: Schedules,
    pub(crate) registry: Arc<Registry>,
    pub(crate) tools: Arc<Tools>,
    pub(crate) queue: Arc<dyn TaskQueue>,
    pub(crate) queue_place: Place,
    pub(crate) worker: Worker,
    pub(crate) audit: Audit,
    pub(crate) roster: Arc<dyn Roster>,
    /// The way of hints to other nodes and back, if there is one.
    pub(crate) relay: Option<Arc<Relay>>,
    pub(crate) database: Option<String>,
    pub(crate) policies: Option<crate::policy::Watch>,
    /// Whether it was started, and so what it does is decided.
    pub(crate) started: AtomicBool,
    /// Whether it hears other nodes' hints.
    pub(crate) listening: AtomicBool,
    /// Whether it said that it is there.
    pub(crate) appeared: AtomicBool,
    pub(crate) drain: CancellationToken,
    /// What ends once it is drained.
    pub(crate) tasks: tokio::sync::Mutex<Vec<JoinHandle<()>>>,
    /// What goes on until it is told to stop.
    pub(crate) endless: tokio::sync::Mutex<Vec<JoinHandle<()>>>,
    pub(crate) keys: Option<l9_memory::vault::Keys>,
    pub(crate) close: crate::stores::Close,
}

/// Whether a system is well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Health {
    /// Whether every component is.
    pub ok: bool,
    /// The store: `ok`, or what is wrong.
    pub store: String,
    /// The Redis server, in words or what is wrong; `None` without one.
    pub redis: Option<String>,
    /// How far memories have vectors; `None` without an embedder.
    pub embedding: Option<Embedding>,
    /// How the queue stands; `None` when it does not answer.
    pub queue: Option<QueueStatus>,
    /// The configured model providers.
    pub models: Vec<String>,
    /// How many tools are registered.
    pub tools: usize,
    /// The MCP servers.
    pub servers: Vec<ServerHealth>,
}

impl Runtime {
    /// Begins a system.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Starts everything that a process may do ([`Runtime::start_as`] with all roles). Runs
    /// that a dead process left are resumed. Starting twice changes nothing.
    pub async fn start(&self) {
        self.start_as(&Roles::all()).await;
    }

    /// Starts what the roles name: with `worker` what advances runs and what else there is to
    /// do in the background. Whatever the roles, the process keeps up with what others decide:
    /// stops, tools, policies. A process that never works leaves the runs that it accepts to
    /// those that do, who find them in the queue that they share, or in the journal. The first
    /// start decides.
    pub async fn start_as(&self, roles: &Roles) {
        if self.inner.started.swap(true, Ordering::SeqCst) {
            return;
        }
        self.watch().await;
        match roles.has(Role::Worker) {
            true => self.work().await,
            // A queue of this process takes nothing in any more: nobody would ever claim it.
            false => self.inner.queue.close(),
        }
        if roles.has(Role::Scheduler) {
            self.schedule().await;
        }
    }

    /// Keeps up with what other processes decide.
    async fn watch(&self) {
        self.listen().await;
        let stops = self.inner.engine.clone().watch_stops();
        self.inner.endless.lock().await.push(tokio::spawn(stops));
        let (tools, drain) = (Arc::clone(&self.inner.tools), self.inner.drain.clone());
        let mut tasks = self.inner.tasks.lock().await;
        tasks.push(tokio::spawn(async move { tools.watch(drain).await }));
        if let Some(policies) = &self.inner.policies {
            tasks.push(tokio::spawn(policies.run(self.inner.drain.clone())));
        }
    }

    /// Advances runs, and does what else there is to do in the background.
    async fn work(&self) {
        let worker = self.inner.worker.clone().run(self.inner.drain.clone());
        let renewal = self.inner.engine.clone().renew_leases();
        let sweep = Arc::clone(&self.inner.guard).sweep();
        self.inner.endless.lock().await.extend([tokio::spawn(renewal), tokio::spawn(sweep)]);
        let mut tasks = self.inner.tasks.lock().await;
        tasks.push(tokio::spawn(worker));
        for worker in self.inner.embeddings.workers() {
            let drain = self.inner.drain.clone();
            tasks.push(tokio::spawn(async move { worker.run(drain).await }));
        }
        if let Some(worker) = self.inner.relations.worker() {
            let drain = self.inner.drain.clone();
            tasks.push(tokio::spawn(async move { worker.run(drain).await }));
        }
        self.inner.audit.start().await;
    }

    /// Starts runs by their schedules, unless the settings leave that to other processes.
    async fn schedule(&self) {
        if let Some(scheduler) = self.inner.schedules.scheduler() {
            let drain = self.inner.drain.clone();
            self.inner.tasks.lock().await.push(tokio::spawn(scheduler.run(drain)));
        }
    }

    /// Gets to know the MCP servers whose tools were never seen, or not as the settings have them
    /// by now; the others are connected to when they are called. One that does not come up is logged.
    pub async fn meet_servers(&self) {
        self.inner.tools.meet_servers().await;
    }

    /// Connects to every MCP server, so that it is known how each of them stands.
    pub async fn connect_servers(&self) {
        self.inner.tools.servers().connect().await;
    }

    /// Runs an agent for the local principal and returns a handle to follow or await.
    ///
    /// # Errors
    /// `NotFound` for an unknown agent, `Invalid` for bad input.
    pub async fn run(&self, agent: &str, input: &str) -> Result<RunHandle> {
        self.run_with(agent, input, StartOptions::default()).await
    }

    /// Like [`Runtime::run`], with options.
    ///
    /// # Errors
    /// As [`Runtime::run`].
    pub async fn run_with(&self, agent: &str, input: &str, options: StartOptions) -> Result<RunHandle> {
        self.start().await;
        self.meet_servers().await;
        self.inner.engine.execute(&self.principal(), &AgentId::new(agent)?, input, options).await
    }

    /// Calls one tool, such as `notes/add` or `notes/add@1.2.3`, for the local principal, as a
    /// run of its own.
    ///
    /// # Errors
    /// `NotFound` for an unknown tool, `Denied` for one that may not be called, `Invalid` for
    /// oversized arguments.
    pub async fn call(&self, tool: &str, arguments: &str) -> Result<RunHandle> {
        self.start().await;
        self.meet_servers().await;
        let principal = self.principal();
        let tool = tool.parse()?;
        let started = self.inner.engine.start_tool(&principal, &tool, arguments, StartOptions::default()).await?;
        self.inner.engine.handle(&principal, started.run).await
    }

    /// Takes a file or folder into the memory of all agents of the local principal; what of it
    /// is there as it is stays, and what came from files of the folder that are gone goes.
    ///
    /// # Errors
    /// `Invalid` for a file that cannot be read, `NotFound` for a path that does not exist.
    pub async fn ingest(&self, path: impl AsRef<Path>) -> Result<ingest::Report> {
        self.intake().path(path.as_ref(), &|_: &ingest::Status| {}).await
    }

    /// What takes files into the memory of the local principal, for one agent only or in
    /// another way. Web pages and PDFs are read in the sandbox, each by a call that is a run of
    /// its own.
    #[must_use]
    pub fn intake(&self) -> ingest::Ingest {
        let intake = ingest::Ingest::new(Arc::clone(&self.inner.memory), self.principal().tenant);
        documents::reading(intake, self)
    }

    /// Verifies every record of every run, and the tree over them.
    ///
    /// # Errors
    /// When the store cannot be read at all.
    pub async fn verify(&self) -> Result<evidence::Report> {
        let mut report = self.inner.engine.verify().await?;
        self.inner.tools.learn().await?;
        self.inner.audit.verify(&self.inner.tools, &mut report).await;
        Ok(report)
    }

    /// Whether the system is well.
    pub async fn health(&self) -> Health {
        let store = match self.store().ping().await {
            Ok(()) => "ok".to_owned(),
            Err(error) => error.to_string(),
        };
        let models = self.inner.engine.parts().governor.models();
        let (redis, queue) = (self.redis().await, self.queue_status(None).await.ok());
        Health {
            ok: store == "ok" && queue.is_some() && redis.as_ref().is_none_or(Result::is_ok),
            store,
            redis: redis.map(|redis| redis.unwrap_or_else(|error| error.to_string())),
            embedding: self.inner.embeddings.status().await.ok().flatten(),
            queue,
            models: models.providers().into_iter().map(str::to_owned).collect(),
            tools: l9_core::tool::ToolRegistry::list(&*self.inner.registry, &self.principal().tenant).len(),
            servers: self.servers(),
        }
    }

    /// How the Redis server stands, in words; `None` without one. The
    /// metric `redis_memory_usage_bytes` is measured by asking.
    pub async fn redis(&self) -> Option<Result<String>> {
        self.inner.short_term.health().await
    }

    /// What gives memories their vectors.
    #[must_use]
    pub fn embeddings(&self) -> &Embeddings {
        &self.inner.embeddings
    }

    /// What takes relations from the texts of memories.
    #[must_use]
    pub fn relations(&self) -> &Relations {
        &self.inner.relations
    }

    /// What starts runs by the clock.
    #[must_use]
    pub fn schedules(&self) -> &Schedules {
        &self.inner.schedules
    }

    /// Lets every run go at its next step, waits for effects under way within the drain
    /// time, and closes the store. Runs that were let go are resumed at the next start.
    pub async fn shutdown(&self) {
        self.inner.drain.cancel();
        self.inner.engine.drain();
        for task in std::mem::take(&mut *self.inner.tasks.lock().await) {
            if let Err(error) = task.await {
                tracing::error!(%error, "a background task ended badly");
            }
        }
        self.inner.tools.servers().close().await;
        // Leases are renewed, and stops looked for, until nobody needs it.
        self.inner.endless.lock().await.drain(..).for_each(|task| task.abort());
        // What the runs wrote last gets its leaves too, and other nodes hear of it.
        self.inner.audit.finish().await;
        self.fall_silent().await;
        self.disappear().await;
        self.inner.close.run().await;
    }

    /// What accepts runs, takes commands and lets others follow.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    /// The audit log: checkpoints, proofs, evidence.
    #[must_use]
    pub fn audit(&self) -> &Audit {
        &self.inner.audit
    }

    /// The memories.
    #[must_use]
    pub fn memory(&self) -> &Arc<dyn MemoryStore> {
        &self.inner.memory
    }

    /// The tools.
    #[must_use]
    pub fn registry(&self) -> &Arc<Registry> {
        &self.inner.registry
    }

    /// How the MCP servers stand.
    #[must_use]
    pub fn servers(&self) -> Vec<ServerHealth> {
        self.inner.tools.servers().health()
    }

    /// What arrives as tools, and what is wrong with it.
    #[must_use]
    pub fn tools(&self) -> &Arc<Tools> {
        &self.inner.tools
    }

    /// Accepts, disables or revokes versions of a tool, for every process of the store.
    ///
    /// # Errors
    /// `Invalid` without a reason, `NotFound` for an unknown version or contract, `Conflict`
    /// for one that was revoked, or if nothing waits to be accepted.
    pub async fn decide_tool(&self, by: &str, decision: &Decision) -> Result<Vec<Decided>> {
        self.inner.tools.decide(&self.inner.audit, by, decision).await
    }

    /// The agents.
    #[must_use]
    pub fn profiles(&self) -> &Arc<Profiles> {
        &self.inner.engine.parts().profiles
    }

    /// Whether this process was started, so that its own queue tells what waits here.
    pub(crate) fn is_started(&self) -> bool {
        self.inner.started.load(Ordering::SeqCst)
    }

    /// Where runs wait to be advanced.
    #[must_use]
    pub fn queue(&self) -> &Arc<dyn TaskQueue> {
        &self.inner.queue
    }

    /// The runs.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn RunStore> {
        &self.inner.engine.parts().store
    }

    /// The keys.
    #[must_use]
    pub fn vault(&self) -> &Arc<dyn Vault> {
        &self.inner.engine.parts().vault
    }

    /// The root keys: how much is sealed under each, and their rotation.
    ///
    /// # Errors
    /// `Invalid` for a system in memory, whose key is in no file.
    pub fn keys(&self) -> Result<&l9_memory::vault::Keys> {
        self.inner.keys.as_ref().ok_or_else(|| l9_core::Error::invalid("a system in memory has no root key file"))
    }

    /// Time.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.engine.parts().clock
    }

    /// What it was built with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// Where the database is, if there is one: its file, or its address without the
    /// password.
    #[must_use]
    pub fn database(&self) -> Option<&str> {
        self.inner.database.as_deref()
    }

    /// How much memory a tenant, and an agent of it if one is named, has and may have.
    ///
    /// # Errors
    /// `Unavailable` from the backend.
    pub async fn memory_usage(&self, tenant: &TenantId, agent: Option<&AgentId>) -> Result<Usage> {
        let (memory, quota) = (&self.inner.memory, &self.inner.settings.memory_quota);
        let share = quota.share(false, memory.usage(Some(tenant), None).await?);
        let agent = match agent {
            Some(agent) => Some(quota.share(true, memory.usage(Some(tenant), Some(agent)).await?)),
            None => None,
        };
        Ok(Usage { tenant: share, agent })
    }

    /// Whoever sits at this machine, at work for the tenant of the settings.
    #[must_use]
    pub fn principal(&self) -> Principal {
        Principal::local_of(self.inner.settings.tenant.clone())
    }
}
