//! Erasures: a signed statement that something about a data subject was removed for good. It
//! is published before a body goes, and a bundle with a body missing that no horizon covers
//! must come with one.
//!
//! ```text
//! origin/erasure
//! tenant
//! run UUID            what was erased: a run's own records, or `memory`
//! count               how many records the run has, or how many memories there were
//! MILLISECONDS        when it was signed
//! size                of the newest checkpoint then
//! base64(root)        of that checkpoint
//! hex(SHA-256)        of who ordered it and why: RFC 8785 of {"by", "reason"}
//! ```
//!
//! Who the subject is stands nowhere.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::note::{SigningKey, VerifyingKey};
use crate::digest::Digest;
use crate::id::{RunId, TenantId};
use crate::time::Timestamp;
use crate::{Error, Result};

/// A statement about what was erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// Whose.
    pub tenant: TenantId,
    /// What.
    pub what: Erased,
    /// How many records the run has of its own, or how many memories there were.
    pub count: u64,
    /// When it was signed.
    pub at: Timestamp,
    /// The size of the newest checkpoint then.
    pub size: u64,
    /// Its root.
    pub root: Digest,
    /// Of who ordered it and why: [`Order::digest`](super::Order::digest).
    pub order: Digest,
}

/// What was erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Erased {
    /// The bodies of a run's own records, and the values that they refer to.
    Run(RunId),
    /// Memories, and the key that they were sealed under.
    Memory,
}

impl fmt::Display for Erased {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(run) => write!(f, "run {run}"),
            Self::Memory => f.write_str("memory"),
        }
    }
}

impl FromStr for Erased {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.strip_prefix("run ") {
            Some(run) => run.parse().map(Self::Run),
            None if text == "memory" => Ok(Self::Memory),
            None => Err(Error::corrupt(format!("{text:?} is nothing that is erased"))),
        }
    }
}

impl Erasure {
    /// Signs it in the name of the log.
    #[must_use]
    pub fn sign(&self, key: &SigningKey) -> String {
        key.sign(&self.text(key.public()))
    }

    /// Opens one that the key signed.
    ///
    /// # Errors
    /// As [`VerifyingKey::open`], and `Corrupt` for a text that is no erasure.
    pub fn open(key: &VerifyingKey, note: &str) -> Result<Self> {
        let text = key.open(note)?;
        let parsed = Self::parse(text).filter(|erasure| erasure.text(key) == text);
        parsed.ok_or_else(|| Error::corrupt(format!("the note is no erasure of {}", key.name())))
    }

    /// Whose and what a note erases, if it is meant as an erasure. Nothing is verified.
    pub(super) fn peek(note: &str) -> Option<(TenantId, Erased)> {
        note.lines().next()?.ends_with("/erasure").then_some(())?;
        let parsed = Self::parse(note)?;
        Some((parsed.tenant, parsed.what))
    }

    fn text(&self, key: &VerifyingKey) -> String {
        format!(
            "{}/erasure\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n",
            key.name(),
            self.tenant,
            self.what,
            self.count,
            self.at.as_millis(),
            self.size,
            STANDARD.encode(self.root.as_bytes()),
            self.order
        )
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines().skip(1);
        Some(Self {
            tenant: TenantId::new(lines.next()?).ok()?,
            what: lines.next()?.parse().ok()?,
            count: lines.next()?.parse().ok()?,
            at: Timestamp::from_millis(lines.next()?.parse().ok()?),
            size: lines.next()?.parse().ok()?,
            root: Digest::from_slice(&STANDARD.decode(lines.next()?).ok()?).ok()?,
            order: lines.next()?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::horizon::Horizon;
    use super::*;

    #[test]
    fn an_erasure_reads_back_and_no_byte_of_it_is_free() {
        let key = SigningKey::new("l9.local/log", &[3; 32]).unwrap();
        let run = "01890000-0000-7000-8000-000000000000".parse().unwrap();
        for what in [Erased::Run(run), Erased::Memory] {
            let (tenant, at) = (TenantId::default_tenant(), Timestamp::from_millis(9));
            let erasure = Erasure { tenant, what, count: 3, at, size: 7, root: Digest::ZERO, order: Digest::ZERO };
            let note = erasure.sign(&key);
            assert_eq!(Erasure::open(key.public(), &note).unwrap(), erasure);
            assert!(Horizon::open(key.public(), &note).is_err());
            for (at, byte) in note.bytes().enumerate() {
                let mut forged = note.clone().into_bytes();
                forged[at] = byte ^ 1;
                let opened = String::from_utf8(forged).ok().and_then(|note| Erasure::open(key.public(), &note).ok());
                assert_eq!(opened, None, "byte {at}");
            }
        }
    }
}
