//! What the index of vectors has to hold: filters cost no answer, sketches find what
//! comparing every code finds, codes find what 32-bit floats find, and bytes that were
//! tampered with are refused.
#![expect(clippy::unwrap_used, reason = "a test's helpers, whose failure is the test's")]

use l9_core::ErrorKind;
use l9_memory::vectors::{Code, Index, MAX_DIMENSIONS, Near, Places, Segment, Segments, Way};
use proptest::prelude::*;

const DIMENSIONS: usize = 384;
const K: usize = 10;

/// SplitMix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A nearly normal vector.
fn normal(state: &mut u64, dimensions: usize) -> Vec<f32> {
    let sum = |bits: u64| (0..4).map(|part| (bits >> (16 * part) & 0xffff) as f32).sum::<f32>();
    (0..dimensions).map(|_| sum(next(state)) / 65535.0 - 2.0).collect()
}

/// Vectors in clusters of about a hundred, the last `queries` of them apart.
fn clustered(rows: usize, queries: usize) -> (Vec<Vec<f32>>, Vec<Vec<f32>>) {
    let mut state = 11;
    let centres: Vec<Vec<f32>> = (0..rows / 100).map(|_| normal(&mut state, DIMENSIONS)).collect();
    let mut all: Vec<Vec<f32>> = (0..rows + queries)
        .map(|_| {
            let centre = &centres[next(&mut state) as usize % centres.len()];
            let near = normal(&mut state, DIMENSIONS);
            near.iter().zip(centre).map(|(value, centre)| 0.83 * value + centre).collect()
        })
        .collect();
    let queries = all.split_off(rows);
    (all, queries)
}

fn filled(rows: &[Vec<f32>]) -> Index {
    let mut index = Index::new(DIMENSIONS).unwrap();
    rows.iter().zip(0..).for_each(|(row, place)| index.put(place, &index.encode(row).unwrap()).unwrap());
    index
}

/// All places by 64-bit floats, nearest first.
fn exactly(rows: &[Vec<f32>], query: &[f32]) -> Vec<u32> {
    let cosine = |row: &[f32]| {
        let (mut dot, mut squares) = (0.0_f64, 0.0_f64);
        for at in 0..DIMENSIONS {
            dot += f64::from(row[at]) * f64::from(query[at]);
            squares += f64::from(row[at]) * f64::from(row[at]);
        }
        dot / squares.sqrt()
    };
    let mut all: Vec<(f64, u32)> = rows.iter().zip(0..).map(|(row, place)| (cosine(row), place)).collect();
    all.sort_by(|one, other| other.0.total_cmp(&one.0));
    all.into_iter().map(|(_, place)| place).collect()
}

fn places(found: &[Near]) -> Vec<u32> {
    found.iter().map(|near| near.place).collect()
}

fn common(one: &[u32], other: &[u32]) -> usize {
    one.iter().filter(|place| other.contains(place)).count()
}

/// The gate: both ways of a search, at every selectivity.
#[test]
fn sketches_find_what_codes_find_and_codes_what_floats_find() {
    let (rows, queries) = clustered(8400, 20);
    let index = filled(&rows);
    let truths: Vec<Vec<u32>> = queries.iter().map(|query| exactly(&rows, query)).collect();
    for passing in [1000, 500, 100, 10, 1] {
        let allowed: Places = (0..rows.len() as u32).filter(|place| place * 7919 % 1000 < passing).collect();
        let way = if passing >= 100 { Way::Sketch } else { Way::Scan };
        assert_eq!(index.way(allowed.len(), K), way, "{passing} of 1000");
        let (mut right, mut wanted) = (0, 0);
        for (query, truth) in queries.iter().zip(&truths) {
            let found = index.search(query, Some(&allowed), K).unwrap();
            assert_eq!(found, index.scan(query, Some(&allowed), K).unwrap(), "{passing} of 1000");
            assert_eq!(found.len(), K.min(allowed.len()));
            assert!(found.iter().all(|near| allowed.contains(near.place)));
            assert!(found.is_sorted_by(|one, other| one.similarity >= other.similarity));
            let truth: Vec<u32> = truth.iter().copied().filter(|place| allowed.contains(*place)).take(K).collect();
            (right, wanted) = (right + common(&truth, &places(&found)), wanted + truth.len());
        }
        let recall = right as f64 / wanted as f64;
        assert!(recall >= 0.985, "{passing} of 1000: {right} of {wanted}");
    }
}

