//! Turns at what so many may do at once: whoever finds no room waits, and of those who wait each
//! tenant has its turn, in which the first of it goes on.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot::{self, Receiver, Sender};

use crate::id::TenantId;

/// A shorter line of a tenant is not looked through for those who have left it.
const SWEPT: usize = 64;

/// So many turns. One is free only while nobody waits.
#[derive(Debug)]
pub(super) struct Turns {
    most: u32,
    line: Mutex<Line>,
}

#[derive(Debug)]
struct Line {
    free: u32,
    /// Those who wait, of each tenant that has any.
    waiting: HashMap<TenantId, VecDeque<Sender<Turn>>>,
    /// These tenants, whose turn it is next first.
    tenants: VecDeque<TenantId>,
}

/// One turn, given to who is next when it is dropped.
#[derive(Debug)]
pub(super) struct Turn(Option<Arc<Turns>>);

impl Turns {
    pub(super) fn new(most: u32) -> Self {
        let line = Line { free: most, waiting: HashMap::new(), tenants: VecDeque::new() };
        Self { most, line: Mutex::new(line) }
    }

    /// How many there are.
    pub(super) fn most(&self) -> u32 {
        self.most
    }

    /// How many are taken.
    pub(super) fn taken(&self) -> u32 {
        self.most - self.line().free
    }

    /// One for a tenant, or where it will come. Whoever drops that leaves the line.
    pub(super) fn ask(self: &Arc<Self>, tenant: &TenantId) -> Result<Turn, Receiver<Turn>> {
        let mut line = self.line();
        if line.free > 0 {
            line.free -= 1;
            return Ok(Turn(Some(Arc::clone(self))));
        }
        let (turn, comes) = oneshot::channel();
        line.join(tenant, turn);
        Err(comes)
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a turn to who is next.
    fn pass_on(self: &Arc<Self>) {
        loop {
            let mut line = self.line();
            let Some(next) = line.next() else {
                line.free += 1;
                return;
            };
            drop(line);
            match next.send(Turn(Some(Arc::clone(self)))) {
                Ok(()) => return,
                // It left the line this moment.
                Err(mut turn) => turn.0 = None,
            }
        }
    }
}

impl Line {
    fn join(&mut self, tenant: &TenantId, turn: Sender<Turn>) {
        let Some(waiting) = self.waiting.get_mut(tenant) else {
            self.tenants.push_back(tenant.clone());
            self.waiting.insert(tenant.clone(), [turn].into());
            return;
        };
        // Who comes and goes is swept out when the line would double.
        if waiting.len() >= SWEPT && waiting.len().is_power_of_two() {
            waiting.retain(|waits| !waits.is_closed());
        }
        waiting.push_back(turn);
    }

    fn next(&mut self) -> Option<Sender<Turn>> {
        while let Some(tenant) = self.tenants.pop_front() {
            let mut waiting = self.waiting.remove(&tenant).unwrap_or_default();
            let next = std::iter::from_fn(|| waiting.pop_front()).find(|next| !next.is_closed());
            if !waiting.is_empty() {
                self.waiting.insert(tenant.clone(), waiting);
                self.tenants.push_back(tenant);
            }
            if next.is_some() {
                return next;
            }
        }
        None
    }
}

impl Turn {
    /// Whether it is one of these.
    pub(super) fn is_of(&self, turns: &Arc<Turns>) -> bool {
        self.0.as_ref().is_some_and(|its| Arc::ptr_eq(its, turns))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turns) = self.0.take() {
            turns.pass_on();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::new(name).unwrap()
    }

    #[test]
    fn tenants_take_turns_and_within_one_who_came_first_goes_first() {
        let turns = Arc::new(Turns::new(1));
        let mut held = turns.ask(&tenant("a")).unwrap();
        let mut line: Vec<_> = ["a", "a", "a", "b", "c", "b"]
            .into_iter()
            .enumerate()
            .map(|(at, name)| (format!("{name}{at}"), turns.ask(&tenant(name)).unwrap_err()))
            .collect();
        let mut order = Vec::new();
        while !line.is_empty() {
            drop(held);
            let next = line.iter_mut().position(|(_, comes)| !comes.is_empty()).expect("one of them has it");
            let (name, mut comes) = line.remove(next);
            held = comes.try_recv().unwrap();
            assert_eq!(turns.taken(), 1);
            order.push(name);
        }
        assert_eq!(order, ["a0", "b3", "c4", "a1", "b5", "a2"]);
        drop(held);
        assert_eq!(turns.taken(), 0);
        assert!(turns.line().waiting.is_empty() && turns.line().tenants.is_empty());
    }

    #[test]
    fn who_leaves_the_line_stands_in_nobody_s_way_and_leaves_little_behind() {
        let turns = Arc::new(Turns::new(1));
        let (held, mut last) = (turns.ask(&tenant("a")).unwrap(), None);
        for _ in 0..10_000 {
            drop(turns.ask(&tenant("a")).unwrap_err());
            let (left, stays) = (turns.ask(&tenant("b")).unwrap_err(), turns.ask(&tenant("b")).unwrap_err());
            drop((left, last.replace(stays)));
        }
        assert!(turns.line().waiting.values().map(VecDeque::len).sum::<usize>() <= 2 * SWEPT);
        drop(last);
        let stays = turns.ask(&tenant("b")).unwrap_err();
        drop(turns.ask(&tenant("c")).unwrap_err());
        drop(held);
        // It has its turn, and never looks: that is given back with it.
        drop(stays);
        assert_eq!(turns.taken(), 0);
        assert!(turns.ask(&tenant("c")).is_ok());
    }
}
