//! What is PostgreSQL's own: several nodes over one database, the server's clock, and
//! what happens when the server or a connection goes away.
#![cfg(feature = "postgres")]
#![expect(clippy::panic, reason = "a test may fail")]

mod support;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use l9_core::conformance::chain::{artifact, command, tenant, verified};
use l9_core::conformance::{Chain, PlainVault};
use l9_core::digest::{Digest, sha256};
use l9_core::id::{RunId, TenantId};
use l9_core::journal::{Along, Append, Inbox, Journal, Lease, Leases, RunStore, Snapshot, Status};
use l9_core::memory::{MemoryStore, NewEntry, Query, Scope};
use l9_core::time::{Clock, SystemClock};
use l9_core::{Error, ErrorKind};
use l9_memory::postgres::{Database, Settings, Store};
use l9_memory::vault::Keyring;
use l9_services::{Postgres, Stop};
use sqlx::Connection as _;
use support::postgres::{Node, open, open_on};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(150);
/// Long enough to append under on a busy machine.
const LEASE: Duration = Duration::from_millis(1_500);

async fn sleep(duration: Duration) {
    SystemClock::default().sleep(duration).await;
}

async fn created(store: &dyn RunStore, tenant: &TenantId) -> Chain {
    let mut chain = Chain::new(tenant);
    store.create(chain.created()).await.expect("created");
    chain
}

async fn started(store: &dyn RunStore, tenant: &TenantId, owner: &str) -> (Chain, Lease) {
    let chain = created(store, tenant).await;
    let lease = store.acquire(tenant, chain.run, owner, LONG).await.expect("asked").expect("nobody holds it");
    (chain, lease)
}

async fn refused(settings: &Settings) -> Error {
    Database::open(settings).await.expect_err("this database is refused")
}

/// Appends as a driver does: it tries again, and reads the head before it does.
async fn insist(store: &Store, append: Append, end: Digest) -> u32 {
    for faults in 0..200 {
        match store.append(append.clone()).await {
            Ok(_) => return faults,
            Err(error) if error.is_retryable() => sleep(Duration::from_millis(20)).await,
            Err(error) => panic!("{error}"),
        }
        if let Ok(Some(row)) = store.run(&append.tenant, append.run).await
            && row.head.hash == end
        {
            return faults + 1;
        }
    }
    panic!("the server never came back");
}

/// So many runs that append until told to stop; how many faults they met.
async fn busy(node: &Node, stop: &Arc<AtomicBool>, runs: usize) -> Vec<tokio::task::JoinHandle<(Chain, u64, u32)>> {
    let tenant = tenant("busy");
    let mut tasks = Vec::new();
    for _ in 0..runs {
        let (store, stop) = (node.store(), Arc::clone(stop));
        let (mut chain, lease) = started(&store, &tenant, "busy").await;
        tasks.push(tokio::spawn(async move {
            let (mut acknowledged, mut faults) = (1, 0);
            while !stop.load(Ordering::Relaxed) {
                let append = chain.append(&lease, 1, 200);
                faults += insist(&store, append, chain.head.hash).await;
                acknowledged += 1;
            }
            (chain, acknowledged, faults)
        }));
    }
    tasks
}

