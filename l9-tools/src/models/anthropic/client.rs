//! The client of the Messages wire.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use l9_core::egress::{Egress, Injection};
use l9_core::governor::Permit;
use l9_core::model::{DeltaSink, Estimate, ModelClient, ModelFault, ModelRequest, ModelResponse};
use l9_core::time::Clock;
use l9_core::tool::Inject;
use l9_core::{Error, Result};
use secrecy::SecretString;

use super::request::body;
use super::response::Reply;
use super::settings::Settings;
use crate::models::exchange::{Exchange, Outgoing};
use crate::models::names::Names;
use crate::models::refusal::Provider;

/// The version of the wire that is spoken.
const VERSION: &str = "2023-06-01";

/// Asks models over the Messages API.
#[derive(Debug)]
pub struct Client {
    settings: Settings,
    exchange: Exchange,
}

impl Client {
    /// A client; nothing is connected to yet.
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
            return Err(Error::invalid("default_model is empty: name the model that anthropic means"));
        }
        let place = Inject::Header("x-api-key".to_owned());
        let injected = key.map(|key| Injection { place, value: key.clone(), audience });
        let provider =
            Provider { key_variable: "ANTHROPIC_API_KEY", has_key: key.is_some(), base_url: settings.base_url.clone() };
        let exchange = Exchange::new((egress, clock), settings.limits, provider, key, injected.into_iter().collect());
        Ok(Self { settings, exchange })
    }

    fn outgoing<'a>(&self, request: &'a ModelRequest, names: &Names) -> Outgoing<'a> {
        Outgoing {
            url: self.settings.endpoint(),
            headers: vec![("anthropic-version".to_owned(), VERSION.to_owned())],
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
        let assembler = Reply::new(self.settings.limits);
        let (answer, used) = self.exchange.ask(&permit, &self.outgoing(request, &names), assembler, deltas).await?;
        Ok(answer.into_response(&names, request.messages.len(), used))
    }
}
