//! What memory answers of any time is what a naive model says, which keeps the whole state
//! after every deed: no log, no positions, no intervals. On every backend.

#![expect(clippy::unwrap_used, reason = "a test's helpers, whose failure is the test's")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use l9_core::conformance::chain::tenant;
use l9_core::entropy::SystemEntropy;
use l9_core::id::TenantId;
use l9_core::memory::{Expired, Listing, MemoryStore, NewEntry, NewQuarantine, Order, Query, Restored, Scope, Suspect};
use l9_core::time::{Clock, SystemClock, Timestamp};
use proptest::prelude::*;
use uuid::Uuid;

/// A clock that goes on when it is told to.
#[derive(Debug)]
struct Hand(AtomicI64, SystemClock);

#[async_trait]
impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        self.1.monotonic()
    }

    async fn sleep(&self, duration: Duration) {
        self.0.fetch_add(i64::try_from(duration.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

/// When every case begins, and the times in the world that entries speak of.
const START: i64 = 1_000;
const WORLD: [i64; 4] = [10, 20, 30, 5_000];

#[derive(Debug, Clone)]
enum Deed {
    Remember { source: Option<u8>, origin: Option<usize>, from: Option<usize>, to: bool },
    Supersede { old: usize, from: Option<usize> },
    Reinstate(usize),
    Forget(usize),
    ForgetSource(u8),
    QuarantineSource(u8),
    QuarantineEntry(usize),
    Release(usize),
    Snapshot,
    Restore(usize),
    Expire(i64),
    Wait(i64),
}

fn deed() -> impl Strategy<Value = Deed> {
    let (which, source) = (0_usize..12, 0_u8..3);
    let world = || proptest::option::of(0..WORLD.len());
    prop_oneof![
        6 => (proptest::option::of(source.clone()), proptest::option::of(which.clone()), world(), any::<bool>())
            .prop_map(|(source, origin, from, to)| Deed::Remember { source, origin, from, to }),
        4 => (which.clone(), world()).prop_map(|(old, from)| Deed::Supersede { old, from }),
        2 => which.clone().prop_map(Deed::Reinstate),
        3 => which.clone().prop_map(Deed::Forget),
        1 => source.clone().prop_map(Deed::ForgetSource),
        2 => source.prop_map(Deed::QuarantineSource),
        1 => which.clone().prop_map(Deed::QuarantineEntry),
        2 => which.clone().prop_map(Deed::Release),
        3 => Just(Deed::Snapshot),
        3 => which.prop_map(Deed::Restore),
        1 => (0_i64..12).prop_map(Deed::Expire),
        6 => (1_i64..4).prop_map(Deed::Wait),
    ]
}

/// What is said once and for all of an entry.
struct Said {
    id: Uuid,
    source: Option<u8>,
    origin: Option<usize>,
    from: Option<i64>,
    to: Option<i64>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct State {
    forgotten: bool,
    superseded: Option<(usize, i64)>,
    quarantines: BTreeSet<usize>,
}

impl State {
    fn is_current(&self) -> bool {
        *self == Self::default()
    }
}

type States = BTreeMap<usize, State>;

#[derive(Default)]
struct Model {
    said: Vec<Said>,
    now: States,
    /// The whole state after every deed, and when.
    past: Vec<(i64, States)>,
    quarantines: Vec<(Uuid, Suspected, bool)>,
    snapshots: Vec<(Uuid, i64, States)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Suspected {
    Source(u8),
    Entry(usize),
}

impl Model {
    fn is_there(&self, at: usize) -> bool {
        self.now.get(&at).is_some_and(|state| !state.forgotten)
    }

    /// Keeps an entry in the quarantines that concern it.
    fn keep(&mut self, said: Said) {
        let at = self.said.len();
        let concerns = |number: usize, suspected: Suspected| {
            let of_origin = said.origin.is_some_and(|origin| {
                self.now[&origin].quarantines.contains(&number)
                    || self.said[origin].source.is_some_and(|source| suspected == Suspected::Source(source))
            });
            of_origin || said.source.is_some_and(|source| suspected == Suspected::Source(source))
        };
        let standing = self.quarantines.iter().enumerate().filter(|(_, (_, _, stands))| *stands);
        let quarantines = standing.filter(|(number, (_, of, _))| concerns(*number, *of)).map(|(number, _)| number);
        let state = State { quarantines: quarantines.collect(), ..State::default() };
        self.now.insert(at, state);
        self.said.push(said);
    }

    fn quarantine(&mut self, id: Uuid, of: Suspected) {
        let number = self.quarantines.len();
        self.quarantines.push((id, of, true));
        let mut hit = BTreeSet::new();
        for (at, said) in self.said.iter().enumerate() {
            let itself = match of {
                Suspected::Source(source) => said.source == Some(source),
                Suspected::Entry(entry) => entry == at,
            };
            // Whatever an entry derives from was said before it.
            if itself || said.origin.is_some_and(|origin| hit.contains(&origin)) {
                hit.insert(at);
            }
        }
        for at in hit {
            if let Some(state) = self.now.get_mut(&at) {
                state.quarantines.insert(number);
            }
        }
    }

    fn covered(&self, at: usize, since: i64) -> bool {
        let covers = |states: &States| states.get(&at).is_some_and(|state| !state.forgotten);
        self.snapshots.iter().any(|(_, taken, states)| *taken >= since && covers(states))
    }

    fn forget(&mut self, which: &[usize]) -> u64 {
        let there: Vec<usize> = which.iter().copied().filter(|at| self.is_there(*at)).collect();
        for at in &there {
            if self.covered(*at, i64::MIN) {
                self.now.entry(*at).and_modify(|state| state.forgotten = true);
            } else {
                self.now.remove(at);
            }
        }
        there.len() as u64
    }

    fn restore(&mut self, to: usize) {
        let then = self.snapshots[to].2.clone();
        for (at, state) in &mut self.now {
            match then.get(at) {
                None => state.forgotten = true,
                Some(was) => (state.forgotten, state.superseded) = (was.forgotten, was.superseded),
            }
        }
    }

    fn expire(&mut self, before: i64) -> Expired {
        let bare: Vec<usize> = self
            .now
            .iter()
            .filter(|(at, state)| state.forgotten && !self.covered(**at, before))
            .map(|(at, _)| *at)
            .collect();
        bare.iter().for_each(|at| drop(self.now.remove(at)));
        let all = self.snapshots.len();
        self.snapshots.retain(|(_, taken, _)| *taken >= before);
        Expired { snapshots: (all - self.snapshots.len()) as u64, entries: bare.len() as u64, ..Expired::default() }
    }

    /// What was found as of a time, as valid at another.
    fn found(&self, as_of: Option<i64>, valid_at: Option<i64>) -> BTreeSet<Uuid> {
        let nothing = States::new();
        let states = match as_of {
            None => &self.now,
            Some(time) => self.past.iter().rev().find(|(at, _)| *at <= time).map_or(&nothing, |(_, states)| states),
        };
        let passes = |at: &usize, state: &State| {
            let Said { from, to, .. } = self.said[*at];
            let valid = |time: i64| from.is_none_or(|from| from <= time) && to.is_none_or(|to| time < to);
            let superseded = state.superseded.is_some_and(|(_, from)| valid_at.is_none_or(|time| from <= time));
            // Bytes that are gone now are found of no time.
            self.now.contains_key(at)
                && !state.forgotten
                && !superseded
                && state.quarantines.is_empty()
                && valid_at.is_none_or(valid)
        };
        states.iter().filter(|(at, state)| passes(at, state)).map(|(at, _)| self.said[*at].id).collect()
    }
}

async fn entry(model: &Model, source: Option<u8>, origin: Option<usize>) -> NewEntry {
    NewEntry {
        text: format!("heron number {}", model.said.len()),
        source: source.map(|source| format!("source {source}")),
        derived_from: origin.map(|origin| model.said[origin].id).into_iter().collect(),
        ..NewEntry::default()
    }
}

/// Does one deed in both.
async fn both(memory: &dyn MemoryStore, tenant: &TenantId, clock: &Hand, model: &mut Model, deed: &Deed) {
    let now = clock.now().as_millis();
    let known = |at: &usize| *at < model.said.len();
    match deed {
        Deed::Wait(millis) => clock.sleep(Duration::from_millis(millis.unsigned_abs())).await,
        Deed::Remember { source, origin, from, to } => {
            let origin = origin.filter(|at| known(at) && model.is_there(*at));
            let mut new = entry(model, *source, origin).await;
            let from = from.map(|at| WORLD[at]);
            let to = to.then(|| from.unwrap_or(WORLD[0]) + 10);
            (new.valid_from, new.valid_to) = (from.map(Timestamp::from_millis), to.map(Timestamp::from_millis));
            let id = memory.remember(tenant, vec![new]).await.unwrap()[0].id;
            model.keep(Said { id, source: *source, origin, from, to });
        }
        Deed::Supersede { old, from } if known(old) => {
            let mut new = entry(model, None, None).await;
            new.valid_from = from.map(|at| Timestamp::from_millis(WORLD[at]));
            let done = memory.supersede(tenant, model.said[*old].id, new).await;
            let may = model.now.get(old).is_some_and(State::is_current);
            assert_eq!(done.is_ok(), may, "{done:?}");
            if let Ok(kept) = done {
                let from = from.map_or(now, |at| WORLD[at]);
                let by = model.said.len();
                model.now.entry(*old).and_modify(|state| state.superseded = Some((by, from)));
                model.keep(Said { id: kept.id, source: None, origin: None, from: Some(from), to: None });
            }
        }
        Deed::Reinstate(old) if known(old) => {
            let done = memory.reinstate(tenant, model.said[*old].id).await;
            let may = model.now.get(old).is_some_and(|state| !state.forgotten && state.superseded.is_some());
            assert_eq!(done.is_ok(), may, "{done:?}");
            if may {
                model.now.entry(*old).and_modify(|state| state.superseded = None);
            }
        }
        Deed::Forget(at) if known(at) => {
            let done = memory.forget(tenant, model.said[*at].id).await.unwrap();
            assert_eq!(u64::from(done), model.forget(&[*at]));
        }
        Deed::ForgetSource(source) => {
            let of: Vec<usize> = (0..model.said.len()).filter(|at| model.said[*at].source == Some(*source)).collect();
            let done = memory.forget_source(tenant, &format!("source {source}")).await.unwrap();
            assert_eq!(done, model.forget(&of));
        }
        Deed::QuarantineSource(source) => {
            let suspect = Suspect::Source(format!("source {source}"));
            let new = NewQuarantine { suspect, reason: "test".into(), by: "test".into() };
            let done = memory.quarantine(tenant, new).await.unwrap();
            model.quarantine(done.quarantine.id, Suspected::Source(*source));
        }
        Deed::QuarantineEntry(at) if known(at) => {
            let suspect = Suspect::Entry(model.said[*at].id);
            let new = NewQuarantine { suspect, reason: "test".into(), by: "test".into() };
            let done = memory.quarantine(tenant, new).await;
            assert_eq!(done.is_ok(), model.is_there(*at), "{done:?}");
            if let Ok(done) = done {
                model.quarantine(done.quarantine.id, Suspected::Entry(*at));
            }
        }
        Deed::Release(number) if *number < model.quarantines.len() => {
            let (id, _, stands) = model.quarantines[*number];
            let done = memory.release(tenant, id, "test").await;
            assert_eq!(done.is_ok(), stands, "{done:?}");
            model.quarantines[*number].2 = false;
            let mut shown = BTreeSet::new();
            for (at, state) in &mut model.now {
                if state.quarantines.remove(number) && state.is_current() {
                    shown.insert(model.said[*at].id);
                }
            }
            if let Ok(done) = done {
                assert_eq!(done.entries.into_iter().collect::<BTreeSet<_>>(), shown);
            }
        }
        Deed::Snapshot => {
            let id = memory.snapshot(tenant, None, "test", "test").await.unwrap().id;
            model.snapshots.push((id, now, model.now.clone()));
        }
        Deed::Restore(at) if *at < model.snapshots.len() => {
            let before = model.now.clone();
            let Restored { before: marked, .. } = memory.restore(tenant, model.snapshots[*at].0, "test").await.unwrap();
            model.snapshots.push((marked.id, now, before));
            model.restore(*at);
        }
        Deed::Expire(age) => {
            let older_than = Duration::from_millis(age.unsigned_abs());
            let would = memory.expire_snapshots(tenant, older_than, true).await.unwrap();
            let done = memory.expire_snapshots(tenant, older_than, false).await.unwrap();
            assert_eq!((would, done), (done, model.expire(now - age)));
        }
        _ => {}
    }
    model.past.push((clock.now().as_millis(), model.now.clone()));
}

async fn agree(memory: &dyn MemoryStore, clock: &Hand, deeds: &[Deed]) {
    let (tenant, mut model) = (tenant("history"), Model::default());
    let scope = Scope::tenant(tenant.clone());
    for deed in deeds {
        both(memory, &tenant, clock, &mut model, deed).await;
        let current = model.found(None, None);
        let hits = memory.search(&scope, &Query::new("heron", 99)).await.unwrap();
        assert_eq!(hits.into_iter().map(|hit| hit.entry.id).collect::<BTreeSet<_>>(), current, "after {deed:?}");
        let listed = memory.list(&scope, &Listing::new(Order::Oldest, 99)).await.unwrap();
        assert_eq!(listed.items.into_iter().map(|entry| entry.id).collect::<BTreeSet<_>>(), current, "after {deed:?}");
        assert_eq!(memory.count(&scope).await.unwrap(), current.len() as u64);
    }
    let times = model.past.iter().map(|(at, _)| *at).chain([START - 1, i64::MAX >> 1]).collect::<BTreeSet<_>>();
    for as_of in times.into_iter().map(Some).chain([None]) {
        for valid_at in WORLD.into_iter().chain([0, START + 3]).map(Some).chain([None]) {
            let at = |time: Option<i64>| time.map(Timestamp::from_millis);
            let query = Query { as_of: at(as_of), valid_at: at(valid_at), ..Query::new("heron", 99) };
            let hits = memory.search(&scope, &query).await.unwrap();
            let hits: BTreeSet<Uuid> = hits.into_iter().map(|hit| hit.entry.id).collect();
            assert_eq!(hits, model.found(as_of, valid_at), "as of {as_of:?}, valid at {valid_at:?}");
        }
    }
}

fn hand() -> Arc<Hand> {
    Arc::new(Hand(AtomicI64::new(START), SystemClock::default()))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn in_memory(deeds in proptest::collection::vec(deed(), 1..40)) {
        let clock = hand();
        let memory = l9_memory::in_memory::Memory::new(clock.clone(), Arc::new(SystemEntropy));
        runtime().block_on(agree(&memory, &clock, &deeds));
    }
}

#[cfg(feature = "sqlite")]
proptest! {
    #![proptest_config(ProptestConfig { cases: 60, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn in_sqlite(deeds in proptest::collection::vec(deed(), 1..40)) {
        runtime().block_on(async {
            let (folder, clock) = (tempfile::tempdir().expect("a folder"), hand());
            let memory = support::open(folder.path()).await.memory_with(clock.clone(), Arc::new(SystemEntropy));
            agree(&memory, &clock, &deeds).await;
        });
    }
}

#[cfg(feature = "postgres")]
proptest! {
    #![proptest_config(ProptestConfig { cases: 30, max_shrink_iters: 100, ..ProptestConfig::default() })]

    #[test]
    fn in_postgres(deeds in proptest::collection::vec(deed(), 1..40)) {
        thread_local! {
            static HELD: Arc<l9_services::Postgres> = l9_services::Postgres::shared();
        }
        let server = HELD.with(Arc::clone);
        runtime().block_on(async {
            let clock = hand();
            let memory =
                support::postgres::open_on(&server).await.memory_with(clock.clone(), Arc::new(SystemEntropy));
            agree(&memory, &clock, &deeds).await;
        });
    }
}
