//! Hashes: SHA-256 and HMAC-SHA-256 (FIPS 180-4, RFC 2104), and their hex form.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::{digest, hmac as lc_hmac};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Error, text};

/// 32 bytes of SHA-256 or HMAC-SHA-256; written as 64 lowercase hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, schemars::JsonSchema)]
#[schemars(with = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// The `prev` of a chain's first record.
    pub const ZERO: Self = Self([0; 32]);

    /// Wraps 32 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads 32 stored bytes.
    ///
    /// # Errors
    /// `Corrupt` when there are not 32 bytes.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, Error> {
        let bytes =
            bytes.try_into().map_err(|_| Error::corrupt(format!("a digest has 32 bytes, not {}", bytes.len())))?;
        Ok(Self(bytes))
    }

    /// Its text, without memory of its own.
    fn text<'a>(&self, digits: &'a mut [u8; 64]) -> &'a str {
        // There is room for two digits of each byte, and they are ASCII.
        let written = hex::encode_to_slice(self.0, digits).is_ok();
        written.then(|| str::from_utf8(digits).ok()).flatten().unwrap_or_default()
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text(&mut [0; 64]))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)
            .map_err(|_| Error::invalid(format!("{text:?} is not a digest: use 64 hex digits")))?;
        Ok(Self(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text(&mut [0; 64]))
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::read(deserializer, "a digest of 64 hex digits")
    }
}

/// So many bytes in several parts are brought together and hashed at once: a context costs
/// more than that.
const TOGETHER: usize = 512;

/// SHA-256 over the parts, one after another.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> Digest {
    if let [whole] = parts {
        return at_once(whole);
    }
    let mut together = [0; TOGETHER];
    if let Some(together) = joined(parts, &mut together) {
        return at_once(together);
    }
    let mut context = digest::Context::new(&digest::SHA256);
    parts.iter().for_each(|part| context.update(part));
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    Digest(out)
}

fn at_once(bytes: &[u8]) -> Digest {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    Digest(out)
}

/// The parts as one, if there is room for them.
fn joined<'a>(parts: &[&[u8]], room: &'a mut [u8]) -> Option<&'a [u8]> {
    let mut length = 0;
    for part in parts {
        room.get_mut(length..length + part.len())?.copy_from_slice(part);
        length += part.len();
    }
    room.get(..length)
}

/// HMAC-SHA-256 over the parts, one after another.
#[must_use]
pub fn hmac(key: &[u8], parts: &[&[u8]]) -> Digest {
    HmacKey::new(key).sign(parts)
}

/// A key of HMAC-SHA-256 made ready, for one that is used again and again.
#[derive(Clone)]
pub struct HmacKey(lc_hmac::Key);

impl HmacKey {
    /// Makes a key ready.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        Self(lc_hmac::Key::new(lc_hmac::HMAC_SHA256, key))
    }

    /// HMAC-SHA-256 over the parts, one after another.
    #[must_use]
    pub fn sign(&self, parts: &[&[u8]]) -> Digest {
        let mut context = lc_hmac::Context::with_key(&self.0);
        parts.iter().for_each(|part| context.update(part));
        let mut out = [0; 32];
        out.copy_from_slice(context.sign().as_ref());
        Digest(out)
    }
}

impl fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HmacKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_the_parts_are_cut_and_how_long_they_are_changes_nothing() {
        let text: Vec<u8> = (0..2 * TOGETHER).map(|at| u8::try_from(at % 251).unwrap()).collect();
        for length in [0, 1, TOGETHER - 1, TOGETHER, TOGETHER + 1, 2 * TOGETHER] {
            let text = &text[..length];
            for cut in [0, length / 3, length] {
                assert_eq!(sha256(&[&text[..cut], &text[cut..]]), sha256(&[text]), "{length} cut at {cut}");
            }
        }
    }

    #[test]
    fn known_answers() {
        // FIPS 180-4 "abc", RFC 4231 test case 2.
        assert_eq!(
            sha256(&[b"a", b"bc"]).to_string(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(
            hmac(b"Jefe", &[b"what do ya want ", b"for nothing?"]).to_string(),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
