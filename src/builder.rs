//! Settings and components become a running system here, and only here is a backend
//! chosen.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use l9_core::Result;
use l9_core::agent::{AgentProfile, Profiles};
use l9_core::entropy::{Entropy, SeededEntropy, SystemEntropy};
use l9_core::evidence::AuditLog;
use l9_core::governor::{self, Governor, OnUnknown, Policy, Rates};
use l9_core::journal::RunStore;
use l9_core::kernel::{self, Components, Engine};
use l9_core::memory::MemoryStore;
use l9_core::model::extractive::Extractive;
use l9_core::model::{ModelClient, ModelClients};
use l9_core::queue::TaskQueue;
use l9_core::redact::KnownSecrets;
use l9_core::time::{Clock, SeededClock, SystemClock};
use l9_core::tool::{Manifest, ToolLedger};
use l9_core::vault::Vault;
use l9_memory::vault::Keyring;
use l9_plan::Worker;
use l9_plan::in_process::Queue;
use l9_tools::native::NativeTool;
use l9_tools::registry::Registry;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use crate::audit::{Audit, KeyPlace};
use crate::policy;
use crate::researcher;
use crate::runtime::{Inner, Runtime};
use crate::settings::{Settings, Storage};
use crate::tools::{Kinds, Tools};

/// Gathers settings and components.
#[derive(Debug, Default)]
#[must_use = "a builder does nothing until it is built"]
pub struct Builder {
    settings: Settings,
    agents: Vec<AgentProfile>,
    models: Vec<(String, Arc<dyn ModelClient>)>,
    tools: Vec<NativeTool>,
    components: Vec<(Manifest, Vec<u8>)>,
    policy: Option<Arc<dyn Policy>>,
    secrets: Vec<SecretString>,
}

