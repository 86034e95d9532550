//! The audit log: how fast records are appended and checkpointed, what a proof costs in a
//! tree of a million, and how fast a bundle is verified.
//!
//! Run with `cargo bench -p l9-memory --bench audit [-- SECONDS]`; with the feature
//! `postgres` the first part is measured there too.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the ambient clock")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use l9_core::conformance::chain::tenant;
use l9_core::conformance::{Chain, PlainVault};
use l9_core::digest::Digest;
use l9_core::evidence::{
    AuditLog, Body, BundleHead, Checkpoint, Edge, FORMAT, Prover, RecordLine, RunEnd, Sequencer, Settings,
    SignedCheckpoint, SigningKey, Trust, encode, leaf_hash, verify_bundle, verify_inclusion,
};
use l9_core::journal::{Append, Lease, RunStore};
use l9_core::time::{SystemClock, Timestamp};
use l9_memory::sqlite::{self, Database};
use l9_memory::vault::Keyring;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tokio_util::sync::CancellationToken;

const BODY: usize = 512;
const RUNS: usize = 64;
const LEAVES: u64 = 1_000_000;
const RECORDS: usize = 200_000;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Outcome {
    let seconds = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(6.0);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async { tokio::spawn(measure(Duration::from_secs_f64(seconds))).await })?
}

