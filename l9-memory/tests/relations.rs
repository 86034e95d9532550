//! Relations taken from texts: what the rules are right and wrong about, by sentences that were
//! read by hand; and, over every backend, that what is taken goes wherever its origin goes.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use l9_core::entropy::SystemEntropy;
use l9_core::id::{AgentId, RunId, TenantId};
use l9_core::label::Label;
use l9_core::memory::{
    Entry, Layer, MemoryStore, NewEntry, NewQuarantine, Query, Quota, Relation, Scope, Standing, Suspect, Walk, When,
};
use l9_core::time::{Clock, SystemClock, Timestamp};
use l9_core::{Error, Result};
use l9_memory::embed::{Claimable, Embeddable};
use l9_memory::in_memory;
use l9_memory::relations::{Progress, Read, Readable, Reader, Reading, Rules, Unread, Worker, read};
use uuid::Uuid;

#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod support;

const LABELLED: &str = include_str!("fixtures/relations.txt");

/// The sentences with what they state.
fn labelled() -> Vec<(&'static str, Vec<String>)> {
    let mut sentences: Vec<(&str, Vec<String>)> = Vec::new();
    for line in LABELLED.lines().filter(|line| !line.starts_with('#')) {
        match line.strip_prefix("= ") {
            Some(stated) => sentences.last_mut().unwrap().1.push(stated.to_owned()),
            None => sentences.push((line, Vec::new())),
        }
    }
    sentences
}

#[test]
fn what_the_rules_state_is_right_and_they_do_not_state_everything() {
    let sentences = labelled();
    let without = sentences.iter().filter(|(_, stated)| stated.is_empty()).count();
    assert!(sentences.len() >= 60 && 2 * without >= sentences.len(), "{without} of {}", sentences.len());
    let (mut right, mut wrong, mut missed) = (0, Vec::new(), Vec::new());
    for (text, stated) in &sentences {
        let found: Vec<String> = read(text, None)
            .into_iter()
            .map(|one| format!("{} | {} | {}", one.subject, one.predicate, one.object))
            .collect();
        for one in &found {
            if stated.contains(one) { right += 1 } else { wrong.push(format!("{text} -> {one}")) }
        }
        missed.extend(stated.iter().filter(|one| !found.contains(one)).map(|one| format!("{text} -> {one}")));
    }
    let (precision, recall) =
        (right as f64 / (right + wrong.len()) as f64, right as f64 / (right + missed.len()) as f64);
    println!("{} sentences, {without} of them state nothing", sentences.len());
    println!("precision {precision:.3} ({right} right, {} wrong), recall {recall:.3}", wrong.len());
    println!("wrong: {wrong:#?}\nmissed: {missed:#?}");
    assert!(precision >= 0.95, "precision {precision:.3}: {wrong:#?}");
    assert!(recall >= 0.75, "recall {recall:.3}: {missed:#?}");
}

/// A store and what reads it.
struct Site {
    memory: Arc<dyn MemoryStore>,
    readable: Arc<dyn Readable>,
    embeddable: Arc<dyn Embeddable>,
    clock: Arc<dyn Clock>,
}

impl Site {
    fn of<S: MemoryStore + Readable + Embeddable + 'static>(store: S) -> Self {
        let store = Arc::new(store);
        Self {
            memory: Arc::<S>::clone(&store),
            readable: Arc::<S>::clone(&store),
            embeddable: store,
            clock: Arc::new(SystemClock::default()),
        }
    }

    fn worker(&self, reader: Arc<dyn Reader>) -> Arc<Worker> {
        Arc::new(Worker::new(Arc::clone(&self.readable), reader, Arc::clone(&self.clock), "test"))
    }

    async fn read_all(&self) -> Progress {
        let worker = self.worker(Arc::new(Rules));
        worker.finish().await.unwrap();
        status(&worker, &tenant("viewer")).await
    }

    async fn keep(&self, tenant: &TenantId, entry: NewEntry) -> Uuid {
        self.memory.remember(tenant, vec![entry]).await.unwrap()[0].id
    }

    /// What the graph says around a thing.
    async fn around(&self, tenant: &TenantId, name: &str, when: When) -> Vec<String> {
        let walk = Walk { from: name.into(), hops: 1, predicate: None, when, limit: 99 };
        let edges = self.memory.walk(&Scope::tenant(tenant.clone()), &walk).await.unwrap();
        let told = edges.iter().map(|edge| &edge.relation);
        let mut told: Vec<String> =
            told.map(|one| format!("{} {} {}", one.subject, one.predicate, one.object)).collect();
        told.sort();
        told
    }

    async fn now(&self, tenant: &TenantId) -> Vec<String> {
        self.around(tenant, "Ada", When::default()).await
    }
}