impl Builder {
    /// Sets everything that is not code.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Keeps everything in this folder.
    pub fn data_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.settings.data_dir = folder.into();
        self
    }

    /// Keeps everything in this process: gone with it.
    pub fn in_memory(mut self) -> Self {
        self.settings.storage = Storage::InMemory;
        self
    }

    /// Says what becomes of a write whose end nobody knows; a person is waited for if nothing
    /// is said.
    pub fn on_unknown(mut self, unknown: OnUnknown) -> Self {
        self.settings.unknown = unknown;
        self
    }

    /// Says how often an effect that ended without effect is tried, its first attempt
    /// included, and how long to wait before the second; the wait doubles from there.
    pub fn retries(mut self, attempts: u32, backoff: std::time::Duration) -> Self {
        self.settings.attempts = attempts;
        self.settings.backoff_ms = u64::try_from(backoff.as_millis()).unwrap_or(u64::MAX);
        self
    }

    /// Says how long a person is waited for who was asked; the policy decides then.
    pub fn approval_timeout(mut self, timeout: std::time::Duration) -> Self {
        self.settings.approval_timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        self
    }

    /// Says how many effects a minute one principal and one tenant may have in this process;
    /// without it there is no limit.
    pub fn rates(mut self, rates: Rates) -> Self {
        self.settings.rates = rates;
        self
    }

    /// Makes runs reproducible.
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = Some(seed);
        self
    }

    /// Adds an agent.
    pub fn agent(mut self, profile: AgentProfile) -> Self {
        self.agents.push(profile);
        self
    }

    /// Adds a model provider; the first one added is what `auto` means.
    pub fn model(mut self, provider: impl Into<String>, client: Arc<dyn ModelClient>) -> Self {
        self.models.push((provider.into(), client));
        self
    }

    /// Adds a tool written in Rust.
    pub fn tool(mut self, tool: NativeTool) -> Self {
        self.tools.push(tool);
        self
    }

    /// Adds a tool that is a wasm component.
    pub fn wasm_tool(mut self, manifest: Manifest, component: impl Into<Vec<u8>>) -> Self {
        self.components.push((manifest, component.into()));
        self
    }

    /// Adds every tool that a manifest in this folder declares.
    pub fn tools_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.settings.tools_dir = Some(folder.into());
        self
    }

    /// Adds a secret that manifests may be granted under this handle; it is masked like any
    /// other.
    pub fn tool_secret(mut self, handle: impl Into<String>, secret: SecretString) -> Self {
        self.settings.tool_secrets.insert(handle.into(), secret);
        self
    }

    /// Decides by the policies of a file or folder, which are read again when they change.
    pub fn policy_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.settings.policy_dir = Some(path.into());
        self
    }

    /// Replaces every other policy.
    pub fn policy(mut self, policy: Arc<dyn Policy>) -> Self {
        self.policy = Some(policy);
        self
    }

    /// Masks a secret in everything that tools and models give, and in errors.
    pub fn secret(mut self, secret: SecretString) -> Self {
        self.secrets.push(secret);
        self
    }

    /// Opens the stores and puts the system together. Nothing runs before
    /// [`Runtime::start`] or the first run.
    ///
    /// # Errors
    /// `Invalid` for a setting, profile or tool that is wrong; from opening the stores.
    pub async fn build(mut self) -> Result<Runtime> {
        let settings = std::mem::take(&mut self.settings);
        settings.check()?;
        let (clock, entropy) = time_and_entropy(settings.seed);
        let owner = owner();
        let stores = Stores::open(&settings, &owner, &clock, &entropy).await?;
        let registry = Arc::new(Registry::default());
        let keys = settings.openai_api_key.iter().chain(&settings.anthropic_api_key);
        let secrets: Vec<SecretString> =
            self.secrets.iter().chain(keys).chain(settings.tool_secrets.values()).cloned().collect();
        let tools = self.register(&registry, &settings, &stores, &clock, &entropy).await?;
        let chosen = policy::choose(self.policy.take(), &settings, &clock)?;
        let governor = Governor::new(
            Arc::<Registry>::clone(&registry),
            self.models(&settings, &clock)?,
            chosen.policy,
            Arc::new(KnownSecrets::new(&secrets)),
            Arc::clone(&clock),
            governor::Settings {
                model_deadline: std::time::Duration::from_millis(settings.model_deadline_ms),
                grace: std::time::Duration::from_millis(settings.grace_ms),
                unknown: settings.unknown,
                attempts: settings.attempts,
                backoff: std::time::Duration::from_millis(settings.backoff_ms),
                approval_timeout: std::time::Duration::from_millis(settings.approval_timeout_ms),
                approval_validity: std::time::Duration::from_millis(settings.approval_validity_ms),
                depth: settings.delegation_depth,
                width: settings.delegation_width,
                rates: settings.rates,
            },
        );
        let governor = Arc::new(governor.with_compiler(policy::compiler()));
        let profiles = Arc::new(Profiles::default());
        profiles.put(researcher::profile()?)?;
        for profile in self.agents {
            profiles.put(profile)?;
        }
        let queue = Arc::new(Queue::new(settings.queue.clone(), Arc::clone(&clock), Arc::new(SystemEntropy)));
        let Stores { runs, log, tools: _, memory, vault, close, database } = stores;
        let parts = Components {
            store: Arc::clone(&runs),
            vault,
            governor,
            queue: Arc::<Queue>::clone(&queue) as Arc<dyn TaskQueue>,
            profiles,
            clock: Arc::clone(&clock),
            entropy,
        };
        let engine_settings =
            kernel::Settings { node: settings.node.clone(), owner: owner.clone(), lease: settings.lease() };
        let engine = Engine::new(parts, engine_settings);
        engine.learn_stops().await?;
        let place = match settings.storage {
            Storage::InMemory => KeyPlace::Nowhere,
            _ => KeyPlace::File(settings.audit_key_path()),
        };
        let audit = Audit::new(log, engine.clone(), owner, settings.audit.clone(), place);
        let worker = Worker {
            settings: settings.worker.clone(),
            queue: Arc::<Queue>::clone(&queue),
            leases: runs,
            advance: Arc::new(engine.clone()),
            clock,
        };
        Ok(Runtime {
            inner: Arc::new(Inner {
                settings,
                engine,
                memory,
                registry,
                tools,
                queue,
                worker,
                audit,
                database,
                policies: chosen.watch,
                started: AtomicBool::new(false),
                drain: CancellationToken::new(),
                tasks: tokio::sync::Mutex::default(),
                endless: tokio::sync::Mutex::default(),
                close,
            }),
        })
    }

    async fn register(
        &mut self,
        registry: &Arc<Registry>,
        settings: &Settings,
        stores: &Stores,
        clock: &Arc<dyn Clock>,
        entropy: &Arc<dyn Entropy>,
    ) -> Result<Arc<Tools>> {
        let components = std::mem::take(&mut self.components);
        let kinds = built_in_tools(registry, settings, stores, (clock, entropy), components).await?;
        for tool in std::mem::take(&mut self.tools) {
            registry.register_native(tool)?;
        }
        let kept = (Arc::clone(&stores.tools), Arc::clone(&stores.vault));
        let set = (settings.tools.clone(), settings.tools_dir.clone());
        let tools = Tools::new(Arc::clone(registry), kept, Arc::clone(clock), kinds, set)?;
        tools.open().await?;
        Ok(Arc::new(tools))
    }

    /// The embedder's providers first, then those with a key, then the offline one.
    fn models(&mut self, settings: &Settings, clock: &Arc<dyn Clock>) -> Result<ModelClients> {
        let mut clients = ModelClients::default();
        for (provider, client) in std::mem::take(&mut self.models) {
            clients = clients.with(provider, client);
        }
        Ok(hosted_models(clients, settings, clock)?.with("extractive", Arc::new(Extractive)))
    }
}

