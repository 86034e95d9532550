//! Where the chat completions are, which model is meant by default, and what models cost.

use l9_core::Result;
use serde::{Deserialize, Serialize};

use crate::egress::Origin;
use crate::models::{Limits, Price, Prices};

/// The provider whose own rules some defaults follow.
const HOME: &str = "api.openai.com";

/// Settings of the chat completions client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Everything before `/chat/completions`.
    pub base_url: String,
    /// The model a bare `openai` means.
    pub default_model: String,
    /// How hard the model thinks before it answers, such as `none` or `low`. Unset, it is
    /// left out, except towards `OpenAI` itself in a request with tools, where newer
    /// models refuse tools unless it is `none`.
    pub reasoning_effort: Option<String>,
    /// Bounds of one call.
    pub limits: Limits,
    /// What models cost; a budget in money allows none that is missing.
    pub prices: Prices,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            base_url: format!("https://{HOME}/v1"),
            default_model: "gpt-6.1-terra".to_owned(),
            reasoning_effort: None,
            limits: Limits::default(),
            prices: list_prices(),
        }
    }
}

impl Settings {
    /// The origin that the egress must allow.
    ///
    /// # Errors
    /// `Invalid` when the base URL is not an absolute address.
    pub fn origin(&self) -> Result<Origin> {
        Origin::of(&self.base_url)
    }

    pub(super) fn endpoint(&self) -> String {
        format!("{}/chat/completions", self.base_url.trim_end_matches('/'))
    }

    /// Whether `OpenAI`'s own models answer there, in whatever region.
    pub(super) fn is_home(&self) -> bool {
        let regional = |host: &str| host.ends_with(".api.openai.com") || host.ends_with(".openai.azure.com");
        self.origin().is_ok_and(|origin| origin.host() == HOME || regional(origin.host()))
    }

    /// The effort to ask for, if any.
    pub(super) fn effort(&self, model: &str, has_tools: bool) -> Option<&str> {
        let needed =
            || has_tools && self.is_home() && ["gpt-5.", "gpt-6"].iter().any(|family| model.starts_with(family));
        self.reasoning_effort.as_deref().or_else(|| needed().then_some("none"))
    }
}

/// List prices of November 2026 for prompts of ordinary length.
fn list_prices() -> Prices {
    [
        ("gpt-6.1-terra", Price { input: 1_000_000, cached: 100_000, output: 5_000_000 }),
        ("gpt-6-sol", Price { input: 2_000_000, cached: 200_000, output: 10_000_000 }),
        ("gpt-6-luna", Price { input: 100_000, cached: 10_000, output: 500_000 }),
    ]
    .into_iter()
    .collect()
}
