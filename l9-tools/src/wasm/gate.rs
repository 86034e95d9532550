//! The gate in front of the pool: so many calls at once, so much memory at once, and no
//! tenant more than its share.
//!
//! While the pool is full, whoever runs least goes next; of those who run as little, whoever
//! held the fewest places lately; and of those, whoever was let in longest ago. A few places
//! are kept for modest tenants, who lately held less than half of an equal share. So tenants
//! that fill the pool do not hold up one that calls now and then, however many they are and
//! however many calls they have waiting. Within a tenant, who comes first goes first.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use l9_core::id::TenantId;
use l9_core::time::Clock;
use tokio::sync::oneshot::{self, Receiver, Sender};

use super::settings::Settings;

/// Memory is counted in units of this many bytes.
const UNIT: u64 = 1 << 20;
/// Tenants that neither run nor wait, and whose last turn is remembered all the same.
const REMEMBERED: usize = 1_000;
/// Seconds over which the places that a tenant holds are averaged.
const LATELY: f64 = 1.0;
/// One of so many places is kept for modest tenants.
const KEPT: u32 = 8;

/// Admits calls to the pool. Cheap to clone; every clone is the same gate.
#[derive(Debug, Clone)]
pub(super) struct Gate(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    line: Mutex<Line>,
    clock: Arc<dyn Clock>,
    memory: u64,
}

/// A place in the pool; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    gate: Gate,
    tenant: TenantId,
    memory: u64,
}

/// What is free, and who waits.
#[derive(Debug)]
struct Line {
    slots: u32,
    memory: u64,
    /// All places.
    calls: u32,
    share: u32,
    /// How many were let in so far.
    turns: u64,
    waiting: usize,
    tenants: HashMap<TenantId, Tenant>,
}

#[derive(Debug, Default)]
struct Tenant {
    running: u32,
    /// How many places it held lately, on the average, up to `since`.
    held: f64,
    since: Duration,
    last_turn: u64,
    waiting: VecDeque<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    memory: u64,
    place: Sender<Place>,
}

impl Gate {
    pub(super) fn new(settings: &Settings, clock: Arc<dyn Clock>) -> Self {
        let memory = settings.total_memory_bytes.div_ceil(UNIT);
        let line = Line {
            slots: settings.calls,
            memory,
            calls: settings.calls,
            share: settings.calls_per_tenant,
            turns: 0,
            waiting: 0,
            tenants: HashMap::new(),
        };
        Self(Arc::new(Shared { line: Mutex::new(line), clock, memory }))
    }

    /// Waits for a place; a caller who gives up leaves the line. `None` only when the gate is
    /// closed.
    pub(super) async fn enter(&self, tenant: &TenantId, memory_bytes: u64) -> Option<Place> {
        match self.ask(tenant, memory_bytes.div_ceil(UNIT).min(self.0.memory)) {
            Ok(place) => Some(place),
            Err(turn) => turn.await.ok(),
        }
    }

    /// A place, or where one will come.
    fn ask(&self, tenant: &TenantId, memory: u64) -> Result<Place, Receiver<Place>> {
        let now = self.0.clock.monotonic();
        let mut line = self.line();
        if line.may_enter(tenant, memory) {
            line.take(tenant, memory, now);
            return Ok(Place { gate: self.clone(), tenant: tenant.clone(), memory });
        }
        let turn = line.join(tenant, memory);
        drop(line);
        // Those before may all wait for what this one does not need.
        self.let_in(now);
        Err(turn)
    }

