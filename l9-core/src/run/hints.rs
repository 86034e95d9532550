//! Hints that a run has something new. They may be lost: whoever listens reads the
//! journal from its own offset, and polls now and then.
//!
//! Hints of this process may go to other nodes, and theirs come here ([`super::relay`]).
//! Telling one costs the teller a message in a bounded channel, whatever becomes of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::{mpsc, watch};

use crate::id::RunId;

/// The most hints that wait to go to other nodes; what does not fit is lost.
const WAITING: usize = 16_384;

/// What a listener last heard of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hint {
    /// The seq after the newest record.
    pub next: u64,
    /// Grows with every command, and whenever hints may have been lost.
    pub commands: u64,
}

/// A hint as it goes from node to node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    /// The run.
    pub run: RunId,
    /// The seq after its newest record; 0 says that a command waits.
    pub next: u64,
}

/// The hints of one process. Only runs that somebody listens to take room.
#[derive(Debug, Clone, Default)]
pub struct Hints {
    table: Arc<Mutex<Table>>,
    /// Where hints for other nodes go, if they go anywhere.
    outward: Arc<OnceLock<mpsc::Sender<Word>>>,
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
        self.update(run, |hint| {
            hint.next = hint.next.max(next);
            true
        });
        self.tell(Word { run, next });
    }

    /// Tells that a command waits for the run.
    pub fn commanded(&self, run: RunId) {
        self.update(run, command);
        self.tell(Word { run, next: 0 });
    }

    /// Takes in what another node told. What is not newer wakes nobody.
    pub fn heard(&self, word: Word) {
        match word.next {
            0 => self.update(word.run, command),
            next => self.update(word.run, |hint| {
                let newer = next > hint.next;
                hint.next = hint.next.max(next);
                newer
            }),
        }
    }

    /// Wakes everybody: hints of other nodes may have been lost.
    pub fn stir(&self) {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        for sender in table.runs.values().flatten() {
            sender.send_if_modified(command);
        }
    }

    /// From now on what is told waits for other nodes in the channel that is given; `None` if
    /// somebody has it.
    pub(super) fn outward(&self) -> Option<mpsc::Receiver<Word>> {
        let (sender, receiver) = mpsc::channel(WAITING);
        self.outward.set(sender).is_ok().then_some(receiver)
    }

    fn tell(&self, word: Word) {
        if let Some(outward) = self.outward.get()
            && outward.try_send(word).is_err()
        {
            metrics::counter!("l9_hints_lost_total").increment(1);
        }
    }

    fn update(&self, run: RunId, change: impl Fn(&mut Hint) -> bool) {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        for sender in table.runs.get(&run).into_iter().flatten() {
            sender.send_if_modified(&change);
        }
    }
}

fn command(hint: &mut Hint) -> bool {
    hint.commands += 1;
    true
}
