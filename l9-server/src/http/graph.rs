//! The knowledge graph of the caller's tenant: what entries state, looked at from any thing.

use axum::Json as Reply;
use axum::extract::State;
use l9::id::AgentId;
use l9::memory::{Edge, Entity, Scope, Walk, When};
use l9::principal::Role;
use l9::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::access::Access;
use super::app::App;
use super::body::{Params, size};
use super::openapi::Operation;
use super::problem::Problem;
use super::routes::Routes;
use crate::auth::Caller;

/// The most things or relations of one answer.
const MOST: usize = 1000;
/// As many as come when nobody says how many.
const FEW: usize = 100;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .add(
            Operation::get("/memory/graph/entities", Access::Needs(Role::Viewer), "Things that relations name")
                .query::<Things>()
                .answers::<Entities>(200, "By name"),
            entities,
        )
        .add(
            Operation::get("/memory/graph/neighbours", Access::Needs(Role::Viewer), "The relations around a thing")
                .query::<Around>()
                .answers::<Relations>(200, "Nearest first"),
            neighbours,
        )
        .add(
            Operation::get("/memory/graph/path", Access::Needs(Role::Viewer), "How one thing leads to another")
                .query::<Between>()
                .answers::<Relations>(200, "The fewest relations, in their order; none if they do not meet"),
            path,
        )
}

/// Which things.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Things {
    /// What their names begin with; all of them if absent.
    q: Option<String>,
    /// The most; 100 if absent, at most 1,000.
    limit: Option<usize>,
    /// Only by this agent's entries and those of no agent.
    agent: Option<AgentId>,
    /// Only by what was known at that time.
    as_of: Option<Timestamp>,
    /// Only by what was true then, as far as it is known.
    valid_at: Option<Timestamp>,
}

/// Around which thing.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Around {
    /// Its name.
    entity: String,
    /// How many relations away; 1 if absent, at most 3.
    hops: Option<u8>,
    /// Only relations of this predicate.
    predicate: Option<String>,
    /// The most relations; 100 if absent, at most 1,000.
    limit: Option<usize>,
    /// Only this agent's entries and those of no agent.
    agent: Option<AgentId>,
    /// Only what was known at that time.
    as_of: Option<Timestamp>,
    /// Only what was true then, as far as it is known.
    valid_at: Option<Timestamp>,
}

/// Between which things.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Between {
    /// Where it begins.
    from: String,
    /// Where it ends.
    to: String,
    /// The most relations; 4 if absent, at most 6.
    hops: Option<u8>,
    /// Only this agent's entries and those of no agent.
    agent: Option<AgentId>,
    /// Only what was known at that time.
    as_of: Option<Timestamp>,
    /// Only what was true then, as far as it is known.
    valid_at: Option<Timestamp>,
}

/// Things of the graph.
#[derive(Debug, Serialize, JsonSchema)]
struct Entities {
    /// By name.
    entities: Vec<Entity>,
}

/// Relations of the graph.
#[derive(Debug, Serialize, JsonSchema)]
struct Relations {
    /// Each with the entry that states it.
    relations: Vec<Edge>,
}

async fn entities(
    State(app): State<App>,
    caller: Caller,
    Params(things): Params<Things>,
) -> Result<Reply<Entities>, Problem> {
    let Things { q, limit, agent, as_of, valid_at } = things;
    let limit = size(limit, FEW, MOST)?;
    let (scope, when) = (scope(&caller, agent), When { as_of, valid_at });
    let entities = app.runtime().memory().entities(&scope, &q.unwrap_or_default(), when, limit).await?;
    Ok(Reply(Entities { entities }))
}

async fn neighbours(
    State(app): State<App>,
    caller: Caller,
    Params(around): Params<Around>,
) -> Result<Reply<Relations>, Problem> {
    let Around { entity, hops, predicate, limit, agent, as_of, valid_at } = around;
    let walk = Walk {
        from: entity,
        hops: hops.unwrap_or(1),
        predicate,
        when: When { as_of, valid_at },
        limit: size(limit, FEW, MOST)?,
    };
    let relations = app.runtime().memory().walk(&scope(&caller, agent), &walk).await?;
    Ok(Reply(Relations { relations }))
}

async fn path(
    State(app): State<App>,
    caller: Caller,
    Params(between): Params<Between>,
) -> Result<Reply<Relations>, Problem> {
    let Between { from, to, hops, agent, as_of, valid_at } = between;
    let (scope, when) = (scope(&caller, agent), When { as_of, valid_at });
    let path = app.runtime().memory().path(&scope, &from, &to, when, hops.unwrap_or(4)).await?;
    Ok(Reply(Relations { relations: path.unwrap_or_default() }))
}

fn scope(caller: &Caller, agent: Option<AgentId>) -> Scope {
    Scope { tenant: caller.principal.tenant.clone(), agent, session: None }
}