#[cfg(feature = "wasm")]
async fn built_in_tools(
    registry: &Registry,
    settings: &Settings,
    stores: &Stores,
    (clock, entropy): (&Arc<dyn Clock>, &Arc<dyn Entropy>),
    components: Vec<(Manifest, Vec<u8>)>,
) -> Result<Kinds> {
    let mut sandbox = settings.wasm.clone();
    if settings.storage != Storage::InMemory && sandbox.cache.is_none() {
        sandbox.cache = Some(settings.data_dir.join("compiled"));
    }
    // Whoever can write the cache but does not know this key cannot have code run.
    let key = stores.vault.token(&l9_core::id::TenantId::default_tenant(), "compiled components", b"");
    let sandbox = l9_tools::wasm::Sandbox::builder(sandbox)
        .with_cache_key(*key.as_bytes())
        .with_clock(Arc::clone(clock))
        .with_entropy(Arc::clone(entropy))
        .build()?;
    l9_tools::builtin::register_all(registry, &sandbox, Arc::clone(&stores.memory))?;
    for (manifest, bytes) in components {
        let guest = sandbox.load(&manifest, bytes).await?;
        registry.register(manifest, guest)?;
    }
    let (secrets, clock) = (settings.tool_secrets.clone(), Arc::clone(clock));
    Ok(Kinds { wasm: sandbox, secrets, clock })
}

#[cfg(not(feature = "wasm"))]
async fn built_in_tools(
    registry: &Registry,
    settings: &Settings,
    stores: &Stores,
    (clock, _): (&Arc<dyn Clock>, &Arc<dyn Entropy>),
    components: Vec<(Manifest, Vec<u8>)>,
) -> Result<Kinds> {
    registry.register_native(l9_tools::builtin::memory_search(Arc::clone(&stores.memory)))?;
    registry.register_native(l9_tools::builtin::memory_remember(Arc::clone(&stores.memory)))?;
    registry.register_native(l9_tools::builtin::run_wait())?;
    registry.register_native(l9_tools::builtin::run_delegate())?;
    if components.is_empty() {
        return Ok(Kinds { secrets: settings.tool_secrets.clone(), clock: Arc::clone(clock) });
    }
    Err(l9_core::Error::invalid("this build has no wasm sandbox: turn the feature `wasm` on"))
}

