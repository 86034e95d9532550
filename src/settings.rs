//! What an embedder or operator may set.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use l9_core::governor::{self, Capacity, OnUnknown, Rates};
use l9_core::id::TenantId;
use l9_core::memory::Quota;
use l9_core::{Error, Result};
use l9_tools::secrets::Grant;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::servers::Servers;

/// Where runs and memories are stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Storage {
    /// One SQLite file.
    #[default]
    Sqlite,
    /// A PostgreSQL database, which several nodes may share.
    Postgres,
    /// This process: gone with it.
    InMemory,
}

/// What an embedder or operator may set. Components that are code come in through the
/// builder.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The folder of the database, the root key and caches.
    pub data_dir: PathBuf,
    /// Where runs and memories are stored.
    pub storage: Storage,
    /// The tenant that the local principal works for.
    pub tenant: TenantId,
    /// The database file; `l9.db` in the data folder if absent.
    pub database: Option<PathBuf>,
    /// The PostgreSQL database.
    #[cfg(feature = "postgres")]
    pub postgres: l9_memory::postgres::Settings,
    /// The Redis server for short-term memories, the queue and hints between nodes; without an
    /// address memories are where the runs are, the queue is in this process, and there are no hints.
    #[cfg(feature = "redis")]
    pub redis: l9_memory::redis::Settings,
    /// How long a short-term memory is kept, in milliseconds.
    pub short_term_ttl_ms: u64,
    /// Whether tokens stand in for personal data in what memory keeps and what models beyond
    /// this process are asked.
    pub pii_tokens: bool,
    /// Whether entries whose words look like orders to a model get an untrusted label.
    pub injection_scan: bool,
    /// How much memory a tenant and an agent may have; short-term entries in Redis count for
    /// themselves.
    pub memory_quota: Quota,
    /// What finds memories by their meaning.
    pub embedding: crate::embedding::Settings,
    /// What takes relations from the texts of memories.
    pub relations: crate::relations::Settings,
    /// The root key's file, the same for all nodes of a database; `root.key` in the data
    /// folder if absent.
    pub root_key: Option<PathBuf>,
    /// This node's name, journaled with every lease.
    pub node: String,
    /// How long a lease lasts without renewal, in milliseconds.
    pub lease_ms: u64,
    /// Makes ids, times and entropy a function of this number: two runs over the same
    /// inputs write the same journal.
    pub seed: Option<u64>,
    /// How long one attempt at a model call may take, in milliseconds.
    pub model_deadline_ms: u64,
    /// How long a cancelled effect is given to end by itself, in milliseconds.
    pub grace_ms: u64,
    /// What becomes of a write whose end nobody knows.
    pub unknown: OnUnknown,
    /// How often an effect that ended without effect is tried, its first attempt included.
    pub attempts: u32,
    /// The wait before the second attempt, in milliseconds; it doubles with each further one.
    pub backoff_ms: u64,
    /// The audit log.
    pub audit: crate::audit::Settings,
    /// How long a person is waited for who was asked, in milliseconds; policy decides then.
    pub approval_timeout_ms: u64,
    /// How long an approval may be used after it was given, in milliseconds.
    pub approval_validity_ms: u64,
    /// How many delegations may lie above each other.
    pub delegation_depth: u32,
    /// How many children of one run may work at a time.
    pub delegation_width: u32,
    /// Whether plans are carried out.
    pub long_plans: bool,
    /// How many effects a minute may be had in this process.
    pub rates: Rates,
    /// How many effects of a class this process has under way at once.
    pub capacity: Capacity,
    /// The queue.
    pub queue: l9_plan::Settings,
    /// The worker of this process.
    pub worker: l9_plan::worker::Settings,
    /// The scheduler of this process.
    pub scheduler: l9_plan::schedule::Settings,
    /// The folder of tool manifests; none if absent.
    pub tools_dir: Option<PathBuf>,
    /// How tools beyond the built-in ones come in.
    pub tools: crate::tools::Settings,
    /// The databases that `sql/query` reads, by the names that agents use.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub databases: l9_tools::builtin::sql::Databases,
    /// A file of policies, or a folder of files that end with `.cedar`; read again when they
    /// change. Those that come with L9 decide if absent.
    pub policy_dir: Option<PathBuf>,
    /// Whose policies come with L9: those of `local`, `staging` or `production`.
    pub policy_profile: String,
    /// Secrets for whichever tool and host a manifest names, by their handles.
    #[serde(skip_serializing)]
    pub tool_secrets: BTreeMap<String, SecretString>,
    /// Which tools may use a secret and where it may be sent, by its handle; the value is
    /// asked of the builder's providers, the folder of secrets and the sealed file, in that
    /// order.
    pub secret_grants: BTreeMap<String, Grant>,
    /// The folder that has a file for each secret; `secrets` in the data folder if absent.
    pub secrets_dir: Option<PathBuf>,
    /// MCP servers by their names, which begin the ids of their tools.
    #[cfg(feature = "mcp")]
    pub mcp: BTreeMap<String, l9_tools::mcp::Settings>,
    /// The wasm sandbox.
    #[cfg(feature = "wasm")]
    pub wasm: l9_tools::wasm::Settings,
    /// The mounts of the sandbox that `file/read`, `file/list` and `file/write` are lent; those
    /// tools are there for these only.
    #[cfg(feature = "wasm")]
    pub files: l9_tools::builtin::FileMounts,
    /// The hosts that `web/fetch` may reach; it is there for these only.
    #[cfg(all(feature = "wasm", feature = "models"))]
    pub web: l9_tools::builtin::WebHosts,
    /// The chat completions wire.
    #[cfg(feature = "models")]
    pub openai: l9_tools::models::openai::Settings,
    /// The key of the chat completions wire; without it the provider is not configured.
    #[serde(skip_serializing)]
    pub openai_api_key: Option<SecretString>,
    /// The Messages wire.
    #[cfg(feature = "models")]
    pub anthropic: l9_tools::models::anthropic::Settings,
    /// The key of the Messages wire; without it the provider is not configured.
    #[serde(skip_serializing)]
    pub anthropic_api_key: Option<SecretString>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from(".l9"),
            storage: Storage::default(),
            tenant: TenantId::default_tenant(),
            database: None,
            #[cfg(feature = "postgres")]
            postgres: l9_memory::postgres::Settings::default(),
            #[cfg(feature = "redis")]
            redis: l9_memory::redis::Settings::default(),
            short_term_ttl_ms: 24 * 3_600_000,
            pii_tokens: false,
            injection_scan: true,
            memory_quota: Quota::default(),
            embedding: crate::embedding::Settings::default(),
            relations: crate::relations::Settings::default(),
            root_key: None,
            node: "local".into(),
            lease_ms: 15_000,
            seed: None,
            model_deadline_ms: 180_000,
            grace_ms: 2_000,
            unknown: OnUnknown::default(),
            attempts: 3,
            backoff_ms: 500,
            audit: crate::audit::Settings::default(),
            approval_timeout_ms: 7 * 24 * 3_600_000,
            approval_validity_ms: 3_600_000,
            delegation_depth: 4,
            delegation_width: 16,
            long_plans: true,
            rates: Rates::default(),
            capacity: Capacity::default(),
            queue: l9_plan::Settings::default(),
            worker: l9_plan::worker::Settings::default(),
            scheduler: l9_plan::schedule::Settings::default(),
            tools_dir: None,
            tools: crate::tools::Settings::default(),
            #[cfg(any(feature = "sqlite", feature = "postgres"))]
            databases: BTreeMap::new(),
            policy_dir: None,
            policy_profile: "local".into(),
            tool_secrets: BTreeMap::new(),
            secret_grants: BTreeMap::new(),
            secrets_dir: None,
            #[cfg(feature = "mcp")]
            mcp: BTreeMap::new(),
            #[cfg(feature = "wasm")]
            wasm: l9_tools::wasm::Settings::default(),
            #[cfg(feature = "wasm")]
            files: BTreeMap::new(),
            #[cfg(all(feature = "wasm", feature = "models"))]
            web: l9_tools::builtin::WebHosts::default(),
            #[cfg(feature = "models")]
            openai: l9_tools::models::openai::Settings::default(),
            openai_api_key: None,
            #[cfg(feature = "models")]
            anthropic: l9_tools::models::anthropic::Settings::default(),
            anthropic_api_key: None,
        }
    }
}

