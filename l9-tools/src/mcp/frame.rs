//! Messages from a server, read from whatever bytes it sent: the same bounds hold for lines,
//! bodies and events.

use l9_core::json::{self, Bounds};
use l9_core::{Error, Result};
use rmcp::model::{ServerJsonRpcMessage, Tool};
use serde::Deserialize as _;
use serde_json::Value;

use super::output::told;

/// Nested arrays and objects of a message: those of an output and some around it.
const DEPTH: usize = 128;
/// Values of a message.
const VALUES: usize = 500_000;

/// The message in these bytes, of which there are no more than the transport takes.
///
/// # Errors
/// `Invalid` for what is no message, has a key twice, or is too deep or too large.
pub(super) fn message(bytes: &[u8]) -> Result<ServerJsonRpcMessage> {
    let mut value = json::parse_answer(bytes, &Bounds { bytes: bytes.len(), depth: DEPTH, values: VALUES })?;
    if let Some(Value::Array(tools)) = value.pointer_mut("/result/tools") {
        // One that is none keeps nobody from the others.
        tools.retain(is_tool);
    }
    serde_json::from_value(value).map_err(|error| Error::invalid(error.to_string()))
}

fn is_tool(value: &Value) -> bool {
    let Err(error) = Tool::deserialize(value) else { return true };
    let name = told(value.get("name").and_then(Value::as_str).unwrap_or("without a name"));
    tracing::warn!(name, error = told(&error.to_string()), "an MCP server lists a tool that is none: it is left out");
    false
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

    #[test]
    fn large_integers_are_told_as_texts_and_what_is_no_tool_is_left_out() {
        let answer = |result: &str| {
            let message = message(format!(r#"{{"jsonrpc": "2.0", "id": 1, "result": {result}}}"#).as_bytes());
            serde_json::to_value(message.unwrap()).unwrap()
        };
        let large = answer(r#"{"content": [], "structuredContent": {"id": 1234567890123456789, "n": 5}}"#);
        assert_eq!(large["result"]["structuredContent"], serde_json::json!({"id": "1234567890123456789", "n": 5}));
        let good = r#"{"name": "good", "inputSchema": {"type": "object"}}"#;
        for bad in [r#"{"name": "bad", "inputSchema": null}"#, r#"{"inputSchema": {}}"#, "5"] {
            let listed = answer(&format!(r#"{{"tools": [{bad}, {good}]}}"#));
            assert_eq!(listed["result"]["tools"].as_array().map(Vec::len), Some(1), "{bad}");
        }
    }
}
