//! The rows of an index, by place: every code as planes of bits, the most significant
//! first, and what its first planes tell of a similarity.
//!
//! The signs are the first plane, and lie apart: most searches read nothing else of most
//! rows. So do the two planes after them, which are read of most of the others. Estimates are RaBitQ's (Gao and Long 2024, theorem 3.2): the
//! product of the query with what the planes tell of a row, divided by the product of the
//! row with that. They have no bias but for what the rounding of the query takes from rows in
//! its own direction, and their errors behave like normal ones whose width follows from the
//! row and from that rounding.

use super::best::Best;
use super::code::Code;
use super::kernel::{Kernel, Plane, Row, Run, Signs};
use super::places::Places;
use super::query::{Coarse, Parts};

/// The planes of a row beside its signs: two that lie together, and those after them.
pub(super) const MID: usize = 2;
pub(super) const LOW: usize = 6;

/// How many rows are looked at in one call of the kernel.
pub(super) const RUN: usize = 64;

/// For how many places more there is room where those that reach something are written.
pub(super) const SPARE: usize = 16;

/// A row is left out when its estimate is this many widths of its error below the `k`th
/// best: one in three hundred of the right answers that are just among the best lies further
/// off, in each of two estimates, and fewer of those that are better.
const SURE: f32 = 2.75;

/// What the first three planes tell of a part, when counted as a number from 0 to 7: a
/// multiple of the step, and the middle of it.
const STEP: i32 = 64;
const MIDDLE: i32 = 4 * STEP - STEP / 2;

/// All rows of an index.
#[derive(Debug)]
pub(super) struct Rows {
    dimensions: usize,
    /// A bit a dimension in words of 64.
    signs: Vec<u64>,
    /// What an estimate by signs is multiplied with.
    factors: Vec<f32>,
    /// The two planes after the signs, and a word of what an estimate by three planes is
    /// multiplied with and of the squared length of what they tell, so multiplied.
    mid: Vec<u64>,
    /// The six last planes.
    low: Vec<u64>,
    /// What codes are multiplied with.
    scales: Vec<f32>,
    /// The greatest square of a factor of any row there was.
    widest: f32,
}

/// What an estimate has to reach for its row to be among the best: the worst of them, less
/// its error.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reach {
    pub(super) cut: f32,
    /// The square of the error, as a line over the squared length that was estimated by.
    pub(super) slope: f32,
    pub(super) base: f32,
}

/// What an estimate by signs has to reach.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReachOfSigns {
    /// Over the square of a row's factor.
    pub(super) over: Reach,
    /// What that comes to for every row at least.
    pub(super) floor: f32,
}

impl Rows {
    pub(super) fn new(dimensions: usize) -> Self {
        Self {
            dimensions,
            signs: Vec::new(),
            factors: Vec::new(),
            mid: Vec::new(),
            low: Vec::new(),
            scales: Vec::new(),
            widest: 0.0,
        }
    }

    fn words(&self) -> usize {
        self.dimensions.div_ceil(64)
    }

    /// The words of a row in `mid`.
    fn stride(&self) -> usize {
        self.words() * MID + 1
    }

    pub(super) fn put(&mut self, place: u32, code: &Code) {
        let (at, words, stride) = (place as usize, self.words(), self.stride());
        if at >= self.factors.len() {
            self.signs.resize((at + 1) * words, 0);
            self.factors.resize(at + 1, 0.0);
            self.mid.resize((at + 1) * stride, 0);
            self.low.resize((at + 1) * words * LOW, 0);
            self.scales.resize(at + 1, 0.0);
        }
        self.signs[at * words..][..words].copy_from_slice(&code.signs);
        let (mid, low) = (&mut self.mid[at * stride..][..stride], &mut self.low[at * words * LOW..][..words * LOW]);
        spread(&code.low, &mut mid[..words * MID], low);
        self.factors[at] = 1.0 / (code.scale * code.total());
        let (along, squares) = code
            .parts()
            .map(|part| (i32::from(part), coarse(part)))
            .fold((0, 0), |(along, squares), (part, coarse)| (along + part * coarse, squares + coarse * coarse));
        let factor = 1.0 / (code.scale * along as f32);
        mid[words * MID] = pair(factor, factor * factor * squares as f32);
        self.scales[at] = code.scale;
        self.widest = self.widest.max(self.factors[at].powi(2));
    }

    pub(super) fn clear(&mut self, place: u32) {
        let (at, words, stride) = (place as usize, self.words(), self.stride());
        self.signs[at * words..][..words].fill(0);
        self.factors[at] = 0.0;
        self.mid[at * stride..][..stride].fill(0);
        self.low[at * words * LOW..][..words * LOW].fill(0);
        self.scales[at] = 0.0;
    }

