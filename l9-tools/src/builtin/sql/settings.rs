//! What an operator may set.

use std::collections::BTreeMap;
use std::time::Duration;

use l9_core::{Error, Result};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

/// The databases that can be read, by the names that agents use.
pub type Databases = BTreeMap<String, Settings>;

/// One database.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where it is: `sqlite:PATH` or `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`.
    #[serde(skip_serializing)]
    pub url: SecretString,
    /// How long one query may take, in milliseconds: 100 to 50000.
    #[serde(default = "Settings::usual_timeout")]
    pub timeout_ms: u64,
}

impl Settings {
    /// A database under that address.
    #[must_use]
    pub fn at(url: impl Into<SecretString>) -> Self {
        Self { url: url.into(), timeout_ms: Self::usual_timeout() }
    }

    /// How long a query may take if nobody says otherwise, in milliseconds.
    #[must_use]
    pub fn usual_timeout() -> u64 {
        10_000
    }

    /// The password within the address, to be masked wherever it turns up.
    #[must_use]
    pub fn password(&self) -> Option<SecretString> {
        let (_, rest) = self.url.expose_secret().split_once("://")?;
        let (place, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let person = place.rsplit_once('@').and_then(|(person, _)| Some(person.split_once(':')?.1));
        let password = person.or_else(|| parameters.split('&').find_map(|one| one.strip_prefix("password=")));
        password.map(Into::into)
    }

    /// Whether the figures and the name are in range.
    ///
    /// # Errors
    /// `Invalid` with the setting, its value and the mend.
    pub fn check(&self, name: &str) -> Result<()> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
        if !(1..=64).contains(&name.len()) || !name.bytes().all(plain) {
            return Err(Error::invalid(format!(
                "tools.databases.{name} is no name: use a-z, 0-9, - and _, at most 64"
            )));
        }
        if !(100..=50_000).contains(&self.timeout_ms) {
            let timeout = self.timeout_ms;
            return Err(Error::invalid(format!("tools.databases.{name}.timeout_ms is {timeout}: use 100 to 50000")));
        }
        Ok(())
    }

    pub(super) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_found_and_never_shown() {
        let settings = Settings::at("postgresql://me:hun:te@r2@db:5432/l9?sslmode=require");
        assert_eq!(settings.password().unwrap().expose_secret(), "hun:te@r2");
        assert!(!format!("{settings:?}").contains("hun:te"));
        let settings = Settings::at("postgresql://me@db/l9?sslmode=require&password=hunter2");
        assert_eq!(settings.password().unwrap().expose_secret(), "hunter2");
        for url in ["sqlite:x.db", "postgresql://db/l9", "postgresql://me@db/l9"] {
            assert!(Settings::at(url).password().is_none(), "{url}");
        }
    }

    #[test]
    fn names_and_figures_out_of_range_are_named() {
        let settings = Settings::at("sqlite:x.db");
        settings.check("sales-2").unwrap();
        assert!(settings.check("Sales").unwrap_err().to_string().contains("tools.databases.Sales"));
        let slow = Settings { timeout_ms: 60_000, ..settings };
        assert!(slow.check("sales").unwrap_err().to_string().contains("timeout_ms is 60000: use 100 to 50000"));
    }
}
