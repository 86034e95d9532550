//! The gate in front of the pool: so many calls at once, so much memory at once, and no
//! tenant more than its share.
//!
//! While the pool is full, whoever runs least goes next, and of those who run as little,
//! whoever was let in longest ago. So many tenants that fill the pool hold up one that comes
//! later no longer than until one call of theirs ends, however many calls they have waiting.
//! Within a tenant, who comes first goes first.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use l9_core::id::TenantId;
use tokio::sync::oneshot::{self, Receiver, Sender};

use super::settings::Settings;

/// Memory is counted in units of this many bytes.
const UNIT: u64 = 1 << 20;
/// Tenants that neither run nor wait, and whose last turn is remembered all the same.
const REMEMBERED: usize = 1_000;

/// Admits calls to the pool.
#[derive(Debug)]
pub(super) struct Gate {
    line: Arc<Mutex<Line>>,
    memory: u64,
}

/// A place in the pool; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    line: Arc<Mutex<Line>>,
    tenant: TenantId,
    memory: u64,
}

/// What is free, and who waits.
#[derive(Debug)]
struct Line {
    slots: u32,
    memory: u64,
    share: u32,
    /// How many were let in so far.
    turns: u64,
    waiting: usize,
    tenants: HashMap<TenantId, Tenant>,
}

#[derive(Debug, Default)]
struct Tenant {
    running: u32,
    last_turn: u64,
    waiting: VecDeque<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    memory: u64,
    place: Sender<Place>,
}

impl Gate {
    pub(super) fn new(settings: &Settings) -> Self {
        let memory = settings.total_memory_bytes.div_ceil(UNIT);
        let line = Line {
            slots: settings.calls,
            memory,
            share: settings.calls_per_tenant,
            turns: 0,
            waiting: 0,
            tenants: HashMap::new(),
        };
        Self { line: Arc::new(Mutex::new(line)), memory }
    }

    /// Waits for a place; a caller who gives up leaves the line. `None` only when the gate is
    /// closed.
    pub(super) async fn enter(&self, tenant: &TenantId, memory_bytes: u64) -> Option<Place> {
        match self.ask(tenant, memory_bytes.div_ceil(UNIT).min(self.memory)) {
            Ok(place) => Some(place),
            Err(turn) => turn.await.ok(),
        }
    }

    /// A place, or where one will come.
    fn ask(&self, tenant: &TenantId, memory: u64) -> Result<Place, Receiver<Place>> {
        let mut line = lock(&self.line);
        if line.may_enter(tenant, memory) {
            line.take(tenant, memory);
            return Ok(Place { line: Arc::clone(&self.line), tenant: tenant.clone(), memory });
        }
        let turn = line.join(tenant, memory);
        drop(line);
        // Those before may all wait for what this one does not need.
        let_in(&self.line);
        Err(turn)
    }
}

impl Line {
    /// Whether a call may start now without a look at who waits.
    fn may_enter(&self, tenant: &TenantId, memory: u64) -> bool {
        let running = self.tenants.get(tenant).map_or(0, |tenant| tenant.running);
        self.waiting == 0 && running < self.share && self.slots > 0 && self.memory >= memory
    }

    fn take(&mut self, tenant: &TenantId, memory: u64) {
        self.turns += 1;
        self.slots -= 1;
        self.memory -= memory;
        let turn = self.turns;
        let tenant = self.tenant(tenant);
        tenant.running += 1;
        tenant.last_turn = turn;
    }

    fn join(&mut self, tenant: &TenantId, memory: u64) -> Receiver<Place> {
        let (place, turn) = oneshot::channel();
        let tenant = self.tenant(tenant);
        let before = tenant.waiting.len();
        tenant.waiting.retain(|waiter| !waiter.place.is_closed());
        tenant.waiting.push_back(Waiter { memory, place });
        let after = tenant.waiting.len();
        self.waiting = self.waiting - before + after;
        turn
    }

    fn tenant(&mut self, tenant: &TenantId) -> &mut Tenant {
        self.tenants.entry(tenant.clone()).or_default()
    }

