//! What every store of runs must do.

use std::time::Duration;

use futures_util::future::join_all;

use super::chain::{Chain, artifact, command, tenant, verified};
use super::steps::{LONG, ONE, SHORT, TWO, acquired, created, due, kind, sleep, started, started_in};
use super::{PlainVault, dead_letters, leases, subjects};
use crate::ErrorKind;
use crate::digest::{Digest, sha256};
use crate::id::RunId;
use crate::journal::{Along, Append, Artifact, Created, Lease, RunFilter, RunStore, Snapshot, Status};
use crate::memory::{MemoryStore, NewEntry, Query, Scope};
use crate::run::Record;

/// Every case.
pub async fn all(store: &dyn RunStore) {
    a_created_run_is_there_and_due(store).await;
    creating_is_idempotent_by_id_and_by_key(store).await;
    appends_are_dense_and_read_back_as_written(store).await;
    an_append_to_another_head_is_a_conflict_and_writes_nothing(store).await;
    a_stale_epoch_is_fenced(store).await;
    an_ended_lease_is_fenced(store).await;
    a_closed_run_is_left_alone(store).await;
    one_conflict_among_many_appends_concerns_nobody_else(store).await;
    large_appends_are_whole(store).await;
    tenants_are_apart(store).await;
    artifacts_are_kept_with_their_records(store).await;
    recent_records_come_newest_first_and_by_page(store).await;
    runs_are_filtered_and_paged(store).await;
    a_snapshot_comes_with_its_append_and_replaces_the_one_before(store).await;
    an_expired_run_keeps_its_chain_and_its_last_state(store).await;
    subjects::runs_are_erased_with_their_forks(store).await;
    subjects::who_is_told_of_a_subject_is_about_it_at_once(store).await;
    a_fork_begins_where_it_left_its_parent(store).await;
    what_a_fork_shares_does_not_expire(store).await;
    what_comes_along_comes_with_its_append_or_not_at_all(store).await;
    leases::all(store).await;
    dead_letters::all(store).await;
    store.ping().await.expect("the store answers");
}

/// A run that begins and commands to others, in the transaction of an append.
pub async fn what_comes_along_comes_with_its_append_or_not_at_all(store: &dyn RunStore) {
    let (mut chain, lease) = started(store, "along").await;
    let tenant = chain.tenant.clone();
    let (mut sleeper, held) = started_in(store, &tenant).await;
    store.release(&held, None).await.expect("released");
    let (mut ended, last) = started_in(store, &tenant).await;
    let mut closing = ended.append(&last, 1, 10);
    closing.status = Status::Succeeded;
    store.append(closing).await.expect("closed");
    let mut child = Chain::new(&tenant);
    let begin = child.created();
    let bring = |append: &mut Append| {
        append.along = vec![
            Along::Begin(Box::new(begin.clone())),
            Along::Post { run: sleeper.run, command: command("from-another-run"), about: Vec::new() },
            Along::Post { run: ended.run, command: command("too-late"), about: Vec::new() },
            Along::Post { run: Chain::new(&tenant).run, command: command("to-nobody"), about: Vec::new() },
        ];
    };
    // A refused append brings nothing.
    let mut stale = chain.clone();
    drop(stale.append(&lease, 1, 10));
    let mut refused = stale.append(&lease, 1, 10);
    bring(&mut refused);
    assert_eq!(kind(store.append(refused).await), ErrorKind::Conflict);
    assert_eq!(store.run(&tenant, child.run).await.expect("read"), None);
    assert_eq!(store.pending(&tenant, sleeper.run).await.expect("read"), []);
    for _ in 0..2 {
        // The second time everything is there already, and stays as it is.
        let mut append = chain.append(&lease, 2, 10);
        bring(&mut append);
        assert_eq!(store.append(append).await.expect("appended").head, chain.head);
        let row = store.run(&tenant, child.run).await.expect("read").expect("it began");
        assert_eq!((row.status, row.head), (Status::Queued, child.head));
        let waiting: Vec<String> =
            store.pending(&tenant, sleeper.run).await.expect("read").iter().map(|it| it.id.to_string()).collect();
        assert_eq!(waiting, ["from-another-run"]);
    }
    let mut woken = due(store, &tenant).await;
    woken.sort();
    let mut expected = [child.run, sleeper.run];
    expected.sort();
    assert_eq!(woken, expected);
    // The new owner of the sleeper finds the command.
    let lease = acquired(store, &sleeper, TWO, LONG).await;
    assert!(store.append(sleeper.append(&lease, 1, 10)).await.expect("appended").commands);
}

