//! What a provider's refusal means: which code the run records, and whether asking again
//! may help.

use std::time::Duration;

use futures_util::StreamExt as _;
use l9_core::egress::EgressResponse;
use l9_core::model::ModelFault;
use l9_core::time::Timestamp;
use serde_json::Value;

use super::retry;

/// How much of it is read, in bytes.
const BYTES: usize = 64 << 10;

/// The most of a provider's own words that is passed on, in characters.
const WORDS: usize = 400;

/// What messages name so that a person can mend the cause.
#[derive(Debug, Clone)]
pub(super) struct Provider {
    /// The setting that holds the key, such as `OPENAI_API_KEY`.
    pub(super) key_variable: &'static str,
    /// Whether a key was given.
    pub(super) has_key: bool,
    pub(super) base_url: String,
}

/// The answer to a request that was not 200.
#[derive(Debug, Default)]
struct Refusal<'a> {
    status: u16,
    body: &'a [u8],
    location: Option<&'a str>,
    retry_after: Option<Duration>,
    /// `x-should-retry`, by which some providers say it themselves.
    should_retry: Option<bool>,
}

/// Reads an answer that was not 200, and tells what it means for a request that asked
/// `provider` for `model`.
pub(super) async fn read(mut response: EgressResponse, now: Timestamp, provider: &Provider, model: &str) -> ModelFault {
    let retry_after = retry::asked(&response, now);
    let mut body = Vec::new();
    while let Some(Ok(piece)) = response.body.next().await {
        body.extend_from_slice(&piece[..piece.len().min(BYTES - body.len())]);
        if body.len() >= BYTES {
            break;
        }
    }
    let refusal = Refusal {
        status: response.status,
        body: &body,
        location: response.header("location"),
        retry_after,
        should_retry: response.header("x-should-retry").and_then(|text| text.parse().ok()),
    };
    refusal.fault(provider, model)
}

impl Refusal<'_> {
    /// What it means for a request that asked `provider` for `model`.
    fn fault(&self, provider: &Provider, model: &str) -> ModelFault {
        let said = Said::read(self.body);
        let base = &provider.base_url;
        let (code, message, passing) = match self.status {
            300..=399 => {
                let to = self.location.unwrap_or("nowhere");
                let mend = "redirects are not followed, set the base URL to the final address";
                ("bad_request", format!("{base} redirects to {}: {mend}", clean(to)), false)
            }
            401 => ("unauthenticated", provider.refused_key(&said), false),
            402 => ("refused", format!("{base} wants payment: {said}"), false),
            403 => {
                let mend = format!("check what the key in {} may do", provider.key_variable);
                ("unauthenticated", format!("{base} does not allow model {model:?}: {mend} ({said})"), false)
            }
            404 => {
                let mend = "check the model's name and the base URL";
                ("bad_request", format!("model {model:?} was not found at {base}: {mend} ({said})"), false)
            }
            408 | 409 => ("unavailable", format!("{base} answered {}: {said}", self.status), true),
            429 if said.is_out_of_credit() => {
                ("rate_limited", format!("the account at {base} has no credit left: {said}"), false)
            }
            429 => ("rate_limited", format!("{base} limits the rate: {said}"), true),
            501 | 505 => ("unavailable", format!("{base} answered {}: {said}", self.status), false),
            500..=599 => ("unavailable", format!("{base} answered {}: {said}", self.status), true),
            400..=499 => ("bad_request", format!("{base} answered {}: {said}", self.status), false),
            _ => ("malformed", format!("{base} answered {} instead of 200", self.status), false),
        };
        ModelFault {
            retryable: self.should_retry.unwrap_or(passing),
            retry_after: self.retry_after,
            ..ModelFault::new(code, message)
        }
    }
}

impl Provider {
    fn refused_key(&self, said: &Said) -> String {
        let (base, variable) = (&self.base_url, self.key_variable);
        if self.has_key {
            format!("{base} refused the key: set {variable} to a valid one ({said})")
        } else {
            format!("{base} wants a key: set {variable}")
        }
    }
}

/// An error that came within a stream or in place of an answer, after the status 200.
pub(super) fn within(error: &Value) -> ModelFault {
    let said = Said::of(error);
    let status = error.get("code").and_then(|code| code.as_u64().or_else(|| code.as_str()?.parse().ok()));
    let kind = format!("{} {}", said.kind, said.code);
    let is = |words: &[&str]| words.iter().any(|word| kind.contains(word));
    let message = format!("the provider broke off: {said}");
    if said.is_out_of_credit() {
        ModelFault::new("rate_limited", message)
    } else if status == Some(429) || is(&["rate_limit"]) {
        ModelFault::passing("rate_limited", message)
    } else if matches!(status, Some(401 | 403)) || is(&["authentication", "permission"]) {
        ModelFault::new("unauthenticated", message)
    } else if matches!(status, Some(400..=499)) || is(&["invalid_request", "not_found", "request_too_large"]) {
        ModelFault::new("bad_request", message)
    } else if is(&["content_filter", "content_policy"]) {
        ModelFault::new("refused", message)
    } else {
        // `overloaded_error`, `api_error`, `server_error`, or one nobody has heard of.
        ModelFault::passing("unavailable", message)
    }
}

