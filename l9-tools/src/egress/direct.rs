//! The one way out: every request is read, allowed, looked through for secrets, counted on
//! its permit and sent, and an answer that points elsewhere begins all of that anew.
//!
//! The order stands in `permitted` and `send_counted`, and nothing else in this crate sends. An errand
//! of the process itself goes the same way without a permit.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use l9_core::egress::{Egress, EgressRequest, EgressResponse};
use l9_core::governor::Permit;
use l9_core::redact::{KnownSecrets, Redactor};
use l9_core::time::Clock;
use l9_core::tool::NetGrant;
use l9_core::{Error, ErrorKind, Result};
use reqwest::{Client, Response};
use tokio_util::sync::CancellationToken;

use super::body::{self, Leash, NotSent, broken};
use super::gateway::{Gateway, Kind};
use super::grant::{Grant, Tally};
use super::redirect::{Redirected, Trail};
use super::settings::Settings;
use super::target::Prepared;
use crate::percent::decoded;

/// How long an unused connection of a tool is kept.
const KEEP: Duration = Duration::from_secs(60);

/// Sends where its grants allow and nowhere else.
#[derive(Clone)]
pub struct Direct {
    grants: Arc<[Grant]>,
    gateway: Gateway,
    /// Connections to public addresses, and to all.
    clients: [Client; 2],
    /// What must not stand in a request.
    secrets: Arc<dyn Redactor>,
    clock: Arc<dyn Clock>,
}

impl Direct {
    /// The way out to a few origins that an operator named; nothing is connected to yet.
    ///
    /// # Errors
    /// `Invalid` when TLS cannot be set up, for instance because the machine has no root
    /// certificates although an `https` origin is listed.
    pub fn new(settings: &Settings, gateway: &Gateway, clock: Arc<dyn Clock>) -> Result<Self> {
        let origins = settings.origins.iter().cloned();
        let grants = origins.map(|origin| Grant::whole(origin, settings.allow_private)).collect();
        // An operator's own words may hold anything.
        let secrets = Arc::new(KnownSecrets::default());
        Self::with(grants, gateway, (settings.connect(), settings.keep()), secrets, clock)
    }

    /// The way out of one tool, webhook or guest: what it is granted, without any of the
    /// known secrets in sight. `connect` is the longest wait for a connection.
    ///
    /// # Errors
    /// `Invalid` for a grant that names no origin, or when TLS cannot be set up.
    pub fn granted(
        grants: &[NetGrant],
        connect: Duration,
        gateway: &Gateway,
        secrets: Arc<dyn Redactor>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let grants = grants.iter().enumerate().map(Grant::of).collect::<Result<_>>()?;
        Self::with(grants, gateway, (connect, KEEP), secrets, clock)
    }

    fn with(
        grants: Vec<Grant>,
        gateway: &Gateway,
        (connect, keep): (Duration, Duration),
        secrets: Arc<dyn Redactor>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let tls = grants.iter().any(|grant| grant.origin.is_secure());
        let client = |private| gateway.client(Kind { private, tls, connect, keep });
        let clients = [client(false)?, client(true)?];
        Ok(Self { grants: grants.into(), gateway: gateway.clone(), clients, secrets, clock })
    }

    /// Sends one request of a call that may send several, counted in its tally.
    ///
    /// # Errors
    /// Those of [`Egress::send`], and `Denied` for one request more than its grant has.
    pub(crate) async fn send_counted(
        &self,
        permit: &Permit,
        mut request: EgressRequest,
        tally: &mut Tally,
    ) -> Result<EgressResponse> {
        let mut trail = Trail::default();
        let mut redirects = None;
        loop {
            let first = trail.hops() == 0;
            let anew = |error: Error| if first { error } else { further(&error) };
            let (prepared, grant) = self.allowed(&request).map_err(anew)?;
            let left = tally.count(grant).map_err(anew)?;
            let most = *redirects.get_or_insert(grant.redirects.min(left) as usize);
            let (response, leash) = self.permitted(permit, &request, (prepared, grant)).await.map_err(anew)?;
            let status = response.status().as_u16();
            let location = response.headers().get(http::header::LOCATION).and_then(|value| value.to_str().ok());
            if trail.hops() < most
                && let Some(next) = trail.follow(&request, status, location).map_err(|error| further(&error))?
            {
                request = next;
                continue;
            }
            let redirects = u32::try_from(trail.hops()).unwrap_or(u32::MAX);
            return answer(response, leash, (grant, redirects), request.max_response_bytes);
        }
    }