/// A prepared memory is written with an append, or the append is refused.
pub async fn prepared_memories_are_written_with_an_append(store: &dyn RunStore, memory: &dyn MemoryStore) {
    let (mut chain, lease) = started(store, "prepared").await;
    let tenant = chain.tenant.clone();
    let entry = |text: &str, key: Option<&str>| NewEntry {
        text: text.to_owned(),
        key: key.map(str::to_owned),
        ..NewEntry::default()
    };
    let (told, write) = memory
        .prepare(&tenant, vec![entry("the quince is ripe", None), entry("the pear is not", Some("pear"))])
        .await
        .expect("prepared");
    assert!(told.iter().all(|told| !told.duplicate));
    assert_eq!(memory.get(&tenant, told[0].id).await.expect("read"), None, "nothing is written yet");
    let mut append = chain.append(&lease, 1, 10);
    append.along = vec![Along::Write(write)];
    store.append(append).await.expect("appended");
    for told in &told {
        assert!(memory.get(&tenant, told.id).await.expect("read").is_some());
    }
    let hits = memory.search(&Scope::tenant(tenant.clone()), &Query::new("quince", 5)).await.expect("found");
    assert_eq!(hits.iter().map(|hit| hit.entry.id).collect::<Vec<_>>(), [told[0].id]);
    // What is known is told as such, and nothing is written twice.
    let (again, write) = memory.prepare(&tenant, vec![entry("the quince is ripe", None)]).await.expect("prepared");
    assert_eq!((again[0].id, again[0].duplicate), (told[0].id, true));
    let mut append = chain.append(&lease, 1, 10);
    append.along = vec![Along::Write(write)];
    store.append(append).await.expect("appended");
    assert_eq!(memory.count(&Scope::tenant(tenant.clone())).await.expect("counted"), 2);
    let taken = memory.prepare(&tenant, vec![entry("another pear", Some("pear"))]).await;
    assert_eq!(taken.expect_err("the name is taken").kind(), ErrorKind::Conflict);
    // Somebody else keeps the same meanwhile: the whole append is refused, and changes nothing.
    let (_, write) = memory.prepare(&tenant, vec![entry("the medlar rots", None)]).await.expect("prepared");
    memory.remember(&tenant, vec![entry("the medlar rots", None)]).await.expect("kept");
    let before = chain.clone();
    let mut append = chain.append(&lease, 1, 10);
    append.along = vec![Along::Write(write)];
    assert_eq!(kind(store.append(append).await), ErrorKind::Conflict);
    let row = store.run(&tenant, before.run).await.expect("read").expect("there");
    assert_eq!(row.head, before.head);
    assert_eq!(memory.count(&Scope::tenant(tenant)).await.expect("counted"), 3);
}

/// Accepting a run.
pub async fn a_created_run_is_there_and_due(store: &dyn RunStore) {
    let tenant = tenant("created");
    let mut chain = Chain::new(&tenant);
    let row = match store.create(chain.created()).await.expect("created") {
        Created::New(row) => Some(row),
        Created::Existing(_) => None,
    }
    .expect("a new run is new");
    assert_eq!((row.run, row.status, row.epoch, row.head), (chain.run, Status::Queued, 0, chain.head));
    assert_eq!(store.run(&tenant, chain.run).await.expect("read"), Some(row));
    assert_eq!(store.read(&tenant, chain.run, 0, 10).await.expect("read").len(), 1);
    assert_eq!(due(store, &tenant).await, [chain.run]);
    assert!(store.tenants().await.expect("tenants").contains(&tenant));
    assert!(store.run(&tenant, Chain::new(&tenant).run).await.expect("read").is_none());
}

