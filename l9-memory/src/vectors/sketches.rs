//! The signs of every code, a bit a dimension, and what they tell of a similarity.
//!
//! The estimate is RaBitQ's (Gao and Long 2024, theorem 3.2): the product of the query
//! with the row's signs, divided by the product of the row with its own signs. It has no
//! bias, and its error behaves like a normal one whose width follows from the row.

use super::code::Code;
use super::kernel::{Kernel, Lanes};
use super::query::Coarse;

/// How many blocks of eight rows are looked at in one call of the kernel.
const RUN: usize = 64;

/// The sketches of an index, by place.
#[derive(Debug)]
pub(super) struct Sketches {
    /// Words of 64 signs; one block has eight rows side by side.
    blocks: Vec<Lanes>,
    /// Per row: 1 / the sum of what its code has in every dimension, signs left out.
    factors: Vec<[f32; 8]>,
    dimensions: usize,
}

/// Estimates of eight places at a time, and where each eight begins.
#[derive(Debug, Default)]
pub(super) struct Estimates {
    pub(super) values: Vec<[f32; 8]>,
    pub(super) blocks: Vec<u32>,
}

impl Sketches {
    pub(super) fn new(dimensions: usize) -> Self {
        Self { blocks: Vec::new(), factors: Vec::new(), dimensions }
    }

    fn words(&self) -> usize {
        self.dimensions.div_ceil(64)
    }

    pub(super) fn put(&mut self, place: usize, code: &Code) {
        let (block, lane, words) = (place / 8, place % 8, self.words());
        if block >= self.factors.len() {
            self.factors.resize(block + 1, [0.0; 8]);
            self.blocks.resize((block + 1) * words, [0; 8]);
        }
        for (lanes, word) in self.blocks[block * words..].iter_mut().zip(&code.signs) {
            lanes[lane] = *word;
        }
        self.factors[block][lane] = 1.0 / (code.scale * code.total());
    }

    /// The words of the block of eight rows that has a place.
    pub(super) fn block(&self, place: usize) -> &[Lanes] {
        &self.blocks[place / 8 * self.words()..][..self.words()]
    }

    pub(super) fn clear(&mut self, place: usize) {
        let (block, lane, words) = (place / 8, place % 8, self.words());
        self.blocks[block * words..(block + 1) * words].iter_mut().for_each(|lanes| lanes[lane] = 0);
        self.factors[block][lane] = 0.0;
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.blocks) + size_of_val(&*self.factors)
    }

    /// The square of the width of the error of a row's estimate, if its similarity is 0.
    pub(super) fn variance(&self, place: u32) -> f32 {
        let factor = self.factors[place as usize / 8][place as usize % 8];
        let dimensions = self.dimensions as f32;
        (factor * factor * dimensions - 1.0).max(0.0) / (dimensions - 1.0)
    }

    /// Estimates for all places of a set; the others of their blocks of eight have none.
    pub(super) fn estimate(
        &self,
        kernel: Kernel,
        query: &Coarse,
        set: impl Iterator<Item = u8>,
        mut found: impl FnMut(u32, &[f32; 8]),
    ) -> Estimates {
        let mut estimates = Estimates::default();
        let mut set = (0..).zip(set.take(self.factors.len())).filter(|(_, mask)| *mask != 0);
        let mut sums = [[0_i32; 8]; RUN];
        loop {
            let (run, masks): (Vec<u32>, Vec<u8>) = set.by_ref().take(RUN).unzip();
            if run.is_empty() {
                break;
            }
            kernel.sums(&self.blocks, &run, &query.planes, &mut sums);
            for ((block, mask), sums) in run.iter().zip(masks).zip(&sums) {
                let factors = &self.factors[*block as usize];
                let values = std::array::from_fn(|lane| {
                    let value = (2 * sums[lane] - query.sum) as f32 * query.unit * factors[lane];
                    if mask >> lane & 1 == 1 { value } else { f32::NEG_INFINITY }
                });
                found(*block, &values);
                estimates.values.push(values);
            }
            estimates.blocks.extend(run);
        }
        estimates
    }
}
