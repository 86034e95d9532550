//! A node's randomness: drawn from the seed, but not a seeded source in the product's
//! sense, whose runs would be made reproducible and so take another path.

use std::fmt;
use std::sync::Arc;

use l9::entropy::Entropy;

use crate::sim::Sim;

/// Draws from the seed's one source.
pub(crate) struct SimEntropy(pub(crate) Arc<Sim>);

impl Entropy for SimEntropy {
    fn fill(&self, _label: fmt::Arguments<'_>, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            let word = self.0.draw(|random| random.word()).to_be_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }
}

impl fmt::Debug for SimEntropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimEntropy")
    }
}
