//! Randomness as L9 sees it.
//!
//! Every draw names what it is for. The system's source ignores the name; a seeded
//! source is a pure function of seed and name, so the order of draws in concurrent
//! tasks cannot change a seeded run. Nonces of sealed bytes never come from here
//! when it is seeded: they stay with the vault's own random source.

use std::fmt;

use crate::digest::hmac;

/// Where randomness comes from.
pub trait Entropy: fmt::Debug + Send + Sync {
    /// Fills `out`; a seeded source gives the same bytes for the same `label`, which is written
    /// out for nobody else.
    fn fill(&self, label: fmt::Arguments<'_>, out: &mut [u8]);

    /// The seed, if this source has one: runs under it are made reproducible.
    fn seed(&self) -> Option<u64> {
        None
    }
}

/// The operating system's random source, drawn from through a generator of each thread
/// (ChaCha, seeded again as it is used): a system call a draw is a tenth of an effect.
#[derive(Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, _label: fmt::Arguments<'_>, out: &mut [u8]) {
        rand::fill(out);
    }
}

/// HMAC-SHA-256 of the label in counter mode under the seed.
#[derive(Debug)]
pub struct SeededEntropy {
    seed: u64,
}

impl SeededEntropy {
    /// The source of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, label: fmt::Arguments<'_>, out: &mut [u8]) {
        let label = label.to_string();
        for (counter, chunk) in out.chunks_mut(32).enumerate() {
            let counter = u32::try_from(counter).unwrap_or(u32::MAX).to_be_bytes();
            let block = hmac(&self.seed.to_be_bytes(), &[b"l9.entropy.1\0", &counter, label.as_bytes()]);
            chunk.copy_from_slice(&block.as_bytes()[..chunk.len()]);
        }
    }

    fn seed(&self) -> Option<u64> {
        Some(self.seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(entropy: &dyn Entropy, label: &str) -> [u8; 40] {
        let mut out = [0; 40];
        entropy.fill(format_args!("{label}"), &mut out);
        out
    }

    #[test]
    fn seeded_bytes_depend_on_seed_and_label_only() {
        let (one, two) = (SeededEntropy::new(1), SeededEntropy::new(2));
        assert_eq!(draw(&one, "a"), draw(&SeededEntropy::new(1), "a"));
        assert_ne!(draw(&one, "a"), draw(&one, "b"));
        assert_ne!(draw(&one, "a"), draw(&two, "a"));
        assert_ne!(draw(&SystemEntropy, "a"), draw(&SystemEntropy, "a"));
    }
}
