//! The index: codes and sketches by place, and the search that chooses between them.
//!
//! The set of places that a filter lets pass comes before any scoring, so a filter never
//! costs an answer; how a search goes is chosen by the size of that set.

use l9_core::{Error, Result};

use super::best::Best;
use super::code::{Code, MAX_DIMENSIONS, direction};
use super::kernel::{Kernel, Row};
use super::places::Places;
use super::query::Prepared;
use super::rotation::Rotation;
use super::sketches::Sketches;

/// Up to how many rows every code is compared: fewer than sketches are worth.
const SCANNED: usize = 4096;

/// The least dimensions for which signs tell enough.
const SKETCHED_DIMENSIONS: usize = 64;

/// A row is left out when its estimate is this many widths of its error below the `k`th
/// best: one in thirty thousand of the right answers lies further off.
const SURE: f32 = 4.0;

/// Vectors of one length, found by the cosine of their angle to a query.
#[derive(Debug)]
pub struct Index {
    dimensions: usize,
    rotation: Rotation,
    kernel: Kernel,
    present: Places,
    scales: Vec<f32>,
    low: Vec<i8>,
    sketches: Sketches,
    /// The greatest variance of an estimate of any row.
    widest: f32,
}

/// A place that was found.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Near {
    /// Its number.
    pub place: u32,
    /// The cosine of its angle to the query, from -1 to 1.
    pub similarity: f32,
}

/// How a search goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Way {
    /// Every code of the set is compared.
    Scan,
    /// Every sketch of the set is compared, and the codes of those rows that may be among
    /// the best.
    Sketch,
}

impl Index {
    /// An empty index of vectors of that many dimensions.
    ///
    /// # Errors
    /// `Invalid` unless there are 1 to [`MAX_DIMENSIONS`].
    pub fn new(dimensions: usize) -> Result<Self> {
        if dimensions == 0 || dimensions > MAX_DIMENSIONS {
            return Err(Error::invalid(format!("vectors of {dimensions} dimensions: 1 to {MAX_DIMENSIONS} are known")));
        }
        Ok(Self {
            dimensions,
            rotation: Rotation::new(dimensions),
            kernel: Kernel::best(),
            present: Places::new(),
            scales: Vec::new(),
            low: Vec::new(),
            sketches: Sketches::new(dimensions),
            widest: 0.0,
        })
    }

