//! Hints that a run has something new. They may be lost: whoever listens reads the
//! journal from its own offset, and polls now and then.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::id::RunId;

/// What a listener last heard of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hint {
    /// The seq after the newest record.
    pub next: u64,
    /// Grows with every command.
    pub commands: u64,
}

/// The hints of one process. Only runs that somebody listens to take room.
#[derive(Debug, Clone, Default)]
pub struct Hints {
    table: Arc<Mutex<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    /// A channel for every listener: one channel wakes its listeners in an order that it
    /// draws, and no simulation could repeat that.
    runs: HashMap<RunId, Vec<watch::Sender<Hint>>>,
    /// At this size runs without listeners are swept out: twice what was left last time,
    /// so that the sweep costs a constant per subscription.
    sweep_at: usize,
}

impl Hints {
    /// Listens to a run.
    #[must_use]
    pub fn subscribe(&self, run: RunId) -> watch::Receiver<Hint> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if table.runs.len() >= table.sweep_at {
            table.runs.retain(|_, senders| {
                senders.retain(|sender| !sender.is_closed());
                !senders.is_empty()
            });
            table.sweep_at = 64 + 2 * table.runs.len();
        }
        let (sender, receiver) = watch::channel(Hint::default());
        let senders = table.runs.entry(run).or_default();
        senders.retain(|sender| !sender.is_closed());
        senders.push(sender);
        receiver
    }

    /// Tells that the run's chain now ends at `next`.
    pub fn appended(&self, run: RunId, next: u64) {
        self.update(run, |hint| hint.next = hint.next.max(next));
    }

    /// Tells that a command waits for the run.
    pub fn commanded(&self, run: RunId) {
        self.update(run, |hint| hint.commands += 1);
    }

    fn update(&self, run: RunId, change: impl Fn(&mut Hint)) {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        for sender in table.runs.get(&run).into_iter().flatten() {
            sender.send_modify(&change);
        }
    }
}
