//! The trait behind which the values of secrets lie.

use std::fmt;

use l9_core::Result;
use secrecy::SecretString;

/// Has the values of secrets.
pub trait Provider: fmt::Debug + Send + Sync {
    /// The value under that handle, if this provider has one.
    ///
    /// # Errors
    /// When there is one that cannot or must not be read.
    fn get(&self, handle: &str) -> Result<Option<SecretString>>;
}

/// Whether a text is a handle: 1 to 64 of `a-z`, `0-9`, `-` and `_`.
#[must_use]
pub fn is_handle(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
}
