//! Statements about an emergency stop as they are handed out: a line that says who ordered
//! it and why, and the note of the standstill, which commits to that line.
//!
//! ```text
//! {"by":"person:ada","reason":"it mails everybody","within_ms":10000}
//! origin/quiet
//! …
//! ```
//!
//! The log keeps the note alone, so no words lie in the database in clear; and whoever shows
//! that all was quiet may leave the line out.

use serde::{Deserialize, Serialize};

use super::bundle;
use super::note::VerifyingKey;
use super::standstill::{Standstill, Turn};
use super::verify::{EXACT, Finding, at, finding};
use crate::digest::{Digest, sha256};
use crate::{Error, Result};

/// Who ordered a stop, lifted it or had something erased, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// How soon all was to be quiet, in milliseconds; what lifts a stop or erases has none, and
    /// neither had the first versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within_ms: Option<u64>,
}

impl Order {
    /// In RFC 8785 JSON, whose members are in the order of the fields.
    fn line(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| Error::internal(format!("an order cannot be written: {error}")))
    }

    /// What a standstill or an erasure says of it.
    ///
    /// # Errors
    /// Never, in fact: text has a canonical form.
    pub fn digest(&self) -> Result<Digest> {
        Ok(sha256(&[self.line()?.as_bytes()]))
    }

    /// What of it contradicts the end that it is the order of.
    fn contradictions(&self, turn: Turn) -> impl Iterator<Item = &'static str> {
        let empty = |text: &str| text.trim().is_empty();
        [
            (empty(&self.by), "it names nobody"),
            (empty(&self.reason), "it says no reason"),
            (self.within_ms.is_some_and(|within| within > EXACT), "its time is beyond 2^53"),
            (turn == Turn::Lifted && self.within_ms.is_some(), "what lifts a stop names no time for quiet"),
        ]
        .into_iter()
        .filter_map(|(is, what)| is.then_some(what))
    }

    /// The statement: this, and the note of a standstill or an erasure that has its digest.
    ///
    /// # Errors
    /// As [`Order::digest`].
    pub fn state(&self, note: &str) -> Result<String> {
        Ok(format!("{}\n{note}", self.line()?))
    }
}

/// What a statement proves, or why it proves nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct StatementVerdict {
    /// Whether all of it holds.
    pub ok: bool,
    /// What the key signed.
    pub standstill: Option<Standstill>,
    /// Who ordered it and why, if the statement says so.
    pub order: Option<Order>,
    /// Whether all was quiet within the time that was asked for, if one is named.
    pub in_time: Option<bool>,
    /// What does not hold.
    pub faults: Vec<Finding>,
}

/// Whether bytes are meant as a statement; a bundle begins otherwise.
#[must_use]
pub fn is_statement(bytes: &[u8]) -> bool {
    let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    first.starts_with(b"{\"by\":")
        || [Turn::Quiet, Turn::Lifted].iter().any(|turn| first.ends_with(turn.suffix().as_bytes()))
}

/// Verifies a statement: with the line of its order, or the note alone.
#[must_use]
pub fn verify(statement: &[u8], key: &VerifyingKey) -> StatementVerdict {
    let mut verdict = StatementVerdict::default();
    if let Err(finding) = walk(statement, key, &mut verdict) {
        verdict.faults.push(finding);
    }
    verdict.ok = verdict.faults.is_empty();
    verdict
}

/// Stops where nothing sensible can be said of what follows.
fn walk(statement: &[u8], key: &VerifyingKey, verdict: &mut StatementVerdict) -> Result<(), Finding> {
    let text = std::str::from_utf8(statement).map_err(|_| finding("statement", "it is no text"))?;
    let (line, note) = match text.split_once('\n') {
        Some((line, note)) if line.starts_with('{') => (Some(line), note),
        _ => (None, text),
    };
    let standstill = Standstill::open(key, note).map_err(|error| at("note", &error))?;
    if let Some(line) = line {
        if sha256(&[line.as_bytes()]) != standstill.order {
            return Err(finding("order", "it is not what the note commits to"));
        }
        let order: Order = bundle::read(line.as_bytes(), &mut Vec::new()).map_err(|error| at("order", &error))?;
        verdict.in_time = order.within_ms.map(|within| standstill.took_ms() <= within);
        verdict.faults.extend(order.contradictions(standstill.turn).map(|what| finding("order", what)));
        verdict.order = Some(order);
    }
    verdict.faults.extend(standstill.contradictions().map(|what| finding("note", what)));
    verdict.standstill = Some(standstill);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::note::SigningKey;
    use super::*;
    use crate::stop::Scope;
    use crate::time::Timestamp;

    /// What is ordered at 5 and signed at 9, with an order and without.
    fn stated(key: &SigningKey, order: &Order) -> (Standstill, String) {
        let time = Timestamp::from_millis;
        let (scope, root, order) = (Scope::All, sha256(&[b"x"]), order.digest().unwrap());
        let standstill = Standstill { turn: Turn::Quiet, scope, since: time(5), at: time(9), size: 7, root, order };
        let note = standstill.sign(key);
        (standstill, note)
    }

    #[test]
    fn a_statement_holds_with_its_order_and_without() {
        let key = SigningKey::new("l9.local/log", &[3; 32]).unwrap();
        for (within_ms, in_time) in [(Some(4), Some(true)), (Some(3), Some(false)), (None, None)] {
            let order = Order { by: "person:ada".into(), reason: "it \"mails\"\neverybody".into(), within_ms };
            let (standstill, note) = stated(&key, &order);
            let whole = order.state(&note).unwrap();
            assert!(is_statement(whole.as_bytes()) && is_statement(note.as_bytes()));
            let verdict = verify(whole.as_bytes(), key.public());
            assert!(verdict.ok, "{:?}", verdict.faults);
            assert_eq!((verdict.in_time, verdict.order), (in_time, Some(order)));
            let alone = verify(note.as_bytes(), key.public());
            assert_eq!((alone.ok, alone.order, alone.standstill), (true, None, Some(standstill)));
        }
    }

    /// What versions before this one signed has the digest of these two alone.
    #[test]
    fn an_order_without_a_time_has_the_digest_that_it_always_had() {
        let order = Order { by: "person:ada".into(), reason: "it mails everybody".into(), within_ms: None };
        let before = crate::json::canonical(&serde_json::json!({"by": order.by, "reason": order.reason})).unwrap();
        assert_eq!(order.digest().unwrap(), sha256(&[&before]));
    }

    #[test]
    fn a_bundle_or_a_checkpoint_is_no_statement() {
        for other in ["", "\n", "{\"artifacts\":0}\n", "l9.local/log\n7\nroot\n", "quiet\n"] {
            assert!(!is_statement(other.as_bytes()), "{other:?}");
        }
    }
}
