//! One seed from its beginning to its end: a world with nodes, clients and trouble; then
//! healing; then quiet, in which everything must have ended and still be there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use l9::journal::Journal as _;
use l9::vault::Vault;
use l9::{Principal, RunId, evidence};

use tokio::sync::mpsc;

use crate::chaos::{strike, trouble};
use crate::clients::Client;
use crate::cluster::Cluster;
use crate::database::{Database, Plant};
use crate::judge::{Broken, Invariant, Judge};
use crate::node::LEASE;
use crate::report::Counts;
use crate::sim::Sim;
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
pub(crate) fn run(seed: u64, plant: Option<Plant>, vault: &Arc<dyn Vault>, all_lines: bool) -> Outcome {
    let timeline = Arc::new(Timeline::default());
    let (sim, aimed) = Sim::new(seed, Arc::clone(&timeline), Judge::new(Arc::clone(vault)));
    let sim = Arc::new(sim);
    // Without tokio's own timers: whoever slept by another clock than the node's would panic.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .on_thread_park(move || timeline.advance())
        .build()
        .expect("a runtime");
    runtime.block_on(live(Arc::clone(&sim), aimed, plant, Arc::clone(vault)));
    drop(runtime);
    let broken = sim.judge(|judge, _| judge.broken().cloned());
    let mut counts = sim.counts();
    counts.seeds = 1;
    counts.violations = u64::from(broken.is_some());
    counts.simulated_seconds = sim.now().as_secs();
    let lines = match (&broken, all_lines) {
        (_, true) => sim.trace(crate::trace::Trace::all),
        (Some(broken), false) => sim.trace(|trace| trace.of(broken.run)),
        (None, false) => Vec::new(),
    };
    Outcome { counts, broken, lines, hash: sim.trace(crate::trace::Trace::hash) }
}

async fn live(sim: Arc<Sim>, aimed: mpsc::Receiver<RunId>, plant: Option<Plant>, vault: Arc<dyn Vault>) {
    let database = Arc::new(Database::new(Arc::clone(&sim), plant));
    let (nodes, clients, calm_at) =
        sim.draw(|random| (random.between(2, 6), random.between(2, 12), random.millis(8_000, 40_000)));
    sim.count(|counts| counts.nodes = nodes);
    let nodes = usize::try_from(nodes).unwrap_or(2);
    let cluster = Arc::new(Cluster::new(Arc::clone(&sim), Arc::clone(&database), Arc::clone(&vault), nodes));
    cluster.boot_all().expect("nodes boot");
    let done = Arc::new(AtomicU64::new(0));
    for number in 0..clients {
        let (client, done) = (Client { cluster: Arc::clone(&cluster), number }, Arc::clone(&done));
        tokio::spawn(async move {
            client.live(calm_at * 2 / 3).await;
            done.fetch_add(1, Ordering::Relaxed);
        });
    }
    tokio::spawn(trouble(Arc::clone(&cluster), calm_at));
    tokio::spawn(strike(Arc::clone(&cluster), aimed, calm_at));
    let mut healed = false;
    loop {
        sim.timeline.sleep(LOOK).await;
        if sim.judge(|judge, _| judge.broken().is_some()) {
            return;
        }
        if !healed && sim.now() >= calm_at {
            healed = true;
            sim.note(None, "everything is healed");
            sim.heal();
            cluster.boot_all().expect("nodes boot");
        }
        let (open, clients_done) = (sim.judge(|judge, _| judge.open()), done.load(Ordering::Relaxed) == clients);
        if healed && clients_done && open.is_empty() {
            break;
        }
        if sim.now() > calm_at + LIVENESS {
            return overdue(&sim, open.first().copied());
        }
    }
    sim.timeline.sleep(QUIET.max(LEASE)).await;
    examine(&sim, &database, &vault).await;
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
    sim.count(|counts| counts.runs = runs.len() as u64);
    for run in runs {
        let row = database.store.run(&tenant, run).await.expect("a run's row");
        let Some(row) = row else {
            return sim.judge(|judge, _| judge.found(Invariant::StartKept, Some(run), "the database lost a run"));
        };
        let records = database.store.read(&tenant, run, 0, usize::MAX).await.expect("a run's records");
        sim.judge(|judge, _| judge.examine(&row, &records));
    }
    let report = evidence::verify(&database.store, &**vault).await.expect("a report");
    if let Some(fault) = report.faults.first() {
        sim.judge(|judge, _| judge.found(Invariant::Linked, Some(fault.run_id), fault.what.clone()));
    }
}
