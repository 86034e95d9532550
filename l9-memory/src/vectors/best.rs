//! The `k` best of many, without ordering the rest.

use std::cmp::Ordering;

/// Collects the places with the `k` greatest scores; of equal ones the least places.
#[derive(Debug)]
pub(super) struct Best {
    k: usize,
    found: Vec<(f32, u32)>,
    cut: f32,
}

impl Best {
    pub(super) fn new(k: usize) -> Self {
        Self { k, found: Vec::new(), cut: f32::NEG_INFINITY }
    }

    /// What is less can be left out; it grows while more is found.
    pub(super) fn cut(&self) -> f32 {
        self.cut
    }

    pub(super) fn push(&mut self, score: f32, place: u32) {
        if score >= self.cut {
            self.found.push((score, place));
            if self.found.len() >= self.k.saturating_mul(2).saturating_add(64) {
                self.shrink();
            }
        }
    }

    /// The best, best first.
    pub(super) fn into_sorted(mut self) -> Vec<(f32, u32)> {
        self.shrink();
        self.found.sort_unstable_by(order);
        self.found
    }

    /// Makes the cut exact.
    pub(super) fn shrink(&mut self) {
        if self.k == 0 {
            self.found.clear();
        } else if self.found.len() >= self.k {
            let (_, last, _) = self.found.select_nth_unstable_by(self.k - 1, order);
            self.cut = last.0;
            self.found.truncate(self.k);
        }
    }
}

fn order(one: &(f32, u32), other: &(f32, u32)) -> Ordering {
    other.0.total_cmp(&one.0).then(one.1.cmp(&other.1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_keeps_what_sorting_would(scores in proptest::collection::vec(0_u8..20, 0..400), k in 0_usize..30) {
            let mut all: Vec<(f32, u32)> = scores.iter().zip(0..).map(|(score, place)| (f32::from(*score), place)).collect();
            let mut best = Best::new(k);
            all.iter().for_each(|(score, place)| best.push(*score, *place));
            all.sort_by(order);
            all.truncate(k);
            prop_assert_eq!(best.into_sorted(), all);
        }
    }
}
