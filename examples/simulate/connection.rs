//! A node's connection to the database, over a network that loses requests, loses answers
//! to what was carried out, delivers late, and cuts nodes off. A request that is under way
//! outlives whoever sent it.

use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use l9::digest::Digest;
use l9::id::{RunId, TenantId};
use l9::journal::{
    Append, Appended, Created, DeadLetter, DeadLetters, Inbox, Journal, Lease, Leases, NewRun, RunFilter, RunRow,
    Snapshot, StoredCommand,
};
use l9::queue::Task;
use l9::run::Record;
use l9::stop::{Scope, StoredStop};
use l9::{Error, Result};
use tokio::sync::oneshot;

use crate::database::Database;
use crate::gate::Gate;
use crate::sim::Sim;

/// One node's connection.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    pub(crate) sim: Arc<Sim>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) database: Arc<Database>,
}

/// What becomes of one exchange.
#[derive(Debug)]
pub(crate) struct Fate {
    /// How long the request takes; `None` if it never arrives.
    pub(crate) there: Option<Duration>,
    /// How long the answer takes; `None` if it never arrives.
    pub(crate) back: Option<Duration>,
    /// After how long the sender gives up what is not answered.
    pub(crate) patience: Duration,
}

impl Fate {
    /// Draws what becomes of an exchange that begins now.
    pub(crate) fn draw(sim: &Sim, gate: &Gate) -> Self {
        let (weather, cut) = (sim.weather(), gate.cut_until().map(|until| until - sim.now()));
        let fate = sim.draw(|random| {
            let slow = random.chance(weather.slow);
            let mut leg =
                || if slow { random.millis(2, 2_400) } else { Duration::from_micros(random.between(40, 900)) };
            let (there, back) = (leg(), leg());
            let patience = random.millis(50, 3_000);
            let late = random.chance(weather.late_requests);
            if let Some(cut) = cut {
                // What was sent into a partition may come out of it when it ends.
                return Self { there: late.then_some(cut + there), back: None, patience };
            }
            if random.chance(weather.lost_requests) {
                return Self { there: None, back: None, patience };
            }
            if late {
                let there = patience + random.millis(0, 5_000);
                return Self { there: Some(there), back: None, patience };
            }
            let back = (!random.chance(weather.lost_answers)).then_some(back);
            Self { there: Some(there), back, patience }
        });
        sim.count(|counts| match &fate {
            Self { there: None, .. } => counts.lost_requests += 1,
            Self { there: Some(there), back: None, patience } if there > patience => counts.late_requests += 1,
            Self { back: None, .. } => counts.lost_acknowledgements += 1,
            _ => {}
        });
        fate
    }
}

/// Has a request carried to where it is handled and its answer back. `None` when no answer
/// came in time, whether or not the request was handled.
pub(crate) async fn exchange<T: Send + 'static>(
    gate: &Arc<Gate>,
    fate: Fate,
    request: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let (sender, receiver) = oneshot::channel();
    let Fate { there, back, patience } = fate;
    if let Some(there) = there {
        let gate = Arc::clone(gate);
        tokio::spawn(async move {
            gate.timeline.sleep(there).await;
            let answer = request.await;
            if let Some(back) = back {
                gate.timeline.sleep(back).await;
                if gate.cut_until().is_none() {
                    // Whoever asked may have given up.
                    let _ = sender.send(answer);
                }
            }
        });
    }
    // Nobody gives up what is answered: the time of an answer is drawn as well.
    let patience = if back.is_some() { Duration::from_secs(5) } else { patience };
    let answered = async {
        match receiver.await {
            Ok(answer) => answer,
            Err(_) => pending().await,
        }
    };
    let answer = tokio::select! {
        biased;
        answer = answered => Some(answer),
        () = gate.timeline.sleep(patience) => None,
    };
    gate.pass().await;
    answer
}

