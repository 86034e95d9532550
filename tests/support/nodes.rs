//! Nodes over one store in this process, and a clock for it that goes on by hand. Effects
//! run by the real clock.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use l9::time::{Clock, Timestamp};
use l9::{Engine, Runtime, kernel};
use l9_memory::in_memory::Store;

/// How long a lease lasts.
pub(crate) const LEASE: Duration = Duration::from_secs(15);

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

/// An engine by that name over the store.
pub(crate) fn engine<C: Clock + 'static>(runtime: &Runtime, store: &Arc<Store>, clock: &Arc<C>, owner: &str) -> Engine {
    let mut parts = runtime.engine().parts().clone();
    parts.store = Arc::<Store>::clone(store);
    parts.clock = Arc::<C>::clone(clock);
    Engine::new(parts, kernel::Settings { node: owner.into(), owner: owner.into(), lease: LEASE })
}
