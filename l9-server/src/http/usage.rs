//! `GET /memory/usage`: how much memory there is, and how much there may be.

use axum::Json as Reply;
use axum::extract::State;
use l9::id::AgentId;
use l9::memory::Usage;
use l9::principal::Role;
use schemars::JsonSchema;
use serde::Deserialize;

use super::access::Access;
use super::app::App;
use super::body::Params;
use super::openapi::Operation;
use super::problem::Problem;
use super::routes::Routes;
use crate::auth::Caller;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(
        Operation::get("/memory/usage", Access::Needs(Role::Viewer), "How much memory is used, and may be")
            .query::<Asked>()
            .answers::<Usage>(200, "Of the tenant, and of the agent if one is named"),
        usage,
    )
}

/// Whose.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// This agent's own entries too.
    agent: Option<AgentId>,
}

async fn usage(
    State(app): State<App>,
    caller: Caller,
    Params(Asked { agent }): Params<Asked>,
) -> Result<Reply<Usage>, Problem> {
    Ok(Reply(app.runtime().memory_usage(&caller.principal.tenant, agent.as_ref()).await?))
}