#[cfg(feature = "models")]
fn hosted_models(mut clients: ModelClients, settings: &Settings, clock: &Arc<dyn Clock>) -> Result<ModelClients> {
    use l9_core::egress::Egress;
    use l9_tools::egress::{self, Direct};
    use l9_tools::models::{anthropic, openai};

    let egress = |origin| -> Result<Arc<dyn Egress>> {
        Ok(Arc::new(Direct::new(egress::Settings::to([origin]), Arc::clone(clock))?))
    };
    if let Some(key) = &settings.openai_api_key {
        let egress = egress(settings.openai.origin()?)?;
        let client = openai::Client::new(settings.openai.clone(), Some(key), egress, Arc::clone(clock))?;
        clients = clients.with("openai", Arc::new(client));
    }
    if let Some(key) = &settings.anthropic_api_key {
        let egress = egress(settings.anthropic.origin()?)?;
        let client = anthropic::Client::new(settings.anthropic.clone(), Some(key), egress, Arc::clone(clock))?;
        clients = clients.with("anthropic", Arc::new(client));
    }
    Ok(clients)
}

#[cfg(not(feature = "models"))]
fn hosted_models(clients: ModelClients, settings: &Settings, _: &Arc<dyn Clock>) -> Result<ModelClients> {
    if settings.openai_api_key.is_some() || settings.anthropic_api_key.is_some() {
        return Err(l9_core::Error::invalid("this build has no hosted models: turn the feature `models` on"));
    }
    Ok(clients)
}

/// The stores of a system, opened.
struct Stores {
    runs: Arc<dyn RunStore>,
    log: Arc<dyn AuditLog>,
    tools: Arc<dyn ToolLedger>,
    memory: Arc<dyn MemoryStore>,
    vault: Arc<dyn Vault>,
    close: Close,
    database: Option<String>,
}

impl Stores {
    async fn open(
        settings: &Settings,
        owner: &str,
        clock: &Arc<dyn Clock>,
        entropy: &Arc<dyn Entropy>,
    ) -> Result<Self> {
        match settings.storage {
            Storage::InMemory => {
                let memory = l9_memory::in_memory::Memory::new(Arc::clone(clock), Arc::clone(entropy));
                let runs = Arc::new(l9_memory::in_memory::Store::new(Arc::clone(clock)));
                Ok(Self {
                    log: Arc::<l9_memory::in_memory::Store>::clone(&runs),
                    tools: Arc::<l9_memory::in_memory::Store>::clone(&runs),
                    runs,
                    memory: Arc::new(memory),
                    vault: Arc::new(Keyring::ephemeral()),
                    close: Close::Nothing,
                    database: None,
                })
            }
            Storage::Sqlite => Self::sqlite(settings, owner, clock, entropy).await,
            Storage::Postgres => Self::postgres(settings, clock, entropy).await,
        }
    }

    #[cfg(feature = "sqlite")]
    async fn sqlite(
        settings: &Settings,
        owner: &str,
        clock: &Arc<dyn Clock>,
        entropy: &Arc<dyn Entropy>,
    ) -> Result<Self> {
        use l9_memory::sqlite;

        let path = settings.database_path();
        let database = sqlite::Database::open(&sqlite::Settings::at(&path)).await?;
        let key = settings.root_key_path();
        let keyring = match database.key_id() {
            Some(_) => Keyring::open(&key)?,
            None => Keyring::open_or_create(&key)?,
        };
        database.bind_key(&keyring.key_id()).await?;
        let vault: Arc<dyn Vault> = Arc::new(keyring);
        let runs = Arc::new(sqlite::Store::open(&database, owner).await?);
        let memory = sqlite::Memory::new(&database, Arc::clone(clock), Arc::clone(entropy), Arc::clone(&vault));
        Ok(Self {
            log: Arc::<sqlite::Store>::clone(&runs),
            tools: Arc::<sqlite::Store>::clone(&runs),
            runs,
            memory: Arc::new(memory),
            vault,
            close: Close::Sqlite(database),
            database: Some(path.display().to_string()),
        })
    }

