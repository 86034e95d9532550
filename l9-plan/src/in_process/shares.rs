//! What each tenant has in the queue, and whose turn it is.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use l9_core::id::{RunId, TenantId};

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
}

/// All tenants' parts.
#[derive(Debug, Default)]
pub(super) struct Shares {
    tenants: HashMap<TenantId, Share>,
    /// Those that have ready tasks and fewer claimed ones than they may; the first is next.
    turns: BTreeMap<u64, TenantId>,
    turn: u64,
}

impl Shares {
    pub(super) fn get(&self, tenant: &TenantId) -> Option<&Share> {
        self.tenants.get(tenant)
    }

    /// Changes a tenant's part; whether it has a turn, and whether it is remembered, follows.
    pub(super) fn change(&mut self, tenant: &TenantId, most: usize, change: impl FnOnce(&mut Share)) {
        let share = self.tenants.entry(tenant.clone()).or_default();
        change(share);
        let may = !share.ready.is_empty() && share.claimed < most;
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
            self.tenants.remove(tenant);
        }
    }

    /// The first task of the tenant whose turn it is, which is last in turn from now on.
    pub(super) fn next(&mut self) -> Option<RunId> {
        let (_, tenant) = self.turns.pop_first()?;
        let share = self.tenants.get_mut(&tenant)?;
        self.turn += 1;
        share.turn = Some(self.turn);
        self.turns.insert(self.turn, tenant);
        share.ready.first_key_value().map(|(_, run)| *run)
    }
}
