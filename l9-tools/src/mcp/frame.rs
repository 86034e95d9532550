//! Messages from a server, read from whatever bytes it sent: the same bounds hold for lines,
//! bodies and events.

use l9_core::Result;
use l9_core::json::{self, Bounds};
use rmcp::model::ServerJsonRpcMessage;

/// Nested arrays and objects of a message: those of an output and some around it.
const DEPTH: usize = 128;
/// Values of a message.
const VALUES: usize = 500_000;

/// The message in these bytes, of which there are no more than the transport takes.
///
/// # Errors
/// `Invalid` for what is no message, has a key twice, or is too deep or too large.
pub(super) fn message(bytes: &[u8]) -> Result<ServerJsonRpcMessage> {
    json::parse_as(bytes, &Bounds { bytes: bytes.len(), depth: DEPTH, values: VALUES })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_deep_too_large_or_means_two_things_is_no_message() {
        let answer = |result: &str| message(format!(r#"{{"jsonrpc": "2.0", "id": 1, "result": {result}}}"#).as_bytes());
        assert!(answer(r#"{"content": [], "more": 1}"#).is_ok());
        assert!(answer(r#"{"content": [], "content": []}"#).is_err());
        assert!(answer(&format!("{{\"more\": {}1{}}}", "[".repeat(DEPTH), "]".repeat(DEPTH))).is_err());
        assert!(answer(&format!("{{\"more\": [{}0]}}", "0,".repeat(VALUES))).is_err());
    }
}
