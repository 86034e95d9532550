//! One seed from its beginning to its end: a world with nodes, clients and trouble; then
//! healing; then quiet, in which everything must have ended and still be there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use l9::journal::Journal as _;
use l9::vault::Vault;
use l9::{ErrorKind, Principal, RunId, evidence};

use tokio::sync::{Mutex, mpsc};

use crate::arguments::Arguments;
use crate::chaos::{strike, trouble};
use crate::clients::Client;
use crate::cluster::Cluster;
use crate::database::Database;
use crate::judge::{Broken, Invariant, Judge};
use crate::node::LEASE;
use crate::people::Person;
use crate::report::Counts;
use crate::sim::Sim;
use crate::size::Size;
use crate::timeline::Timeline;

/// How long after the healing everything must have ended: the longest wait of a queue's
/// retry, of an effect and of a lease several times over.
const LIVENESS: Duration = Duration::from_secs(120);

/// How long nothing may happen any more at the end, for what comes late.
const QUIET: Duration = Duration::from_secs(8);

/// How often the world is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// What came of a seed.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) counts: Counts,
    pub(crate) broken: Option<Broken>,
    /// What happened to the run concerned, if something broke; everything, if asked for.
    pub(crate) lines: Vec<String>,
    pub(crate) hash: u64,
}

/// Lives through a seed.
pub(crate) fn run(seed: u64, arguments: &Arguments, vault: &Arc<dyn Vault>) -> Outcome {
    let timeline = Arc::new(Timeline::default());
    let (sim, aimed) = Sim::new(seed, Arc::clone(&timeline), Judge::new(Arc::clone(vault)));
    let sim = Arc::new(sim);
    // Without tokio's own timers: whoever slept by another clock than the node's would panic.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .on_thread_park(move || timeline.advance())
        .build()
        .expect("a runtime");
    let database = Arc::new(Database::new(Arc::clone(&sim), arguments.plant));
    let size = sim.draw(|random| Size::draw(random, arguments.nodes));
    runtime.block_on(live(Arc::clone(&sim), aimed, database, size, Arc::clone(vault)));
    drop(runtime);
    let broken = sim.judge(|judge, _| judge.broken().cloned());
    let mut counts = sim.counts();
    counts.seeds = 1;
    counts.violations = u64::from(broken.is_some());
    counts.simulated_seconds = sim.now().as_secs();
    let lines = match (&broken, arguments.trace) {
        (_, true) => sim.trace(crate::trace::Trace::all),
        (Some(broken), false) => sim.trace(|trace| trace.of(broken.run)),
        (None, false) => Vec::new(),
    };
    Outcome { counts, broken, lines, hash: sim.trace(crate::trace::Trace::hash) }
}

async fn live(sim: Arc<Sim>, aimed: mpsc::Receiver<RunId>, database: Arc<Database>, size: Size, vault: Arc<dyn Vault>) {
    let calm_at = sim.draw(|random| random.millis(8_000, 40_000));
    sim.count(|counts| counts.nodes = size.nodes);
    let nodes = usize::try_from(size.nodes).unwrap_or(2);
    let cluster = Arc::new(Cluster::new(Arc::clone(&sim), Arc::clone(&database), Arc::clone(&vault), nodes));
    cluster.boot_all().expect("nodes boot");
    let done = Arc::new(AtomicU64::new(0));
    for number in 0..size.clients {
        let (client, done) = (Client { cluster: Arc::clone(&cluster), number }, Arc::clone(&done));
        tokio::spawn(async move {
            client.live(calm_at * 2 / 3).await;
            done.fetch_add(1, Ordering::Relaxed);
        });
    }
    let busy = people(&cluster, calm_at, size);
    troubles(&cluster, aimed, calm_at, size);
    let mut healed = false;
    loop {
        sim.timeline.sleep(LOOK).await;
        if sim.timeline.is_spun() {
            return sim
                .judge(|judge, _| judge.found(Invariant::Ends, None, "somebody waits for nothing, again and again"));
        }
        if sim.judge(|judge, _| judge.broken().is_some()) {
            return;
        }
        if !healed && sim.now() >= calm_at {
            healed = true;
            sim.note(None, "everything is healed");
            sim.heal();
            cluster.boot_all().expect("nodes boot");
        }
        let all_done = done.load(Ordering::Relaxed) == size.clients && busy.load(Ordering::Relaxed) == 0;
        let (open, forgotten) = sim.judge(|judge, now| (judge.open(), judge.forgotten(calm_at, now)));
        if healed && all_done && open.is_empty() {
            break;
        }
        if let Some((run, what)) = forgotten {
            return sim.judge(|judge, _| judge.found(Invariant::CommandKept, Some(run), what));
        }
        if sim.now() > calm_at + LIVENESS {
            return overdue(&sim, open.first().copied());
        }
    }
    sim.timeline.sleep(QUIET.max(LEASE)).await;
    replay(&cluster).await;
    examine(&sim, &database, &vault).await;
}