/// Where nothing is near to anything, estimates tell least.
#[test]
fn sketches_miss_nothing_among_evenly_spread_vectors() {
    let mut state = 5;
    let rows: Vec<Vec<f32>> = (0..6000).map(|_| normal(&mut state, DIMENSIONS)).collect();
    let index = filled(&rows);
    assert_eq!(index.way(rows.len(), K), Way::Sketch);
    for _ in 0..20 {
        let query = normal(&mut state, DIMENSIONS);
        assert_eq!(index.search(&query, None, K).unwrap(), index.scan(&query, None, K).unwrap());
    }
}

/// A vector of a few dimensions alone, as those of short texts are that were hashed.
fn sparse(state: &mut u64, dimensions: usize) -> Vec<f32> {
    let mut vector = vec![0.0; dimensions];
    (0..3).for_each(|_| vector[next(state) as usize % 40] += 1.0);
    vector
}

/// One that is nearly another.
fn beside(state: &mut u64, other: &[f32]) -> Vec<f32> {
    let noise = normal(state, other.len());
    other.iter().zip(noise).map(|(value, noise)| value + 0.03 * noise).collect()
}

#[test]
fn sketches_miss_next_to_nothing_among_sparse_vectors_and_near_duplicates_of_any_length() {
    let mut state = 9;
    let (mut right, mut wanted) = (0, 0);
    for dimensions in [64, 65, 512, 513, 1536] {
        let base = normal(&mut state, dimensions);
        let mut index = Index::new(dimensions).unwrap();
        for place in 0..3000 {
            let row = match place % 3 {
                0 => sparse(&mut state, dimensions),
                1 => beside(&mut state, &base),
                _ => normal(&mut state, dimensions),
            };
            index.put(place, &index.encode(&row).unwrap()).unwrap();
        }
        (0..3000).step_by(7).for_each(|place| assert!(index.remove(place)));
        assert_eq!(index.way(index.len(), K), Way::Sketch);
        for _ in 0..10 {
            let (near, few, far) =
                (beside(&mut state, &base), sparse(&mut state, dimensions), normal(&mut state, dimensions));
            for (kind, query) in [("near", near), ("base", base.clone()), ("sparse", few), ("far", far)] {
                for k in [1, K, 300] {
                    let (found, all) = (index.search(&query, None, k).unwrap(), index.scan(&query, None, k).unwrap());
                    assert_eq!(found.len(), all.len(), "{kind}, {k} of {dimensions}");
                    // Many sparse ones are alike: which of them are found is chance.
                    let furthest = all[k - 1].similarity;
                    let as_near = found.iter().filter(|near| near.similarity >= furthest).count();
                    let least = if k <= K { k } else { k - 2 };
                    assert!(as_near >= least, "{kind}, {as_near} of {k} of {dimensions}");
                    (right, wanted) = (right + as_near, wanted + k);
                }
            }
        }
    }
    assert!(right * 1000 >= wanted * 999, "{right} of {wanted}");
}