/// A second start is the first one.
pub async fn creating_is_idempotent_by_id_and_by_key(store: &dyn RunStore) {
    let tenant = tenant("idempotent");
    let (mut chain, mut other) = (Chain::new(&tenant), Chain::new(&tenant));
    let mut new = chain.created();
    new.idempotency_key = Some("order 7".into());
    assert!(matches!(store.create(new.clone()).await.expect("created"), Created::New(_)));
    let same = |created: Created| matches!(created, Created::Existing(row) if row.run == chain.run);
    assert!(same(store.create(new).await.expect("by id")));
    let mut by_key = other.created();
    by_key.idempotency_key = Some("order 7".into());
    assert!(same(store.create(by_key.clone()).await.expect("by key")));
    assert!(store.run(&tenant, other.run).await.expect("read").is_none(), "nothing was written");
    assert!(store.read(&tenant, other.run, 0, 10).await.expect("read").is_empty(), "no record was written");
    // The key is the tenant's own, and of many at once one is first.
    let elsewhere = super::chain::tenant("idempotent");
    let mut chains: Vec<Chain> = (0..8).map(|_| Chain::new(&elsewhere)).collect();
    let created = join_all(chains.iter_mut().map(|chain| {
        let mut new = chain.created();
        new.idempotency_key = Some("order 7".into());
        store.create(new)
    }))
    .await;
    let new = created.iter().filter(|created| matches!(created, Ok(Created::New(_)))).count();
    assert_eq!((new, created.iter().filter(|created| created.is_ok()).count()), (1, 8));
}

/// Seqs are dense and bytes come back as they were.
pub async fn appends_are_dense_and_read_back_as_written(store: &dyn RunStore) {
    let (mut chain, lease) = started(store, "dense").await;
    let mut written = store.read(&chain.tenant, chain.run, 0, 10).await.expect("read");
    for count in [1, 3, 1, 7] {
        let append = chain.append(&lease, count, 40);
        written.extend(append.records.clone());
        let appended = store.append(append).await.expect("appended");
        assert_eq!((appended.head, appended.commands), (chain.head, false));
    }
    let read = store.read(&chain.tenant, chain.run, 0, 100).await.expect("read");
    assert_eq!(read, written);
    assert_eq!(verified(&PlainVault, &read), chain.head);
    assert_eq!(store.read(&chain.tenant, chain.run, 5, 2).await.expect("read"), written[5..7]);
    assert!(store.read(&chain.tenant, chain.run, 99, 2).await.expect("read").is_empty());
    let row = store.run(&chain.tenant, chain.run).await.expect("read").expect("there");
    assert_eq!((row.head, row.status, row.epoch), (chain.head, Status::Running, lease.epoch));
}

/// The chain ends elsewhere than the writer thinks.
pub async fn an_append_to_another_head_is_a_conflict_and_writes_nothing(store: &dyn RunStore) {
    let (mut chain, lease) = started(store, "conflict").await;
    let mut fork = chain.clone();
    store.append(chain.append(&lease, 1, 10)).await.expect("appended");
    let lost = fork.append(&lease, 2, 10);
    assert_eq!(kind(store.append(lost.clone()).await), ErrorKind::Conflict);
    // An append that was acknowledged to nobody comes again: nothing is written twice.
    let mut again = chain.clone();
    let append = again.append(&lease, 2, 10);
    store.append(append.clone()).await.expect("appended");
    assert_eq!(kind(store.append(append).await), ErrorKind::Conflict);
    let mut unknown = Chain::new(&chain.tenant);
    drop(unknown.created());
    assert_eq!(kind(store.append(unknown.append_as(1, 1, 10)).await), ErrorKind::NotFound);
    let read = store.read(&chain.tenant, chain.run, 0, 100).await.expect("read");
    assert_eq!((read.len(), verified(&PlainVault, &read)), (4, again.head));
}

/// Whoever lost the lease writes nothing more.
pub async fn a_stale_epoch_is_fenced(store: &dyn RunStore) {
    let (mut chain, lease) = started(store, "fenced").await;
    store.release(&lease, None).await.expect("released");
    assert_eq!(kind(store.append(chain.clone().append(&lease, 1, 10)).await), ErrorKind::Fenced);
    let second = acquired(store, &chain, TWO, LONG).await;
    assert!(second.epoch > lease.epoch);
    assert_eq!(kind(store.append(chain.clone().append(&lease, 1, 10)).await), ErrorKind::Fenced);
    store.append(chain.append(&second, 1, 10)).await.expect("the new owner writes");
    assert_eq!(kind(store.append(chain.clone().append_as(second.epoch + 1, 1, 10)).await), ErrorKind::Fenced);
}

