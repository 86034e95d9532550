//! The configuration as the runtime's settings.

use std::collections::BTreeMap;
use std::path::PathBuf;

use l9::registry::TrustedKeys;
use serde_json::Value;

use super::database::{Database, DatabaseUrl};
use super::memory::{Embedder, Pii, Relations};
use super::problem::Problem;
use super::running::QueueBackend;
use super::sections::{Config, Deployment, Provider, SecretGrant};
use crate::logging;
use crate::witness::{self, Place};

impl Config {
    /// Where the database is.
    pub(crate) fn database(&self) -> Database {
        let named = self.storage.database_url.as_ref().and_then(DatabaseUrl::names);
        match named {
            Some(Database::File(path)) if path.as_os_str().is_empty() => self.default_database(),
            Some(database) => database,
            None => self.default_database(),
        }
    }

    fn default_database(&self) -> Database {
        Database::File(self.storage.data_dir.join("l9.db"))
    }

    /// The database for people: its file, or its address without the password.
    pub(crate) fn database_shown(&self) -> String {
        match (self.database(), &self.storage.database_url) {
            (Database::File(path), _) => path.display().to_string(),
            (Database::Postgres(_), url) => url.as_ref().map(DatabaseUrl::shown).unwrap_or_default(),
        }
    }

    /// Whether requests need a token.
    pub(crate) fn authenticates(&self) -> bool {
        self.auth.enabled.unwrap_or(self.deployment != Deployment::Local)
    }

    /// The folder of manifests, if one is named or there.
    fn tools(&self) -> Option<PathBuf> {
        let usual = self.storage.data_dir.join("tools");
        self.tools.dir.clone().or_else(|| usual.is_dir().then_some(usual))
    }

    /// How manifests come in. Whoever can write the folder of a production machine must not
    /// be able to add tools by that alone.
    fn tool_settings(&self) -> l9::tools::Settings {
        l9::tools::Settings {
            reload_ms: self.tools.reload_ms,
            trusted_keys: self.tools.trusted_keys.clone(),
            require_signature: self.tools.require_signature.unwrap_or(self.deployment == Deployment::Production),
        }
    }

    /// Which tools may use which secret, and where it may go.
    fn secret_grants(&self) -> BTreeMap<String, l9::secrets::Grant> {
        let grant = |grant: &SecretGrant| l9::secrets::Grant { hosts: grant.hosts.clone(), tools: grant.tools.clone() };
        self.tools.secrets.iter().map(|(handle, granted)| (handle.clone(), grant(granted))).collect()
    }

    /// Where policies are, if anywhere.
    fn policies(&self) -> Option<PathBuf> {
        let usual = self.storage.data_dir.join("policies");
        self.policy.dir.clone().or_else(|| usual.is_dir().then_some(usual))
    }

