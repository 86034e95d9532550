//! How a tool is named: by its id, which means the version that is in use, or with a
//! version of its own.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use semver::Version;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::id::ToolId;
use crate::{Error, Result, text};

/// A tool's id, and the version if one is meant. Written as `namespace/name` or
/// `namespace/name@1.2.3`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
#[schemars(with = "String")]
pub struct ToolName {
    /// Which tool.
    pub id: ToolId,
    /// Which version of it; the one that is in use if absent.
    pub version: Option<Version>,
}

impl ToolName {
    /// Whether everything that `other` names is named by this one too.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.id == other.id && (self.version.is_none() || self.version == other.version)
    }
}

impl From<ToolId> for ToolName {
    fn from(id: ToolId) -> Self {
        Self { id, version: None }
    }
}

impl fmt::Display for ToolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Some(version) => write!(f, "{}@{version}", self.id),
            None => self.id.fmt(f),
        }
    }
}

impl FromStr for ToolName {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let Some((id, version)) = text.split_once('@') else { return Ok(ToolId::new(text)?.into()) };
        let id = ToolId::new(id)?;
        let version = Version::parse(version).map_err(|error| {
            let shown: String = version.chars().take(80).collect();
            Error::invalid(format!("{shown:?} is no version of {id}: write it like {id}@1.2.3 ({error})"))
        })?;
        Ok(Self { id, version: Some(version) })
    }
}

impl Serialize for ToolName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ToolName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::read(deserializer, "a tool as namespace/name or namespace/name@1.2.3")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_back_and_a_bad_version_is_named() {
        for text in ["mail/send", "mail/send@1.2.3", "mail/send@1.0.0-rc.1+build"] {
            let name: ToolName = text.parse().unwrap();
            assert_eq!(name.to_string(), text);
            assert_eq!(serde_json::from_str::<ToolName>(&format!("{text:?}")).unwrap(), name);
        }
        for (text, expected) in
            [("mail/send@", "no version"), ("mail/send@1", "write it like"), ("send@1.0.0", "tool id")]
        {
            let error = text.parse::<ToolName>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn an_id_covers_its_versions_and_a_version_itself_alone() {
        let name = |text: &str| text.parse::<ToolName>().unwrap();
        assert!(name("a/b").covers(&name("a/b@1.0.0")));
        assert!(name("a/b@1.0.0").covers(&name("a/b@1.0.0")));
        assert!(!name("a/b@1.0.0").covers(&name("a/b")));
        assert!(!name("a/b@1.0.0").covers(&name("a/b@2.0.0")));
        assert!(!name("a/b").covers(&name("a/c")));
    }
}
