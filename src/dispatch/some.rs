//! A queue in the Redis server of the settings.

use std::sync::Arc;
use std::time::Duration;

use l9_core::Result;
use l9_core::entropy::SystemEntropy;
use l9_core::id::TenantId;
use l9_core::queue::TaskQueue;
use l9_core::time::Clock;
use l9_core::vault::Vault;
use l9_plan::redis::{Connection, Queue};

use crate::settings::Settings;

/// The queue in Redis, if the settings name a server. Its name follows from the root key, so
/// that installations that share a server do not share a queue.
pub(super) fn shared(
    settings: &Settings,
    vault: &Arc<dyn Vault>,
    clock: &Arc<dyn Clock>,
) -> Result<Option<Arc<dyn TaskQueue>>> {
    let redis = &settings.redis;
    if redis.url.is_none() {
        return Ok(None);
    }
    let connection = Connection {
        info: redis.connection()?,
        connect: Duration::from_millis(redis.connect_timeout_ms),
        answer: Duration::from_millis(redis.answer_timeout_ms),
    };
    let name = vault.token(&TenantId::default_tenant(), "task queue", b"").to_string();
    let (clock, entropy) = (Arc::clone(clock), Arc::new(SystemEntropy));
    Ok(Some(Arc::new(Queue::new(connection, &name, settings.queue.clone(), clock, entropy)?)))
}