/// A lease that has run out admits nothing, though nobody took it over.
pub async fn an_ended_lease_is_fenced(store: &dyn RunStore) {
    let mut chain = created(store, "ended", 0).await;
    let lease = acquired(store, &chain, ONE, SHORT).await;
    store.append(chain.append(&lease, 1, 10)).await.expect("appended in time");
    sleep(SHORT * 2).await;
    assert_eq!(kind(store.append(chain.append(&lease, 1, 10)).await), ErrorKind::Fenced);
}

/// Nothing follows the end.
pub async fn a_closed_run_is_left_alone(store: &dyn RunStore) {
    let (mut chain, lease) = started(store, "closed").await;
    store.post(&chain.tenant, chain.run, command("early")).await.expect("posted");
    let mut last = chain.append(&lease, 1, 10);
    last.status = Status::Succeeded;
    store.append(last).await.expect("closed");
    assert!(store.append(chain.append(&lease, 1, 10)).await.is_err());
    assert_eq!(store.acquire(&chain.tenant, chain.run, TWO, LONG).await.expect("asked"), None);
    assert_eq!(kind(store.post(&chain.tenant, chain.run, command("late")).await), ErrorKind::Conflict);
    store.release(&lease, Some(Duration::ZERO)).await.expect("releasing is harmless");
    assert!(due(store, &chain.tenant).await.is_empty());
    let row = store.run(&chain.tenant, chain.run).await.expect("read").expect("there");
    assert_eq!((row.status, row.head.next), (Status::Succeeded, 2));
}

/// Appends share a transaction; refusals do not.
pub async fn one_conflict_among_many_appends_concerns_nobody_else(store: &dyn RunStore) {
    let tenant = tenant("group");
    let mut runs = Vec::new();
    for _ in 0..24 {
        runs.push(started_in(store, &tenant).await);
    }
    for round in 0..4 {
        let wrong = round * 5;
        let appends = runs.iter_mut().enumerate().map(|(at, (chain, lease))| {
            let mut append = chain.clone().append(lease, 1 + at % 3, 30);
            if at == wrong {
                append = chain.clone().append_as(lease.epoch + 9, 1, 30);
            } else {
                let last = append.records.last().expect("a record");
                chain.head = last.head();
            }
            store.append(append)
        });
        for (at, outcome) in join_all(appends).await.into_iter().enumerate() {
            assert_eq!(outcome.is_err(), at == wrong, "round {round} run {at}: {outcome:?}");
        }
    }
    for (chain, _) in &runs {
        let read = store.read(&tenant, chain.run, 0, 100).await.expect("read");
        assert_eq!(verified(&PlainVault, &read), chain.head);
    }
}

/// More rows than any one statement takes, and a large body.
pub async fn large_appends_are_whole(store: &dyn RunStore) {
    let (mut chain, lease) = started(store, "large").await;
    let appended = store.append(chain.append(&lease, 700, 20)).await.expect("appended");
    assert_eq!(appended.head.next, 701);
    store.append(chain.append(&lease, 2, 1 << 20)).await.expect("appended");
    let read = store.read(&chain.tenant, chain.run, 0, 1000).await.expect("read");
    assert_eq!((read.len(), verified(&PlainVault, &read)), (703, chain.head));
}

