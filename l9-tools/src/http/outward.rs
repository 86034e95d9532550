//! What one tool sends through, whichever runs it: the egress of its grants, and the secrets
//! that it may have put into its requests.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use l9_core::Result;
use l9_core::egress::Injection;
use l9_core::redact::Redactor;
use l9_core::time::Clock;
use l9_core::tool::{Manifest, SecretGrant};

use crate::egress::{Direct, Gateway};
use crate::secrets::Secrets;

/// The longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// What tools that send requests share.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The way to the network.
    pub gateway: Gateway,
    /// The secrets that manifests may name, with their grants.
    pub secrets: Secrets,
    /// Finds secrets that must not leave in sight.
    pub redactor: Arc<dyn Redactor>,
    /// Tells how long an answer takes.
    pub clock: Arc<dyn Clock>,
}

/// The way out of one tool.
pub(crate) struct Outward {
    pub(crate) egress: Direct,
    /// By their handles.
    secrets: Vec<(String, Injection)>,
}

impl fmt::Debug for Outward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outward").field("egress", &self.egress).finish_non_exhaustive()
    }
}

impl Outward {
    /// The way out that a manifest grants.
    ///
    /// # Errors
    /// `Invalid` for a grant that names no origin, `Denied` for a secret that is not granted to
    /// that tool for that host.
    pub(crate) fn of(manifest: &Manifest, around: &Surroundings) -> Result<Self> {
        let injection = |grant: &SecretGrant| {
            let plain = manifest.net.iter().any(|net| net.host == grant.audience && net.scheme == "http");
            let value = around.secrets.granted(&grant.handle, &manifest.id, &grant.audience, plain)?;
            let injection = Injection { place: grant.inject.clone(), value, audience: grant.audience.clone() };
            Ok((grant.handle.clone(), injection))
        };
        let secrets = manifest.secrets.iter().map(injection).collect::<Result<_>>()?;
        let connect = (manifest.limits.wall() / 2).clamp(Duration::from_millis(1), CONNECT);
        let (redactor, clock) = (Arc::clone(&around.redactor), Arc::clone(&around.clock));
        let egress = Direct::granted(&manifest.net, connect, &around.gateway, redactor, clock)?;
        Ok(Self { egress, secrets })
    }

    /// The secrets that may be sent to the host of an address, with their handles.
    pub(crate) fn secrets(&self, url: &str) -> impl Iterator<Item = (&str, &Injection)> {
        let host = url.parse::<http::Uri>().ok().and_then(|uri| uri.host().map(str::to_ascii_lowercase));
        let all = self.secrets.iter().map(|(handle, secret)| (handle.as_str(), secret));
        all.filter(move |(_, secret)| host.as_ref() == Some(&secret.audience))
    }
}
