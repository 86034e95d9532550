//! The backends over a database answer as the one in memory does, whatever is asked.
#![cfg(any(feature = "sqlite", feature = "postgres"))]

mod support;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use l9_core::conformance::Chain;
use l9_core::conformance::chain::{artifact, command, tenant};
use l9_core::entropy::SeededEntropy;
use l9_core::id::{AgentId, RunId, TenantId};
use l9_core::journal::{Append, Journal, Lease, NewRun, RunFilter, RunStore, Status};
use l9_core::memory::{Layer, Listing, MemoryStore, NewEntry, NewQuarantine, Order, Query, Scope, Shown, Suspect};
use l9_core::time::{SeededClock, Timestamp};
use l9_memory::in_memory;
use proptest::prelude::*;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// How many runs the asks are about; the last is not there at first.
const RUNS: usize = 4;

/// What is asked of a store of runs. Numbers choose among what there is.
#[derive(Debug, Clone)]
enum Ask {
    Create { key: Option<u8> },
    Append { run: usize, stale: i8, records: usize, fork: bool, consume: bool, status: u8 },
    Acquire { run: usize },
    Release { run: usize, wake: Option<u16> },
    Post { run: usize, id: u8 },
    Look { run: usize, from: u64, limit: usize },
}

fn ask() -> impl Strategy<Value = Ask> {
    let run = 0..RUNS;
    prop_oneof![
        1 => proptest::option::of(0_u8..3).prop_map(|key| Ask::Create { key }),
        4 => (run.clone(), prop_oneof![8 => Just(0_i8), 1 => -1_i8..2], 1_usize..4, prop::bool::weighted(0.1), any::<bool>(), 0_u8..12)
            .prop_map(|(run, stale, records, fork, consume, status)| Ask::Append { run, stale, records, fork, consume, status }),
        2 => run.clone().prop_map(|run| Ask::Acquire { run }),
        1 => (run.clone(), proptest::option::of(Just(0_u16))).prop_map(|(run, wake)| Ask::Release { run, wake }),
        2 => (run.clone(), 0_u8..4).prop_map(|(run, id)| Ask::Post { run, id }),
        1 => (run, 0_u64..6, 0_usize..6).prop_map(|(run, from, limit)| Ask::Look { run, from, limit }),
    ]
}

/// The leases that one store gave.
type Given = HashMap<RunId, Lease>;

/// The answer of a store, without what two stores may differ in.
async fn answer(store: &dyn RunStore, leases: &mut Given, ask: &Prepared) -> String {
    match ask {
        Prepared::Create(new) => told(store.create((**new).clone()).await),
        Prepared::Append(append) => told(store.append((**append).clone()).await),
        Prepared::Acquire(tenant, run) => {
            let lease = store.acquire(tenant, *run, "oracle", Duration::from_secs(600)).await;
            if let Ok(Some(lease)) = &lease {
                leases.insert(*run, lease.clone());
            }
            told(lease)
        }
        Prepared::Release(run, wake) => match leases.get(run) {
            Some(lease) => told(store.release(lease, *wake).await),
            None => String::new(),
        },
        Prepared::Post(tenant, run, id) => told(store.post(tenant, *run, command(&format!("c{id}"))).await),
        Prepared::Look(tenant, run, from, limit) => {
            let mut seen = told(store.read(tenant, *run, *from, *limit).await);
            seen += &told(store.run(tenant, *run).await);
            seen += &told(store.pending(tenant, *run).await);
            seen += &told(store.runs(tenant, &RunFilter::default(), *limit).await);
            let recent = store.recent(tenant, None, *limit).await;
            seen += &told(recent.map(|recent| recent.into_iter().map(|(_, record)| record).collect::<Vec<_>>()));
            let mut due = store.due(usize::MAX, Duration::ZERO).await.expect("due");
            due.retain(|task| task.tenant == *tenant);
            due.sort_by_key(|task| task.run);
            seen + &format!("{due:?}")
        }
    }
}

fn told<T: std::fmt::Debug>(outcome: l9_core::Result<T>) -> String {
    match outcome {
        Ok(value) => format!("{value:?}"),
        Err(error) => format!("{error:?}"),
    }
}

