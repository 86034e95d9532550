//! How fast and how well vectors are found, beside a plain scan of 32-bit floats and
//! usearch's HNSW. Run with `cargo bench -p l9-memory --bench vectors [-- ROWS]`; the
//! graph of usearch is built up to 200,000 rows, for it takes its time.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the ambient clock")]
#![expect(clippy::print_stdout, reason = "a benchmark prints")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

use std::hint::black_box;
use std::time::Instant;

use l9_memory::vectors::{Index, Places, Segment, Segments, Way};

const DIMENSIONS: usize = 384;
const K: usize = 10;
const QUERIES: usize = 200;
/// The most rows that usearch is given.
const GRAPH: usize = 200_000;
/// How many of a thousand rows a filter lets pass.
const FILTERS: [u64; 5] = [1000, 500, 100, 10, 1];

fn main() {
    let rows = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(100_000_usize);
    for (name, spread) in [("in clusters", Some(rows / 100)), ("everywhere", None)] {
        measure(name, &Data::new(rows, spread));
    }
}

fn measure(name: &str, data: &Data) {
    println!("\n{} rows of {DIMENSIONS} dimensions, {name}, k = {K}, {QUERIES} queries", data.rows.len() / DIMENSIONS);
    let index = index(data);
    let graph = (data.rows.len() / DIMENSIONS <= GRAPH).then(|| graph(data));
    println!(
        "  passing   rows   way     recall  of scan | median ms: f32 scan   l9    times | usearch  recall  l9 / usearch"
    );
    for passing in FILTERS {
        let allowed = |place: u64| mix(place ^ 0x5eed) % 1000 < passing;
        let places: Vec<u32> =
            (0..(data.rows.len() / DIMENSIONS) as u32).filter(|place| allowed(u64::from(*place))).collect();
        let set: Places = places.iter().copied().collect();
        let filter = (passing < 1000).then_some(&set);
        let (truth, flat) = timed(data, |query| flat(data, query, &places, passing == 1000));
        let keys = |found: Vec<l9_memory::vectors::Near>| found.iter().map(|near| near.place).collect();
        let (found, ours) = timed(data, |query| keys(index.search(query, filter, K).unwrap()));
        let (scanned, _) = timed(data, |query| keys(index.scan(query, filter, K).unwrap()));
        let way = if index.way(places.len(), K) == Way::Sketch { "sketch" } else { "scan" };
        print!(
            "  {:>5.1} % {:>8}   {way:<6} {:>7.4} {:>7.4}  | {flat:>17.3} {ours:>8.3} {:>6.1}",
            passing as f64 / 10.0,
            places.len(),
            recall(&truth, &found),
            recall(&scanned, &found),
            flat / ours
        );
        if let Some(graph) = &graph {
            let (found, theirs) = timed(data, |query| {
                let found = match filter {
                    None => graph.search(query, K),
                    Some(_) => graph.filtered_search(query, K, allowed),
                };
                found.unwrap().keys.iter().map(|key| *key as u32).collect()
            });
            print!(" | {theirs:>7.3} {:>7.4} {:>7.2}", recall(&truth, &found), ours / theirs);
        }
        println!();
    }
}

fn index(data: &Data) -> Index {
    let mut index = Index::new(DIMENSIONS).unwrap();
    let start = Instant::now();
    let codes: Vec<_> = data.rows.chunks_exact(DIMENSIONS).map(|row| index.encode(row).unwrap()).collect();
    let rate = codes.len() as f64 / start.elapsed().as_secs_f64();
    let mut segments = Segments::new(DIMENSIONS).unwrap();
    codes.iter().zip(0..).for_each(|(code, place)| segments.push(place, code).unwrap());
    let bytes = segments.finish();
    let start = Instant::now();
    let segment = Segment::read(&bytes).unwrap();
    segment.rows().iter().for_each(|(place, code)| index.put(*place, code).unwrap());
    println!(
        "  encoded {rate:.0} a second; opened from {} bytes a vector in {:.0} ms; {} bytes a vector in memory",
        bytes.len() / index.len(),
        start.elapsed().as_secs_f64() * 1e3,
        index.bytes() / index.len()
    );
    index
}

fn graph(data: &Data) -> usearch::Index {
    let options = usearch::IndexOptions {
        dimensions: DIMENSIONS,
        metric: usearch::MetricKind::Cos,
        quantization: usearch::ScalarKind::F32,
        ..usearch::IndexOptions::default()
    };
    let graph = usearch::Index::new(&options).unwrap();
    graph.reserve(data.rows.len() / DIMENSIONS).unwrap();
    let start = Instant::now();
    data.rows.chunks_exact(DIMENSIONS).zip(0..).for_each(|(row, key)| graph.add(key, row).unwrap());
    let sample: Vec<Vec<u32>> = data.queries().take(50).map(|query| flat(data, query, &[], true)).collect();
    for expansion in [64, 128, 256, 512, 1024] {
        graph.change_expansion_search(expansion);
        let found: Vec<Vec<u32>> = data
            .queries()
            .take(50)
            .map(|query| graph.search(query, K).unwrap().keys.iter().map(|key| *key as u32).collect())
            .collect();
        let recall = recall(&sample, &found);
        if recall >= 0.99 || expansion == 1024 {
            let built = start.elapsed().as_secs_f64();
            println!("  usearch: built in {built:.0} s; looks at {expansion} for a recall of {recall:.3} of a sample");
            break;
        }
    }
    graph
}