#[test]
fn similarities_are_cosines_whatever_the_lengths() {
    let mut state = 3;
    for dimensions in [1, 2, 63, 64, 65, 100, 768, 1536, MAX_DIMENSIONS] {
        let mut index = Index::new(dimensions).unwrap();
        let row = normal(&mut state, dimensions);
        let (back, long, tiny): (Vec<f32>, Vec<f32>, Vec<f32>) = (
            row.iter().map(|value| -value).collect(),
            row.iter().map(|value| value * 1e30).collect(),
            row.iter().map(|value| value * 1e-30).collect(),
        );
        for (place, row) in [&row, &back, &long, &tiny].into_iter().enumerate() {
            index.put(place as u32, &index.encode(row).unwrap()).unwrap();
        }
        let found = index.search(&row, None, 4).unwrap();
        let similarities: Vec<f32> = found.iter().map(|near| near.similarity).collect();
        for (similarity, wanted) in similarities.iter().zip([1.0, 1.0, 1.0, -1.0]) {
            assert!((similarity - wanted).abs() < 1e-3, "{dimensions}: {similarities:?}");
        }
        assert_eq!(found[3].place, 1);
    }
}

#[test]
fn what_is_taken_out_or_replaced_is_not_found() {
    let (rows, _) = clustered(5000, 0);
    let mut index = filled(&rows);
    assert_eq!(places(&index.search(&rows[77], None, 1).unwrap()), [77]);
    assert!(index.remove(77));
    assert!(!index.remove(77));
    assert!(!index.remove(5_000_000));
    assert!(!places(&index.search(&rows[77], None, 100).unwrap()).contains(&77));
    index.put(78, &index.encode(&rows[77]).unwrap()).unwrap();
    assert_eq!(places(&index.search(&rows[77], None, 1).unwrap()), [78]);
    assert_eq!(index.len(), 4999);
    assert!(index.search(&rows[0], Some(&Places::new()), K).unwrap().is_empty());
    assert!(index.search(&rows[0], None, 0).unwrap().is_empty());
    assert_eq!(index.search(&rows[0], None, usize::MAX / 8).unwrap().len(), 4999);
    assert!(index.bytes() / 5000 <= 450, "{} bytes a vector", index.bytes() / 5000);
}

#[test]
fn vectors_that_fit_nothing_are_refused_by_name() {
    let mut index = Index::new(3).unwrap();
    let said = |error: l9_core::Error, kind: ErrorKind, parts: &[&str]| {
        assert_eq!(error.kind(), kind);
        parts.iter().for_each(|part| assert!(error.to_string().contains(part), "{error}"));
    };
    said(Index::new(0).unwrap_err(), ErrorKind::Invalid, &["0 dimensions", "1 to 4096"]);
    said(Index::new(4097).unwrap_err(), ErrorKind::Invalid, &["4097 dimensions"]);
    said(index.encode(&[1.0; 4]).unwrap_err(), ErrorKind::Invalid, &["4 dimensions", "index 3", "one embedder"]);
    said(index.encode(&[1.0, f32::NAN, 1.0]).unwrap_err(), ErrorKind::Invalid, &["dimension 1", "NaN"]);
    said(index.encode(&[1.0, 0.0, f32::INFINITY]).unwrap_err(), ErrorKind::Invalid, &["dimension 2", "inf"]);
    said(index.encode(&[0.0; 3]).unwrap_err(), ErrorKind::Invalid, &["every value", "leave it out"]);
    said(index.search(&[0.0; 3], None, 1).unwrap_err(), ErrorKind::Invalid, &["every value"]);
    let other = Index::new(4).unwrap().encode(&[1.0; 4]).unwrap();
    said(index.put(0, &other).unwrap_err(), ErrorKind::Invalid, &["place 0", "4 dimensions", "index 3"]);
    said(Segments::new(3).unwrap().push(9, &other).unwrap_err(), ErrorKind::Invalid, &["place 9", "segment 3"]);
    let code = index.encode(&[1.0; 3]).unwrap();
    said(index.put(u32::MAX, &code).unwrap_err(), ErrorKind::Invalid, &["4294967295", "268435455"]);
}

