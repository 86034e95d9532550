//! What an operator may set about tools.

use std::collections::BTreeMap;

use l9_core::{Error, Result};
use serde::{Deserialize, Serialize};

/// How tools beyond the built-in ones come in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How often the folder of manifests is looked at, in milliseconds.
    pub reload_ms: u64,
    /// The keys whose signatures count: a name of one's own to `name+hash+key`.
    pub trusted_keys: BTreeMap<String, String>,
    /// Whether a manifest from outside this program must be signed.
    pub require_signature: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { reload_ms: 2_000, trusted_keys: BTreeMap::new(), require_signature: false }
    }
}

impl Settings {
    pub(crate) fn check(&self) -> Result<()> {
        if !(100..=3_600_000).contains(&self.reload_ms) {
            return Err(Error::invalid(format!("tools.reload_ms is {}: use 100 to 3600000", self.reload_ms)));
        }
        Ok(())
    }
}
