//! How long a hundred thousand memories take to keep, to index after a start, and to
//! search. Run with `cargo bench -p l9-memory --bench memory [-- ENTRIES]`.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the ambient clock")]

use std::sync::Arc;
use std::time::Instant;

use l9_core::entropy::SystemEntropy;
use l9_core::id::TenantId;
use l9_core::memory::{MemoryStore, NewEntry, Query, Scope};
use l9_core::time::SystemClock;
use l9_memory::sqlite::{Database, Memory, Settings};
use l9_memory::vault::Keyring;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

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
        times.sort_by(f64::total_cmp);
        println!("{name}  {:>9.2} ms median, {:.2} ms 99 %", times[100], times[198]);
    }
    println!("file          {:>9.0} MB", std::fs::metadata(&path)?.len() as f64 / 1e6);
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
