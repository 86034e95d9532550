//! The queue's state and its transitions: plain functions of time, no waiting.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use l9_core::id::{RunId, TenantId};
use l9_core::queue::{Claim, Depth, Finished, Task};
use l9_core::{Error, ErrorKind, Result};

use super::shares::{ReadyKey, Shares};
use crate::settings::Settings;

/// Delayed tasks: by time, then in the order they came.
type DelayedKey = (Duration, u64);

#[derive(Debug, Clone, Copy)]
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

#[derive(Debug, Default)]
pub(super) struct State {
    tasks: HashMap<RunId, Held>,
    shares: Shares,
    delayed: BTreeMap<DelayedKey, RunId>,
    /// Since when ready tasks wait, by their tickets: the first waits longest.
    since: BTreeMap<u64, Duration>,
    claimed: usize,
    ticket: u64,
    fence: u64,
    /// Until when claims take up the rate of all.
    taken: Duration,
    pub(super) paused: bool,
}

impl State {
    /// Adds a task, or brings a waiting one forward.
    pub(super) fn enqueue(&mut self, settings: &Settings, task: Task, at: Duration, now: Duration) -> Result<()> {
        let run = task.run;
        if let Some(held) = self.tasks.get_mut(&run) {
            let greater = task.priority > held.task.priority;
            match &mut held.place {
                Place::Claimed { again, .. } => {
                    *again = Some(again.map_or(at, |earlier| earlier.min(at)));
                    held.task.priority = held.task.priority.max(task.priority);
                }
                Place::Ready((_, ticket)) if greater => {
                    let (ticket, since) = (*ticket, self.since.get(ticket).copied().unwrap_or(now));
                    self.take_out(settings, run);
                    self.with_priority(run, task.priority);
                    self.make_ready(settings, run, ticket, since);
                }
                Place::Delayed((due, _)) if greater || at < *due => {
                    let due = at.min(*due);
                    self.take_out(settings, run);
                    self.with_priority(run, task.priority);
                    self.put(settings, run, due, now);
                }
                Place::Ready(_) | Place::Delayed(_) => {}
            }
            return Ok(());
        }
        if self.tasks.len() >= settings.capacity {
            let message = format!("the queue holds {} tasks, its capacity", settings.capacity);
            return Err(Error::new(ErrorKind::Exhausted, message));
        }
        self.tasks.insert(run, Held { task, attempt: 0, place: Place::Delayed((at, 0)) });
        self.put(settings, run, at, now);
        Ok(())
    }

    /// The next ready task, claimed.
    pub(super) fn claim(&mut self, settings: &Settings, now: Duration) -> Option<Claim> {
        if self.paused {
            return None;
        }
        self.ripen(settings, now);
        self.shares.let_go(settings.tenant_claims, now);
        if self.free(settings) > now {
            return None;
        }
        let run = self.shares.next(settings.tenant_rate(), settings.tenant_claims, now)?;
        if let Some(rate) = settings.rate() {
            self.taken = rate.take(self.taken, now);
        }
        self.take_out(settings, run);
        let held = self.tasks.get_mut(&run)?;
        self.fence += 1;
        self.claimed += 1;
        held.attempt += 1;
        held.place = Place::Claimed { fence: self.fence, again: None };
        self.shares.change(&held.task.tenant, settings.tenant_claims, |share| share.claimed += 1);
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
        self.shares.change(&held.task.tenant, settings.tenant_claims, |share| share.claimed -= 1);
        let wait = match finished {
            Finished::Done => None,
            Finished::Retry { after } => Some(after.unwrap_or_else(|| settings.backoff(claim.attempt, jitter))),
        };
        if !matches!(finished, Finished::Retry { after: None }) {
            held.attempt = 0;
        }
        match again.into_iter().chain(wait.map(|wait| now + wait)).min() {
            Some(at) => self.put(settings, run, at, now),
            None => drop(self.tasks.remove(&run)),
        }
        true
    }

    /// Takes a waiting task out.
    pub(super) fn remove(&mut self, settings: &Settings, run: RunId) -> bool {
        match self.tasks.get(&run) {
            None | Some(Held { place: Place::Claimed { .. }, .. }) => false,
            Some(_) => {
                self.take_out(settings, run);
                self.tasks.remove(&run).is_some()
            }
        }
    }

    /// When there may be something to claim that there is not yet: a delayed task ripens, or a rate
    /// lets one more be claimed.
    pub(super) fn next_due(&self, settings: &Settings, now: Duration) -> Option<Duration> {
        let ripens = self.delayed.first_key_value().map(|((at, _), _)| *at);
        let free = self.shares.has_turns().then(|| self.free(settings)).filter(|free| *free > now);
        [ripens, free, self.shares.next_free()].into_iter().flatten().min()
    }

    /// The time from which on the rate of all lets one more be claimed.
    fn free(&self, settings: &Settings) -> Duration {
        settings.rate().map_or(Duration::ZERO, |rate| rate.free(self.taken))
    }

    pub(super) fn depth(&self, tenant: Option<&TenantId>, now: Duration) -> Depth {
        let paused = self.paused;
        let Some(tenant) = tenant else {
            let oldest = self.since.first_key_value().map(|(_, since)| now.saturating_sub(*since));
            let (ready, delayed) = (self.since.len(), self.delayed.len());
            return Depth { ready, delayed, claimed: self.claimed, oldest, paused };
        };
        let (ready, delayed, claimed) =
            self.shares.get(tenant).map_or((0, 0, 0), |share| (share.ready.len(), share.delayed, share.claimed));
        Depth { ready, delayed, claimed, oldest: None, paused }
    }

    fn ripen(&mut self, settings: &Settings, now: Duration) {
        while let Some(run) = self.delayed.first_key_value().filter(|((at, _), _)| *at <= now).map(|(_, run)| *run) {
            self.take_out(settings, run);
            self.put(settings, run, now, now);
        }
    }

    fn with_priority(&mut self, run: RunId, priority: i32) {
        if let Some(held) = self.tasks.get_mut(&run) {
            held.task.priority = held.task.priority.max(priority);
        }
    }

    /// Has a task that is nowhere wait for its time.
    fn put(&mut self, settings: &Settings, run: RunId, at: Duration, now: Duration) {
        self.ticket += 1;
        if at <= now {
            return self.make_ready(settings, run, self.ticket, now);
        }
        let Some(held) = self.tasks.get_mut(&run) else { return };
        held.place = Place::Delayed((at, self.ticket));
        self.delayed.insert((at, self.ticket), run);
        self.shares.change(&held.task.tenant, settings.tenant_claims, |share| share.delayed += 1);
    }

    fn make_ready(&mut self, settings: &Settings, run: RunId, ticket: u64, since: Duration) {
        let Some(held) = self.tasks.get_mut(&run) else { return };
        let key = (Reverse(held.task.priority), ticket);
        held.place = Place::Ready(key);
        self.since.insert(ticket, since);
        self.shares.change(&held.task.tenant, settings.tenant_claims, |share| {
            share.ready.insert(key, run);
        });
    }

    fn take_out(&mut self, settings: &Settings, run: RunId) {
        let Some(held) = self.tasks.get(&run) else { return };
        let (tenant, most) = (&held.task.tenant, settings.tenant_claims);
        match held.place {
            Place::Ready(key) => {
                self.since.remove(&key.1);
                self.shares.change(tenant, most, |share| {
                    share.ready.remove(&key);
                });
            }
            Place::Delayed(key) => {
                self.delayed.remove(&key);
                self.shares.change(tenant, most, |share| share.delayed -= 1);
            }
            Place::Claimed { .. } => {}
        }
    }
}
