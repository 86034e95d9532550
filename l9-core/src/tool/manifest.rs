//! The manifest: what a tool takes, gives, may touch and costs; and the hash that
//! binds journal records, approvals and profiles to exactly that.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::grants::{FsGrant, KvGrant, NetGrant, SecretGrant};
use super::http::HttpCall;
use crate::Result;
use crate::digest::{Digest, sha256};
use crate::id::ToolId;
use crate::json::canonical;
use crate::label::Confidentiality;
use crate::time::Timestamp;

/// The SHA-256 of a manifest's canonical form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ContractHash(pub Digest);

impl ContractHash {
    /// The contract of anything with a canonical form.
    ///
    /// # Errors
    /// `Internal` when the value has no canonical JSON.
    pub fn of(contract: &impl Serialize) -> Result<Self> {
        Ok(Self(sha256(&[b"l9.contract.1\0", &canonical(contract)?])))
    }
}

impl fmt::Display for ContractHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A tool's whole contract. Unknown fields are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The version of this format; 1.
    pub schema_version: u32,
    /// `namespace/name`.
    pub id: ToolId,
    /// The tool's own version.
    #[schemars(with = "String")]
    pub version: Version,
    /// A few words for people.
    pub title: String,
    /// What it does and when to use it, for models and people.
    pub description: String,
    /// How it runs.
    pub runtime: Runtime,
    /// JSON Schema 2020-12 of the input; an object, no remote `$ref`.
    pub input_schema: Value,
    /// JSON Schema 2020-12 of the output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Value>,
    /// What a call does to the world, and so what a crash in the middle of one means.
    #[serde(default)]
    pub effect: EffectClass,
    /// Whether what it does cannot be undone.
    #[serde(default)]
    pub destructive: bool,
    /// JSON pointer of a consequential argument to its role; the empty pointer stands for every
    /// argument that no other covers.
    #[serde(default)]
    pub args: BTreeMap<String, ArgRule>,
    /// JSON pointers of arguments that name a data subject, as a string or a list of strings:
    /// the run is about them as soon as it holds the arguments, whatever becomes of the call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<String>,
    /// What one call may use.
    #[serde(default)]
    pub limits: Limits,
    /// Hosts it may reach.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub net: Vec<NetGrant>,
    /// Folders it may touch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fs: Vec<FsGrant>,
    /// Room beside the memory of a component, while a call lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kv: Option<KvGrant>,
    /// Secrets the host injects for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretGrant>,
    /// How often it may be called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// What its output is to be believed.
    #[serde(default)]
    pub labels: Labels,
    /// Whether a person is asked.
    #[serde(default)]
    pub approval: Approval,
    /// Whether equal input gives equal output.
    #[serde(default)]
    pub determinism: Determinism,
    /// What of the arguments is journaled.
    #[serde(default)]
    pub audit: AuditArgs,
    /// After this time the tool is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

impl Manifest {
    /// The names of data subjects in a call's arguments.
    pub fn subjects_in<'a>(&'a self, arguments: &'a Value) -> impl Iterator<Item = &'a str> {
        let named = self.subjects.iter().filter_map(|pointer| arguments.pointer(pointer));
        let each = named.flat_map(|named| named.as_array().map_or(std::slice::from_ref(named), Vec::as_slice));
        each.filter_map(Value::as_str).filter(|name| !name.trim().is_empty())
    }

    /// The hash of this manifest.
    ///
    /// # Errors
    /// `Internal` when a schema within has no canonical form.
    pub fn contract_hash(&self) -> Result<ContractHash> {
        ContractHash::of(self)
    }
}

/// How a tool runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Runtime {
    /// A wasm component in the sandbox.
    Wasm {
        /// The exact component.
        module: Module,
    },
    /// Rust code compiled into the host.
    Native,
    /// One HTTP request.
    Http(HttpCall),
    /// A tool of an MCP server.
    Mcp {
        /// The server's configured name.
        server: String,
        /// The tool's name there.
        tool: String,
    },
}

/// The exact component of a wasm tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Module {
    /// SHA-256 of its bytes.
    pub sha256: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// The WIT world it exports, such as `l9:tool/tool@0.1.0`.
    pub world: String,
}

/// What a call does to the world, and so what an intent without a result means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EffectClass {
    /// Touches nothing outside: run again.
    Pure,
    /// Reads the world: run again, charged again.
    Read,
    /// Writes under an idempotency key that the target honours: retry with the same key.
    KeyedWrite,
    /// Writes, and can be asked whether it did.
    QueryableWrite,
    /// Writes into L9's own database in the transaction of its result.
    SameDbWrite,
    /// Writes, and nobody can tell afterwards: issued at most once.
    #[default]
    OpaqueWrite,
}

impl EffectClass {
    /// Every class, the least first.
    pub const ALL: [Self; 6] =
        [Self::Pure, Self::Read, Self::KeyedWrite, Self::QueryableWrite, Self::SameDbWrite, Self::OpaqueWrite];

