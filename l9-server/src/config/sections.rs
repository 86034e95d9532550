//! What can be configured. The fields are the keys of `config.yaml`, their comments the
//! descriptions that `config show` prints.
//!
//! A setting stands here only if something honours it: what does not exist yet is
//! refused or warned about by `absent.rs`, never accepted in silence.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use l9::wasm::Mount;
use l9::{FileMounts, WebHosts};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::database::DatabaseUrl;
use super::mcp::Mcp;
use super::memory::{Memory, Privacy};
use super::running::{Effects, Plans, Rates, Scheduler, Workers};
use crate::auth::{self, Origins};
use crate::http;
use crate::witness::Place;

/// The whole configuration.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// What kind of deployment this is: `local`, `staging` or `production`.
    pub(crate) deployment: Deployment,
    /// The HTTP and WebSocket server.
    pub(crate) server: Server,
    /// How callers are known.
    pub(crate) auth: auth::Settings,
    /// Where state lives.
    pub(crate) storage: Storage,
    /// The Redis server for short-term memories; without an address they are in the database.
    pub(crate) redis: Redis,
    /// How memories are kept.
    pub(crate) memory: Memory,
    /// What becomes of personal data.
    pub(crate) privacy: Privacy,
    /// Agent profiles beyond the built-in ones.
    pub(crate) agents: Agents,
    /// Tools beyond the built-in ones.
    pub(crate) tools: Tools,
    /// Servers of the Model Context Protocol, whose tools agents may be granted.
    pub(crate) mcp: Mcp,
    /// What agents may do.
    pub(crate) policy: Policy,
    /// Model providers.
    pub(crate) models: Models,
    /// How runs are advanced.
    pub(crate) workers: Workers,
    /// What starts runs by their schedules.
    pub(crate) scheduler: Scheduler,
    /// What becomes of effects that do not end well.
    pub(crate) effects: Effects,
    /// Long plans.
    pub(crate) plans: Plans,
    /// How often something may be had; each process counts for itself.
    pub(crate) rates: Rates,
    /// The audit log over all records.
    pub(crate) audit: Audit,
    /// What is logged.
    pub(crate) log: Log,
}

/// What kind of deployment this is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Deployment {
    /// One person's machine: loopback, no authentication unless it is asked for.
    #[default]
    Local,
    /// Reachable by others, for trying out.
    Staging,
    /// Reachable by others, for real.
    Production,
}

impl Deployment {
    /// The name it is configured by.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Staging => "staging",
            Self::Production => "production",
        }
    }
}

/// The HTTP and WebSocket server.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Server {
    /// The address to listen on; loopback only without authentication.
    pub(crate) host: IpAddr,
    /// The port to listen on; 0 takes any free one.
    pub(crate) port: u16,
    /// The web origins, besides the server's own, whose pages may ask: a list, or a text
    /// with commas between; `*` for any.
    pub(crate) cors_origins: Origins,
    /// Caps, deadlines and bounds of connections; times are whole seconds.
    #[schemars(schema_with = "bounds")]
    pub(crate) http: http::Settings,
}

impl Default for Server {
    fn default() -> Self {
        let (cors_origins, http) = (Origins::default(), http::Settings::default());
        Self { host: IpAddr::V4(Ipv4Addr::LOCALHOST), port: 8000, cors_origins, http }
    }
}

/// The schema of a section whose every key has a default that shows its type.
fn bounds(_: &mut SchemaGenerator) -> Schema {
    fn of(value: &Value) -> Value {
        match value {
            Value::Object(keys) => {
                let properties: Map<String, Value> = keys.iter().map(|(key, value)| (key.clone(), of(value))).collect();
                json!({"type": "object", "properties": properties})
            }
            Value::Bool(_) => json!({"type": "boolean"}),
            Value::Number(_) => json!({"type": "integer"}),
            _ => json!({"type": "string"}),
        }
    }
    let schema = of(&serde_json::to_value(http::Settings::default()).unwrap_or_default());
    Schema::try_from(schema).unwrap_or_default()
}

