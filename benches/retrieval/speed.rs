//! How long a search over a hundred thousand memories takes beside SQLite's FTS5 over the same
//! texts: its BM25 of any of the words, in the same program and the same file system.

use std::time::Instant;

use l9::Runtime;
use l9::memory::{NewEntry, Query, Scope};
use sqlx::{Connection, Row, SqliteConnection};

const ENTRIES: usize = 100_000;
const ROUNDS: usize = 200;

/// Fills both, asks both the same, prints medians, the 99th of a hundred, and their ratio.
pub(crate) async fn measure() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = Runtime::builder().data_dir(folder.path().join("l9")).build().await.unwrap();
    let (memory, tenant) = (runtime.memory(), runtime.principal().tenant);
    let address = format!("sqlite://{}?mode=rwc", folder.path().join("fts.db").display());
    let mut fts = SqliteConnection::connect(&address).await.unwrap();
    sqlx::query("CREATE VIRTUAL TABLE told USING fts5(text, tokenize = 'porter unicode61')")
        .execute(&mut fts)
        .await
        .unwrap();
    let entries: Vec<NewEntry> = (0..ENTRIES).map(entry).collect();
    for batch in entries.chunks(1000) {
        memory.remember(&tenant, batch.to_vec()).await.unwrap();
        let mut transaction = fts.begin().await.unwrap();
        for entry in batch {
            sqlx::query("INSERT INTO told (text) VALUES (?)")
                .bind(&entry.text)
                .execute(&mut *transaction)
                .await
                .unwrap();
        }
        transaction.commit().await.unwrap();
    }
    let scope = Scope::tenant(tenant);
    memory.search(&scope, &Query::new("first", 10)).await.unwrap();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for at in 0..ROUNDS {
        let words = [word(at * 7 + 1), word(at * 31 + 5), word(at * 13 + 2), word(at * 3 + 11)];
        let began = Instant::now();
        let hits = memory.search(&scope, &Query::new(words.join(" "), 10)).await.unwrap();
        ours.push(began.elapsed().as_secs_f64() * 1e3);
        let asked = words.join(" OR ");
        let began = Instant::now();
        let rows = sqlx::query("SELECT rowid, text, bm25(told) FROM told WHERE told MATCH ? ORDER BY rank LIMIT 10")
            .bind(&asked)
            .fetch_all(&mut fts)
            .await
            .unwrap();
        theirs.push(began.elapsed().as_secs_f64() * 1e3);
        assert_eq!(rows.is_empty(), hits.is_empty(), "both find something or nothing for {asked}");
        assert!(rows.iter().all(|row| !row.get::<String, _>(1).is_empty()));
    }
    let told = |name: &str, times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        println!("  {name:<22}{:>8.2} ms median {:>8.2} ms 99 %", times[ROUNDS / 2], times[ROUNDS * 99 / 100]);
        times[ROUNDS / 2]
    };
    println!("speed, {ENTRIES} memories of 40 words in sessions of 50, four words asked");
    let (ours, theirs) = (told("L9, hybrid, sealed", &mut ours), told("FTS5, BM25 alone", &mut theirs));
    println!("  L9 takes {:.2} times as long", ours / theirs);
    runtime.shutdown().await;
}

/// About forty words, frequent and rare, in sessions of fifty.
fn entry(at: usize) -> NewEntry {
    let text: Vec<String> = (0..40).map(|place| word((at + 1) * (place * place + 3))).collect();
    NewEntry { text: text.join(" "), session: Some(format!("session {}", at / 50)), ..NewEntry::default() }
}

/// A word of a vocabulary whose frequencies fall off as those of a language.
fn word(at: usize) -> String {
    let mixed = at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    let rank = (((mixed % 10_000) as f64 / 10_000.0 * 11.0).exp()) as usize;
    format!("w{rank}")
}
