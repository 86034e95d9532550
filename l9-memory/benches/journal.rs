//! How close the journal comes to what SQLite itself can do, measured in one program:
//! the same driver, rows, bytes and durability, first raw, then through the store.
//!
//! Run with `cargo bench -p l9-memory --bench journal [-- SECONDS]`.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the ambient clock")]

use std::path::Path;
use std::time::{Duration, Instant};

use l9_core::conformance::Chain;
use l9_core::conformance::chain::tenant;
use l9_core::journal::{Journal, Lease, Leases};
use l9_core::run::Record;
use l9_memory::sqlite::{Database, Settings, Store};
use l9_memory::vault::Keyring;
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{Arguments, AssertSqlSafe, ConnectOptions, SqliteConnection};

const BODY: usize = 512;
const RUNS: usize = 64;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[expect(clippy::print_stdout, reason = "a benchmark prints")]
fn main() -> Outcome {
    let seconds = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(8.0);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    // On a worker, as drivers are.
    let rates = runtime.block_on(async { tokio::spawn(measure(seconds)).await })??;
    let line = |name: &str, raw: f64, ours: f64| {
        println!("{name:<44} raw {raw:>8.0}   journal {ours:>8.0}   ratio {:.2}", ours / raw);
    };
    println!("rows per second, bodies of {BODY} bytes, WAL, synchronous=FULL");
    line("one after another, a commit each", rates.raw_alone, rates.alone);
    line("64 runs at once; raw: 64 inserts a commit", rates.raw_each, rates.grouped);
    line("64 runs at once; raw: one insert of 64 rows", rates.raw_whole, rates.grouped);
    Ok(())
}

/// Repeats a block that gives how many rows it wrote until the time is over; rows per
/// second. A macro, since a future over an async closure cannot be sent to a worker.
macro_rules! rate {
    ($time:expr, $work:block) => {{
        let start = Instant::now();
        let mut rows = 0_u64;
        while start.elapsed() < $time {
            match $work {
                0 => break,
                done => rows += done,
            }
        }
        rows as f64 / start.elapsed().as_secs_f64()
    }};
}

#[derive(Default)]
struct Rates {
    raw_alone: f64,
    raw_each: f64,
    raw_whole: f64,
    alone: f64,
    grouped: f64,
}

/// Measures raw and ours by turns, in slices, so that what else the machine does falls
/// on both alike.
async fn measure(seconds: f64) -> Outcome<Rates> {
    const SLICES: u32 = 10;
    let slice = Duration::from_secs_f64(seconds / 5.0 / f64::from(SLICES));
    let folder = tempfile::tempdir()?;
    let mut connection = connect(folder.path()).await?;
    let store = open(folder.path()).await?;
    let records = records(64 * 64);
    let heads: Vec<Record> = records.iter().step_by(64).cloned().collect();
    let (one, whole) = (insert(1), format!("BEGIN IMMEDIATE;{};COMMIT", insert(64)));
    let mut lease = start(&store).await?;
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        runs.push(start(&store).await?);
    }
    let mut rates = Rates::default();
    let mut at = 0_i64;
    for _ in 0..SLICES {
        rates.raw_alone += rate!(slice, {
            at += 1;
            add(&mut connection, &one, &heads[..1], at).await?;
            1
        });
        let mut ready = prepare(&mut lease, 3_000).into_iter();
        rates.alone += rate!(slice, {
            match ready.next() {
                Some(append) => store.append(append).await.map(|_| 1)?,
                None => 0,
            }
        });
        lease.0.head = store.run(&lease.0.tenant, lease.0.run).await?.ok_or("the run is there")?.head;
        rates.raw_each += rate!(slice, {
            at += 1;
            sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await?;
            for head in &heads {
                add(&mut connection, &one, std::slice::from_ref(head), at).await?;
            }
            sqlx::query("COMMIT").execute(&mut connection).await?;
            64
        });
        rates.raw_whole += rate!(slice, {
            at += 1;
            add(&mut connection, &whole, &heads, at).await?;
            64
        });
        rates.grouped += many(&store, &mut runs, slice).await?;
    }
    let mean = |rate: f64| rate / f64::from(SLICES);
    Ok(Rates {
        raw_alone: mean(rates.raw_alone),
        raw_each: mean(rates.raw_each),
        raw_whole: mean(rates.raw_whole),
        alone: mean(rates.alone),
        grouped: mean(rates.grouped),
    })
}

