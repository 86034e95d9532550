//! The profiles a system has.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::profile::AgentProfile;
use crate::id::AgentId;
use crate::{Error, Result};

/// Agents by name.
#[derive(Debug, Default)]
pub struct Profiles {
    profiles: RwLock<BTreeMap<AgentId, Arc<AgentProfile>>>,
}

impl Profiles {
    /// Adds a profile or replaces the one of its name; runs keep the one they began with.
    ///
    /// # Errors
    /// `Invalid` when the profile is.
    pub fn put(&self, profile: AgentProfile) -> Result<()> {
        profile.validate()?;
        let mut profiles = self.profiles.write().unwrap_or_else(PoisonError::into_inner);
        profiles.insert(profile.id.clone(), Arc::new(profile));
        Ok(())
    }

    /// The profile of that name.
    ///
    /// # Errors
    /// `NotFound`, naming those there are.
    pub fn get(&self, id: &AgentId) -> Result<Arc<AgentProfile>> {
        let profiles = self.profiles.read().unwrap_or_else(PoisonError::into_inner);
        profiles.get(id).cloned().ok_or_else(|| {
            let known: Vec<&str> = profiles.keys().map(AgentId::as_str).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            Error::not_found(format!("there is no agent {:?}: there are {known}", id.as_str()))
        })
    }

    /// Every profile, by name.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<AgentProfile>> {
        self.profiles.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}
