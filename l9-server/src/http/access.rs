//! What a route needs of whoever asks. Every operation says it; the gate before its
//! handler holds it.

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{HeaderValue, WWW_AUTHENTICATE};
use http::request::Parts;
use l9::TenantId;
use l9::principal::{Principal, Role};

use super::app::App;
use super::problem::Problem;
use crate::auth::{Caller, Refusal};

/// What a route needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing: anybody may ask.
    Open,
    /// Nothing of who asks on this machine, directly; of all others the role.
    OpenHere(Role),
    /// The role.
    Needs(Role),
}

/// Who sent a request, as the border found out.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// The caller; `None` without credentials.
    pub(super) caller: Result<Option<Caller>, Refusal>,
    /// Whether it came from this machine, past no proxy.
    pub(super) here: bool,
}

/// Whether somebody is above all tenants: an admin of the tenant `default`.
pub(super) fn is_over_all(principal: &Principal) -> bool {
    principal.tenant == TenantId::default_tenant() && principal.roles.allow(Role::Admin)
}

impl Access {
    /// Lets a request in, with its caller if one is known.
    ///
    /// # Errors
    /// 401 without a valid token, 403 with one of lesser roles.
    pub(super) fn admit(self, asked: &Asked) -> Result<Option<Caller>, Turned> {
        let known = asked.caller.as_ref().ok().and_then(Option::as_ref);
        let role = match self {
            Self::Open => return Ok(known.cloned()),
            Self::OpenHere(_) if asked.here => return Ok(known.cloned()),
            Self::OpenHere(role) | Self::Needs(role) => role,
        };
        match &asked.caller {
            Ok(Some(caller)) => match permit(&caller.principal, role) {
                Ok(()) => Ok(Some(caller.clone())),
                Err(problem) => {
                    Err(Turned { problem, challenge: Some(r#"Bearer realm="l9", error="insufficient_scope""#) })
                }
            },
            Ok(None) => Err(unauthenticated(r#"Bearer realm="l9""#)),
            Err(Refusal::Invalid(_)) => Err(unauthenticated(r#"Bearer realm="l9", error="invalid_token""#)),
            Err(Refusal::Unavailable) => {
                let message = "the keys that check tokens cannot be fetched: try again later";
                Err(Turned { problem: l9::Error::unavailable(message).into(), challenge: None })
            }
        }
    }
}

/// Why somebody was turned away, with what they are told to bring (RFC 6750 section 3).
#[derive(Debug)]
pub(super) struct Turned {
    problem: Problem,
    challenge: Option<&'static str>,
}

impl IntoResponse for Turned {
    fn into_response(self) -> Response {
        let mut response = self.problem.into_response();
        if let Some(challenge) = self.challenge {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

/// One answer for all that is wrong with a token.
fn unauthenticated(challenge: &'static str) -> Turned {
    let detail = "send a valid token as `Authorization: Bearer TOKEN`; `l9-server token mint` makes one";
    let problem = Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", "nobody is known to ask", detail);
    Turned { problem, challenge: Some(challenge) }
}

/// Checks that somebody may do what needs a role.
///
/// # Errors
/// 403, naming the role.
pub(crate) fn permit(principal: &Principal, role: Role) -> Result<(), Problem> {
    if principal.roles.allow(role) {
        return Ok(());
    }
    let has = if principal.roles.is_empty() { "no role".to_owned() } else { principal.roles.to_string() };
    let detail = format!("this needs the role {role}; you have {has}");
    Err(Problem::new(StatusCode::FORBIDDEN, "role", "another role is needed", detail))
}

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Self>().cloned();
        // An open route that asks for its caller is a defect, and denies.
        caller.ok_or_else(|| l9::Error::internal("a handler wants a caller where none is needed").into())
    }
}

/// The caller, where one may be known and need not.
pub(super) struct Known(pub(super) Option<Principal>);

impl Known {
    /// Who they are, if they are known and may look.
    pub(super) fn viewer(&self) -> Option<&Principal> {
        self.0.as_ref().filter(|principal| principal.roles.allow(Role::Viewer))
    }
}

impl FromRequestParts<App> for Known {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Self::Rejection> {
        Ok(Self(parts.extensions.get::<Caller>().map(|caller| caller.principal.clone())))
    }
}
