//! Vectors of memories over every backend: made behind the entries, found under exactly the
//! filters of the query, gone with their entries, and in nobody's way when they fail.
#![expect(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "a test may fail, and waits")]

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use l9_core::digest::sha256;
use l9_core::entropy::SystemEntropy;
use l9_core::id::{AgentId, TenantId};
use l9_core::memory::{Embedder, Layer, MemoryStore, NewEntry, NewQuarantine, Query, Scope, Space, Suspect};
use l9_core::time::{Clock, SystemClock};
use l9_core::{Error, ErrorKind, Result};
use l9_memory::embed::{Asking, Embeddable, Worker};
use l9_memory::in_memory;
use tokio_util::sync::CancellationToken;

mod support;

/// An embedder to which words of one group mean the same, and that fails when it is told to.
#[derive(Debug)]
struct Groups {
    space: Space,
    /// How many calls it answers before it fails.
    left: AtomicUsize,
    hangs: AtomicBool,
    bad: Mutex<Option<Vec<f32>>>,
    calls: AtomicUsize,
    texts: AtomicUsize,
}

const GROUPS: [&[&str]; 4] = [&["dog", "hound", "puppy"], &["car", "vehicle"], &["rain", "weather"], &["tax", "levy"]];

impl Groups {
    fn new(name: &str) -> Arc<Self> {
        Arc::new(Self {
            space: Space::new(name, 8, &sha256(&[name.as_bytes()])),
            left: AtomicUsize::new(usize::MAX),
            hangs: AtomicBool::default(),
            bad: Mutex::default(),
            calls: AtomicUsize::default(),
            texts: AtomicUsize::default(),
        })
    }
}

fn vector(text: &str) -> Vec<f32> {
    let mut vector = vec![0.0; 8];
    for word in text.split(' ') {
        match GROUPS.iter().position(|group| group.contains(&word)) {
            Some(group) => vector[group] += 10.0,
            None => vector[4 + word.len() % 4] += 1.0,
        }
    }
    vector
}

#[async_trait]
impl Embedder for Groups {
    fn space(&self) -> &Space {
        &self.space
    }

    fn batch(&self) -> usize {
        4
    }

    async fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.left.load(Ordering::SeqCst) == 0 {
            return Err(Error::unavailable("nobody is at home"));
        }
        if texts.iter().any(|text| text.contains("unspeakable")) {
            return Err(Error::invalid("it is unspeakable"));
        }
        self.left.fetch_sub(1, Ordering::SeqCst);
        self.texts.fetch_add(texts.len(), Ordering::SeqCst);
        let bad = self.bad.lock().unwrap().clone();
        Ok(texts.iter().map(|text| bad.clone().unwrap_or_else(|| vector(text))).collect())
    }
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::default())
}

fn asking(embedder: &Arc<Groups>) -> Arc<Asking> {
    Arc::new(Asking::new(Arc::<Groups>::clone(embedder), clock(), Duration::from_millis(200)).unwrap())
}

fn worker(memory: Arc<dyn Embeddable>, embedder: &Arc<Groups>) -> Worker {
    named_worker(memory, embedder, "node")
}

fn named_worker(memory: Arc<dyn Embeddable>, embedder: &Arc<Groups>, owner: &str) -> Worker {
    Worker::new(memory, Arc::<Groups>::clone(embedder), clock(), owner).unwrap()
}

fn tenant() -> TenantId {
    TenantId::default_tenant()
}

fn said(text: &str) -> NewEntry {
    NewEntry { text: text.into(), ..NewEntry::default() }
}

async fn found(memory: &dyn MemoryStore, scope: &Scope, query: Query) -> Vec<String> {
    memory.search(scope, &query).await.unwrap().into_iter().map(|hit| hit.entry.entry.text).collect()
}

