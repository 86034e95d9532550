//! What can be wrong with an expression: a message and the character it is about.

use std::fmt;

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    position: usize,
    message: String,
}

impl Error {
    pub(crate) fn at(position: usize, message: impl Into<String>) -> Self {
        Self { position, message: message.into() }
    }

    /// The character the error is about, counted from 1.
    pub fn position(&self) -> usize {
        self.position
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "at character {}: {}", self.position, self.message)
    }
}

impl std::error::Error for Error {}
