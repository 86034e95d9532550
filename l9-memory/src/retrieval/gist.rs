//! A text's gist: 64 bits that differ little between texts of nearly the same words
//! (SimHash: Charikar, Similarity estimation techniques from rounding algorithms, 2002).
//!
//! It is derived from the terms whenever an index is built and stands in no file. It only says
//! which texts are worth comparing.

use super::index::stem_hash;
use super::terms::Terms;
use super::words;

/// How many bits two gists may differ in. Those of texts that have nothing in common differ in
/// 32 on average, and in as few as these once in a hundred.
const NEAR: u32 = 22;

/// The gist of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gist(u64);

impl Gist {
    /// Words that tell nothing are left out, but for those that are stemmed to something else.
    pub(super) fn of(terms: &Terms) -> Self {
        let mut sums = [0_i64; 64];
        for (stem, count) in terms.each().filter(|(stem, _)| !words::is_stopword(stem)) {
            let hash = stem_hash(stem);
            for (bit, sum) in sums.iter_mut().enumerate() {
                *sum += if hash >> bit & 1 == 1 { i64::from(count) } else { -i64::from(count) };
            }
        }
        Self(sums.iter().enumerate().fold(0, |gist, (bit, sum)| gist | u64::from(*sum > 0) << bit))
    }

    /// Whether two texts may say the same.
    pub(super) fn is_near(self, other: Self) -> bool {
        (self.0 ^ other.0).count_ones() <= NEAR
    }
}
