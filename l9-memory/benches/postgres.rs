//! How close the journal comes to what PostgreSQL itself can do, measured in one program:
//! the same driver, rows, bytes and durability, first raw, then through the store. It
//! starts a server of its own that flushes every commit.
//!
//! Run with `cargo bench -p l9-memory --features postgres --bench postgres [-- SECONDS]`.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the ambient clock")]

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use l9_core::conformance::Chain;
use l9_core::conformance::chain::tenant;
use l9_core::journal::{Append, Journal, Lease, Leases};
use l9_core::run::Record;
use l9_memory::postgres::{Database, Settings, Store};
use l9_memory::vault::Keyring;
use l9_services::Postgres;
use sqlx::{ConnectOptions, PgConnection};

const BODY: usize = 512;
const RUNS: usize = 64;
const SLICES: u32 = 10;

const INSERT: &str = "INSERT INTO records \
    (tenant, run, seq, epoch, at, kind, version, body, commitment, prev, hash) \
    SELECT * FROM unnest($1::text[], $2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::int[], \
    $8::bytea[], $9::bytea[], $10::bytea[], $11::bytea[])";

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[expect(clippy::print_stdout, reason = "a benchmark prints")]
fn main() -> Outcome {
    let seconds = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(10.0);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let server = Postgres::durable();
    let rates =
        runtime.block_on(async { tokio::spawn(measure(server.database(), server.database(), seconds)).await })??;
    let line = |name: &str, raw: f64, ours: f64| {
        println!("{name:<52} raw {raw:>8.0}   journal {ours:>8.0}   ratio {:.2}", ours / raw);
    };
    println!("rows per second, bodies of {BODY} bytes, fsync and synchronous_commit on");
    line("one after another, a commit each", rates.raw_alone, rates.alone);
    line("64 runs at once; raw: 64 rows a commit, 1 connection", rates.raw_whole, rates.grouped);
    line("64 runs at once; raw: 64 rows a commit, 2 connections", rates.raw_double, rates.grouped);
    line("64 runs at once; raw: a row a commit, 8 connections", rates.raw_each, rates.grouped);
    Ok(())
}

#[derive(Default)]
struct Rates {
    raw_alone: f64,
    raw_whole: f64,
    raw_double: f64,
    raw_each: f64,
    alone: f64,
    grouped: f64,
}

/// Measures raw and ours by turns, in slices, so that what else the machine does falls
/// on both alike.
async fn measure(raw: String, ours: String, seconds: f64) -> Outcome<Rates> {
    let slice = Duration::from_secs_f64(seconds / 6.0 / f64::from(SLICES));
    let store = open(&ours).await?;
    // The same tables, in a database of their own.
    drop(open(&raw).await?);
    let mut connections = Vec::new();
    for _ in 0..8 {
        connections.push(raw.parse::<sqlx::postgres::PgConnectOptions>()?.disable_statement_logging().connect().await?);
    }
    let mut lease = start(&store).await?;
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        runs.push(start(&store).await?);
    }
    let mut rates = Rates::default();
    for at in 0..=SLICES {
        let one = [
            inserts(&mut connections, 1, 1, slice).await?,
            inserts(&mut connections, 1, RUNS, slice).await?,
            inserts(&mut connections, 2, RUNS, slice).await?,
            inserts(&mut connections, 8, 1, slice).await?,
            many(&store, std::slice::from_mut(&mut lease), slice).await?,
            many(&store, &mut runs, slice).await?,
        ];
        // The first slice warms up.
        if at > 0 {
            let share = one.map(|rate| rate / f64::from(SLICES));
            rates.raw_alone += share[0];
            rates.raw_whole += share[1];
            rates.raw_double += share[2];
            rates.raw_each += share[3];
            rates.alone += share[4];
            rates.grouped += share[5];
        }
    }
    Ok(rates)
}

