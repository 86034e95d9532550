//! The inner loops of [`kernel`](super::kernel) with AVX-512: what the compiler makes of
//! the plain ones shuffles more than it counts.
#![expect(
    unsafe_code,
    reason = "vectors are loaded from arrays of their very size or under a mask, and stored to arrays"
)]

use std::arch::x86_64::*;

use super::kernel::{Plane, Row};
use super::query::Block;
use super::rows::LOW;

/// As `kernel::product`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq")]
pub(super) fn product(row: Row<'_>, parts: &[i16]) -> i32 {
    let words = row.signs.len();
    let mut sums = [_mm512_setzero_si512(); 2];
    for (word, parts) in parts.as_chunks::<64>().0.iter().enumerate() {
        let mut low = _mm512_setzero_si512();
        for plane in 0..LOW {
            let bit = _mm512_set1_epi8((0x80_u8 >> plane).cast_signed());
            low = _mm512_mask_add_epi8(low, row.low[plane * words + word], low, bit);
        }
        let (signs, (halves, _)) = (row.signs[word], parts.as_chunks::<32>());
        let halves_of_low = [_mm512_castsi512_si256(low), _mm512_extracti64x4_epi64::<1>(low)];
        for (half, ((sum, parts), low)) in sums.iter_mut().zip(halves).zip(halves_of_low).enumerate() {
            // 256 less than the low byte, and 256 more where the sign is positive.
            let negative = !(signs >> (32 * half)) as u32;
            let number = _mm512_cvtepu8_epi16(low);
            let number = _mm512_mask_sub_epi16(number, negative, number, _mm512_set1_epi16(256));
            *sum = _mm512_add_epi32(*sum, _mm512_madd_epi16(number, shorts(parts)));
        }
    }
    _mm512_reduce_add_epi32(_mm512_add_epi32(sums[0], sums[1]))
}

/// As `kernel::sums`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq")]
pub(super) fn sums(plane: Plane<'_>, run: &[u32], query: &[Block], out: &mut [i32]) {
    let (eights, rest) = run.as_chunks::<8>();
    let (outs, out) = out[..run.len()].split_at_mut(eights.len() * 8);
    for (places, out) in eights.iter().zip(outs.as_chunks_mut::<8>().0) {
        let mut rows: [&[u64]; 8] = [&[]; 8];
        for (row, place) in rows.iter_mut().zip(places) {
            *row = plane.of(*place);
        }
        let total = _mm512_cvtepi64_epi32(summed(counted(rows, query)));
        // SAFETY: eight numbers of 32 bits are stored where eight have room.
        unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), total) };
    }
    for (place, out) in rest.iter().zip(out) {
        let [total] = counted([plane.of(*place)], query);
        *out = _mm512_reduce_add_epi64(total) as i32;
    }
}

/// The sums of the query's parts where rows have ones, word by word.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq")]
fn counted<const ROWS: usize>(rows: [&[u64]; ROWS], query: &[Block]) -> [__m512i; ROWS] {
    let mut totals = [_mm512_setzero_si512(); ROWS];
    for (block, planes) in query.iter().enumerate() {
        let planes = [all(&planes[0]), all(&planes[1]), all(&planes[2]), all(&planes[3])];
        for (total, row) in totals.iter_mut().zip(rows) {
            let words = some(&row[block * 8..]);
            let count = |plane| _mm512_popcnt_epi64(_mm512_and_si512(words, plane));
            let [ones, twos, fours, eights] = planes;
            let fours = _mm512_sub_epi64(count(fours), _mm512_slli_epi64::<1>(count(eights)));
            let twos = _mm512_add_epi64(count(twos), _mm512_slli_epi64::<1>(fours));
            *total = _mm512_add_epi64(*total, _mm512_add_epi64(count(ones), _mm512_slli_epi64::<1>(twos)));
        }
    }
    totals
}

/// The sum of each of eight vectors, side by side.
#[inline]
#[target_feature(enable = "avx512f")]
fn summed(vectors: [__m512i; 8]) -> __m512i {
    let [a, b, c, d, e, f, g, h] = vectors;
    let pair = |one: __m512i, other: __m512i| {
        _mm512_add_epi64(_mm512_unpacklo_epi64(one, other), _mm512_unpackhi_epi64(one, other))
    };
    // Of two vectors of pairs, the pairs at even and at odd quarters.
    let four = |one: __m512i, other: __m512i| {
        _mm512_add_epi64(
            _mm512_shuffle_i64x2::<0b10_00_10_00>(one, other),
            _mm512_shuffle_i64x2::<0b11_01_11_01>(one, other),
        )
    };
    let (first, second) = (four(pair(a, b), pair(c, d)), four(pair(e, f), pair(g, h)));
    four(first, second)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn all(array: &[u64; 8]) -> __m512i {
    // SAFETY: the array has 64 bytes.
    unsafe { _mm512_loadu_si512(array.as_ptr().cast()) }
}

/// Up to eight words, and zeros.
#[inline]
#[target_feature(enable = "avx512f")]
fn some(words: &[u64]) -> __m512i {
    let present = u8::MAX.checked_shr(8 - words.len().min(8) as u32).unwrap_or(0);
    // SAFETY: what the mask leaves out is not read.
    unsafe { _mm512_maskz_loadu_epi64(present, words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn shorts(array: &[i16; 32]) -> __m512i {
    // SAFETY: the array has 64 bytes.
    unsafe { _mm512_loadu_si512(array.as_ptr().cast()) }
}