/// The same ids in another tenant are other things.
pub async fn tenants_are_apart(store: &dyn RunStore) {
    let (chain, lease) = started(store, "apart").await;
    let other = tenant("apart");
    let (tenant, run) = (&other, chain.run);
    assert!(store.run(tenant, run).await.expect("read").is_none());
    assert!(store.read(tenant, run, 0, 10).await.expect("read").is_empty());
    assert!(store.recent(tenant, None, 10).await.expect("read").is_empty());
    assert!(store.runs(tenant, &RunFilter::default(), 10).await.expect("read").is_empty());
    assert!(store.pending(tenant, run).await.expect("read").is_empty());
    assert_eq!(kind(store.post(tenant, run, command("x")).await), ErrorKind::NotFound);
    assert_eq!(kind(store.acquire(tenant, run, ONE, LONG).await), ErrorKind::NotFound);
    let foreign = Lease { tenant: other.clone(), ..lease.clone() };
    store.release(&foreign, None).await.expect("nothing happens");
    assert_eq!(store.acquire(&chain.tenant, run, TWO, LONG).await.expect("asked"), None, "still held");
}

/// Artifacts come with the append, once, and not with a refused one.
pub async fn artifacts_are_kept_with_their_records(store: &dyn RunStore) {
    let (mut chain, lease) = started(store, "artifact").await;
    let (kept, lost) = (artifact(b"kept"), artifact(b"lost"));
    let mut append = chain.append(&lease, 1, 10);
    append.artifacts = vec![kept.clone(), kept.clone()];
    store.append(append).await.expect("appended");
    let mut refused = chain.clone().append_as(lease.epoch + 1, 1, 10);
    refused.artifacts = vec![lost.clone()];
    assert!(store.append(refused).await.is_err());
    let mut new = Chain::new(&chain.tenant).created();
    new.artifacts = vec![kept.clone(), artifact(b"first")];
    store.create(new).await.expect("created");
    let tenant = &chain.tenant;
    assert_eq!(store.artifact(tenant, kept.id).await.expect("read"), Some(kept.sealed));
    assert_eq!(store.artifact(tenant, lost.id).await.expect("read"), None);
    assert!(store.artifact(tenant, artifact(b"first").id).await.expect("read").is_some());
    assert_eq!(store.artifact(&super::chain::tenant("artifact"), kept.id).await.expect("read"), None);
}

/// The newest records of all runs.
pub async fn recent_records_come_newest_first_and_by_page(store: &dyn RunStore) {
    let tenant = tenant("recent");
    let (mut one, first) = started_in(store, &tenant).await;
    let (mut two, second) = started_in(store, &tenant).await;
    for _ in 0..3 {
        store.append(one.append(&first, 1, 10)).await.expect("appended");
        store.append(two.append(&second, 1, 10)).await.expect("appended");
    }
    let newest = store.recent(&tenant, None, 3).await.expect("recent");
    let of = |page: &[(u64, Record)]| -> Vec<(RunId, u64)> {
        page.iter().map(|(_, record)| (record.run, record.seq)).collect()
    };
    assert_eq!(of(&newest), [(two.run, 3), (one.run, 3), (two.run, 2)]);
    let next = store.recent(&tenant, newest.last().map(|(position, _)| *position), 100).await.expect("recent");
    assert_eq!(of(&next), [(one.run, 2), (two.run, 1), (one.run, 1), (two.run, 0), (one.run, 0)]);
    assert!(newest.iter().chain(&next).is_sorted_by(|one, other| one.0 > other.0), "positions go down");
}

/// Lists of runs.
pub async fn runs_are_filtered_and_paged(store: &dyn RunStore) {
    let tenant = tenant("list");
    let mut runs = Vec::new();
    for at in 0..5 {
        let mut chain = Chain::new(&tenant);
        let mut new = chain.created();
        new.name = if at % 2 == 0 { "even".into() } else { "odd".into() };
        store.create(new).await.expect("created");
        if at == 3 {
            let lease = acquired(store, &chain, ONE, LONG).await;
            let mut append = chain.append(&lease, 1, 10);
            append.status = Status::Failed;
            store.append(append).await.expect("appended");
        }
        runs.push(chain.run);
    }
    runs.sort_unstable_by(|one, other| other.cmp(one));
    let list = async |filter: RunFilter, limit| -> Vec<RunId> {
        store.runs(&tenant, &filter, limit).await.expect("listed").iter().map(|row| row.run).collect()
    };
    assert_eq!(list(RunFilter::default(), 100).await, runs);
    assert_eq!(list(RunFilter::default(), 2).await, runs[..2]);
    assert_eq!(list(RunFilter { before: Some(runs[1]), ..RunFilter::default() }, 2).await, runs[2..4]);
    assert_eq!(list(RunFilter { name: Some("odd".into()), ..RunFilter::default() }, 9).await.len(), 2);
    assert_eq!(list(RunFilter { status: Some(Status::Failed), ..RunFilter::default() }, 9).await.len(), 1);
    let both = RunFilter { status: Some(Status::Queued), name: Some("odd".into()), ..RunFilter::default() };
    assert_eq!(list(both, 9).await.len(), 1);
}