impl Connection {
    async fn ask<T: Send + 'static>(
        &self,
        what: &'static str,
        request: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.gate.pass().await;
        let fate = Fate::draw(&self.sim, &self.gate);
        let answer = exchange(&self.gate, fate, request).await;
        answer.unwrap_or_else(|| Err(Error::unavailable(format!("no answer from the database to {what}"))))
    }
}

#[async_trait]
impl Journal for Connection {
    async fn create(&self, new: NewRun) -> Result<Created> {
        let database = Arc::clone(&self.database);
        self.ask("create", async move { database.create(new).await }).await
    }

    async fn append(&self, append: Append) -> Result<Appended> {
        let database = Arc::clone(&self.database);
        self.ask("append", async move { database.append(append).await }).await
    }

    async fn read(&self, tenant: &TenantId, run: RunId, from: u64, limit: usize) -> Result<Vec<Record>> {
        let (database, tenant) = (Arc::clone(&self.database), tenant.clone());
        self.ask("read", async move { database.store.read(&tenant, run, from, limit).await }).await
    }

    async fn snapshot(&self, tenant: &TenantId, run: RunId) -> Result<Option<Snapshot>> {
        let (database, tenant) = (Arc::clone(&self.database), tenant.clone());
        self.ask("snapshot", async move { database.store.snapshot(&tenant, run).await }).await
    }

    async fn expire(&self, tenant: &TenantId, run: RunId, snapshot: Snapshot, gone: &[Digest]) -> Result<u64> {
        let (database, tenant, gone) = (Arc::clone(&self.database), tenant.clone(), gone.to_vec());
        self.ask("expire", async move { database.expire(&tenant, run, snapshot, &gone).await }).await
    }

    async fn about(&self, tenant: &TenantId, subject: &Digest) -> Result<Vec<RunRow>> {
        let (database, tenant, subject) = (Arc::clone(&self.database), tenant.clone(), *subject);
        self.ask("about", async move { database.store.about(&tenant, &subject).await }).await
    }

    async fn erase(&self, tenant: &TenantId, run: RunId, artifacts: &[Digest]) -> Result<u64> {
        let (database, tenant, artifacts) = (Arc::clone(&self.database), tenant.clone(), artifacts.to_vec());
        self.ask("erase", async move { database.store.erase(&tenant, run, &artifacts).await }).await
    }

    async fn refill(&self, tenant: &TenantId, run: RunId, records: Vec<Record>) -> Result<u64> {
        let (database, tenant) = (Arc::clone(&self.database), tenant.clone());
        self.ask("refill", async move { database.store.refill(&tenant, run, records).await }).await
    }

    async fn recent(&self, tenant: &TenantId, before: Option<u64>, limit: usize) -> Result<Vec<(u64, Record)>> {
        let (database, tenant) = (Arc::clone(&self.database), tenant.clone());
        self.ask("recent", async move { database.store.recent(&tenant, before, limit).await }).await
    }

    async fn run(&self, tenant: &TenantId, run: RunId) -> Result<Option<RunRow>> {
        let (database, tenant) = (Arc::clone(&self.database), tenant.clone());
        self.ask("run", async move { database.store.run(&tenant, run).await }).await
    }

    async fn runs(&self, tenant: &TenantId, filter: &RunFilter, limit: usize) -> Result<Vec<RunRow>> {
        let (database, tenant, filter) = (Arc::clone(&self.database), tenant.clone(), filter.clone());
        self.ask("runs", async move { database.store.runs(&tenant, &filter, limit).await }).await
    }

    async fn tenants(&self) -> Result<Vec<TenantId>> {
        let database = Arc::clone(&self.database);
        self.ask("tenants", async move { database.store.tenants().await }).await
    }

    async fn artifact(&self, tenant: &TenantId, id: Digest) -> Result<Option<Vec<u8>>> {
        let (database, tenant) = (Arc::clone(&self.database), tenant.clone());
        self.ask("artifact", async move { database.store.artifact(&tenant, id).await }).await
    }

