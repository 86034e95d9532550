//! Agent profiles, as they are configured now.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use l9::agent::AgentProfile;
use l9::id::AgentId;
use l9::principal::Role;
use schemars::JsonSchema;
use serde::Serialize;

use super::access::Access;
use super::app::App;
use super::body::Segment;
use super::openapi::Operation;
use super::problem::Problem;
use super::routes::Routes;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .add(
            Operation::get("/agents", Access::Needs(Role::Viewer), "Every agent's profile")
                .answers::<Agents>(200, "The profiles, by id"),
            list,
        )
        .add(
            Operation::get("/agents/{id}", Access::Needs(Role::Viewer), "One agent's profile")
                .answers::<AgentProfile>(200, "The profile"),
            show,
        )
}

/// Profiles.
#[derive(Debug, Serialize, JsonSchema)]
struct Agents {
    /// By id.
    agents: Vec<Arc<AgentProfile>>,
}

async fn list(State(app): State<App>) -> Json<Agents> {
    Json(Agents { agents: app.runtime().profiles().list() })
}

async fn show(State(app): State<App>, Segment(id): Segment) -> Result<Json<Arc<AgentProfile>>, Problem> {
    Ok(Json(app.runtime().profiles().get(&AgentId::new(id)?)?))
}
