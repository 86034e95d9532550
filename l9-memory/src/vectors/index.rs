//! The index: codes by place, and the search that chooses between them.
//!
//! The set of places that a filter lets pass comes before any scoring, so a filter never
//! costs an answer; how a search goes is chosen by the size of that set.

use l9_core::{Error, Result};

use super::best::Best;
use super::code::{Code, MAX_DIMENSIONS, direction};
use super::kernel::Kernel;
use super::places::Places;
use super::query::Parts;
use super::rotation::Rotation;
use super::rows::{Reach, Rows};

/// Up to how many rows every code is compared: fewer than sketches are worth.
const SCANNED: usize = 512;

/// Of how many rows one more is compared before the others, to know what they have to reach.
const PROMISING: usize = 2000;

/// The least dimensions for which signs tell enough.
const SKETCHED_DIMENSIONS: usize = 64;

/// Vectors of one length, found by the cosine of their angle to a query.
#[derive(Debug)]
pub struct Index {
    dimensions: usize,
    rotation: Rotation,
    kernel: Kernel,
    present: Places,
    rows: Rows,
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
    /// Signs of all rows of the set are compared, three planes of bits of those rows that may
    /// be among the best, and the codes of those that still may.
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
            rows: Rows::new(dimensions),
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
        self.rows.put(place, code);
        Ok(())
    }

    /// Takes the vector of a place out, and its bytes; tells whether there was one.
    pub fn remove(&mut self, place: u32) -> bool {
        let was = self.present.remove(place);
        if was {
            self.rows.clear(place);
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
        let query = Parts::new(query, &self.rotation, self.dimensions)?;
        if k == 0 {
            return Ok(Vec::new());
        }
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
        let query = Parts::new(query, &self.rotation, self.dimensions)?;
        let both = allowed.map(|allowed| self.present.both(allowed));
        Ok(self.compare(&query, both.as_ref().unwrap_or(&self.present).iter(), Best::new(k)))
    }

    /// The bytes that its vectors take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.rows.bytes() + self.present.bytes()
    }

    fn compare(&self, query: &Parts, places: impl Iterator<Item = u32>, mut best: Best) -> Vec<Near> {
        places.for_each(|place| best.push(self.rows.similarity(self.kernel, query, place), place));
        best.into_sorted().into_iter().map(|(similarity, place)| Near { place, similarity }).collect()
    }

    /// Estimates of all by their signs; the codes of the most promising, whose `k`th best
    /// tells what an estimate has to reach; estimates by three planes of all that reach it;
    /// the codes of all that reach it still.
    fn by_sketches(&self, query: &Parts, set: &Places, k: usize) -> Vec<Near> {
        let coarse = query.coarse();
        let mut promising = Best::new(4 * k + 32 + set.len() / PROMISING);
        let estimates = self.rows.by_signs(self.kernel, &coarse, set, &mut promising);
        let mut seen: Vec<u32> = promising.into_sorted().into_iter().map(|(_, place)| place).collect();
        seen.sort_unstable();
        let mut best = Best::new(k);
        seen.iter().for_each(|place| best.push(self.rows.similarity(self.kernel, query, *place), *place));
        best.shrink();
        let mut reach = Reach::new(best.cut(), &coarse, self.dimensions);
        self.rows.promising(self.kernel, set, &estimates, &mut reach, |run, reach| {
            self.rows.by_three(self.kernel, &coarse, run, |place, value, squares| {
                if reach.holds(value, squares) && seen.binary_search(&place).is_err() {
                    best.push(self.rows.similarity(self.kernel, query, place), place);
                }
            });
            *reach = Reach::new(best.cut(), &coarse, self.dimensions);
        });
        best.into_sorted().into_iter().map(|(similarity, place)| Near { place, similarity }).collect()
    }
}
