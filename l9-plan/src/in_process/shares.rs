//! What each tenant has in the queue, and whose turn it is.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use l9_core::id::{RunId, TenantId};

use super::rates::Rates;
use crate::rate::Rate;

/// A tenant's ready tasks: greater priority first, then who waits longest.
pub(super) type ReadyKey = (Reverse<i32>, u64);

/// One tenant's part of the queue.
#[derive(Debug, Default)]
pub(super) struct Share {
    pub(super) ready: BTreeMap<ReadyKey, RunId>,
    pub(super) delayed: usize,
    pub(super) claimed: usize,
    /// Its place among those that have their turn; `None` if nothing of it may be claimed.
    turn: Option<u64>,
    /// The time before which it has none, if its rate holds it back.
    held: Option<Duration>,
}

/// All tenants' parts.
#[derive(Debug, Default)]
pub(super) struct Shares {
    tenants: HashMap<TenantId, Share>,
    /// Those that have ready tasks and fewer claimed ones than they may; the first is next.
    turns: BTreeMap<u64, TenantId>,
    turn: u64,
    /// Those that their rate holds back, by the time before which it does.
    held: BTreeSet<(Duration, TenantId)>,
    rates: Rates,
}

impl Shares {
    pub(super) fn get(&self, tenant: &TenantId) -> Option<&Share> {
        self.tenants.get(tenant)
    }

    /// Changes a tenant's part; whether it has a turn, and whether it is remembered, follows.
    pub(super) fn change(&mut self, tenant: &TenantId, most: usize, change: impl FnOnce(&mut Share)) {
        let share = self.tenants.entry(tenant.clone()).or_default();
        change(share);
        let may = !share.ready.is_empty() && share.claimed < most && share.held.is_none();
        match share.turn {
            None if may => {
                self.turn += 1;
                share.turn = Some(self.turn);
                self.turns.insert(self.turn, tenant.clone());
            }
            Some(turn) if !may => {
                share.turn = None;
                self.turns.remove(&turn);
            }
            _ => {}
        }
        if share.ready.is_empty() && share.delayed == 0 && share.claimed == 0 {
            if let Some(until) = share.held {
                self.held.remove(&(until, tenant.clone()));
            }
            self.tenants.remove(tenant);
        }
    }

    /// The first task of the tenant whose turn it is and whom its rate does not hold back; it is last
    /// in turn from now on.
    pub(super) fn next(&mut self, rate: Option<Rate>, most: usize, now: Duration) -> Option<RunId> {
        self.rates.forget(now);
        loop {
            let (_, tenant) = self.turns.first_key_value()?;
            let tenant = tenant.clone();
            match rate.map(|rate| self.rates.free(&tenant, rate)).filter(|free| *free > now) {
                Some(free) => self.hold(&tenant, most, free),
                None => return self.turn_of(&tenant, rate, now),
            }
        }
    }

    /// Whether anything may be claimed, rates aside.
    pub(super) fn has_turns(&self) -> bool {
        !self.turns.is_empty()
    }

    /// When the next tenant is held back no more.
    pub(super) fn next_free(&self) -> Option<Duration> {
        self.held.first().map(|(until, _)| *until)
    }

    fn turn_of(&mut self, tenant: &TenantId, rate: Option<Rate>, now: Duration) -> Option<RunId> {
        self.turns.pop_first();
        let share = self.tenants.get_mut(tenant)?;
        self.turn += 1;
        share.turn = Some(self.turn);
        self.turns.insert(self.turn, tenant.clone());
        if let Some(rate) = rate {
            self.rates.take(tenant, rate, now);
        }
        share.ready.first_key_value().map(|(_, run)| *run)
    }

    /// Takes its turn from a tenant until a time.
    fn hold(&mut self, tenant: &TenantId, most: usize, until: Duration) {
        self.held.insert((until, tenant.clone()));
        self.change(tenant, most, |share| share.held = Some(until));
    }

    /// Gives those a turn again whose time has come.
    pub(super) fn let_go(&mut self, most: usize, now: Duration) {
        while self.next_free().is_some_and(|until| until <= now) {
            if let Some((_, tenant)) = self.held.pop_first() {
                self.change(&tenant, most, |share| share.held = None);
            }
        }
    }
}
