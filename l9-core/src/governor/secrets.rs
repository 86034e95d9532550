//! What people want journaled, looked through for secrets before any of it is.
//!
//! It masks nothing: what somebody wrote is taken as they wrote it, or refused whole.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;

use super::path::Governor;
use crate::redact::redact_value;
use crate::{Error, Result};

impl Governor {
    /// Refuses words that hold a known secret, also behind the escapes of JSON.
    ///
    /// # Errors
    /// `Invalid` in words that begin with `what`, such as `the input holds`; it shows nothing
    /// of the text.
    pub fn without_secrets(&self, what: &str, text: &str) -> Result<()> {
        let meant = || text.contains('\\').then(|| serde_json::from_str(text).ok()).flatten();
        let secret = |mut value: Value| redact_value(&*self.redactor, &mut value);
        if matches!(self.redactor.redact(text), Cow::Owned(_)) || meant().is_some_and(secret) {
            return Err(known(what));
        }
        Ok(())
    }

    /// Refuses a value that holds a known secret; as [`Governor::without_secrets`].
    ///
    /// # Errors
    /// `Invalid`, as there.
    pub(crate) fn value_without_secrets(&self, what: &str, value: &impl Serialize) -> Result<()> {
        let mut value = serde_json::to_value(value)
            .map_err(|error| Error::invalid("it cannot be written as JSON").caused_by(error))?;
        if redact_value(&*self.redactor, &mut value) { Err(known(what)) } else { Ok(()) }
    }
}

fn known(what: &str) -> Error {
    Error::invalid(format!(
        "{what} a known secret and would be kept with it: leave it out; a tool gets a secret by the handle in its manifest"
    ))
}
