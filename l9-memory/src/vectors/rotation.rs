//! A rotation that spreads every direction over all dimensions alike, so that nine bits
//! lose little of any vector and the signs alone tell much of it (RaBitQ, Gao and Long
//! 2024; the fast form of it alternates random signs, Walsh–Hadamard transforms and
//! Kac's steps).
//!
//! It is fixed by the number of dimensions alone, and the same on every machine: codes
//! that are stored were rotated by it.

/// How often signs, transform and step are repeated.
const ROUNDS: usize = 4;

/// Where the signs begin; part of the stored form.
const SEED: u64 = 0x6c39_2e76_6563_746f;

/// The rotation of vectors of one length.
#[derive(Debug, Clone)]
pub(super) struct Rotation {
    /// 1 or -1, per round and dimension.
    signs: Vec<f32>,
    dimensions: usize,
}

impl Rotation {
    pub(super) fn new(dimensions: usize) -> Self {
        let mut state = SEED ^ dimensions as u64;
        let signs = (0..ROUNDS * dimensions).map(|_| if next(&mut state) >> 63 == 0 { 1.0 } else { -1.0 }).collect();
        Self { signs, dimensions }
    }

    /// Rotates a vector in its place; its length stays what it is.
    pub(super) fn apply(&self, vector: &mut [f32]) {
        let power = 1 << self.dimensions.ilog2();
        for (round, signs) in self.signs.chunks_exact(self.dimensions).enumerate() {
            vector.iter_mut().zip(signs).for_each(|(value, sign)| *value *= sign);
            let start = if round % 2 == 0 { 0 } else { self.dimensions - power };
            transform(&mut vector[start..start + power]);
            // The transform of a power of two ends with this very step, which would undo it.
            if power < self.dimensions {
                step(vector);
            }
        }
    }
}

/// The Walsh–Hadamard transform, scaled to keep lengths.
fn transform(vector: &mut [f32]) {
    let mut half = 1;
    while half < vector.len() {
        for pair in vector.chunks_exact_mut(2 * half) {
            let (left, right) = pair.split_at_mut(half);
            for (one, other) in left.iter_mut().zip(right) {
                (*one, *other) = (*one + *other, *one - *other);
            }
        }
        half *= 2;
    }
    let scale = 1.0 / (vector.len() as f32).sqrt();
    vector.iter_mut().for_each(|value| *value *= scale);
}

/// Turns every dimension of the first half together with one of the second.
fn step(vector: &mut [f32]) {
    let half = vector.len() / 2;
    let (left, right) = vector.split_at_mut(vector.len() - half);
    for (one, other) in left.iter_mut().zip(right) {
        let (sum, difference) = (*one + *other, *one - *other);
        (*one, *other) = (sum * std::f32::consts::FRAC_1_SQRT_2, difference * std::f32::consts::FRAC_1_SQRT_2);
    }
}

/// SplitMix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_angles_stay_and_one_dimension_becomes_all() {
        for dimensions in [1, 2, 3, 63, 64, 100, 384, 511, 768] {
            let rotation = Rotation::new(dimensions);
            let mut one: Vec<f32> = (0..dimensions).map(|at| (at as f32 * 0.7).sin()).collect();
            let mut other: Vec<f32> = (0..dimensions).map(|at| (at as f32 * 1.3).cos()).collect();
            let dot = |one: &[f32], other: &[f32]| one.iter().zip(other).map(|(one, other)| one * other).sum::<f32>();
            let before = [dot(&one, &one), dot(&one, &other)];
            rotation.apply(&mut one);
            rotation.apply(&mut other);
            let after = [dot(&one, &one), dot(&one, &other)];
            for (before, after) in before.iter().zip(after) {
                assert!((before - after).abs() < 1e-3 * before.abs().max(1.0), "{dimensions}: {before} {after}");
            }
        }
        for dimensions in [64, 100, 384, 512, 768, 1024] {
            let mut unit = vec![0.0; dimensions];
            unit[dimensions / 3] = 1.0;
            Rotation::new(dimensions).apply(&mut unit);
            let largest = unit.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
            assert!(largest < 5.0 / (dimensions as f32).sqrt(), "{dimensions}: one dimension still has {largest}");
            let half: f32 = unit[..dimensions / 2].iter().map(|value| value * value).sum();
            assert!((0.3..0.7).contains(&half), "{dimensions}: {half} of it lies in the first half");
        }
    }
}
