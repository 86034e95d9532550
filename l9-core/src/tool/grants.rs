//! What a manifest grants a tool beside its arguments: hosts, files, a scratch store, secrets.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A host the tool may reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NetGrant {
    /// `https` or `http`.
    pub scheme: String,
    /// The exact host.
    pub host: String,
    /// The port; the scheme's own if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// HTTP methods.
    pub methods: Vec<String>,
    /// The path's beginning, ended at a segment.
    #[serde(default = "root_path")]
    pub path_prefix: String,
    /// Requests in one call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_requests: Option<u32>,
    /// Decoded bytes of one response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_response_bytes: Option<u64>,
    /// Redirects followed.
    #[serde(default)]
    pub redirects: u32,
    /// Whether private addresses may be connected to.
    #[serde(default)]
    pub allow_private: bool,
}

fn root_path() -> String {
    "/".into()
}

/// How a mount may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mount {
    /// Files may be read.
    ReadOnly,
    /// Files may be read and written.
    ReadWrite,
}

/// A folder the tool may touch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FsGrant {
    /// The configured mount's name.
    pub mount: String,
    /// How it may be used.
    pub mode: Mount,
    /// Bytes it may hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<u64>,
    /// Files it may hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_files: Option<u64>,
}

/// What one call of a wasm tool may keep beside its memory; it is gone when the call ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KvGrant {
    /// Bytes of all keys and values together.
    pub max_bytes: u64,
    /// Keys.
    pub max_keys: u32,
}

/// Where the host puts a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Inject {
    /// A request header.
    Header(String),
    /// A query parameter.
    Query(String),
    /// A JSON pointer into the body.
    Body(String),
}

/// A secret the host injects; the guest never sees its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretGrant {
    /// The secret's configured name.
    pub handle: String,
    /// The host it may be sent to.
    pub audience: String,
    /// Where it is put.
    pub inject: Inject,
}
