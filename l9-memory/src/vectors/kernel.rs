//! The two inner loops, in a form for what the processor has: plain code compiled for
//! every machine and with AVX2, and [`wide`] for AVX-512. All of it is integer
//! arithmetic, so every form gives the same results.
//!
//! It is unsafe to call code compiled for instructions that might not be there; a
//! [`Kernel`] of such a form is only made after they were looked for.

use super::query::{FINE, PLANES, Parts, weight};
#[cfg(target_arch = "x86_64")]
use super::wide;

/// Eight rows' words of 64 signs, side by side.
pub(super) type Lanes = [u64; 8];

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
            if is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512vpopcntdq")
            {
                forms.push(Self(Form::Avx512));
            }
        }
        forms
    }

    /// The product of a row with a query: of the low bytes of its code and, for its signs,
    /// of the query's planes.
    #[expect(unsafe_code, reason = "this form is only made after its instructions were looked for")]
    pub(super) fn product(self, row: Row<'_>, query: Parts<'_>) -> i32 {
        match self.0 {
            Form::Portable => product(row, query),
            // SAFETY: `all` saw the instructions.
            #[cfg(target_arch = "x86_64")]
            Form::Avx2 => unsafe { product_avx2(row, query) },
            // SAFETY: `all` saw the instructions.
            #[cfg(target_arch = "x86_64")]
            Form::Avx512 => unsafe { wide::product(row, query) },
        }
    }

    /// The sums of the query's parts of four bits where the signs of eight rows are
    /// positive, for each of the blocks of eight rows with these numbers.
    #[expect(unsafe_code, reason = "this form is only made after its instructions were looked for")]
    pub(super) fn sums(self, blocks: &[Lanes], run: &[u32], planes: &[[u64; PLANES]], out: &mut [[i32; 8]]) {
        match self.0 {
            Form::Portable => sums(blocks, run, planes, out),
            // SAFETY: `all` saw the instructions.
            #[cfg(target_arch = "x86_64")]
            Form::Avx2 => unsafe { sums_avx2(blocks, run, planes, out) },
            // SAFETY: `all` saw the instructions.
            #[cfg(target_arch = "x86_64")]
            Form::Avx512 => unsafe { wide::sums(blocks, run, planes, out) },
        }
    }
}

/// A row: its place within a block of eight, the block's signs, and its low bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) block: &'a [Lanes],
    pub(super) lane: usize,
    pub(super) low: &'a [i8],
}

/// A row's parts are `low + 128` where its sign is positive and `low - 128` where not.
#[inline(always)]
fn product(row: Row<'_>, query: Parts<'_>) -> i32 {
    let mut counts = [0_u64; FINE];
    for (lanes, planes) in row.block.iter().zip(query.planes) {
        let word = lanes[row.lane % 8];
        for (count, plane) in counts.iter_mut().zip(planes) {
            *count += u64::from((word & plane).count_ones());
        }
    }
    let positive: i32 = (0..FINE).map(|bit| counts[bit] as i32 * weight(bit, FINE)).sum();
    dot(row.low, query.parts) + 128 * (2 * positive - query.sum)
}

#[inline(always)]
pub(super) fn dot(low: &[i8], parts: &[i16]) -> i32 {
    low.iter().zip(parts).map(|(one, other)| i32::from(*one) * i32::from(*other)).sum()
}

#[inline(always)]
fn sums(blocks: &[Lanes], run: &[u32], planes: &[[u64; PLANES]], out: &mut [[i32; 8]]) {
    for (number, out) in run.iter().zip(out) {
        let block = &blocks[*number as usize * planes.len()..][..planes.len()];
        let mut totals = [0_i32; 8];
        for bit in 0..PLANES {
            let mut counts = [0_u64; 8];
            for (lanes, planes) in block.iter().zip(planes) {
                for (count, lane) in counts.iter_mut().zip(lanes) {
                    *count += u64::from((lane & planes[bit]).count_ones());
                }
            }
            for (total, count) in totals.iter_mut().zip(counts) {
                *total += count as i32 * weight(bit, PLANES);
            }
        }
        *out = totals;
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,popcnt")]
fn product_avx2(row: Row<'_>, query: Parts<'_>) -> i32 {
    product(row, query)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,popcnt")]
fn sums_avx2(blocks: &[Lanes], run: &[u32], planes: &[[u64; PLANES]], out: &mut [[i32; 8]]) {
    sums(blocks, run, planes, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bit(words: &[u64], at: usize) -> bool {
        words[at / 64] >> (at % 64) & 1 == 1
    }

    proptest! {
        #[test]
        fn every_form_gives_what_plain_arithmetic_gives(
            rows in proptest::collection::vec((any::<i8>(), -8192_i16..=8191), 1..500),
            words in proptest::collection::vec(any::<Lanes>(), 16),
            coarse in proptest::collection::vec(any::<[u64; PLANES]>(), 1..7),
            lane in 0_usize..8,
        ) {
            let (low, parts): (Vec<i8>, Vec<i16>) = rows.into_iter().unzip();
            let words_of_row = parts.len().div_ceil(64);
            let block = &words[..words_of_row];
            let signs: Vec<u64> = block.iter().map(|lanes| lanes[lane]).collect();
            let planes = super::super::query::planes::<FINE>(parts.iter().map(|part| i32::from(*part)));
            let sum = parts.iter().map(|part| i32::from(*part)).sum();
            let query = Parts { parts: &parts, planes: &planes, sum };
            let row = Row { block, lane, low: &low };
            let plain: i64 = (0..parts.len())
                .map(|at| (i64::from(low[at]) + if bit(&signs, at) { 128 } else { -128 }) * i64::from(parts[at]))
                .sum();
            let blocks: Vec<&[Lanes]> = words.chunks_exact(coarse.len()).collect();
            let plain_sums: Vec<[i32; 8]> = blocks
                .iter()
                .map(|block| std::array::from_fn(|lane| {
                    let count = |plane: usize| block.iter().zip(&coarse).map(|(lanes, planes)| (lanes[lane] & planes[plane]).count_ones() as i32).sum::<i32>();
                    count(0) + 2 * count(1) + 4 * count(2) - 8 * count(3)
                }))
                .collect();
            let run: Vec<u32> = (0..blocks.len() as u32).collect();
            for kernel in Kernel::all() {
                prop_assert_eq!(i64::from(kernel.product(row, query)), plain, "{:?}", kernel);
                let mut out = vec![[0; 8]; blocks.len()];
                kernel.sums(&words, &run, &coarse, &mut out);
                prop_assert_eq!(&out, &plain_sums, "{:?}", kernel);
            }
        }
    }
}
