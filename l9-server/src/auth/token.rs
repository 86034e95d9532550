//! Tokens (JWT, RFC 7519, under the advice of RFC 8725): read and minted.
//!
//! The key says which algorithm it is for, never the token. Times come from the clock
//! that is passed in.

use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, encode};
use l9::id::TenantId;
use l9::principal::{Principal, Role, Roles};
use l9::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::secret::Secret;
use super::settings::Settings;

/// How many seconds a token may come too early, for clocks that differ. None too late.
const LEEWAY: u64 = 30;

/// The most bytes of a subject.
const SUBJECT_BYTES: usize = 256;

/// What a token must say to be for this server.
#[derive(Debug, Clone)]
pub(super) struct Expected {
    audience: String,
    issuer: Option<String>,
}

impl Expected {
    pub(super) fn of(settings: &Settings) -> Self {
        Self { audience: settings.audience.clone(), issuer: settings.issuer.clone() }
    }
}

/// Whom a valid token names, and until when, in seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) principal: Principal,
    pub(super) expires: u64,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    tenant: TenantId,
    #[serde(default)]
    roles: Vec<String>,
    exp: Seconds,
    #[serde(default)]
    nbf: Option<Seconds>,
    #[serde(default)]
    iss: Option<String>,
}

/// A NumericDate; a fraction is dropped.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "serde_json::Number")]
struct Seconds(u64);

impl TryFrom<serde_json::Number> for Seconds {
    type Error = &'static str;

    fn try_from(number: serde_json::Number) -> Result<Self, Self::Error> {
        // A float is clamped to what there is; not a number cannot be written in JSON.
        let clamped = |float: f64| (float >= 0.0).then_some(float as u64);
        number.as_u64().or_else(|| number.as_f64().and_then(clamped)).map(Self).ok_or("no time")
    }
}

/// What a token's header says, if it is one to look at.
///
/// # Errors
/// With the reason, for the log.
pub(super) fn header(token: &str) -> Result<Header, &'static str> {
    let header = jsonwebtoken::decode_header(token).map_err(|_| "header")?;
    let typed = |typ: &str| typ.eq_ignore_ascii_case("jwt") || typ.eq_ignore_ascii_case("at+jwt");
    if header.crit.is_some() {
        return Err("critical extension");
    }
    if header.typ.as_deref().is_some_and(|typ| !typed(typ)) {
        return Err("type");
    }
    Ok(header)
}

/// Checks a token with a key and the one algorithm that the key is for.
///
/// # Errors
/// With the reason, for the log; the sender hears none.
pub(super) fn read(
    token: &str,
    key: &DecodingKey,
    algorithm: Algorithm,
    expected: &Expected,
    now: Timestamp,
) -> Result<Named, &'static str> {
    let mut validation = Validation::new(algorithm);
    validation.set_required_spec_claims(&["exp", "aud", "sub"]);
    validation.set_audience(&[&expected.audience]);
    // Times are checked below, by our own clock.
    validation.validate_exp = false;
    let claims = decode::<Claims>(token, key, &validation).map_err(|error| reason(&error))?.claims;
    if expected.issuer.is_some() && claims.iss != expected.issuer {
        return Err("issuer");
    }
    let now = seconds(now);
    if claims.exp.0 <= now {
        return Err("expired");
    }
    if claims.nbf.is_some_and(|nbf| nbf.0 > now.saturating_add(LEEWAY)) {
        return Err("not yet valid");
    }
    if !is_subject(&claims.sub) {
        return Err("subject");
    }
    // A role of another system grants nothing here.
    let roles: Roles = claims.roles.iter().filter_map(|name| name.parse::<Role>().ok()).collect();
    let principal = Principal { tenant: claims.tenant, subject: claims.sub, roles };
    Ok(Named { principal, expires: claims.exp.0 })
}

fn reason(error: &jsonwebtoken::errors::Error) -> &'static str {
    use jsonwebtoken::errors::ErrorKind;
    match error.kind() {
        ErrorKind::InvalidSignature => "signature",
        ErrorKind::InvalidAlgorithm => "algorithm",
        ErrorKind::InvalidAudience => "audience",
        ErrorKind::MissingRequiredClaim(_) => "missing claim",
        _ => "form",
    }
}

/// Whether a text can name somebody in journals and logs.
pub(crate) fn is_subject(text: &str) -> bool {
    let visible = |character: char| !character.is_control() && !character.is_whitespace();
    (1..=SUBJECT_BYTES).contains(&text.len()) && text.chars().all(visible)
}

pub(super) fn seconds(time: Timestamp) -> u64 {
    u64::try_from(time.as_millis() / 1000).unwrap_or(0)
}

/// A token that was made.
#[derive(Debug)]
pub(crate) struct Minted {
    /// The token itself.
    pub(crate) token: String,
    /// When it ends.
    pub(crate) expires: Timestamp,
}

#[derive(Serialize)]
struct MintedClaims<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    aud: &'a str,
    sub: &'a str,
    tenant: &'a TenantId,
    roles: &'a Roles,
    iat: u64,
    nbf: u64,
    exp: u64,
}

/// Signs a token for somebody, from now on and for `ttl`.
///
/// # Errors
/// With the reason: a subject that names nobody, or what the signature's library says.
pub(crate) fn mint(
    settings: &Settings,
    secret: &Secret,
    principal: &Principal,
    now: Timestamp,
    ttl: std::time::Duration,
) -> Result<Minted, String> {
    if !is_subject(&principal.subject) {
        return Err(format!("{:?} names nobody: use 1 to {SUBJECT_BYTES} bytes without spaces", principal.subject));
    }
    let expires = now.after(ttl);
    let claims = MintedClaims {
        iss: settings.issuer.as_deref(),
        aud: &settings.audience,
        sub: &principal.subject,
        tenant: &principal.tenant,
        roles: &principal.roles,
        iat: seconds(now),
        nbf: seconds(now),
        exp: seconds(expires),
    };
    let token = encode(&Header::new(Algorithm::HS256), &claims, secret.signs()).map_err(|error| error.to_string())?;
    Ok(Minted { token, expires })
}