/// What holds of every backend.
async fn all<M: MemoryStore + Embeddable + 'static>(make: impl Fn(&Arc<Groups>) -> M) {
    let embedder = Groups::new("groups");
    let memory = Arc::new(make(&embedder));
    let worker = worker(Arc::<M>::clone(&memory), &embedder);
    let scope = Scope::tenant(tenant());
    let agent = |name: &str| Some(AgentId::new(name).unwrap());
    let mut entries = vec![
        NewEntry { agent: agent("a"), ..said("a puppy came today") },
        NewEntry { agent: agent("b"), session: Some("s".into()), ..said("the hound sleeps") },
        NewEntry { layer: Layer::ShortTerm, ..said("one vehicle stopped") },
        NewEntry { source: Some("news".into()), ..said("weather is mild") },
        said("an unspeakable word"),
    ];
    entries.extend((0..20).map(|n| said(&format!("filler number {n} of many"))));
    let kept = memory.remember(&tenant(), entries).await.unwrap();
    let ask = |k| Query::new("dog", k);
    assert!(found(&*memory, &scope, ask(5)).await.is_empty(), "by words nothing is like it");
    assert_eq!(worker.status().await.unwrap().pending, 25);

    worker.finish().await.unwrap();
    let status = worker.status().await.unwrap();
    assert_eq!((status.embedded, status.pending), (24, 1), "one text was refused, the others of its batch were not");
    let both = found(&*memory, &scope, ask(2)).await;
    assert_eq!(both.iter().collect::<HashSet<_>>().len(), 2);
    assert!(both.iter().all(|text| text.contains("hound") || text.contains("puppy")), "{both:?}");

    // Every filter holds, and costs no answer that passes it.
    let own = Scope { agent: agent("b"), ..scope.clone() };
    let filtered = found(&*memory, &own, ask(50)).await;
    assert!(filtered.contains(&"the hound sleeps".into()) && !filtered.contains(&"a puppy came today".into()));
    assert_eq!(found(&*memory, &own, ask(1)).await, ["the hound sleeps"]);
    let session = Scope { session: Some("s".into()), ..scope.clone() };
    assert_eq!(found(&*memory, &session, ask(9)).await, ["the hound sleeps"]);
    let short = Query { layer: Some(Layer::ShortTerm), ..Query::new("car", 9) };
    assert_eq!(found(&*memory, &scope, short).await, ["one vehicle stopped"]);
    let other = Scope::tenant(TenantId::new("other").unwrap());
    assert!(found(&*memory, &other, ask(9)).await.is_empty());

    // It says why.
    let hits = memory.search(&scope, &Query { explain: true, ..ask(1) }).await.unwrap();
    let why = hits[0].why.as_ref().unwrap();
    assert!(why.words.is_empty() && why.text == 0.0 && why.meaning_failed.is_none(), "{why:?}");
    assert!(why.meaning.is_some_and(|meaning| (meaning - 1.0).abs() < 1e-6), "{why:?}");

    // What is hidden is hidden from it, and can be asked about as of before.
    let before = clock().now();
    tokio::time::sleep(Duration::from_millis(5)).await;
    let suspect = NewQuarantine { suspect: Suspect::Source("news".into()), reason: "x".into(), by: "y".into() };
    let rain = |as_of| Query { as_of, ..Query::new("rain", 1) };
    assert_eq!(found(&*memory, &scope, rain(None)).await, ["weather is mild"]);
    memory.quarantine(&tenant(), suspect).await.unwrap();
    assert_ne!(found(&*memory, &scope, rain(None)).await, ["weather is mild"]);
    assert_eq!(found(&*memory, &scope, rain(Some(before))).await, ["weather is mild"]);
    let new = memory.supersede(&tenant(), kept[0].id, said("a new puppy is here")).await.unwrap();
    worker.finish().await.unwrap();
    let dogs = found(&*memory, &scope, ask(2)).await;
    assert!(dogs.contains(&"a new puppy is here".into()) && !dogs.contains(&"a puppy came today".into()), "{dogs:?}");

    // Forgotten is forgotten.
    assert!(memory.forget(&tenant(), new.id).await.unwrap());
    assert_eq!(found(&*memory, &scope, ask(1)).await, ["the hound sleeps"]);
    assert_eq!(worker.status().await.unwrap().embedded, 24);

    // A search without an embedder that answers goes by words, at once, and says so.
    let words = || Query { explain: true, ..Query::new("hound", 1) };
    embedder.hangs.store(true, Ordering::SeqCst);
    let hits = memory.search(&scope, &words()).await.unwrap();
    let why = hits[0].why.as_ref().unwrap();
    assert!(why.meaning.is_none() && why.meaning_failed.as_ref().is_some_and(|why| why.contains("200 ms")), "{why:?}");
    let calls = embedder.calls.load(Ordering::SeqCst);
    memory.search(&scope, &words()).await.unwrap();
    assert_eq!(embedder.calls.load(Ordering::SeqCst), calls, "it is left alone for a while");
    embedder.hangs.store(false, Ordering::SeqCst);

    // Bad vectors are refused.
    memory.remember(&tenant(), vec![said("one more"), said("and another")]).await.unwrap();
    for (bad, why) in [(vec![1.0; 7], "7 dimensions"), (vec![f32::NAN; 8], "finite"), (vec![0.0; 8], "zeros")] {
        *embedder.bad.lock().unwrap() = Some(bad);
        let error = worker.finish().await.unwrap_err();
        assert!(error.to_string().contains(why) && error.kind() == ErrorKind::Unavailable, "{error}");
    }
    *embedder.bad.lock().unwrap() = None;
    worker.finish().await.unwrap();
    assert_eq!(worker.status().await.unwrap().pending, 1);
}