/// What a run of all queries finds, and the median time of one in milliseconds.
fn timed(data: &Data, search: impl Fn(&[f32]) -> Vec<u32>) -> (Vec<Vec<u32>>, f64) {
    let mut times = Vec::new();
    let found = data.queries().map(|query| {
        let start = Instant::now();
        let found = black_box(search(black_box(query)));
        times.push(start.elapsed().as_secs_f64() * 1e3);
        found
    });
    let found = found.collect();
    times.sort_by(f64::total_cmp);
    (found, times[times.len() / 2])
}

/// The share of the right answers that were found.
fn recall(truth: &[Vec<u32>], found: &[Vec<u32>]) -> f64 {
    let right = |(truth, found): (&Vec<u32>, &Vec<u32>)| truth.iter().filter(|place| found.contains(place)).count();
    let all: usize = truth.iter().map(Vec::len).sum();
    truth.iter().zip(found).map(right).sum::<usize>() as f64 / all.max(1) as f64
}

/// The plain scan: every row that passes is multiplied with the query, the best kept in
/// a short sorted list.
fn flat(data: &Data, query: &[f32], places: &[u32], all: bool) -> Vec<u32> {
    let mut best: Vec<(f32, u32)> = vec![(f32::NEG_INFINITY, u32::MAX); K];
    let mut look = |place: u32, row: &[f32]| {
        let score = product(row, query);
        if score > best[K - 1].0 {
            let at = best.partition_point(|(other, _)| *other >= score);
            best.insert(at, (score, place));
            best.pop();
        }
    };
    if all {
        data.rows.chunks_exact(DIMENSIONS).zip(0..).for_each(|(row, place)| look(place, row));
    } else {
        places.iter().for_each(|place| look(*place, &data.rows[*place as usize * DIMENSIONS..][..DIMENSIONS]));
    }
    best.into_iter().map(|(_, place)| place).filter(|place| *place != u32::MAX).collect()
}

#[expect(unsafe_code, reason = "called after its instructions were looked for")]
fn product(one: &[f32], other: &[f32]) -> f32 {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the instructions are there.
        return unsafe { product_avx512(one, other) };
    } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        // SAFETY: the instructions are there.
        return unsafe { product_avx2(one, other) };
    }
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn product_avx512(one: &[f32], other: &[f32]) -> f32 {
    fused(one, other)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn product_avx2(one: &[f32], other: &[f32]) -> f32 {
    fused(one, other)
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn fused(one: &[f32], other: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 64];
    for (one, other) in one.as_chunks::<64>().0.iter().zip(other.as_chunks::<64>().0) {
        for ((sum, one), other) in sums.iter_mut().zip(one).zip(other) {
            *sum = one.mul_add(*other, *sum);
        }
    }
    let half: [f32; 16] = std::array::from_fn(|at| sums[at] + sums[at + 16] + sums[at + 32] + sums[at + 48]);
    half.iter().sum()
}

/// Rows and queries of the same kind, of length 1.
struct Data {
    rows: Vec<f32>,
    queries: Vec<f32>,
}

impl Data {
    /// In so many clusters, as embeddings are: the cosine of two of one is about 0.6; or
    /// evenly everywhere, where nothing is near to anything.
    fn new(rows: usize, clusters: Option<usize>) -> Self {
        let mut state = 7;
        let centres: Vec<Vec<f32>> = (0..clusters.unwrap_or(0)).map(|_| unit(normals(&mut state))).collect();
        let mut make = |count: usize| {
            let mut out = Vec::with_capacity(count * DIMENSIONS);
            for _ in 0..count {
                let mut row = unit(normals(&mut state));
                if !centres.is_empty() {
                    let centre = &centres[next(&mut state) as usize % centres.len()];
                    row.iter_mut().zip(centre).for_each(|(value, centre)| *value = 0.64 * *value + 0.77 * centre);
                    row = unit(row);
                }
                out.extend_from_slice(&row);
            }
            out
        };
        Self { rows: make(rows), queries: make(QUERIES) }
    }

    fn queries(&self) -> impl Iterator<Item = &[f32]> {
        self.queries.chunks_exact(DIMENSIONS)
    }
}

fn unit(mut vector: Vec<f32>) -> Vec<f32> {
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    vector.iter_mut().for_each(|value| *value /= length);
    vector
}

/// Nearly normal: sums of four even ones.
fn normals(state: &mut u64) -> Vec<f32> {
    let sum = |bits: u64| (0..4).map(|part| (bits >> (16 * part) & 0xffff) as f32).sum::<f32>();
    (0..DIMENSIONS).map(|_| sum(next(state)) / 65535.0 - 2.0).collect()
}

fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(1);
    mix(*state)
}

/// SplitMix64's mixing.
fn mix(value: u64) -> u64 {
    let mut mixed = value.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
