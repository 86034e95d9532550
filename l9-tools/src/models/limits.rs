//! The bounds of one request to a model, the same for every wire.

use std::time::Duration;

use l9_core::model::ModelRequest;
use serde::{Deserialize, Serialize};

/// How long and how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The longest wait for the answer's beginning, and between two pieces of it, in
    /// milliseconds. The whole call ends with its permit.
    pub idle_ms: u64,
    /// The most tokens of answer a request may ask for; also what it asks for if it names
    /// no number.
    pub max_output_tokens: u32,
    /// Bytes of one answer on the wire.
    pub max_response_bytes: u64,
    /// Bytes of one event of a stream.
    pub max_event_bytes: usize,
    /// Tool calls in one answer.
    pub max_tool_calls: usize,
    /// Bytes of the arguments of one tool call.
    pub max_argument_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            idle_ms: 60_000,
            max_output_tokens: 16_384,
            max_response_bytes: 16 << 20,
            max_event_bytes: 4 << 20,
            max_tool_calls: 64,
            max_argument_bytes: 1 << 20,
        }
    }
}

impl Limits {
    pub(super) fn idle(&self) -> Duration {
        Duration::from_millis(self.idle_ms)
    }

    /// The most tokens of answer that this request asks for.
    pub(super) fn output_tokens(&self, request: &ModelRequest) -> u32 {
        match request.max_output_tokens {
            0 => self.max_output_tokens,
            asked => asked.min(self.max_output_tokens),
        }
    }
}
