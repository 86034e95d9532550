//! Decisions about tools: signed statements that somebody let a contract be called, or
//! forbade it, at a time.
//!
//! ```text
//! origin/tool
//! namespace/name
//! version
//! hex(contract)
//! accepted            or disabled, or revoked
//! MILLISECONDS        when it was decided
//! size                of the newest checkpoint then
//! base64(root)        of that checkpoint
//! hex(SHA-256)        of who decided it and why: RFC 8785 of {"by", "reason"}
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::note::{SigningKey, VerifyingKey};
use super::statement::Order;
use crate::digest::Digest;
use crate::time::Timestamp;
use crate::tool::{Cause, ToolChange, ToolState};
use crate::{Error, Result};

/// A statement about a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolDecision {
    /// The tool.
    pub tool: String,
    /// Its version.
    pub version: String,
    /// What the version means.
    pub contract: Digest,
    /// The state from then on.
    pub state: ToolState,
    /// When it was decided.
    pub at: Timestamp,
    /// The size of the newest checkpoint then.
    pub size: u64,
    /// Its root.
    pub root: Digest,
    /// Of who decided this and why.
    pub order: Digest,
}

impl ToolDecision {
    /// What is stated of a change, beside a checkpoint.
    ///
    /// # Errors
    /// Never, in fact: text has a canonical form.
    pub fn of(change: &ToolChange, (size, root): (u64, Digest)) -> Result<Self> {
        let ToolChange { tool, version, contract, state, at, order } = change;
        let order = Order { by: order.by.clone(), reason: order.reason.clone(), within_ms: None }.digest()?;
        let (tool, version, contract) = (tool.to_string(), version.to_string(), contract.0);
        Ok(Self { tool, version, contract, state: *state, at: *at, size, root, order })
    }

    /// Whether this states that change.
    #[must_use]
    pub fn states(&self, change: &ToolChange) -> bool {
        change.order.cause == Cause::Decision
            && Self::of(change, (self.size, self.root)).is_ok_and(|stated| stated == *self)
    }

    /// Signs it in the name of the log.
    #[must_use]
    pub fn sign(&self, key: &SigningKey) -> String {
        key.sign(&self.text(key.public()))
    }

    /// Opens one that the key signed.
    ///
    /// # Errors
    /// As [`VerifyingKey::open`], and `Corrupt` for a text that is no such statement.
    pub fn open(key: &VerifyingKey, note: &str) -> Result<Self> {
        let text = key.open(note)?;
        let parsed = Self::parse(key, text).filter(|decision| decision.text(key) == text);
        parsed.ok_or_else(|| Error::corrupt(format!("the note is no decision about a tool of {}", key.name())))
    }

    fn text(&self, key: &VerifyingKey) -> String {
        format!(
            "{}/tool\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n",
            key.name(),
            self.tool,
            self.version,
            self.contract,
            self.state,
            self.at.as_millis(),
            self.size,
            STANDARD.encode(self.root.as_bytes()),
            self.order
        )
    }

    fn parse(key: &VerifyingKey, text: &str) -> Option<Self> {
        let mut lines = text.lines();
        (lines.next()?.strip_prefix(key.name())? == "/tool").then_some(())?;
        Some(Self {
            tool: lines.next()?.to_owned(),
            version: lines.next()?.to_owned(),
            contract: lines.next()?.parse().ok()?,
            state: lines.next()?.parse().ok()?,
            at: Timestamp::from_millis(lines.next()?.parse().ok()?),
            size: lines.next()?.parse().ok()?,
            root: Digest::from_slice(&STANDARD.decode(lines.next()?).ok()?).ok()?,
            order: lines.next()?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Standstill;
    use crate::tool::{self, ContractHash};

    #[test]
    fn a_decision_reads_back_and_states_its_change_alone() {
        let key = SigningKey::new("l9.local/log", &[3; 32]).unwrap();
        let order = |reason: &str| tool::Order {
            cause: Cause::Decision,
            by: "person:ada".into(),
            reason: reason.into(),
            signer: None,
            manifest: None,
        };
        let change = ToolChange {
            tool: "mail/send".parse().unwrap(),
            version: "1.2.3".parse().unwrap(),
            contract: ContractHash::of(&"contract").unwrap(),
            state: ToolState::Revoked,
            at: Timestamp::from_millis(5),
            order: order("its maker was breached"),
        };
        let decision = ToolDecision::of(&change, (7, Digest::ZERO)).unwrap();
        let note = decision.sign(&key);
        assert_eq!(ToolDecision::open(key.public(), &note).unwrap(), decision);
        assert!(Standstill::open(key.public(), &note).is_err());
        assert!(decision.states(&change));
        let others = [
            ToolChange { state: ToolState::Accepted, ..change.clone() },
            ToolChange { order: order("another"), ..change.clone() },
            ToolChange { at: Timestamp::from_millis(6), ..change.clone() },
            ToolChange { contract: ContractHash::of(&"other").unwrap(), ..change.clone() },
            ToolChange { order: tool::Order { cause: Cause::Arrival, ..change.order.clone() }, ..change },
        ];
        assert!(others.iter().all(|other| !decision.states(other)));
        for (at, byte) in note.bytes().enumerate() {
            let mut forged = note.clone().into_bytes();
            forged[at] = byte ^ 1;
            let opened = String::from_utf8(forged).ok().and_then(|note| ToolDecision::open(key.public(), &note).ok());
            assert_eq!(opened, None, "byte {at}");
        }
    }
}
