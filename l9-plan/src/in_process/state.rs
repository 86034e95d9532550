//! The queue's state and its transitions: plain functions of time, no waiting.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use l9_core::id::RunId;
use l9_core::queue::{Claim, Depth, Finished, Task};
use l9_core::{Error, ErrorKind, Result};

use super::settings::Settings;

/// Ready tasks: greater priority first, then in the order they came.
type ReadyKey = (std::cmp::Reverse<i32>, u64);
/// Delayed tasks: by time, then in the order they came.
type DelayedKey = (Duration, u64);

#[derive(Debug)]
enum Place {
    Ready(ReadyKey),
    Delayed(DelayedKey),
    /// In a worker's hands; `again` if it was enqueued meanwhile.
    Claimed {
        fence: u64,
        again: Option<Duration>,
    },
}

#[derive(Debug)]
struct Held {
    task: Task,
    attempt: u32,
    place: Place,
}

/// A task that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dead {
    /// The task.
    pub task: Task,
    /// Why.
    pub reason: String,
}

#[derive(Debug, Default)]
pub(super) struct State {
    tasks: HashMap<RunId, Held>,
    ready: BTreeMap<ReadyKey, RunId>,
    delayed: BTreeMap<DelayedKey, RunId>,
    dead: VecDeque<Dead>,
    claimed: usize,
    ticket: u64,
    fence: u64,
}

impl State {
    /// Adds a task, or brings a waiting one forward.
    pub(super) fn enqueue(&mut self, settings: &Settings, task: Task, at: Duration, now: Duration) -> Result<()> {
        if let Some(held) = self.tasks.get_mut(&task.run) {
            held.task.priority = held.task.priority.max(task.priority);
            if let Place::Claimed { again, .. } = &mut held.place {
                *again = Some(again.map_or(at, |earlier| earlier.min(at)));
                return Ok(());
            }
            let due = match held.place {
                Place::Delayed((due, _)) => due.min(at),
                _ => now,
            };
            let run = task.run;
            self.take_out(run);
            self.put(run, due, now);
            return Ok(());
        }
        if self.tasks.len() >= settings.capacity {
            let message = format!("the queue holds {} tasks, its capacity", settings.capacity);
            return Err(Error::new(ErrorKind::Exhausted, message));
        }
        let run = task.run;
        self.tasks.insert(run, Held { task, attempt: 0, place: Place::Delayed((at, 0)) });
        self.put(run, at, now);
        Ok(())
    }

    /// The next ready task, claimed.
    pub(super) fn claim(&mut self, now: Duration) -> Option<Claim> {
        self.ripen(now);
        let (_, run) = self.ready.pop_first()?;
        self.fence += 1;
        self.claimed += 1;
        let held = self.tasks.get_mut(&run)?;
        held.attempt += 1;
        held.place = Place::Claimed { fence: self.fence, again: None };
        Some(Claim { task: held.task.clone(), fence: self.fence, attempt: held.attempt })
    }

    /// Gives a claim back; `jitter` is in 0..1.
    pub(super) fn finish(
        &mut self,
        settings: &Settings,
        claim: &Claim,
        finished: Finished,
        now: Duration,
        jitter: f64,
    ) -> bool {
        let run = claim.task.run;
        let Some(held) = self.tasks.get_mut(&run) else { return false };
        let Place::Claimed { fence, again } = held.place else { return false };
        if fence != claim.fence {
            return false;
        }
        self.claimed -= 1;
        let next = match finished {
            Finished::Done => {
                held.attempt = 0;
                again
            }
            Finished::Retry { after, reason } if held.attempt >= settings.attempts && after.is_none() => {
                self.bury(settings, run, format!("given up after {} attempts: {reason}", claim.attempt));
                return true;
            }
            Finished::Retry { after, .. } => {
                let wait = after.unwrap_or_else(|| settings.backoff(claim.attempt).mul_f64(0.5 + jitter / 2.0));
                Some(again.map_or(now + wait, |again| again.min(now + wait)))
            }
            Finished::Dead { reason } => {
                self.bury(settings, run, reason);
                return true;
            }
        };
        match next {
            Some(at) => self.put(run, at, now),
            None => drop(self.tasks.remove(&run)),
        }
        true
    }

    /// Takes a waiting task out.
    pub(super) fn remove(&mut self, run: RunId) -> bool {
        match self.tasks.get(&run) {
            None | Some(Held { place: Place::Claimed { .. }, .. }) => false,
            Some(_) => {
                self.take_out(run);
                self.tasks.remove(&run).is_some()
            }
        }
    }

    /// When the next delayed task ripens.
    pub(super) fn next_due(&self) -> Option<Duration> {
        self.delayed.first_key_value().map(|((at, _), _)| *at)
    }

    pub(super) fn depth(&self) -> Depth {
        Depth { ready: self.ready.len(), delayed: self.delayed.len(), claimed: self.claimed, dead: self.dead.len() }
    }

    pub(super) fn dead(&self) -> Vec<Dead> {
        self.dead.iter().cloned().collect()
    }

    fn bury(&mut self, settings: &Settings, run: RunId, reason: String) {
        if let Some(held) = self.tasks.remove(&run) {
            self.dead.push_back(Dead { task: held.task, reason });
            while self.dead.len() > settings.dead {
                self.dead.pop_front();
            }
        }
    }

    fn ripen(&mut self, now: Duration) {
        while let Some(entry) = self.delayed.first_entry().filter(|entry| entry.key().0 <= now) {
            let run = entry.remove();
            self.put(run, now, now);
        }
    }

    fn put(&mut self, run: RunId, at: Duration, now: Duration) {
        let Some(held) = self.tasks.get_mut(&run) else { return };
        self.ticket += 1;
        if at <= now {
            let key = (std::cmp::Reverse(held.task.priority), self.ticket);
            held.place = Place::Ready(key);
            self.ready.insert(key, run);
        } else {
            held.place = Place::Delayed((at, self.ticket));
            self.delayed.insert((at, self.ticket), run);
        }
    }

    fn take_out(&mut self, run: RunId) {
        match self.tasks.get(&run).map(|held| &held.place) {
            Some(Place::Ready(key)) => drop(self.ready.remove(key)),
            Some(Place::Delayed(key)) => drop(self.delayed.remove(key)),
            _ => {}
        }
    }
}