    /// What does not fit although its type does.
    pub(super) fn faults(&self) -> Vec<Problem> {
        let workers = &self.workers;
        let mut faults = Vec::new();
        let mut within = |path: &str, value: u64, least: u64, most: u64| {
            if !(least..=most).contains(&value) {
                faults.push(Problem::plain(format!("{path} is {value}: use {least} to {most}")));
            }
        };
        within("storage.pool_size", u64::from(self.storage.pool_size), 2, 10_000);
        within("storage.pool_timeout", self.storage.pool_timeout, 1, 600);
        within("redis.connect_timeout_ms", self.redis.connect_timeout_ms, 10, 60_000);
        within("redis.answer_timeout_ms", self.redis.answer_timeout_ms, 10, 60_000);
        within("memory.short_term_ttl_ms", self.memory.short_term_ttl_ms, 1_000, 31_536_000_000);
        within("memory.embedding_dimensions", self.memory.embedding_dimensions as u64, 1, 4_096);
        within("memory.embedding_query_ms", self.memory.embedding_query_ms, 10, 60_000);
        within("tools.reload_ms", self.tools.reload_ms, 100, 3_600_000);
        within("workers.count", workers.count as u64, 1, 100_000);
        within("workers.attempts", workers.attempts.into(), 1, 1_000_000);
        within("workers.tenant_count", workers.tenant_count as u64, 1, 100_000_000);
        within("workers.rate_count", workers.rate_count, 0, 100_000);
        within("workers.tenant_rate_count", workers.tenant_rate_count, 0, 100_000);
        within("workers.rate_ms", workers.rate_ms, 100, 86_400_000);
        within("workers.claim_ms", workers.claim_ms, 500, 600_000);
        within("workers.queue_capacity", workers.queue_capacity as u64, 1, 100_000_000);
        within("workers.lease_ms", workers.lease_ms, 5_000, 600_000);
        within("workers.drain_ms", workers.drain_ms, 0, 3_600_000);
        for (class, most) in workers.capacity.by_class() {
            if let Some(most) = most {
                within(&format!("workers.capacity.{class}"), most.into(), 1, 1_000_000);
            }
        }
        within("scheduler.poll_ms", self.scheduler.poll_ms, 10, 60_000);
        within("audit.interval_ms", self.audit.interval_ms, 10, 600_000);
        within("audit.records", self.audit.records as u64, 1, 65_536);
        within("effects.attempts", self.effects.attempts.into(), 1, 100);
        within("effects.backoff_ms", self.effects.backoff_ms, 1, 3_600_000);
        within("effects.approval_timeout_ms", self.effects.approval_timeout_ms, 1, 31_536_000_000);
        within("effects.delegation_depth", self.effects.delegation_depth.into(), 0, 64);
        within("effects.delegation_width", self.effects.delegation_width.into(), 1, 4_096);
        within("effects.approval_validity_ms", self.effects.approval_validity_ms, 1, 31_536_000_000);
        if !(1..=64).contains(&workers.node.len()) || !workers.node.bytes().all(|b| b.is_ascii_graphic()) {
            let shown = &workers.node;
            faults.push(Problem::plain(format!("workers.node is {shown:?}: use 1 to 64 printable ASCII characters")));
        }
        faults.extend(self.log.level.as_deref().and_then(|level| logging::filter(level).err()));
        for (name, url) in [
            ("models.openai.base_url", &self.models.openai.base_url),
            ("models.anthropic.base_url", &self.models.anthropic.base_url),
            ("memory.embedding_base_url", &self.memory.embedding_base_url),
        ] {
            let Some(url) = url else { continue };
            if !["http://", "https://"].iter().any(|scheme| url.len() > scheme.len() && url.starts_with(scheme)) {
                let message = format!("{name} is no web address");
                faults.push(Problem::new(message, "use an address such as https://example.org/v1"));
            }
        }
        if self.memory.embedder == Embedder::Local && self.memory.model_dir.is_none() {
            let mend = "name the folder of a sentence-transformers model, with its model.safetensors";
            faults.push(Problem::new("memory.embedder is local, and memory.model_dir is unset", mend));
        }
        match (self.memory.relations, &self.memory.relations_agent) {
            (Relations::Agent, None) => {
                let mend = "name an agent whose profile is there";
                faults.push(Problem::new("memory.relations is agent, and memory.relations_agent is unset", mend));
            }
            (Relations::Agent, Some(agent)) => {
                faults.extend(l9::id::AgentId::new(agent).err().map(|error| Problem::plain(error.to_string())));
            }
            _ => {}
        }
        if let Err(error) = TrustedKeys::parse(&self.tools.trusted_keys) {
            faults.push(Problem::plain(error.to_string()));
        }
        for (handle, grant) in &self.tools.secrets {
            if !l9::secrets::is_handle(handle) {
                let message = format!("tools.secrets has the handle {handle:?}");
                faults.push(Problem::new(message, "use 1 to 64 of a-z, 0-9, - and _"));
            }
            for (field, names, example) in
                [("hosts", &grant.hosts, "api.example.com"), ("tools", &grant.tools, "notes/add")]
            {
                if names.is_empty() || names.iter().any(String::is_empty) {
                    let message = format!("tools.secrets.{handle}.{field} names none");
                    faults.push(Problem::new(message, format!("write {field}: [{example}]")));
                }
            }
        }
        faults.extend(witness::check(self.audit.witness.as_ref(), self.audit.witness_token.as_ref()).err());
        for name in self.tools.files.keys().filter(|name| !self.tools.mounts.contains_key(*name)) {
            let mend = format!("add tools.mounts.{name} with its path, or remove it");
            faults.push(Problem::new(format!("tools.files names the mount {name:?}, which there is not"), mend));
        }
        faults.extend(self.tools.web.grants().err().map(|error| Problem::plain(error.message().to_owned())));
        faults.extend(self.tools.database_faults());
        if self.redis.url.is_some()
            && let Err(error) = self.redis_settings().check()
        {
            faults.push(Problem::plain(error.message().to_owned()));
        }
        faults.extend(self.auth.faults());
        faults.extend(self.mcp.faults());
        faults.extend(self.server.cors_origins.faults());
        if let Err(error) = self.server.http.validate() {
            faults.push(Problem::plain(error.to_string()));
        }
        faults
    }

