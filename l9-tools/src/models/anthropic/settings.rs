//! Where the Messages API is, which model is meant by default, and what models cost.

use l9_core::Result;
use serde::{Deserialize, Serialize};

use crate::egress::Origin;
use crate::models::{Limits, Price, Prices};

/// Settings of the Messages client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Everything before `/v1/messages`; a `/v1` at the end may stand or not.
    pub base_url: String,
    /// The model a bare `anthropic` means.
    pub default_model: String,
    /// The `thinking.type` to ask for, such as `adaptive` or `between_tools`; unset, the
    /// model's own default.
    pub thinking: Option<String>,
    /// How much work the model puts in, such as `low` or `medium`; unset, its default.
    pub effort: Option<String>,
    /// Bounds of one call.
    pub limits: Limits,
    /// What models cost; a budget in money allows none that is missing.
    pub prices: Prices,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            base_url: "https://api.anthropic.com".to_owned(),
            default_model: "claude-sonnet-5-5".to_owned(),
            thinking: None,
            effort: None,
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
        let base = self.base_url.trim_end_matches('/');
        format!("{}/v1/messages", base.strip_suffix("/v1").unwrap_or(base))
    }
}

/// List prices of November 2026. Where a long prompt costs more, the higher price stands,
/// so that a budget never counts too little.
fn list_prices() -> Prices {
    [
        ("claude-opus-5-5", Price { input: 4_000_000, cached: 400_000, output: 20_000_000 }),
        ("claude-sonnet-5-5", Price { input: 2_000_000, cached: 200_000, output: 10_000_000 }),
        ("claude-haiku-5-5", Price { input: 500_000, cached: 50_000, output: 2_500_000 }),
        ("claude-opus-5", Price { input: 5_000_000, cached: 500_000, output: 25_000_000 }),
        ("claude-sonnet-5", Price { input: 2_000_000, cached: 200_000, output: 10_000_000 }),
        ("claude-haiku-4-5", Price { input: 1_000_000, cached: 100_000, output: 5_000_000 }),
    ]
    .into_iter()
    .collect()
}
