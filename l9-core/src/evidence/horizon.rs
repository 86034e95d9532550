//! Retention horizons: a signed statement that the bodies of a tenant's runs that ended
//! before a time may be gone. It is published before the first of them goes, and a bundle
//! with a body missing that no erasure covers must come with one that does.
//!
//! ```text
//! origin/horizon
//! tenant
//! MILLISECONDS        runs that ended before this time
//! MILLISECONDS        when it was signed
//! size                of the newest checkpoint then
//! base64(root)        of that checkpoint
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::note::{SigningKey, VerifyingKey};
use crate::digest::Digest;
use crate::id::TenantId;
use crate::time::Timestamp;
use crate::{Error, Result};

/// A statement about what may be gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Horizon {
    /// Whose runs.
    pub tenant: TenantId,
    /// Bodies of runs that ended before this time may be gone.
    pub before: Timestamp,
    /// When it was signed.
    pub at: Timestamp,
    /// The size of the newest checkpoint then.
    pub size: u64,
    /// Its root.
    pub root: Digest,
}

impl Horizon {
    /// Signs it in the name of the log.
    #[must_use]
    pub fn sign(&self, key: &SigningKey) -> String {
        key.sign(&self.text(key.public()))
    }

    /// Opens one that the key signed.
    ///
    /// # Errors
    /// As [`VerifyingKey::open`], and `Corrupt` for a text that is no horizon.
    pub fn open(key: &VerifyingKey, note: &str) -> Result<Self> {
        let text = key.open(note)?;
        let parsed = Self::parse(text).filter(|horizon| horizon.text(key) == text);
        parsed.ok_or_else(|| Error::corrupt(format!("the note is no horizon of {}", key.name())))
    }

    fn text(&self, key: &VerifyingKey) -> String {
        format!(
            "{}/horizon\n{}\n{}\n{}\n{}\n{}\n",
            key.name(),
            self.tenant,
            self.before.as_millis(),
            self.at.as_millis(),
            self.size,
            STANDARD.encode(self.root.as_bytes())
        )
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines().skip(1);
        Some(Self {
            tenant: TenantId::new(lines.next()?).ok()?,
            before: Timestamp::from_millis(lines.next()?.parse().ok()?),
            at: Timestamp::from_millis(lines.next()?.parse().ok()?),
            size: lines.next()?.parse().ok()?,
            root: Digest::from_slice(&STANDARD.decode(lines.next()?).ok()?).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::checkpoint::{Checkpoint, SignedCheckpoint};
    use super::*;

    #[test]
    fn a_horizon_reads_back_and_is_no_checkpoint() {
        let key = SigningKey::new("l9.local/log", &[3; 32]).unwrap();
        let time = Timestamp::from_millis;
        let tenant = TenantId::default_tenant();
        let horizon = Horizon { tenant, before: time(5), at: time(9), size: 7, root: Digest::ZERO };
        let note = horizon.sign(&key);
        assert_eq!(Horizon::open(key.public(), &note).unwrap(), horizon);
        assert!(SignedCheckpoint::open(key.public(), &note).is_err());
        assert!(Horizon::open(key.public(), &Checkpoint::sign(&key, 7, Digest::ZERO, time(9)).note).is_err());
    }
}