    /// How many dimensions its vectors have.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// How many vectors it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.present.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.present.is_empty()
    }

    /// The code of a vector of any length: what [`Index::put`] takes and backends seal.
    ///
    /// # Errors
    /// `Invalid` for another number of dimensions, a value that is not finite, or a vector
    /// of nothing but zeros.
    pub fn encode(&self, vector: &[f32]) -> Result<Code> {
        Ok(Code::of(&direction(vector, &self.rotation, self.dimensions)?))
    }

    /// Puts a code at a place, instead of what stands there. Room is taken for every place
    /// below the greatest.
    ///
    /// # Errors
    /// `Invalid` for another number of dimensions, or a place from [`MAX_PLACES`](super::MAX_PLACES) on.
    pub fn put(&mut self, place: u32, code: &Code) -> Result<()> {
        if code.dimensions() != self.dimensions {
            return Err(Error::invalid(format!(
                "the code at place {place} has {} dimensions and the index {}: embed again with one embedder",
                code.dimensions(),
                self.dimensions
            )));
        }
        self.present.insert(place)?;
        let at = place as usize;
        if at >= self.scales.len() {
            self.scales.resize(at + 1, 0.0);
            self.low.resize((at + 1) * self.dimensions, 0);
        }
        self.scales[at] = code.scale;
        self.low[at * self.dimensions..(at + 1) * self.dimensions].copy_from_slice(&code.low);
        self.sketches.put(at, code);
        self.widest = self.widest.max(self.sketches.variance(place));
        Ok(())
    }

    /// Takes the vector of a place out, and its bytes; tells whether there was one.
    pub fn remove(&mut self, place: u32) -> bool {
        let was = self.present.remove(place);
        if was {
            let at = place as usize;
            self.scales[at] = 0.0;
            self.low[at * self.dimensions..(at + 1) * self.dimensions].fill(0);
            self.sketches.clear(at);
        }
        was
    }

    /// How a search for `k` among that many rows goes.
    #[must_use]
    pub fn way(&self, rows: usize, k: usize) -> Way {
        let worth = rows > SCANNED && rows / 8 > k && self.dimensions >= SKETCHED_DIMENSIONS;
        if worth { Way::Sketch } else { Way::Scan }
    }

    /// The `k` vectors nearest to a query, among those allowed, nearest first; of equal
    /// ones the least place.
    ///
    /// # Errors
    /// As [`Index::encode`].
    pub fn search(&self, query: &[f32], allowed: Option<&Places>, k: usize) -> Result<Vec<Near>> {
        let query = Prepared::new(query, &self.rotation, self.dimensions)?;
        let both = allowed.map(|allowed| self.present.both(allowed));
        let set = both.as_ref().unwrap_or(&self.present);
        Ok(match self.way(set.len(), k) {
            Way::Scan => self.compare(&query, set.iter(), Best::new(k)),
            Way::Sketch => self.by_sketches(&query, set, k),
        })
    }

    /// What [`Index::search`] finds if every code is compared, whatever the set's size:
    /// what its recall is measured against.
    ///
    /// # Errors
    /// As [`Index::encode`].
    pub fn scan(&self, query: &[f32], allowed: Option<&Places>, k: usize) -> Result<Vec<Near>> {
        let query = Prepared::new(query, &self.rotation, self.dimensions)?;
        let both = allowed.map(|allowed| self.present.both(allowed));
        Ok(self.compare(&query, both.as_ref().unwrap_or(&self.present).iter(), Best::new(k)))
    }

    /// The bytes that its vectors take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.low.len() + size_of_val(&*self.scales) + self.sketches.bytes() + self.present.bytes()
    }

    fn similarity(&self, query: &Prepared, place: u32) -> f32 {
        let at = place as usize;
        let low = &self.low[at * self.dimensions..(at + 1) * self.dimensions];
        let row = Row { block: self.sketches.block(at), lane: at % 8, low };
        self.kernel.product(row, query.parts()) as f32 * (query.unit * self.scales[at])
    }

    fn compare(&self, query: &Prepared, places: impl Iterator<Item = u32>, mut best: Best) -> Vec<Near> {
        places.for_each(|place| best.push(self.similarity(query, place), place));
        best.into_sorted().into_iter().map(|(similarity, place)| Near { place, similarity }).collect()
    }

    /// Three passes: estimates of all; the exact `k`th best of the most promising, which
    /// tells what an estimate has to reach; the codes of all that reach it.
    fn by_sketches(&self, query: &Prepared, set: &Places, k: usize) -> Vec<Near> {
        let mut promising = Best::new(4 * k + 32);
        let estimates = self.sketches.estimate(self.kernel, &query.coarse(), set.eights(), |block, values| {
            if greatest(values) >= promising.cut() {
                for (lane, value) in (0..).zip(values).filter(|(_, value)| value.is_finite()) {
                    promising.push(*value, block * 8 + lane);
                }
            }
        });
        let mut best = Best::new(k);
        let mut seen: Vec<u32> = promising.into_sorted().into_iter().map(|(_, place)| place).collect();
        seen.sort_unstable();
        seen.iter().for_each(|place| best.push(self.similarity(query, *place), *place));
        best.shrink();
        // Whether a row of such an estimate may be among the best: whether it lies above
        // the worst of them, or no more than its error below.
        let may = |cut: f32, estimate: f32, variance: f32| {
            let below = (cut - estimate).max(0.0);
            below * below <= SURE * SURE * variance * (1.0 - cut.max(0.0).powi(2)).max(0.0)
        };
        for (block, values) in estimates.blocks.iter().zip(&estimates.values) {
            if !may(best.cut(), greatest(values), self.widest) {
                continue;
            }
            for (lane, value) in (0..).zip(values) {
                let place = block * 8 + lane;
                let worth = value.is_finite() && may(best.cut(), *value, self.sketches.variance(place));
                if worth && seen.binary_search(&place).is_err() {
                    best.push(self.similarity(query, place), place);
                }
            }
        }
        best.into_sorted().into_iter().map(|(similarity, place)| Near { place, similarity }).collect()
    }
}

fn greatest(values: &[f32; 8]) -> f32 {
    values.iter().fold(f32::NEG_INFINITY, |greatest, value| if *value > greatest { *value } else { greatest })
}
