//! The way to the server, which belongs to whoever owns the connection.

use std::fmt;

use async_trait::async_trait;
use l9_core::Result;
use redis::{ScriptInvocation, Value};

/// A Redis server, or a cluster of them, that runs scripts. All keys of a script share a slot.
#[async_trait]
pub trait Way: fmt::Debug + Send + Sync + 'static {
    /// Runs a script; more than once if an answer was lost.
    ///
    /// # Errors
    /// `Unavailable` when there is no answer, `Denied` when the server refuses, `Exhausted` when
    /// it is full.
    async fn run(&self, script: &ScriptInvocation<'_>) -> Result<Value>;

    /// Calls `hear` when it listens to a channel, and at each message from then on, until the
    /// connection is lost that hears them.
    ///
    /// # Errors
    /// As [`Way::run`].
    async fn listen(&self, channel: &str, hear: &(dyn Fn() + Send + Sync)) -> Result<()>;
}