/// Asks with everything that is random filled in, so that both stores get the same.
enum Prepared {
    Create(Box<NewRun>),
    Append(Box<Append>),
    Acquire(TenantId, RunId),
    Release(RunId, Option<Duration>),
    Post(TenantId, RunId, u8),
    Look(TenantId, RunId, u64, usize),
}

/// Asks the oracle, filling each ask in by what the oracle knows at that time, so that
/// most appends are right and the others wrong in one way.
async fn rehearse(asks: Vec<Ask>) -> (Vec<Prepared>, Vec<String>) {
    let oracle = in_memory::Store::default();
    let tenant = tenant("oracle");
    let mut chains: Vec<Chain> = (0..RUNS).map(|_| Chain::new(&tenant)).collect();
    let (mut prepared, mut answers, mut leases) = (Vec::new(), Vec::new(), Given::new());
    let begin = (0..RUNS - 1).flat_map(|run| [Ask::Create { key: None }, Ask::Acquire { run }]);
    for (at, ask) in begin.chain(asks).enumerate() {
        let ask = match ask {
            Ask::Create { key } => {
                let mut new = match chains.get_mut(at / 2) {
                    Some(chain) => chain.created(),
                    None => Chain::new(&tenant).created(),
                };
                new.idempotency_key = key.map(|key| format!("key {key}"));
                Prepared::Create(Box::new(new))
            }
            Ask::Append { run, stale, records, fork, consume, status } => {
                let mut chain = chains[run].clone();
                let row = oracle.run(&tenant, chain.run).await.expect("the oracle answers");
                if let Some(row) = row.as_ref().filter(|_| !fork) {
                    chain.head = row.head;
                }
                let epoch = row.map_or(0, |row| row.epoch).saturating_add_signed(i64::from(stale));
                let mut append = chain.append_as(epoch, records, 20);
                append.status = match status {
                    0 => Status::Succeeded,
                    1 => Status::Waiting,
                    _ => Status::Running,
                };
                append.artifacts = (status == 2).then(|| artifact(b"shared")).into_iter().collect();
                append.consumed = consume.then(|| command("c1").id).into_iter().collect();
                Prepared::Append(Box::new(append))
            }
            Ask::Acquire { run } => Prepared::Acquire(tenant.clone(), chains[run].run),
            Ask::Release { run, wake } => {
                Prepared::Release(chains[run].run, wake.map(|wake| Duration::from_millis(u64::from(wake))))
            }
            Ask::Post { run, id } => Prepared::Post(tenant.clone(), chains[run].run, id),
            Ask::Look { run, from, limit } => Prepared::Look(tenant.clone(), chains[run].run, from, limit),
        };
        answers.push(answer(&oracle, &mut leases, &ask).await);
        prepared.push(ask);
    }
    (prepared, answers)
}

fn entry() -> impl Strategy<Value = NewEntry> {
    let name = || proptest::option::of(prop_oneof![Just("a".to_owned()), Just("b".to_owned()), Just("A".to_owned())]);
    let words = proptest::collection::vec(
        prop_oneof![
            Just("run"),
            Just("runs"),
            Just("max_retry"),
            Just("the"),
            Just("caf\u{e9}"),
            Just("\u{6771}\u{4eac}"),
            Just("7"),
            Just("x\0y")
        ],
        1..6,
    );
    (words, name(), name(), name(), name(), any::<bool>(), proptest::option::of(0_i64..3)).prop_map(
        |(words, key, agent, session, source, short, at)| NewEntry {
            text: words.join(" "),
            key,
            agent: agent.and_then(|agent| AgentId::new(agent.to_lowercase()).ok()),
            session,
            source,
            layer: if short { Layer::ShortTerm } else { Layer::LongTerm },
            at: at.map(Timestamp::from_millis),
            ..NewEntry::default()
        },
    )
}

#[derive(Debug, Clone)]
enum Deed {
    Remember(Vec<NewEntry>),
    Forget(usize),
    ForgetSource(String),
    Supersede(usize, Box<NewEntry>),
    Reinstate(usize),
    Quarantine(String),
    Release(usize),
    Snapshot(Option<String>),
    Restore(usize),
    List { session: Option<String>, newest: bool, all: bool, limit: usize },
    Search { words: String, agent: Option<String>, session: Option<String>, short: Option<bool>, k: usize },
}

