//! Settings and components become a running system here, and only here is a backend
//! chosen.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use l9_core::Result;
use l9_core::agent::{AgentProfile, Profiles};
use l9_core::entropy::{Entropy, SeededEntropy, SystemEntropy};
use l9_core::evidence::Witness;
use l9_core::governor::{Capacity, Governor, OnUnknown, Policy, Rates};
use l9_core::kernel::{self, Components, Engine};
use l9_core::memory::Embedder;
use l9_core::model::extractive::Extractive;
use l9_core::model::{Discreet, ModelClient, ModelClients};
use l9_core::redact::KnownSecrets;
use l9_core::redact::tokens::Tokens;
use l9_core::run::Relay;
use l9_core::time::{Clock, SeededClock, SystemClock};
use l9_core::tool::Manifest;
use l9_core::vault::Vault;
use l9_memory::guard::{self, Guarded};
use l9_memory::witness::FileWitness;
use l9_plan::Worker;
use l9_plan::plan::Executor;
use l9_tools::native::NativeTool;
use l9_tools::registry::Registry;
use l9_tools::secrets::{Provider, Secrets};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use crate::audit::{Audit, KeyPlace};
use crate::dispatch;
use crate::embedding::Embeddings;
use crate::hosted;
use crate::known;
use crate::policy;
use crate::relations::Relations;
use crate::researcher;
use crate::runtime::{Inner, Runtime};
use crate::schedules::Schedules;
use crate::settings::{Settings, Storage};
use crate::short_term::ShortTerm;
use crate::stores::Stores;
use crate::tools::{Kinds, Tools, register_databases};

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
    embedder: Option<Arc<dyn Embedder>>,
    secrets: Vec<SecretString>,
    providers: Vec<Arc<dyn Provider>>,
    known: Arc<KnownSecrets>,
    #[cfg(feature = "models")]
    gateway: l9_tools::egress::Gateway,
    witnesses: Vec<Arc<dyn Witness>>,
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

    /// Says how many effects of a class this process has under way at once; without it there is
    /// no bound.
    pub fn capacity(mut self, capacity: Capacity) -> Self {
        self.settings.capacity = capacity;
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

    /// Adds a secret for whichever tool and host a manifest names it; it is masked like any
    /// other.
    pub fn tool_secret(mut self, handle: impl Into<String>, secret: SecretString) -> Self {
        self.settings.tool_secrets.insert(handle.into(), secret);
        self
    }

    /// Adds the tools of an MCP server, whose ids begin with its name.
    #[cfg(feature = "mcp")]
    pub fn mcp_server(mut self, name: impl Into<String>, server: l9_tools::mcp::Settings) -> Self {
        self.settings.mcp.insert(name.into(), server);
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

    /// Finds memories by the vectors of this embedder, whatever the settings say.
    pub fn embedder(mut self, embedder: Arc<dyn Embedder>) -> Self {
        self.embedder = Some(embedder);
        self
    }

    /// Masks a secret in everything that tools and models give, and in errors.
    pub fn secret(mut self, secret: SecretString) -> Self {
        self.secrets.push(secret);
        self
    }

    /// Asks this provider for the values of secrets that the settings grant, before the
    /// folder of secrets and the sealed file are asked.
    pub fn secret_provider(mut self, provider: Arc<dyn Provider>) -> Self {
        self.providers.push(provider);
        self
    }

    /// Masks with these known secrets, which learn all others that the system has; for what
    /// masks beside it, such as a log.
    pub fn known_secrets(mut self, known: Arc<KnownSecrets>) -> Self {
        self.known = known;
        self
    }

    /// Sends everything that leaves through this gateway.
    #[cfg(feature = "models")]
    pub fn gateway(mut self, gateway: l9_tools::egress::Gateway) -> Self {
        self.gateway = gateway;
        self
    }

    /// Hands checkpoints of the audit log to a witness, besides the one of the settings.
    pub fn witness(mut self, witness: Arc<dyn Witness>) -> Self {
        self.witnesses.push(witness);
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
        #[cfg(feature = "models")]
        let gateway = &self.gateway;
        #[cfg(not(feature = "models"))]
        let gateway = &();
        let asking = match self.embedder.take() {
            Some(embedder) => Some(settings.embedding.asked(embedder, &clock)?),
            None => settings.embedding.asking(settings.openai_api_key.as_ref(), gateway, &clock)?,
        };
        // In a box: whoever builds a system would hold it all.
        let mut stores = Box::pin(Stores::open(&settings, &owner, (&clock, &entropy), asking.as_ref())).await?;
        let memory = Arc::clone(&stores.memory);
        let (memory, short_term) =
            ShortTerm::open(&settings, memory, &clock, &entropy, &stores.vault, asking.as_ref())?;
        let embeddable = std::iter::once(&stores.embeddable).chain(short_term.embeddable());
        let embeddings = Embeddings::new(embeddable, asking.as_ref(), &clock, &owner)?;
        let short_term_ttl = std::time::Duration::from_millis(settings.short_term_ttl_ms);
        let guard =
            guard::Settings { tokens: settings.pii_tokens, scan: settings.injection_scan, short_term: short_term_ttl };
        let guard = Arc::new(Guarded::new(memory, Arc::clone(&stores.vault), Arc::clone(&clock), guard));
        stores.memory = Arc::<Guarded>::clone(&guard);
        let registry = Arc::new(Registry::default());
        let secrets = known::gather(&settings, &self.providers, &self.secrets, &stores.vault, &self.known)?;
        let tools = Box::pin(self.register(&registry, &settings, &stores, &clock, &entropy, secrets)).await?;
        let chosen = policy::choose(self.policy.take(), &settings, &clock)?;
        let governor = Governor::new(
            Arc::<Registry>::clone(&registry),
            self.models(&settings, &clock, &stores.vault)?,
            chosen.policy,
            Arc::<KnownSecrets>::clone(&self.known),
            Arc::clone(&clock),
            settings.governor(),
        );
        let mut governor = governor.with_compiler(policy::compiler()).with_memory(Arc::clone(&stores.memory));
        if settings.long_plans {
            governor = governor.with_plans(Arc::new(Executor { children: settings.delegation_width as usize }));
        }
        let governor = Arc::new(governor);
        let profiles = Arc::new(Profiles::default());
        profiles.put(researcher::profile(&registry)?)?;
        for profile in self.agents {
            profiles.put(profile)?;
        }
        let (queue, queue_place) = dispatch::open(&settings, &stores.vault, &clock)?;
        let Stores {
            runs,
            log,
            tools: _,
            roster,
            schedules,
            memory,
            embeddable: _,
            readable,
            vault,
            keys,
            close,
            database,
        } = stores;
        let parts = Components {
            store: Arc::clone(&runs),
            vault,
            governor,
            queue: Arc::clone(&queue),
            profiles,
            clock: Arc::clone(&clock),
            entropy,
        };
        let engine_settings =
            kernel::Settings { node: settings.node.clone(), owner: owner.clone(), lease: settings.lease() };
        let engine = Engine::new(parts, engine_settings);
        engine.learn_stops().await?;
        let wire = short_term.wire(&*engine.parts().vault);
        let relay = wire.and_then(|wire| Relay::new(engine.hints(), wire, Arc::clone(&clock))).map(Arc::new);
        let schedules = Schedules::new(&settings.scheduler, schedules, &engine);
        let relations = Relations::new(&settings.relations, &readable, &engine, &clock, &owner)?;
        let place = match settings.storage {
            Storage::InMemory => KeyPlace::Nowhere,
            _ => KeyPlace::File(settings.audit_key_path()),
        };
        let mut witnesses = self.witnesses;
        if let Some(path) = &settings.audit.witness {
            witnesses.push(Arc::new(FileWitness::new(path)));
        }
        let audit = Audit::new(log, engine.clone(), owner, settings.audit.clone(), place, witnesses);
        let worker = Worker {
            settings: settings.worker.clone(),
            queue: Arc::clone(&queue),
            leases: runs,
            advance: Arc::new(engine.clone()),
            clock,
        };
        Ok(Runtime {
            inner: Arc::new(Inner {
                settings,
                engine,
                memory,
                guard,
                short_term,
                embeddings,
                relations,
                schedules,
                registry,
                tools,
                queue,
                queue_place,
                worker,
                audit,
                roster,
                relay,
                database,
                policies: chosen.watch,
                started: AtomicBool::new(false),
                listening: AtomicBool::new(false),
                appeared: AtomicBool::new(false),
                drain: CancellationToken::new(),
                tasks: tokio::sync::Mutex::default(),
                endless: tokio::sync::Mutex::default(),
                keys,
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
        #[cfg_attr(not(feature = "models"), expect(unused_variables, reason = "requests take them"))] secrets: Secrets,
    ) -> Result<Arc<Tools>> {
        let components = std::mem::take(&mut self.components);
        #[cfg(feature = "models")]
        let http = l9_tools::http::Surroundings {
            gateway: self.gateway.clone(),
            secrets,
            redactor: self.known.clone(),
            clock: Arc::clone(clock),
        };
        #[cfg(not(feature = "models"))]
        let http = ();
        let sandbox = built_in_tools(registry, settings, stores, (clock, entropy, &http), components).await?;
        #[cfg(not(feature = "wasm"))]
        let () = sandbox;
        let kinds = Kinds {
            #[cfg(feature = "wasm")]
            wasm: sandbox,
            #[cfg(feature = "models")]
            http,
        };
        register_databases(registry, settings)?;
        for tool in std::mem::take(&mut self.tools) {
            registry.register_native(tool)?;
        }
        let kept = (Arc::clone(&stores.tools), Arc::clone(&stores.vault));
        let tools = Tools::new(Arc::clone(registry), kept, Arc::clone(clock), kinds, settings)?;
        tools.open().await?;
        Ok(tools)
    }

    /// The embedder's providers first, then those with a key, then the offline one.
    fn models(
        &mut self,
        settings: &Settings,
        #[cfg_attr(not(feature = "models"), expect(unused_variables, reason = "requests take it"))] clock: &Arc<
            dyn Clock,
        >,
        vault: &Arc<dyn Vault>,
    ) -> Result<ModelClients> {
        let mut clients = ModelClients::default();
        for (provider, client) in std::mem::take(&mut self.models) {
            clients = clients.with(provider, client);
        }
        #[cfg(feature = "models")]
        let clients = hosted::add(clients, settings, &self.gateway, clock)?;
        #[cfg(not(feature = "models"))]
        let clients = hosted::refuse(clients, settings)?;
        let clients = clients.with("extractive", Arc::new(Extractive));
        if !settings.pii_tokens {
            return Ok(clients);
        }
        let tokens = Tokens::new(Arc::clone(vault));
        Ok(clients.map(|client| Arc::new(Discreet::new(client, tokens.clone()))))
    }
}

/// What requests of tools are sent through.
#[cfg(feature = "models")]
type Http = l9_tools::http::Surroundings;
#[cfg(not(feature = "models"))]
type Http = ();

#[cfg(feature = "wasm")]
async fn built_in_tools(
    registry: &Registry,
    settings: &Settings,
    stores: &Stores,
    (clock, entropy, http): (&Arc<dyn Clock>, &Arc<dyn Entropy>, &Http),
    components: Vec<(Manifest, Vec<u8>)>,
) -> Result<l9_tools::wasm::Sandbox> {
    let mut sandbox = settings.wasm.clone();
    if settings.storage != Storage::InMemory && sandbox.cache.is_none() {
        sandbox.cache = Some(settings.data_dir.join("compiled"));
    }
    // Whoever can write the cache but does not know this key cannot have code run.
    let key = stores.vault.token(&l9_core::id::TenantId::default_tenant(), "compiled components", b"");
    let sandbox = l9_tools::wasm::Sandbox::builder(sandbox)
        .with_cache_key(*key.as_bytes())
        .with_clock(Arc::clone(clock))
        .with_entropy(Arc::clone(entropy));
    #[cfg(feature = "models")]
    let sandbox = sandbox.with_surroundings(http.clone());
    #[cfg(not(feature = "models"))]
    let () = http;
    let sandbox = sandbox.build()?;
    l9_tools::builtin::register_all(registry, &sandbox, Arc::clone(&stores.memory), &settings.files)?;
    #[cfg(feature = "models")]
    l9_tools::builtin::register_fetch(registry, &sandbox, http, &settings.web)?;
    for (manifest, bytes) in components {
        let guest = sandbox.load(&manifest, bytes).await?;
        registry.register(manifest, guest)?;
    }
    Ok(sandbox)
}

#[cfg(not(feature = "wasm"))]
async fn built_in_tools(
    registry: &Registry,
    _: &Settings,
    stores: &Stores,
    _: (&Arc<dyn Clock>, &Arc<dyn Entropy>, &Http),
    components: Vec<(Manifest, Vec<u8>)>,
) -> Result<()> {
    registry.register_native(l9_tools::builtin::memory_search(Arc::clone(&stores.memory)))?;
    registry.register_native(l9_tools::builtin::memory_remember(Arc::clone(&stores.memory)))?;
    registry.register_native(l9_tools::builtin::memory_reveal())?;
    registry.register_native(l9_tools::builtin::run_wait())?;
    registry.register_native(l9_tools::builtin::run_delegate())?;
    if components.is_empty() {
        return Ok(());
    }
    Err(l9_core::Error::invalid("this build has no wasm sandbox: turn the feature `wasm` on"))
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
    SystemEntropy.fill(format_args!("owner"), &mut name);
    hex::encode(name)
}
