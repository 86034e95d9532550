//! The address of the database. It may hold a password, so it never shows itself whole.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

/// What stands in place of a password.
const MASK: &str = "[redacted]";

/// Where the database is.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub(crate) struct DatabaseUrl(SecretString);

/// What a database address names.
#[derive(Debug)]
pub(crate) enum Database {
    /// A SQLite file.
    File(PathBuf),
    /// A PostgreSQL database.
    Postgres(SecretString),
}

impl DatabaseUrl {
    /// What the address names; `None` for a scheme that nothing here knows.
    pub(crate) fn names(&self) -> Option<Database> {
        let url = self.0.expose_secret();
        if url.starts_with("postgresql://") || url.starts_with("postgres://") {
            return Some(Database::Postgres(self.0.clone()));
        }
        // `sqlite:path`, `sqlite://path` and `sqlite:///absolute/path` all occur.
        let path = url.strip_prefix("sqlite:")?;
        let path = path.strip_prefix("//").unwrap_or(path);
        Some(Database::File(path.split_once('?').map_or(path, |(path, _)| path).into()))
    }

    /// The address itself, for whoever connects.
    pub(crate) fn whole(&self) -> SecretString {
        self.0.clone()
    }

    /// Whether it asks for a database that is gone with the process.
    pub(crate) fn is_in_memory(&self) -> bool {
        self.0.expose_secret().contains(":memory:")
    }

    /// The scheme, which holds no secret.
    pub(crate) fn scheme(&self) -> &str {
        let url = self.0.expose_secret();
        url.split(':').next().filter(|scheme| scheme.len() < url.len()).unwrap_or("no scheme")
    }

    /// The address with a mask for the password.
    pub(crate) fn shown(&self) -> String {
        let url = self.0.expose_secret();
        let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
        let (place, parameters) = rest.split_once('?').map_or((rest, None), |(place, rest)| (place, Some(rest)));
        // The last sign before the host: a password may hold one too.
        let place = match place.rsplit_once('@') {
            Some((person, host)) => match person.split_once(':') {
                Some((user, _)) => format!("{user}:{MASK}@{host}"),
                None => place.to_owned(),
            },
            None => place.to_owned(),
        };
        let masked = |parameter: &str| match parameter.split_once('=') {
            Some((name, _)) if name.contains("password") => format!("{name}={MASK}"),
            _ => parameter.to_owned(),
        };
        let parameters = parameters
            .map(|parameters| format!("?{}", parameters.split('&').map(masked).collect::<Vec<_>>().join("&")))
            .unwrap_or_default();
        format!("{scheme}://{place}{parameters}")
    }
}

impl From<&str> for DatabaseUrl {
    fn from(url: &str) -> Self {
        Self(url.into())
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl Serialize for DatabaseUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.shown())
    }
}

impl JsonSchema for DatabaseUrl {
    fn schema_name() -> Cow<'static, str> {
        "DatabaseUrl".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        for (url, shown) in [
            ("sqlite:x.db", "sqlite:x.db"),
            ("postgresql://db/l9", "postgresql://db/l9"),
            ("postgresql://me@db/l9", "postgresql://me@db/l9"),
            (
                "postgresql://me:hunter2@db:5432/l9?sslmode=require",
                "postgresql://me:[redacted]@db:5432/l9?sslmode=require",
            ),
            ("postgres://me:hun:te@r2@db/l9", "postgres://me:[redacted]@db/l9"),
            ("postgresql://db/l9?user=me&password=hunter2", "postgresql://db/l9?user=me&password=[redacted]"),
        ] {
            let url = DatabaseUrl::from(url);
            assert_eq!(url.shown(), shown);
            assert_eq!(format!("{url:?}"), shown);
            assert_eq!(serde_json::to_value(&url).unwrap(), shown);
        }
    }

    #[test]
    fn the_scheme_says_which_database_it_is() {
        let names = |url: &str| DatabaseUrl::from(url).names();
        assert!(matches!(names("postgresql://h/db"), Some(Database::Postgres(_))));
        assert!(matches!(names("postgres://h/db"), Some(Database::Postgres(_))));
        for (url, path) in
            [("sqlite:x.db", "x.db"), ("sqlite:///x/y.db", "/x/y.db"), ("sqlite://x.db?mode=rwc", "x.db")]
        {
            assert!(matches!(names(url), Some(Database::File(found)) if *found == *path), "{url}");
        }
        assert!(names("mysql://h/db").is_none());
    }
}
