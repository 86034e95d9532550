//! The trait of model clients and the set a system has.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::deltas::DeltaSink;
use super::message::{ModelRequest, ModelResponse, Usage};
use crate::governor::Permit;
use crate::{Error, Result};

/// A model provider.
#[async_trait]
pub trait ModelClient: fmt::Debug + Send + Sync {
    /// The model a bare provider name means, such as `gpt-6.1-terra`.
    fn default_model(&self) -> &str;

    /// What a request may at most use, reserved before it is made.
    fn estimate(&self, request: &ModelRequest) -> Estimate;

    /// Asks the model, streaming words as they come. It asks once: every attempt has an
    /// intent of its own, so whether there is another is the governor's to decide.
    ///
    /// # Errors
    /// A typed fault that the run records.
    async fn complete(
        &self,
        permit: Permit,
        request: &ModelRequest,
        deltas: &DeltaSink,
    ) -> Result<ModelResponse, ModelFault>;
}

/// The most that a request may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// Tokens, in and out.
    pub tokens: u64,
    /// Millionths of a US dollar; `None` if the model has no price, and then no budget in
    /// money allows it.
    pub micro_usd: Option<u64>,
    /// Bytes that leave the machine.
    pub egress_bytes: u64,
}

impl Estimate {
    /// So many tokens of a model that costs nothing and is in this process.
    #[must_use]
    pub fn local(tokens: u64) -> Self {
        Self { tokens, micro_usd: Some(0), egress_bytes: 0 }
    }
}

/// How a model call failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ModelFault {
    /// A stable code: `unavailable`, `rate_limited`, `refused`, `bad_request`,
    /// `unauthenticated`, `malformed`, `cut_off`, `timeout`, `cancelled`.
    pub code: String,
    /// What happened, with the provider's words where they help.
    pub message: String,
    /// Whether asking again may help.
    #[serde(skip)]
    pub retryable: bool,
    /// How long the provider asked to wait, if it did.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
    /// What the attempt used all the same, as far as that is known.
    #[serde(skip)]
    pub usage: Usage,
}

impl ModelFault {
    /// A fault that stays: asking again does not help.
    #[must_use]
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        let (code, message) = (code.into(), message.into());
        Self { code, message, retryable: false, retry_after: None, usage: Usage::default() }
    }

    /// A fault that may pass: asking again may help.
    #[must_use]
    pub fn passing(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { retryable: true, ..Self::new(code, message) }
    }
}

/// `provider/model`, or `provider` for its default model, or `auto`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct ModelName {
    /// The provider's configured name.
    pub provider: String,
    /// The provider's own model name; may hold slashes.
    pub model: Option<String>,
}

impl ModelName {
    /// Whichever provider is configured, `extractive` if none is.
    #[must_use]
    pub fn auto() -> Self {
        Self { provider: "auto".into(), model: None }
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.provider)?;
        self.model.as_ref().map_or(Ok(()), |model| write!(f, "/{model}"))
    }
}

impl FromStr for ModelName {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let (provider, model) = text.split_once('/').map_or((text, None), |(provider, model)| (provider, Some(model)));
        let word = |part: &str| !part.is_empty() && part.len() <= 200 && part.bytes().all(|b| b.is_ascii_graphic());
        if word(provider) && model.is_none_or(word) {
            Ok(Self { provider: provider.into(), model: model.map(Into::into) })
        } else {
            Err(Error::invalid(format!(
                "{text:?} is not a model name: use provider/model, such as openai/gpt-6.1-terra"
            )))
        }
    }
}

impl TryFrom<String> for ModelName {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<ModelName> for String {
    fn from(name: ModelName) -> Self {
        name.to_string()
    }
}

/// The providers a system has, in order of preference for `auto`.
#[derive(Debug, Clone, Default)]
pub struct ModelClients {
    clients: BTreeMap<String, Arc<dyn ModelClient>>,
    preferred: Vec<String>,
}

impl ModelClients {
    /// Adds a provider; the first one added is what `auto` means.
    #[must_use]
    pub fn with(mut self, provider: impl Into<String>, client: Arc<dyn ModelClient>) -> Self {
        let provider = provider.into();
        self.preferred.push(provider.clone());
        self.clients.insert(provider, client);
        self
    }

    /// Puts something before every provider.
    #[must_use]
    pub fn map(mut self, by: impl Fn(Arc<dyn ModelClient>) -> Arc<dyn ModelClient>) -> Self {
        self.clients = self.clients.into_iter().map(|(provider, client)| (provider, by(client))).collect();
        self
    }

    /// The provider's client.
    #[must_use]
    pub fn get(&self, provider: &str) -> Option<&Arc<dyn ModelClient>> {
        self.clients.get(provider)
    }

    /// Pins a name to a provider and one of its models.
    ///
    /// # Errors
    /// `NotFound` when no such provider is configured.
    pub fn pin(&self, name: &ModelName) -> Result<ModelName> {
        let provider = if name.provider == "auto" {
            self.preferred.first().ok_or_else(|| Error::not_found("no model provider is configured"))?
        } else {
            &name.provider
        };
        let client = self.clients.get(provider).ok_or_else(|| {
            let known: Vec<&str> = self.clients.keys().map(String::as_str).collect();
            Error::not_found(format!(
                "model provider {provider:?} is not configured: configured are {}; set OPENAI_API_KEY or \
                 ANTHROPIC_API_KEY for a hosted one",
                known.join(", ")
            ))
        })?;
        let model = name.model.clone().unwrap_or_else(|| client.default_model().to_owned());
        Ok(ModelName { provider: provider.clone(), model: Some(model) })
    }

    /// The names of all providers.
    #[must_use]
    pub fn providers(&self) -> Vec<&str> {
        self.clients.keys().map(String::as_str).collect()
    }
}