    pub(super) fn bytes(&self) -> usize {
        let planes = size_of_val(&*self.signs) + size_of_val(&*self.mid) + size_of_val(&*self.low);
        planes + size_of_val(&*self.factors) + size_of_val(&*self.scales)
    }

    /// What a row's code tells: its similarity.
    pub(super) fn similarity(&self, kernel: Kernel, query: &Parts, place: u32) -> f32 {
        let (at, words, stride) = (place as usize, self.words(), self.stride());
        let row = Row {
            signs: &self.signs[at * words..][..words],
            mid: &self.mid[at * stride..][..words * MID],
            low: &self.low[at * words * LOW..][..words * LOW],
        };
        kernel.product(row, &query.parts) as f32 * (query.unit * self.scales[at])
    }

    /// Estimates by signs for all places of a set, in its order.
    pub(super) fn by_signs(&self, kernel: Kernel, query: &Coarse, set: &Places, promising: &mut Best) -> Vec<f32> {
        let mut values = Vec::with_capacity(set.len());
        let mut estimates = [0.0; RUN];
        let signs = Signs { plane: self.plane_of_signs(), factors: &self.factors };
        set.runs(|run| {
            let greatest = kernel.estimates(signs, run, query, &mut estimates);
            values.extend_from_slice(&estimates[..run.places.len()]);
            if greatest >= promising.cut() {
                run.places.iter().zip(estimates).for_each(|(place, value)| promising.push(value, *place));
            }
        });
        values
    }

    /// The places of a set whose estimates by signs hold, up to [`RUN`] at a time.
    pub(super) fn promising(
        &self,
        kernel: Kernel,
        set: &Places,
        values: &[f32],
        reach: &mut Reach,
        mut look: impl FnMut(Run<'_>, &mut Reach),
    ) {
        let (mut waiting, mut count) = ([0; 3 * RUN + SPARE], 0);
        let mut values = values.chunks(RUN);
        set.runs(|run| {
            let values = values.next().unwrap_or_default();
            let reach_of_signs = reach.of_signs(self.dimensions, self.widest);
            count += kernel.reaching(run.places, values, &self.factors, &reach_of_signs, &mut waiting[count..]);
            if count >= 2 * RUN {
                look(Run { places: &waiting[..RUN], ahead: &waiting[RUN..2 * RUN] }, reach);
                waiting.copy_within(RUN..count, 0);
                count -= RUN;
            }
        });
        let (run, last) = waiting[..count].split_at(count.min(RUN));
        look(Run { places: run, ahead: last }, reach);
        look(Run { places: last, ahead: &[] }, reach);
    }

    /// Estimates by the first three planes for up to [`RUN`] places, and the squared lengths
    /// of what was estimated by.
    pub(super) fn by_three(&self, kernel: Kernel, query: &Coarse, run: Run<'_>, mut found: impl FnMut(u32, f32, f32)) {
        let mut sums = [[0; RUN]; 3];
        let [fours, twos, ones] = &mut sums;
        kernel.sums(self.plane_of_signs(), run, &query.planes, fours);
        kernel.sums(self.plane_of_mid(0), run, &query.planes, twos);
        kernel.sums(self.plane_of_mid(1), run, &query.planes, ones);
        for (at, place) in run.places.iter().enumerate() {
            let (factor, squares) = unpaired(self.mid[(*place as usize + 1) * self.stride() - 1]);
            let sum = STEP * (4 * fours[at] + 2 * twos[at] + ones[at]) - MIDDLE * query.sum;
            found(*place, sum as f32 * query.unit * factor, squares);
        }
    }

    fn plane_of_signs(&self) -> Plane<'_> {
        Plane { bits: &self.signs, words: self.words(), stride: self.words(), start: 0 }
    }

    fn plane_of_mid(&self, number: usize) -> Plane<'_> {
        let words = self.words();
        Plane { bits: &self.mid, words, stride: self.stride(), start: number * words }
    }
}

impl Reach {
    /// When the worst of the best is that similar.
    pub(super) fn new(cut: f32, query: &Coarse, dimensions: usize) -> Self {
        let across = (1.0 - cut.max(0.0).powi(2)).max(0.0) / (dimensions.max(2) - 1) as f32;
        let (slope, base) = (SURE * SURE * (across + query.variance), -SURE * SURE * across);
        Self { cut: cut - cut.max(0.0) * query.lacking, slope, base }
    }

    /// The same for estimates by signs, whose squared lengths are so many times the squares of
    /// their factors, of which `widest` is the greatest.
    fn of_signs(&self, dimensions: usize, widest: f32) -> ReachOfSigns {
        let over = Self { slope: self.slope * dimensions as f32, ..*self };
        ReachOfSigns { floor: over.cut - over.square(widest).sqrt(), over }
    }

    /// Whether a row of this estimate may be among the best.
    #[inline(always)]
    pub(super) fn holds(&self, value: f32, squares: f32) -> bool {
        let below = (self.cut - value).max(0.0);
        below * below <= self.square(squares)
    }