    /// Who is let in next: the first of the tenant that runs least and had its last turn
    /// longest ago. If that one needs more memory than there is, all wait for it.
    fn next(&mut self) -> Option<(TenantId, Waiter)> {
        if self.waiting == 0 || self.slots == 0 {
            return None;
        }
        let mut gone = 0;
        for tenant in self.tenants.values_mut() {
            while tenant.waiting.front().is_some_and(|waiter| waiter.place.is_closed()) {
                tenant.waiting.pop_front();
                gone += 1;
            }
        }
        self.waiting -= gone;
        let may = self.tenants.iter_mut().filter(|(_, tenant)| tenant.running < self.share);
        let next = may.filter(|(_, tenant)| !tenant.waiting.is_empty());
        let (id, tenant) = next.min_by_key(|(_, tenant)| (tenant.running, tenant.last_turn))?;
        let memory = self.memory;
        let waiter = tenant.waiting.pop_front_if(|waiter| waiter.memory <= memory)?;
        self.waiting -= 1;
        Some((id.clone(), waiter))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut line = lock(&self.line);
        line.slots += 1;
        line.memory += self.memory;
        line.tenant(&self.tenant).running -= 1;
        if line.tenants.len() > REMEMBERED {
            line.tenants.retain(|_, tenant| tenant.running > 0 || !tenant.waiting.is_empty());
        }
        drop(line);
        let_in(&self.line);
    }
}

/// Lets in whoever may go next, as long as anybody may.
fn let_in(shared: &Arc<Mutex<Line>>) {
    loop {
        let mut line = lock(shared);
        let Some((tenant, Waiter { memory, place })) = line.next() else { return };
        line.take(&tenant, memory);
        drop(line);
        // A place that nobody takes any more is given back right here.
        drop(place.send(Place { line: Arc::clone(shared), tenant, memory }));
    }
}

fn lock(line: &Mutex<Line>) -> MutexGuard<'_, Line> {
    line.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn tenant(name: &str) -> TenantId {
        TenantId::new(name).unwrap()
    }

    fn at_once(gate: &Gate, name: &str, memory: u64) -> Option<Place> {
        gate.enter(&tenant(name), memory).now_or_never().flatten()
    }

    #[test]
    fn one_tenant_cannot_take_the_whole_pool() {
        let gate = Gate::new(&Settings { calls: 3, calls_per_tenant: 2, ..Settings::default() });
        let first = at_once(&gate, "a", UNIT).unwrap();
        let _second = at_once(&gate, "a", UNIT).unwrap();
        assert!(at_once(&gate, "a", UNIT).is_none());
        let _other = at_once(&gate, "b", UNIT).unwrap();
        assert!(at_once(&gate, "c", UNIT).is_none());
        drop(first);
        assert!(at_once(&gate, "a", UNIT).is_some());
    }

    #[test]
    fn declared_memory_is_bounded_in_sum() {
        let settings = Settings { total_memory_bytes: 300 * UNIT, ..Settings::default() };
        let gate = Gate::new(&settings);
        let first = at_once(&gate, "a", 200 * UNIT).unwrap();
        assert!(at_once(&gate, "a", 200 * UNIT).is_none());
        drop(first);
        assert!(at_once(&gate, "a", 200 * UNIT).is_some());
        // More than there is at all waits for all of it, not for ever.
        assert!(at_once(&gate, "a", 400 * UNIT).is_some());
    }

    #[test]
    fn whoever_runs_least_goes_next_and_who_gave_up_is_passed_over() {
        let gate = Gate::new(&Settings { calls: 2, calls_per_tenant: 2, ..Settings::default() });
        let (one, two) = (at_once(&gate, "a", UNIT).unwrap(), at_once(&gate, "a", UNIT).unwrap());
        let (a, b, c) = (tenant("a"), tenant("b"), tenant("c"));
        let mut greedy = std::pin::pin!(gate.enter(&a, UNIT));
        assert!((&mut greedy).now_or_never().is_none());
        assert!(gate.enter(&c, UNIT).now_or_never().is_none(), "who gives up at once");
        let mut modest = std::pin::pin!(gate.enter(&b, UNIT));
        assert!((&mut modest).now_or_never().is_none());
        drop(one);
        assert!((&mut greedy).now_or_never().is_none(), "who came first runs already");
        let _modest = modest.now_or_never().flatten().unwrap();
        drop(two);
        assert!(greedy.now_or_never().flatten().is_some());
    }
}
