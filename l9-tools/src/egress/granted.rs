//! The egress of one tool: what its manifest grants, and nothing else.

use std::sync::Arc;

use async_trait::async_trait;
use http::Uri;
use l9_core::egress::{Egress, EgressRequest, EgressResponse};
use l9_core::governor::Permit;
use l9_core::time::Clock;
use l9_core::tool::NetGrant;
use l9_core::{Error, ErrorKind, Result};

use super::direct::Direct;
use super::origin::Origin;
use super::settings::Settings;

/// Sends what a grant allows, each grant over a client of its own.
#[derive(Debug)]
pub(crate) struct Granted(Vec<(NetGrant, Direct)>);

impl Granted {
    /// The egress of these grants; `connect_ms` is the longest wait for a connection.
    ///
    /// # Errors
    /// `Invalid` for a grant that names no origin, or when TLS cannot be set up.
    pub(crate) fn new(grants: &[NetGrant], connect_ms: u64, clock: &Arc<dyn Clock>) -> Result<Self> {
        let client = |grant: &NetGrant| {
            let port = grant.port.map(|port| format!(":{port}")).unwrap_or_default();
            let origin: Origin = format!("{}://{}{port}", grant.scheme, grant.host).parse()?;
            let settings = Settings { allow_private: grant.allow_private, connect_ms, ..Settings::to([origin]) };
            Ok((grant.clone(), Direct::new(settings, Arc::clone(clock))?))
        };
        grants.iter().map(client).collect::<Result<_>>().map(Self)
    }
}

#[async_trait]
impl Egress for Granted {
    async fn send(&self, permit: &Permit, mut request: EgressRequest) -> Result<EgressResponse> {
        let uri: Uri = request.url.parse().map_err(|_| Error::invalid("the request's address is malformed"))?;
        let granted = self.0.iter().find(|(grant, _)| crate::http::covers(grant, &request.method, &uri));
        let Some((grant, direct)) = granted else {
            let (host, path) = (uri.host().unwrap_or_default(), uri.path());
            let message = format!("no grant in net covers {} {host}{path}", request.method);
            return Err(Error::new(ErrorKind::Denied, crate::log::printable(&message, 400)));
        };
        request.max_response_bytes = request.max_response_bytes.min(grant.max_response_bytes.unwrap_or(u64::MAX));
        direct.send(permit, request).await
    }
}
