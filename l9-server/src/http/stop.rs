//! The emergency stop: nothing of a tenant starts until somebody lifts it.

use std::time::Duration;

use axum::Json as Reply;
use axum::extract::State;
use l9::ErrorKind;
use l9::governor;
use l9::kernel::Stopped;
use l9::principal::{Principal, Role};
use l9::stop::{Scope, Stop};
use l9::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::access::{Access, is_over_all};
use super::app::App;
use super::body::Json;
use super::openapi::Operation;
use super::problem::Problem;
use super::routes::Routes;
use super::runs::words;
use crate::auth::Caller;

/// How long quiet is waited for.
const WITHIN: Duration = Duration::from_secs(5);

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .add(
            Operation::get("/stop", Access::Needs(Role::Viewer), "The stops that hold the caller's tenant")
                .answers::<Standing>(200, "Those that stand"),
            list,
        )
        .add(
            Operation::post("/stop", Access::Needs(Role::Operator), "Stops a tenant: nothing starts any more")
                .body::<Order>()
                .answers::<StoppedShown>(200, "It stands, and all is quiet or not yet"),
            stop,
        )
        .add(
            Operation::post("/unstop", Access::Needs(Role::Admin), "Lets a stopped tenant go on")
                .body::<Order>()
                .answers::<Lifted>(200, "The runs go on"),
            unstop,
        )
}

/// Whom, and why.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Order {
    /// The tenant, or `*` for all; the caller's own if absent. Others than the caller's own
    /// may be named by an admin of the tenant `default`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    tenant: Option<Scope>,
    /// Why, in words; kept.
    reason: String,
}

/// A stop that stands.
#[derive(Debug, Serialize, JsonSchema)]
struct Shown {
    /// Whom it holds: a tenant, or `*` for all.
    tenant: String,
    /// Since when.
    #[schemars(with = "String")]
    at: Timestamp,
    /// Who ordered it.
    by: String,
    /// Why.
    reason: String,
}

impl From<Stop> for Shown {
    fn from(Stop { scope, at, by, reason }: Stop) -> Self {
        Self { tenant: scope.to_string(), at, by, reason }
    }
}

/// The stops that stand.
#[derive(Debug, Serialize, JsonSchema)]
struct Standing {
    /// Each with its reason.
    stops: Vec<Shown>,
}

/// What became of a stop.
#[derive(Debug, Serialize, JsonSchema)]
struct StoppedShown {
    /// The stop that stands: the first one of its tenant.
    stop: Shown,
    /// When no run that it holds had an owner any more; null if some still have.
    #[schemars(with = "Option<String>")]
    quiet_at: Option<Timestamp>,
    /// How many runs still have an owner.
    held: u64,
    /// The signed statement that all was quiet, for `l9-verify`.
    statement: Option<String>,
}

/// A stop that was lifted.
#[derive(Debug, Serialize, JsonSchema)]
struct Lifted {
    /// The stop that stood.
    lifted: Shown,
    /// The signed statement that it was lifted, for `l9-verify`.
    statement: String,
}

async fn list(State(app): State<App>, caller: Caller) -> Result<Reply<Standing>, Problem> {
    let stops = app.engine().stops().await?.into_iter();
    let mine = stops.filter(|stop| stop.scope.holds(&caller.principal.tenant));
    Ok(Reply(Standing { stops: mine.map(Shown::from).collect() }))
}

async fn stop(State(app): State<App>, caller: Caller, Json(body): Json<Order>) -> Result<Reply<StoppedShown>, Problem> {
    let (scope, reason) = order(&app, &caller.principal, governor::Operation::Stop, body)?;
    let (stopped, statement) = app.runtime().audit().stop(scope, &caller.principal.subject, &reason, WITHIN).await?;
    let Stopped { stop, quiet_at, held } = stopped;
    Ok(Reply(StoppedShown { stop: stop.into(), quiet_at, held, statement }))
}

async fn unstop(State(app): State<App>, caller: Caller, Json(body): Json<Order>) -> Result<Reply<Lifted>, Problem> {
    let (scope, reason) = order(&app, &caller.principal, governor::Operation::Unstop, body)?;
    let (lifted, statement) = app.runtime().audit().unstop(&scope, &caller.principal.subject, &reason).await?;
    Ok(Reply(Lifted { lifted: lifted.into(), statement }))
}

/// Whom somebody may stop, or let go on, and why they do.
fn order(
    app: &App,
    principal: &Principal,
    operation: governor::Operation,
    Order { tenant, reason }: Order,
) -> Result<(Scope, String), Problem> {
    let scope = tenant.unwrap_or_else(|| Scope::Tenant(principal.tenant.clone()));
    let own = scope == Scope::Tenant(principal.tenant.clone());
    if !own && !is_over_all(principal) {
        let message = "only an admin of the tenant default may stop others: leave `tenant` out to stop your own";
        return Err(l9::Error::new(ErrorKind::Denied, message).into());
    }
    app.engine().parts().governor.may_administer(principal, operation)?;
    Ok((scope, words("reason", reason)?))
}