    /// Lets in whoever may go next, as long as anybody may.
    fn let_in(&self, now: Duration) {
        loop {
            let mut line = self.line();
            let Some((tenant, Waiter { memory, place })) = line.next(now) else { return };
            line.take(&tenant, memory, now);
            drop(line);
            // A place that nobody takes any more is given back right here.
            drop(place.send(Place { gate: self.clone(), tenant, memory }));
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.0.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// Whether a call may start now without a look at who waits.
    fn may_enter(&self, tenant: &TenantId, memory: u64) -> bool {
        let running = self.tenants.get(tenant).map_or(0, |tenant| tenant.running);
        self.waiting == 0 && running < self.share && self.slots > self.kept() && self.memory >= memory
    }

    fn kept(&self) -> u32 {
        self.calls / KEPT
    }

    fn take(&mut self, tenant: &TenantId, memory: u64, now: Duration) {
        self.turns += 1;
        self.slots -= 1;
        self.memory -= memory;
        let turn = self.turns;
        let tenant = self.tenant(tenant);
        tenant.hold(1, now);
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

    /// Who is let in next: the first of the tenant that runs least, held least lately and had
    /// its last turn longest ago. If that one needs more memory than there is, all wait for it.
    fn next(&mut self, now: Duration) -> Option<(TenantId, Waiter)> {
        if self.waiting == 0 || self.slots == 0 {
            return None;
        }
        let (mut gone, mut active) = (0, 0);
        for tenant in self.tenants.values_mut() {
            while tenant.waiting.front().is_some_and(|waiter| waiter.place.is_closed()) {
                tenant.waiting.pop_front();
                gone += 1;
            }
            active += u32::from(tenant.is_active());
        }
        self.waiting -= gone;
        let modest = f64::from(self.calls) / f64::from(active.max(1)) / 2.0;
        let (share, for_all) = (self.share, self.slots > self.kept());
        let may = |tenant: &Tenant| {
            !tenant.waiting.is_empty() && tenant.running < share && (for_all || tenant.held_lately(now) < modest)
        };
        let next = self.tenants.iter_mut().filter(|(_, tenant)| may(tenant));
        let (id, tenant) = next.min_by(|(_, one), (_, other)| {
            let held = || one.held_lately(now).total_cmp(&other.held_lately(now));
            one.running.cmp(&other.running).then_with(held).then(one.last_turn.cmp(&other.last_turn))
        })?;
        let memory = self.memory;
        let waiter = tenant.waiting.pop_front_if(|waiter| waiter.memory <= memory)?;
        self.waiting -= 1;
        Some((id.clone(), waiter))
    }
}

impl Tenant {
    fn is_active(&self) -> bool {
        self.running > 0 || !self.waiting.is_empty()
    }

    /// How many places it held lately, on the average; what is longer ago counts
    /// exponentially less.
    fn held_lately(&self, now: Duration) -> f64 {
        let running = f64::from(self.running);
        running + (self.held - running) * (-now.saturating_sub(self.since).as_secs_f64() / LATELY).exp()
    }

    /// Holds so many places more, or fewer, from now on.
    fn hold(&mut self, more: i32, now: Duration) {
        self.held = self.held_lately(now);
        self.since = now.max(self.since);
        self.running = self.running.saturating_add_signed(more);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let now = self.gate.0.clock.monotonic();
        let mut line = self.gate.line();
        line.slots += 1;
        line.memory += self.memory;
        line.tenant(&self.tenant).hold(-1, now);
        if line.tenants.len() > REMEMBERED {
            line.tenants.retain(|_, tenant| tenant.is_active());
        }
        drop(line);
        self.gate.let_in(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use l9_core::time::SystemClock;

    fn gate(settings: &Settings) -> Gate {
        Gate::new(settings, Arc::new(SystemClock::default()))
    }

    fn line(calls: u32) -> Line {
        let tenants = HashMap::new();
        Line { slots: calls, memory: 100, calls, share: calls, turns: 0, waiting: 0, tenants }
    }

    fn next(line: &mut Line, now: u64) -> Option<String> {
        line.next(Duration::from_secs(now)).map(|(tenant, _)| tenant.to_string())
    }

    fn tenant(name: &str) -> TenantId {
        TenantId::new(name).unwrap()
    }

    fn at_once(gate: &Gate, name: &str, memory: u64) -> Option<Place> {
        gate.enter(&tenant(name), memory).now_or_never().flatten()
    }

    #[test]
    fn one_tenant_cannot_take_the_whole_pool() {
        let gate = gate(&Settings { calls: 3, calls_per_tenant: 2, ..Settings::default() });
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
        let gate = gate(&settings);
        let first = at_once(&gate, "a", 200 * UNIT).unwrap();
        assert!(at_once(&gate, "a", 200 * UNIT).is_none());
        drop(first);
        assert!(at_once(&gate, "a", 200 * UNIT).is_some());
        // More than there is at all waits for all of it, not for ever.
        assert!(at_once(&gate, "a", 400 * UNIT).is_some());
    }

    #[test]
    fn whoever_runs_least_goes_next_and_who_gave_up_is_passed_over() {
        let gate = gate(&Settings { calls: 2, calls_per_tenant: 2, ..Settings::default() });
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

    #[test]
    fn what_was_held_counts_less_the_longer_ago_it_was() {
        let mut tenant = Tenant::default();
        let held = |tenant: &Tenant, millis| (tenant.held_lately(Duration::from_millis(millis)) * 1_000.0).round();
        tenant.hold(2, Duration::ZERO);
        assert_eq!([held(&tenant, 0), held(&tenant, 1_000), held(&tenant, 20_000)], [0.0, 1_264.0, 2_000.0]);
        tenant.hold(-2, Duration::from_secs(20));
        assert_eq!([held(&tenant, 20_000), held(&tenant, 21_000), held(&tenant, 40_000)], [2_000.0, 736.0, 0.0]);
    }

    #[test]
    fn the_last_places_are_for_those_who_held_little_lately() {
        let mut line = line(8);
        let (busy, modest) = (tenant("busy"), tenant("modest"));
        (0..7).for_each(|_| line.take(&busy, 1, Duration::ZERO));
        assert!(!line.may_enter(&busy, 1) && !line.may_enter(&modest, 1));
        let _more = line.join(&busy, 1);
        // Those who have just begun have held nothing yet.
        assert!(line.tenants[&busy].held_lately(Duration::ZERO) < 4.0);
        assert_eq!(next(&mut line, 10), None, "it holds more than half of its share");
        let _one = line.join(&modest, 1);
        assert_eq!(next(&mut line, 10).as_deref(), Some("modest"));
    }

    #[test]
    fn of_those_who_run_as_little_whoever_held_least_lately_goes_next() {
        let mut line = line(4);
        let (often, seldom, third) = (tenant("often"), tenant("seldom"), tenant("third"));
        let secs = Duration::from_secs;
        line.take(&often, 1, secs(0));
        line.tenant(&often).hold(-1, secs(9));
        // Its last turn was later, and it was short.
        line.take(&seldom, 1, secs(9));
        line.tenant(&seldom).hold(-1, secs(9));
        (0..2).for_each(|_| line.take(&third, 1, secs(9)));
        line.slots = 1;
        let _waiting = [line.join(&third, 1), line.join(&often, 1), line.join(&seldom, 1)];
        let order: Vec<_> = (0..3).map(|_| next(&mut line, 10).unwrap()).collect();
        assert_eq!(order, ["seldom", "often", "third"]);
    }
}