impl Settings {
    /// What the governor holds runs to.
    pub(crate) fn governor(&self) -> governor::Settings {
        governor::Settings {
            model_deadline: Duration::from_millis(self.model_deadline_ms),
            grace: Duration::from_millis(self.grace_ms),
            unknown: self.unknown,
            attempts: self.attempts,
            backoff: Duration::from_millis(self.backoff_ms),
            approval_timeout: Duration::from_millis(self.approval_timeout_ms),
            approval_validity: Duration::from_millis(self.approval_validity_ms),
            depth: self.delegation_depth,
            width: self.delegation_width,
            rates: self.rates,
            capacity: self.capacity,
        }
    }

    /// The database file.
    #[must_use]
    pub fn database_path(&self) -> PathBuf {
        self.database.clone().unwrap_or_else(|| self.data_dir.join("l9.db"))
    }

    /// The root key's file.
    #[must_use]
    pub fn root_key_path(&self) -> PathBuf {
        self.root_key.clone().unwrap_or_else(|| self.data_dir.join("root.key"))
    }

    /// The file of the audit log's key.
    #[must_use]
    pub fn audit_key_path(&self) -> PathBuf {
        self.audit.key.clone().unwrap_or_else(|| self.data_dir.join("audit.key"))
    }

    /// The folder that has a file for each secret.
    #[must_use]
    pub fn secrets_folder(&self) -> PathBuf {
        self.secrets_dir.clone().unwrap_or_else(|| self.data_dir.join("secrets"))
    }