    #[inline(always)]
    fn square(&self, squares: f32) -> f32 {
        (self.slope * squares + self.base).max(0.0)
    }
}

/// The word of `mid` beside a row's two planes.
fn pair(factor: f32, squares: f32) -> u64 {
    u64::from(factor.to_bits()) << 32 | u64::from(squares.to_bits())
}

fn unpaired(pair: u64) -> (f32, f32) {
    (f32::from_bits((pair >> 32) as u32), f32::from_bits(pair as u32))
}

/// What the first three planes tell of a part.
fn coarse(part: i16) -> i32 {
    (i32::from(part) + 256) / STEP * STEP - MIDDLE
}

/// Lays the low bytes of a code out as planes: a part is 256 less than the number whose
/// bits are its sign's and those of its planes.
fn spread(parts: &[i8], mid: &mut [u64], low: &mut [u64]) {
    let words = mid.len() / MID;
    mid.fill(0);
    low.fill(0);
    for (at, eight) in parts.chunks(8).enumerate() {
        let mut bytes = [0; 8];
        bytes.iter_mut().zip(eight).for_each(|(byte, part)| *byte = part.cast_unsigned() ^ 0x80);
        let bits = transposed(u64::from_le_bytes(bytes)).to_be_bytes();
        for (plane, bits) in mid.chunks_exact_mut(words).chain(low.chunks_exact_mut(words)).zip(bits) {
            plane[at / 8] |= u64::from(bits) << (at % 8 * 8);
        }
    }
}

/// Eight bytes as a square of bits, mirrored at its diagonal: bit `b` of byte `i` becomes
/// bit `i` of byte `b` (Warren, Hacker's Delight, 7-3).
pub(super) fn transposed(square: u64) -> u64 {
    let swap = |square: u64, mask: u64, by: u32| {
        let differ = (square ^ (square >> by)) & mask;
        square ^ differ ^ (differ << by)
    };
    let square = swap(square, 0x00aa_00aa_00aa_00aa, 7);
    let square = swap(square, 0x0000_cccc_0000_cccc, 14);
    swap(square, 0x0000_0000_f0f0_f0f0, 28)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::code::direction;
    use crate::vectors::rotation::Rotation;

    const DIMENSIONS: usize = 300;

    fn normal(state: &mut u64) -> Vec<f32> {
        let mut next = || {
            *state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            (*state >> 40) as f32 / (1 << 24) as f32 - 0.5
        };
        (0..DIMENSIONS).map(|_| (0..4).map(|_| next()).sum()).collect()
    }

    /// Errors, in widths of what they are said to be: their mean and their own width.
    fn spread_of(errors: impl Iterator<Item = (f32, f32)>) -> (f32, f32) {
        let errors: Vec<f32> = errors.map(|(error, width)| error / width).collect();
        let mean = errors.iter().sum::<f32>() / errors.len() as f32;
        (mean, (errors.iter().map(|error| (error - mean).powi(2)).sum::<f32>() / errors.len() as f32).sqrt())
    }

    #[test]
    fn estimates_have_no_bias_and_the_error_they_are_said_to_have() {
        let (rotation, kernel, mut state) = (Rotation::new(DIMENSIONS), Kernel::best(), 1);
        let (mut rows, mut set) = (Rows::new(DIMENSIONS), Places::new());
        for place in 0..1000 {
            let turned = direction(&normal(&mut state), &rotation, DIMENSIONS).unwrap();
            rows.put(place, &Code::of(&turned));
            set.insert(place).unwrap();
        }
        for query in 0..12 {
            let query_vector = normal(&mut state);
            let parts = Parts::new(&query_vector, &rotation, DIMENSIONS).unwrap();
            let coarse = parts.coarse();
            let reach = Reach::new(0.0, &coarse, DIMENSIONS);
            let width = |squares: f32| (reach.slope * squares + reach.base).sqrt() / SURE;
            let error = |place: u32, value: f32| value - rows.similarity(kernel, &parts, place);

            let values = rows.by_signs(kernel, &coarse, &set, &mut Best::new(1));
            let by_signs = set.iter().zip(values);
            let of_signs = |place: u32| width(rows.factors[place as usize].powi(2) * DIMENSIONS as f32);
            let by_signs = by_signs.map(|(place, value)| (error(place, value), of_signs(place)));
            let mut by_three = Vec::new();
            set.runs(|run| {
                rows.by_three(kernel, &coarse, run, |place, value, squares| {
                    by_three.push((error(place, value), width(squares)));
                });
            });
            let narrower = by_three[0].1 * 2.0 < of_signs(0);
            for (mean, width) in [spread_of(by_signs), spread_of(by_three.into_iter())] {
                assert!(mean.abs() < 0.25 && (0.85..1.15).contains(&width) && narrower, "{query}: {mean} and {width}");
            }
        }
    }
}
