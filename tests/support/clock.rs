//! A clock that goes on by hand.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use l9::time::{Clock, Timestamp};

/// A clock that goes on when it is told to, and when somebody sleeps.
#[derive(Debug, Default)]
pub(crate) struct Hand(Mutex<Duration>);

impl Hand {
    pub(crate) fn go_on(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }
}

#[async_trait]
impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::EPOCH.after(self.monotonic())
    }

    fn monotonic(&self) -> Duration {
        *self.0.lock().unwrap()
    }

    async fn sleep(&self, duration: Duration) {
        // Whatever is ready goes first.
        tokio::task::yield_now().await;
        self.go_on(duration);
    }
}
