//! How long a hundred thousand memories take to keep, to index after a start, and to
//! search, how long a folder of files takes beside the insertion of the rows that come of
//! it, and how long one durable write takes the more memories there are, up to ten times as
//! many. Run with `cargo bench -p l9-memory --bench memory [-- ENTRIES]`.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the ambient clock")]

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use l9_core::entropy::SystemEntropy;
use l9_core::id::TenantId;
use l9_core::memory::{MemoryStore, NewEntry, Query, Scope};
use l9_core::time::SystemClock;
use l9_memory::ingest::{Ingest, Status};
use l9_memory::sqlite::{Database, Memory, Settings};
use l9_memory::vault::Keyring;
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{AssertSqlSafe, Connection as _, Row as _, SqliteConnection};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// As in the server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[expect(clippy::print_stdout, reason = "a benchmark prints")]
#[tokio::main]
async fn main() -> Outcome {
    let count = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(100_000_usize);
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("l9.db");
    let database = Database::open(&Settings::at(&path)).await?;
    let keyring = Arc::new(Keyring::open_or_create(folder.path().join("root.key"))?);
    database.bind_key(&keyring.key_id()).await?;
    let open = || Memory::new(&database, Arc::new(SystemClock::default()), Arc::new(SystemEntropy), keyring.clone());
    let (memory, tenant) = (open(), TenantId::default_tenant());
    let entries: Vec<NewEntry> = (0..count).map(entry).collect();
    let start = Instant::now();
    for batch in entries.chunks(1000) {
        memory.remember(&tenant, batch.to_vec()).await?;
    }
    let rate = count as f64 / start.elapsed().as_secs_f64();
    println!("remember      {rate:>9.0} entries per second");
    let start = Instant::now();
    for batch in entries.chunks(1000) {
        memory.remember(&tenant, batch.to_vec()).await?;
    }
    println!("known already {:>9.0} entries per second", count as f64 / start.elapsed().as_secs_f64());
    let memory = open();
    let session = Scope { session: Some("session 7".into()), ..Scope::tenant(tenant.clone()) };
    let scope = Scope::tenant(tenant);
    let start = Instant::now();
    memory.search(&scope, &Query::new("first", 10)).await?;
    println!("first search  {:>9.1} ms, with the index built", start.elapsed().as_secs_f64() * 1e3);
    for (name, scope) in [("whole tenant", &scope), ("one session ", &session)] {
        let mut times = Vec::new();
        for at in 0..200 {
            let query = Query::new(format!("what does {} say of {}", word(at * 7), word(at * 31 + 5)), 10);
            let start = Instant::now();
            memory.search(scope, &query).await?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        let (middle, late) = middle_and_late(times);
        println!("{name}  {middle:>9.2} ms median, {late:.2} ms 99 %");
    }
    println!("file          {:>9.0} MB", std::fs::metadata(&path)?.len() as f64 / 1e6);
    drop((memory, database));
    ingest(folder.path(), count).await?;
    single(folder.path(), count * 10).await
}

/// One memory at a time, each durable before the next, among more and more of them; beside the
/// same sealed row inserted raw into a table that has none.
#[expect(clippy::print_stdout, reason = "a benchmark prints")]
async fn single(folder: &Path, most: usize) -> Outcome {
    const WRITES: usize = 500;
    let (path, raw) = (folder.join("single.db"), folder.join("raw-single.db"));
    let database = Database::open(&Settings::at(&path)).await?;
    let keyring = Arc::new(Keyring::open_or_create(folder.join("single.key"))?);
    database.bind_key(&keyring.key_id()).await?;
    let memory = Memory::new(&database, Arc::new(SystemClock::default()), Arc::new(SystemEntropy), keyring);
    let tenant = TenantId::default_tenant();
    let mut kept = 0;
    for step in [1000, 100, 10, 1] {
        let entries: Vec<NewEntry> = (kept..most / step).map(entry).collect();
        for batch in entries.chunks(1000) {
            memory.remember(&tenant, batch.to_vec()).await?;
        }
        kept += entries.len();
        let mut times = Vec::new();
        for at in kept..kept + WRITES {
            let entry = entry(at);
            let start = Instant::now();
            memory.remember(&tenant, vec![entry]).await?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        kept += WRITES;
        let (middle, late) = middle_and_late(times);
        let (raw_middle, raw_late) = insert_single(&path, &raw, WRITES).await?;
        println!(
            "one write     {middle:>9.2} ms median, {late:.2} ms 99 %, among {kept}; raw {raw_middle:.2} and {raw_late:.2}"
        );
        std::fs::remove_file(&raw)?;
    }
    Ok(())
}

/// A folder of files through an intake, and the rows that come of it inserted raw, three times
/// each, in turn.
#[expect(clippy::print_stdout, reason = "a benchmark prints")]
async fn ingest(folder: &Path, count: usize) -> Outcome {
    let docs = folder.join("docs");
    std::fs::create_dir(&docs)?;
    for (file, entries) in (0..count).collect::<Vec<_>>().chunks(50).enumerate() {
        let section = |at: &usize| format!("## Part {at}\n\n{}\n\n", entry(*at).text + &entry(at + count).text);
        std::fs::write(docs.join(format!("{file}.md")), entries.iter().map(section).collect::<String>())?;
    }
    let (mut taken, mut raw) = (Vec::new(), Vec::new());
    for round in 0..3 {
        let path = folder.join(format!("ingest-{round}.db"));
        let database = Database::open(&Settings::at(&path)).await?;
        let keyring = Arc::new(Keyring::open_or_create(folder.join(format!("ingest-{round}.key")))?);
        database.bind_key(&keyring.key_id()).await?;
        let memory = Memory::new(&database, Arc::new(SystemClock::default()), Arc::new(SystemEntropy), keyring);
        let start = Instant::now();
        let intake = Ingest::new(Arc::new(memory), TenantId::default_tenant());
        let report = intake.path(&docs, &|_: &Status| {}).await?;
        taken.push(report.stored as f64 / start.elapsed().as_secs_f64());
        let start = Instant::now();
        let again = intake.path(&docs, &|_: &Status| {}).await?;
        println!(
            "unchanged     {:>9.0} passages per second, {} files",
            again.duplicates as f64 / start.elapsed().as_secs_f64(),
            again.unchanged
        );
        raw.push(insert_raw(&path, &folder.join(format!("raw-{round}.db"))).await?);
    }
    taken.sort_by(f64::total_cmp);
    raw.sort_by(f64::total_cmp);
    println!("ingest        {:>9.0} passages per second, of files", taken[1]);
    println!("raw inserts   {:>9.0} rows per second, of the same sealed bytes", raw[1]);
    println!("ratio         {:>9.0} %", 100.0 * taken[1] / raw[1]);
    Ok(())
}

/// The rows of a database into another of the same tables, a thousand in a transaction, and how
/// many of them a second.
async fn insert_raw(from: &Path, to: &Path) -> Outcome<f64> {
    let (found, mut connection) = (rows(from, -1).await?, empty(to).await?);
    let start = Instant::now();
    for batch in found.chunks(1000) {
        let mut transaction = connection.begin().await?;
        for part in batch.chunks(32) {
            insert(&mut transaction, part).await?;
        }
        transaction.commit().await?;
    }
    Ok(found.len() as f64 / start.elapsed().as_secs_f64())
}

/// The last rows of a database into another, each in a transaction of its own: the median and
/// 99 % of their times in milliseconds.
async fn insert_single(from: &Path, to: &Path, count: usize) -> Outcome<(f64, f64)> {
    let (found, mut connection) = (rows(from, count as i64).await?, empty(to).await?);
    let mut times = Vec::new();
    for row in &found {
        let start = Instant::now();
        let mut transaction = connection.begin().await?;
        insert(&mut transaction, std::slice::from_ref(row)).await?;
        transaction.commit().await?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(middle_and_late(times))
}

/// The median of times, and what 99 % of them stay below.
fn middle_and_late(mut times: Vec<f64>) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

const COLUMNS: &str = "tenant, id, layer, at, recorded_at, agent, session, source, key, content, terms, entry";

/// The last entries' rows, all of them for -1.
async fn rows(from: &Path, last: i64) -> Outcome<Vec<SqliteRow>> {
    let pool = sqlx::SqlitePool::connect(&format!("sqlite:{}", from.display())).await?;
    let sql = format!("SELECT {COLUMNS} FROM entries ORDER BY position DESC LIMIT {last}");
    let mut found = sqlx::query(AssertSqlSafe(sql)).fetch_all(&pool).await?;
    found.reverse();
    pool.close().await;
    Ok(found)
}

/// A connection to a database without entries; the tables, indexes and pragmas are L9's.
async fn empty(path: &Path) -> Outcome<SqliteConnection> {
    drop(Database::open(&Settings::at(path)).await?);
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(sqlx::sqlite::SqliteJournalMode::Wal)
        .synchronous(sqlx::sqlite::SqliteSynchronous::Full);
    Ok(SqliteConnection::connect_with(&options).await?)
}

/// Rows by one statement.
async fn insert(connection: &mut SqliteConnection, rows: &[SqliteRow]) -> Outcome {
    let values = vec!["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"; rows.len()].join(", ");
    let mut query = sqlx::query(AssertSqlSafe(format!("INSERT INTO entries ({COLUMNS}) VALUES {values}")));
    for row in rows {
        query = query.bind(row.try_get::<String, _>(0)?).bind(row.try_get::<Vec<u8>, _>(1)?);
        for at in 2..5 {
            query = query.bind(row.try_get::<i64, _>(at)?);
        }
        for at in 5..12 {
            query = query.bind(row.try_get::<Option<Vec<u8>>, _>(at)?);
        }
    }
    query.execute(connection).await?;
    Ok(())
}

/// About forty words, frequent and rare.
fn entry(at: usize) -> NewEntry {
    let text: Vec<String> = (0..40).map(|place| word((at + 1) * (place * place + 3))).collect();
    NewEntry { text: text.join(" "), session: Some(format!("session {}", at % 100)), ..NewEntry::default() }
}

/// A word of a vocabulary whose frequencies fall off as those of a language.
fn word(at: usize) -> String {
    let mixed = at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    let rank = (((mixed % 10_000) as f64 / 10_000.0 * 11.0).exp()) as usize;
    format!("w{rank}")
}
