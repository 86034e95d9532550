//! The scheduler: looks for schedules that are due and starts their runs. Any number of them
//! may look at once.
//!
//! Invariants: what becomes of a tick is decided once, by a compare-and-set that moves the
//! schedule's cursor and takes the ticks down as pending in one write. Only what is pending is
//! started, under a key that is a function of the schedule and the tick, and only what was
//! started is taken from the pending ones. So whoever dies in between loses nothing, and whoever
//! does it again doubles nothing.

use std::sync::Arc;
use std::time::Duration;

use l9_core::Result;
use l9_core::id::CommandId;
use l9_core::schedule::StoredSchedule;
use l9_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::book::{Book, Schedule};
use super::definition::Overlap;
use super::runs::Runs;
use super::state::{Holder, Outcome, Tick};

/// How many schedules one look brings.
const BATCH: usize = 4_096;

/// How long what one scheduler has decided is left to it by the others.
const HOLD: Duration = Duration::from_secs(10);

/// How a scheduler behaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Whether there is one in this process.
    pub enabled: bool,
    /// How often it looks, in milliseconds.
    pub poll_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { enabled: true, poll_ms: 1_000 }
    }
}

/// Starts runs by their schedules. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Scheduler {
    /// How it behaves.
    pub settings: Settings,
    /// The schedules.
    pub book: Book,
    /// What starts runs.
    pub runs: Arc<dyn Runs>,
    /// This process's name, which no other has.
    pub owner: String,
}

impl Scheduler {
    /// Looks again and again until `drain` fires.
    pub async fn run(self, drain: CancellationToken) {
        loop {
            let looked = tokio::select! {
                biased;
                () = drain.cancelled() => return,
                looked = self.round() => looked,
            };
            if let Err(error) = looked {
                tracing::warn!(%error, "the schedules that are due were not looked for");
            }
            tokio::select! {
                biased;
                () = drain.cancelled() => return,
                () = self.book.clock.sleep(Duration::from_millis(self.settings.poll_ms)) => {}
            }
        }
    }

    /// Looks once.
    ///
    /// # Errors
    /// `Unavailable` when the store does not answer. What is wrong with one schedule is logged.
    pub async fn round(&self) -> Result<()> {
        let due = self.book.store.due_schedules(self.book.clock.now(), BATCH).await?;
        for stored in due {
            if let Err(error) = self.look_at(&stored).await {
                tracing::warn!(tenant = %stored.tenant, schedule = %stored.id, %error, "a schedule was not carried out");
            }
        }
        Ok(())
    }

    async fn look_at(&self, stored: &StoredSchedule) -> Result<()> {
        let mut schedule = self.book.open(stored)?;
        if schedule.state.pending.is_empty() && !self.decide(stored, &mut schedule).await? {
            return Ok(());
        }
        if self.is_anothers(schedule.state.holder.as_ref()) {
            return Ok(());
        }
        for tick in schedule.state.pending.clone() {
            let Some(done) = self.step(&schedule, tick).await? else { return Ok(()) };
            match self.settle(&schedule, done).await? {
                Some(settled) => schedule = settled,
                // Another scheduler goes on from there.
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// Decides what becomes of all ticks until now; tells whether any is to be carried out here.
    async fn decide(&self, stored: &StoredSchedule, schedule: &mut Schedule) -> Result<bool> {
        let now = self.book.clock.now();
        let due = schedule.ticks()?.due(schedule.state.decided, now);
        let missed = due.missed.is_some();
        if !schedule.state.decide(due, &self.owner, now) || !self.book.write(stored, schedule).await? {
            return Ok(false);
        }
        if missed {
            count(Outcome::Missed);
        }
        Ok(!schedule.state.pending.is_empty())
    }

    /// Whether another scheduler is at it, and has not been for too long.
    fn is_anothers(&self, holder: Option<&Holder>) -> bool {
        let now = self.book.clock.now();
        holder.is_some_and(|holder| holder.owner != self.owner && holder.at <= now && now.since(holder.at) < HOLD)
    }

    /// Starts the run of a tick, as far as the one before allows; gives what became of it, and
    /// nothing if it waits, as those after it do then.
    async fn step(&self, schedule: &Schedule, tick: Timestamp) -> Result<Option<Tick>> {
        let done = |outcome, run, error| Ok(Some(Tick { tick, at: self.book.clock.now(), outcome, run, error }));
        let before = schedule.state.last_run.as_ref().filter(|last| last.tick < tick);
        if let Some(last) = before
            && self.runs.is_open(&schedule.tenant, last.run).await?
        {
            return match schedule.definition.overlap {
                Overlap::Skip => done(Outcome::Skipped, None, None),
                Overlap::Queue => Ok(None),
                Overlap::Replace => {
                    let command = CommandId::new(format!("schedule/{}", tick.as_millis()))?;
                    let reason = format!("schedule {} begins its run of {tick}", schedule.id);
                    self.runs.cancel(&schedule.tenant, last.run, command, reason).await?;
                    Ok(None)
                }
            };
        }
        let key = format!("schedule/{}/{}", schedule.series, tick.as_millis());
        match self.runs.start(&schedule.by, &schedule.definition, &key).await {
            Ok(run) => done(Outcome::Started, Some(run), None),
            // It is tried again at the next look.
            Err(error) if error.is_retryable() => Err(error),
            Err(error) => {
                tracing::warn!(tenant = %schedule.tenant, schedule = %schedule.id, %tick, %error, "a tick has no run");
                done(Outcome::Failed, None, Some(error.to_string()))
            }
        }
    }

    /// Takes down what became of a tick, whatever others write meanwhile; gives the schedule as
    /// it stands then, if this was news.
    async fn settle(&self, schedule: &Schedule, done: Tick) -> Result<Option<Schedule>> {
        loop {
            let Some(stored) = self.book.store.schedule(&schedule.tenant, &schedule.id).await? else { return Ok(None) };
            if stored.series != schedule.series {
                return Ok(None);
            }
            let mut stands = self.book.open(&stored)?;
            if !stands.state.settle(done.clone()) {
                return Ok(None);
            }
            if self.book.write(&stored, &stands).await? {
                count(done.outcome);
                if done.outcome == Outcome::Started {
                    let late = done.at.since(schedule.ticks()?.comes(done.tick));
                    metrics::gauge!("l9_schedule_lag_seconds").set(late.as_secs_f64());
                }
                return Ok(Some(stands));
            }
        }
    }
}

fn count(outcome: Outcome) {
    metrics::counter!("l9_schedule_ticks_total", "outcome" => outcome.as_str()).increment(1);
}
