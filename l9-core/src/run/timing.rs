//! When there is something to do for a run: its waits, its questions, its deadline, its retries,
//! and how long one that is stopped waits for its children.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::driver::{Drive, GRAIN, POLL};
use super::wait::Wait;
use crate::Result;
use crate::governor::WaitEnd;
use crate::id::CallId;
use crate::time::Timestamp;

/// The next time at which to look around. It is kept from one wait to the next: most waits end long
/// before it, and a timer that is set for each of them wakes a thread for each.
pub(super) struct Alarm<'a> {
    /// On the monotonic clock.
    at: Duration,
    /// Whether it was looked at: a clock counts from then on.
    set: bool,
    rings: Pin<Box<dyn Future<Output = ()> + Send + 'a>>,
}

impl Future for Alarm<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.set = true;
        self.rings.as_mut().poll(context)
    }
}

impl<'a, L: Fn() -> Duration + Sync> Drive<'a, L> {
    /// The alarm that is set, if it rings soon enough, or another.
    pub(super) fn next_alarm(&mut self) -> Alarm<'a> {
        let (clock, within) = (&self.driver.backing.clock, self.timer());
        let latest = clock.monotonic() + within;
        match self.alarm.take() {
            Some(alarm) if alarm.set && alarm.at <= latest => alarm,
            _ => Alarm { at: latest, set: false, rings: clock.sleep(within) },
        }
    }
}

impl<L: Fn() -> Duration + Sync> Drive<'_, L> {
    /// Ends the waits whose time has passed, and the run's own time.
    pub(super) fn ring(&mut self) -> Result<()> {
        let now = self.log.now();
        let state = &self.log.state;
        let over = |(call, wait): (&CallId, &Wait)| match state.is_past(*call) {
            true => Some((*call, WaitEnd::RolledBack)),
            false => wait.until.is_some_and(|until| until <= now).then_some((*call, WaitEnd::Elapsed)),
        };
        let over: Vec<(CallId, WaitEnd<'_>)> = state.waits.iter().filter_map(over).collect();
        for (call, end) in over {
            self.driver.governor.end_wait(&mut self.log, call, end)?;
        }
        let late = self.log.state.questions().filter(|question| question.expires_at <= now);
        let late: Vec<(u32, CallId)> = late.map(|question| (question.ask, question.call)).collect();
        for (ask, call) in late {
            self.driver.governor.expire_question(&mut self.log, ask, call)?;
        }
        if self.is_late() {
            self.cancel.work.cancel();
        }
        Ok(())
    }

    /// Whether it only wants to end.
    pub(super) fn is_stopping(&self) -> bool {
        self.log.state.cancel.is_some() || self.is_late()
    }

    pub(super) fn is_late(&self) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= self.log.now())
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.log.state.created.as_ref().and_then(|created| created.deadline)
    }

    /// The next time at which there is something to do, or the time at which there was. What
    /// a paused run would try again waits for something else. One of which it is known that it is
    /// being stopped waits for its children alone, and then ends.
    pub(super) fn next_due(&self, stopping: bool) -> Option<Timestamp> {
        if stopping {
            return self.patience_ends().or_else(|| Some(self.log.now()));
        }
        let state = &self.log.state;
        let timers = state.waits.values().filter_map(|wait| wait.until).chain(self.deadline());
        let timers = timers.chain(state.questions().map(|question| question.expires_at));
        let held = state.paused.is_some() || state.plan.is_frozen();
        let waits = |call| self.line.holds(call) || self.later.iter().any(|due| due.call.id == call);
        let due = |(call, at): (CallId, Timestamp)| (!held && !waits(call)).then_some(at);
        timers.chain(state.retries().filter_map(due)).min()
    }

    /// Until when a run that somebody stopped waits for its children to end; `None` if it does
    /// not wait any more.
    pub(super) fn patience_ends(&self) -> Option<Timestamp> {
        let state = &self.log.state;
        let since = state.stopping_since.filter(|_| !state.children.is_empty())?;
        // They have the same grace, and their ends take a moment to arrive.
        let until = since.after(self.driver.governor.grace() * 2);
        (until > self.log.now()).then_some(until)
    }

    /// How long to wait for what is under way before looking at the inbox and the clock.
    fn timer(&self) -> Duration {
        // Once it is being stopped, or the process goes away, only what is under way is waited for.
        let ends = self.is_stopping() || self.driver.drain.is_cancelled();
        let next = if ends { None } else { self.next_due(false) };
        next.map_or(POLL, |at| at.since(self.log.now()).clamp(GRAIN, POLL))
    }
}
