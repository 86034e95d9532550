//! The inner loops, in a form for what the processor has: plain code compiled for every
//! machine and with AVX2, and [`wide`] for AVX-512. Every form gives the same results, for
//! what is not integer arithmetic is done in the same order.
//!
//! It is unsafe to call code compiled for instructions that might not be there; a
//! [`Kernel`] of such a form is only made after they were looked for.

use super::query::{Block, Coarse, PLANES, weight};
use super::rows::{LOW, MID, RUN, ReachOfSigns, transposed};
#[cfg(target_arch = "x86_64")]
use super::wide;

/// A form of the loops that this processor can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kernel(Form);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

/// A row's code: the words of its signs, of the two planes after them, and of the six others,
/// one after another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) signs: &'a [u64],
    pub(super) mid: &'a [u64],
    pub(super) low: &'a [u64],
}

/// One plane of every row: so many words of each, the first at `start`, the next row's
/// `stride` words further.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plane<'a> {
    pub(super) bits: &'a [u64],
    pub(super) words: usize,
    pub(super) stride: usize,
    pub(super) start: usize,
}

/// The signs of every row, and what an estimate by them is multiplied with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signs<'a> {
    pub(super) plane: Plane<'a>,
    pub(super) factors: &'a [f32],
}

/// Places that are looked at, and those that are looked at next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run<'a> {
    pub(super) places: &'a [u32],
    pub(super) ahead: &'a [u32],
}

impl Plane<'_> {
    #[inline(always)]
    pub(super) fn of(&self, place: u32) -> &[u64] {
        &self.bits[place as usize * self.stride + self.start..][..self.words]
    }

    /// Has the processor bring a row's ends into its cache; what lies between follows.
    #[inline(always)]
    pub(super) fn fetch(&self, place: u32) {
        let first = place as usize * self.stride + self.start;
        fetch(self.bits, first);
        fetch(self.bits, first + self.words - 1);
    }
}

impl Kernel {
    /// The fastest form.
    pub(super) fn best() -> Self {
        Self::all().last().copied().unwrap_or(Self(Form::Portable))
    }

    /// Every form that this processor can run, the fastest last.
    pub(super) fn all() -> Vec<Self> {
        let mut forms = vec![Self(Form::Portable)];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt") {
                forms.push(Self(Form::Avx2));
            }
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512bitalg")
                && is_x86_feature_detected!("avx512vnni")
            {
                forms.push(Self(Form::Avx512));
            }
        }
        forms
    }

    /// The product of a row with a query's parts.
    #[expect(unsafe_code, reason = "this form is only made after its instructions were looked for")]
    pub(super) fn product(self, row: Row<'_>, parts: &[i16]) -> i32 {
        match self.0 {
            Form::Portable => product(row, parts),
            // SAFETY: `all` saw the instructions.
            #[cfg(target_arch = "x86_64")]
            Form::Avx2 => unsafe { product_avx2(row, parts) },
            // SAFETY: `all` saw the instructions.
            #[cfg(target_arch = "x86_64")]
            Form::Avx512 => unsafe { wide::product(row, parts) },
        }
    }

    /// The sums of the query's parts of four bits where a plane has ones, for each of these
    /// places.
    #[expect(unsafe_code, reason = "this form is only made after its instructions were looked for")]
    pub(super) fn sums(self, plane: Plane<'_>, run: Run<'_>, query: &[Block], out: &mut [i32]) {
        match self.0 {
            Form::Portable => sums(plane, run, query, out),
            // SAFETY: `all` saw the instructions.
            #[cfg(target_arch = "x86_64")]
            Form::Avx2 => unsafe { sums_avx2(plane, run, query, out) },
            // SAFETY: `all` saw the instructions.
            #[cfg(target_arch = "x86_64")]
            Form::Avx512 => unsafe { wide::sums(plane, run, query, out) },
        }
    }

    /// Estimates by signs for each of up to [`RUN`] places, and the greatest of them.
    #[expect(unsafe_code, reason = "this form is only made after its instructions were looked for")]
    pub(super) fn estimates(self, signs: Signs<'_>, run: Run<'_>, query: &Coarse, out: &mut [f32; RUN]) -> f32 {
        match self.0 {
            Form::Portable => estimates(signs, run, query, out),
            // SAFETY: `all` saw the instructions.
            #[cfg(target_arch = "x86_64")]
            Form::Avx2 => unsafe { estimates_avx2(signs, run, query, out) },
            // SAFETY: `all` saw the instructions.
            #[cfg(target_arch = "x86_64")]
            Form::Avx512 => unsafe { wide::estimates(signs, run, query, out) },
        }
    }

    /// Writes those of these places whose estimates by signs reach what they have to, and tells
    /// how many they are; `out` has room for [`SPARE`](super::rows::SPARE) more than there are.
    #[cfg_attr(
        target_arch = "x86_64",
        expect(unsafe_code, reason = "this form is only made after its instructions were looked for")
    )]
    pub(super) fn reaching(
        self,
        run: &[u32],
        values: &[f32],
        factors: &[f32],
        reach: &ReachOfSigns,
        out: &mut [u32],
    ) -> usize {
        match self.0 {
            // SAFETY: `all` saw the instructions.
            #[cfg(target_arch = "x86_64")]
            Form::Avx512 => unsafe { wide::reaching(run, values, factors, reach, out) },
            _ => reaching(run, values, factors, reach, out),
        }
    }
}

