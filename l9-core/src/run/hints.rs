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
    runs: HashMap<RunId, Vec<Listener>>,
    /// At this size runs without listeners are swept out: twice what was left last time,
    /// so that the sweep costs a constant per subscription.
    sweep_at: usize,
}

#[derive(Debug)]
struct Listener {
    sender: watch::Sender<Hint>,
    /// Whether it waits for the end alone.
    end: bool,
}

impl Hints {
    /// Listens to a run.
    #[must_use]
    pub fn subscribe(&self, run: RunId) -> watch::Receiver<Hint> {
        self.listen(run, false)
    }

    /// Listens for a run's end: what this process appends before wakes nobody.
    #[must_use]
    pub fn subscribe_to_end(&self, run: RunId) -> watch::Receiver<Hint> {
        self.listen(run, true)
    }

    fn listen(&self, run: RunId, end: bool) -> watch::Receiver<Hint> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if table.runs.len() >= table.sweep_at {
            table.runs.retain(|_, listeners| {
                listeners.retain(|listener| !listener.sender.is_closed());
                !listeners.is_empty()
            });
            table.sweep_at = 64 + 2 * table.runs.len();
        }
        let (sender, receiver) = watch::channel(Hint::default());
        let listeners = table.runs.entry(run).or_default();
        listeners.retain(|listener| !listener.sender.is_closed());
        listeners.push(Listener { sender, end });
        receiver
    }

    /// Tells that the run's chain now ends at `next`; `ended` if nothing will follow.
    pub fn appended(&self, run: RunId, next: u64, ended: bool) {
        let appended = |hint: &mut Hint| {
            hint.next = hint.next.max(next);
            true
        };
        self.update(run, appended, |listener| ended || !listener.end);
        self.tell(Word { run, next });
    }

    /// Tells that a command waits for the run.
    pub fn commanded(&self, run: RunId) {
        self.update(run, command, |listener| !listener.end);
        self.tell(Word { run, next: 0 });
    }

    /// Takes in what another node told. What is not newer wakes nobody.
    pub fn heard(&self, word: Word) {
        match word.next {
            0 => self.update(word.run, command, |listener| !listener.end),
            // It may be the end.
            next => self.update(
                word.run,
                |hint| {
                    let newer = next > hint.next;
                    hint.next = hint.next.max(next);
                    newer
                },
                |_| true,
            ),
        }
    }

    /// Wakes everybody: hints of other nodes may have been lost.
    pub fn stir(&self) {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        for listener in table.runs.values().flatten() {
            listener.sender.send_if_modified(command);
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

    fn update(&self, run: RunId, change: impl Fn(&mut Hint) -> bool, whom: impl Fn(&Listener) -> bool) {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        for listener in table.runs.get(&run).into_iter().flatten().filter(|listener| whom(listener)) {
            listener.sender.send_if_modified(&change);
        }
    }
}

fn command(hint: &mut Hint) -> bool {
    hint.commands += 1;
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_the_end_is_woken_by_it_and_by_what_may_be_it() {
        let (hints, run) = (Hints::default(), RunId::from_slice(&[1; 16]).unwrap());
        let (mut all, mut end) = (hints.subscribe(run), hints.subscribe_to_end(run));
        let mut woken = || {
            let woken = (all.has_changed().unwrap(), end.has_changed().unwrap());
            all.mark_unchanged();
            end.mark_unchanged();
            woken
        };
        hints.appended(run, 1, false);
        assert_eq!(woken(), (true, false));
        hints.commanded(run);
        assert_eq!(woken(), (true, false));
        hints.heard(Word { run, next: 2 });
        assert_eq!(woken(), (true, true));
        hints.stir();
        assert_eq!(woken(), (true, true));
        hints.appended(run, 3, true);
        assert_eq!(woken(), (true, true));
    }
}
