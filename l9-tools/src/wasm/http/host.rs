//! The interface as a guest calls it: counted, granted, with its secrets put in by the host
//! and taken out of what comes back.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use l9_core::Result;
use l9_core::digest::hmac;
use l9_core::egress::{EgressRequest, Injection};
use l9_core::governor::Permit;
use l9_core::redact::Redactor;
use l9_core::tool::{Manifest, ToolFault};

use crate::egress::{Tally, USER_AGENT};
use crate::headers::{KEY, is_key};
use crate::http::{Outward, Surroundings, broken};
use crate::wasm::host::State;
use crate::wasm::host::bindings::l9::tool::http::{Error, Header, Host, Request, Response};

/// What one call may send.
#[derive(Debug)]
pub(in crate::wasm) struct Requests {
    outward: Outward,
    redactor: Arc<dyn Redactor>,
    /// Whether the same requests may be sent once more without a key.
    repeats: bool,
    wall: Duration,
    tally: Tally,
    /// Requests that change something, so far.
    writes: u64,
}

/// What a host call gives: an answer, an error that the guest sees, or the call's end.
type Told<T> = wasmtime::Result<std::result::Result<T, Error>>;

impl Requests {
    /// What a manifest grants to one call.
    ///
    /// # Errors
    /// Those of [`Outward::of`].
    pub(in crate::wasm) fn of(manifest: &Manifest, around: &Surroundings) -> Result<Self> {
        Ok(Self {
            outward: Outward::of(manifest, around)?,
            redactor: Arc::clone(&around.redactor),
            repeats: manifest.effect.may_just_repeat(),
            wall: manifest.limits.wall(),
            tally: Tally::default(),
            writes: 0,
        })
    }

    /// A request as it is sent, with what the host adds.
    fn read(&mut self, permit: &Permit, request: Request, changes: bool) -> std::result::Result<EgressRequest, Error> {
        let Request { method, url, headers, body, secrets } = request;
        let mut headers: Vec<_> = headers.into_iter().map(|Header { name, value }| (name, value)).collect();
        let has = |name: &str| headers.iter().any(|(there, _)| there.eq_ignore_ascii_case(name));
        if headers.iter().any(|(name, _)| is_key(name)) {
            return Err(Error::InvalidRequest(format!("header \"{KEY}\" is the host's to write: leave it out")));
        }
        if !has("user-agent") {
            headers.push(("user-agent".to_owned(), USER_AGENT.to_owned()));
        }
        if changes {
            // The same for every attempt at the same effect, and another for each of its requests.
            if !self.repeats {
                let key = permit.idempotency_key();
                let key = hmac(key.as_bytes(), &[b"l9.tool.http.1\0", &self.writes.to_be_bytes()]);
                headers.push((KEY.to_owned(), key.to_string()));
            }
            self.writes += 1;
        }
        let secrets = secrets.iter().map(|handle| self.secret(handle, &url)).collect::<std::result::Result<_, _>>()?;
        Ok(EgressRequest {
            method,
            url,
            headers,
            secrets,
            body: Bytes::from(body),
            idle: self.wall,
            max_response_bytes: u64::MAX,
        })
    }

    /// The same words for a secret that is not there, and one that others may have.
    fn secret(&self, handle: &str, url: &str) -> std::result::Result<Injection, Error> {
        let found = self.outward.secrets(url).find(|(granted, _)| *granted == handle);
        found.map(|(_, secret)| secret.clone()).ok_or_else(|| {
            let handle = crate::log::printable(handle, 100);
            Error::Denied(format!("the manifest grants no secret {handle:?} for that host: add it to secrets"))
        })
    }

    fn masked(&self, text: String) -> String {
        match self.redactor.redact(&text) {
            Cow::Owned(masked) => masked,
            Cow::Borrowed(_) => text,
        }
    }

    /// Bytes in which nothing reads like a secret stay as they are.
    fn masked_bytes(&self, bytes: Vec<u8>) -> Vec<u8> {
        match self.redactor.redact(&String::from_utf8_lossy(&bytes)) {
            Cow::Owned(masked) => masked.into_bytes(),
            Cow::Borrowed(_) => bytes,
        }
    }
}

impl Host for State {
    async fn send(&mut self, request: Request) -> Told<Response> {
        self.charge(size(&request))?;
        let (Some(mut requests), Some(permit)) = (self.requests.take(), self.permit.clone()) else {
            return Ok(Err(Error::Denied("the manifest grants no host: add it to net".into())));
        };
        let told = self.exchange(&mut requests, &permit, request).await;
        self.requests = Some(requests);
        told
    }
}

impl State {
    async fn exchange(&mut self, requests: &mut Requests, permit: &Permit, request: Request) -> Told<Response> {
        // The safe methods (RFC 9110, section 9.2.1) that a grant may name.
        let changes = !matches!(request.method.as_str(), "GET" | "HEAD" | "OPTIONS" | "TRACE");
        let request = match requests.read(permit, request, changes) {
            Ok(request) => request,
            Err(error) => return Ok(Err(error)),
        };
        let sent = requests.outward.egress.send_counted(permit, request, &mut requests.tally).await;
        let mut response = match sent.map_err(|error| broken(&error)) {
            Ok(response) => response,
            Err(fault) => {
                let error = told(fault);
                self.changed |= changes && matches!(error, Error::NoAnswer(_));
                return Ok(Err(error));
            }
        };
        self.changed |= changes;
        let mut body = Vec::new();
        while let Some(piece) = response.body.next().await {
            match piece {
                Ok(piece) => {
                    self.pass(piece.len() as u64)?;
                    body.extend_from_slice(&piece);
                }
                Err(error) => return Ok(Err(Error::NoAnswer(broken(&error).message))),
            }
        }
        let headers = response.headers.into_iter().map(|(name, value)| (name, requests.masked(value)));
        let headers: Vec<Header> = headers.map(|(name, value)| Header { name, value }).collect();
        self.pass(headers.iter().map(|header| (header.name.len() + header.value.len()) as u64).sum())?;
        Ok(Ok(Response { status: response.status, headers, body: requests.masked_bytes(body) }))
    }
}

/// The bytes of a request that cross to the host.
fn size(Request { method, url, headers, body, secrets }: &Request) -> usize {
    let headers = headers.iter().map(|header| header.name.len() + header.value.len()).sum::<usize>();
    method.len() + url.len() + headers + body.len() + secrets.iter().map(String::len).sum::<usize>()
}

/// What came of a request in the guest's terms: only the first three say that nothing was sent.
fn told(fault: ToolFault) -> Error {
    match fault.code.as_str() {
        "refused" => Error::Denied(fault.message),
        "invalid_input" => Error::InvalidRequest(fault.message),
        "not_sent" => Error::NotSent(fault.message),
        _ => Error::NoAnswer(fault.message),
    }
}
