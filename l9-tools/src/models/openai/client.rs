//! The client of the chat completions wire.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use l9_core::egress::{Egress, Injection};
use l9_core::governor::Permit;
use l9_core::model::{DeltaSink, Estimate, ModelClient, ModelFault, ModelRequest, ModelResponse};
use l9_core::time::Clock;
use l9_core::tool::Inject;
use l9_core::{Error, Result};
use secrecy::{ExposeSecret, SecretString};

use super::request::body;
use super::response::Completion;
use super::settings::Settings;
use crate::models::exchange::{Exchange, Outgoing};
use crate::models::names::Names;
use crate::models::refusal::Provider;

/// Asks models over chat completions.
#[derive(Debug)]
pub struct Client {
    settings: Settings,
    exchange: Exchange,
}

impl Client {
    /// A client; nothing is connected to yet. A server of one's own may need no key.
    ///
    /// # Errors
    /// `Invalid` when the base URL is not an absolute address or the default model has
    /// no name.
    pub fn new(
        settings: Settings,
        key: Option<&SecretString>,
        egress: Arc<dyn Egress>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let audience = settings.origin()?.host().to_owned();
        if settings.default_model.is_empty() {
            return Err(Error::invalid("default_model is empty: name the model that openai means"));
        }
        let injected = key.map(|key| Injection {
            place: Inject::Header("authorization".to_owned()),
            value: SecretString::from(format!("Bearer {}", key.expose_secret())),
            audience,
        });
        let provider =
            Provider { key_variable: "OPENAI_API_KEY", has_key: key.is_some(), base_url: settings.base_url.clone() };
        let exchange = Exchange::new((egress, clock), settings.limits, provider, key, injected.into_iter().collect());
        Ok(Self { settings, exchange })
    }

    fn outgoing<'a>(&self, request: &'a ModelRequest, names: &Names) -> Outgoing<'a> {
        Outgoing {
            url: self.settings.endpoint(),
            headers: Vec::new(),
            body: Bytes::from(body(&self.settings, request, names).to_string()),
            model: &request.model,
            output_tokens: self.settings.limits.output_tokens(request),
            price: self.settings.prices.of(&request.model),
        }
    }
}

#[async_trait]
impl ModelClient for Client {
    fn default_model(&self) -> &str {
        &self.settings.default_model
    }

    fn estimate(&self, request: &ModelRequest) -> Estimate {
        self.exchange.estimate(&self.outgoing(request, &Names::of(&request.tools)))
    }

    async fn complete(
        &self,
        permit: Permit,
        request: &ModelRequest,
        deltas: &DeltaSink,
    ) -> Result<ModelResponse, ModelFault> {
        let names = Names::of(&request.tools);
        let assembler = Completion::new(self.settings.limits);
        let (answer, used) = self.exchange.ask(&permit, &self.outgoing(request, &names), assembler, deltas).await?;
        Ok(answer.into_response(&names, request.messages.len(), used))
    }
}