    /// The name in manifests, journals and policies.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pure => "pure",
            Self::Read => "read",
            Self::KeyedWrite => "keyed_write",
            Self::QueryableWrite => "queryable_write",
            Self::SameDbWrite => "same_db_write",
            Self::OpaqueWrite => "opaque_write",
        }
    }

    /// Whether it changes anything.
    #[must_use]
    pub fn writes(self) -> bool {
        !matches!(self, Self::Pure | Self::Read)
    }

    /// Whether an attempt without a result leaves no doubt: it changed nothing outside, or
    /// what it writes is written with its result only.
    #[must_use]
    pub fn may_just_repeat(self) -> bool {
        matches!(self, Self::Pure | Self::Read | Self::SameDbWrite)
    }

    /// Whether an attempt whose end is unknown may be made again under the same key.
    #[must_use]
    pub fn may_repeat(self) -> bool {
        self.may_just_repeat() || self == Self::KeyedWrite
    }
}

/// What a consequential argument decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ArgRole {
    /// Who receives something.
    Recipient,
    /// An address that is fetched or shown.
    Url,
    /// A file.
    Path,
    /// Which existing thing is acted upon.
    Target,
    /// How much.
    Amount,
    /// When.
    Time,
    /// A credential.
    Secret,
    /// Content that is passed on.
    Body,
}

/// Whether a value must be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Integrity {
    /// No untrusted source influenced it.
    Trusted,
    /// Any source may have.
    Untrusted,
}

/// The rule for one argument.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArgRule {
    /// What it decides.
    pub role: ArgRole,
    /// A JSON Schema that holds for every value at the place, beyond the input schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constraint: Option<Value>,
    /// Whether it must come from a trusted source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required_integrity: Option<Integrity>,
}

impl From<ArgRole> for ArgRule {
    /// Nothing but the role.
    fn from(role: ArgRole) -> Self {
        Self { role, constraint: None, required_integrity: None }
    }
}

/// What one call may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes of all linear memories together.
    pub memory_bytes: u64,
    /// Elements of all tables together.
    pub table_elements: u64,
    /// Core instances within the component.
    pub instances: u32,
    /// Units of wasm fuel.
    pub fuel: u64,
    /// Wall time in milliseconds, host calls included.
    pub wall_ms: u64,
    /// The longest time without a sign of life, in milliseconds; none if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeat_ms: Option<u64>,
    /// Bytes of wasm stack.
    pub stack_bytes: u64,
    /// Bytes of canonical input.
    pub input_bytes: u64,
    /// Nested arrays and objects of input and output.
    pub depth: u32,
    /// Bytes of output.
    pub output_bytes: u64,
    /// Bytes of log lines.
    pub log_bytes: u64,
    /// Calls from guest to host.
    pub host_calls: u32,
    /// Bytes that host calls may pass.
    pub host_call_bytes: u64,
    /// Open handles.
    pub handles: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 64 << 20,
            table_elements: 20_000,
            instances: 8,
            fuel: 500_000_000,
            wall_ms: 5_000,
            heartbeat_ms: None,
            stack_bytes: 512 << 10,
            input_bytes: 1 << 20,
            depth: 32,
            output_bytes: 1 << 20,
            log_bytes: 64 << 10,
            host_calls: 10_000,
            host_call_bytes: 16 << 20,
            handles: 64,
        }
    }
}

impl Limits {
    /// Wall time of one call.
    #[must_use]
    pub fn wall(&self) -> Duration {
        Duration::from_millis(self.wall_ms)
    }
}

/// How often a tool may be called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
pub struct Rate {
    /// Calls a minute by one caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_caller: Option<u32>,
    /// Calls a minute by one tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_tenant: Option<u32>,
    /// Calls at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Bytes a day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub daily_bytes: Option<u64>,
}

/// What a tool's output is to be believed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutputIntegrity {
    /// The output is as trusted as the input.
    Trusted,
    /// The output may hold anybody's words.
    #[default]
    Untrusted,
    /// Field by field, see [`Labels::output`].
    Mixed,
}

/// The label of one field of a mixed output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OutputLabel {
    /// What it is to be believed.
    pub integrity: Integrity,
    /// Who may see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidentiality: Option<Confidentiality>,
    /// The record's author decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trusted_when: Option<TrustedWhen>,
}

/// A field is trusted if the record's author is the principal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrustedWhen {
    /// JSON-pointer pattern of the author's field.
    pub field: String,
    /// Whom it must name; `principal`.
    pub is: String,
}

/// What a tool's output is to be believed, and how confidential its input may be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Labels {
    /// The whole output.
    pub output_integrity: OutputIntegrity,
    /// JSON-pointer pattern to label; `*` is one segment, a pattern covers what is below it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub output: BTreeMap<String, OutputLabel>,
    /// The most confidential value it may be given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_confidentiality_out: Option<Confidentiality>,
}

/// Whether a person is asked before a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Approval {
    /// As the policy says.
    #[default]
    Policy,
    /// Every time.
    Always,
}

/// Whether equal input gives equal output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Determinism {
    /// It may differ.
    #[default]
    None,
    /// The sandbox holds clock, randomness and floating point still.
    Deterministic,
}

/// What of the arguments the journal shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditArgs {
    /// How much of the arguments.
    pub args: AuditDetail,
}

impl Default for AuditArgs {
    fn default() -> Self {
        Self { args: AuditDetail::Full }
    }
}

/// How much of the arguments the journal shows. Those that are not shown are sealed beside it, for
/// whoever goes on with the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditDetail {
    /// Their hash only, under a random key that is sealed with them.
    Hash,
    /// That and their shape: what kind of value stands where.
    Redacted,
    /// All.
    Full,
}
