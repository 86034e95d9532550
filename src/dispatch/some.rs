//! A queue in the Redis server of the settings.

use std::sync::Arc;

use l9_core::Result;
use l9_core::entropy::SystemEntropy;
use l9_core::id::TenantId;
use l9_core::queue::TaskQueue;
use l9_core::time::Clock;
use l9_core::vault::Vault;
use l9_memory::redis::Server;
use l9_plan::redis::Queue;

use super::way::Way;
use crate::settings::Settings;

/// The queue in Redis, if the settings name a server. Its name follows from the root key, so
/// that installations that share a server do not share a queue.
pub(super) fn shared(
    settings: &Settings,
    vault: &Arc<dyn Vault>,
    clock: &Arc<dyn Clock>,
) -> Result<Option<Arc<dyn TaskQueue>>> {
    if settings.redis.url.is_none() {
        return Ok(None);
    }
    let way = Arc::new(Way(Server::new(&settings.redis)?));
    let name = vault.token(&TenantId::default_tenant(), "task queue", b"").to_string();
    let (clock, entropy) = (Arc::clone(clock), Arc::new(SystemEntropy));
    Ok(Some(Arc::new(Queue::new(way, &name, settings.queue.clone(), clock, entropy))))
}
