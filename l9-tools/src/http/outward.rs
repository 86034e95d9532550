//! What one tool sends through, whichever runs it: the egress of its grants, and the secrets
//! that it may have put into its requests.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use l9_core::egress::{Egress as _, EgressRequest, EgressResponse, Injection};
use l9_core::governor::Permit;
use l9_core::redact::Redactor;
use l9_core::time::Clock;
use l9_core::tool::{Limits, Manifest, SecretGrant, ToolFault};
use l9_core::{Error, ErrorKind, Result};

use super::outcome::{Answer, broken};
use crate::egress::{Direct, Gateway};
use crate::error::late;
use crate::models::retry;
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
    clock: Arc<dyn Clock>,
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
        let egress = Direct::granted(&manifest.net, connect, &around.gateway, redactor, Arc::clone(&clock))?;
        Ok(Self { egress, secrets, clock })
    }

    /// Sends a request and reads the whole answer, within the wall time of these limits.
    ///
    /// # Errors
    /// The fault that a request without a whole answer is.
    pub(crate) async fn exchange(
        &self,
        permit: &Permit,
        limits: &Limits,
        request: EgressRequest,
    ) -> std::result::Result<Answer, ToolFault> {
        permit.check().map_err(|error| match error.kind() {
            ErrorKind::Cancelled => crate::error::cancelled(),
            _ => ToolFault::passing("not_sent", error.to_string()),
        })?;
        let within = limits.wall().min(permit.remaining());
        let exchange = async {
            let mut response = self.egress.send(permit, request).await?;
            let mut body = Vec::new();
            while let Some(piece) = response.body.next().await {
                body.extend_from_slice(&piece?);
            }
            let (media, charset) = typed(response.header("content-type").unwrap_or_default());
            let retry_after = retry::asked(&response, self.clock.now());
            let EgressResponse { status, redirects, .. } = response;
            Ok::<_, Error>(Answer { status, redirects, media, charset, body, retry_after })
        };
        match tokio::time::timeout(within, exchange).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(broken(&error)),
            // Bytes may have arrived: whether it happened is open.
            Err(_) => Err(ToolFault::passing("unavailable", late(limits, within).message)),
        }
    }

    /// The secrets that may be sent to the host of an address, with their handles.
    pub(crate) fn secrets(&self, url: &str) -> impl Iterator<Item = (&str, &Injection)> {
        let host = url.parse::<http::Uri>().ok().and_then(|uri| uri.host().map(str::to_ascii_lowercase));
        let all = self.secrets.iter().map(|(handle, secret)| (handle.as_str(), secret));
        all.filter(move |(_, secret)| host.as_ref() == Some(&secret.audience))
    }
}

/// The media type and the charset of a `content-type`, both in lowercase.
fn typed(header: &str) -> (String, Option<String>) {
    let mut parts = header.split(';').map(|part| part.trim().to_ascii_lowercase());
    let media = parts.next().unwrap_or_default();
    let charset = parts.find_map(|part| Some(part.strip_prefix("charset=")?.trim_matches('"').to_owned()));
    (media, charset)
}