/// One snapshot a run, as new as its newest append that brought one.
pub async fn a_snapshot_comes_with_its_append_and_replaces_the_one_before(store: &dyn RunStore) {
    let (mut chain, lease) = started(store, "snapshot").await;
    let (tenant, run) = (chain.tenant.clone(), chain.run);
    assert_eq!(store.snapshot(&tenant, run).await.expect("read"), None);
    let mut last = None;
    for sealed in [Some(b"one".to_vec()), None, Some(vec![7; 300_000]), None] {
        let mut append = chain.append(&lease, 1, 10);
        append.snapshot = sealed.map(|sealed| Snapshot { head: chain.head, sealed });
        last = append.snapshot.clone().or(last);
        store.append(append).await.expect("appended");
        assert_eq!(store.snapshot(&tenant, run).await.expect("read"), last);
    }
    let mut refused = chain.clone().append_as(lease.epoch + 1, 1, 10);
    refused.snapshot = Some(Snapshot { head: chain.head, sealed: b"refused".to_vec() });
    assert_eq!(kind(store.append(refused).await), ErrorKind::Fenced);
    assert_eq!(store.snapshot(&tenant, run).await.expect("read"), last);
    assert_eq!(store.snapshot(&super::chain::tenant("snapshot"), run).await.expect("read"), None);
}

/// Bodies go, headers and hashes stay.
pub async fn an_expired_run_keeps_its_chain_and_its_last_state(store: &dyn RunStore) {
    let (mut chain, lease) = started(store, "expire").await;
    let (tenant, run) = (chain.tenant.clone(), chain.run);
    store.append(chain.append(&lease, 2, 10)).await.expect("appended");
    let open = Snapshot { head: chain.head, sealed: b"open".to_vec() };
    assert_eq!(kind(store.expire(&tenant, run, open, &[]).await), ErrorKind::Conflict);
    let mut last = chain.append(&lease, 1, 10);
    last.status = Status::Succeeded;
    let [gone, stays] = ["gone", "stays"].map(|name| sha256(&[run.as_bytes(), name.as_bytes()]));
    last.artifacts.extend([gone, stays].map(|id| Artifact { id, sealed: b"sealed".to_vec() }));
    let at = last.records[0].at;
    store.append(last).await.expect("closed");
    let before = store.read(&tenant, run, 0, 10).await.expect("read");
    let elsewhere = Snapshot { head: before[1].head(), sealed: b"early".to_vec() };
    assert_eq!(kind(store.expire(&tenant, run, elsewhere, &[]).await), ErrorKind::Conflict);
    let snapshot = Snapshot { head: chain.head, sealed: b"last".to_vec() };
    let there = async |id: Digest| store.artifact(&tenant, id).await.expect("read").is_some();
    assert!(there(gone).await && there(stays).await);
    assert_eq!(store.expire(&tenant, run, snapshot.clone(), &[gone]).await.expect("expired"), 4);
    assert!(!there(gone).await && there(stays).await);
    assert_eq!(store.expire(&tenant, run, snapshot.clone(), &[gone]).await.expect("again"), 0);
    assert_eq!(store.snapshot(&tenant, run).await.expect("read"), Some(snapshot.clone()));
    let after = store.read(&tenant, run, 0, 10).await.expect("read");
    for (before, after) in before.iter().zip(after) {
        assert_eq!(Record { body: Vec::new(), ..before.clone() }, after);
    }
    // Bodies come back as they were, and only where the hash is theirs.
    let mut wrong = before.clone();
    wrong[1].hash = Digest::ZERO;
    assert_eq!(store.refill(&tenant, run, wrong).await.expect("refilled"), 3);
    assert_eq!(store.refill(&tenant, run, before.clone()).await.expect("refilled"), 1);
    assert_eq!(store.read(&tenant, run, 0, 10).await.expect("read"), before);
    let unknown = Chain::new(&tenant).run;
    assert_eq!(kind(store.refill(&tenant, unknown, Vec::new()).await), ErrorKind::NotFound);
    assert_eq!(kind(store.expire(&tenant, unknown, snapshot, &[]).await), ErrorKind::NotFound);
    // Old runs are found by the time they ended.
    let ended = async |before| {
        let filter = RunFilter { closed_before: Some(before), ..RunFilter::default() };
        store.runs(&tenant, &filter, 9).await.expect("listed").len()
    };
    assert_eq!((ended(at).await, ended(at.after(Duration::from_millis(1))).await), (0, 1));
}

