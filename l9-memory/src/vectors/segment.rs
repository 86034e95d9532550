//! Many codes in one piece of bytes, for a backend to seal and to open quickly.
//!
//! Version 1: `1 ‖ dimensions (u16) ‖ rows (u32) ‖ rows × (place (u32) ‖ row)`, little
//! endian; a row is that of [`Code`].

use l9_core::{Error, Result};

use super::code::{Code, VERSION, check_version, row_bytes};
use super::index::Index;

const HEADER: usize = 1 + 2 + 4;
/// The place of a row.
const PLACE: usize = 4;

/// Writes segments.
#[derive(Debug)]
pub struct Segments {
    dimensions: usize,
    rows: u32,
    bytes: Vec<u8>,
}

/// What a segment that was read has.
#[derive(Debug)]
pub struct Segment {
    dimensions: usize,
    rows: Vec<(u32, Code)>,
}

impl Segments {
    /// A segment without rows.
    ///
    /// # Errors
    /// `Invalid` unless there are 1 to [`MAX_DIMENSIONS`](super::MAX_DIMENSIONS).
    pub fn new(dimensions: usize) -> Result<Self> {
        Index::new(dimensions)?;
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&u16::try_from(dimensions).unwrap_or(u16::MAX).to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        Ok(Self { dimensions, rows: 0, bytes })
    }

    /// Adds a row.
    ///
    /// # Errors
    /// `Invalid` for another number of dimensions, `Exhausted` after four thousand million
    /// rows.
    pub fn push(&mut self, place: u32, code: &Code) -> Result<()> {
        if code.dimensions() != self.dimensions {
            return Err(Error::invalid(format!(
                "the code at place {place} has {} dimensions and the segment {}: write one segment per embedder",
                code.dimensions(),
                self.dimensions
            )));
        }
        let full = || Error::new(l9_core::ErrorKind::Exhausted, "the segment is full: begin another one");
        self.rows = self.rows.checked_add(1).ok_or_else(full)?;
        self.bytes.extend_from_slice(&place.to_le_bytes());
        code.push_row(&mut self.bytes);
        Ok(())
    }

    /// The bytes of the segment.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes[3..HEADER].copy_from_slice(&self.rows.to_le_bytes());
        self.bytes
    }
}

impl Segment {
    /// Reads a segment.
    ///
    /// # Errors
    /// `Newer` for another version, `Corrupt` for anything else that is no segment.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let damaged = |what: String| Error::corrupt(format!("a segment of vectors does not parse: {what}"));
        check_version(*bytes.first().ok_or_else(|| damaged("it is empty".into()))?)?;
        let (header, rows) =
            bytes.split_first_chunk::<HEADER>().ok_or_else(|| damaged("its header is cut off".into()))?;
        let [_, one, two, count @ ..] = *header;
        let dimensions = usize::from(u16::from_le_bytes([one, two]));
        let (count, size) = (u32::from_le_bytes(count) as usize, PLACE + row_bytes(dimensions));
        if count.checked_mul(size) != Some(rows.len()) {
            return Err(damaged(format!("{count} rows of {dimensions} dimensions are not {} bytes", rows.len())));
        }
        let row = |(at, bytes): (usize, &[u8])| {
            let (place, row) = bytes.split_at(PLACE);
            let code = Code::read_row(row, dimensions).map_err(|fault| damaged(format!("row {at}: {fault}")))?;
            Ok((u32::from_le_bytes(place.try_into().unwrap_or_default()), code))
        };
        Ok(Self { dimensions, rows: rows.chunks_exact(size).enumerate().map(row).collect::<Result<_>>()? })
    }

    /// How many dimensions its rows have.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// Its places and codes, in the order they were written.
    #[must_use]
    pub fn rows(&self) -> &[(u32, Code)] {
        &self.rows
    }
}
