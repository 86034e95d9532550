//! The models of providers beyond this process.

#[cfg(feature = "models")]
use std::sync::Arc;

use l9_core::Result;
#[cfg(feature = "models")]
use l9_core::egress::Egress;
use l9_core::model::ModelClients;
#[cfg(feature = "models")]
use l9_core::time::Clock;
#[cfg(feature = "models")]
use l9_tools::egress::{self, Direct};
#[cfg(feature = "models")]
use l9_tools::models::{anthropic, openai};

use crate::settings::Settings;

/// Adds the providers that have a key.
#[cfg(feature = "models")]
pub(crate) fn add(
    mut clients: ModelClients,
    settings: &Settings,
    gateway: &egress::Gateway,
    clock: &Arc<dyn Clock>,
) -> Result<ModelClients> {
    let egress = |origin| -> Result<Arc<dyn Egress>> {
        Ok(Arc::new(Direct::new(&egress::Settings::to([origin]), gateway, Arc::clone(clock))?))
    };
    if let Some(key) = &settings.openai_api_key {
        let egress = egress(settings.openai.origin()?)?;
        let client = openai::Client::new(settings.openai.clone(), Some(key), egress, Arc::clone(clock))?;
        clients = clients.with("openai", Arc::new(client));
    }
    if let Some(key) = &settings.anthropic_api_key {
        let egress = egress(settings.anthropic.origin()?)?;
        let client = anthropic::Client::new(settings.anthropic.clone(), Some(key), egress, Arc::clone(clock))?;
        clients = clients.with("anthropic", Arc::new(client));
    }
    Ok(clients)
}

/// This build has none, so nobody may count on one.
#[cfg(not(feature = "models"))]
pub(crate) fn refuse(clients: ModelClients, settings: &Settings) -> Result<ModelClients> {
    if settings.openai_api_key.is_some() || settings.anthropic_api_key.is_some() {
        return Err(l9_core::Error::invalid("this build has no hosted models: turn the feature `models` on"));
    }
    Ok(clients)
}
