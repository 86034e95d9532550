//! The policies that come with L9, one set for each deployment profile.

use super::engine::Cedar;
use super::source::Source;
use crate::{Error, Result};

const COMMON: &str = include_str!("policies/common.cedar");

/// The profiles that have policies, and what each adds to the common ones.
const PROFILES: [(&str, &str); 3] = [
    ("local", include_str!("policies/local.cedar")),
    ("staging", include_str!("policies/staging.cedar")),
    ("production", include_str!("policies/production.cedar")),
];

/// The texts of a profile.
///
/// # Errors
/// `NotFound` for a profile that there is not.
pub fn sources(profile: &str) -> Result<Vec<Source>> {
    let own = PROFILES.into_iter().find(|(name, _)| *name == profile).map(|(_, text)| text);
    let own = own.ok_or_else(|| {
        Error::not_found(format!("there are no policies for profile {profile:?}: use local, staging or production"))
    })?;
    Ok(vec![Source::new("default/common.cedar", COMMON), Source::new(format!("default/{profile}.cedar"), own)])
}

/// The policies of a profile.
///
/// # Errors
/// As [`sources`].
pub fn policies(profile: &str) -> Result<Cedar> {
    Cedar::new(sources(profile)?)
}