async fn measure(time: Duration) -> Outcome {
    let folder = tempfile::tempdir()?;
    bundles()?;
    proofs(folder.path()).await?;
    let store = Arc::new(open(folder.path()).await?);
    show("SQLite", throughput(&(Arc::<sqlite::Store>::clone(&store), store), time).await?);
    #[cfg(feature = "postgres")]
    {
        // The server lives as long as this.
        let server = l9_services::Postgres::shared();
        let node = Arc::new(postgres(&server.database()).await?);
        show("PostgreSQL", throughput(&(Arc::<l9_memory::postgres::Store>::clone(&node), node), time).await?);
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a benchmark prints")]
fn show(name: &str, (alone, both): (f64, f64)) {
    println!(
        "{name}: {alone:.0} records/s appended alone; {both:.0} appended and checkpointed, ratio {:.2}",
        both / alone
    );
}

/// Records per second of 64 runs, first without a sequencer, then until the last record is
/// in a checkpoint. Both by turns, so that what else the machine does falls on both alike.
async fn throughput<R, L>((runs, log): &(Arc<R>, Arc<L>), time: Duration) -> Outcome<(f64, f64)>
where
    R: RunStore + 'static,
    L: AuditLog + 'static,
{
    const SLICES: u32 = 6;
    let log: Arc<dyn AuditLog> = Arc::<L>::clone(log);
    let key = || SigningKey::new("bench", &[1; 32]);
    let sequencer = || -> Outcome<Sequencer> {
        let clock = Arc::new(SystemClock::default());
        Ok(Sequencer::new(Arc::clone(&log), key()?, clock, "bench".into(), Settings::default()))
    };
    let mut chains = Vec::new();
    for _ in 0..RUNS {
        chains.push(start(&**runs).await?);
    }
    let (mut alone, mut both) = ((0, Duration::ZERO), (0, Duration::ZERO));
    for _ in 0..SLICES {
        let begun = Instant::now();
        let rows = appended(runs, &mut chains, time / SLICES / 2).await?;
        alone = (alone.0 + rows, alone.1 + begun.elapsed());
        // What was appended alone is taken up apart.
        let sequencer = Arc::new(sequencer()?);
        sequencer.advance().await?;
        let stop = CancellationToken::new();
        let task = tokio::spawn({
            let (sequencer, stop) = (Arc::clone(&sequencer), stop.clone());
            async move { sequencer.run(stop).await }
        });
        let begun = Instant::now();
        let rows = appended(runs, &mut chains, time / SLICES / 2).await?;
        stop.cancel();
        task.await?;
        both = (both.0 + rows, both.1 + begun.elapsed());
        assert!(log.pending(1).await?.is_empty(), "everything is in a checkpoint");
    }
    let rate = |(rows, time): (u64, Duration)| rows as f64 / time.as_secs_f64();
    Ok((rate(alone), rate(both)))
}

async fn appended<R: RunStore + 'static>(runs: &Arc<R>, chains: &mut [(Chain, Lease)], time: Duration) -> Outcome<u64> {
    let mut tasks = tokio::task::JoinSet::new();
    for (chain, lease) in chains.iter_mut() {
        let (runs, mut chain, lease) = (Arc::clone(runs), chain.clone(), lease.clone());
        tasks.spawn(async move {
            let (begun, mut rows) = (Instant::now(), 0_u64);
            while begun.elapsed() < time {
                let append: Append = chain.append(&lease, 1, BODY);
                runs.append(append).await?;
                rows += 1;
            }
            Outcome::Ok((chain, rows))
        });
    }
    let mut rows = 0;
    while let Some(done) = tasks.join_next().await {
        let (chain, count) = done??;
        rows += count;
        if let Some(known) = chains.iter_mut().find(|(known, _)| known.run == chain.run) {
            known.0.head = chain.head;
        }
    }
    Ok(rows)
}

/// Proofs out of a tree of a million leaves in SQLite, tiles read anew for each.
#[expect(clippy::print_stdout, reason = "a benchmark prints")]
async fn proofs(folder: &Path) -> Outcome {
    let file = folder.join("tree.db");
    let database = Database::open(&sqlite::Settings::at(&file)).await?;
    database.bind_key("bench").await?;
    let hash = |leaf: u64| leaf_hash(&l9_core::digest::sha256(&[&leaf.to_be_bytes()]));
    let (mut edge, begun) = (Edge::default(), Instant::now());
    let mut connection = SqliteConnectOptions::new().filename(&file).connect().await?;
    let mut transaction = connection.begin().await?;
    for (id, hashes) in edge.extend((0..LEAVES).map(hash)) {
        let bytes: Vec<u8> = hashes.iter().flat_map(|hash| *hash.as_bytes()).collect();
        sqlx::query("INSERT INTO audit_tiles (level, tile, hashes) VALUES (?, ?, ?)")
            .bind(i64::from(id.level))
            .bind(i64::try_from(id.index)?)
            .bind(bytes)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    println!("a tree of {LEAVES} leaves is built and stored in {:.1} s", begun.elapsed().as_secs_f64());
    let key = SigningKey::new("bench", &[1; 32])?;
    let checkpoint = Checkpoint::sign(&key, LEAVES, edge.root(), Timestamp::EPOCH);
    let log: Arc<dyn AuditLog> = Arc::new(sqlite::Store::open(&database, "bench").await?);
    let mut times = Vec::new();
    for at in 0..2_000_u64 {
        let leaf = at * 7_919 * 63 % LEAVES;
        let begun = Instant::now();
        let proof = Prover::new(Arc::clone(&log), checkpoint.clone()).inclusion(leaf).await?;
        times.push(begun.elapsed());
        verify_inclusion(leaf, LEAVES, &hash(leaf), &proof.hashes, &checkpoint.checkpoint.root)?;
    }
    times.sort();
    let at = |share: usize| times[times.len() * share / 100].as_secs_f64() * 1e6;
    println!("an inclusion proof at {LEAVES} records: median {:.0} µs, 99 % {:.0} µs", at(50), at(99));
    database.close().await;
    Ok(())
}

/// A bundle of many small records.
#[expect(clippy::print_stdout, reason = "a benchmark prints")]
fn bundles() -> Outcome {
    let mut chain = Chain::new(&tenant("bench"));
    let first = chain.created().record;
    let records = std::iter::once(first).chain((1..RECORDS).map(|_| chain.next(1, 100)));
    let lines: Vec<RecordLine> = (0..)
        .zip(records)
        .map(|(leaf, record)| {
            let open = record.open(&PlainVault)?;
            let body = Body { key: Digest::from_bytes(open.key), payload: String::from_utf8(open.payload)? };
            Ok(RecordLine {
                at: record.at.as_millis(),
                body: Some(body),
                commitment: record.commitment,
                epoch: record.epoch,
                hash: record.hash,
                kind: record.kind,
                leaf,
                prev: record.prev,
                run: record.run,
                seq: record.seq,
                version: record.version,
            })
        })
        .collect::<Outcome<_>>()?;
    let mut edge = Edge::default();
    edge.extend(lines.iter().map(|line| leaf_hash(&line.hash)));
    let key = SigningKey::new("bench", &[1; 32])?;
    let SignedCheckpoint { note, .. } = Checkpoint::sign(&key, edge.size(), edge.root(), Timestamp::EPOCH);
    let head = BundleHead {
        artifacts: 0,
        checkpoint: note,
        consistency: Vec::new(),
        end: RunEnd::Open,
        erasures: Vec::new(),
        format: FORMAT.to_owned(),
        horizon: None,
        proof: Vec::new(),
        records: lines.len() as u64,
        run: chain.run,
        tenant: chain.tenant.clone(),
    };
    let bundle = encode(&head, &lines, &[])?;
    let trust = Trust { key: key.public(), head: None };
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let begun = Instant::now();
        let verdict = verify_bundle(&bundle, &trust);
        best = best.min(begun.elapsed());
        assert!(verdict.ok, "{:?}", verdict.faults);
    }
    println!(
        "a bundle of {RECORDS} records, {:.0} MB, verifies in {:.2} s: {:.0} records/s",
        bundle.len() as f64 / 1e6,
        best.as_secs_f64(),
        RECORDS as f64 / best.as_secs_f64()
    );
    Ok(())
}

async fn open(folder: &Path) -> Outcome<sqlite::Store> {
    let database = Database::open(&sqlite::Settings::at(folder.join("l9.db"))).await?;
    database.bind_key(&Keyring::ephemeral().key_id()).await?;
    Ok(sqlite::Store::open(&database, "bench").await?)
}

#[cfg(feature = "postgres")]
async fn postgres(url: &str) -> Outcome<l9_memory::postgres::Store> {
    use l9_memory::postgres;
    let database = postgres::Database::open(&postgres::Settings::at(url)).await?;
    database.bind_key(&Keyring::ephemeral().key_id()).await?;
    Ok(postgres::Store::new(&database))
}

async fn start(store: &dyn RunStore) -> Outcome<(Chain, Lease)> {
    let mut chain = Chain::new(&tenant("bench"));
    store.create(chain.created()).await?;
    let lease = store.acquire(&chain.tenant, chain.run, "bench", Duration::from_secs(3600)).await?;
    Ok((chain, lease.ok_or("a new run is free")?))
}
