//! A witness over HTTP: each checkpoint is posted to the one address that the operator named,
//! by the one way out. It must not tell anybody the token, the address's query, or what the
//! witness answered.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use l9::egress::{EgressRequest, Injection};
use l9::evidence::{Checkpoint, SignedCheckpoint, Witness};
use l9::gateway::{self, Direct, Gateway};
use l9::time::{Clock, SystemClock};
use l9::tool::Inject;
use secrecy::{ExposeSecret, SecretString};
use tokio_util::sync::CancellationToken;

use super::address::Address;
use super::place::Place;
use crate::config::Problem;

/// How long one exchange may take, name lookup and answer included.
const DEADLINE: Duration = Duration::from_secs(5);

/// The most bytes of an answer.
const ANSWER: u64 = 64 << 10;

/// Posts checkpoints.
pub(crate) struct HttpWitness {
    address: Address,
    /// The whole header.
    token: Option<SecretString>,
    egress: Direct,
    clock: Arc<dyn Clock>,
}

impl HttpWitness {
    /// The witness at a place with a bearer token; `None` if the place is a path.
    ///
    /// # Errors
    /// As [`check`], and when TLS cannot be set up on this machine.
    pub(crate) fn at(place: Option<&Place>, token: Option<&SecretString>) -> Result<Option<Self>, Problem> {
        let Some(address) = address(place, token)? else { return Ok(None) };
        let token = token.map(bearer).transpose()?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let settings = gateway::Settings::to([address.origin().clone()]);
        let egress = Direct::new(&settings, &Gateway::default(), Arc::clone(&clock))
            .map_err(|error| Problem::plain(error.to_string()))?;
        Ok(Some(Self { address, token, egress, clock }))
    }

    /// Sends one and waits for the whole answer.
    async fn post(&self, checkpoint: &SignedCheckpoint) -> l9::Result<()> {
        let Checkpoint { size, root, .. } = &checkpoint.checkpoint;
        let audience = self.address.origin().host().to_owned();
        let injection = |value| Injection { place: Inject::Header("authorization".to_owned()), value, audience };
        let request = EgressRequest {
            method: "POST".to_owned(),
            url: self.address.as_str().to_owned(),
            headers: vec![
                ("content-type".to_owned(), "text/plain; charset=utf-8".to_owned()),
                ("idempotency-key".to_owned(), format!("{size}-{root}")),
            ],
            secrets: self.token.clone().map(injection).into_iter().collect(),
            body: Bytes::from(checkpoint.note.clone()),
            idle: 2 * DEADLINE, // The whole has a deadline of its own, which is shorter.
            max_response_bytes: ANSWER,
        };
        let answer = self.egress.errand(&CancellationToken::new(), request).await?;
        let wrong = |what| Err(l9::Error::unavailable(format!("it answered {}{what}", answer.status)));
        match answer.status {
            200..=299 => answer.body.try_for_each(|_| std::future::ready(Ok(()))).await,
            300..=399 => wrong(": redirects are not followed, name where it leads"),
            _ => wrong(""),
        }
    }
}

/// Whether this place and token can be used together.
///
/// # Errors
/// For an address that must not be used, and a token that cannot be sent or has no address.
pub(crate) fn check(place: Option<&Place>, token: Option<&SecretString>) -> Result<(), Problem> {
    address(place, token)?;
    token.map(bearer).transpose().map(drop)
}

fn address(place: Option<&Place>, token: Option<&SecretString>) -> Result<Option<Address>, Problem> {
    let address = place.map(Place::address).transpose()?.flatten();
    if address.is_none() && token.is_some() {
        return Err(Problem::new(
            "audit.witness_token is set, and audit.witness is no address",
            "remove the token, or set audit.witness to the https:// address that it is for",
        ));
    }
    Ok(address)
}

fn bearer(token: &SecretString) -> Result<SecretString, Problem> {
    let token = token.expose_secret();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Problem::new(
            "audit.witness_token is empty or holds a blank, a control character or one beyond ASCII",
            "set it again as the witness gave it",
        ));
    }
    Ok(SecretString::from(format!("Bearer {token}")))
}

#[async_trait]
impl Witness for HttpWitness {
    async fn keep(&self, checkpoint: &SignedCheckpoint) -> l9::Result<()> {
        let taken = tokio::select! {
            taken = self.post(checkpoint) => taken,
            () = self.clock.sleep(DEADLINE) => {
                Err(l9::Error::unavailable(format!("it took longer than {} s", DEADLINE.as_secs())))
            }
        };
        taken.map_err(|why| l9::Error::unavailable(format!("the witness {} did not take it: {why}", self.address)))
    }
}

impl fmt::Debug for HttpWitness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.address, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_needs_an_address_and_is_never_shown() {
        let token = |text: &str| Some(SecretString::from(text));
        let at = |place: &str, token: Option<SecretString>| HttpWitness::at(Some(&place.into()), token.as_ref());
        assert!(at("witness.notes", None).unwrap().is_none());
        let witness = at("http://127.0.0.1:9/l9?key=hunter2", token("hunter2-hunter2")).unwrap().unwrap();
        let shown = format!("{witness:?} {:?}", witness.token);
        assert!(!shown.contains("hunter2") && shown.contains("http://127.0.0.1:9/l9"), "{shown}");
        for (place, wrong) in
            [("witness.notes", "hunter2"), ("http://127.0.0.1", "hunter2\r\nx: y"), ("http://127.0.0.1", "hunter 2")]
        {
            let problem = check(Some(&place.into()), token(wrong).as_ref()).unwrap_err();
            assert!(
                problem.message.contains("witness_token") && !format!("{problem:?}").contains("hunter"),
                "{problem:?}"
            );
        }
        assert!(check(None, token("hunter2").as_ref()).is_err());
    }
}
