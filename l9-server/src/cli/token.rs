//! `token`: make one. Reaches no database and no server; whoever has JWT_SECRET may.

use std::time::Duration;

use l9::principal::Principal;
use l9::time::{Clock as _, SystemClock};
use serde_json::json;

use super::arguments::{Token, TokenMint};
use super::context::Context;
use super::failure::{Exit, Failure};
use crate::auth::{MEND, mint};

/// The longest a token may be valid.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// Makes a token and prints it, and nothing else, on standard output.
pub(super) fn token(context: &Context, Token::Mint(asked): &Token) -> Result<Exit, Failure> {
    let TokenMint { subject, role, ttl } = asked;
    let settings = &context.config.auth;
    let secret = settings.secret()?;
    let secret = secret.ok_or_else(|| Failure::usage("there is no secret to sign a token with").with_help(MEND))?;
    if ttl.is_zero() || *ttl > LONGEST {
        return Err(Failure::usage("--ttl is not within a second and 366 days").with_help("use 15m, 8h or 30d"));
    }
    let roles = role.iter().copied().collect();
    let principal = Principal { tenant: context.tenant.clone(), subject: subject.clone(), roles };
    // The machine's clock also under a seed: servers check with theirs.
    let now = SystemClock::default().now();
    let minted = mint(settings, &secret, &principal, now, *ttl).map_err(Failure::usage)?;
    if context.screen.is_json() {
        context.screen.object(&json!({
            "token": minted.token,
            "expires_at": minted.expires,
            "tenant": principal.tenant,
            "subject": principal.subject,
            "roles": principal.roles,
        }));
    } else {
        context.screen.line(&minted.token);
    }
    Ok(Exit::Done)
}
