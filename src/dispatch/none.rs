//! A build without Redis: no queue is shared.

use std::sync::Arc;

use l9_core::Result;
use l9_core::queue::TaskQueue;
use l9_core::time::Clock;
use l9_core::vault::Vault;

use crate::settings::Settings;

/// None.
pub(super) fn shared(_: &Settings, _: &Arc<dyn Vault>, _: &Arc<dyn Clock>) -> Result<Option<Arc<dyn TaskQueue>>> {
    Ok(None)
}
