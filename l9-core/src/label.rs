//! Labels: where a value came from, and who may see it.
//!
//! Two lattices joined together. Joining never makes a value more trusted or less
//! confidential; only the governor's policy may endorse.

use std::collections::BTreeSet;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::{Error, ErrorKind, Result};

/// Who may see a value, from least to most restricted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Confidentiality {
    /// Anybody.
    Public,
    /// The tenant that owns the run.
    #[default]
    Tenant,
    /// The data subject and whoever acts for them.
    Subject,
    /// Nobody but the component that holds it.
    Secret,
}

impl fmt::Display for Confidentiality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "what anybody may see",
            Self::Tenant => "what only the tenant may see",
            Self::Subject => "what only the data subject may see",
            Self::Secret => "a secret",
        })
    }
}

/// The most data subjects of one label: each stands in every record that carries it, and each has
/// a key that what it is about is sealed under.
pub const MAX_SUBJECTS: usize = 64;

/// Where a value came from and who may see it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// Who may see it.
    #[serde(default)]
    pub confidentiality: Confidentiality,
    /// The data subjects it is about, by their keyed names: what of them is erased takes
    /// along whatever they influenced.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[schemars(with = "BTreeSet<String>")]
    pub subjects: BTreeSet<Digest>,
    /// The untrusted sources that influenced the value; empty means trusted.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub untrusted: BTreeSet<String>,
}

impl Label {
    /// What the principal said, or the system computed from it.
    #[must_use]
    pub fn trusted() -> Self {
        Self::default()
    }

    /// What a source outside the system's trust said.
    #[must_use]
    pub fn untrusted(source: impl Into<String>) -> Self {
        Self { untrusted: BTreeSet::from([source.into()]), ..Self::default() }
    }

    /// Whether no untrusted source influenced the value.
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        self.untrusted.is_empty()
    }

    /// Checks that it is about no more data subjects than a label names.
    ///
    /// # Errors
    /// `Exhausted`, with the count and the limit.
    pub fn check_subjects(&self) -> Result<()> {
        let count = self.subjects.len();
        if count > MAX_SUBJECTS {
            return Err(Error::new(
                ErrorKind::Exhausted,
                format!("it would be about {count} data subjects, over the limit of {MAX_SUBJECTS}: split the work"),
            ));
        }
        Ok(())
    }

    /// Adds the other label's sources and subjects and takes the stricter confidentiality.
    pub fn join(&mut self, other: &Self) {
        for source in &other.untrusted {
            // Nearly always it is known already.
            if !self.untrusted.contains(source) {
                self.untrusted.insert(source.clone());
            }
        }
        self.subjects.extend(&other.subjects);
        self.confidentiality = self.confidentiality.max(other.confidentiality);
    }
}
