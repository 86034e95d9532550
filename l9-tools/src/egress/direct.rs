//! The egress of L9's own clients: straight to a few origins that an operator named.
//!
//! It must not follow redirects, use proxies from the environment, keep cookies, or
//! resolve names for anybody else. Grants per tool stand before it, in `granted.rs`.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use l9_core::egress::{Egress, EgressRequest, EgressResponse};
use l9_core::governor::Permit;
use l9_core::time::Clock;
use l9_core::{Error, ErrorKind, Result};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};

use super::address::{Private, PublicOnly, is_public};
use super::body::{self, Leash, NotSent, broken};
use super::origin::Origin;
use super::settings::Settings;
use super::target::Prepared;

/// Sends to the configured origins and nowhere else.
#[derive(Clone)]
pub struct Direct {
    settings: Settings,
    client: Client,
    clock: Arc<dyn Clock>,
}

impl Direct {
    /// Builds the connection pool; nothing is connected to yet.
    ///
    /// # Errors
    /// `Invalid` when TLS cannot be set up, for instance because the machine has no root
    /// certificates although an `https` origin is listed.
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self> {
        let mut builder = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .referer(false)
            .retry(reqwest::retry::never())
            .connect_timeout(settings.connect())
            .pool_idle_timeout(settings.keep());
        if settings.origins.iter().all(|origin| origin.to_string().starts_with("http://")) {
            // Without TLS there is no need for the machine's root certificates.
            builder = builder.tls_certs_only([]);
        }
        if !settings.allow_private {
            builder = builder.dns_resolver(PublicOnly);
        }
        let client = builder.build().map_err(|error| {
            Error::invalid("no TLS for outgoing requests: install the system's root certificates (ca-certificates)")
                .caused_by(error)
        })?;
        Ok(Self { settings, client, clock })
    }

    fn allowed(&self, request: &EgressRequest) -> Result<Origin> {
        let origin = Origin::of(&request.url)?;
        if self.settings.origins.contains(&origin) {
            let literal = origin.host().trim_matches(['[', ']']).parse::<IpAddr>().ok();
            return match literal.filter(|address| !self.settings.allow_private && !is_public(*address)) {
                Some(private) => Err(Error::new(ErrorKind::Denied, Private(private).to_string())),
                None => Ok(origin),
            };
        }
        let listed: Vec<String> = self.settings.origins.iter().map(ToString::to_string).collect();
        Err(Error::new(
            ErrorKind::Denied,
            format!("{origin} is not an allowed origin: allowed are {}", listed.join(", ")),
        ))
    }
}

impl fmt::Debug for Direct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Direct").field("settings", &self.settings).finish_non_exhaustive()
    }
}

#[async_trait]
impl Egress for Direct {
    async fn send(&self, permit: &Permit, request: EgressRequest) -> Result<EgressResponse> {
        let origin = self.allowed(&request)?;
        let prepared = Prepared::of(&request)?;
        let bytes = prepared.bytes();
        let leash = Leash::of(permit, request.idle, &self.clock);
        permit.check()?;
        permit.draw(bytes)?;
        let response = leash.hold(&origin, self.client.execute(prepared.into())).await?.map_err(|error| {
            if error.is_connect() {
                permit.give_back(bytes);
                return broken(&origin, "cannot connect", error).caused_by(NotSent);
            }
            broken(&origin, "no answer", error)
        })?;
        Ok(EgressResponse {
            status: response.status().as_u16(),
            headers: seen(&response),
            body: body::stream(response, leash, origin, request.max_response_bytes),
        })
    }
}

fn seen(response: &Response) -> Vec<(String, String)> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    response.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}
