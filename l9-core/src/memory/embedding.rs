//! The trait behind which texts become vectors, so that they are found by what they mean.

use std::fmt;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Serialize;

use crate::Result;
use crate::digest::{Digest, sha256};

/// The space that vectors lie in: those of one space can be compared, others cannot.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Space {
    name: String,
    dimensions: usize,
}

/// The most characters of a model's name that stand in the name of a space.
const NAME: usize = 40;

/// How vectors are turned before they are kept is part of their space. It changed once, for those
/// whose number of dimensions is a power of two.
const TURNED: &[u8] = b"l9 turned 2";

impl Space {
    /// The space of a model's vectors. `fingerprint` is of everything that makes them what
    /// they are, such as the weights.
    #[must_use]
    pub fn new(model: &str, dimensions: usize, fingerprint: &Digest) -> Self {
        let plain = |char: char| if char.is_ascii_alphanumeric() || "-_.".contains(char) { char } else { '-' };
        let model: String = model.chars().take(NAME).map(plain).collect();
        let mark = if dimensions.is_power_of_two() { sha256(&[TURNED, fingerprint.as_bytes()]) } else { *fingerprint };
        let mark = mark.to_string();
        Self { name: format!("{model}/{dimensions}/{}", &mark[..16]), dimensions }
    }

    /// Its name: the model, the number of dimensions, and sixteen digits that follow from the
    /// fingerprint.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many numbers a vector has.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }
}

/// Makes vectors of texts: the nearer two are in direction, the more alike they mean.
#[async_trait]
pub trait Embedder: fmt::Debug + Send + Sync {
    /// Where its vectors lie.
    fn space(&self) -> &Space;

    /// How many texts it is best given at once.
    fn batch(&self) -> usize;

    /// The vector of each text, in their order; their lengths are of no meaning.
    ///
    /// # Errors
    /// `Invalid` for texts that will not be taken another time either, `Denied` if nobody may
    /// ask, otherwise `Unavailable` or `Exhausted`.
    async fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>>;
}

/// How far memories have vectors of the embedder that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Embedding {
    /// The embedder: model, number of dimensions, fingerprint.
    pub embedder: String,
    /// How many memories have a vector of it.
    pub embedded: u64,
    /// How many have none yet.
    pub pending: u64,
    /// What is wrong with it, if anything is: it is tried again, and until then memories are
    /// found without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_space_of_a_power_of_two_is_another_than_before_and_the_rest_are_not() {
        let fingerprint = sha256(&[b"weights"]);
        let begins = |dimensions| {
            let space = Space::new("a/model", dimensions, &fingerprint);
            space.name() == format!("a-model/{dimensions}/{}", &fingerprint.to_string()[..16])
        };
        assert!([3, 100, 384, 768, 1536].into_iter().all(begins));
        assert!(![1, 64, 512, 1024, 4096].into_iter().any(begins));
    }
}