/// A raw connection as the store's own is, over the same tables in another file.
async fn connect(folder: &Path) -> Outcome<SqliteConnection> {
    let mut connection = SqliteConnectOptions::new()
        .filename(folder.join("raw.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("cache_size", "-16384")
        .pragma("temp_store", "memory")
        .disable_statement_logging()
        .connect()
        .await?;
    sqlx::raw_sql(include_str!("../src/sqlite/migrations/0001.sql")).execute(&mut connection).await?;
    Ok(connection)
}

/// Rows per second of 64 runs, each of which waits for its own append.
async fn many(store: &Store, runs: &mut [(Chain, Lease)], time: Duration) -> Outcome<f64> {
    let mut tasks = tokio::task::JoinSet::new();
    let ready: Vec<_> = runs.iter_mut().map(|run| prepare(&mut run.clone(), 1_500)).collect();
    let begun = Instant::now();
    for appends in ready {
        let store = store.clone();
        tasks.spawn(async move {
            let (mut rows, mut last) = (0_u64, Duration::ZERO);
            let mut appends = appends.into_iter();
            while begun.elapsed() < time {
                let Some(append) = appends.next() else { break };
                store.append(append).await?;
                (rows, last) = (rows + 1, begun.elapsed());
            }
            // What is left goes back, so that freeing it holds up nobody's last append.
            Outcome::Ok((rows, last, appends))
        });
    }
    let (mut rows, mut last) = (0, Duration::ZERO);
    let mut left = Vec::new();
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

async fn open(folder: &Path) -> Outcome<Store> {
    let database = Database::open(&Settings::at(folder.join("l9.db"))).await?;
    let keyring = Keyring::open_or_create(folder.join("root.key"))?;
    database.bind_key(&keyring.key_id()).await?;
    Ok(Store::open(&database, "bench").await?)
}

async fn start(store: &Store) -> Outcome<(Chain, Lease)> {
    let mut chain = Chain::new(&tenant("bench"));
    store.create(chain.created()).await?;
    let lease = store.acquire(&chain.tenant, chain.run, "bench", Duration::from_secs(3600)).await?;
    Ok((chain, lease.ok_or("a new run is free")?))
}

fn prepare((chain, lease): &mut (Chain, Lease), count: usize) -> Vec<l9_core::journal::Append> {
    (0..count).map(|_| chain.append(lease, 1, BODY)).collect()
}

/// The records of 64 runs, 64 each.
fn records(count: usize) -> Vec<Record> {
    (0..count / 64)
        .flat_map(|_| {
            let mut chain = Chain::new(&tenant("bench"));
            (0..64).map(move |_| chain.next(1, BODY)).collect::<Vec<_>>()
        })
        .collect()
}

fn insert(rows: usize) -> String {
    let row = "(?,?,?,?,?,?,?,?,?,?,?)";
    format!(
        "INSERT INTO records (tenant, run, seq, epoch, at, kind, version, body, commitment, prev, hash) VALUES {}",
        vec![row; rows].join(",")
    )
}

async fn add(connection: &mut SqliteConnection, sql: &str, records: &[Record], seq: i64) -> Outcome {
    let mut out = SqliteArguments::default();
    for record in records {
        out.add(record.tenant.as_str())?;
        out.add(record.run.as_bytes().as_slice())?;
        out.add(seq)?;
        out.add(1_i64)?;
        out.add(record.at.as_millis())?;
        out.add(record.kind.as_str())?;
        out.add(i64::from(record.version))?;
        out.add(record.body.as_slice())?;
        out.add(record.commitment.as_bytes().as_slice())?;
        out.add(record.prev.as_bytes().as_slice())?;
        out.add(record.hash.as_bytes().as_slice())?;
    }
    sqlx::query_with(AssertSqlSafe(sql), out).execute(connection).await?;
    Ok(())
}
