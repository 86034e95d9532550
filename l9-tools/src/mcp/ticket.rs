//! What goes along with one call from the sandbox to the transport: its permit, and how far
//! it came.

use std::fmt;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use l9_core::governor::Permit;
use l9_core::tool::ToolFault;
use l9_core::{Error, ErrorKind, Result};
use rmcp::model::{ClientJsonRpcMessage, ClientRequest, GetExtensions as _, JsonRpcMessage};

use crate::log::printable;

/// Bytes of one line of progress.
const LINE: usize = 2_000;

/// Nothing of the request has left, and it still may.
const WAITS: u8 = 0;
/// The server may have something of it.
const LEFT: u8 = 1;
/// Nothing of it has left, and nothing will.
const VOID: u8 = 2;

/// The ticket of one call. Messages that have none are no effect of a run: the handshake,
/// listings, and notices about calls.
pub(super) struct Ticket {
    permit: Permit,
    stage: AtomicU8,
    fault: OnceLock<ToolFault>,
    /// Bytes that it may still show of its progress.
    shows: AtomicU64,
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ticket").field(&self.permit).finish()
    }
}

impl Ticket {
    /// `shows` is how many bytes of progress it may show.
    pub(super) fn new(permit: Permit, shows: u64) -> Arc<Self> {
        let (stage, shows) = (AtomicU8::new(WAITS), AtomicU64::new(shows));
        Arc::new(Self { permit, stage, fault: OnceLock::new(), shows })
    }

    /// The ticket of a message. A call has one, and nothing else needs one.
    ///
    /// # Errors
    /// `Internal` for a call without one, which must not be sent.
    pub(super) fn of(message: &ClientJsonRpcMessage) -> Result<Option<Arc<Self>>> {
        let JsonRpcMessage::Request(request) = message else { return Ok(None) };
        let ticket = request.request.extensions().get::<Arc<Self>>().cloned();
        match (&request.request, &ticket) {
            (ClientRequest::CallToolRequest(_), None) => Err(Error::internal("a call without a permit is never sent")),
            _ => Ok(ticket),
        }
    }

    pub(super) fn permit(&self) -> &Permit {
        &self.permit
    }

    /// From now on the server may have something of the request. Asked right before its first
    /// byte leaves.
    ///
    /// # Errors
    /// When the permit is no more in force, or the call was given up meanwhile.
    pub(super) fn leave(&self) -> Result<()> {
        self.permit.check().inspect_err(|error| self.fail(ToolFault::passing("not_sent", error.to_string())))?;
        match self.stage.compare_exchange(WAITS, LEFT, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::new(ErrorKind::Cancelled, "the call was given up")),
        }
    }

    /// Says how the transport failed; the first word counts.
    pub(super) fn fail(&self, fault: ToolFault) {
        let _ = self.fault.set(fault);
    }

    /// Gives the call up: `fault` if the server may have something of it, and otherwise that
    /// nothing was sent, which stays so. What the transport said goes before both.
    pub(super) fn give_up(&self, fault: ToolFault) -> ToolFault {
        let void = self.stage.compare_exchange(WAITS, VOID, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        match self.fault.get() {
            Some(said) => said.clone(),
            None if void => ToolFault { code: "not_sent".to_owned(), ..fault },
            None => fault,
        }
    }

    /// Shows those who follow the run how far the server has come, as long as it does not say
    /// too much; a sign of life it is in any case.
    pub(super) fn progress(&self, line: &str) {
        let line = printable(line, LINE) + "\n";
        let spend = |left: u64| left.checked_sub(line.len() as u64);
        match self.shows.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend) {
            Ok(_) => self.permit.show(&line),
            Err(_) => self.permit.beat(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmcp::model::{CallToolRequest, CallToolRequestParams, ListToolsRequest, RequestId};

    #[test]
    fn a_call_without_a_permit_is_never_sent_and_a_list_needs_none() {
        let message = |request| ClientJsonRpcMessage::request(request, RequestId::Number(1));
        let call = CallToolRequest::new(CallToolRequestParams::new("add"));
        assert!(Ticket::of(&message(ClientRequest::CallToolRequest(call))).is_err());
        let list = ListToolsRequest::default();
        assert!(Ticket::of(&message(ClientRequest::ListToolsRequest(list))).is_ok_and(|ticket| ticket.is_none()));
    }
}