fn deed() -> impl Strategy<Value = Deed> {
    let name = || proptest::option::of(prop_oneof![Just("a".to_owned()), Just("b".to_owned()), Just("z".to_owned())]);
    prop_oneof![
        3 => proptest::collection::vec(entry(), 0..5).prop_map(Deed::Remember),
        1 => (0_usize..20).prop_map(Deed::Forget),
        1 => prop_oneof![Just("a".to_owned()), Just("A".to_owned())].prop_map(Deed::ForgetSource),
        2 => (0_usize..20, entry()).prop_map(|(old, new)| Deed::Supersede(old, Box::new(new))),
        1 => (0_usize..20).prop_map(Deed::Reinstate),
        1 => prop_oneof![Just("a".to_owned()), Just("A".to_owned())].prop_map(Deed::Quarantine),
        1 => (0_usize..3).prop_map(Deed::Release),
        1 => proptest::option::of(Just("a".to_owned())).prop_map(Deed::Snapshot),
        1 => (0_usize..4).prop_map(Deed::Restore),
        1 => (name(), any::<bool>(), any::<bool>(), 0_usize..5)
            .prop_map(|(session, newest, all, limit)| Deed::List { session, newest, all, limit }),
        3 => ("(run|maxRetry|the|cafe\u{301}|\u{6771}|7| ){0,5}", name(), name(), proptest::option::of(any::<bool>()), 0_usize..9)
            .prop_map(|(words, agent, session, short, k)| Deed::Search { words, agent, session, short, k }),
    ]
}

async fn done(memory: &dyn MemoryStore, tenant: &TenantId, deeds: &[Deed]) -> Vec<String> {
    let mut ids = Vec::new();
    let (mut quarantines, mut snapshots) = (Vec::new(), Vec::new());
    let mut out = Vec::new();
    for deed in deeds {
        out.push(match deed {
            Deed::Remember(entries) => {
                let kept = memory.remember(tenant, entries.clone()).await;
                ids.extend(kept.iter().flatten().map(|one| one.id));
                told(kept)
            }
            Deed::Forget(at) => match ids.get(*at) {
                Some(id) => told(memory.forget(tenant, *id).await) + &told(memory.get(tenant, *id).await),
                None => String::new(),
            },
            Deed::ForgetSource(source) => told(memory.forget_source(tenant, source).await),
            Deed::Supersede(old, new) => match ids.get(*old).copied() {
                Some(old) => {
                    let kept = memory.supersede(tenant, old, (**new).clone()).await;
                    ids.extend(kept.iter().map(|one| one.id));
                    told(kept) + &told(memory.get(tenant, old).await)
                }
                None => String::new(),
            },
            Deed::Reinstate(old) => match ids.get(*old) {
                Some(old) => told(memory.reinstate(tenant, *old).await),
                None => String::new(),
            },
            Deed::Quarantine(source) => {
                let suspect = Suspect::Source(source.clone());
                let new = NewQuarantine { suspect, reason: "test".into(), by: "test".into() };
                let done = memory.quarantine(tenant, new).await;
                quarantines.extend(done.iter().map(|done| done.quarantine.id));
                told(done)
            }
            Deed::Release(at) => match quarantines.get(*at) {
                Some(id) => told(memory.release(tenant, *id, "else").await) + &told(memory.quarantines(tenant).await),
                None => String::new(),
            },
            Deed::Snapshot(agent) => {
                let agent = agent.as_ref().and_then(|agent| AgentId::new(agent.as_str()).ok());
                let done = memory.snapshot(tenant, agent, "test", "test").await;
                snapshots.extend(done.iter().map(|done| done.id));
                told(done)
            }
            Deed::Restore(at) => match snapshots.get(*at) {
                Some(id) => {
                    let done = memory.restore(tenant, *id, "else").await;
                    snapshots.extend(done.iter().map(|done| done.before.id));
                    told(done) + &told(memory.snapshots(tenant).await)
                }
                None => String::new(),
            },
            Deed::List { session, newest, all, limit } => {
                let scope = Scope { tenant: tenant.clone(), agent: None, session: session.clone() };
                let order = if *newest { Order::Newest } else { Order::Oldest };
                let shown = if *all { Shown::All } else { Shown::Current };
                let mut listing = Listing { shown, ..Listing::new(order, *limit) };
                let first = memory.list(&scope, &listing).await;
                listing.after = first.iter().find_map(|page| page.next);
                let pages = told(first) + &told(memory.list(&scope, &listing).await);
                pages + &told(memory.sessions(&scope, None, *limit).await)
            }
            Deed::Search { words, agent, session, short, k } => {
                let agent = agent.as_ref().and_then(|agent| AgentId::new(agent.as_str()).ok());
                let scope = Scope { tenant: tenant.clone(), agent, session: session.clone() };
                let layer = short.map(|short| if short { Layer::ShortTerm } else { Layer::LongTerm });
                let query = Query { layer, ..Query::new(words.as_str(), *k) };
                told(memory.search(&scope, &query).await) + &told(memory.count(&scope).await)
            }
        });
    }
    out
}

