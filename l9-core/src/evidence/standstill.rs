//! Standstills: signed statements that all runs of a scope were quiet at a time, or go on
//! from another. Between the two nothing of theirs began: no record that is an intent has
//! its leaf between their sizes.
//!
//! ```text
//! origin/quiet        or origin/lifted
//! tenant              or * for all
//! MILLISECONDS        when the stop was ordered
//! MILLISECONDS        when all was quiet, or when the stop was lifted
//! size                of the newest checkpoint then
//! base64(root)        of that checkpoint
//! hex(SHA-256)        of who ordered this and why: the first line of the statement
//! ```

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::erasure::Erasure;
use super::log::AuditLog;
use super::note::{SigningKey, VerifyingKey};
use super::proof::Prover;
use super::tool_decision::ToolDecision;
use super::tree::verify_consistency;
use super::verify::EXACT;
use crate::digest::{Digest, sha256};
use crate::journal::RunStore;
use crate::stop::Scope;
use crate::time::Timestamp;
use crate::{Error, Result};

/// Records read at a time.
const PAGE: usize = 256;

/// Which end of a standstill is stated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Turn {
    /// All is quiet.
    Quiet,
    /// The stop was lifted.
    Lifted,
}

impl Turn {
    /// What follows the log's name in the first line of its notes.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::Quiet => "/quiet",
            Self::Lifted => "/lifted",
        }
    }
}

/// A statement about a stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standstill {
    /// Which end of it.
    pub turn: Turn,
    /// Whom it holds.
    pub scope: Scope,
    /// When it was ordered.
    pub since: Timestamp,
    /// When all was quiet, or when it was lifted.
    pub at: Timestamp,
    /// The size of the newest checkpoint then.
    pub size: u64,
    /// Its root.
    pub root: Digest,
    /// Of who ordered this and why: [`Order::digest`](super::Order::digest).
    pub order: Digest,
}

impl Standstill {
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
        let parsed = Self::parse(key, text).filter(|standstill| standstill.text(key) == text);
        parsed.ok_or_else(|| Error::corrupt(format!("the note is no standstill of {}", key.name())))
    }

    fn text(&self, key: &VerifyingKey) -> String {
        format!(
            "{}{}\n{}\n{}\n{}\n{}\n{}\n{}\n",
            key.name(),
            self.turn.suffix(),
            self.scope,
            self.since.as_millis(),
            self.at.as_millis(),
            self.size,
            STANDARD.encode(self.root.as_bytes()),
            self.order
        )
    }

    /// How long after the order it was, in milliseconds.
    #[must_use]
    pub fn took_ms(&self) -> u64 {
        u64::try_from(self.at.as_millis().saturating_sub(self.since.as_millis())).unwrap_or_default()
    }

    /// What of it contradicts itself: no log that keeps its own rules signs that.
    pub(super) fn contradictions(&self) -> impl Iterator<Item = &'static str> {
        let beyond = |millis: i64| !(0..=EXACT).contains(&u64::try_from(millis).unwrap_or(u64::MAX));
        let times = beyond(self.since.as_millis()) || beyond(self.at.as_millis());
        [
            (times || self.size > EXACT, "a number is below 0 or beyond 2^53"),
            (self.at < self.since, "it was quiet, or lifted, before it was ordered"),
            ((self.size == 0) != (self.root == sha256(&[])), "the root is not that of a tree of its size"),
        ]
        .into_iter()
        .filter_map(|(is, what)| is.then_some(what))
    }

    fn parse(key: &VerifyingKey, text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let first = lines.next()?.strip_prefix(key.name())?;
        Some(Self {
            turn: [Turn::Quiet, Turn::Lifted].into_iter().find(|turn| turn.suffix() == first)?,
            scope: lines.next()?.parse().ok()?,
            since: Timestamp::from_millis(lines.next()?.parse().ok()?),
            at: Timestamp::from_millis(lines.next()?.parse().ok()?),
            size: lines.next()?.parse().ok()?,
            root: Digest::from_slice(&STANDARD.decode(lines.next()?).ok()?).ok()?,
            order: lines.next()?.parse().ok()?,
        })
    }
}

