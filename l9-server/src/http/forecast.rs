//! What a plan would do, told before anything runs.

use axum::Json as Reply;
use axum::extract::State;
use l9::budget::Budget;
use l9::kernel::Forecast;
use l9::principal::Role;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::access::Access;
use super::app::App;
use super::body::Planned;
use super::openapi::Operation;
use super::problem::Problem;
use super::routes::Routes;
use crate::auth::Caller;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(
        Operation::post(
            "/plans/validate",
            Access::Needs(Role::Operator),
            "Checks a plan whole, and tells what policy says of its calls and what they cost; nothing runs",
        )
        .body::<ValidatePlan>()
        .answers::<Forecast>(200, "It can run, as far as policy and its budget let it"),
        validate,
    )
}

/// A plan to look at.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ValidatePlan {
    /// The plan: an object, or its YAML as a text. A body of the type application/yaml is the plan
    /// itself.
    plan: Value,
    /// The most it may use; the stricter of this and the plan's.
    #[serde(default)]
    budget: Budget,
}

async fn validate(
    State(app): State<App>,
    caller: Caller,
    Planned(body): Planned<ValidatePlan>,
) -> Result<Reply<Forecast>, Problem> {
    let ValidatePlan { plan, budget } = body;
    Ok(Reply(app.engine().forecast(&caller.principal, &plan, budget)?))
}
