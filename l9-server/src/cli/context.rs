//! What every command begins with: the configuration, the log, and the runtime.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use l9::id::TenantId;
use l9::redact::KnownSecrets;
use l9::secrets::{Environment, Provider};
use l9::{Builder, QueueBackend, Runtime, Settings};
use serde_json::Value;

use super::arguments::Global;
use super::failure::Failure;
use crate::config::{Config, Database, Loaded, Loader, Problem, Problems, load_agents};
use crate::logging;
use crate::terminal::Screen;
use crate::witness::HttpWitness;

/// The configuration of a command and where it prints.
#[derive(Debug)]
pub(crate) struct Context {
    /// What is configured.
    pub(crate) config: Config,
    /// Where to print.
    pub(crate) screen: Screen,
    /// The tenant to work for.
    pub(crate) tenant: TenantId,
    /// The variables that hold secrets of tools.
    pub(crate) secrets: Arc<Environment>,
    /// What is masked, in the log and everywhere else.
    known: Arc<KnownSecrets>,
    /// Whether the queue is the one that the configuration names, and not this process's own.
    shares_queue: bool,
}

impl Context {
    /// Reads the configuration and starts the log at `level`, unless another is set.
    pub(crate) fn load(
        global: &Global,
        flags: &[(&'static str, Value, &'static str)],
        level: &str,
    ) -> Result<Self, Failure> {
        let Loaded { config, warnings, secrets, .. } = read(global, flags)?;
        let known = Arc::new(KnownSecrets::default());
        let named = [
            ("OPENAI_API_KEY", &config.models.openai.api_key),
            ("ANTHROPIC_API_KEY", &config.models.anthropic.api_key),
            ("JWT_SECRET", &config.auth.jwt_secret),
            ("REDIS_PASSWORD", &config.redis.password),
            ("L9__AUDIT__WITNESS_TOKEN", &config.audit.witness_token),
        ];
        known.learn(named.into_iter().filter_map(|(name, secret)| Some((name, secret.as_ref()?))));
        logging::init(&config, level, Arc::<KnownSecrets>::clone(&known))?;
        for Problem { message, help } in warnings {
            tracing::warn!("{message}{}", help.map(|help| format!("; {help}")).unwrap_or_default());
        }
        let tenant = global.tenant.clone().unwrap_or_else(TenantId::default_tenant);
        Ok(Self {
            config,
            screen: Screen::new(global.json),
            tenant,
            secrets: Arc::new(secrets),
            known,
            shares_queue: false,
        })
    }

    /// With the queue that is configured. Other commands advance what they start themselves, so
    /// that its steps and words come to their screen.
    pub(super) fn sharing_queue(self) -> Self {
        Self { shares_queue: true, ..self }
    }

    /// Opens the runtime with the configured agents, making the data folder if need be.
    pub(crate) async fn open(&self) -> Result<Runtime, Failure> {
        self.open_as(self.config.settings()?).await
    }

    /// The same, to serve: with a scheduler where one is configured. No other command has one,
    /// since it does not stay to see what it starts.
    pub(crate) async fn open_to_serve(&self) -> Result<Runtime, Failure> {
        let mut settings = self.config.settings()?;
        settings.scheduler.enabled = self.config.scheduler.enabled;
        self.open_as(settings).await
    }

    async fn open_as(&self, settings: Settings) -> Result<Runtime, Failure> {
        let builder = self.witnessed(self.builder(settings))?;
        let builder = load_agents(&self.config)?.into_iter().fold(builder, Builder::agent);
        build(builder).await
    }

    /// Opens the runtime to look at what is there, over a database that must be; agents
    /// are left out, so that a faulty profile does not stand in the way.
    pub(crate) async fn open_existing(&self) -> Result<Runtime, Failure> {
        self.existing_database()?;
        self.open_with(self.config.settings()?).await
    }

    /// Opens the runtime to stop what runs, or to forbid a tool: what agents and tools would
    /// need is left out, a witness as well, and policies that cannot be used do not stand in
    /// the way.
    pub(crate) async fn open_to_stop(&self) -> Result<Runtime, Failure> {
        self.existing_database()?;
        let settings = Settings {
            tools_dir: None,
            secret_grants: BTreeMap::new(),
            mcp: BTreeMap::new(),
            ..self.config.settings()?
        };
        match self.open_apart(settings.clone()).await {
            Err(failure) if settings.policy_dir.is_some() => {
                tracing::warn!(%failure, "the policies are left out");
                self.open_apart(Settings { policy_dir: None, ..settings }).await
            }
            opened => opened,
        }
    }

    fn builder(&self, mut settings: Settings) -> Builder {
        if !self.shares_queue {
            settings.queue.backend = QueueBackend::InProcess;
        }
        Runtime::builder()
            .settings(Settings { tenant: self.tenant.clone(), ..settings })
            .secret_provider(Arc::<Environment>::clone(&self.secrets))
            .known_secrets(Arc::clone(&self.known))
    }

    /// With the witness that is reached over HTTP, if one is configured.
    fn witnessed(&self, builder: Builder) -> Result<Builder, Failure> {
        let audit = &self.config.audit;
        let witness = HttpWitness::at(audit.witness.as_ref(), audit.witness_token.as_ref())?;
        Ok(witness.into_iter().fold(builder, |builder, witness| builder.witness(Arc::new(witness))))
    }

    /// Opens a runtime with these settings of which no witness outside hears.
    pub(crate) async fn open_apart(&self, settings: Settings) -> Result<Runtime, Failure> {
        build(self.builder(settings)).await
    }

    /// Opens a runtime with these settings and no agents but the built-in ones.
    pub(crate) async fn open_with(&self, settings: Settings) -> Result<Runtime, Failure> {
        build(self.witnessed(self.builder(settings))?).await
    }

    /// Opens a runtime as [`Context::open_with`] does, which also knows the secrets of a provider.
    pub(crate) async fn open_knowing(
        &self,
        settings: Settings,
        provider: Option<Arc<dyn Provider>>,
    ) -> Result<Runtime, Failure> {
        let builder = self.witnessed(self.builder(settings))?;
        build(provider.into_iter().fold(builder, Builder::secret_provider)).await
    }

    /// The database: a file must be there, and whether a server has it shows when it is
    /// opened.
    pub(crate) fn existing_database(&self) -> Result<Database, Failure> {
        let database = self.config.database();
        match &database {
            Database::File(path) if !path.exists() => {
                Err(Failure::usage(format!("there is no database {}", path.display()))
                    .with_help("run an agent or ingest something first, or choose another folder with --data-dir"))
            }
            _ => Ok(database),
        }
    }
}

async fn build(builder: Builder) -> Result<Runtime, Failure> {
    Box::pin(builder.build()).await.map_err(Failure::of_machine)
}

/// Reads every layer of the configuration.
pub(crate) fn read(global: &Global, flags: &[(&'static str, Value, &'static str)]) -> Result<Loaded, Problems> {
    // A name or value that is not Unicode is none of ours; one of ours is refused by its type.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
        .collect();
    let flags = global.settings().into_iter().chain(flags.iter().cloned()).collect();
    Loader { file: global.config.clone(), dot_env: PathBuf::from(".env"), environment, flags }.load()
}