/// Checks every statement that is kept: that the key signed it, that the tree begins with
/// the one it names, and that nothing of a standstill's scope began while it stood. Gives
/// what does not hold.
///
/// # Errors
/// When the log or the store cannot be read.
pub async fn verify_standstills(
    log: &Arc<dyn AuditLog>,
    store: &dyn RunStore,
    key: &VerifyingKey,
) -> Result<Vec<String>> {
    let Some(newest) = log.newest(1).await?.pop() else { return Ok(Vec::new()) };
    let checkpoint = newest.checkpoint.clone();
    let mut prover = Prover::new(Arc::clone(log), newest);
    let mut faults = Vec::new();
    let mut quiet: Vec<Standstill> = Vec::new();
    for (place, note) in log.statements().await?.iter().enumerate() {
        let stated = match Standstill::open(key, note) {
            Ok(standstill) => Ok(standstill),
            Err(error) => {
                let decided = ToolDecision::open(key, note).map(|decision| (decision.size, decision.root));
                match decided.or_else(|_| Erasure::open(key, note).map(|erasure| (erasure.size, erasure.root))) {
                    Ok(named) => Err(named),
                    Err(_) => {
                        faults.push(format!("statement {place}: {error}"));
                        continue;
                    }
                }
            }
        };
        let (size, root) = stated.as_ref().map_or_else(|named| *named, |standstill| (standstill.size, standstill.root));
        let begins = size <= checkpoint.size && {
            let proof = prover.consistency(size).await?;
            verify_consistency((size, &root), (checkpoint.size, &checkpoint.root), &proof.hashes).is_ok()
        };
        if !begins {
            faults.push(format!("statement {place}: the tree does not begin with the {size} leaves that it names"));
        }
        let Ok(standstill) = stated else { continue };
        let Standstill { turn, scope, size, .. } = &standstill;
        match turn {
            Turn::Quiet => quiet.push(standstill),
            Turn::Lifted => {
                for ended in quiet.extract_if(.., |quiet| quiet.scope == *scope) {
                    began(log, store, &ended, *size, &mut faults).await?;
                }
            }
        }
    }
    for standing in &quiet {
        began(log, store, standing, checkpoint.size, &mut faults).await?;
    }
    Ok(faults)
}

/// What began between the leaf at which a scope was quiet and another.
async fn began(
    log: &Arc<dyn AuditLog>,
    store: &dyn RunStore,
    quiet: &Standstill,
    until: u64,
    faults: &mut Vec<String>,
) -> Result<()> {
    let mut from = quiet.size;
    while from < until {
        let width = usize::try_from(until - from).unwrap_or(PAGE).min(PAGE);
        for entry in log.entries(from, width).await?.iter().filter(|entry| quiet.scope.holds(&entry.tenant)) {
            let record = store.read(&entry.tenant, entry.run, entry.seq, 1).await?.pop();
            if record.is_some_and(|record| record.seq == entry.seq && record.kind == "effect.intent") {
                faults
                    .push(format!("record {} of run {} began while {} was stopped", entry.seq, entry.run, quiet.scope));
            }
        }
        from += width as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::horizon::Horizon;
    use super::*;

    #[test]
    fn a_standstill_reads_back_and_is_nothing_else() {
        let key = SigningKey::new("l9.local/log", &[3; 32]).unwrap();
        let time = Timestamp::from_millis;
        let order = sha256(&[b"an order"]);
        let (since, at, root) = (time(5), time(9), Digest::ZERO);
        let quiet = Standstill { turn: Turn::Quiet, scope: Scope::All, since, at, size: 7, root, order };
        let note = quiet.sign(&key);
        assert_eq!(Standstill::open(key.public(), &note).unwrap(), quiet);
        assert!(Horizon::open(key.public(), &note).is_err());
        let lifted = Standstill { turn: Turn::Lifted, ..quiet };
        assert_eq!(Standstill::open(key.public(), &lifted.sign(&key)).unwrap(), lifted);
        let other = SigningKey::new("l9.local/log", &[4; 32]).unwrap();
        assert!(Standstill::open(other.public(), &note).is_err());
        for (at, byte) in note.bytes().enumerate() {
            let mut forged = note.clone().into_bytes();
            forged[at] = byte ^ 1;
            let opened = String::from_utf8(forged).ok().and_then(|note| Standstill::open(key.public(), &note).ok());
            assert_eq!(opened, None, "byte {at}");
        }
    }
}
