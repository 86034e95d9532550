//! Turns at the processors: guests that compute for long take them one after the other, so
//! that a call that has just come stands behind few of them, however many there are.
//!
//! A guest yields after each slice. Tasks that yield queue up with all others of the
//! executor, so without this a short call would wait for a slice of every guest in the pool.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::ready;
use std::time::Duration;

use l9_core::time::Clock;
use tokio::sync::Semaphore;
use tokio_util::sync::PollSemaphore;

/// The turns that there are: one for each processor.
#[derive(Debug, Clone)]
pub(super) struct Turns {
    turns: Arc<Semaphore>,
    /// How long a guest computes before it takes turns with the others.
    fresh: Duration,
}

impl Turns {
    pub(super) fn new(slice: Duration) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self { turns: Arc::new(Semaphore::new(processors)), fresh: slice }
    }

    /// Runs a guest to its end. It has a turn while it computes, and none while it waits for
    /// the host.
    pub(super) async fn pace<T>(&self, clock: &dyn Clock, mut guest: Pin<&mut impl Future<Output = T>>) -> T {
        let mut turns = PollSemaphore::new(Arc::clone(&self.turns));
        let mut computed = Duration::ZERO;
        poll_fn(|context| {
            let turn = if computed < self.fresh { None } else { ready!(turns.poll_acquire(context)) };
            let began = clock.monotonic();
            let polled = guest.as_mut().poll(context);
            computed += clock.monotonic().saturating_sub(began);
            drop(turn);
            polled
        })
        .await
    }
}