async fn agree_on_runs(store: &dyn RunStore, asks: Vec<Ask>) -> (Vec<String>, Vec<String>) {
    let (asks, wanted) = rehearse(asks).await;
    let (mut ours, mut leases) = (Vec::new(), Given::new());
    for ask in &asks {
        ours.push(answer(store, &mut leases, ask).await);
    }
    (ours, wanted)
}

/// A clock and an entropy that both stores of a case share.
fn seeded() -> (Arc<SeededClock>, Arc<SeededEntropy>) {
    (Arc::new(SeededClock::new(1)), Arc::new(SeededEntropy::new(1)))
}

#[cfg(feature = "sqlite")]
mod in_sqlite {
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 200, ..ProptestConfig::default() })]

        #[test]
        fn runs_agree(asks in proptest::collection::vec(ask(), 1..60)) {
            let (ours, wanted) = runtime().block_on(async {
                let folder = tempfile::tempdir().expect("a folder");
                agree_on_runs(&support::open(folder.path()).await.store("node").await, asks).await
            });
            prop_assert_eq!(ours, wanted);
        }

        #[test]
        fn memories_agree(deeds in proptest::collection::vec(deed(), 1..25)) {
            let (ours, wanted) = runtime().block_on(async {
                let folder = tempfile::tempdir().expect("a folder");
                let (clock, entropy) = seeded();
                let memory = support::open(folder.path()).await.memory_with(clock.clone(), entropy.clone());
                let oracle = in_memory::Memory::new(clock, entropy);
                let tenant = tenant("oracle");
                (done(&memory, &tenant, &deeds).await, done(&oracle, &tenant, &deeds).await)
            });
            prop_assert_eq!(ours, wanted);
        }
    }
}

#[cfg(feature = "postgres")]
mod in_postgres {
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 100, ..ProptestConfig::default() })]

        #[test]
        fn runs_agree(asks in proptest::collection::vec(ask(), 1..60)) {
            let server = held_server();
            let (ours, wanted) = runtime().block_on(async {
                agree_on_runs(&support::postgres::open_on(&server).await.store(), asks).await
            });
            prop_assert_eq!(ours, wanted);
        }

        #[test]
        fn memories_agree(deeds in proptest::collection::vec(deed(), 1..25)) {
            let server = held_server();
            let (ours, wanted) = runtime().block_on(async {
                let (clock, entropy) = seeded();
                let memory = support::postgres::open_on(&server).await.memory_with(clock.clone(), entropy.clone());
                let oracle = in_memory::Memory::new(clock, entropy);
                let tenant = tenant("oracle");
                (done(&memory, &tenant, &deeds).await, done(&oracle, &tenant, &deeds).await)
            });
            prop_assert_eq!(ours, wanted);
        }
    }

    /// The server of all cases of a test: its thread holds it from the first to the last.
    fn held_server() -> Arc<l9_services::Postgres> {
        thread_local! {
            static HELD: Arc<l9_services::Postgres> = l9_services::Postgres::shared();
        }
        HELD.with(Arc::clone)
    }
}