/// Where state lives.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Storage {
    /// The folder of the database, the root key and the caches.
    pub(crate) data_dir: PathBuf,
    /// The database, as `sqlite:PATH` or `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`;
    /// `l9.db` in the data folder if absent.
    pub(crate) database_url: Option<DatabaseUrl>,
    /// The most connections to PostgreSQL.
    pub(crate) pool_size: u32,
    /// How long to wait for a connection to PostgreSQL, in seconds.
    pub(crate) pool_timeout: u64,
    /// The root key's file, the same for all nodes of a database; `root.key` in the data
    /// folder if absent.
    pub(crate) root_key: Option<PathBuf>,
}

impl Default for Storage {
    fn default() -> Self {
        Self { data_dir: PathBuf::from(".l9"), database_url: None, pool_size: 10, pool_timeout: 5, root_key: None }
    }
}

/// The Redis server for short-term memories, the queue and hints between nodes.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Redis {
    /// Its address, `redis://HOST:PORT/DATABASE`, or `rediss://` for TLS. Of a cluster one server
    /// or several, with commas between them.
    #[serde(skip_serializing)]
    #[schemars(with = "Option<String>")]
    pub(crate) url: Option<SecretString>,
    /// Its password, unless it stands in the address.
    #[serde(skip_serializing)]
    #[schemars(with = "Option<String>")]
    pub(crate) password: Option<SecretString>,
    /// Whether the server is one of a Redis Cluster.
    pub(crate) cluster: bool,
    /// How long to wait for a connection, in milliseconds.
    pub(crate) connect_timeout_ms: u64,
    /// How long to wait for an answer, in milliseconds.
    pub(crate) answer_timeout_ms: u64,
}

impl Default for Redis {
    fn default() -> Self {
        Self { url: None, password: None, cluster: false, connect_timeout_ms: 2_000, answer_timeout_ms: 2_000 }
    }
}

/// Agent profiles beyond the built-in ones.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Agents {
    /// The folder of `*.yaml` profiles; `agents` in the data folder if absent.
    pub(crate) dir: Option<PathBuf>,
}

/// Tools beyond the built-in ones.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Tools {
    /// The folder of manifests; `tools` in the data folder if absent.
    pub(crate) dir: Option<PathBuf>,
    /// How often the folder is looked at again, in milliseconds: 100 to 3600000.
    pub(crate) reload_ms: u64,
    /// The keys whose signatures over manifests count: a name of your own to
    /// `name+hash+key`, as `tools sign` prints it.
    pub(crate) trusted_keys: BTreeMap<String, String>,
    /// Whether a manifest must be signed by one of them; if unset, in production only.
    pub(crate) require_signature: Option<bool>,
    /// The folder that has a file for each secret, named like its handle; `secrets` in the data
    /// folder if absent.
    pub(crate) secrets_dir: Option<PathBuf>,
    /// Handle of a secret to who may use it; its value stands in the environment, in
    /// `secrets_dir`, or sealed by `l9-server secrets set`.
    pub(crate) secrets: BTreeMap<String, SecretGrant>,
    /// Name of a mount to the folder that wasm tools may be granted under it.
    pub(crate) mounts: BTreeMap<String, Mount>,
    /// Name of a mount to what file/read, file/list and file/write may do in it; without one
    /// those tools are not there.
    pub(crate) files: FileMounts,
    /// What web/fetch may reach; without a host it is not there.
    pub(crate) web: WebHosts,
    /// The databases that the tool sql/query reads: a name of your own to its settings.
    pub(crate) databases: BTreeMap<String, ReadDatabase>,
}

/// A database that the tool sql/query reads.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ReadDatabase {
    /// Its address, `sqlite:PATH` or `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`, of a role
    /// that may do nothing but read.
    pub(crate) url: Option<DatabaseUrl>,
    /// How long one query may take, in milliseconds: 100 to 50000; 10000 if absent.
    pub(crate) timeout_ms: Option<u64>,
}