fn said(text: &str) -> NewEntry {
    NewEntry { text: text.into(), ..NewEntry::default() }
}

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

async fn status(worker: &Arc<Worker>, viewer: &TenantId) -> Progress {
    let status = worker.status(viewer, Duration::from_secs(9)).await.unwrap();
    assert_eq!(status.counted_at, None, "it was counted now");
    status
}

/// Every case, each with a tenant of its own.
async fn all(site: &Site) {
    what_is_taken_is_as_its_origin(site).await;
    what_is_taken_goes_with_its_origin(site).await;
    what_is_taken_is_restored_with_its_origin(site).await;
    a_subject_takes_along_what_was_taken(site).await;
    another_version_reads_anew(site).await;
    what_fails_is_told_and_not_asked_again(site).await;
    what_a_run_said_is_kept_with_the_run_alone(site).await;
}

/// Whose it is, about whom, how trusted, when: as its origin; found by the origin's words alone.
async fn what_is_taken_is_as_its_origin(site: &Site) {
    let tenant = tenant("taken-as");
    let at = Timestamp::from_millis(1_600_000_000_000);
    let origin = NewEntry {
        agent: Some(AgentId::new("notes").unwrap()),
        session: Some("monday".into()),
        source: Some("people.md".into()),
        at: Some(at),
        label: Label::untrusted("web"),
        valid_from: Some(at),
        ..said("Ada works at Acme and lives in Lisbon.")
    };
    let id = site.keep(&tenant, origin.clone()).await;
    let short = NewEntry { layer: Layer::ShortTerm, ..said("Ada knows Bob.") };
    site.keep(&tenant, short).await;
    // What states something of itself is not read.
    let relation = Relation { subject: "Eve".into(), predicate: "knows".into(), object: "Tom".into() };
    site.keep(&tenant, NewEntry { relation: Some(relation), ..said("Ada owns Acme.") }).await;
    site.read_all().await;
    site.read_all().await;
    assert_eq!(site.now(&tenant).await, ["Ada lives in Lisbon", "Ada works at Acme"]);
    let scope = Scope::tenant(tenant.clone());
    let walk = Walk { from: "Acme".into(), hops: 1, predicate: None, when: When::default(), limit: 9 };
    let edge = site.memory.walk(&scope, &walk).await.unwrap().pop().unwrap();
    let Entry { entry: taken, .. } = site.memory.get(&tenant, edge.id).await.unwrap().unwrap();
    assert_eq!((taken.text.as_str(), &taken.derived_from), ("Ada works at Acme.", &vec![id]));
    let own =
        |one: &NewEntry| (one.agent.clone(), one.session.clone(), one.label.clone(), one.at, one.valid_from, one.layer);
    assert_eq!(own(&taken), own(&origin));
    let hits = site.memory.search(&scope, &Query::new("works Acme Lisbon", 9)).await.unwrap();
    let hits: Vec<Uuid> = hits.iter().map(|hit| hit.entry.id).collect();
    assert!(hits.contains(&id) && !hits.contains(&edge.id), "{hits:?}");
    let elsewhere = Scope { agent: Some(AgentId::new("other").unwrap()), ..scope };
    assert!(site.memory.walk(&elsewhere, &walk).await.unwrap().is_empty());
    // Nor has it a vector that one by meaning would have to pass over.
    let wanted = site.embeddable.unembedded(&tenant, "space", 0, 99).await.unwrap();
    let all = site.memory.count(&Scope::tenant(tenant.clone())).await.unwrap();
    assert_eq!((all, wanted.len()), (5, 3));
    let (embedded, pending) = site.embeddable.embedded("space").await.unwrap();
    assert_eq!((embedded, pending), (0, 3));
    // Another that states the same states it too, after the first is forgotten.
    site.keep(&tenant, NewEntry { session: Some("tuesday".into()), ..origin }).await;
    site.read_all().await;
    assert!(site.memory.forget(&tenant, id).await.unwrap());
    assert_eq!(site.now(&tenant).await, ["Ada lives in Lisbon", "Ada works at Acme"]);
}

