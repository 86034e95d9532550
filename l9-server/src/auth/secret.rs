//! The secret of HS256 tokens. It never shows itself.

use std::collections::HashSet;
use std::fmt;

use jsonwebtoken::{DecodingKey, EncodingKey};

use crate::config::Problem;

/// The least bytes: RFC 7518 section 3.2 wants as many as the hash has.
const LEAST: usize = 32;

/// How many different bytes a secret has that nobody made by hand.
const VARIETY: usize = 10;

/// How to come by one.
pub(crate) const MEND: &str = "set JWT_SECRET to 32 random bytes or more, such as what `openssl rand -hex 32` prints";

/// The secret that signs and checks.
#[derive(Clone)]
pub(crate) struct Secret {
    signs: EncodingKey,
    checks: DecodingKey,
    weak: Option<&'static str>,
}

impl Secret {
    /// # Errors
    /// For fewer than 32 bytes.
    pub(crate) fn new(secret: &str) -> Result<Self, Problem> {
        let bytes = secret.as_bytes();
        if bytes.len() < LEAST {
            return Err(Problem::new(
                format!("auth.jwt_secret has {} bytes: tokens signed with it can be forged", bytes.len()),
                MEND,
            ));
        }
        let (signs, checks) = (EncodingKey::from_secret(bytes), DecodingKey::from_secret(bytes));
        Ok(Self { signs, checks, weak: weakness(secret) })
    }

    pub(super) fn signs(&self) -> &EncodingKey {
        &self.signs
    }

    pub(super) fn checks(&self) -> &DecodingKey {
        &self.checks
    }

    /// Why it might be guessed, if so.
    pub(crate) fn weakness(&self) -> Option<&'static str> {
        self.weak
    }
}

fn weakness(secret: &str) -> Option<&'static str> {
    if secret.bytes().collect::<HashSet<u8>>().len() < VARIETY {
        return Some("repeats a few characters");
    }
    let lower = secret.to_ascii_lowercase();
    let words = ["change", "secret", "password", "example", "replace", "default", "your-", "0123456789abcdef"];
    words.iter().any(|word| lower.contains(word)).then_some("reads like one from an example")
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_secrets_are_refused_and_weak_ones_known() {
        assert!(Secret::new(&"k".repeat(31)).unwrap_err().help.unwrap().contains("openssl"));
        let weakness = |secret: &str| Secret::new(secret).unwrap().weakness();
        assert!(weakness(&"ab".repeat(16)).is_some());
        assert!(weakness("please-change-me-before-going-live").is_some());
        assert_eq!(weakness("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b"), None);
        assert!(!format!("{:?}", Secret::new(&"hunter2-".repeat(4)).unwrap()).contains("hunter2"));
    }
}