    fn embedding(&self) -> l9::embedding::Settings {
        use l9::embedding::Kind;
        let memory = &self.memory;
        let base_url = memory.embedding_base_url.as_ref().or(self.models.openai.base_url.as_ref());
        let defaults = l9::embedding::Settings::default();
        l9::embedding::Settings {
            embedder: match memory.embedder {
                _ if !memory.semantic => Kind::None,
                Embedder::None => Kind::None,
                Embedder::Hashing => Kind::Hashing,
                Embedder::Local => Kind::Local,
                Embedder::Openai => Kind::Openai,
            },
            model_dir: memory.model_dir.clone(),
            base_url: base_url.cloned().unwrap_or(defaults.base_url),
            model: memory.embedding_model.clone(),
            dimensions: memory.embedding_dimensions,
            query_timeout_ms: memory.embedding_query_ms,
            unsealed_layers: memory.unsealed_layers.clone(),
        }
    }

    fn relations(&self) -> l9::relations::Settings {
        let relations = match self.memory.relations {
            Relations::None => l9::relations::Kind::None,
            Relations::Rules => l9::relations::Kind::Rules,
            Relations::Agent => l9::relations::Kind::Agent,
        };
        l9::relations::Settings { relations, agent: self.memory.relations_agent.clone() }
    }

    pub(super) fn redis_settings(&self) -> l9::redis::Settings {
        l9::redis::Settings {
            url: self.redis.url.clone(),
            password: self.redis.password.clone(),
            cluster: self.redis.cluster,
            connect_timeout_ms: self.redis.connect_timeout_ms,
            answer_timeout_ms: self.redis.answer_timeout_ms,
        }
    }

