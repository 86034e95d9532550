//! Budgets: what a run may use, what it has reserved, what it has spent.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::json::PAYLOAD_INTEGER;

/// Amounts of everything that is budgeted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Cost {
    /// Millionths of a US dollar.
    #[serde(skip_serializing_if = "is_zero")]
    pub micro_usd: u64,
    /// Model tokens, in and out.
    #[serde(skip_serializing_if = "is_zero")]
    pub tokens: u64,
    /// Governed effects.
    #[serde(skip_serializing_if = "is_zero")]
    pub calls: u64,
    /// Units of wasm fuel.
    #[serde(skip_serializing_if = "is_zero")]
    pub fuel: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

impl Cost {
    /// Nothing at all.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }

    /// The sum, every amount at most 2^53 - 1, the largest that a journal holds exactly.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let sum = |a: u64, b: u64| a.saturating_add(b).min(PAYLOAD_INTEGER);
        Self {
            micro_usd: sum(self.micro_usd, other.micro_usd),
            tokens: sum(self.tokens, other.tokens),
            calls: sum(self.calls, other.calls),
            fuel: sum(self.fuel, other.fuel),
        }
    }

    /// The difference, at least nothing.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self {
            micro_usd: self.micro_usd.saturating_sub(other.micro_usd),
            tokens: self.tokens.saturating_sub(other.tokens),
            calls: self.calls.saturating_sub(other.calls),
            fuel: self.fuel.saturating_sub(other.fuel),
        }
    }
}

/// The most a run may use; an absent amount is unlimited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// Millionths of a US dollar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub micro_usd: Option<u64>,
    /// Model tokens, in and out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Governed effects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<u64>,
    /// Units of wasm fuel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
}

impl Budget {
    /// Names the first amount that `used` exceeds.
    #[must_use]
    pub fn exceeded_by(&self, used: &Cost) -> Option<String> {
        [
            ("micro_usd", self.micro_usd, used.micro_usd),
            ("tokens", self.tokens, used.tokens),
            ("calls", self.calls, used.calls),
            ("fuel", self.fuel, used.fuel),
        ]
        .into_iter()
        .find_map(|(name, limit, used)| {
            limit.filter(|limit| used > *limit).map(|limit| format!("{used} {name} of {limit}"))
        })
    }

    /// What is left of it once so much was used.
    #[must_use]
    pub fn left(&self, used: &Cost) -> Self {
        let left = |limit: Option<u64>, used: u64| limit.map(|limit| limit.saturating_sub(used));
        Self {
            micro_usd: left(self.micro_usd, used.micro_usd),
            tokens: left(self.tokens, used.tokens),
            calls: left(self.calls, used.calls),
            fuel: left(self.fuel, used.fuel),
        }
    }

    /// Names the first amount of which there is nothing.
    #[must_use]
    pub fn exhausted(&self) -> Option<&'static str> {
        [("micro_usd", self.micro_usd), ("tokens", self.tokens), ("calls", self.calls), ("fuel", self.fuel)]
            .into_iter()
            .find_map(|(name, limit)| (limit == Some(0)).then_some(name))
    }

    /// Names the first amount that no journal could hold exactly.
    #[must_use]
    pub fn oversized(&self) -> Option<String> {
        [("micro_usd", self.micro_usd), ("tokens", self.tokens), ("calls", self.calls), ("fuel", self.fuel)]
            .into_iter()
            .find_map(|(name, limit)| {
                let limit = limit.filter(|limit| *limit > PAYLOAD_INTEGER)?;
                Some(format!("{name} is {limit}: use at most 2^53 - 1, or leave it out for no limit"))
            })
    }

    /// The stricter of both in every amount.
    #[must_use]
    pub fn within(self, other: Self) -> Self {
        let least = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Self {
            micro_usd: least(self.micro_usd, other.micro_usd),
            tokens: least(self.tokens, other.tokens),
            calls: least(self.calls, other.calls),
            fuel: least(self.fuel, other.fuel),
        }
    }
}
