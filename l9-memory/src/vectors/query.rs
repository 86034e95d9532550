//! A query in the two forms that rows are compared with: sixteen bits a dimension for
//! codes, and four bits a dimension for sketches. Both are also laid out by bits, one
//! plane for each, in which a product with signs is counting bits.

use l9_core::Result;

use super::code::{MOST, direction};
use super::rotation::Rotation;

/// The bits of a part that sketches are compared with.
pub(super) const PLANES: usize = 4;

/// The bits of a part that codes are compared with.
pub(super) const FINE: usize = 16;

/// What the parts of a query come to at most, signs left out: their product with the
/// greatest code still fits 32 bits.
const LARGEST_SUM: f32 = (1 << 23) as f32 / 1.01;

/// A query, ready to be compared.
#[derive(Debug)]
pub(super) struct Prepared {
    rotated: Vec<f32>,
    largest: f32,
    parts: Vec<i16>,
    planes: Vec<[u64; FINE]>,
    sum: i32,
    /// What a part of sixteen bits is a multiple of.
    pub(super) unit: f32,
}

/// The parts of sixteen bits: as numbers, by bits, and their sum.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts<'a> {
    pub(super) parts: &'a [i16],
    pub(super) planes: &'a [[u64; FINE]],
    pub(super) sum: i32,
}

/// The parts of four bits.
#[derive(Debug)]
pub(super) struct Coarse {
    pub(super) planes: Vec<[u64; PLANES]>,
    pub(super) sum: i32,
    pub(super) unit: f32,
}

impl Prepared {
    pub(super) fn new(vector: &[f32], rotation: &Rotation, dimensions: usize) -> Result<Self> {
        let rotated = direction(vector, rotation, dimensions)?;
        let largest = rotated.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        let total: f32 = rotated.iter().map(|value| value.abs()).sum();
        let fit = (f32::from(i16::MAX) / largest).min(LARGEST_SUM / total);
        let parts: Vec<i16> = rotated.iter().map(|value| (value * fit).round() as i16).collect();
        let planes = planes(parts.iter().map(|part| i32::from(*part)));
        let sum = parts.iter().map(|part| i32::from(*part)).sum();
        Ok(Self { rotated, largest, parts, planes, sum, unit: 1.0 / fit })
    }

    pub(super) fn parts(&self) -> Parts<'_> {
        Parts { parts: &self.parts, planes: &self.planes, sum: self.sum }
    }

    pub(super) fn coarse(&self) -> Coarse {
        let unit = self.largest / 7.5;
        let part = |value: &f32| (value / unit).round().clamp(-8.0, 7.0) as i32;
        let planes = planes(self.rotated.iter().map(part));
        Coarse { planes, sum: self.rotated.iter().map(part).sum(), unit }
    }
}

/// Parts laid out by bits, 64 dimensions at a time; two's complement.
pub(super) fn planes<const BITS: usize>(parts: impl ExactSizeIterator<Item = i32>) -> Vec<[u64; BITS]> {
    let mut planes = vec![[0_u64; BITS]; parts.len().div_ceil(64)];
    for (at, part) in parts.enumerate() {
        for (bit, plane) in planes[at / 64].iter_mut().enumerate() {
            *plane |= u64::from((part >> bit).cast_unsigned() & 1) << (at % 64);
        }
    }
    planes
}

/// What a bit is worth among so many of two's complement.
#[inline(always)]
pub(super) const fn weight(bit: usize, bits: usize) -> i32 {
    if bit + 1 == bits { -(1 << bit) } else { 1 << bit }
}

const _: () = assert!(LARGEST_SUM * MOST < i32::MAX as f32);