async fn what_is_taken_goes_with_its_origin(site: &Site) {
    let tenant = tenant("taken-along");
    let id = site.keep(&tenant, NewEntry { source: Some("a.md".into()), ..said("Ada works at Acme.") }).await;
    site.read_all().await;
    let stated = ["Ada works at Acme"];
    assert_eq!(site.now(&tenant).await, stated);
    let order = |suspect| NewQuarantine { suspect, reason: "doubt".into(), by: "test".into() };
    for suspect in [Suspect::Entry(id), Suspect::Source("a.md".into())] {
        let done = site.memory.quarantine(&tenant, order(suspect)).await.unwrap();
        assert_eq!(done.entries.len(), 2);
        assert!(site.now(&tenant).await.is_empty());
        site.memory.release(&tenant, done.quarantine.id, "test").await.unwrap();
        assert_eq!(site.now(&tenant).await, stated);
    }
    // What is in quarantine is read once it is released.
    let held = site.memory.quarantine(&tenant, order(Suspect::Source("b.md".into()))).await.unwrap();
    site.keep(&tenant, NewEntry { source: Some("b.md".into()), ..said("Ada knows Bob.") }).await;
    site.read_all().await;
    assert_eq!(site.now(&tenant).await, stated);
    site.memory.release(&tenant, held.quarantine.id, "test").await.unwrap();
    assert_eq!(site.now(&tenant).await, stated);
    site.read_all().await;
    assert_eq!(site.now(&tenant).await, ["Ada knows Bob", "Ada works at Acme"]);
    assert_eq!(site.memory.forget_source(&tenant, "b.md").await.unwrap(), 1);

    let before = site.clock.now();
    site.clock.sleep(Duration::from_millis(5)).await;
    let new = site.memory.supersede(&tenant, id, said("Ada works at Globex.")).await.unwrap();
    assert!(site.now(&tenant).await.is_empty());
    site.read_all().await;
    assert_eq!(site.now(&tenant).await, ["Ada works at Globex"]);
    let then = When { as_of: Some(before), valid_at: None };
    assert_eq!(site.around(&tenant, "Ada", then).await, stated);
    assert!(site.memory.forget(&tenant, new.id).await.unwrap());
    site.memory.reinstate(&tenant, id).await.unwrap();
    site.read_all().await;
    assert_eq!(site.now(&tenant).await, stated);
    assert!(site.memory.forget(&tenant, id).await.unwrap());
    assert!(site.now(&tenant).await.is_empty());
    assert_eq!(site.memory.count(&Scope::tenant(tenant)).await.unwrap(), 0);
}

async fn what_is_taken_is_restored_with_its_origin(site: &Site) {
    let tenant = tenant("taken-back");
    let id = site.keep(&tenant, said("Ada works at Acme.")).await;
    let unread = site.memory.snapshot(&tenant, None, "unread", "test").await.unwrap();
    site.read_all().await;
    let read = site.memory.snapshot(&tenant, None, "read", "test").await.unwrap();
    assert!(site.memory.forget(&tenant, id).await.unwrap());
    assert!(site.now(&tenant).await.is_empty());
    site.memory.restore(&tenant, read.id, "test").await.unwrap();
    assert_eq!(site.now(&tenant).await, ["Ada works at Acme"]);
    // Back to before it was read: it is read again.
    site.memory.restore(&tenant, unread.id, "test").await.unwrap();
    assert!(site.now(&tenant).await.is_empty());
    site.read_all().await;
    assert_eq!(site.now(&tenant).await, ["Ada works at Acme"]);
}

async fn a_subject_takes_along_what_was_taken(site: &Site) {
    let tenant = tenant("taken-subject");
    site.keep(&tenant, NewEntry { subject: Some("ada".into()), ..said("Ada works at Acme.") }).await;
    site.read_all().await;
    let subject = site.memory.subject(&tenant, "ada");
    assert_eq!(site.memory.erase(&tenant, &subject, &[], false).await.unwrap().len(), 2);
    assert!(site.now(&tenant).await.is_empty());
    site.read_all().await;
    assert!(site.now(&tenant).await.is_empty());
}

/// A reader that states one thing of each entry, and counts how often it is asked.
#[derive(Debug)]
struct Fixed {
    name: &'static str,
    read: Result<Read, &'static str>,
    tenant: TenantId,
    asked: Mutex<Vec<Uuid>>,
}

impl Fixed {
    fn new(name: &'static str, tenant: &TenantId, read: Result<Read, &'static str>) -> Arc<Self> {
        Arc::new(Self { name, read, tenant: tenant.clone(), asked: Mutex::default() })
    }
}

#[async_trait]
impl Reader for Fixed {
    fn name(&self) -> &str {
        self.name
    }

    fn batch(&self) -> (usize, usize) {
        (2, 2)
    }

    async fn read(&self, tenant: &TenantId, entry: &Entry) -> Result<Read> {
        if *tenant != self.tenant {
            return Ok(Read::Relations(Vec::new(), Label::default()));
        }
        self.asked.lock().unwrap().push(entry.id);
        self.read.clone().map_err(Error::unavailable)
    }
}

