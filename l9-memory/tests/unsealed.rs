//! Vectors of unsealed layers in a real pgvector: found as the sealed ones are, under every
//! filter, and where they belong at any time. `scripts/test` runs what needs the extension on
//! the PostgreSQL that it fetches.
#![cfg(feature = "postgres")]
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use l9_core::digest::sha256;
use l9_core::id::{AgentId, TenantId};
use l9_core::memory::{Embedder, Layer, MemoryStore, NewEntry, Query, Scope, Space};
use l9_core::time::SystemClock;
use l9_core::{ErrorKind, Result, conformance};
use l9_memory::embed::{Asking, Embeddable, Worker};
use l9_memory::postgres::{Memory, Unsealed};

mod support;

use support::postgres::{Node, open, open_with_pgvector};

const DIMENSIONS: usize = 64;
const K: usize = 10;
/// How many entries lie on either side of the space; more than are compared one by one.
const SIDE: usize = 4_500;

/// To which a number means a place in one of a hundred clusters, of which the first half lies
/// apart from the others, and letters a place in the cluster of the number that they are of.
#[derive(Debug)]
struct Clusters(Space);

impl Clusters {
    fn asking(name: &str) -> Arc<Asking> {
        let embedder = Arc::new(Self(Space::new(name, DIMENSIONS, &sha256(&[name.as_bytes()]))));
        Arc::new(Asking::new(embedder, Arc::new(SystemClock::default()), Duration::from_secs(20)).unwrap())
    }
}

#[async_trait]
impl Embedder for Clusters {
    fn space(&self) -> &Space {
        &self.0
    }

    fn batch(&self) -> usize {
        1_000
    }

    async fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        Ok(texts.iter().map(|text| vector(text)).collect())
    }
}

fn vector(text: &str) -> Vec<f32> {
    let digit = |number: u64, letter: u8| number.wrapping_mul(10).wrapping_add(u64::from(letter.wrapping_sub(b'a')));
    let letters = |text: &str| text.bytes().fold(0, digit);
    let (number, own) = text.parse().map_or_else(|_| (letters(text), 1 << 40), |number: u64| (number, 0));
    let cluster = number % 100;
    let side = 2 + usize::from(cluster >= 50);
    let (centre, noise) = (spread(cluster ^ (1 << 50)), spread(number | own | (1 << 30)));
    let mut vector: Vec<f32> = centre.iter().zip(noise).map(|(centre, noise)| 0.8 * centre + 0.6 * noise).collect();
    vector[0] += 0.4;
    vector[side] += 0.4;
    vector
}

/// A direction that follows from a number.
fn spread(seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    let vector: Vec<f32> = (0..DIMENSIONS).map(|_| next()).collect();
    let length = cosine_parts(&vector, &vector).sqrt();
    vector.into_iter().map(|value| value / length).collect()
}

fn cosine_parts(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

fn cosine(one: &[f32], other: &[f32]) -> f32 {
    cosine_parts(one, other) / (cosine_parts(one, one) * cosine_parts(other, other)).sqrt()
}

fn tenant() -> TenantId {
    TenantId::default_tenant()
}

fn said(text: &str) -> NewEntry {
    NewEntry { text: text.into(), ..NewEntry::default() }
}

/// Whose the entry of a number is: all of the second half are of `far`, and of the first
/// these shares are of the others.
fn agent(number: usize) -> &'static str {
    match (number % 100 < 50, number / 100 * 50 + number % 50) {
        (false, _) => "far",
        (true, at) if at.is_multiple_of(1_000) => "thousandth",
        (true, at) if at % 100 == 1 => "hundredth",
        (true, at) if at % 10 == 2 => "tenth",
        (true, at) if at % 2 == 1 => "half",
        _ => "rest",
    }
}

/// The letters of a number.
fn letters(number: usize) -> String {
    number.to_string().bytes().map(|digit| char::from(digit - b'0' + b'a')).collect()
}

fn worker(memory: &Arc<Memory>, asking: &Arc<Asking>) -> Worker {
    let memory: Arc<dyn Embeddable> = Arc::<Memory>::clone(memory);
    Worker::new(memory, Arc::clone(asking.embedder()), Arc::new(SystemClock::default()), "node").unwrap()
}