    #[cfg(not(feature = "sqlite"))]
    async fn sqlite(_: &Settings, _: &str, _: &Arc<dyn Clock>, _: &Arc<dyn Entropy>) -> Result<Self> {
        Err(l9_core::Error::invalid("this build has no SQLite: turn the feature `sqlite` on, or build in memory"))
    }

    #[cfg(feature = "postgres")]
    async fn postgres(settings: &Settings, clock: &Arc<dyn Clock>, entropy: &Arc<dyn Entropy>) -> Result<Self> {
        use l9_memory::postgres;

        let database = postgres::Database::open(&settings.postgres).await?;
        let key = settings.root_key_path();
        let keyring = match database.key_id() {
            Some(bound) if !key.exists() => return Err(key_is_elsewhere(database.shown(), &bound, &key)),
            Some(_) => Keyring::open(&key)?,
            None => Keyring::open_or_create(&key)?,
        };
        database.bind_key(&keyring.key_id()).await?;
        let vault: Arc<dyn Vault> = Arc::new(keyring);
        let memory = postgres::Memory::new(&database, Arc::clone(clock), Arc::clone(entropy), Arc::clone(&vault));
        let runs = Arc::new(postgres::Store::new(&database));
        Ok(Self {
            log: Arc::<postgres::Store>::clone(&runs),
            tools: Arc::<postgres::Store>::clone(&runs),
            runs,
            memory: Arc::new(memory),
            vault,
            database: Some(database.shown().to_owned()),
            close: Close::Postgres(database),
        })
    }

    #[cfg(not(feature = "postgres"))]
    async fn postgres(_: &Settings, _: &Arc<dyn Clock>, _: &Arc<dyn Entropy>) -> Result<Self> {
        Err(l9_core::Error::invalid("this build has no PostgreSQL: turn the feature `postgres` on"))
    }
}

#[cfg(feature = "postgres")]
fn key_is_elsewhere(database: &str, bound: &str, key: &std::path::Path) -> l9_core::Error {
    l9_core::Error::not_found(format!(
        "the root key file {} is missing, and the database {database} is sealed under root key {bound}: copy the file from \
         another node or from its backup",
        key.display()
    ))
}

/// What closes the stores.
pub(crate) enum Close {
    Nothing,
    #[cfg(feature = "sqlite")]
    Sqlite(l9_memory::sqlite::Database),
    #[cfg(feature = "postgres")]
    Postgres(l9_memory::postgres::Database),
}

impl Close {
    pub(crate) async fn run(&self) {
        match self {
            Self::Nothing => {}
            #[cfg(feature = "sqlite")]
            Self::Sqlite(database) => database.close().await,
            #[cfg(feature = "postgres")]
            Self::Postgres(database) => database.close().await,
        }
    }
}

impl fmt::Debug for Close {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Close")
    }
}

fn time_and_entropy(seed: Option<u64>) -> (Arc<dyn Clock>, Arc<dyn Entropy>) {
    match seed {
        Some(seed) => (Arc::new(SeededClock::new(seed)), Arc::new(SeededEntropy::new(seed))),
        None => (Arc::new(SystemClock::default()), Arc::new(SystemEntropy)),
    }
}

/// This process's name as an owner of leases: random whatever the seed, so that no two
/// processes ever share one.
fn owner() -> String {
    let mut name = [0; 16];
    SystemEntropy.fill("owner", &mut name);
    hex::encode(name)
}