async fn another_version_reads_anew(site: &Site) {
    let tenant = tenant("taken-anew");
    let id = site.keep(&tenant, said("Ada works at Acme.")).await;
    site.read_all().await;
    let knows = Relation { subject: "Ada".into(), predicate: "knows".into(), object: "Acme".into() };
    let next = Fixed::new("next/1", &tenant, Ok(Read::Relations(vec![knows], Label::untrusted("model"))));
    site.worker(Arc::<Fixed>::clone(&next)).finish().await.unwrap();
    site.worker(Arc::<Fixed>::clone(&next)).finish().await.unwrap();
    assert_eq!(*next.asked.lock().unwrap(), [id], "neither twice nor what was taken");
    assert_eq!(site.now(&tenant).await, ["Ada knows Acme"]);
    let walk = Walk { from: "Ada".into(), hops: 1, predicate: None, when: When::default(), limit: 9 };
    let edge = site.memory.walk(&Scope::tenant(tenant.clone()), &walk).await.unwrap().pop().unwrap();
    let taken = site.memory.get(&tenant, edge.id).await.unwrap().unwrap();
    assert_eq!((taken.entry.label, taken.standing), (Label::untrusted("model"), Standing::Current));
    site.read_all().await;
    assert_eq!(site.now(&tenant).await, ["Ada works at Acme"]);
}

async fn what_fails_is_told_and_not_asked_again(site: &Site) {
    let tenant = tenant("taken-fails");
    let id = site.keep(&tenant, said("Ada works at Acme.")).await;
    let away = Fixed::new("away/1", &tenant, Err("nobody is at home"));
    let worker = site.worker(Arc::<Fixed>::clone(&away));
    assert!(worker.finish().await.is_err());
    assert!(worker.finish().await.is_err());
    assert_eq!(away.asked.lock().unwrap().len(), 2, "what may pass is asked again");
    let rude = Fixed::new("rude/1", &tenant, Ok(Read::Failed("it answered nonsense".into())));
    let worker = site.worker(Arc::<Fixed>::clone(&rude));
    worker.finish().await.unwrap();
    worker.finish().await.unwrap();
    assert_eq!(*rude.asked.lock().unwrap(), [id]);
    let others = status(&worker, &self::tenant("viewer")).await;
    assert_eq!((others.failed, others.such_as), (1, None), "what is another's is not told");
    let status = status(&worker, &tenant).await;
    assert_eq!((status.failed, status.pending, status.relations), (1, 0, 0));
    assert_eq!(status.such_as, Some(format!("memory {id}: it answered nonsense")));
}

/// A run that is not there, as one that was erased, brings nothing with it.
async fn what_a_run_said_is_kept_with_the_run_alone(site: &Site) {
    let tenant = tenant("taken-gone");
    let id = site.keep(&tenant, said("Ada works at Acme.")).await;
    let entry = site.memory.get(&tenant, id).await.unwrap().unwrap();
    let knows = Relation { subject: "Ada".into(), predicate: "knows".into(), object: "Acme".into() };
    let run = RunId::from_slice(&[7; 16]).unwrap();
    let reading = Reading::of(&entry, "run/1", Read::Said(run, vec![knows], Label::default()));
    assert_eq!(site.readable.keep_readings(&tenant, "run/1", vec![reading]).await.unwrap(), 0);
    assert!(site.now(&tenant).await.is_empty());
    let progress = site.readable.readings("run/1", &tenant).await.unwrap();
    assert_eq!((progress.read, progress.failed), (1, 1));
    assert!(progress.such_as.unwrap().contains(&run.to_string()));
}

/// What keeps one tenant from being read keeps no other, and what it is, is that tenant's to know.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_tenant_keeps_no_other_from_being_read() {
    let runs = Arc::new(in_memory::Store::default());
    let memory = in_memory::Memory::new(Arc::new(SystemClock::default()), Arc::new(SystemEntropy)).beside(runs);
    let site = Site::of(memory);
    let (away, there) = (tenant("a-away"), tenant("b-there"));
    for tenant in [&away, &there] {
        site.keep(tenant, said("Ada works at Acme.")).await;
    }
    let reader = Fixed::new("away/1", &away, Err("nobody is at home"));
    let worker = site.worker(Arc::<Fixed>::clone(&reader));
    let error = worker.finish().await.unwrap_err();
    assert!(error.message().contains("nobody is at home"));
    assert_eq!(reader.asked.lock().unwrap().len(), 1);
    let status = status(&worker, &there).await;
    assert_eq!((status.read, status.pending), (1, 1), "the other was read");
    let told = status.failing.unwrap();
    assert!(told.contains("other tenants") && !told.contains("home"), "{told}");
    let told = self::status(&worker, &away).await.failing.unwrap();
    assert!(told.contains("nobody is at home"), "{told}");
}

