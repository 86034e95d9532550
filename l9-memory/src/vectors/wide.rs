//! The inner loops of [`kernel`](super::kernel) with AVX-512: what the compiler makes of
//! the plain ones shuffles more than it counts.
#![expect(unsafe_code, reason = "vectors are loaded from arrays of their very size, and stored to one")]

use std::arch::x86_64::*;

use super::kernel::{Lanes, Row, dot};
use super::query::{FINE, PLANES, Parts};

/// As `kernel::product`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq")]
pub(super) fn product(row: Row<'_>, query: Parts<'_>) -> i32 {
    let mut counts = [_mm512_setzero_si512(); 2];
    for (lanes, planes) in row.block.iter().zip(query.planes) {
        let word = _mm512_set1_epi64(lanes[row.lane % 8].cast_signed());
        let (planes, _) = planes.as_chunks::<{ FINE / 2 }>();
        for (count, planes) in counts.iter_mut().zip(planes) {
            *count = _mm512_add_epi64(*count, _mm512_popcnt_epi64(_mm512_and_si512(word, words(planes))));
        }
    }
    let low = _mm512_sllv_epi64(counts[0], _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7));
    let high = _mm512_sllv_epi64(counts[1], _mm512_setr_epi64(8, 9, 10, 11, 12, 13, 14, 15));
    let high = _mm512_mask_sub_epi64(high, 0x80, _mm512_setzero_si512(), high);
    let positive = _mm512_reduce_add_epi64(_mm512_add_epi64(low, high)) as i32;

    let ((lows, low), (parts, part)) = (row.low.as_chunks::<32>(), query.parts.as_chunks::<32>());
    let mut sum = _mm512_setzero_si512();
    for (low, parts) in lows.iter().zip(parts) {
        let low = _mm512_cvtepi8_epi16(bytes(low));
        sum = _mm512_add_epi32(sum, _mm512_madd_epi16(low, shorts(parts)));
    }
    _mm512_reduce_add_epi32(sum) + dot(low, part) + 128 * (2 * positive - query.sum)
}

/// As `kernel::sums`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq")]
pub(super) fn sums(blocks: &[Lanes], run: &[u32], planes: &[[u64; PLANES]], out: &mut [[i32; 8]]) {
    for (number, out) in run.iter().zip(out) {
        let block = &blocks[*number as usize * planes.len()..][..planes.len()];
        let mut counts = [_mm512_setzero_si512(); PLANES];
        for (lanes, planes) in block.iter().zip(planes) {
            let lanes = words(lanes);
            for (count, plane) in counts.iter_mut().zip(planes) {
                let plane = _mm512_set1_epi64(plane.cast_signed());
                *count = _mm512_add_epi64(*count, _mm512_popcnt_epi64(_mm512_and_si512(lanes, plane)));
            }
        }
        let [ones, twos, fours, eights] = counts;
        let twos = _mm512_slli_epi64::<1>(_mm512_add_epi64(twos, _mm512_slli_epi64::<1>(fours)));
        let total = _mm512_sub_epi64(_mm512_add_epi64(ones, twos), _mm512_slli_epi64::<3>(eights));
        // SAFETY: eight numbers of 32 bits are stored where eight have room.
        unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), _mm512_cvtepi64_epi32(total)) };
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn words(array: &[u64; 8]) -> __m512i {
    // SAFETY: the array has 64 bytes.
    unsafe { _mm512_loadu_si512(array.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn shorts(array: &[i16; 32]) -> __m512i {
    // SAFETY: the array has 64 bytes.
    unsafe { _mm512_loadu_si512(array.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn bytes(array: &[i8; 32]) -> __m256i {
    // SAFETY: the array has 32 bytes.
    unsafe { _mm256_loadu_si256(array.as_ptr().cast()) }
}
