//! A query in the two forms that rows are compared with: sixteen bits a dimension for
//! codes, and four bits a dimension for sketches, laid out by bits, one plane for each, in
//! which a product with a row's plane is counting bits.

use l9_core::Result;

use super::code::{LEAST, direction};
use super::rotation::Rotation;

/// The bits of a part that planes of rows are compared with.
pub(super) const PLANES: usize = 4;

/// 512 dimensions of those bits.
pub(super) type Block = [[u64; 8]; PLANES];

/// What the parts of a query come to at most, signs left out: their product with the
/// greatest code still fits 32 bits.
const LARGEST_SUM: f32 = (1 << 23) as f32 / 1.01;

/// A query, ready to be compared with codes.
#[derive(Debug)]
pub(super) struct Parts {
    rotated: Vec<f32>,
    /// Parts of sixteen bits, with zeros up to a multiple of 64.
    pub(super) parts: Vec<i16>,
    /// What a part is a multiple of.
    pub(super) unit: f32,
}

/// A query, ready to be compared with planes.
#[derive(Debug)]
pub(super) struct Coarse {
    pub(super) planes: Vec<Block>,
    pub(super) sum: i32,
    pub(super) unit: f32,
    /// What the rounding of its parts adds to the variance of every estimate.
    pub(super) variance: f32,
    /// How much of a similarity an estimate of a row in the query's own direction lacks at most:
    /// there the rounding goes with the row's signs, as one that is even within a unit does.
    pub(super) lacking: f32,
}

impl Parts {
    pub(super) fn new(vector: &[f32], rotation: &Rotation, dimensions: usize) -> Result<Self> {
        let rotated = direction(vector, rotation, dimensions)?;
        let total: f32 = rotated.iter().map(|value| value.abs()).sum();
        let fit = (f32::from(i16::MAX) / largest(&rotated)).min(LARGEST_SUM / total);
        let mut parts: Vec<i16> = rotated.iter().map(|value| (value * fit).round() as i16).collect();
        parts.resize(dimensions.next_multiple_of(64), 0);
        Ok(Self { rotated, parts, unit: 1.0 / fit })
    }

    pub(super) fn coarse(&self) -> Coarse {
        let unit = largest(&self.rotated) / 7.5;
        let parts = self.rotated.iter().map(|value| (value / unit).round().clamp(-8.0, 7.0) as i32);
        let rounded = self.rotated.iter().zip(parts.clone()).map(|(value, part)| value - part as f32 * unit);
        let dimensions = self.rotated.len() as f32;
        let variance = rounded.map(|error| error * error).sum::<f32>() / dimensions;
        let lacking = unit * unit * dimensions / 24.0;
        Coarse { planes: planes(parts.clone()), sum: parts.sum(), unit, variance, lacking }
    }
}

fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()))
}

/// Parts laid out by bits; two's complement.
pub(super) fn planes(parts: impl ExactSizeIterator<Item = i32>) -> Vec<Block> {
    let mut blocks = vec![[[0; 8]; PLANES]; parts.len().div_ceil(512)];
    for (at, part) in parts.enumerate() {
        for (bit, plane) in blocks[at / 512].iter_mut().enumerate() {
            plane[at / 64 % 8] |= u64::from((part >> bit).cast_unsigned() & 1) << (at % 64);
        }
    }
    blocks
}

/// What a bit is worth among those of two's complement.
pub(super) const fn weight(bit: usize) -> i32 {
    if bit + 1 == PLANES { -(1 << bit) } else { 1 << bit }
}

const _: () = assert!(LARGEST_SUM * LEAST < i32::MAX as f32);
