//! What a server says without being asked: progress, notices of a changed list, and requests
//! of its own, which are declined.
#![expect(deprecated, reason = "servers of earlier versions still ask for roots and log")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use l9_core::redact::Redactor;
use rmcp::model::{
    ClientCapabilities, ClientConfig, ErrorCode, ErrorData, Implementation, ListRootsResult,
    LoggingMessageNotificationParam, ProgressNotificationParam, ProgressToken,
};
use rmcp::service::{NotificationContext, RequestContext};
use rmcp::{ClientHandler, RoleClient};
use tokio::sync::Notify;

use super::output::told;
use super::ticket::Ticket;

/// The calls under way, by the token of their progress.
#[derive(Debug, Default)]
pub(super) struct Calls(Mutex<HashMap<ProgressToken, Weak<Ticket>>>);

impl Calls {
    fn lock(&self) -> MutexGuard<'_, HashMap<ProgressToken, Weak<Ticket>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self, token: ProgressToken, ticket: &Arc<Ticket>) {
        self.lock().insert(token, Arc::downgrade(ticket));
    }

    pub(super) fn end(&self, token: &ProgressToken) {
        self.lock().remove(token);
    }

    fn of(&self, token: &ProgressToken) -> Option<Arc<Ticket>> {
        self.lock().get(token).and_then(Weak::upgrade)
    }
}

/// The client's side of one connection.
#[derive(Debug)]
pub(super) struct Handler {
    pub(super) server: String,
    pub(super) calls: Arc<Calls>,
    pub(super) changed: Arc<Notify>,
    pub(super) redactor: Arc<dyn Redactor>,
}

fn declined(what: &str) -> ErrorData {
    ErrorData::new(ErrorCode::METHOD_NOT_FOUND, format!("L9 gives no {what}: it declared no such capability"), None)
}

impl ClientHandler for Handler {
    fn get_info(&self) -> ClientConfig {
        ClientConfig::new(ClientCapabilities::default(), Implementation::new("l9", env!("CARGO_PKG_VERSION")))
    }

    async fn list_roots(&self, _: RequestContext<RoleClient>) -> Result<ListRootsResult, ErrorData> {
        Err(declined("roots"))
    }

    async fn on_progress(&self, progress: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        let Some(ticket) = self.calls.of(&progress.progress_token) else { return };
        let total = progress.total.map(|total| format!(" of {total}")).unwrap_or_default();
        let words = progress.message.map(|words| format!(": {words}")).unwrap_or_default();
        ticket.progress(&format!("{}{total}{words}", progress.progress));
    }

    async fn on_logging_message(&self, message: LoggingMessageNotificationParam, _: NotificationContext<RoleClient>) {
        let line = self.redactor.redact(&message.data.to_string()).into_owned();
        tracing::debug!(server = self.server, line = told(&line), "an MCP server logs");
    }

    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.changed.notify_one();
    }
}