/// Another embedder makes its own vectors, and those of the old one go when all have new ones.
async fn changes<M: MemoryStore + Embeddable + 'static>(make: impl Fn(&Arc<Groups>) -> M) {
    let (old, new) = (Groups::new("old"), Groups::new("new"));
    let scope = Scope::tenant(tenant());
    let before = Arc::new(make(&old));
    let entries = (0..10).map(|n| said(&format!("puppy number {n}"))).collect();
    before.remember(&tenant(), entries).await.unwrap();
    named_worker(Arc::<M>::clone(&before), &old, "one").finish().await.unwrap();
    let texts = old.texts.load(Ordering::SeqCst);
    assert_eq!(texts, 10);
    // Done is done, for another process too.
    named_worker(Arc::new(make(&old)), &old, "one").finish().await.unwrap();
    assert_eq!(old.texts.load(Ordering::SeqCst), texts);

    let after = Arc::new(make(&new));
    assert!(found(&*after, &scope, Query::new("dog", 5)).await.is_empty(), "vectors of two embedders are not compared");
    assert_eq!(found(&*after, &scope, Query::new("puppy", 5)).await.len(), 5);
    let worker = named_worker(Arc::<M>::clone(&after), &new, "one");
    assert_eq!(worker.status().await.unwrap().pending, 10);
    // It fails half-way; another process goes on from there.
    new.left.store(1, Ordering::SeqCst);
    worker.finish().await.unwrap_err();
    new.left.store(usize::MAX, Ordering::SeqCst);
    let status = worker.status().await.unwrap();
    assert_eq!((status.embedded, status.pending), (4, 6));
    named_worker(Arc::new(make(&new)), &new, "one").finish().await.unwrap();
    assert_eq!(found(&*after, &scope, Query::new("dog", 5)).await.len(), 5);
    assert_eq!(new.texts.load(Ordering::SeqCst), 10 + 3, "each entry once, and the queries");
    // The old one's claim has not run out, so its vectors are still there.
    let since = clock().now();
    let embedded = async |space: &Space| after.embedded(space.name()).await.unwrap().0;
    assert_eq!((embedded(&old.space).await, embedded(&new.space).await), (10, 10));
    let later = l9_core::time::Timestamp::from_millis(since.as_millis() + 120_000);
    assert_eq!(after.drop_others(new.space.name(), later).await.unwrap(), 10);
    assert_eq!((embedded(&old.space).await, embedded(&new.space).await), (0, 10));
}

/// Of two processes one works, and the other takes over.
async fn two<M: MemoryStore + Embeddable + 'static>(make: impl Fn(&Arc<Groups>) -> M) {
    let embedder = Groups::new("two");
    let (one, other) = (Arc::new(make(&embedder)), Arc::new(make(&embedder)));
    let now = clock().now();
    let space = embedder.space.name();
    assert!(one.claim(space, "one", now).await.unwrap() && one.claim(space, "one", now).await.unwrap());
    assert!(!other.claim(space, "other", now).await.unwrap());
    one.remember(&tenant(), vec![said("a puppy")]).await.unwrap();
    named_worker(Arc::<M>::clone(&other), &embedder, "other").finish().await.unwrap();
    assert_eq!(embedder.texts.load(Ordering::SeqCst), 0, "it is the other's work");
    let later = l9_core::time::Timestamp::from_millis(now.as_millis() + 61_000);
    assert!(other.claim(space, "other", later).await.unwrap());
    // Both search what either made.
    named_worker(Arc::<M>::clone(&other), &embedder, "other").finish().await.unwrap();
    let scope = Scope::tenant(tenant());
    for memory in [&one, &other] {
        assert_eq!(found(&**memory, &scope, Query::new("dog", 5)).await, ["a puppy"]);
    }
}

