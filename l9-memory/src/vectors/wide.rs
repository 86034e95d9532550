//! The inner loops of [`kernel`](super::kernel) with AVX-512: what the compiler makes of
//! the plain ones shuffles more than it counts.
#![expect(
    unsafe_code,
    reason = "vectors are loaded from arrays of their very size or under a mask, and stored to arrays"
)]

use std::arch::x86_64::*;

use super::kernel::{Plane, Row, Run, Signs, estimate};
use super::query::{Block, Coarse, PLANES, weight};
use super::rows::{RUN, ReachOfSigns, SPARE};

/// As `kernel::product`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bitalg,avx512vnni")]
pub(super) fn product(row: Row<'_>, parts: &[i16]) -> i32 {
    let words = row.signs.len();
    let mut sums = [_mm512_setzero_si512(); 2];
    for (word, parts) in parts.as_chunks::<64>().0.iter().enumerate() {
        let mut low = _mm512_setzero_si512();
        for (plane, bits) in row.mid.chunks_exact(words).chain(row.low.chunks_exact(words)).enumerate() {
            let bit = _mm512_set1_epi8((0x80_u8 >> plane).cast_signed());
            low = _mm512_mask_add_epi8(low, bits[word], low, bit);
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
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bitalg,avx512vnni")]
pub(super) fn sums(plane: Plane<'_>, run: Run<'_>, query: &[Block], out: &mut [i32]) {
    let (eights, rest) = run.places.as_chunks::<8>();
    let (outs, out) = out[..run.places.len()].split_at_mut(eights.len() * 8);
    let mut ahead = run.ahead.chunks(8);
    for (places, out) in eights.iter().zip(outs.as_chunks_mut::<8>().0) {
        let total = eight(&plane, places, ahead.next().unwrap_or_default(), query);
        // SAFETY: eight numbers of 32 bits are stored where eight have room.
        unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), total) };
    }
    rest.iter().zip(out).for_each(|(place, out)| *out = one(&plane, *place, query));
}

/// As `kernel::estimates`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bitalg,avx512vnni")]
pub(super) fn estimates(signs: Signs<'_>, run: Run<'_>, query: &Coarse, out: &mut [f32; RUN]) -> f32 {
    let (eights, rest) = run.places.as_chunks::<8>();
    let (outs, out) = out[..run.places.len()].split_at_mut(eights.len() * 8);
    let mut ahead = run.ahead.chunks(8);
    let (unit, all_parts) = (_mm256_set1_ps(query.unit), _mm256_set1_epi32(query.sum));
    let mut greatest = _mm256_set1_ps(f32::NEG_INFINITY);
    for (places, out) in eights.iter().zip(outs.as_chunks_mut::<8>().0) {
        let total = eight(&signs.plane, places, ahead.next().unwrap_or_default(), &query.planes);
        let total = _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_add_epi32(total, total), all_parts));
        // SAFETY: eight numbers of 32 bits are read where there are eight.
        let places = unsafe { _mm256_loadu_si256(places.as_ptr().cast()) };
        let factors = _mm512_castps512_ps256(gathered(0xff, signs.factors, _mm512_castsi256_si512(places)));
        let value = _mm256_mul_ps(_mm256_mul_ps(total, unit), factors);
        greatest = _mm256_max_ps(greatest, value);
        // SAFETY: eight numbers of 32 bits are stored where eight have room.
        unsafe { _mm256_storeu_ps(out.as_mut_ptr(), value) };
    }
    for (place, out) in rest.iter().zip(&mut *out) {
        *out = estimate(one(&signs.plane, *place, &query.planes), signs.factors[*place as usize], query);
    }
    let mut greatests = [0.0; 8];
    // SAFETY: eight numbers of 32 bits are stored where eight have room.
    unsafe { _mm256_storeu_ps(greatests.as_mut_ptr(), greatest) };
    greatests.iter().chain(&out[..rest.len()]).fold(f32::NEG_INFINITY, |greatest, value| greatest.max(*value))
}

