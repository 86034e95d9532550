//! Searches by meaning over PostgreSQL: vectors sealed and compared in this process, beside open
//! ones that pgvector compares. Whole searches, words and rows included, of the same entries.
//!
//! It starts a server of its own, which has to have pgvector: `L9_TEST_POSTGRES` names the folder
//! of its programs. Run with `cargo bench -p l9-memory --features postgres --bench unsealed [-- ROWS]`.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the ambient clock")]
#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use l9_core::digest::sha256;
use l9_core::entropy::SystemEntropy;
use l9_core::id::{AgentId, TenantId};
use l9_core::memory::{Embedder, Layer, MemoryStore, NewEntry, Query, Scope, Space};
use l9_core::time::SystemClock;
use l9_memory::embed::{Asking, Worker};
use l9_memory::postgres::{Database, Memory, Settings, Unsealed};
use l9_memory::vault::Keyring;
use l9_services::Postgres;

const DIMENSIONS: usize = 384;
const K: usize = 10;
const QUERIES: usize = 100;
/// Agents, and of how many in a thousand each has one.
const AGENTS: [(&str, usize); 4] = [("half", 500), ("tenth", 100), ("hundredth", 10), ("thousandth", 1)];

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// To which a number means a place in a cluster of a hundred, and letters one near it.
#[derive(Debug)]
struct Clusters {
    space: Space,
    clusters: u64,
}

#[async_trait]
impl Embedder for Clusters {
    fn space(&self) -> &Space {
        &self.space
    }

    fn batch(&self) -> usize {
        1_000
    }

    async fn embed(&self, texts: &[&str]) -> l9_core::Result<Vec<Vec<f32>>> {
        Ok(texts.iter().map(|text| self.vector(text)).collect())
    }
}

impl Clusters {
    fn vector(&self, text: &str) -> Vec<f32> {
        let letters = || text.bytes().fold(1 << 40, |number, byte| number * 26 + u64::from(byte));
        let number: u64 = text.parse().unwrap_or_else(|_| letters());
        let (centre, own) = (spread((number % self.clusters) | (1 << 50)), spread(number));
        centre.iter().zip(own).map(|(centre, own)| 0.77 * centre + 0.64 * own).collect()
    }
}

fn main() -> Outcome {
    let rows = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(20_000);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async { tokio::spawn(measure(rows)).await })?
}

async fn measure(rows: usize) -> Outcome {
    let server = Postgres::start();
    let space = Space::new("clusters", DIMENSIONS, &sha256(&[b"clusters"]));
    let embedder = Arc::new(Clusters { space, clusters: (rows as u64 / 100).max(1) });
    let sealed = filled(&server, &embedder, rows, &[]).await?;
    let open = filled(&server, &embedder, rows, &[Layer::LongTerm]).await?;
    println!(
        "{rows} entries of {DIMENSIONS} dimensions in clusters of 100, k = {K}, {QUERIES} queries; median ms, recall@{K}"
    );
    println!("{:<12} {:>8} {:>10} {:>8} {:>10} {:>8}", "passing", "rows", "sealed", "recall", "pgvector", "recall");
    for agent in [None].into_iter().chain(AGENTS.map(|(agent, _)| Some(agent))) {
        let passing: Vec<usize> =
            (0..rows).filter(|number| agent.is_none_or(|agent| whose(*number) == agent)).collect();
        let (sealed, open) =
            (timed(&sealed, &embedder, agent, &passing).await?, timed(&open, &embedder, agent, &passing).await?);
        println!(
            "{:<12} {:>8} {:>10.2} {:>8.4} {:>10.2} {:>8.4}",
            agent.unwrap_or("all"),
            passing.len(),
            sealed.0,
            sealed.1,
            open.0,
            open.1
        );
    }
    Ok(())
}