    /// The file of sealed secrets.
    #[must_use]
    pub fn sealed_secrets_path(&self) -> PathBuf {
        self.data_dir.join("secrets.json")
    }

    /// The passwords within the addresses of databases, to be masked.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) fn database_passwords(&self) -> Vec<SecretString> {
        self.databases.values().filter_map(l9_tools::builtin::sql::Settings::password).collect()
    }

    #[cfg(not(any(feature = "sqlite", feature = "postgres")))]
    pub(crate) fn database_passwords(&self) -> Vec<SecretString> {
        Vec::new()
    }

    pub(crate) fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms)
    }

    pub(crate) fn check(&self) -> Result<()> {
        if !(5_000..=600_000).contains(&self.lease_ms) {
            return Err(Error::invalid(format!("lease_ms is {}: use 5000 to 600000", self.lease_ms)));
        }
        if !(1..=100).contains(&self.attempts) {
            return Err(Error::invalid(format!("attempts is {}: use 1 to 100", self.attempts)));
        }
        if !self.embedding.unsealed_layers.is_empty() && self.storage != Storage::Postgres {
            return Err(Error::invalid(
                "memory.unsealed_layers names layers, and no PostgreSQL keeps the memories: name a database that has pgvector in DATABASE_URL, or leave the layers out",
            ));
        }
        self.audit.check()?;
        Servers::check(self)?;
        for (name, most) in [("per_principal", self.rates.per_principal), ("per_tenant", self.rates.per_tenant)] {
            if most == Some(0) {
                return Err(Error::invalid(format!("rates.{name} is 0: use 1 or more, or leave it out for no limit")));
            }
        }
        if let Some((class, _)) = self.capacity.by_class().find(|(_, most)| *most == Some(0)) {
            return Err(Error::invalid(format!("capacity.{class} is 0: use 1 or more, or leave it out for no bound")));
        }
        self.tools.check()?;
        self.queue.check()?;
        if self.worker.attempts == 0 {
            return Err(Error::invalid("worker.attempts is 0: use at least 1"));
        }
        if self.worker.concurrency == 0 {
            return Err(Error::invalid("worker.concurrency is 0: use at least 1"));
        }
        if !(10..=60_000).contains(&self.scheduler.poll_ms) {
            return Err(Error::invalid(format!("scheduler.poll_ms is {}: use 10 to 60000", self.scheduler.poll_ms)));
        }
        if self.node.is_empty() || self.node.len() > 64 || !self.node.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Error::invalid(format!(
                "node {:?} is no name: use 1 to 64 printable ASCII characters",
                self.node
            )));
        }
        Ok(())
    }
}
