//! Nodes over one store in this process, with a clock of the test's own. Effects run by the
//! real clock.

use std::sync::Arc;
use std::time::Duration;

use l9::time::Clock;
use l9::{Engine, Runtime, kernel};
use l9_memory::in_memory::Store;

/// How long a lease lasts.
pub(crate) const LEASE: Duration = Duration::from_secs(15);

/// An engine by that name over the store.
pub(crate) fn engine<C: Clock + 'static>(runtime: &Runtime, store: &Arc<Store>, clock: &Arc<C>, owner: &str) -> Engine {
    let mut parts = runtime.engine().parts().clone();
    parts.store = Arc::<Store>::clone(store);
    parts.clock = Arc::<C>::clone(clock);
    Engine::new(parts, kernel::Settings { node: owner.into(), owner: owner.into(), lease: LEASE })
}
