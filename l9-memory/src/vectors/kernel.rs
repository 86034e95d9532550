//! The two inner loops, in a form for what the processor has: plain code compiled for
//! every machine and with AVX2, and [`wide`] for AVX-512. All of it is integer
//! arithmetic, so every form gives the same results.
//!
//! It is unsafe to call code compiled for instructions that might not be there; a
//! [`Kernel`] of such a form is only made after they were looked for.

use super::query::{Block, PLANES, weight};
use super::rows::{LOW, transposed};
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

/// A row's code: the words of its signs, and of its eight other planes, one after another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) signs: &'a [u64],
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

impl Plane<'_> {
    #[inline(always)]
    pub(super) fn of(&self, place: u32) -> &[u64] {
        &self.bits[place as usize * self.stride + self.start..][..self.words]
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
                && is_x86_feature_detected!("avx512vpopcntdq")
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
    pub(super) fn sums(self, plane: Plane<'_>, run: &[u32], query: &[Block], out: &mut [i32]) {
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
}

/// Has the processor bring what is going to be read into its cache, where it can.
#[cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "the instruction is there"))]
pub(super) fn fetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 has the instruction, and it is a hint that reads nothing.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}

/// A row's parts are 256 less than the numbers whose bits are its planes'.
#[inline(always)]
fn product(row: Row<'_>, parts: &[i16]) -> i32 {
    let words = row.signs.len();
    let mut sum = 0;
    for (at, parts) in parts.as_chunks::<8>().0.iter().enumerate() {
        let (word, shift) = (at / 8, at % 8 * 8);
        let bits = |plane: &u64| (plane >> shift) as u8;
        let planes: [u8; LOW] = std::array::from_fn(|plane| bits(&row.low[(LOW - 1 - plane) * words + word]));
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
fn sums(plane: Plane<'_>, run: &[u32], query: &[Block], out: &mut [i32]) {
    for (place, out) in run.iter().zip(out) {
        let mut counts = [0; PLANES];
        for (words, planes) in plane.of(*place).chunks(8).zip(query) {
            for (count, plane) in counts.iter_mut().zip(planes) {
                *count += words.iter().zip(plane).map(|(word, plane)| (word & plane).count_ones()).sum::<u32>();
            }
        }
        *out = (0..).zip(counts).map(|(bit, count)| count as i32 * weight(bit)).sum();
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,popcnt")]
fn product_avx2(row: Row<'_>, parts: &[i16]) -> i32 {
    product(row, parts)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,popcnt")]
fn sums_avx2(plane: Plane<'_>, run: &[u32], query: &[Block], out: &mut [i32]) {
    sums(plane, run, query, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::query::planes;
    use proptest::prelude::*;

    fn bit(words: &[u64], at: usize) -> bool {
        words[at / 64] >> (at % 64) & 1 == 1
    }

    proptest! {
        #[test]
        fn every_form_gives_what_plain_arithmetic_gives(
            words in 1_usize..20,
            rows in proptest::collection::vec(any::<u64>(), 20 * (LOW + 1)),
            places in proptest::collection::vec(0_u32..9, 0..20),
            parts in proptest::collection::vec(-8192_i16..=8191, 20 * 64),
            coarse in proptest::collection::vec(-8..=7, 20 * 64),
        ) {
            let dimensions = words * 64;
            let row = Row { signs: &rows[..words], low: &rows[words..words * (LOW + 1)] };
            let part = |at: usize| {
                let low = row.low.chunks(words).fold(0, |number, plane| number << 1 | i64::from(bit(plane, at)));
                low + 256 * i64::from(bit(row.signs, at)) - 256
            };
            let plain: i64 = (0..dimensions).map(|at| part(at) * i64::from(parts[at])).sum();
            let plane = Plane { bits: &rows, words, stride: words, start: 0 };
            let count = |place: &u32| (0..dimensions).filter(|at| bit(plane.of(*place), *at)).map(|at| coarse[at]).sum();
            let plain_sums: Vec<i32> = places.iter().map(count).collect();
            let query = planes(coarse[..dimensions].iter().copied());
            prop_assert_eq!(query.len(), words.div_ceil(8));
            for kernel in Kernel::all() {
                prop_assert_eq!(i64::from(kernel.product(row, &parts[..dimensions])), plain, "{:?}", kernel);
                let mut out = vec![0; places.len()];
                kernel.sums(plane, &places, &query, &mut out);
                prop_assert_eq!(&out, &plain_sums, "{:?}", kernel);
            }
        }
    }
}