    /// Reads a request and finds what allows it.
    fn allowed(&self, request: &EgressRequest) -> Result<(Prepared, &Grant)> {
        let prepared = Prepared::of(request, self.gateway.rules())?;
        let grant = Grant::find(&self.grants, &request.method, prepared.url(), &self.gateway)?;
        let plain = [Cow::from(&request.url), Cow::from(decoded(&request.url))].into_iter();
        let headers = request.headers.iter().map(|(_, value)| Cow::from(value));
        let body = std::iter::once(String::from_utf8_lossy(&request.body));
        let holds = |text: Cow<'_, str>| matches!(self.secrets.redact(&text), Cow::Owned(_));
        if plain.chain(headers).chain(body).any(holds) {
            return Err(Error::new(ErrorKind::Denied, "the request holds a secret: only the host sends secrets"));
        }
        Ok((prepared, grant))
    }

    /// Sends what is no effect of a run but an errand of the process itself, to an origin that
    /// an operator named: a checkpoint for its witness, for instance. Nothing of it may come
    /// from a model, a tool or a run: what does needs a permit. It follows no redirects, and
    /// ends when `stop` fires.
    ///
    /// # Errors
    /// Those of [`Egress::send`], without those of permits.
    pub async fn errand(&self, stop: &CancellationToken, request: EgressRequest) -> Result<EgressResponse> {
        let (prepared, grant) = self.allowed(&request)?;
        let leash = Leash::until(stop, request.idle, &self.clock);
        let response = self.exchange(&leash, prepared, grant).await?;
        answer(response, leash, (grant, 0), request.max_response_bytes)
    }

    /// One request and the beginning of its answer, counted on its permit.
    async fn permitted(
        &self,
        permit: &Permit,
        request: &EgressRequest,
        (prepared, grant): (Prepared, &Grant),
    ) -> Result<(Response, Leash)> {
        let bytes = prepared.bytes();
        let leash = Leash::of(permit, request.idle, &self.clock);
        permit.check()?;
        permit.draw(bytes)?;
        let exchanged = self.exchange(&leash, prepared, grant).await;
        let response = exchanged.inspect_err(|error| {
            if is_not_sent(error) {
                permit.give_back(bytes);
            }
        })?;
        Ok((response, leash))
    }

    /// One request and the beginning of its answer.
    async fn exchange(&self, leash: &Leash, prepared: Prepared, grant: &Grant) -> Result<Response> {
        let origin = &grant.origin;
        let client = &self.clients[usize::from(grant.private)];
        leash.hold(origin, client.execute(prepared.into())).await?.map_err(|error| {
            if error.is_connect() {
                broken(origin, "cannot connect", error).caused_by(NotSent)
            } else {
                broken(origin, "no answer", error)
            }
        })
    }
}

impl fmt::Debug for Direct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Direct").field("grants", &self.grants).finish_non_exhaustive()
    }
}

#[async_trait]
impl Egress for Direct {
    async fn send(&self, permit: &Permit, request: EgressRequest) -> Result<EgressResponse> {
        self.send_counted(permit, request, &mut Tally::default()).await
    }
}

/// The error of a request that a redirect asked for.
fn further(error: &Error) -> Error {
    Error::new(error.kind(), format!("the far side points elsewhere: {error}")).caused_by(Redirected)
}

fn is_not_sent(error: &Error) -> bool {
    std::error::Error::source(error).is_some_and(|cause| cause.is::<NotSent>())
}

/// What is seen of an answer, of whose body no more than `most` bytes are read.
fn answer(response: Response, leash: Leash, (grant, redirects): (&Grant, u32), most: u64) -> Result<EgressResponse> {
    let (status, headers) = (response.status().as_u16(), seen(&response));
    body::unencoded(&headers, &grant.origin)?;
    let cap = most.min(grant.max_response_bytes);
    Ok(EgressResponse { status, redirects, headers, body: body::stream(response, leash, grant.origin.clone(), cap) })
}

fn seen(response: &Response) -> Vec<(String, String)> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    response.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}