    /// What the runtime is built with.
    ///
    /// # Errors
    /// When a price does not fit the price table.
    pub(crate) fn settings(&self) -> Result<l9::Settings, Problem> {
        let mut settings = l9::Settings {
            data_dir: self.storage.data_dir.clone(),
            tools_dir: self.tools(),
            tools: self.tool_settings(),
            secrets_dir: self.tools.secrets_dir.clone(),
            secret_grants: self.secret_grants(),
            databases: self.tools.databases(),
            mcp: self.mcp.servers.clone(),
            policy_dir: self.policies(),
            policy_profile: self.deployment.as_str().to_owned(),
            root_key: self.storage.root_key.clone(),
            node: self.workers.node.clone(),
            lease_ms: self.workers.lease_ms,
            seed: self.workers.seed,
            unknown: self.effects.unknown,
            attempts: self.effects.attempts,
            backoff_ms: self.effects.backoff_ms,
            audit: l9::audit::Settings {
                interval_ms: self.audit.interval_ms,
                records: self.audit.records,
                key: self.audit.key.clone(),
                origin: self.audit.origin.clone(),
                witness: self.audit.witness.as_ref().and_then(Place::path),
                ..l9::audit::Settings::default()
            },
            approval_timeout_ms: self.effects.approval_timeout_ms,
            approval_validity_ms: self.effects.approval_validity_ms,
            delegation_depth: self.effects.delegation_depth,
            delegation_width: self.effects.delegation_width,
            long_plans: self.plans.enabled,
            rates: self.rates.effects(self.deployment),
            capacity: self.workers.capacity,
            openai_api_key: self.models.openai.api_key.clone(),
            anthropic_api_key: self.models.anthropic.api_key.clone(),
            ..l9::Settings::default()
        };
        match self.database() {
            Database::File(path) => settings.database = Some(path),
            Database::Postgres(url) => {
                settings.storage = l9::Storage::Postgres;
                settings.postgres.url = url;
                settings.postgres.pool_size = self.storage.pool_size;
                settings.postgres.pool_timeout_ms = self.storage.pool_timeout.saturating_mul(1_000);
            }
        }
        settings.redis = self.redis_settings();
        settings.short_term_ttl_ms = self.memory.short_term_ttl_ms;
        settings.injection_scan = self.memory.injection_scan;
        settings.memory_quota = self.memory.quota;
        settings.pii_tokens = self.privacy.pii == Pii::Tokens;
        settings.embedding = self.embedding();
        settings.relations = self.relations();
        settings.wasm.mounts.clone_from(&self.tools.mounts);
        settings.files.clone_from(&self.tools.files);
        settings.web.clone_from(&self.tools.web);
        settings.worker.concurrency = self.workers.count;
        settings.worker.drain_ms = self.workers.drain_ms;
        settings.worker.attempts = self.workers.attempts;
        settings.queue.backend = match self.workers.queue {
            QueueBackend::Auto => l9::QueueBackend::Auto,
            QueueBackend::InProcess => l9::QueueBackend::InProcess,
            QueueBackend::Redis => l9::QueueBackend::Redis,
        };
        settings.queue.capacity = self.workers.queue_capacity;
        settings.queue.tenant_claims = self.workers.tenant_count;
        settings.queue.rate_claims = self.workers.rate_count;
        settings.queue.tenant_rate_claims = self.workers.tenant_rate_count;
        settings.queue.rate_ms = self.workers.rate_ms;
        settings.queue.claim_ms = self.workers.claim_ms;
        // Whoever serves turns it on.
        settings.scheduler = l9::schedule::Settings { enabled: false, poll_ms: self.scheduler.poll_ms };
        let openai = &mut settings.openai;
        self.models.openai.apply(&mut openai.base_url, &mut openai.default_model, &mut openai.prices)?;
        let anthropic = &mut settings.anthropic;
        self.models.anthropic.apply(&mut anthropic.base_url, &mut anthropic.default_model, &mut anthropic.prices)?;
        Ok(settings)
    }
}

