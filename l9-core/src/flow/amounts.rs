//! Amounts that follow from others: a share, a percentage, a sum, a difference.
//!
//! Only numbers of the request and of the records it names count, and few of them, so that
//! hardly any other number can be reached. A number that an untrusted source names is never
//! taken for a derived one.

use super::session::Flow;

/// Amounts are the same if they differ by less than half a cent.
const SAME: f64 = 0.005;

/// With more numbers than these, nearly any could be derived.
const MOST: usize = 16;

impl Flow {
    /// Whether an amount is a sum, a difference, a half or a percentage of what is trusted.
    pub(super) fn derives(&self, amount: f64) -> bool {
        let said = self.said.numbers.iter().copied();
        let base: Vec<f64> = said.chain(self.numbers.iter().map(|bits| f64::from_bits(*bits))).take(MOST).collect();
        let hundredths = self.said.hundredths.iter().take(4);
        let parts = base.iter().flat_map(|number| hundredths.clone().map(move |part| number * part / 100.0));
        let halves = base.iter().map(|number| number / 2.0);
        let derived: Vec<f64> = parts.chain(halves).collect();
        let same = |value: f64| (value - amount).abs() < SAME;
        let all = || base.iter().chain(&derived).copied();
        derived.iter().copied().any(same)
            || all().any(|one| base.iter().any(|other| same(one + other) || same(one - other) || same(other - one)))
    }
}