/// A fork has records of its own from the fork's seq on; the parent stays as it was.
pub async fn a_fork_begins_where_it_left_its_parent(store: &dyn RunStore) {
    let (mut chain, lease) = started(store, "fork").await;
    store.append(chain.append(&lease, 3, 10)).await.expect("appended");
    let row = store.run(&chain.tenant, chain.run).await.expect("read").expect("there");
    assert_eq!(row.fork, None);
    let mut fork = Chain::new(&chain.tenant);
    let parent = store.read(&chain.tenant, chain.run, 0, 10).await.expect("read");
    let (new, point) = fork.forked(&parent[1]);
    let created = store.create(new.clone()).await.expect("created");
    let there = store.run(&chain.tenant, fork.run).await.expect("read").expect("there");
    assert_eq!((there.fork, there.head, there.epoch), (Some(point), fork.head, parent[1].epoch));
    assert_eq!(created, Created::New(there));
    let taken = acquired(store, &fork, TWO, LONG).await;
    assert_eq!((taken.epoch, taken.head), (parent[1].epoch + 1, fork.head));
    store.append(fork.append(&taken, 2, 10)).await.expect("appended");
    let own = store.read(&fork.tenant, fork.run, 0, 10).await.expect("read");
    assert_eq!(own.iter().map(|record| record.seq).collect::<Vec<_>>(), [2, 3, 4]);
    assert_eq!(store.read(&fork.tenant, fork.run, 3, 1).await.expect("read")[0], own[1]);
    let whole = [&parent[..2], &own[..]].concat();
    assert_eq!(verified(&PlainVault, &whole), fork.head);
    assert_eq!(store.run(&chain.tenant, chain.run).await.expect("read"), Some(row), "the parent is as it was");
    let newest = store.recent(&fork.tenant, None, 3).await.expect("recent");
    assert_eq!(newest.iter().map(|(_, record)| record.seq).collect::<Vec<_>>(), [4, 3, 2]);
}

/// Whichever of the two comes first has its way: expiry leaves a forked run whole, and what
/// has expired is not forked any more.
pub async fn what_a_fork_shares_does_not_expire(store: &dyn RunStore) {
    let ended = async |case| {
        let (mut chain, lease) = started(store, case).await;
        let mut last = chain.append(&lease, 3, 10);
        last.status = Status::Succeeded;
        store.append(last).await.expect("closed");
        let snapshot = Snapshot { head: chain.head, sealed: b"last".to_vec() };
        let records = store.read(&chain.tenant, chain.run, 0, 10).await.expect("read");
        (chain, records, snapshot)
    };
    let (chain, records, snapshot) = ended("shared").await;
    let (new, _) = Chain::new(&chain.tenant).forked(&records[1]);
    store.create(new.clone()).await.expect("forked");
    assert_eq!(kind(store.expire(&chain.tenant, chain.run, snapshot, &[]).await), ErrorKind::Conflict);
    assert_eq!(store.read(&chain.tenant, chain.run, 0, 10).await.expect("read"), records);

    let (chain, records, snapshot) = ended("emptied").await;
    store.expire(&chain.tenant, chain.run, snapshot, &[]).await.expect("expired");
    let (late, _) = Chain::new(&chain.tenant).forked(&records[1]);
    assert_eq!(kind(store.create(late.clone()).await), ErrorKind::Expired);
    assert_eq!(store.run(&chain.tenant, late.record.run).await.expect("read"), None);
}
