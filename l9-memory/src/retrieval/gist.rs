//! A text's gist: 64 bits that differ little between texts of nearly the same words
//! (SimHash: Charikar, Similarity estimation techniques from rounding algorithms, 2002).
//!
//! It is derived from the terms whenever an index is built and stands in no file. It only says
//! which texts are worth comparing.

use super::words;

/// How many bits two gists may differ in. Those of texts that have nothing in common differ in
/// 32 on average, and in as few as these once in a hundred.
const NEAR: u32 = 22;

/// The gist of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gist(u64);

/// The bits of a byte, each as a number that has all bits or none.
static MASKS: [[u32; 8]; 256] = {
    let (mut masks, mut byte) = ([[0; 8]; 256], 0);
    while byte < 256 {
        let mut bit = 0;
        while bit < 8 {
            masks[byte][bit] = if byte >> bit & 1 == 1 { u32::MAX } else { 0 };
            bit += 1;
        }
        byte += 1;
    }
    masks
};

/// Counts the words of a text for its gist.
#[derive(Debug, Default)]
pub(super) struct Tally {
    total: u64,
    /// How many have each bit in the hash of their stem.
    ones: [[u32; 8]; 8],
}

impl Tally {
    /// Words that tell nothing are left out, but for those that are stemmed to something else.
    pub(super) fn add(&mut self, stem: &str, hash: u64, count: u32) {
        if words::is_stopword(stem) {
            return;
        }
        self.total += u64::from(count);
        for (ones, byte) in self.ones.iter_mut().zip(hash.to_le_bytes()) {
            for (ones, mask) in ones.iter_mut().zip(&MASKS[usize::from(byte)]) {
                // No text has as many words as would wrap it.
                *ones = ones.wrapping_add(mask & count);
            }
        }
    }

    /// The bits that most of them have.
    pub(super) fn gist(&self) -> Gist {
        let ones = self.ones.as_flattened().iter().enumerate();
        Gist(ones.fold(0, |gist, (bit, ones)| gist | u64::from(2 * u64::from(*ones) > self.total) << bit))
    }
}

impl Gist {
    /// Whether two texts may say the same.
    pub(super) fn is_near(self, other: Self) -> bool {
        (self.0 ^ other.0).count_ones() <= NEAR
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_gist_has_the_bits_that_most_words_have(words in proptest::collection::vec((any::<u64>(), 1_u32..9), 0..60)) {
            let mut tally = Tally::default();
            words.iter().for_each(|(hash, count)| tally.add("word", *hash, *count));
            tally.add("the", u64::MAX, 1000);
            let most = |bit: u32| {
                let sign = |hash: u64| if hash >> bit & 1 == 1 { 1 } else { -1 };
                words.iter().map(|(hash, count)| sign(*hash) * i64::from(*count)).sum::<i64>() > 0
            };
            let expected = (0..64).fold(0, |gist, bit| gist | u64::from(most(bit)) << bit);
            prop_assert_eq!(tally.gist(), Gist(expected));
        }
    }
}