/// Lets people loose; tells how much they have under way.
fn people(cluster: &Arc<Cluster>, calm_at: Duration, size: Size) -> Arc<AtomicU64> {
    let (busy, begun, forks) = (Arc::<AtomicU64>::default(), Arc::default(), Arc::new(AtomicU64::new(size.forks)));
    for number in size.clients..size.clients + size.people {
        let client = Client { cluster: Arc::clone(cluster), number };
        let (busy, begun, forks) = (Arc::clone(&busy), Arc::clone(&begun), Arc::clone(&forks));
        tokio::spawn(Person { client, calm_at, busy, begun, forks }.live());
    }
    busy
}

/// Lets trouble loose, each with somebody who strikes where it is aimed at. The first alone has
/// the database away from all.
fn troubles(cluster: &Arc<Cluster>, aimed: mpsc::Receiver<RunId>, calm_at: Duration, size: Size) {
    let aimed = Arc::new(Mutex::new(aimed));
    for number in 0..size.troubles {
        tokio::spawn(trouble(Arc::clone(cluster), calm_at, number == 0));
        tokio::spawn(strike(Arc::clone(cluster), Arc::clone(&aimed), calm_at));
    }
}

/// Opens and replays every run on some node: nothing may leave, and nothing may differ.
async fn replay(cluster: &Cluster) {
    let sim = &cluster.sim;
    let tenant = Principal::local().tenant;
    let left = |counts: &Counts| counts.effects.values().sum::<u64>() + counts.probes + counts.appends;
    let before = left(&sim.counts());
    for stand in sim.judge(|judge, _| judge.stands()) {
        let run = stand.run;
        let Some((_, node)) = cluster.any() else { return };
        match node.engine.show(&tenant, run).await {
            Ok((_, state)) => sim.judge(|judge, _| judge.opened(run, &state)),
            Err(error) => sim.judge(|judge, _| judge.found(Invariant::Folds, Some(run), format!("{error:?}"))),
        }
        sim.count(|counts| counts.replays += 1);
        let fault = match node.engine.replay(&tenant, run, &BTreeMap::new()).await {
            Ok(replayed) => replayed.divergence.map(|divergence| format!("{divergence:?}")),
            Err(error) if error.kind() == ErrorKind::Expired && stand.expired => None,
            Err(error) => Some(format!("{error:?}")),
        };
        if let Some(what) = fault {
            sim.judge(|judge, _| judge.found(Invariant::ReplayPure, Some(run), what));
        }
    }
    if left(&sim.counts()) != before {
        sim.judge(|judge, _| judge.found(Invariant::ReplayPure, None, "something left while runs were replayed"));
    }
}

fn overdue(sim: &Sim, open: Option<RunId>) {
    let what = match open {
        Some(_) => format!("a run has not ended {} s after everything was healed", LIVENESS.as_secs()),
        None => format!("a client has not seen its run end {} s after everything was healed", LIVENESS.as_secs()),
    };
    sim.judge(|judge, _| judge.found(Invariant::Ends, open, what));
}

/// Reads everything once more, past the network.
async fn examine(sim: &Sim, database: &Database, vault: &Arc<dyn Vault>) {
    let tenant = Principal::local().tenant;
    let runs = sim.judge(|judge, _| judge.runs());
    let plans = sim.judge(|judge, _| judge.plans());
    sim.count(|counts| {
        counts.runs = runs.len() as u64;
        (counts.plans, counts.plan_nodes) = plans;
    });
    for run in runs {
        let row = database.store.run(&tenant, run).await.expect("a run's row");
        let Some(row) = row else {
            return sim.judge(|judge, _| judge.found(Invariant::StartKept, Some(run), "the database lost a run"));
        };
        let own = row.own();
        let records = database.store.read(&tenant, run, own, usize::MAX).await.expect("a run's records");
        sim.judge(|judge, _| judge.examine(&row, &records));
    }
    for parent in sim.judge(|judge, _| judge.parents()) {
        let row = database.store.run(&tenant, parent).await.expect("a run's row").expect("a parent");
        let records = database.records(&row).await.expect("a run's records");
        sim.judge(|judge, _| judge.examine_parent(parent, &records));
    }
    let report = evidence::verify(&database.store, &**vault).await.expect("a report");
    if let Some(fault) = report.faults.first() {
        sim.judge(|judge, _| judge.found(Invariant::Linked, Some(fault.run_id), fault.what.clone()));
    }
}
