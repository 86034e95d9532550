//! The code of a vector: nine bits a dimension and one scale, of its direction after the
//! rotation. The signs lie apart, for they are its sketch.
//!
//! Packed form, version 1: `1 ‖ dimensions (u16) ‖ row`, a row being `scale (f32) ‖ signs
//! (a bit a dimension, in words of 64) ‖ dimensions × low (i8)`, all little endian. A part
//! is `low + 128` where its sign's bit is set and `low - 128` where not; the scale times
//! the product of the parts with a unit vector is their similarity.

use l9_core::{Error, ErrorKind, Result};

use super::rotation::Rotation;

/// The most dimensions of a vector.
pub const MAX_DIMENSIONS: usize = 4096;

/// The version of the rotation and of the packed form.
pub(super) const VERSION: u8 = 1;

/// The greatest part of a code.
const MOST: f32 = 255.0;

/// The least part that a code's bytes can say, its sign left out.
pub(super) const LEAST: f32 = 256.0;

/// What stands before a packed row.
const HEADER: usize = 1 + 2;

/// A vector's direction in nine bits a dimension.
#[derive(Debug, Clone, PartialEq)]
pub struct Code {
    pub(super) scale: f32,
    pub(super) signs: Vec<u64>,
    pub(super) low: Vec<i8>,
}

impl Code {
    /// How many dimensions it has.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.low.len()
    }

    /// The packed form.
    #[must_use]
    pub fn pack(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER + row_bytes(self.low.len()));
        out.push(VERSION);
        out.extend_from_slice(&(self.low.len() as u16).to_le_bytes());
        self.push_row(&mut out);
        out
    }

    /// Reads the packed form.
    ///
    /// # Errors
    /// `Newer` for another version, `Corrupt` for anything else that is no code.
    pub fn unpack(bytes: &[u8]) -> Result<Self> {
        let damaged = |what: String| Error::corrupt(format!("a vector's code does not parse: {what}"));
        check_version(*bytes.first().ok_or_else(|| damaged("it is empty".into()))?)?;
        let (header, row) = bytes.split_first_chunk::<HEADER>().ok_or_else(|| damaged("it is cut off".into()))?;
        let dimensions = usize::from(u16::from_le_bytes([header[1], header[2]]));
        Self::read_row(row, dimensions).map_err(damaged)
    }

    pub(super) fn push_row(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.scale.to_le_bytes());
        self.signs.iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
        out.extend(self.low.iter().map(|part| part.cast_unsigned()));
    }

    /// Reads a row; else, what is wrong.
    pub(super) fn read_row(row: &[u8], dimensions: usize) -> Result<Self, String> {
        if dimensions == 0 || dimensions > MAX_DIMENSIONS {
            return Err(format!("it has {dimensions} dimensions, 1 to {MAX_DIMENSIONS} are known"));
        }
        let fits = row.len() == row_bytes(dimensions);
        let (scale, rest) = row.split_first_chunk::<4>().filter(|_| fits).ok_or_else(|| {
            format!("{dimensions} dimensions take {} bytes, there are {}", row_bytes(dimensions), row.len())
        })?;
        let (signs, low) = rest.split_at(rest.len() - dimensions);
        let code = Self {
            scale: f32::from_le_bytes(*scale),
            signs: signs.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect(),
            low: low.iter().map(|byte| byte.cast_signed()).collect(),
        };
        let spare =
            code.signs.last().is_some_and(|word| !dimensions.is_multiple_of(64) && word >> (dimensions % 64) != 0);
        let length = code.scale * code.squares().sqrt();
        if !(0.98..=1.03).contains(&length) {
            Err(format!("its scale {} makes it a vector of length {length}, not 1", code.scale))
        } else if spare {
            Err("it has signs of more dimensions than it has".into())
        } else {
            Ok(code)
        }
    }

    /// The code of a vector that [`direction`] gave.
    pub(super) fn of(rotated: &[f32]) -> Self {
        let largest = rotated.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        let fit = MOST / largest;
        let part = |value: &f32| (value * fit).round();
        let along: f32 = rotated.iter().map(|value| part(value) * value).sum();
        let positive = |value: &f32| part(value) >= 0.0;
        let words = rotated
            .chunks(64)
            .map(|values| values.iter().rev().fold(0, |word, value| word << 1 | u64::from(positive(value))));
        let low = |value: &f32| (part(value) - if positive(value) { 128.0 } else { -128.0 }) as i8;
        Self { scale: 1.0 / along, signs: words.collect(), low: rotated.iter().map(low).collect() }
    }

    /// What its parts come to, signs left out.
    pub(super) fn total(&self) -> f32 {
        self.sizes().sum::<i32>() as f32
    }

    fn squares(&self) -> f32 {
        self.sizes().map(|size| size * size).sum::<i32>() as f32
    }

    /// Its parts, from -255 to 255; from -256 in bytes that nothing here wrote.
    pub(crate) fn parts(&self) -> impl Iterator<Item = i16> + '_ {
        let words = self.low.chunks(64).zip(&self.signs);
        words.flat_map(|(low, word)| {
            low.iter().zip(0..).map(move |(low, at)| i16::from(*low) + if word >> at & 1 == 1 { 128 } else { -128 })
        })
    }

    fn sizes(&self) -> impl Iterator<Item = i32> + '_ {
        let size = |low: i8, word: u64| if word & 1 == 1 { 128 + i32::from(low) } else { 128 - i32::from(low) };
        let words = self.low.chunks(64).zip(&self.signs);
        words.flat_map(move |(low, word)| low.iter().zip(0..).map(move |(low, at)| size(*low, word >> at)))
    }
}

/// A vector's direction as codes have it, but exactly.
#[cfg(feature = "postgres")]
pub(crate) fn turned(vector: &[f32]) -> Result<Vec<f32>> {
    direction(vector, &Rotation::new(vector.len()), vector.len())
}

/// The bytes of a row.
pub(super) fn row_bytes(dimensions: usize) -> usize {
    4 + dimensions.div_ceil(64) * 8 + dimensions
}

/// Refuses a form that this version does not know.
pub(super) fn check_version(version: u8) -> Result<()> {
    if version > VERSION {
        let message = format!("a vector's code has the form {version}, this L9 knows {VERSION}: upgrade it");
        return Err(Error::new(ErrorKind::Newer, message));
    }
    if version < VERSION { Err(Error::corrupt("a vector's code does not parse: its form is 0")) } else { Ok(()) }
}

/// The vector scaled to length 1 and rotated, or why it has no direction.
pub(super) fn direction(vector: &[f32], rotation: &Rotation, dimensions: usize) -> Result<Vec<f32>> {
    if vector.len() != dimensions {
        return Err(Error::invalid(format!(
            "the vector has {} dimensions and the index {dimensions}: use one embedder for both, \
             or build the index anew with this one",
            vector.len()
        )));
    }
    if let Some(at) = vector.iter().position(|value| !value.is_finite()) {
        return Err(Error::invalid(format!(
            "dimension {at} of the vector is {}: every value has to be a finite number",
            vector[at]
        )));
    }
    let largest = vector.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    if largest == 0.0 {
        return Err(Error::invalid("every value of the vector is 0, so it has no direction: leave it out"));
    }
    let squares: f64 = vector.iter().map(|value| f64::from(*value / largest).powi(2)).sum();
    let length = squares.sqrt() as f32;
    let mut out: Vec<f32> = vector.iter().map(|value| value / largest / length).collect();
    rotation.apply(&mut out);
    Ok(out)
}
