//! The nodes: which processes serve the store.

use axum::Json;
use axum::extract::State;
use l9::principal::Role;
use schemars::JsonSchema;
use serde::Serialize;

use super::access::Access;
use super::app::App;
use super::openapi::Operation;
use super::problem::Problem;
use super::routes::Routes;
use crate::nodes::NodeShown;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(
        Operation::get("/nodes", Access::Needs(Role::Operator), "The processes that serve the store")
            .answers::<Nodes>(200, "Those that are here, and those of the last day that are away"),
        list,
    )
}

/// The processes that serve the store.
#[derive(Debug, Serialize, JsonSchema)]
struct Nodes {
    /// In the order of their names.
    nodes: Vec<NodeShown>,
}

async fn list(State(app): State<App>) -> Result<Json<Nodes>, Problem> {
    let nodes = app.runtime().nodes().await?.into_iter().map(NodeShown::from).collect();
    Ok(Json(Nodes { nodes }))
}