/// The worker by itself: it notices what is new, and survives an embedder that fails.
async fn runs<M: MemoryStore + Embeddable + 'static>(make: impl Fn(&Arc<Groups>) -> M) {
    let embedder = Groups::new("runs");
    let memory = Arc::new(make(&embedder));
    let worker = Arc::new(worker(Arc::<M>::clone(&memory), &embedder));
    let stop = CancellationToken::new();
    embedder.left.store(0, Ordering::SeqCst);
    memory.remember(&tenant(), vec![said("a puppy")]).await.unwrap();
    let (running, until) = (Arc::clone(&worker), stop.clone());
    let task = tokio::spawn(async move { running.run(until).await });
    wait_for(async || worker.status().await.unwrap().failing.is_some_and(|why| why.contains("nobody"))).await;
    memory.remember(&tenant(), vec![said("another puppy")]).await.unwrap();
    embedder.left.store(usize::MAX, Ordering::SeqCst);
    wait_for(async || {
        let status = worker.status().await.unwrap();
        status.embedded == 2 && status.failing.is_none()
    })
    .await;
    stop.cancel();
    task.await.unwrap();
}

async fn wait_for(holds: impl AsyncFn() -> bool) {
    for _ in 0..400 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it did not come to hold within 20 s");
}

fn in_memory(embedder: &Arc<Groups>) -> in_memory::Memory {
    in_memory::Memory::new(clock(), Arc::new(SystemEntropy)).with_embedder(asking(embedder))
}

#[tokio::test]
async fn vectors_in_memory() {
    all(in_memory).await;
    runs(in_memory).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vectors_in_sqlite() {
    let folders: Vec<_> = (0..4).map(|_| tempfile::tempdir().unwrap()).collect();
    let mut data = Vec::new();
    for folder in &folders {
        data.push(support::open(folder.path()).await);
    }
    let make = |at: usize| {
        let data = &data[at];
        move |embedder: &Arc<Groups>| data.memory().with_embedder(asking(embedder))
    };
    all(make(0)).await;
    changes(make(1)).await;
    two(make(2)).await;
    runs(make(3)).await;
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vectors_in_postgres() {
    let mut nodes = Vec::new();
    for _ in 0..4 {
        nodes.push(support::postgres::open().await);
    }
    let make = |at: usize| {
        let node = &nodes[at];
        move |embedder: &Arc<Groups>| node.memory().with_embedder(asking(embedder))
    };
    all(make(0)).await;
    changes(make(1)).await;
    two(make(2)).await;
    runs(make(3)).await;
}

/// The same with every vector open in the database.
#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs pgvector: scripts/test runs it on PostgreSQL 18"]
async fn vectors_in_postgres_with_pgvector() {
    let mut nodes = Vec::new();
    for _ in 0..4 {
        nodes.push(support::postgres::open_with_pgvector().await);
    }
    let make = |at: usize| {
        let node = &nodes[at];
        move |embedder: &Arc<Groups>| {
            let unsealed = node.unsealed(&[Layer::ShortTerm, Layer::LongTerm], asking(embedder));
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(unsealed))
        }
    };
    all(make(0)).await;
    assert!(nodes[0].sql("SELECT (SELECT count(*) FROM vectors) = 0 AND count(*) > 20 FROM unsealed_vectors") == "t");
    changes(make(1)).await;
    two(make(2)).await;
    runs(make(3)).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vector_is_sealed_for_its_entry_and_goes_with_it() {
    use sqlx::{Connection as _, Row as _};

    let folder = tempfile::tempdir().unwrap();
    let data = support::open(folder.path()).await;
    let embedder = Groups::new("sealed");
    let memory = Arc::new(data.memory().with_embedder(asking(&embedder)));
    let new = vec![said("a puppy"), said("a car")];
    let kept = memory.remember(&tenant(), new).await.unwrap();
    worker(Arc::<l9_memory::sqlite::Memory>::clone(&memory), &embedder).finish().await.unwrap();
    let address = format!("sqlite://{}", folder.path().join("l9.db").display());
    let mut file = sqlx::SqliteConnection::connect(&address).await.unwrap();
    let rows = sqlx::query("SELECT id, sealed FROM vectors").fetch_all(&mut file).await.unwrap();
    let rows: BTreeMap<Vec<u8>, Vec<u8>> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(rows.len(), 2);
    // Moved to another entry, it does not open.
    let other = rows[kept[1].id.as_bytes().as_slice()].clone();
    sqlx::query("UPDATE vectors SET sealed = ? WHERE id = ?")
        .bind(other)
        .bind(kept[0].id.as_bytes().as_slice())
        .execute(&mut file)
        .await
        .unwrap();
    let error = memory.search(&Scope::tenant(tenant()), &Query::new("dog", 1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    for remembered in kept {
        memory.forget(&tenant(), remembered.id).await.unwrap();
    }
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM vectors").fetch_one(&mut file).await.unwrap();
    assert_eq!(left, 0);
}