/// Rows per second of so many connections that insert so many rows a commit.
async fn inserts(connections: &mut Vec<PgConnection>, count: usize, rows: usize, time: Duration) -> Outcome<f64> {
    static SEQ: AtomicI64 = AtomicI64::new(1_000);
    let mut tasks = tokio::task::JoinSet::new();
    let begun = Instant::now();
    for mut connection in connections.drain(..count) {
        let records: Vec<Record> = (0..rows).map(|_| Chain::new(&tenant("bench")).next(1, BODY)).collect();
        tasks.spawn(async move {
            let mut done = 0_u64;
            while begun.elapsed() < time {
                insert(&mut connection, &records, SEQ.fetch_add(1, Ordering::Relaxed)).await?;
                done += records.len() as u64;
            }
            Outcome::Ok((done, connection))
        });
    }
    let mut all = 0;
    while let Some(done) = tasks.join_next().await {
        let (done, connection) = done??;
        all += done;
        connections.push(connection);
    }
    Ok(all as f64 / begun.elapsed().as_secs_f64())
}

async fn insert(connection: &mut PgConnection, records: &[Record], seq: i64) -> Outcome {
    let column = |column: fn(&Record) -> &[u8]| records.iter().map(column).collect::<Vec<_>>();
    sqlx::query(INSERT)
        .bind(records.iter().map(|record| record.tenant.as_str()).collect::<Vec<_>>())
        .bind(column(|record| record.run.as_bytes()))
        .bind(vec![seq; records.len()])
        .bind(vec![1_i64; records.len()])
        .bind(records.iter().map(|record| record.at.as_millis()).collect::<Vec<_>>())
        .bind(records.iter().map(|record| record.kind.as_str()).collect::<Vec<_>>())
        .bind(records.iter().map(|record| i32::from(record.version)).collect::<Vec<_>>())
        .bind(column(|record| &record.body))
        .bind(column(|record| record.commitment.as_bytes()))
        .bind(column(|record| record.prev.as_bytes()))
        .bind(column(|record| record.hash.as_bytes()))
        .execute(connection)
        .await?;
    Ok(())
}

/// Rows per second of runs each of which waits for its own append.
async fn many(store: &Store, runs: &mut [(Chain, Lease)], time: Duration) -> Outcome<f64> {
    let mut tasks = tokio::task::JoinSet::new();
    let ready: Vec<_> = runs.iter_mut().map(|run| prepare(&mut run.clone(), 1_000)).collect();
    let begun = Instant::now();
    for appends in ready {
        let store = store.clone();
        tasks.spawn(async move {
            let mut rows = 0_u64;
            let mut appends = appends.into_iter();
            while begun.elapsed() < time {
                let Some(append) = appends.next() else { break };
                store.append(append).await?;
                rows += 1;
            }
            // What is left goes back, so that freeing it holds up nobody's last append.
            Outcome::Ok((rows, begun.elapsed(), appends))
        });
    }
    let (mut rows, mut last, mut left) = (0, Duration::ZERO, Vec::new());
    while let Some(done) = tasks.join_next().await {
        let (count, at, appends) = done??;
        rows += count;
        last = last.max(at);
        left.push(appends);
    }
    for (chain, _) in runs {
        chain.head = store.run(&chain.tenant, chain.run).await?.ok_or("the run is there")?.head;
    }
    Ok(rows as f64 / last.as_secs_f64())
}

async fn open(url: &str) -> Outcome<Store> {
    let database = Database::open(&Settings::at(url)).await?;
    database.bind_key(&Keyring::ephemeral().key_id()).await?;
    Ok(Store::new(&database))
}

async fn start(store: &Store) -> Outcome<(Chain, Lease)> {
    let mut chain = Chain::new(&tenant("bench"));
    store.create(chain.created()).await?;
    let lease = store.acquire(&chain.tenant, chain.run, "bench", Duration::from_secs(3600)).await?;
    Ok((chain, lease.ok_or("a new run is free")?))
}

fn prepare((chain, lease): &mut (Chain, Lease), count: usize) -> Vec<Append> {
    (0..count).map(|_| chain.append(lease, 1, BODY)).collect()
}
