//! The secrets of a process with their grants, and the one answer to whoever may not have
//! one.

use std::collections::BTreeMap;
use std::fmt;

use l9_core::id::ToolId;
use l9_core::{Error, ErrorKind, Result};
use secrecy::SecretString;

use super::grant::{Grant, is_loopback};
use super::provider::{Provider, is_handle};

/// Secrets by their handles, each with who may use it.
#[derive(Clone, Default)]
pub struct Secrets(BTreeMap<String, (Grant, SecretString)>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Secrets {
    /// Adds a secret, in place of another of that handle.
    pub fn add(&mut self, handle: impl Into<String>, grant: Grant, value: SecretString) {
        self.0.insert(handle.into(), (grant, value));
    }

    /// Adds the secrets that are granted, each from the first provider that has it. One that
    /// none has is left out.
    ///
    /// # Errors
    /// `Invalid` for a text that is no handle; from a provider.
    pub fn load(&mut self, grants: &BTreeMap<String, Grant>, providers: &[&dyn Provider]) -> Result<()> {
        for (handle, grant) in grants {
            if !is_handle(handle) {
                return Err(Error::invalid(format!("{handle:?} is no handle: use 1 to 64 of a-z, 0-9, - and _")));
            }
            for provider in providers {
                if let Some(value) = provider.get(handle)? {
                    self.add(handle, grant.clone(), value);
                    break;
                }
            }
        }
        Ok(())
    }

    /// The value of a secret, for a tool that wants it sent to a host; `plain` is whether some
    /// of the ways there are without TLS.
    ///
    /// # Errors
    /// `Denied`, with the same words whether there is no such secret or it is for others.
    pub fn granted(&self, handle: &str, tool: &ToolId, host: &str, plain: bool) -> Result<SecretString> {
        let scheme = if plain && !is_loopback(host) { "http://" } else { "" };
        match self.0.get(handle) {
            Some((grant, value)) if grant.allows(tool, host, plain) => Ok(value.clone()),
            _ => Err(Error::new(
                ErrorKind::Denied,
                format!(
                    "the secret {handle} is not granted to {tool} for {scheme}{host}: grant it to that tool and host and give it a value"
                ),
            )),
        }
    }

    /// The value of a secret that the operator's own settings name; no manifest does.
    ///
    /// # Errors
    /// `Denied` when it has no value.
    #[cfg(feature = "mcp")]
    pub(crate) fn named(&self, handle: &str) -> Result<SecretString> {
        self.0.get(handle).map(|(_, value)| value.clone()).ok_or_else(|| {
            let message =
                format!("the secret {handle} has no value: give it one with `l9-server secrets set {handle}`");
            Error::new(ErrorKind::Denied, message)
        })
    }

    /// Every handle with its value, to mask it.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &SecretString)> {
        self.0.iter().map(|(handle, (_, value))| (handle.as_str(), value))
    }
}

#[cfg(test)]
mod tests {
    use super::super::environment::Environment;
    use super::*;
    use secrecy::ExposeSecret as _;

    #[test]
    fn the_first_provider_that_has_it_wins_and_only_what_is_granted_is_read() {
        let variables = |value: &str| {
            Environment::of(["L9_SECRET_KEY", "L9_SECRET_OTHER"].map(|name| (name.to_owned(), value.to_owned())))
        };
        let grants = BTreeMap::from([("key".to_owned(), Grant::anywhere()), ("none".to_owned(), Grant::anywhere())]);
        let mut secrets = Secrets::default();
        secrets
            .load(&grants, &[&Environment::default(), &variables("first-first"), &variables("second-second")])
            .unwrap();
        let all: Vec<(&str, &str)> = secrets.iter().map(|(handle, value)| (handle, value.expose_secret())).collect();
        assert_eq!(all, [("key", "first-first")]);
        assert_eq!(format!("{secrets:?}"), r#"{"key"}"#);
        assert!(secrets.load(&BTreeMap::from([("Key".to_owned(), Grant::anywhere())]), &[]).is_err());
    }

    #[test]
    fn a_secret_of_others_answers_as_one_that_is_not_there() {
        let mut secrets = Secrets::default();
        let grant = Grant { hosts: vec!["a.test".into()], tools: vec!["notes/*".into()] };
        secrets.add("key", grant, SecretString::from("hunter2-hunter2".to_owned()));
        let ask = |secrets: &Secrets, tool: &str, host: &str| {
            let answer = secrets.granted("key", &tool.parse().unwrap(), host, false);
            answer.map(|value| value.expose_secret().to_owned()).map_err(|error| (error.kind(), error.to_string()))
        };
        assert_eq!(ask(&secrets, "notes/add", "a.test").as_deref(), Ok("hunter2-hunter2"));
        for (tool, host) in [("notes/add", "b.test"), ("mail/send", "a.test")] {
            let refused = ask(&secrets, tool, host);
            assert!(refused.is_err());
            assert_eq!(refused, ask(&Secrets::default(), tool, host));
        }
    }
}