impl Provider {
    fn apply(&self, base_url: &mut String, model: &mut String, prices: &mut l9::models::Prices) -> Result<(), Problem> {
        if let Some(chosen) = &self.base_url {
            base_url.clone_from(chosen);
        }
        if let Some(chosen) = &self.model {
            model.clone_from(chosen);
        }
        if self.prices.is_empty() {
            return Ok(());
        }
        let wrong = |error: serde_json::Error| Problem::plain(format!("models: the price table does not fit: {error}"));
        let mut table = serde_json::to_value(&*prices).map_err(wrong)?;
        for (name, price) in &self.prices {
            table[name] = serde_json::to_value(price).map_err(wrong)?;
        }
        *prices = serde_json::from_value::<l9::models::Prices>(Value::take(&mut table)).map_err(wrong)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::Memory;
    use super::super::running::Rates;
    use super::*;
    use std::path::Path;

    #[test]
    fn the_database_is_where_the_url_says_or_in_the_data_folder() {
        let mut config = Config::default();
        assert!(matches!(config.database(), Database::File(path) if path == Path::new(".l9/l9.db")));
        config.storage.database_url = Some("sqlite:x.db".into());
        assert_eq!(config.settings().unwrap().database.as_deref(), Some(Path::new("x.db")));
        config.storage.database_url = Some("postgresql://u:hunter2@h/db".into());
        config.storage.pool_size = 7;
        let settings = config.settings().unwrap();
        assert_eq!((settings.storage, settings.postgres.pool_size), (l9::Storage::Postgres, 7));
        assert_eq!(config.database_shown(), "postgresql://u:[redacted]@h/db");
        assert!(!format!("{config:?} {settings:?}").contains("hunter2"));
    }

    #[test]
    fn memories_are_found_by_meaning_unless_that_is_off() {
        use l9::embedding::Kind;
        let embedder = |semantic, embedder| {
            let memory = Memory { semantic, embedder, ..Memory::default() };
            Config { memory, ..Config::default() }.settings().unwrap().embedding.embedder
        };
        assert_eq!(embedder(true, Embedder::Hashing), Kind::Hashing);
        assert_eq!(embedder(false, Embedder::Hashing), Kind::None);
        assert_eq!(embedder(true, Embedder::None), Kind::None);
    }

    #[test]
    fn rates_are_limited_where_others_can_ask_unless_somebody_says_otherwise() {
        let rates = |deployment, per_principal| {
            let config = Config { deployment, rates: Rates { per_principal, ..Rates::default() }, ..Config::default() };
            let rates = config.settings().unwrap().rates;
            (rates.per_principal, rates.per_tenant, config.rates.requests(deployment))
        };
        assert_eq!(rates(Deployment::Local, None), (None, None, None));
        assert_eq!(rates(Deployment::Local, Some(7)), (Some(7), None, None));
        for deployment in [Deployment::Staging, Deployment::Production] {
            assert_eq!(rates(deployment, None), (Some(600), Some(6_000), Some(1_200)));
            assert_eq!(rates(deployment, Some(0)), (None, Some(6_000), Some(1_200)));
        }
    }

    #[test]
    fn production_wants_manifests_signed_unless_somebody_says_otherwise() {
        let wants = |deployment, said| {
            let mut config = Config { deployment, ..Config::default() };
            config.tools.require_signature = said;
            config.settings().unwrap().tools.require_signature
        };
        assert!(wants(Deployment::Production, None) && wants(Deployment::Local, Some(true)));
        assert!(!wants(Deployment::Local, None) && !wants(Deployment::Staging, None));
        assert!(!wants(Deployment::Production, Some(false)));
    }

    #[test]
    fn figures_out_of_range_are_named() {
        assert!(Config::default().faults().is_empty());
        let mut config = Config::default();
        config.workers.count = 0;
        config.workers.node = "two words".into();
        config.models.openai.base_url = Some("example.org".into());
        let faults = format!("{:?}", config.faults());
        assert!(faults.contains("workers.count is 0") && faults.contains("workers.node"), "{faults}");
        assert!(faults.contains("models.openai.base_url"), "{faults}");
        config.tools.secrets.insert("Notes Key".into(), SecretGrant::default());
        let faults = format!("{:?}", config.faults());
        assert!(
            faults.contains("tools.secrets has the handle") && faults.contains("hosts: [api.example.com]"),
            "{faults}"
        );
    }

    #[test]
    fn own_prices_stand_beside_the_list_prices() {
        let mut config = Config::default();
        let price = super::super::sections::Price { input: 7, ..Default::default() };
        config.models.openai.prices.insert("mine".into(), price);
        let settings = config.settings().unwrap();
        assert_eq!(settings.openai.prices.of("mine").map(|price| price.input), Some(7));
        assert_eq!(
            settings.openai.prices.of(&settings.openai.default_model),
            l9::Settings::default().openai.prices.of(&settings.openai.default_model)
        );
    }
}
