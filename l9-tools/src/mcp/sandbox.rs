//! Performing a call of a server's tool.

use std::fmt;
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use l9_core::governor::Permit;
use l9_core::tool::{Manifest, ToolFault, ToolOutput, ToolSandbox};
use serde_json::Value;

use super::server::Server;
use super::ticket::Ticket;

/// Performs the calls of one server's tools.
pub(super) struct Sandbox(Weak<Server>);

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("mcp::Sandbox").finish_non_exhaustive()
    }
}

impl Sandbox {
    pub(super) fn new(server: &Arc<Server>) -> Self {
        Self(Arc::downgrade(server))
    }

    fn server(&self) -> Result<Arc<Server>, ToolFault> {
        self.0.upgrade().ok_or_else(|| ToolFault::new("not_sent", "the system is shutting down"))
    }
}

#[async_trait]
impl ToolSandbox for Sandbox {
    async fn prepare(&self) {
        if let Some(server) = self.0.upgrade() {
            // The call tells.
            let _ = server.connection().await;
        }
    }

    fn egress_bytes(&self, manifest: &Manifest, input: &Value) -> u64 {
        // A program is written to, and nothing of that leaves the machine.
        if manifest.net.is_empty() {
            return 0;
        }
        // The arguments stand in the body, and some of them again, encoded, in headers.
        let arguments = input.to_string().len() as u64;
        self.0.upgrade().map_or(0, |server| server.envelope()) + 3 * arguments
    }

    async fn call(&self, permit: Permit, manifest: &Manifest, input: &Value) -> Result<ToolOutput, ToolFault> {
        let server = self.server()?;
        let within = manifest.limits.wall().min(permit.remaining());
        let cancelled = permit.cancelled().clone();
        let connection = tokio::select! {
            biased;
            () = cancelled.cancelled() => return Err(ToolFault::new("not_sent", "cancelled before it was sent")),
            connected = tokio::time::timeout(within, server.connection()) => match connected {
                Ok(Ok(connection)) => connection,
                Ok(Err(error)) => return Err(ToolFault::passing("not_sent", error.to_string())),
                Err(_) => return Err(ToolFault::passing("not_sent", "the server was not there in time")),
            },
        };
        let tool = server.name_of(&manifest.id, &manifest.version)?;
        let ticket = Ticket::new(permit, manifest.limits.log_bytes);
        let value = connection.call(&ticket, &tool, input, &manifest.limits).await?;
        Ok(ToolOutput { value, ..ToolOutput::default() })
    }
}