/// Codes are kept: these bytes have to be read, and made, by every later version.
#[test]
fn codes_of_version_one_stay_what_they_are() {
    let code = Index::new(4).unwrap().encode(&[0.5, -2.0, 1.0, 0.25]).unwrap();
    assert_eq!(hex::encode(code.pack()), FROZEN_OF_POWERS);
    let code = Index::new(5).unwrap().encode(&[0.5, -2.0, 1.0, 0.25, 3.0]).unwrap();
    assert_eq!(hex::encode(code.pack()), FROZEN);
    assert_eq!(Code::unpack(&code.pack()).unwrap(), code);
    let newer = [&[2], &code.pack()[1..]].concat();
    assert_eq!(Code::unpack(&newer).unwrap_err().kind(), ErrorKind::Newer);
    assert_eq!(Segment::read(&newer).unwrap_err().kind(), ErrorKind::Newer);
}

const FROZEN: &str = "010500c269103b1c00000000000000ce1d7f506d";

/// An estimate of a code that is too long would be less than the code itself says.
#[test]
fn a_code_of_another_length_is_refused() {
    let code = Index::new(5).unwrap().encode(&[0.5, -2.0, 1.0, 0.25, 3.0]).unwrap().pack();
    let scale = f32::from_le_bytes(code[3..7].try_into().unwrap());
    for (times, fits) in [(1.0, true), (1.02, true), (0.9, false), (1.1, false), (2.0, false)] {
        let other = [&code[..3], &(scale * times).to_le_bytes(), &code[7..]].concat();
        match Code::unpack(&other) {
            Ok(_) => assert!(fits, "{times}"),
            Err(error) => {
                assert!(!fits && error.kind() == ErrorKind::Corrupt, "{times}: {error}");
                assert!(error.to_string().contains("not 1"), "{error}");
            }
        }
    }
}

/// Those of a power of two are of spaces whose names tell that they were turned anew.
const FROZEN_OF_POWERS: &str = "0104004b2c353b020000000000000081096ca8";

proptest! {
    #[test]
    fn segments_round_trip_and_their_ends_are_noticed(rows in proptest::collection::vec((any::<u32>(), proptest::collection::vec(-1.0_f32..1.0, 70)), 0..6), cut in any::<prop::sample::Index>()) {
        let index = Index::new(70).unwrap();
        let mut segments = Segments::new(70).unwrap();
        let mut wanted = Vec::new();
        for (place, row) in rows.iter().filter(|(_, row)| row.iter().any(|value| *value != 0.0)) {
            let code = index.encode(row).unwrap();
            prop_assert_eq!(Code::unpack(&code.pack()).unwrap(), code.clone());
            segments.push(*place, &code).unwrap();
            wanted.push((*place, code));
        }
        let bytes = segments.finish();
        let read = Segment::read(&bytes).unwrap();
        prop_assert_eq!((read.dimensions(), read.rows()), (70, &*wanted));
        let short = &bytes[..cut.index(bytes.len())];
        prop_assert!(Segment::read(short).is_err());
        prop_assert!(Segment::read(&[&bytes, &[0][..]].concat()).is_err());
    }

    /// Whatever is read is such that it can be searched.
    #[test]
    fn foreign_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120), at in any::<prop::sample::Index>(), other in any::<u8>()) {
        let _ = Code::unpack(&bytes);
        let _ = Segment::read(&bytes);
        let _ = Segment::read(&[&[1, 2, 0][..], &bytes].concat());
        let mut index = Index::new(2).unwrap();
        let mut segments = Segments::new(2).unwrap();
        for (place, row) in [[1.0, 0.5], [-0.1, 0.9], [0.0, -1.0]].iter().enumerate() {
            segments.push(place as u32, &index.encode(row).unwrap()).unwrap();
        }
        let mut whole = segments.finish();
        let at = at.index(whole.len());
        whole[at] = other;
        if let Ok(segment) = Segment::read(&whole) {
            for (place, (_, code)) in segment.rows().iter().enumerate() {
                index.put(place as u32, code).unwrap();
            }
            let found = index.search(&[1.0, 1.0], None, 5).unwrap();
            prop_assert_eq!(found.len(), 3);
            prop_assert!(found.iter().all(|near| near.similarity.abs() < 4.0));
        }
    }
}