/// Every acknowledged record is there, once, and every chain verifies; gives the faults.
async fn whole(node: &Node, tasks: Vec<tokio::task::JoinHandle<(Chain, u64, u32)>>) -> u32 {
    let mut all = 0;
    for task in tasks {
        let (chain, acknowledged, faults) = task.await.expect("the run ends well");
        let store = node.store();
        // A connection that was cut while it lay in the pool is noticed by its next user.
        let read = loop {
            match store.read(&chain.tenant, chain.run, 0, 100_000).await {
                Err(error) if error.is_retryable() => sleep(Duration::from_millis(20)).await,
                read => break read.expect("read"),
            }
        };
        assert_eq!((read.len() as u64, verified(&PlainVault, &read)), (acknowledged, chain.head));
        all += faults;
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_that_compete_lose_nothing_and_write_nothing_twice() {
    let one = open().await;
    let two = one.beside().await;
    let tenant = tenant("compete");
    let mut chains = Vec::new();
    for _ in 0..12 {
        chains.push(created(&one.store(), &tenant).await);
    }
    // Each node takes whatever it gets, appends a little, and lets go again.
    let work = async |node: &Node, owner: &str| {
        let (store, mut written) = (node.store(), 0_u64);
        for round in 0..40 {
            let tasks = store.due(5, SHORT).await.expect("due");
            let leases = join_all(tasks.iter().map(|task| store.acquire(&task.tenant, task.run, owner, LONG))).await;
            for lease in leases.into_iter().filter_map(|lease| lease.expect("asked")) {
                let mut chain = Chain::new(&tenant);
                (chain.run, chain.head) = (lease.run, lease.head);
                let (first, second) = (chain.append(&lease, 2, 30), chain.append(&lease, 1, 30));
                let appended = tokio::join!(store.append(first), async {
                    store.renew(owner, LONG).await.expect("renewed");
                });
                appended.0.expect("the lease is held");
                store.append(second).await.expect("the lease is held");
                written += 3;
                store.release(&lease, Some(Duration::ZERO)).await.expect("released");
            }
            if round % 7 == 0 {
                sleep(Duration::from_millis(2)).await;
            }
        }
        written
    };
    let (first, second) = tokio::join!(work(&one, "one"), work(&two, "two"));
    assert!(first > 0 && second > 0, "both nodes worked: {first}, {second}");
    let mut records = 0;
    for chain in &chains {
        let read = two.store().read(&tenant, chain.run, 0, 10_000).await.expect("read");
        let row = one.store().run(&tenant, chain.run).await.expect("read").expect("there");
        assert_eq!((verified(&PlainVault, &read), row.head.next), (row.head, read.len() as u64));
        assert!(read.is_sorted_by_key(|record| record.epoch), "epochs never fall");
        records += read.len() as u64;
    }
    assert_eq!(records, chains.len() as u64 + first + second);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scans_of_several_nodes_hand_out_different_runs() {
    let one = open().await;
    let two = one.beside().await;
    let tenant = tenant("scan");
    let mut runs = HashSet::new();
    for at in 0..60 {
        let chain = created(&one.store(), &tenant).await;
        if at % 2 == 0 {
            // Half of them have an owner that died.
            one.store().acquire(&tenant, chain.run, "dead", Duration::ZERO).await.expect("asked");
        }
        runs.insert(chain.run);
    }
    let (mut handed, stores) = (HashSet::<RunId>::new(), [one.store(), two.store()]);
    for _ in 0..4 {
        let scans = join_all((0..6).map(|at| stores[at % 2].due(5, LONG))).await;
        for task in scans.into_iter().flat_map(|tasks| tasks.expect("due")) {
            assert!(handed.insert(task.run), "{} was handed out twice", task.run);
        }
    }
    assert_eq!(handed, runs);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_of_two_nodes_over_the_same_runs_never_deadlock() {
    let one = open().await;
    let two = one.beside().await;
    let tenant = tenant("deadlock");
    let stores = [one.store(), two.store()];
    let mut runs = Vec::new();
    for _ in 0..24 {
        runs.push(started(&one.store(), &tenant, "one").await);
    }
    for round in 0..15 {
        let mut right = Vec::new();
        let mut asked = Vec::new();
        for (at, (chain, lease)) in runs.iter_mut().enumerate() {
            let mut wrong = chain.clone().append_as(lease.epoch + 1, 1, 30);
            let mut append = chain.append(lease, 1, 30);
            // All of them bring the same artifacts, in no order.
            let shared = |n: usize| artifact(format!("{round} {}", n % 5).as_bytes());
            append.artifacts = vec![shared(at), shared(at + 3)];
            wrong.artifacts = vec![shared(at + 1)];
            right.push(append);
            asked.push(wrong);
        }
        asked.reverse();
        let renewals = (0..4).map(|at| stores[at % 2].renew("one", LONG));
        let (kept, fenced, renewed) = tokio::join!(
            join_all(right.into_iter().enumerate().map(|(at, append)| stores[at % 2].append(append))),
            join_all(asked.into_iter().enumerate().map(|(at, append)| stores[(at + 1) % 2].append(append))),
            join_all(renewals)
        );
        for kept in kept {
            kept.expect("appended");
        }
        fenced.into_iter().for_each(|refused| assert_eq!(refused.expect_err("refused").kind(), ErrorKind::Fenced));
        renewed.into_iter().for_each(|renewed| assert_eq!(renewed.expect("renewed").len(), 24));
    }
    let deadlocks =
        one.server.sql(one.name(), "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()");
    assert_eq!(deadlocks, "0");
}

#[tokio::test]
async fn a_lease_ends_by_the_servers_clock_and_its_run_is_taken_over() {
    let one = open().await;
    let two = one.beside().await;
    let tenant = tenant("clock");
    let mut chain = created(&one.store(), &tenant).await;
    let lease = one.store().acquire(&tenant, chain.run, "one", LEASE).await.unwrap().unwrap();
    one.store().append(chain.append(&lease, 1, 10)).await.unwrap();
    assert_eq!(two.store().acquire(&tenant, chain.run, "two", LONG).await.unwrap(), None);
    sleep(LEASE + SHORT).await;
    assert_eq!(one.store().append(chain.clone().append(&lease, 1, 10)).await.unwrap_err().kind(), ErrorKind::Fenced);
    assert_eq!(one.store().renew("one", LONG).await.unwrap(), [], "what has ended is not renewed");
    assert_eq!(two.store().due(9, Duration::ZERO).await.unwrap().len(), 1);
    let taken = two.store().acquire(&tenant, chain.run, "two", LONG).await.unwrap().unwrap();
    assert_eq!((taken.epoch, taken.expired.is_some()), (lease.epoch + 1, true));
    assert_eq!(one.store().append(chain.clone().append(&lease, 1, 10)).await.unwrap_err().kind(), ErrorKind::Fenced);
    one.store().release(&lease, None).await.unwrap();
    two.store().append(chain.append(&taken, 1, 10)).await.expect("the new owner writes");
}

#[tokio::test]
async fn a_command_is_seen_by_a_release_that_waited_for_it() {
    let node = open().await;
    let tenant = tenant("slip");
    let store = node.store();
    for at in 0..40 {
        let (mut chain, lease) = started(&store, &tenant, "one").await;
        let append = chain.append(&lease, 1, 10);
        let (posted, appended, released) = tokio::join!(
            store.post(&tenant, chain.run, command("x")),
            store.append(append),
            store.release(&lease, None)
        );
        assert!(posted.unwrap());
        // The release may have come before the append.
        appended.map_or_else(|error| assert_eq!(error.kind(), ErrorKind::Fenced), drop);
        released.unwrap();
        let due = store.due(usize::MAX, Duration::ZERO).await.unwrap();
        assert!(due.iter().any(|task| task.run == chain.run), "the command of round {at} is slept over");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_restarts_loses_nothing_it_acknowledged() {
    let node = open_on(&Arc::new(Postgres::start())).await;
    let stop = Arc::new(AtomicBool::new(false));
    let tasks = busy(&node, &stop, 8).await;
    for how in [Stop::Fast, Stop::Crash, Stop::Crash] {
        sleep(Duration::from_millis(300)).await;
        let server = Arc::clone(&node.server);
        tokio::task::spawn_blocking(move || server.restart(how)).await.expect("restarted");
    }
    sleep(Duration::from_millis(300)).await;
    stop.store(true, Ordering::Relaxed);
    assert!(whole(&node, tasks).await > 0, "nobody noticed the restarts");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut_lose_nothing() {
    let node = open().await;
    let stop = Arc::new(AtomicBool::new(false));
    let tasks = busy(&node, &stop, 8).await;
    for _ in 0..10 {
        sleep(Duration::from_millis(60)).await;
        let (server, database) = (Arc::clone(&node.server), node.name().to_owned());
        let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        tokio::task::spawn_blocking(move || server.sql(&database, cut)).await.expect("cut");
    }
    stop.store(true, Ordering::Relaxed);
    assert!(whole(&node, tasks).await > 0, "nobody noticed the cuts");
}

#[tokio::test]
async fn a_run_whose_rows_are_damaged_concerns_nobody_else() {
    let node = open().await;
    let (tenant, store) = (tenant("damaged"), node.store());
    let mut runs = Vec::new();
    for _ in 0..6 {
        runs.push(started(&store, &tenant, "one").await);
    }
    // A record stands where the run's next is to be.
    let run = hex::encode(runs[2].0.run.as_bytes());
    let copy = format!(
        "INSERT INTO records (tenant, run, seq, epoch, at, kind, version, body, commitment, prev, hash) \
         SELECT tenant, run, 1, epoch, at, kind, version, body, commitment, prev, hash FROM records WHERE run = '\\x{run}'"
    );
    let _ = node.server.sql(node.name(), &copy);
    let appends = runs.iter_mut().map(|(chain, lease)| store.append(chain.append(lease, 1, 10)));
    for (at, outcome) in join_all(appends).await.into_iter().enumerate() {
        assert_eq!(outcome.is_err(), at == 2, "run {at}: {outcome:?}");
    }
}

#[tokio::test]
async fn everything_that_goes_with_an_append_goes_with_it() {
    let node = open().await;
    let (tenant, store) = (tenant("whole"), node.store());
    let (mut chain, lease) = started(&store, &tenant, "one").await;
    for id in ["a", "b", "c"] {
        store.post(&tenant, chain.run, command(id)).await.unwrap();
    }
    let mut append = chain.append(&lease, 3, 10);
    append.artifacts = vec![artifact(b"x"), artifact(b"y")];
    append.consumed = vec![command("a").id, command("c").id, command("never-posted").id];
    append.snapshot = Some(Snapshot { head: chain.head, sealed: vec![1; 50_000] });
    assert!(store.append(append.clone()).await.unwrap().commands, "b waits");
    let waiting = || node.server.sql(node.name(), "SELECT sum(waiting) FROM runs");
    assert_eq!(waiting(), "1");
    // A second time nothing happens, and nothing is counted twice.
    assert_eq!(store.append(append).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(waiting(), "1");
    let mut last = chain.append(&lease, 1, 10);
    (last.consumed, last.status) = (vec![command("b").id, command("a").id], Status::Failed);
    assert!(!store.append(last).await.unwrap().commands);
    assert_eq!(waiting(), "0");
    assert_eq!(store.snapshot(&tenant, chain.run).await.unwrap().unwrap().sealed.len(), 50_000);
    assert!(!store.post(&tenant, chain.run, command("a")).await.expect("known, though the run is closed"));
}

#[tokio::test]
async fn databases_that_are_not_of_this_version_are_refused_and_kept() {
    let node = open().await;
    let foreign = node.server.database();
    let foreign_name = foreign.rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
    let _ = node.server.sql(&foreign_name, "CREATE TABLE meta (a text); CREATE TABLE notes (b text)");
    let error = refused(&Settings::at(foreign.as_str())).await;
    assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains("another program"), "{error}");
    let _ = node.server.sql(&foreign_name, "CREATE TABLE runs (a text); CREATE TABLE records (b text)");
    assert_eq!(refused(&Settings::at(foreign.as_str())).await.kind(), ErrorKind::Invalid);

    let _ = node.server.sql(node.name(), "UPDATE meta SET value = '99' WHERE name = 'version'");
    let error = refused(&node.settings()).await;
    assert!(error.kind() == ErrorKind::Newer && error.to_string().contains("99"), "{error}");
    assert!(error.to_string().contains("nothing was written"), "{error}");
    assert_eq!(node.server.sql(node.name(), "SELECT value FROM meta WHERE name = 'version'"), "99");
}

#[tokio::test]
async fn a_server_that_takes_no_writes_is_refused_by_name() {
    let node = open().await;
    let _ =
        node.server.sql("postgres", &format!("ALTER DATABASE {} SET default_transaction_read_only = on", node.name()));
    let error = refused(&node.settings()).await;
    assert!(error.kind() == ErrorKind::Denied && error.to_string().contains("read-only or a standby"), "{error}");
}

#[tokio::test]
async fn whatever_is_wrong_with_the_url_is_named_and_the_password_is_not() {
    let node = open().await;
    let wrong = node.url.replace("word", "hunter2");
    let error = refused(&Settings::at(wrong.as_str())).await;
    assert!(error.kind() == ErrorKind::Denied && error.to_string().contains("password"), "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    let error = refused(&Settings::at(node.server.url("nowhere"))).await;
    assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains("does not exist"), "{error}");
    let error = refused(&Settings::at("postgresql://u:hunter2@127.0.0.1:1/db")).await;
    assert!(error.kind() == ErrorKind::Unavailable && error.to_string().contains("127.0.0.1:1/db"), "{error}");
    let error = refused(&Settings::at("postgresql://u:hunter2@host:port/db")).await;
    assert!(error.kind() == ErrorKind::Invalid && !format!("{error:?}").contains("hunter2"), "{error:?}");
    let error = refused(&Settings { pool_size: 1, ..node.settings() }).await;
    assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains("pool"), "{error}");
    assert!(!format!("{:?} {:?}", node.settings(), node.database).contains("private"), "the password is not shown");
}

#[tokio::test]
async fn all_nodes_have_one_key() {
    let node = open().await;
    let other = Database::open(&node.settings()).await.unwrap();
    assert_eq!(other.key_id(), Some(node.keyring.key_id()));
    let error = other.bind_key(&Keyring::ephemeral().key_id()).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Conflict && error.to_string().contains("share one key file"), "{error}");
}

#[tokio::test]
async fn many_nodes_may_open_an_empty_database_at_once() {
    let server = Postgres::shared();
    let settings = Settings::at(server.database());
    let key = Keyring::ephemeral().key_id();
    let opened = join_all((0..6).map(|_| async {
        let database = Database::open(&settings).await?;
        database.bind_key(&key).await
    }))
    .await;
    opened.into_iter().for_each(|opened| opened.expect("each of them opens it"));
}

#[tokio::test]
async fn a_pool_without_a_free_connection_is_unavailable_after_its_timeout() {
    let node = open().await;
    let settings = Settings { pool_size: 2, pool_timeout_ms: 300, ..node.settings() };
    let database = Database::open(&settings).await.unwrap();
    let (store, tenant) = (Store::new(&database), tenant("pool"));
    let (mut chain, lease) = started(&store, &tenant, "one").await;
    // The one connection that does not append waits for a row that is locked elsewhere.
    let lock = format!("BEGIN; SELECT 1 FROM runs WHERE tenant = '{tenant}' FOR UPDATE; SELECT pg_sleep(1.5)");
    let (server, of) = (Arc::clone(&node.server), node.name().to_owned());
    let locked = tokio::task::spawn_blocking(move || server.sql(&of, &lock));
    sleep(Duration::from_millis(400)).await;
    let (waits, refused) = tokio::join!(store.renew("one", LONG), async {
        sleep(Duration::from_millis(50)).await;
        let clock = SystemClock::default();
        let begun = clock.monotonic();
        (store.run(&tenant, chain.run).await, clock.monotonic() - begun)
    });
    let error = refused.0.expect_err("no connection is free");
    assert!(error.is_retryable() && error.to_string().contains("pool"), "{error}");
    assert!((250..900).contains(&refused.1.as_millis()), "{:?}", refused.1);
    assert_eq!(waits.expect("the lock is let go").len(), 1);
    locked.await.expect("let go");
    // Within this timeout a busy machine may not even connect at the first attempt.
    let append = chain.append(&lease, 1, 10);
    insist(&store, append, chain.head.hash).await;
}

#[tokio::test]
async fn a_closed_database_finishes_what_waits_and_takes_nothing_more() {
    let node = open().await;
    let (store, tenant) = (node.store(), tenant("close"));
    let (mut chain, lease) = started(&store, &tenant, "one").await;
    let append = chain.append(&lease, 1, 10);
    let (appended, ()) = tokio::join!(store.append(append), async {
        tokio::task::yield_now().await;
        node.database.close().await;
    });
    appended.expect("it waited already");
    assert_eq!(store.append(chain.append(&lease, 1, 10)).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(store.ping().await.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_that_remember_at_once_both_find_everything() {
    let one = open().await;
    let two = one.beside().await;
    let (tenant, memories) = (tenant("remember"), [one.memory(), two.memory()]);
    let entry = |text: String| NewEntry { text, ..NewEntry::default() };
    let write = async |at: usize| {
        for round in 0..30 {
            // One entry of each call is the same on both nodes.
            let new = vec![entry(format!("node{at} round{round}")), entry(format!("shared round{round}"))];
            memories[at].remember(&tenant, new).await.expect("remembered");
            // What a node has written it finds, and never a part of the other's.
            let (scope, query) = (Scope::tenant(tenant.clone()), Query::new(format!("round{round}"), 9));
            assert!(memories[at].search(&scope, &query).await.expect("found").len() >= 2);
        }
    };
    tokio::join!(write(0), write(1));
    for memory in &memories {
        let scope = Scope::tenant(tenant.clone());
        assert_eq!(memory.count(&scope).await.unwrap(), 90, "what both wrote is kept once");
        for round in 0..30 {
            let found = memory.search(&scope, &Query::new(format!("round{round}"), 9)).await.unwrap();
            assert_eq!(found.len(), 3, "round {round}");
        }
    }
    let gone = memories[0].search(&Scope::tenant(tenant.clone()), &Query::new("round7", 9)).await.unwrap();
    for hit in &gone {
        assert!(memories[1].forget(&tenant, hit.entry.id).await.unwrap());
    }
    assert!(memories[0].search(&Scope::tenant(tenant.clone()), &Query::new("round7", 9)).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_long_write_of_memories_keeps_its_lease() {
    let node = open().await;
    let (store, memory, tenant) = (node.store(), node.memory(), tenant("laden"));
    let (mut chain, lease) = started(&store, &tenant, "one").await;
    let entry = NewEntry { text: "the quince is ripe".into(), ..NewEntry::default() };
    let (told, write) = memory.prepare(&tenant, vec![entry]).await.unwrap();
    let mut append = chain.append(&lease, 1, 10);
    append.along = vec![Along::Write(write)];
    // Somebody writes the tenant's memories for long.
    let mark = sha256(&[b"l9 memories of ", tenant.as_str().as_bytes()]);
    let mark = i64::from_be_bytes(mark.as_bytes()[..8].try_into().unwrap());
    let mut writer = sqlx::PgConnection::connect(&node.url).await.unwrap();
    sqlx::query("SELECT pg_advisory_lock($1)").bind(mark).execute(&mut writer).await.unwrap();
    let waiting = tokio::spawn({
        let store = node.store();
        async move { store.append(append).await }
    });
    sleep(Duration::from_millis(200)).await;
    assert!(!waiting.is_finished());
    let renewed = tokio::time::timeout(Duration::from_secs(2), store.renew("one", Duration::from_secs(30)));
    assert_eq!(renewed.await.expect("nothing holds the run's row").unwrap().len(), 1);
    sqlx::query("SELECT pg_advisory_unlock($1)").bind(mark).execute(&mut writer).await.unwrap();
    waiting.await.unwrap().unwrap();
    assert!(memory.get(&tenant, told[0].id).await.unwrap().is_some());
}