    async fn ping(&self) -> Result<()> {
        let database = Arc::clone(&self.database);
        self.ask("ping", async move { database.store.ping().await }).await
    }
}

#[async_trait]
impl Leases for Connection {
    async fn acquire(&self, tenant: &TenantId, run: RunId, owner: &str, ttl: Duration) -> Result<Option<Lease>> {
        let (database, tenant, owner) = (Arc::clone(&self.database), tenant.clone(), owner.to_owned());
        self.ask("acquire", async move { database.acquire(&tenant, run, &owner, ttl).await }).await
    }

    async fn renew(&self, owner: &str, ttl: Duration) -> Result<Vec<Lease>> {
        let (database, owner) = (Arc::clone(&self.database), owner.to_owned());
        self.ask("renew", async move { database.renew(&owner, ttl).await }).await
    }

    async fn release(&self, lease: &Lease, wake_in: Option<Duration>) -> Result<()> {
        let (database, lease) = (Arc::clone(&self.database), lease.clone());
        self.ask("release", async move { database.release(&lease, wake_in).await }).await
    }

    async fn due(&self, limit: usize, hold: Duration) -> Result<Vec<Task>> {
        let database = Arc::clone(&self.database);
        self.ask("due", async move { database.store.due(limit, hold).await }).await
    }

    async fn stop(&self, stop: StoredStop) -> Result<StoredStop> {
        let database = Arc::clone(&self.database);
        self.ask("stop", async move { database.store.stop(stop).await }).await
    }

    async fn unstop(&self, scope: &Scope) -> Result<Option<StoredStop>> {
        let (database, scope) = (Arc::clone(&self.database), scope.clone());
        self.ask("unstop", async move { database.store.unstop(&scope).await }).await
    }

    async fn stops(&self) -> Result<Vec<StoredStop>> {
        let database = Arc::clone(&self.database);
        self.ask("stops", async move { database.store.stops().await }).await
    }

    async fn held(&self, scope: &Scope) -> Result<u64> {
        let (database, scope) = (Arc::clone(&self.database), scope.clone());
        self.ask("held", async move { database.store.held(&scope).await }).await
    }
}

#[async_trait]
impl DeadLetters for Connection {
    async fn bury(&self, letter: DeadLetter) -> Result<bool> {
        let database = Arc::clone(&self.database);
        self.ask("bury", async move { database.store.bury(letter).await }).await
    }

    async fn dead(&self, tenant: Option<&TenantId>, limit: usize) -> Result<Vec<DeadLetter>> {
        let (database, tenant) = (Arc::clone(&self.database), tenant.cloned());
        self.ask("dead", async move { database.store.dead(tenant.as_ref(), limit).await }).await
    }

    async fn dead_count(&self, tenant: Option<&TenantId>) -> Result<u64> {
        let (database, tenant) = (Arc::clone(&self.database), tenant.cloned());
        self.ask("dead_count", async move { database.store.dead_count(tenant.as_ref()).await }).await
    }

    async fn redrive(&self, tenant: &TenantId, run: RunId) -> Result<Option<Task>> {
        let (database, tenant) = (Arc::clone(&self.database), tenant.clone());
        self.ask("redrive", async move { database.store.redrive(&tenant, run).await }).await
    }
}

#[async_trait]
impl Inbox for Connection {
    async fn post(&self, tenant: &TenantId, run: RunId, command: StoredCommand) -> Result<bool> {
        let (database, tenant) = (Arc::clone(&self.database), tenant.clone());
        self.ask("post", async move { database.post(&tenant, run, command).await }).await
    }

    async fn pending(&self, tenant: &TenantId, run: RunId) -> Result<Vec<StoredCommand>> {
        let (database, tenant) = (Arc::clone(&self.database), tenant.clone());
        self.ask("pending", async move { database.store.pending(&tenant, run).await }).await
    }
}
