//! The contract of a tool that is one HTTP request: what is sent, with which parts filled
//! in from the arguments.
//!
//! It says nothing of where a request may go: that is what the manifest's grants are for.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One HTTP request. Texts may hold `{name}` or `{/json/pointer}`, which stand for an
/// argument, and `{$idempotency_key}`; `{{` and `}}` are plain braces.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpCall {
    /// `GET`, `HEAD`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: String,
    /// The absolute address; arguments may stand in its path and query, percent-encoded.
    pub url: String,
    /// Headers; one whose argument is absent is left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Query parameters beyond those of the address; one whose argument is absent is left
    /// out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, String>,
    /// The body, sent as JSON. A text that is nothing but `{name}` becomes the argument as
    /// it is. If absent, `POST`, `PUT` and `PATCH` send all arguments as one object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// The request that tells whether an earlier one took effect; for `queryable_write`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Box<HttpProbe>>,
}

/// A request that tells whether an earlier one took effect: 404 says that it did not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpProbe {
    /// `GET` or `HEAD`.
    pub method: String,
    /// As [`HttpCall::url`].
    pub url: String,
    /// As [`HttpCall::headers`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// As [`HttpCall::query`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, String>,
    /// What says that it happened; any status of 200 to 299 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub happened: Option<Happened>,
}

/// What in the answer to a probe says that it happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Happened {
    /// Exactly this status.
    Status(u16),
    /// A status of 200 to 299 whose body holds something at this JSON pointer that is
    /// neither `null` nor `false`; holding nothing there says that it did not happen.
    Pointer(String),
}
