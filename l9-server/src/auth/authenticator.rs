//! From a request's headers to whoever sent it.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use jsonwebtoken::Algorithm;
use l9::principal::Principal;
use l9::time::Clock;

use super::credentials;
use super::issuer::Issuer;
use super::secret::Secret;
use super::settings::Settings;
use super::token::{self, Expected, Named};
use crate::config::Problem;

/// Whoever asks.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// On whose behalf requests are carried out.
    pub(crate) principal: Principal,
    /// How long their token was still valid when they were let in; without a token, always.
    pub(crate) left: Option<Duration>,
}

impl Caller {
    /// Whoever sits at this machine, who needs no token.
    pub(crate) fn local(principal: Principal) -> Self {
        Self { principal, left: None }
    }

    /// When what is carried out for them must end, by a monotonic clock.
    pub(crate) fn ends(&self, clock: &Arc<dyn Clock>) -> Ends {
        Ends(self.left.map(|left| clock.monotonic().saturating_add(left)))
    }
}

/// When a token ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ends(Option<Duration>);

impl Ends {
    /// Waits for the end, for ever if there is none.
    pub(crate) async fn wait(self, clock: &Arc<dyn Clock>) {
        match self.0 {
            Some(end) => clock.sleep(end.saturating_sub(clock.monotonic())).await,
            None => std::future::pending().await,
        }
    }
}

/// Why nobody is known to ask. The reason is for the log: told apart by their answers,
/// forged tokens could be bettered step by step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The credentials are not valid.
    Invalid(&'static str),
    /// The issuer's keys cannot be had.
    Unavailable,
}

/// Checks tokens.
#[derive(Debug)]
pub(crate) struct Authenticator {
    secret: Option<Secret>,
    issuer: Option<Issuer>,
    expected: Expected,
    clock: Arc<dyn Clock>,
}

impl Authenticator {
    /// The clock is the machine's, also where runs are seeded: a seeded one stands still.
    ///
    /// # Errors
    /// For a secret that is too short, or TLS that cannot be set up.
    pub(crate) fn new(settings: &Settings, clock: Arc<dyn Clock>) -> Result<Self, Problem> {
        let issuer = settings.jwks_url.clone().map(|url| Issuer::new(url, Arc::clone(&clock))).transpose()?;
        Ok(Self { secret: settings.secret()?, issuer, expected: Expected::of(settings), clock })
    }

    /// Who sent a request; `None` if it brings no credentials.
    ///
    /// # Errors
    /// For credentials that are not valid, or that cannot be checked now.
    pub(crate) async fn authenticate(&self, headers: &HeaderMap) -> Result<Option<Caller>, Refusal> {
        let found = credentials::find(headers).map_err(|credentials::Malformed| Refusal::Invalid("malformed"))?;
        let Some(token) = found else { return Ok(None) };
        let Named { principal, expires } = self.check(token).await?;
        let left = Duration::from_secs(expires.saturating_sub(token::seconds(self.clock.now())));
        Ok(Some(Caller { principal, left: Some(left) }))
    }

    async fn check(&self, token: &str) -> Result<Named, Refusal> {
        let header = token::header(token).map_err(Refusal::Invalid)?;
        let now = self.clock.now();
        let named = match (header.alg, &self.secret, &self.issuer) {
            (Algorithm::HS256, Some(secret), _) => {
                token::read(token, secret.checks(), Algorithm::HS256, &self.expected, now)
            }
            (Algorithm::RS256 | Algorithm::ES256, _, Some(issuer)) => {
                match issuer.key(header.kid.as_deref()).await.map_err(|_| Refusal::Unavailable)? {
                    Some(key) => token::read(token, &key.checks, key.algorithm, &self.expected, now),
                    None => Err("key"),
                }
            }
            _ => Err("algorithm"),
        };
        named.map_err(Refusal::Invalid)
    }
}

#[cfg(test)]
mod tests;
