//! Secrets in environment variables: `notes-key` is `L9_SECRET_NOTES_KEY`.

use std::collections::BTreeMap;
use std::fmt;

use l9_core::Result;
use secrecy::SecretString;

use super::provider::Provider;

/// What the names of variables with secrets begin with.
const PREFIX: &str = "L9_SECRET_";

/// The variables that hold secrets.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, SecretString>);

impl Environment {
    /// Takes those of these variables that hold secrets; an empty one is as one that is not
    /// set.
    #[must_use]
    pub fn of(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let ours = |(name, value): (String, String)| {
            let value = Some(value.trim()).filter(|value| !value.is_empty())?;
            Some((name.strip_prefix(PREFIX)?.to_owned(), SecretString::from(value)))
        };
        Self(variables.into_iter().filter_map(ours).collect())
    }

    /// Whether a variable of that name holds a secret.
    #[must_use]
    pub fn holds(name: &str) -> bool {
        name.starts_with(PREFIX)
    }

    /// The variable of a handle.
    #[must_use]
    pub fn variable(handle: &str) -> String {
        format!("{PREFIX}{}", suffix(handle))
    }
}

fn suffix(handle: &str) -> String {
    handle.to_ascii_uppercase().replace('-', "_")
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Environment({})", self.0.len())
    }
}

impl Provider for Environment {
    fn get(&self, handle: &str) -> Result<Option<SecretString>> {
        Ok(self.0.get(&suffix(handle)).cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    #[test]
    fn a_handle_is_found_under_its_variable() {
        let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let environment = Environment::of([
            set("L9_SECRET_NOTES_KEY", " hunter2-hunter2\n"),
            set("L9_SECRET_EMPTY", ""),
            set("NOTES_KEY", "other"),
        ]);
        let get = |handle| environment.get(handle).unwrap().map(|value| value.expose_secret().to_owned());
        assert_eq!(Environment::variable("notes-key"), "L9_SECRET_NOTES_KEY");
        assert_eq!(get("notes-key").as_deref(), Some("hunter2-hunter2"));
        assert_eq!((get("empty"), get("key")), (None, None));
        assert!(!format!("{environment:?}").contains("hunter2"));
    }
}