impl Default for Tools {
    fn default() -> Self {
        let l9::tools::Settings { reload_ms, trusted_keys, .. } = l9::tools::Settings::default();
        Self {
            dir: None,
            reload_ms,
            trusted_keys,
            require_signature: None,
            secrets_dir: None,
            secrets: BTreeMap::new(),
            mounts: BTreeMap::new(),
            files: FileMounts::new(),
            web: WebHosts::default(),
            databases: BTreeMap::new(),
        }
    }
}

/// Which tools may use a secret, and where it may go.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SecretGrant {
    /// The exact hosts that it may be sent to.
    pub(crate) hosts: Vec<String>,
    /// Tools by their ids, `namespace/*`, or `*` for any.
    pub(crate) tools: Vec<String>,
}

impl Default for SecretGrant {
    fn default() -> Self {
        Self { hosts: Vec::new(), tools: vec!["*".to_owned()] }
    }
}

/// What agents may do.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Policy {
    /// A file of policies in Cedar, or a folder of files that end with .cedar; `policies` in the
    /// data folder if absent, and without that those that come with L9.
    pub(crate) dir: Option<PathBuf>,
}

/// Model providers. Without a key agents run offline on `extractive`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Models {
    /// OpenAI, or anything that speaks its API.
    pub(crate) openai: Provider,
    /// Anthropic.
    pub(crate) anthropic: Provider,
}

/// One model provider.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Provider {
    /// The API key.
    #[serde(skip_serializing)]
    #[schemars(with = "Option<String>")]
    pub(crate) api_key: Option<SecretString>,
    /// Where the API is, if not at the provider's own address.
    pub(crate) base_url: Option<String>,
    /// The model that the bare provider name means.
    pub(crate) model: Option<String>,
    /// Model name to its price, beside the list prices that are built in. A run with a
    /// budget in money is refused a model without one; a model that is free has input: 0.
    pub(crate) prices: BTreeMap<String, Price>,
}

/// Micro US dollars for a million tokens: 1 US dollar is 1000000.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Price {
    /// For tokens read.
    pub(crate) input: u64,
    /// For tokens read from the provider's cache.
    pub(crate) cached: u64,
    /// For tokens written.
    pub(crate) output: u64,
}

/// The audit log over all records.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Audit {
    /// The longest that a record waits for a signed checkpoint while all is well, in
    /// milliseconds.
    pub(crate) interval_ms: u64,
    /// After about so many records there is a checkpoint.
    pub(crate) records: usize,
    /// The file of the key that signs, the same for all nodes of a database; `audit.key`
    /// in the data folder if absent.
    pub(crate) key: Option<PathBuf>,
    /// The log's name in its checkpoints, made of the key if absent; it cannot change later.
    pub(crate) origin: Option<String>,
    /// A file that checkpoints are added to, a folder that has a file for each, or an address,
    /// https://…, that they are posted to: a copy that whoever can write the database cannot
    /// change.
    pub(crate) witness: Option<Place>,
    /// The bearer token for the witness's address.
    #[serde(skip_serializing)]
    #[schemars(with = "Option<String>")]
    pub(crate) witness_token: Option<SecretString>,
}

impl Default for Audit {
    fn default() -> Self {
        let l9::audit::Settings { interval_ms, records, .. } = l9::audit::Settings::default();
        Self { interval_ms, records, key: None, origin: None, witness: None, witness_token: None }
    }
}

/// What is logged, to standard error.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    /// `error`, `warn`, `info`, `debug`, `trace` or directives such as `info,l9_core=debug`;
    /// absent: `info` for `serve`, `warn` for every other command.
    pub(crate) level: Option<String>,
    /// `text` or `json`.
    pub(crate) format: LogFormat,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}