/// Memories with as many entries on either side, with their vectors.
async fn filled(memory: Memory, asking: &Arc<Asking>) -> Arc<Memory> {
    let memory = Arc::new(memory);
    let numbers: Vec<usize> = (0..2 * SIDE).collect();
    for part in numbers.chunks(1_000) {
        let new = |number: &usize| NewEntry {
            agent: Some(AgentId::new(agent(*number)).unwrap()),
            ..said(&number.to_string())
        };
        memory.remember(&tenant(), part.iter().map(new).collect()).await.unwrap();
    }
    worker(&memory, asking).finish().await.unwrap();
    memory
}

fn scope(agent: Option<&str>) -> Scope {
    Scope { agent: agent.map(|agent| AgentId::new(agent).unwrap()), ..Scope::tenant(tenant()) }
}

async fn found(memory: &Memory, scope: &Scope, query: &str, k: usize) -> Vec<String> {
    let hits = memory.search(scope, &Query::new(query, k)).await.unwrap();
    hits.into_iter().map(|hit| hit.entry.entry.text).collect()
}

/// The numbers nearest to a query, by the vectors themselves.
fn nearest(query: &str, whose: Option<&str>, k: usize) -> Vec<String> {
    let query = vector(query);
    let passing = (0..2 * SIDE).filter(|number| whose.is_none_or(|whose| agent(*number) == whose));
    let mut near: Vec<(f32, usize)> =
        passing.map(|number| (cosine(&query, &vector(&number.to_string())), number)).collect();
    near.sort_by(|one, other| other.0.total_cmp(&one.0));
    near.into_iter().take(k).map(|(_, number)| number.to_string()).collect()
}

/// The share of the right answers to queries near the first half, each of which has to be full.
async fn recall(memory: &Memory, whose: Option<&str>, k: usize) -> f64 {
    let (mut right, mut all) = (0, 0);
    for query in (0..20).map(|at| letters(7 * at % 50 + 100 * at)) {
        let truth = nearest(&query, whose, k);
        let found = found(memory, &scope(whose), &query, k).await;
        assert_eq!(found.len(), truth.len(), "{whose:?} {query}");
        all += truth.len();
        right += truth.iter().filter(|number| found.contains(number)).count();
    }
    right as f64 / all as f64
}

/// How much of what is right has to be found. All of the other side are about as far from a
/// query: there nine bits mistake some, wherever they are compared.
fn least(whose: Option<&str>) -> f64 {
    if whose == Some("far") { 0.98 } else { 0.99 }
}

/// How often the index of vectors was used, and how often the table was read past it.
fn ways(node: &Node) -> (u64, u64) {
    let number = |sql: &str| node.sql(sql).parse().unwrap();
    let index = number(
        "SELECT sum(idx_scan) FROM pg_stat_user_indexes WHERE relname = 'unsealed_vectors' AND indexrelname LIKE 'unsealed_near%'",
    );
    let past = number(
        "SELECT (SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'unsealed_vectors') + \
         (SELECT sum(idx_scan) FROM pg_stat_user_indexes WHERE relname = 'unsealed_vectors' AND indexrelname NOT LIKE 'unsealed_near%')",
    );
    (index, past)
}

/// What a search through a node of its own, which reports what it did when it is closed, gives
/// and does.
async fn watched(node: &Node, asking: &Arc<Asking>, whose: Option<&str>, k: usize) -> (f64, (u64, u64)) {
    let beside = node.beside().await;
    let memory = beside.unsealed(&[Layer::LongTerm], Arc::clone(asking)).await;
    let before = ways(node);
    let recall = recall(&memory, whose, k).await;
    beside.database.close().await;
    let after = ways(node);
    (recall, (after.0 - before.0, after.1 - before.1))
}

