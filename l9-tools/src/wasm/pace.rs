//! Turns at the processors: guests that compute for long take them one after the other, so
//! that a call that has just come stands behind few of them, however many there are.
//!
//! A guest yields after so much fuel. Tasks that yield queue up with all others of the
//! executor, so without this a short call would wait for a piece of every guest in the pool.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::ready;
use std::time::Duration;

use l9_core::time::Clock;
use tokio::sync::Semaphore;
use tokio_util::sync::PollSemaphore;

/// How long a guest computes before it takes turns with the others.
const FRESH: Duration = Duration::from_micros(250);

/// The turns that there are: one for each processor.
#[derive(Debug, Clone)]
pub(super) struct Turns(Arc<Semaphore>);

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from))))
    }
}

impl Turns {
    /// Runs a guest to its end. It has a turn while it computes, and none while it waits for
    /// the host.
    pub(super) async fn pace<T>(&self, clock: &dyn Clock, mut guest: Pin<&mut impl Future<Output = T>>) -> T {
        let mut turns = PollSemaphore::new(Arc::clone(&self.0));
        let mut computed = Duration::ZERO;
        poll_fn(|context| {
            let turn = if computed < FRESH { None } else { ready!(turns.poll_acquire(context)) };
            let began = clock.monotonic();
            let polled = guest.as_mut().poll(context);
            computed += clock.monotonic().saturating_sub(began);
            drop(turn);
            polled
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Mutex;
    use std::task::Poll;

    use async_trait::async_trait;
    use futures_util::FutureExt as _;
    use l9_core::time::Timestamp;

    use super::*;

    /// A clock that goes on by a millisecond whenever it is read.
    #[derive(Debug, Default)]
    struct Ticking(Mutex<Duration>);

    #[async_trait]
    impl Clock for Ticking {
        fn now(&self) -> Timestamp {
            Timestamp::EPOCH
        }

        fn monotonic(&self) -> Duration {
            let mut now = self.0.lock().unwrap();
            *now += Duration::from_millis(1);
            *now
        }

        async fn sleep(&self, _: Duration) {}
    }

    #[test]
    fn who_has_just_come_computes_at_once_and_who_computes_for_long_waits_for_a_turn() {
        let (turns, clock) = (Turns(Arc::new(Semaphore::new(1))), Ticking::default());
        let others = Arc::clone(&turns.0).try_acquire_owned().unwrap();
        let mut pieces = 0;
        let guest = pin!(poll_fn(|_| {
            pieces += 1;
            // A guest that runs has the only turn, but for its first piece.
            let has_turn = turns.0.available_permits() == 0;
            if pieces == 3 { Poll::Ready(has_turn) } else { Poll::Pending }
        }));
        let mut paced = pin!(turns.pace(&clock, guest));
        assert!((&mut paced).now_or_never().is_none());
        assert!((&mut paced).now_or_never().is_none(), "it waits for a turn");
        drop(others);
        assert!((&mut paced).now_or_never().is_none(), "its second piece");
        assert_eq!(turns.0.available_permits(), 1, "between two pieces it has none");
        assert_eq!(paced.now_or_never(), Some(true));
    }
}
