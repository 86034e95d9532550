//! What an answer, or its absence, means for the call: pure decisions.
//!
//! A write is said not to have happened only where the far side's word or the missing
//! connection make that certain.

use std::time::Duration;

use l9_core::json::{self, Bounds};
use l9_core::tool::{Limits, ToolFault};
use l9_core::{Error, ErrorKind};
use serde_json::{Value, json};

use crate::egress::{Encoded, Idle, NotSent, Redirected};

/// Values in one answer.
const VALUES: usize = 100_000;
/// Bytes of a refusal that are told.
const REFUSAL: usize = 1_000;

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// How many redirects were followed.
    pub(crate) redirects: u32,
    /// The media type, without parameters, in lowercase.
    pub(crate) media: String,
    /// What its text is written in, in lowercase, if that is said.
    #[cfg_attr(not(feature = "wasm"), expect(dead_code, reason = "only web/fetch asks"))]
    pub(crate) charset: Option<String>,
    pub(crate) body: Vec<u8>,
    pub(crate) retry_after: Option<Duration>,
}

/// How the request stood when it was made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stand {
    /// Whether it only reads.
    pub(crate) reads: bool,
    /// Whether an earlier attempt may have arrived.
    pub(crate) again: bool,
}

impl Answer {
    /// The output: `{status, body}` for JSON, `{status, text}` for anything else.
    pub(super) fn value(&self, limits: &Limits) -> Value {
        let is_json = self.media == "application/json" || self.media.ends_with("+json");
        if self.body.is_empty() {
            return json!({"status": self.status, "body": null});
        }
        let bounds = Bounds { bytes: self.body.len(), depth: limits.depth.saturating_sub(1) as usize, values: VALUES };
        match json::parse_answer(&self.body, &bounds) {
            Ok(body) if is_json => json!({"status": self.status, "body": body}),
            _ => json!({"status": self.status, "text": String::from_utf8_lossy(&self.body)}),
        }
    }

    /// The output, or what the status means.
    pub(super) fn judged(&self, limits: &Limits, stand: Stand) -> Result<Value, ToolFault> {
        self.good(stand)?;
        Ok(self.value(limits))
    }

    /// What a status means that is no success.
    pub(crate) fn good(&self, stand: Stand) -> Result<(), ToolFault> {
        let status = self.status;
        let said = crate::log::printable(&String::from_utf8_lossy(&self.body), REFUSAL);
        let message = format!("the far side answered {status}: {said}");
        match status {
            200..=299 => Ok(()),
            // What was asked for was answered, if only by pointing elsewhere: it may be done.
            _ if self.redirects > 0 && !stand.reads => {
                Err(ToolFault::new("redirected", format!("a redirect was followed, and then {message}")))
            }
            // Turned away before anything was done.
            425 | 429 if stand.reads || !stand.again => Err(self.passing("not_sent", message)),
            408 | 425 | 429 | 500..=599 => Err(self.passing("unavailable", message)),
            // The earlier attempt under the same key may be under way.
            409 if stand.again && !stand.reads => Err(self.passing("unavailable", message)),
            400..=499 if stand.again && !stand.reads => {
                let doubt = "an earlier attempt may have taken effect all the same";
                Err(ToolFault::new("rejected", format!("{message}; {doubt}")))
            }
            400..=499 => Err(ToolFault::new("failed", message)),
            300..=399 => {
                let mend = "it points elsewhere, write the final address into the manifest, or how many redirects net may follow";
                Err(ToolFault::new("redirected", format!("the far side answered {status}: {mend}")))
            }
            _ => Err(ToolFault::new("malformed", message)),
        }
    }

    fn passing(&self, code: &str, message: String) -> ToolFault {
        let asked = self.retry_after.filter(|_| matches!(self.status, 429 | 503));
        let retry_after_ms = asked.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        ToolFault { retry_after_ms, ..ToolFault::passing(code, message) }
    }
}

/// What an error of the egress means.
pub(crate) fn broken(error: &Error) -> ToolFault {
    let cause = std::error::Error::source(error);
    let message = crate::log::printable(&error.to_string(), REFUSAL);
    let is_redirected = cause.is_some_and(|cause| cause.is::<Redirected>());
    match error.kind() {
        // An earlier request had arrived, so what was refused here is not the whole call.
        ErrorKind::Denied | ErrorKind::Invalid if is_redirected => ToolFault::new("redirected", message),
        ErrorKind::Corrupt if cause.is_some_and(|cause| cause.is::<Encoded>()) => ToolFault::new("malformed", message),
        ErrorKind::Unavailable if cause.is_some_and(|cause| cause.is::<NotSent>()) => {
            ToolFault::passing("not_sent", message)
        }
        ErrorKind::Unavailable if cause.is_some_and(|cause| cause.is::<Idle>()) => {
            ToolFault::passing("unavailable", error.message())
        }
        ErrorKind::Unavailable => ToolFault::passing("unavailable", message),
        ErrorKind::Exhausted => ToolFault::new("limit.output", error.message()),
        ErrorKind::Cancelled => crate::error::cancelled(),
        ErrorKind::Denied if error.message().starts_with("the permit") => ToolFault::passing("unavailable", message),
        ErrorKind::Denied => ToolFault::new("refused", message),
        ErrorKind::Invalid => ToolFault::new("invalid_input", message),
        _ => ToolFault::new("unavailable", message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(status: u16, reads: bool, again: bool) -> (String, bool) {
        code_after(0, status, reads, again)
    }

    fn code_after(redirects: u32, status: u16, reads: bool, again: bool) -> (String, bool) {
        let body = b"{}".to_vec();
        let answer =
            Answer { status, redirects, media: "application/json".into(), charset: None, body, retry_after: None };
        match answer.judged(&Limits::default(), Stand { reads, again }) {
            Ok(_) => ("ok".into(), false),
            Err(fault) => (fault.code, fault.retryable),
        }
    }

    #[test]
    fn an_integer_that_no_double_holds_is_told_as_its_digits() {
        let (media, body) = ("application/json".to_owned(), br#"{"id": 1234567890123456789, "n": 5}"#.to_vec());
        let answer = Answer { status: 200, redirects: 0, media, charset: None, body, retry_after: None };
        let told = json!({"status": 200, "body": {"id": "1234567890123456789", "n": 5}});
        assert_eq!(answer.value(&Limits::default()), told);
    }

    #[test]
    fn a_write_failed_for_certain_only_at_its_first_attempt() {
        assert_eq!(code(204, false, false), ("ok".into(), false));
        assert_eq!(code(422, false, false), ("failed".into(), false));
        assert_eq!(code(422, false, true), ("rejected".into(), false));
        assert_eq!(code(409, false, true), ("unavailable".into(), true));
        assert_eq!(code(429, false, false), ("not_sent".into(), true));
        assert_eq!(code(429, false, true), ("unavailable".into(), true));
        assert_eq!(code(500, false, false), ("unavailable".into(), true));
        assert_eq!(code(303, false, false), ("redirected".into(), false));
        assert_eq!(code(404, true, true), ("failed".into(), false));
    }
    #[test]
    fn a_write_that_was_answered_by_pointing_elsewhere_may_be_done() {
        for status in [303, 403, 404, 425, 429, 500] {
            assert_eq!(code_after(1, status, false, false), ("redirected".into(), false), "{status}");
            assert_eq!(code_after(1, status, true, false), code(status, true, false), "{status}");
        }
        assert_eq!(code_after(1, 200, false, false), ("ok".into(), false));
    }
}
