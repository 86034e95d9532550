//! What models cost, by a table that operators keep.

use std::collections::BTreeMap;

use l9_core::model::{Estimate, Usage};
use serde::{Deserialize, Serialize};

const MILLION: u128 = 1_000_000;

/// Millionths of a US dollar for a million tokens; a dollar for a million is 1,000,000.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Price {
    /// Tokens read.
    pub input: u64,
    /// Tokens read from the provider's cache.
    pub cached: u64,
    /// Tokens written, those of hidden reasoning included.
    pub output: u64,
}

/// A price for each model, by the name that requests use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Prices(BTreeMap<String, Price>);

impl<Name: Into<String>> FromIterator<(Name, Price)> for Prices {
    fn from_iter<I: IntoIterator<Item = (Name, Price)>>(prices: I) -> Self {
        Self(prices.into_iter().map(|(name, price)| (name.into(), price)).collect())
    }
}

impl Prices {
    /// The price of a model or of its dated form (`name-2026-01-31`, `name-20260131`), if
    /// the table has it.
    #[must_use]
    pub fn of(&self, model: &str) -> Option<Price> {
        let dated = |name: &str| model.strip_prefix(name).is_some_and(is_date);
        let exact = self.0.get(model);
        exact.or_else(|| self.0.iter().find(|(name, _)| dated(name)).map(|(_, price)| price)).copied()
    }
}

fn is_date(rest: &str) -> bool {
    rest.len() >= 9 && rest.starts_with("-20") && rest.bytes().all(|b| b.is_ascii_digit() || b == b'-')
}

impl Price {
    /// What this use costs, rounded up to a millionth of a dollar.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> u64 {
        let fresh = usage.input_tokens.saturating_sub(usage.cached_tokens);
        let cost = [(self.input, fresh), (self.cached, usage.cached_tokens), (self.output, usage.output_tokens)]
            .iter()
            .map(|(price, tokens)| u128::from(*price) * u128::from(*tokens))
            .fold(0_u128, u128::saturating_add)
            .div_ceil(MILLION);
        u64::try_from(cost).unwrap_or(u64::MAX)
    }
}

/// The most that a request may use that has a body of `written` bytes, and sends
/// `sent`. Two bytes to a token is less than any ordinary text has.
pub(super) fn bounded(price: Option<Price>, written: usize, sent: u64, output_tokens: u32) -> Estimate {
    let input_tokens = (written as u64).div_ceil(2);
    let most = Usage { input_tokens, output_tokens: u64::from(output_tokens), ..Usage::default() };
    let micro_usd = price.map(|price| price.cost(&most));
    Estimate { tokens: most.input_tokens + most.output_tokens, micro_usd, egress_bytes: sent }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cached_tokens_have_their_own_price_and_the_sum_is_rounded_up() {
        let price = Price { input: 1_000_000, cached: 100_000, output: 5_000_000 };
        let usage = Usage { input_tokens: 1_000, cached_tokens: 400, output_tokens: 10, micro_usd: 0 };
        assert_eq!(price.cost(&usage), 600 + 40 + 50);
        assert_eq!(Price { input: 1, ..Price::default() }.cost(&usage), 1);
        let most = Usage { input_tokens: u64::MAX, cached_tokens: u64::MAX, output_tokens: u64::MAX, micro_usd: 0 };
        assert_eq!(Price { input: u64::MAX, cached: u64::MAX, output: u64::MAX }.cost(&most), u64::MAX);
    }

    #[test]
    fn a_dated_name_has_the_price_of_its_family_and_an_unknown_one_has_none() {
        let prices: Prices =
            [("m", Price { input: 7, ..Price::default() }), ("free", Price::default())].into_iter().collect();
        let seven = Some(7);
        for (model, input) in [
            ("m", seven),
            ("m-2026-01-31", seven),
            ("m-20260131", seven),
            ("free", Some(0)),
            ("m-mini", None),
            ("other", None),
            ("m-20", None),
        ] {
            assert_eq!(prices.of(model).map(|price| price.input), input, "{model}");
        }
    }
}