/// As `kernel::reaching`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bitalg,avx512vnni")]
pub(super) fn reaching(run: &[u32], values: &[f32], factors: &[f32], reach: &ReachOfSigns, out: &mut [u32]) -> usize {
    let [floor, cut, slope, base] =
        [reach.floor, reach.over.cut, reach.over.slope, reach.over.base].map(|value| _mm512_set1_ps(value));
    let zero = _mm512_setzero_ps();
    let mut count = 0;
    for (run, values) in run.chunks(SPARE).zip(values.chunks(SPARE)) {
        let there = u16::MAX >> (SPARE - run.len());
        // SAFETY: what the mask leaves out is not read.
        let values = unsafe { _mm512_maskz_loadu_ps(there, values.as_ptr()) };
        let holds = _mm512_mask_cmp_ps_mask::<_CMP_GE_OQ>(there, values, floor);
        if holds == 0 {
            continue;
        }
        // SAFETY: what the mask leaves out is not read.
        let places = unsafe { _mm512_maskz_loadu_epi32(there, run.as_ptr().cast()) };
        let factors = gathered(there, factors, places);
        let square = _mm512_add_ps(_mm512_mul_ps(slope, _mm512_mul_ps(factors, factors)), base);
        let below = _mm512_max_ps(_mm512_sub_ps(cut, values), zero);
        let below = _mm512_mul_ps(below, below);
        let holds = _mm512_mask_cmp_ps_mask::<_CMP_LE_OQ>(holds, below, _mm512_max_ps(square, zero));
        let room = &mut out[count..count + SPARE];
        // SAFETY: sixteen numbers of 32 bits are stored where sixteen have room.
        unsafe { _mm512_storeu_si512(room.as_mut_ptr().cast(), _mm512_maskz_compress_epi32(holds, places)) };
        count += holds.count_ones() as usize;
    }
    count
}

/// The factors of those places that the mask has.
#[inline]
#[target_feature(enable = "avx512f")]
fn gathered(mask: u16, factors: &[f32], places: __m512i) -> __m512 {
    assert!((_mm512_mask_reduce_max_epu32(mask, places) as usize) < factors.len());
    // SAFETY: every place of the mask is one of the factors, and no others are read.
    unsafe { _mm512_mask_i32gather_ps::<4>(_mm512_setzero_ps(), mask, places, factors.as_ptr()) }
}

/// The sums of the query's parts where these rows have ones, side by side.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bitalg,avx512vnni")]
fn eight(plane: &Plane<'_>, places: &[u32; 8], ahead: &[u32], query: &[Block]) -> __m256i {
    ahead.iter().for_each(|place| plane.fetch(*place));
    let mut rows: [&[u64]; 8] = [&[]; 8];
    rows.iter_mut().zip(places).for_each(|(row, place)| *row = plane.of(*place));
    summed(counted(rows, query))
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bitalg,avx512vnni")]
fn one(plane: &Plane<'_>, place: u32, query: &[Block]) -> i32 {
    let [total] = counted([plane.of(place)], query);
    _mm512_reduce_add_epi32(total)
}

/// The sums of the query's parts where rows have ones, for every 32 dimensions of 512.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bitalg,avx512vnni")]
fn counted<const ROWS: usize>(rows: [&[u64]; ROWS], query: &[Block]) -> [__m512i; ROWS] {
    let mut totals = [_mm512_setzero_si512(); ROWS];
    let weights: [__m512i; PLANES] = std::array::from_fn(|bit| _mm512_set1_epi8(weight(bit) as i8));
    for (block, planes) in query.iter().enumerate() {
        let planes = [all(&planes[0]), all(&planes[1]), all(&planes[2]), all(&planes[3])];
        for (total, row) in totals.iter_mut().zip(rows) {
            let words = some(&row[block * 8..]);
            for (plane, weight) in planes.iter().zip(weights) {
                *total = _mm512_dpbusd_epi32(*total, _mm512_popcnt_epi8(_mm512_and_si512(words, *plane)), weight);
            }
        }
    }
    totals
}

/// The sum of each of eight vectors, side by side.
#[inline]
#[target_feature(enable = "avx512f")]
fn summed(vectors: [__m512i; 8]) -> __m256i {
    let [a, b, c, d, e, f, g, h] = vectors;
    let two = |one: __m512i, other: __m512i| {
        _mm512_add_epi32(_mm512_unpacklo_epi32(one, other), _mm512_unpackhi_epi32(one, other))
    };
    let four = |one: __m512i, other: __m512i| {
        _mm512_add_epi32(_mm512_unpacklo_epi64(one, other), _mm512_unpackhi_epi64(one, other))
    };
    // Each quarter of these has a part of the sums of four vectors.
    let (first, last) = (four(two(a, b), two(c, d)), four(two(e, f), two(g, h)));
    let halves = _mm512_add_epi32(
        _mm512_shuffle_i64x2::<0b10_00_10_00>(first, last),
        _mm512_shuffle_i64x2::<0b11_01_11_01>(first, last),
    );
    let sums = _mm512_add_epi32(halves, _mm512_shuffle_i64x2::<0b10_11_00_01>(halves, halves));
    _mm512_castsi512_si256(_mm512_shuffle_i64x2::<0b00_00_10_00>(sums, sums))
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