/// A store that counts slowly.
#[derive(Debug)]
struct Slow {
    memory: in_memory::Memory,
    gate: tokio::sync::Semaphore,
}

#[async_trait]
impl Claimable for Slow {
    async fn newest_entry(&self) -> Result<i64> {
        self.memory.newest_entry().await
    }

    async fn remembering_after(&self, position: i64) -> Result<Vec<(TenantId, i64)>> {
        self.memory.remembering_after(position).await
    }

    async fn claim(&self, work: &str, owner: &str, now: Timestamp) -> Result<bool> {
        self.memory.claim(work, owner, now).await
    }
}

#[async_trait]
impl Readable for Slow {
    async fn unread(&self, tenant: &TenantId, reader: &str, after: i64, limit: usize) -> Result<Vec<Unread>> {
        self.memory.unread(tenant, reader, after, limit).await
    }

    async fn keep_readings(&self, tenant: &TenantId, reader: &str, readings: Vec<Reading>) -> Result<u64> {
        self.memory.keep_readings(tenant, reader, readings).await
    }

    async fn readings(&self, reader: &str, viewer: &TenantId) -> Result<Progress> {
        self.gate.acquire().await.unwrap().forget();
        self.memory.readings(reader, viewer).await
    }
}

/// Whoever asks how far it is waits no longer than they said, and hears what was known last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_count_is_not_waited_for() {
    let memory = in_memory::Memory::new(Arc::new(SystemClock::default()), Arc::new(SystemEntropy));
    let (own, soon) = (tenant("own"), Duration::from_millis(20));
    memory.remember(&own, vec![said("Ada works at Acme.")]).await.unwrap();
    let slow = Arc::new(Slow { memory, gate: tokio::sync::Semaphore::new(0) });
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let worker = Arc::new(Worker::new(Arc::<Slow>::clone(&slow), Arc::new(Rules), clock, "test"));
    assert_eq!(worker.status(&own, soon).await, None, "it was never counted");
    // That count goes on, and there is one at a time.
    assert_eq!(worker.status(&own, soon).await, None);
    slow.gate.add_permits(1);
    let known = loop {
        if let Some(known) = worker.status(&own, soon).await {
            break known;
        }
    };
    assert!(known.counted_at.is_some() && known.pending == 1, "{known:?}");
    // A count may still be going on; the one after it is waited for.
    slow.gate.add_permits(2);
    let now = async {
        loop {
            match worker.status(&own, Duration::from_secs(9)).await {
                Some(now) if now.counted_at.is_none() => break now,
                _ => tokio::task::yield_now().await,
            }
        }
    };
    assert_eq!(tokio::time::timeout(Duration::from_secs(20), now).await.unwrap().pending, 1);
}

/// No quota: what is taken counts, and a full tenant keeps no other from being read.
async fn what_is_taken_is_not_refused(site: &Site) {
    let (full, other) = (tenant("full"), tenant("other"));
    for tenant in [&full, &other] {
        site.keep(tenant, said("Ada works at Acme.")).await;
    }
    assert!(site.memory.remember(&full, vec![said("Ada lives in Oslo.")]).await.is_err(), "it is full");
    assert_eq!(site.read_all().await.relations, 2);
    for tenant in [&full, &other] {
        assert_eq!(site.now(tenant).await, ["Ada works at Acme"]);
        assert_eq!(site.memory.usage(Some(tenant), None).await.unwrap().entries, 2);
    }
}

const ONE: Quota = Quota { tenant_entries: Some(1), tenant_bytes: None, agent_entries: None, agent_bytes: None };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relations_under_a_quota_in_memory() {
    let memory = in_memory::Memory::new(Arc::new(SystemClock::default()), Arc::new(SystemEntropy));
    what_is_taken_is_not_refused(&Site::of(memory.with_quota(ONE))).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relations_under_a_quota_in_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let data = support::open(folder.path()).await;
    what_is_taken_is_not_refused(&Site::of(data.memory().with_quota(ONE))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relations_in_memory() {
    let memory = in_memory::Memory::new(Arc::new(SystemClock::default()), Arc::new(SystemEntropy));
    all(&Site::of(memory.beside(Arc::new(in_memory::Store::default())))).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relations_in_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let data = support::open(folder.path()).await;
    all(&Site::of(data.memory())).await;
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relations_in_postgres() {
    let node = support::postgres::open().await;
    all(&Site::of(node.memory())).await;
}
