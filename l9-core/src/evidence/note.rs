//! Signed notes: a few lines of text and an Ed25519 signature, in the form that
//! transparency logs share (<https://c2sp.org/signed-note>).
//!
//! ```text
//! text, every line ended by a newline
//!
//! — name base64(key hash (4 bytes) ‖ signature (64 bytes))
//! ```
//!
//! `key hash = SHA-256(name ‖ "\n" ‖ 1 ‖ public key)[..4]`, and a key is handed out as
//! `name+key hash in hex+base64(1 ‖ public key)`.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::digest::sha256;
use crate::{Error, ErrorKind, Result};

/// What Ed25519 is called in front of a key.
const ED25519_NOTE: u8 = 1;

/// The most bytes of a note.
const MOST: usize = 64 << 10;

/// What signs notes.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: VerifyingKey,
}

impl SigningKey {
    /// The key of a name, from its 32 secret bytes (RFC 8032 section 5.1.5).
    ///
    /// # Errors
    /// `Invalid` for a name that cannot stand in a note.
    pub fn new(name: &str, secret: &[u8; 32]) -> Result<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(secret)
            .map_err(|_| Error::internal("32 bytes were refused as an Ed25519 key"))?;
        let mut key = [0; 32];
        key.copy_from_slice(pair.public_key().as_ref());
        Ok(Self { public: VerifyingKey::new(name, key)?, pair })
    }

    /// The key of a log that nobody named: its name is `l9.local/` and the first eight
    /// bytes of the SHA-256 of its public key, in hex.
    ///
    /// # Errors
    /// As [`SigningKey::new`].
    pub fn unnamed(secret: &[u8; 32]) -> Result<Self> {
        let public = Self::new("l9.local", secret)?.public;
        let name = format!("l9.local/{}", hex::encode(&sha256(&[&public.key]).as_bytes()[..8]));
        Self::new(&name, secret)
    }

    /// What verifies its notes.
    #[must_use]
    pub fn public(&self) -> &VerifyingKey {
        &self.public
    }

    /// Signs a text of whole lines.
    #[must_use]
    pub fn sign(&self, text: &str) -> String {
        let signature = self.pair.sign(text.as_bytes());
        let bytes = [self.public.hash().as_slice(), signature.as_ref()].concat();
        format!("{text}\n\u{2014} {} {}\n", self.public.name, STANDARD.encode(bytes))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("public", &self.public).finish_non_exhaustive()
    }
}

/// What verifies notes. Written as `name+hash+key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    name: String,
    key: [u8; 32],
}

impl VerifyingKey {
    fn new(name: &str, key: [u8; 32]) -> Result<Self> {
        let fits = (1..=128).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'+');
        if fits {
            return Ok(Self { name: name.to_owned(), key });
        }
        let shown: String = name.chars().take(80).collect();
        Err(Error::invalid(format!("{shown:?} is no name of a log: use 1 to 128 printable ASCII characters but +")))
    }

    /// The signer's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn hash(&self) -> [u8; 4] {
        let whole = sha256(&[self.name.as_bytes(), b"\n", &[ED25519_NOTE], &self.key]);
        let mut hash = [0; 4];
        hash.copy_from_slice(&whole.as_bytes()[..4]);
        hash
    }

    /// The text of a note that this key signed, with its last newline. Signatures of
    /// others are passed over.
    ///
    /// # Errors
    /// `Corrupt` for what is no note, `Denied` for one without a good signature of this key.
    pub fn open<'a>(&self, note: &'a str) -> Result<&'a str> {
        let malformed = |what: &str| Error::corrupt(format!("malformed note: {what}"));
        if note.len() > MOST {
            return Err(malformed("it is longer than 64 KiB"));
        }
        if note.chars().any(|c| c < ' ' && c != '\n') {
            return Err(malformed("it holds control characters"));
        }
        let (text, signatures) = note.rsplit_once("\n\n").ok_or_else(|| malformed("no blank line"))?;
        let text = &note[..=text.len()];
        let signatures = signatures.strip_suffix('\n').ok_or_else(|| malformed("its last line is cut"))?;
        let mut signed = false;
        for line in signatures.split('\n') {
            let parts = line.strip_prefix("\u{2014} ").and_then(|line| line.split_once(' '));
            let (name, bytes) = parts.ok_or_else(|| malformed("a signature line without a name"))?;
            let bytes = STANDARD.decode(bytes).map_err(|_| malformed("a signature that is no base64"))?;
            let (hash, signature) =
                bytes.split_at_checked(4).ok_or_else(|| malformed("a signature that is too short"))?;
            if name != self.name || hash != self.hash() {
                continue;
            }
            if signed || UnparsedPublicKey::new(&ED25519, self.key).verify(text.as_bytes(), signature).is_err() {
                return Err(Error::new(ErrorKind::Denied, format!("the signature of {name} does not verify")));
            }
            signed = true;
        }
        if signed {
            return Ok(text);
        }
        Err(Error::new(ErrorKind::Denied, format!("the key {self} did not sign the note")))
    }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[ED25519_NOTE], self.key.as_slice()].concat();
        write!(f, "{}+{}+{}", self.name, hex::encode(self.hash()), STANDARD.encode(key))
    }
}

