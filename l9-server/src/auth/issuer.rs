//! The keys that an issuer publishes (JWKS, RFC 7517), fetched when they are needed and
//! kept; each is pinned to the one algorithm of its kind.
//!
//! Tokens cannot make it ask often: between two attempts lies a floor, and one asks for all.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use l9::time::Clock;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::config::Problem;

/// The least time between two attempts.
const FLOOR: Duration = Duration::from_secs(60);

/// How long keys are taken as they are.
const FRESH: Duration = Duration::from_secs(3600);

/// How long keys serve while newer ones cannot be had.
const STALE: Duration = Duration::from_secs(24 * 3600);

/// How long the issuer may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// The most bytes and keys of its answer.
const BYTES: usize = 256 << 10;
const KEYS: usize = 100;

/// A key and the one algorithm it is for.
#[derive(Debug)]
pub(super) struct Key {
    id: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) checks: DecodingKey,
}

/// The keys cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unreachable;

#[derive(Debug, Default)]
struct Keys {
    keys: Vec<Arc<Key>>,
    /// When an attempt was last made, and when one last succeeded, on the monotonic clock.
    tried: Option<Duration>,
    fetched: Option<Duration>,
}

impl Keys {
    /// The key of an id; of none, the only key there is.
    fn find(&self, id: Option<&str>) -> Option<Arc<Key>> {
        let mut fitting = self.keys.iter().filter(|key| id.is_none() || key.id.as_deref() == id);
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Some(Arc::clone(key)),
            _ => None,
        }
    }

    fn is_younger(&self, than: Duration, now: Duration) -> bool {
        self.fetched.is_some_and(|fetched| now.saturating_sub(fetched) < than)
    }

    fn may_try(&self, now: Duration) -> bool {
        self.tried.is_none_or(|tried| now.saturating_sub(tried) >= FLOOR)
    }
}

/// An issuer's keys.
#[derive(Debug)]
pub(super) struct Issuer {
    url: String,
    client: reqwest::Client,
    clock: Arc<dyn Clock>,
    keys: RwLock<Arc<Keys>>,
    /// Lets one ask at a time.
    turn: Semaphore,
}

impl Issuer {
    /// # Errors
    /// When TLS cannot be set up on this machine.
    pub(super) fn new(url: String, clock: Arc<dyn Clock>) -> Result<Self, Problem> {
        let builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .timeout(DEADLINE);
        // Without TLS there is no need for the machine's root certificates.
        let builder = if url.starts_with("http://") { builder.no_proxy().tls_certs_only([]) } else { builder };
        let client = builder.build().map_err(|_| {
            Problem::new(
                "no TLS to fetch the issuer's keys",
                "install the system's root certificates (ca-certificates)",
            )
        })?;
        Ok(Self { url, client, clock, keys: RwLock::default(), turn: Semaphore::new(1) })
    }

    /// The key that a token names.
    ///
    /// # Errors
    /// When there are no keys, or none that are young enough.
    pub(super) async fn key(&self, id: Option<&str>) -> Result<Option<Arc<Key>>, Unreachable> {
        let (keys, now) = (self.keys(), self.clock.monotonic());
        let found = keys.find(id);
        let settled = found.is_some() && keys.is_younger(FRESH, now);
        let keys = if !settled && keys.may_try(now) { self.refreshed().await } else { keys };
        if keys.is_younger(STALE, self.clock.monotonic()) { Ok(keys.find(id)) } else { Err(Unreachable) }
    }

    fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn keep(&self, keys: Keys) -> Arc<Keys> {
        let keys = Arc::new(keys);
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&keys);
        keys
    }

    async fn refreshed(&self) -> Arc<Keys> {
        // The semaphore is never closed.
        let Ok(_turn) = self.turn.acquire().await else { return self.keys() };
        let (keys, now) = (self.keys(), self.clock.monotonic());
        if !keys.may_try(now) {
            return keys;
        }
        let old = |keys: &Keys| Keys { keys: keys.keys.clone(), tried: Some(now), fetched: keys.fetched };
        // Noted before, so that one who gives up waiting does not make the next ask again.
        self.keep(old(&keys));
        match self.fetch().await {
            Ok(fetched) => {
                tracing::info!(keys = fetched.len(), "the issuer's keys were fetched");
                self.keep(Keys { keys: fetched, tried: Some(now), fetched: Some(now) })
            }
            Err(why) => {
                tracing::warn!(why, "the issuer's keys cannot be fetched: auth.jwks_url");
                self.keys()
            }
        }
    }

    async fn fetch(&self) -> Result<Vec<Arc<Key>>, &'static str> {
        let response = self.client.get(&self.url).header("accept", "application/json").send().await;
        let mut response = response.map_err(|_| "no connection")?;
        if response.status() != reqwest::StatusCode::OK {
            return Err("the answer is not 200");
        }
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|_| "the answer broke off")? {
            body.extend_from_slice(&piece);
            if body.len() > BYTES {
                return Err("the answer is too long");
            }
        }
        parse(&body)
    }
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

/// The keys of a set that can check a signature; others are left aside.
fn parse(body: &[u8]) -> Result<Vec<Arc<Key>>, &'static str> {
    let set: Set = serde_json::from_slice(body).map_err(|_| "the answer is no set of keys")?;
    if set.keys.len() > KEYS {
        return Err("there are too many keys");
    }
    let keys: Vec<_> = set.keys.into_iter().filter_map(|key| pinned(&serde_json::from_value(key).ok()?)).collect();
    if keys.is_empty() { Err("there is no key for RS256 or ES256") } else { Ok(keys) }
}

fn pinned(jwk: &Jwk) -> Option<Arc<Key>> {
    if jwk.common.public_key_use.as_ref().is_some_and(|purpose| *purpose != PublicKeyUse::Signature) {
        return None;
    }
    // A shared secret (`oct`) has no place in what is published.
    let (algorithm, named) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        _ => return None,
    };
    if jwk.common.key_algorithm.is_some_and(|said| said != named) {
        return None;
    }
    let checks = DecodingKey::from_jwk(jwk).ok()?;
    Some(Arc::new(Key { id: jwk.common.key_id.clone(), algorithm, checks }))
}
