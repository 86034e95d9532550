//! The queue's way to a server, as whoever embeds it gives one.

use std::sync::Arc;

use async_trait::async_trait;
use l9_core::Result;
use l9_memory::redis::{Server, Settings};
use l9_plan::redis::Way;
use redis::{ScriptInvocation, Value};

#[derive(Debug)]
struct Over(Server);

pub(crate) fn to(servers: &Settings) -> Arc<dyn Way> {
    Arc::new(Over(Server::new(servers).expect("the address is one")))
}

#[async_trait]
impl Way for Over {
    async fn run(&self, script: &ScriptInvocation<'_>) -> Result<Value> {
        self.0.run(script).await
    }

    async fn listen(&self, channel: &str, hear: &(dyn Fn() + Send + Sync)) -> Result<()> {
        self.0.hear(channel, hear).await
    }
}
