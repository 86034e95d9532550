//! Vectors without a model: stems and runs of characters, hashed into dimensions with a sign
//! (Weinberger et al. 2009). Alike are texts that share words or parts of words; no more.

use async_trait::async_trait;
use l9_core::Result;
use l9_core::digest::sha256;
use l9_core::memory::{Embedder, Space};

use crate::retrieval::{each_stem, stem_hash};

/// The rules by which vectors are made: another number for other rules.
const RULES: &[u8] = b"l9 hashing 1";
const DIMENSIONS: usize = 512;
/// What a run of characters counts, beside a stem.
const PART: f32 = 0.5;

/// The embedder without a model.
#[derive(Debug)]
pub struct Hashing {
    space: Space,
}

impl Default for Hashing {
    fn default() -> Self {
        Self { space: Space::new("hashing", DIMENSIONS, &sha256(&[RULES])) }
    }
}

fn add(vector: &mut [f32], feature: &str, weight: f32) {
    let hash = stem_hash(feature);
    let sign = if hash >> 63 == 0 { 1.0 } else { -1.0 };
    vector[(hash % DIMENSIONS as u64) as usize] += sign * weight;
}

fn vector(text: &str) -> Vec<f32> {
    let mut vector = vec![0.0; DIMENSIONS];
    each_stem(text, |stem, stopword| {
        if stopword {
            return;
        }
        add(&mut vector, stem, 1.0);
        let marked: Vec<char> = format!("^{stem}$").chars().collect();
        let parts = marked.windows(4);
        let weight = PART / (parts.len().max(1) as f32).sqrt();
        parts.for_each(|part| add(&mut vector, &part.iter().collect::<String>(), weight));
    });
    // A text without a word has a direction too, which nothing else has.
    if vector.iter().all(|value| *value == 0.0) {
        vector[0] = 1.0;
    }
    vector
}

#[async_trait]
impl Embedder for Hashing {
    fn space(&self) -> &Space {
        &self.space
    }

    fn batch(&self) -> usize {
        256
    }

    async fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        Ok(texts.iter().map(|text| vector(text)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cosine(one: &str, other: &str) -> f32 {
        let (one, other) = (vector(one), vector(other));
        let dot = |one: &[f32], other: &[f32]| one.iter().zip(other).map(|(one, other)| one * other).sum::<f32>();
        dot(&one, &other) / (dot(&one, &one) * dot(&other, &other)).sqrt()
    }

    #[test]
    fn shared_words_and_shared_parts_of_words_are_nearer_than_none() {
        let asked = "which database keeps the audit log";
        let (same, alike, other) = (
            cosine(asked, "the audit log is kept in the database"),
            cosine(asked, "databases of auditors"),
            cosine(asked, "my sister bakes bread on Sundays"),
        );
        assert!(same > 0.6 && same > alike + 0.2 && alike > other + 0.1, "{same} {alike} {other}");
        assert!(cosine("", "...") > 0.99);
    }
}
