//! The queue's way to the server of the settings.

use async_trait::async_trait;
use l9_core::Result;
use l9_memory::redis::Server;
use redis::{ScriptInvocation, Value};

/// The server, over a connection of the queue's own.
#[derive(Debug)]
pub(super) struct Way(pub(super) Server);

#[async_trait]
impl l9_plan::redis::Way for Way {
    async fn run(&self, script: &ScriptInvocation<'_>) -> Result<Value> {
        self.0.run(script).await
    }

    async fn listen(&self, channel: &str, hear: &(dyn Fn() + Send + Sync)) -> Result<()> {
        self.0.hear(channel, hear).await
    }
}
