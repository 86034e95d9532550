//! Checkpoints: the tree's size and root at a time, signed
//! (<https://c2sp.org/tlog-checkpoint>).
//!
//! ```text
//! origin
//! size
//! base64(root)
//! time MILLISECONDS
//! ```
//!
//! The origin is the name of the key that signs. The last line is an extension, which
//! other readers of checkpoints pass over.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::note::{SigningKey, VerifyingKey};
use crate::digest::Digest;
use crate::time::Timestamp;
use crate::{Error, Result};

/// What the tree was at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checkpoint {
    /// The log.
    pub origin: String,
    /// How many leaves there were.
    pub size: u64,
    /// The root over them.
    pub root: Digest,
    /// When it was signed.
    pub at: Timestamp,
}

/// A checkpoint and the note that was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// What it says.
    pub checkpoint: Checkpoint,
    /// The note.
    pub note: String,
}

impl Checkpoint {
    /// Signs it. The origin is the key's name.
    #[must_use]
    pub fn sign(key: &SigningKey, size: u64, root: Digest, at: Timestamp) -> SignedCheckpoint {
        let checkpoint = Self { origin: key.public().name().to_owned(), size, root, at };
        let note = key.sign(&checkpoint.text());
        SignedCheckpoint { checkpoint, note }
    }

    fn text(&self) -> String {
        let root = STANDARD.encode(self.root.as_bytes());
        format!("{}\n{}\n{root}\ntime {}\n", self.origin, self.size, self.at.as_millis())
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        let at = lines.next()?.strip_prefix("time ")?;
        let checkpoint = Self {
            origin: origin.to_owned(),
            size: size.parse().ok()?,
            root: Digest::from_slice(&STANDARD.decode(root).ok()?).ok()?,
            at: Timestamp::from_millis(at.parse().ok()?),
        };
        // One form only: no leading zeros, no signs, no further lines.
        (checkpoint.text() == text).then_some(checkpoint)
    }
}

impl SignedCheckpoint {
    /// Opens a note that the key must have signed as its own.
    ///
    /// # Errors
    /// As [`VerifyingKey::open`], and `Corrupt` for a text that is no checkpoint.
    pub fn open(key: &VerifyingKey, note: &str) -> Result<Self> {
        let text = key.open(note)?;
        let checkpoint = Checkpoint::parse(text).filter(|checkpoint| checkpoint.origin == key.name());
        let checkpoint =
            checkpoint.ok_or_else(|| Error::corrupt(format!("the note is no checkpoint of {}", key.name())))?;
        Ok(Self { checkpoint, note: note.to_owned() })
    }

    /// Reads a note as it is stored, without a look at its signature.
    ///
    /// # Errors
    /// `Corrupt` for what is no checkpoint.
    pub fn stored(note: String) -> Result<Self> {
        let text = note.rsplit_once("\n\n").map(|(text, _)| &note[..=text.len()]);
        match text.and_then(Checkpoint::parse) {
            Some(checkpoint) => Ok(Self { checkpoint, note }),
            None => Err(Error::corrupt("a stored checkpoint cannot be read: restore it from a backup")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::sha256;

    #[test]
    fn a_checkpoint_reads_back_in_one_form_only() {
        let key = SigningKey::new("l9.local/log", &[3; 32]).unwrap();
        let at = Timestamp::from_millis(1_767_225_600_007);
        let signed = Checkpoint::sign(&key, 7, sha256(&[b"x"]), at);
        assert_eq!(SignedCheckpoint::open(key.public(), &signed.note).unwrap(), signed);
        assert_eq!(
            signed.checkpoint.text(),
            "l9.local/log\n7\nLXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE=\ntime 1767225600007\n"
        );
        for text in [
            "l9.local/log\n07\nLXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE=\ntime 1\n",
            "l9.local/log\n7\nLXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE=\ntime 1\nmore\n",
            "l9.local/other\n7\nLXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE=\ntime 1\n",
            "l9.local/log\n7\nLXEW\ntime 1\n",
        ] {
            assert!(SignedCheckpoint::open(key.public(), &key.sign(text)).is_err(), "{text}");
        }
    }
}
