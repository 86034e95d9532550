//! What the principal goes by: addresses, accounts, domains. They count as trusted.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::words::host;

/// The most identities of one principal.
const MOST: usize = 256;

/// The principal's own addresses, accounts and domains, compared in small letters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identities(Arc<BTreeSet<String>>);

impl Identities {
    /// Those given, in whatever letters.
    pub fn new<'a>(identities: impl IntoIterator<Item = &'a str>) -> Self {
        let plain = |identity: &str| identity.trim().to_lowercase();
        let identities = identities.into_iter().map(plain).filter(|identity| !identity.is_empty());
        Self(Arc::new(identities.take(MOST).collect()))
    }

    /// Whether a name is one of them.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        !self.0.is_empty() && self.0.contains(&name.trim().to_lowercase())
    }

    /// Whether a link leads to one of the principal's own domains, or to below it.
    #[must_use]
    pub fn owns(&self, link: &str) -> bool {
        let host = host(link);
        let mut rest = host.as_str();
        loop {
            if self.0.contains(rest) && rest.contains('.') {
                return true;
            }
            match rest.split_once('.') {
                Some((_, parent)) => rest = parent,
                None => return false,
            }
        }
    }
}
