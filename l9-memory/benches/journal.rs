//! How close the journal comes to what SQLite itself can do, measured in one program:
//! the same driver, rows, bytes and durability, first raw, then through the store.
//!
//! Run with `cargo bench -p l9-memory --bench journal [-- SECONDS]`.

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

fn main() -> Outcome {
    let seconds = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(3.0);
    let time = Duration::from_secs_f64(seconds);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        for round in 1..=2 {
            let (raw, raw_each, raw_rows) = raw(time).await?;
            let (ours, grouped) = ours(time).await?;
            println!("round {round}, rows per second, {BODY} byte bodies");
            println!("  one after another       raw {raw:>9.0}   journal {ours:>9.0}   ratio {:.2}", ours / raw);
            println!("  64 runs at once");
            println!(
                "    raw: 64 statements    raw {raw_each:>9.0}   journal {grouped:>9.0}   ratio {:.2}",
                grouped / raw_each
            );
            println!(
                "    raw: 1 of 64 rows     raw {raw_rows:>9.0}   journal {grouped:>9.0}   ratio {:.2}",
                grouped / raw_rows
            );
        }
        Ok(())
    })
}

/// Rows per second: a commit each; 64 statements a commit; one statement of 64 rows a commit.
async fn raw(time: Duration) -> Outcome<(f64, f64, f64)> {
    let folder = tempfile::tempdir()?;
    let mut connection = SqliteConnectOptions::new()
        .filename(folder.path().join("raw.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("cache_size", "-16384")
        .disable_statement_logging()
        .connect()
        .await?;
    let schema = include_str!("../src/sqlite/migrations/0001.sql");
    sqlx::raw_sql(schema).execute(&mut connection).await?;
    let records = records(64 * 64);
    let one = insert(1);
    let mut at = 0_i64;
    let alone = rate(time, async || {
        add(&mut connection, &one, &records[at as usize % 64..][..1], at).await?;
        at += 1;
        Ok(1)
    })
    .await?;
    let each = rate(time, async || {
        sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await?;
        for record in 0..64 {
            add(&mut connection, &one, &records[record * 64..][..1], at).await?;
        }
        sqlx::query("COMMIT").execute(&mut connection).await?;
        at += 1;
        Ok(64)
    })
    .await?;
    let rows = format!("BEGIN IMMEDIATE;{};COMMIT", insert(64));
    let heads: Vec<Record> = records.iter().step_by(64).cloned().collect();
    let whole = rate(time, async || {
        add(&mut connection, &rows, &heads, at).await?;
        at += 1;
        Ok(64)
    })
    .await?;
    Ok((alone, each, whole))
}

/// Rows per second through the store: one run, 64 runs. The records are made before.
async fn ours(time: Duration) -> Outcome<(f64, f64)> {
    let folder = tempfile::tempdir()?;
    let store = open(folder.path()).await?;
    let mut lease = start(&store).await?;
    let mut prepared = prepare(&mut lease, 40_000).into_iter();
    let alone = rate(time, async || {
        let Some(append) = prepared.next() else { return Ok(0) };
        store.append(append).await?;
        Ok(1)
    })
    .await?;
    let grouped = many(&store, time).await?;
    Ok((alone, grouped))
}

/// Rows per second of 64 runs, each of which waits for its own append.
async fn many(store: &Store, time: Duration) -> Outcome<f64> {
    let mut ready = Vec::new();
    for _ in 0..RUNS {
        let mut run = start(store).await?;
        let mut appends = prepare(&mut run, 8_000);
        appends.reverse();
        ready.push((store.clone(), appends));
    }
    let mut tasks = tokio::task::JoinSet::new();
    let begun = Instant::now();
    for (store, mut ready) in ready {
        tasks.spawn(async move {
            let mut done = 0_u64;
            while begun.elapsed() < time {
                let Some(append) = ready.pop() else { break };
                store.append(append).await?;
                done += 1;
            }
            Outcome::Ok((done, begun.elapsed()))
        });
    }
    let mut rows = 0;
    let mut last = Duration::ZERO;
    while let Some(done) = tasks.join_next().await {
        let (done, at) = done??;
        rows += done;
        last = last.max(at);
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

/// Runs the work until the time is over; rows per second.
async fn rate(time: Duration, mut work: impl AsyncFnMut() -> Outcome<u64>) -> Outcome<f64> {
    let start = Instant::now();
    let mut rows = 0;
    while start.elapsed() < time {
        match work().await? {
            0 => break,
            done => rows += done,
        }
    }
    Ok(rows as f64 / start.elapsed().as_secs_f64())
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