fn rows(node: &Node, table: &str) -> u64 {
    node.sql(&format!("SELECT count(*) FROM {table}")).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs pgvector: scripts/test runs it on PostgreSQL 18"]
async fn as_much_is_found_in_postgres_with_pgvector_as_sealed() {
    let (node, plain) = (open_with_pgvector().await, open().await);
    let asking = Clusters::asking("clusters");
    let memory = filled(node.unsealed(&[Layer::LongTerm], Arc::clone(&asking)).await, &asking).await;
    let sealed = filled(plain.memory().with_embedder(Arc::clone(&asking)), &asking).await;
    assert_eq!((rows(&node, "unsealed_vectors"), rows(&node, "vectors")), (2 * SIDE as u64, 0));
    let _ = node.sql("ANALYZE");
    // Whose vectors are nearest to what is asked must not be told to others.
    let other = Scope::tenant(TenantId::new("other").unwrap());
    let foreign: Vec<NewEntry> = (0..20).map(|at| said(&letters(7 * at % 50 + 100 * at))).collect();
    memory.remember(&other.tenant, foreign).await.unwrap();
    worker(&memory, &asking).finish().await.unwrap();

    for whose in [None, Some("half"), Some("tenth"), Some("hundredth"), Some("thousandth"), Some("far")] {
        let (open, sealed) = (recall(&memory, whose, K).await, recall(&sealed, whose, K).await);
        assert!(open >= least(whose) && open >= sealed - 0.005, "{whose:?}: {open} open, {sealed} sealed");
    }
    let of_other = found(&memory, &other, "b", 50).await;
    assert!(of_other.len() > 10 && of_other.iter().all(|text| text.parse::<u64>().is_err()), "{of_other:?}");

    // All: the index alone. Those of the other side: it goes on until it comes to them.
    let (right, (index, past)) = watched(&node, &asking, None, K).await;
    assert!(right >= 0.99 && index >= 20 && past == 0, "{right} {index} {past}");
    let (right, (index, past)) = watched(&node, &asking, Some("far"), K).await;
    assert!(right >= least(Some("far")) && index >= 20 && past == 0, "{right} {index} {past}");
    // Few: the index is not asked, and the same are found as where all are sealed and compared.
    let (right, (index, past)) = watched(&node, &asking, Some("hundredth"), K).await;
    let least = recall(&sealed, Some("hundredth"), K).await.max(least(Some("hundredth")));
    assert!(right >= least && index == 0 && past >= 20, "{right} of {least} {index} {past}");
    // Where it gives up with too few of them, all are compared; where it has enough they may not
    // be quite the nearest.
    let _ = node.sql(&format!("ALTER DATABASE {} SET hnsw.max_scan_tuples = 1", node.name()));
    let (right, (index, past)) = watched(&node, &asking, Some("far"), K).await;
    assert!(right >= 0.9 && index >= 20 && past >= 5, "{right} {index} {past}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs pgvector: scripts/test runs it on PostgreSQL 18"]
async fn only_what_may_lies_open_in_postgres_with_pgvector() {
    let node = open_with_pgvector().await;
    let asking = Clusters::asking("clusters");
    let declared = |layers: &'static [Layer]| {
        let (node, asking) = (&node, Arc::clone(&asking));
        async move { Arc::new(node.unsealed(layers, asking).await) }
    };
    let memory = declared(&[Layer::LongTerm]).await;
    let about = |text: &str| NewEntry { subject: Some("ada".into()), ..said(text) };
    let short = |text: &str| NewEntry { layer: Layer::ShortTerm, ..said(text) };
    let new = vec![said("101"), said("102"), about("103"), short("104")];
    let kept = memory.remember(&tenant(), new).await.unwrap();
    let derived = NewEntry { derived_from: vec![kept[2].id], ..said("105") };
    memory.remember(&tenant(), vec![derived]).await.unwrap();
    worker(&memory, &asking).finish().await.unwrap();
    let counts = || (rows(&node, "unsealed_vectors"), rows(&node, "vectors"));
    assert_eq!(counts(), (2, 3), "what is about her, what derives from it and the other layer are sealed");
    let all: BTreeSet<String> = ["101", "102", "103", "104", "105"].map(str::to_owned).into();
    let ask = async |memory: &Memory| -> BTreeSet<String> {
        found(memory, &scope(None), "bab", 9).await.into_iter().collect()
    };
    assert_eq!(ask(&memory).await, all);
    let status = worker(&memory, &asking).status().await.unwrap();
    assert_eq!((status.embedded, status.pending), (5, 0));

    // Others are declared: what lies open of the first is made anew, and sealed.
    let memory = declared(&[Layer::ShortTerm]).await;
    assert_eq!(counts(), (0, 2));
    worker(&memory, &asking).finish().await.unwrap();
    assert_eq!(counts(), (1, 4));
    assert_eq!(ask(&memory).await, all);
    // None: the same for all.
    let memory = declared(&[]).await;
    assert_eq!(counts(), (0, 4));
    worker(&memory, &asking).finish().await.unwrap();
    assert_eq!((counts(), ask(&memory).await), ((0, 5), all.clone()));
    // And back.
    let memory = declared(&[Layer::ShortTerm, Layer::LongTerm]).await;
    worker(&memory, &asking).finish().await.unwrap();
    assert_eq!((counts(), ask(&memory).await), ((3, 2), all));
    // Started again, nothing is made again.
    drop(declared(&[Layer::LongTerm, Layer::ShortTerm]).await);
    assert_eq!(counts(), (3, 2));

    // What is forgotten or erased is gone with its vector.
    assert!(memory.forget(&tenant(), kept[0].id).await.unwrap());
    memory.forget(&tenant(), kept[3].id).await.unwrap();
    assert_eq!(counts(), (1, 2));
    let ada = memory.subject(&tenant(), "ada");
    assert_eq!(memory.erase(&tenant(), &ada, &[], false).await.unwrap().len(), 2);
    assert_eq!((counts(), ask(&memory).await), ((1, 0), BTreeSet::from(["102".to_owned()])));

    // Another embedder has an index of its own; the first one's goes with its vectors.
    let indexes = || node.sql("SELECT count(*) FROM pg_indexes WHERE indexname LIKE 'unsealed_near%'");
    let next = Clusters::asking("others");
    let memory = Arc::new(node.unsealed(&[Layer::LongTerm], Arc::clone(&next)).await);
    worker(&memory, &next).finish().await.unwrap();
    assert_eq!((counts(), indexes()), ((2, 0), "2".to_owned()));
    let later = l9_core::time::Timestamp::from_millis(i64::MAX / 2);
    assert_eq!(memory.drop_others(next.embedder().space().name(), later).await.unwrap(), 1);
    drop(node.unsealed(&[Layer::LongTerm], next).await);
    assert_eq!((counts(), indexes()), ((1, 0), "1".to_owned()));
}

#[tokio::test]
#[ignore = "needs pgvector: scripts/test runs it on PostgreSQL 18"]
async fn memories_in_postgres_with_pgvector() {
    let node = open_with_pgvector().await;
    let layers = [Layer::ShortTerm, Layer::LongTerm];
    let memory: Arc<dyn MemoryStore> = Arc::new(node.unsealed(&layers, Clusters::asking("clusters")).await);
    conformance::memory::all(Arc::clone(&memory)).await;
    conformance::memory::short_term(&memory).await;
}

#[tokio::test]
async fn a_postgres_without_pgvector_is_refused_and_told_why() {
    let node = open().await;
    let space = Space::new("clusters", DIMENSIONS, &sha256(&[b"clusters"]));
    let refused = async |space: Option<&Space>| {
        let error = Unsealed::open(&node.database, &[Layer::LongTerm], space).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        error.to_string()
    };
    let why = refused(Some(&space)).await;
    for part in ["memory.unsealed_layers", "pgvector 0.8", node.name(), "superuser", "CREATE EXTENSION vector"] {
        assert!(why.contains(part), "{part}: {why}");
    }
    let why = refused(None).await;
    assert!(why.contains("memory.unsealed_layers") && why.contains("memory.embedder is none"), "{why}");
    // What asks for nothing needs nothing.
    assert!(Unsealed::open(&node.database, &[], Some(&space)).await.unwrap().is_none());
}