/// Has the processor bring what is going to be read into its cache, where it can.
#[inline(always)]
#[cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "the instruction is there"))]
fn fetch(bits: &[u64], at: usize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 has the instruction, and it is a hint that reads nothing.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(bits.as_ptr().wrapping_add(at).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (bits, at);
}

/// A row's parts are 256 less than the numbers whose bits are its planes'.
#[inline(always)]
fn product(row: Row<'_>, parts: &[i16]) -> i32 {
    let words = row.signs.len();
    let mut sum = 0;
    for (at, parts) in parts.as_chunks::<8>().0.iter().enumerate() {
        let (word, shift) = (at / 8, at % 8 * 8);
        let bits = |plane: &u64| (plane >> shift) as u8;
        let mut planes = [0; MID + LOW];
        let all = row.mid.chunks_exact(words).chain(row.low.chunks_exact(words));
        planes.iter_mut().rev().zip(all).for_each(|(byte, plane)| *byte = bits(&plane[word]));
        let low = transposed(u64::from_le_bytes(planes)).to_le_bytes();
        let signs = bits(&row.signs[word]);
        for (lane, part) in parts.iter().enumerate() {
            let number = i32::from(low[lane]) | i32::from(signs >> lane & 1) << 8;
            sum += (number - 256) * i32::from(*part);
        }
    }
    sum
}

#[inline(always)]
fn sums(plane: Plane<'_>, run: Run<'_>, query: &[Block], out: &mut [i32]) {
    for (at, (place, out)) in run.places.iter().zip(out).enumerate() {
        run.ahead.get(at).into_iter().for_each(|place| plane.fetch(*place));
        let mut counts = [0; PLANES];
        for (words, planes) in plane.of(*place).chunks(8).zip(query) {
            for (count, plane) in counts.iter_mut().zip(planes) {
                *count += words.iter().zip(plane).map(|(word, plane)| (word & plane).count_ones()).sum::<u32>();
            }
        }
        *out = (0..).zip(counts).map(|(bit, count)| count as i32 * weight(bit)).sum();
    }
}

#[inline(always)]
fn estimates(signs: Signs<'_>, run: Run<'_>, query: &Coarse, out: &mut [f32; RUN]) -> f32 {
    let mut all = [0; RUN];
    sums(signs.plane, run, &query.planes, &mut all);
    for ((place, sum), out) in run.places.iter().zip(all).zip(&mut *out) {
        *out = estimate(sum, signs.factors[*place as usize], query);
    }
    out[..run.places.len()].iter().fold(f32::NEG_INFINITY, |greatest, value| greatest.max(*value))
}

/// What the signs of a row tell that has that sum.
#[inline(always)]
pub(super) fn estimate(sum: i32, factor: f32, query: &Coarse) -> f32 {
    (2 * sum - query.sum) as f32 * query.unit * factor
}

#[inline(always)]
fn reaching(run: &[u32], values: &[f32], factors: &[f32], reach: &ReachOfSigns, out: &mut [u32]) -> usize {
    let mut count = 0;
    for (place, value) in run.iter().zip(values) {
        out[count] = *place;
        let holds = *value >= reach.floor && reach.over.holds(*value, factors[*place as usize].powi(2));
        count += usize::from(holds);
    }
    count
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,popcnt")]
fn product_avx2(row: Row<'_>, parts: &[i16]) -> i32 {
    product(row, parts)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,popcnt")]
fn sums_avx2(plane: Plane<'_>, run: Run<'_>, query: &[Block], out: &mut [i32]) {
    sums(plane, run, query, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,popcnt")]
fn estimates_avx2(signs: Signs<'_>, run: Run<'_>, query: &Coarse, out: &mut [f32; RUN]) -> f32 {
    estimates(signs, run, query, out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::query::planes;
    use crate::vectors::rows::{Reach, SPARE};
    use proptest::prelude::*;

    fn bit(words: &[u64], at: usize) -> bool {
        words[at / 64] >> (at % 64) & 1 == 1
    }

    proptest! {
        #[test]
        fn every_form_gives_what_plain_arithmetic_gives(
            words in 1_usize..20,
            rows in proptest::collection::vec(any::<u64>(), 20 * (MID + LOW + 1)),
            places in proptest::collection::vec(0_u32..9, 0..RUN),
            ahead in proptest::collection::vec(0_u32..9, 0..RUN),
            parts in proptest::collection::vec(-8192_i16..=8191, 20 * 64),
            coarse in proptest::collection::vec(-8..=7, 20 * 64),
            factors in proptest::collection::vec(0.1_f32..4.0, 9),
            (cut, slope, base) in (-200.0_f32..200.0, 0.0_f32..400.0, -100.0_f32..100.0),
        ) {
            let dimensions = words * 64;
            let (first, others) = rows.split_at(words);
            let row = Row { signs: first, mid: &others[..words * MID], low: &others[words * MID..words * (MID + LOW)] };
            let part = |at: usize| {
                let planes = row.mid.chunks(words).chain(row.low.chunks(words));
                let low = planes.fold(0, |number, plane| number << 1 | i64::from(bit(plane, at)));
                low + 256 * i64::from(bit(row.signs, at)) - 256
            };
            let plain: i64 = (0..dimensions).map(|at| part(at) * i64::from(parts[at])).sum();
            let plane = Plane { bits: &rows, words, stride: words, start: 0 };
            let count = |place: &u32| (0..dimensions).filter(|at| bit(plane.of(*place), *at)).map(|at| coarse[at]).sum();
            let plain_sums: Vec<i32> = places.iter().map(count).collect();
            let query = planes(coarse[..dimensions].iter().copied());
            let sum = coarse[..dimensions].iter().sum();
            let coarse = Coarse { planes: query.clone(), sum, unit: 0.37, variance: 0.0, lacking: 0.0 };
            let factor = |place: u32| factors[place as usize];
            let values = || places.iter().zip(&plain_sums).map(|(place, sum)| (2 * sum - coarse.sum) as f32 * 0.37 * factor(*place));
            let over = Reach { cut, slope, base };
            let reach = ReachOfSigns { over, floor: cut - (slope * 16.0 + base).max(0.0).sqrt() };
            let squares = |place: u32| (slope * factor(place).powi(2) + base).max(0.0);
            let holds = |(place, value): &(&u32, f32)| (cut - value).max(0.0).powi(2) <= squares(**place);
            let held: Vec<u32> = places.iter().zip(values()).filter(holds).map(|(place, _)| *place).collect();
            let (signs, run) = (Signs { plane, factors: &factors }, Run { places: &places, ahead: &ahead });
            prop_assert_eq!(query.len(), words.div_ceil(8));
            for kernel in Kernel::all() {
                prop_assert_eq!(i64::from(kernel.product(row, &parts[..dimensions])), plain, "{:?}", kernel);
                let mut out = vec![0; places.len()];
                kernel.sums(plane, run, &query, &mut out);
                prop_assert_eq!(&out, &plain_sums, "{:?}", kernel);
                let mut estimates = [0.0; RUN];
                let greatest = kernel.estimates(signs, run, &coarse, &mut estimates);
                prop_assert!(estimates[..places.len()].iter().copied().eq(values()), "{:?}", kernel);
                prop_assert_eq!(greatest, values().fold(f32::NEG_INFINITY, f32::max), "{:?}", kernel);
                let mut out = vec![0; places.len() + SPARE];
                let count = kernel.reaching(&places, &estimates[..places.len()], &factors, &reach, &mut out);
                prop_assert_eq!(&out[..count], &held, "{:?}", kernel);
            }
        }
    }
}
