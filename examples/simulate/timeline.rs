//! Simulated time: it stands still while anything can run, and jumps to the next timer
//! when nothing can. The runtime says so by parking its only thread.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// How many waits may end at once, one after another, before somebody is said to spin.
const SPINS: u64 = 100_000;

/// The time of one seed and everything that waits for it.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    now: Duration,
    ticket: u64,
    /// How many waits have ended at once since time last moved.
    spins: u64,
    /// In the order of their time, then of their asking.
    timers: BTreeMap<(Duration, u64), Waker>,
}

impl Timeline {
    /// How long this world exists.
    pub(crate) fn now(&self) -> Duration {
        self.with(|inner| inner.now)
    }

    /// Goes to the next timer and wakes who waits for it.
    pub(crate) fn advance(&self) {
        let next = self.with(|inner| {
            let ((at, _), waker) = inner.timers.pop_first()?;
            if inner.spins < SPINS {
                inner.spins = 0;
            }
            inner.now = inner.now.max(at);
            Some(waker)
        });
        match next {
            Some(waker) => waker.wake(),
            None => panic!("nothing will ever happen again: a defect of the simulation"),
        }
    }

    /// Whether somebody waited again and again without ever letting time pass.
    pub(crate) fn is_spun(&self) -> bool {
        self.with(|inner| inner.spins >= SPINS)
    }

    pub(crate) fn sleep(self: &Arc<Self>, duration: Duration) -> Sleep {
        self.sleep_until(self.now().saturating_add(duration))
    }

    pub(crate) fn sleep_until(self: &Arc<Self>, at: Duration) -> Sleep {
        Sleep { timeline: Arc::clone(self), at, ticket: None }
    }

    fn with<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        change(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Waits for a time.
#[derive(Debug)]
pub(crate) struct Sleep {
    timeline: Arc<Timeline>,
    at: Duration,
    ticket: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let (mut at, mut ticket) = (self.at, self.ticket);
        let waits = self.timeline.with(|inner| {
            if inner.spins >= SPINS && ticket.is_none() {
                // Whoever spins goes on slowly, so that the world can end.
                at = at.max(inner.now + Duration::from_millis(1));
            }
            if inner.now >= at {
                inner.spins += u64::from(ticket.is_none());
                return false;
            }
            let ticket = *ticket.get_or_insert_with(|| {
                inner.ticket += 1;
                inner.ticket
            });
            inner.timers.insert((at, ticket), context.waker().clone());
            true
        });
        (self.at, self.ticket) = (at, ticket);
        if waits { Poll::Pending } else { Poll::Ready(()) }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            // The waker may hold the last of a task, whose end may drop timers in turn.
            let waker = self.timeline.with(|inner| inner.timers.remove(&(self.at, ticket)));
            drop(waker);
        }
    }
}
