//! One life of a node: the product's engine, governor, queue and worker, on its own clock
//! and behind its own gate.

use std::sync::Arc;
use std::time::Duration;

use l9::agent::Profiles;
use l9::governor::{self, Baseline, Governor, OnUnknown};
use l9::kernel::{self, Components, Engine};
use l9::model::ModelClients;
use l9::plan::Executor;
use l9::redact::KnownSecrets;
use l9::run::WAIT;
use l9::time::Clock;
use l9::vault::Vault;
use l9::{AgentProfile, Result, in_process, worker};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clock::NodeClock;
use crate::connection::Connection;
use crate::database::Database;
use crate::entropy::SimEntropy;
use crate::gate::Gate;
use crate::model::{self, SimModel};
use crate::queue::SimQueue;
use crate::random::Random;
use crate::sim::Sim;
use crate::tools::{SimRegistry, TOOLS};

/// How long a lease lasts without renewal.
pub(crate) const LEASE: Duration = Duration::from_secs(6);

/// How long a cancelled effect is given.
const GRACE: Duration = Duration::from_millis(500);

/// How many runs of their own the nodes of a plan have under way at once.
const CHILDREN: usize = 2;

/// The agent whose runs are simulated.
pub(crate) const AGENT: &str = "worker";

/// One life of a node.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) gate: Arc<Gate>,
    pub(crate) clock: Arc<NodeClock>,
    pub(crate) engine: Engine,
    drain: CancellationToken,
    worker: JoinHandle<()>,
    renewal: JoinHandle<()>,
}

impl Node {
    /// Starts one, with the clocks that its machine happens to have.
    pub(crate) fn boot(
        sim: &Arc<Sim>,
        database: &Arc<Database>,
        vault: &Arc<dyn Vault>,
        (place, life): (usize, u32),
    ) -> Result<Self> {
        let owner = format!("node-{place}.{life}");
        let gate = Arc::new(Gate::new(owner.clone(), Arc::clone(&sim.timeline)));
        let (start, drift, ahead, concurrency, capacity) = sim.draw(|random| {
            let start = random.millis(0, 1_000_000);
            let (drift, ahead) = (random.between(0, 400), random.between(0, 4_000));
            (start, i64::try_from(drift), i64::try_from(ahead), random.between(1, 8), random.between(2, 40))
        });
        let (drift, ahead) = (drift.unwrap_or(0) - 200, ahead.unwrap_or(0) - 2_000);
        let node_clock = Arc::new(NodeClock::new(Arc::clone(&gate), start, drift, ahead));
        let clock: Arc<dyn Clock> = Arc::<NodeClock>::clone(&node_clock);
        let connection = Connection { sim: Arc::clone(sim), gate: Arc::clone(&gate), database: Arc::clone(database) };
        let store = Arc::new(connection);
        let capacity = usize::try_from(capacity).unwrap_or(2);
        let settings = in_process::Settings { capacity, backoff_max_ms: 4_000, ..in_process::Settings::default() };
        let queue = in_process::Queue::new(settings, Arc::clone(&clock), Arc::new(SimEntropy(Arc::clone(sim))));
        let queue = Arc::new(SimQueue::new(Arc::clone(sim), queue));
        let model = SimModel { sim: Arc::clone(sim), gate: Arc::clone(&gate) };
        let governor = Governor::new(
            Arc::new(SimRegistry::new(sim, &gate)?),
            ModelClients::default().with("sim", Arc::new(model)),
            Arc::new(Baseline),
            Arc::new(KnownSecrets::new(&[])),
            Arc::clone(&clock),
            governor::Settings {
                model_deadline: model::DEADLINE,
                grace: GRACE,
                unknown: on_unknown(sim),
                backoff: backoff(sim),
                ..governor::Settings::default()
            },
        )
        .with_plans(Arc::new(Executor { children: CHILDREN }));
        let parts = Components {
            store: Arc::<Connection>::clone(&store),
            vault: Arc::clone(vault),
            governor: Arc::new(governor),
            queue: Arc::<SimQueue>::clone(&queue),
            profiles: Arc::new(profiles()?),
            clock: Arc::clone(&clock),
            entropy: Arc::new(SimEntropy(Arc::clone(sim))),
        };
        let settings = kernel::Settings { node: format!("node-{place}"), owner, lease: LEASE };
        let engine = Engine::new(parts, settings);
        let concurrency = usize::try_from(concurrency).unwrap_or(1);
        let worker = worker::Worker {
            settings: worker::Settings { concurrency, ..worker::Settings::default() },
            queue,
            leases: store,
            advance: Arc::new(engine.clone()),
            clock,
        };
        let drain = CancellationToken::new();
        let worker = tokio::spawn(worker.run(drain.clone()));
        let renewal = tokio::spawn(engine.clone().renew_leases());
        sim.note(None, format!("{} starts, wall clock {ahead} ms ahead", gate.owner));
        sim.count(|counts| counts.lives += 1);
        Ok(Self { gate, clock: node_clock, engine, drain, worker, renewal })
    }

    /// Ends it at once. What it sent is under way; nothing of it does anything more.
    pub(crate) fn crash(&self) {
        self.gate.die();
        self.worker.abort();
        self.renewal.abort();
    }

    /// Asks it to let go of everything and end.
    pub(crate) fn drain(&self) {
        self.engine.drain();
        self.drain.cancel();
    }

    pub(crate) fn is_drained(&self) -> bool {
        self.worker.is_finished()
    }
}

/// How long an attempt that failed for now is waited for in this seed: long enough, in some, for
/// the run to be stopped meanwhile.
fn backoff(sim: &Sim) -> Duration {
    Duration::from_millis(*Random::of(sim.seed, &[0xbac_0ff]).pick(&[500, 500, 5_000]))
}

/// Who decides upon unknown writes in this seed: people in most.
fn on_unknown(sim: &Sim) -> OnUnknown {
    *Random::of(sim.seed, &[0x0dec_1de5]).pick(&[OnUnknown::Wait, OnUnknown::Wait, OnUnknown::Tell])
}

fn profiles() -> Result<Profiles> {
    let mut profile = AgentProfile::new(AGENT)?.with_model("sim")?.with_tool(WAIT)?;
    for (tool, ..) in TOOLS {
        profile = profile.with_tool(tool)?;
    }
    profile.limits.parallel_tools = 64;
    let profiles = Profiles::default();
    profiles.put(profile)?;
    Ok(profiles)
}