impl FromStr for VerifyingKey {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            let shown: String = text.chars().take(120).collect();
            Error::invalid(format!(
                "{shown:?} is no verification key: use name+hash+key, as `audit checkpoint --vkey` shows it"
            ))
        };
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(hash), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(wrong());
        };
        let bytes = STANDARD.decode(key).map_err(|_| wrong())?;
        let Some((&ED25519_NOTE, key)) = bytes.split_first() else { return Err(wrong()) };
        let key = Self::new(name, key.try_into().map_err(|_| wrong())?)?;
        if hex::encode(key.hash()) == hash { Ok(key) } else { Err(wrong()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_opens_with_its_key_and_no_other() {
        let key = SigningKey::new("l9.local/a", &[7; 32]).unwrap();
        let note = key.sign("one\ntwo\n");
        let public: VerifyingKey = key.public().to_string().parse().unwrap();
        assert_eq!(public.open(&note).unwrap(), "one\ntwo\n");
        let other = SigningKey::new("l9.local/a", &[8; 32]).unwrap();
        assert_eq!(other.public().open(&note).unwrap_err().kind(), ErrorKind::Denied);
        let cosigned = format!("{note}{}", other.sign("one\ntwo\n").rsplit_once("\n\n").unwrap().1);
        assert_eq!(public.open(&cosigned).unwrap(), "one\ntwo\n");
        assert_eq!(other.public().open(&cosigned).unwrap(), "one\ntwo\n");
    }

    #[test]
    fn every_flipped_bit_of_a_note_is_noticed() {
        let key = SigningKey::new("log", &[7; 32]).unwrap();
        let note = key.sign("one\ntwo\n").into_bytes();
        for at in 0..note.len() {
            for bit in 0..8 {
                let mut other = note.clone();
                other[at] ^= 1 << bit;
                let opened = std::str::from_utf8(&other).is_ok_and(|note| key.public().open(note).is_ok());
                assert!(!opened, "byte {at} bit {bit}");
            }
            let cut = std::str::from_utf8(&note[..at]).is_ok_and(|note| key.public().open(note).is_ok());
            assert!(!cut, "cut at {at}");
        }
    }

    /// The example of the specification.
    #[test]
    fn a_key_of_the_specification_is_read_and_written() {
        let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let key: VerifyingKey = text.parse().unwrap();
        assert_eq!((key.name(), key.to_string().as_str()), ("PeterNeumann", text));
        for wrong in ["", "a+b+c", "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"] {
            assert_eq!(wrong.parse::<VerifyingKey>().unwrap_err().kind(), ErrorKind::Invalid, "{wrong}");
        }
    }
}