async fn filled(server: &Postgres, embedder: &Arc<Clusters>, rows: usize, layers: &[Layer]) -> Outcome<Memory> {
    let (clock, tenant) = (Arc::new(SystemClock::default()), TenantId::default_tenant());
    let url = server.database();
    let database = Database::open(&Settings::at(url.as_str())).await?;
    let keyring = Arc::new(Keyring::ephemeral());
    database.bind_key(&keyring.key_id()).await?;
    let name = url.rsplit('/').next().and_then(|path| path.split('?').next()).unwrap_or_default().to_owned();
    let embedding: Arc<dyn Embedder> = Arc::<Clusters>::clone(embedder);
    let asking = Arc::new(Asking::new(Arc::clone(&embedding), clock.clone(), Duration::from_secs(20))?);
    let mut memory = Memory::new(&database, clock.clone(), Arc::new(SystemEntropy), keyring).with_embedder(asking);
    if !layers.is_empty() {
        let _ = server.sql(&name, "CREATE EXTENSION vector");
        if let Some(unsealed) = Unsealed::open(&database, layers, Some(embedder.space())).await? {
            memory = memory.with_unsealed(Arc::new(unsealed));
        }
    }
    let numbers: Vec<usize> = (0..rows).collect();
    for part in numbers.chunks(1_000) {
        let entry = |number: &usize| {
            let agent = Some(AgentId::new(whose(*number))?);
            l9_core::Result::Ok(NewEntry { text: number.to_string(), agent, ..NewEntry::default() })
        };
        memory.remember(&tenant, part.iter().map(entry).collect::<l9_core::Result<_>>()?).await?;
    }
    let begun = Instant::now();
    Worker::new(Arc::new(memory.clone()), embedding, clock, "bench")?.finish().await?;
    let _ = server.sql(&name, "ANALYZE");
    println!(
        "vectors {}: kept in {:.0} s",
        if layers.is_empty() { "sealed" } else { "open" },
        begun.elapsed().as_secs_f64()
    );
    Ok(memory)
}

/// The median time of a search, and the share of the right answers.
async fn timed(memory: &Memory, embedder: &Clusters, agent: Option<&str>, passing: &[usize]) -> Outcome<(f64, f64)> {
    let agent = agent.map(AgentId::new).transpose()?;
    let scope = Scope { agent, ..Scope::tenant(TenantId::default_tenant()) };
    let vectors: Vec<(Vec<f32>, String)> =
        passing.iter().map(|number| number.to_string()).map(|text| (unit(embedder.vector(&text)), text)).collect();
    let (mut times, mut right, mut all) = (Vec::new(), 0, 0);
    for at in 0..=QUERIES {
        let text: String = at.to_string().bytes().map(|digit| char::from(digit - b'0' + b'b')).collect();
        let begun = Instant::now();
        let hits = memory.search(&scope, &Query::new(format!("zq{text}"), K)).await?;
        // The first one fills what is kept in memory.
        if at == 0 {
            continue;
        }
        times.push(begun.elapsed().as_secs_f64() * 1e3);
        let query = unit(embedder.vector(&format!("zq{text}")));
        let mut near: Vec<(f32, &String)> = vectors.iter().map(|(one, text)| (product(one, &query), text)).collect();
        near.sort_unstable_by(|one, other| other.0.total_cmp(&one.0));
        let truth: Vec<&String> = near.into_iter().take(K).map(|(_, text)| text).collect();
        all += truth.len();
        right += hits.iter().filter(|hit| truth.contains(&&hit.entry.entry.text)).count();
    }
    times.sort_unstable_by(f64::total_cmp);
    Ok((times[times.len() / 2], right as f64 / all.max(1) as f64))
}

fn whose(number: usize) -> &'static str {
    let mut at = spread_number(number as u64) as usize % 1000;
    for (agent, share) in AGENTS {
        if at < share {
            return agent;
        }
        at -= share;
    }
    "others"
}

/// A direction that follows from a number.
fn spread(seed: u64) -> Vec<f32> {
    let mut state = spread_number(seed);
    let mut next = || {
        state = state.wrapping_add(1);
        (spread_number(state) >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    unit((0..DIMENSIONS).map(|_| next()).collect())
}

fn unit(vector: Vec<f32>) -> Vec<f32> {
    let length = product(&vector, &vector).sqrt();
    vector.into_iter().map(|value| value / length).collect()
}

fn product(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

/// SplitMix64's mixing.
fn spread_number(value: u64) -> u64 {
    let mut mixed = value.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
