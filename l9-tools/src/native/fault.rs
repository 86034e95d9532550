//! How a handler fails.

use std::any::Any;
use std::error::Error as StdError;

use l9_core::tool::ToolFault;
use l9_core::{Error, ErrorKind};

/// Bytes of a message that are kept.
const MESSAGE_BYTES: usize = 2_000;

/// A handler's failure. Any error turns into one with `?`, without a word on whether the
/// effect happened: for a write that counts as unknown. The constructors say more.
///
/// It is no `std::error::Error` itself, so that every error can turn into it.
#[derive(Debug)]
pub struct Fault(ToolFault);

/// What a handler gives.
pub type Result<T, E = Fault> = std::result::Result<T, E>;

impl Fault {
    /// The tool could not do its work, will not on the same input, and gives its word that
    /// nothing happened.
    #[must_use]
    pub fn failed(message: impl AsRef<str>) -> Self {
        Self::new("failed", message.as_ref())
    }

    /// The input cannot be used, and nothing happened; say which value and what would mend it.
    #[must_use]
    pub fn invalid_input(message: impl AsRef<str>) -> Self {
        Self::new("invalid_input", message.as_ref())
    }

    /// It did not work this time; the same call may later.
    #[must_use]
    pub fn unavailable(message: impl AsRef<str>) -> Self {
        Self::passing("unavailable", message.as_ref())
    }

    fn new(code: &str, message: &str) -> Self {
        Self(ToolFault::new(code, crate::log::printable(message, MESSAGE_BYTES)))
    }

    fn passing(code: &str, message: &str) -> Self {
        Self(ToolFault::passing(code, crate::log::printable(message, MESSAGE_BYTES)))
    }
}

impl From<Fault> for ToolFault {
    fn from(fault: Fault) -> Self {
        fault.0
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for Fault {
    fn from(error: E) -> Self {
        let any: &dyn Any = &error;
        if let Some(fault) = any.downcast_ref::<ToolFault>() {
            return Self(fault.clone());
        }
        match any.downcast_ref::<Error>().map(Error::kind) {
            Some(ErrorKind::Invalid) => Self::new("invalid", &error.to_string()),
            Some(ErrorKind::NotFound) => Self::new("not_found", &error.to_string()),
            Some(ErrorKind::Denied) => Self::new("denied", &error.to_string()),
            Some(ErrorKind::Cancelled) => Self::new("cancelled", &error.to_string()),
            Some(ErrorKind::Unavailable) => Self::passing("unavailable", &error.to_string()),
            // Nobody said that nothing happened, so for a write the outcome is unknown.
            _ => Self::new("error", &error.to_string()),
        }
    }
}