/// The words of a provider's error, however it wraps them.
#[derive(Debug, Default)]
struct Said {
    message: String,
    kind: String,
    code: String,
}

impl Said {
    fn read(body: &[u8]) -> Self {
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => Self::of(value.get("error").unwrap_or(&value)),
            Err(_) => Self { message: clean(&String::from_utf8_lossy(body)), ..Self::default() },
        }
    }

    fn of(error: &Value) -> Self {
        let text = |key: &str| error.get(key).and_then(Value::as_str).unwrap_or_default();
        let message = [error.as_str().unwrap_or_default(), text("message"), text("detail"), text("error")];
        let message = message.into_iter().find(|words| !words.is_empty());
        Self {
            message: message.map_or_else(|| clean(&error.to_string()), clean),
            kind: text("type").to_owned(),
            code: text("code").to_owned(),
        }
    }

    fn is_out_of_credit(&self) -> bool {
        [&self.kind, &self.code].iter().any(|word| word.contains("insufficient_quota") || word.contains("billing"))
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.message.is_empty() { "no reason given" } else { &self.message })
    }
}

/// Foreign words, made fit for a journal: one line, visible characters, not too many.
pub(super) fn clean(words: &str) -> String {
    let line: String = words.chars().map(|c| if c.is_control() { ' ' } else { c }).take(WORDS).collect();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn judge(status: u16, body: &str) -> ModelFault {
        let provider =
            Provider { key_variable: "X_API_KEY", has_key: true, base_url: "https://api.example.com/v1".into() };
        Refusal { status, body: body.as_bytes(), ..Refusal::default() }.fault(&provider, "m")
    }

    #[test]
    fn each_status_has_its_code_and_whether_it_may_pass() {
        for (status, code, passing) in [
            (301, "bad_request", false),
            (307, "bad_request", false),
            (400, "bad_request", false),
            (401, "unauthenticated", false),
            (402, "refused", false),
            (403, "unauthenticated", false),
            (404, "bad_request", false),
            (408, "unavailable", true),
            (409, "unavailable", true),
            (413, "bad_request", false),
            (422, "bad_request", false),
            (429, "rate_limited", true),
            (500, "unavailable", true),
            (501, "unavailable", false),
            (502, "unavailable", true),
            (503, "unavailable", true),
            (504, "unavailable", true),
            (529, "unavailable", true),
            (204, "malformed", false),
        ] {
            let fault = judge(status, "{}");
            assert_eq!((fault.code.as_str(), fault.retryable), (code, passing), "{status}");
        }
    }

    #[test]
    fn messages_name_the_mend_and_carry_the_providers_words() {
        let words = |fault: ModelFault| fault.message;
        let message = words(judge(401, r#"{"error":{"message":"bad key","type":"invalid_request_error"}}"#));
        assert_eq!(message, "https://api.example.com/v1 refused the key: set X_API_KEY to a valid one (bad key)");
        let message = words(judge(404, r#"{"type":"error","error":{"type":"not_found_error","message":"model: m"}}"#));
        assert!(message.contains("\"m\"") && message.contains("https://api.example.com/v1"), "{message}");
        assert!(words(judge(400, "<html>\r\n\u{1b}[31mno</html>")).ends_with("answered 400: <html> [31mno</html>"));
        assert!(words(judge(400, r#"{"error":"a plain text"}"#)).ends_with("a plain text"));
        assert!(words(judge(400, r#"{"detail":"as others say it"}"#)).ends_with("as others say it"));
        assert!(words(judge(400, &"x".repeat(9000))).len() < 600);
        assert!(words(judge(500, "")).ends_with("no reason given"));
    }

    #[test]
    fn an_empty_account_is_not_asked_again_and_the_provider_has_the_last_word() {
        let quota = r#"{"error":{"message":"You exceeded your current quota","code":"insufficient_quota"}}"#;
        assert!(!judge(429, quota).retryable);
        let provider = Provider { key_variable: "X", has_key: false, base_url: "b".into() };
        let told = Refusal { status: 500, should_retry: Some(false), ..Refusal::default() };
        assert!(!told.fault(&provider, "m").retryable);
        assert_eq!(Refusal { status: 401, ..Refusal::default() }.fault(&provider, "m").message, "b wants a key: set X");
    }

    #[test]
    fn errors_within_a_stream_are_told_apart_by_their_type() {
        for (error, code, passing) in [
            (json!({"type": "overloaded_error", "message": "Overloaded"}), "unavailable", true),
            (json!({"type": "api_error"}), "unavailable", true),
            (json!({"type": "rate_limit_error"}), "rate_limited", true),
            (json!({"type": "invalid_request_error"}), "bad_request", false),
            (json!({"type": "authentication_error"}), "unauthenticated", false),
            (json!({"code": 400, "message": "x"}), "bad_request", false),
            (json!({"code": "503"}), "unavailable", true),
            (json!({"code": "insufficient_quota"}), "rate_limited", false),
            (json!("words alone"), "unavailable", true),
            (json!(null), "unavailable", true),
        ] {
            let fault = within(&error);
            assert_eq!((fault.code.as_str(), fault.retryable), (code, passing), "{error}");
        }
    }
}
