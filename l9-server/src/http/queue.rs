//! The queue: how much waits, what was given up and why, and its second chance.

use axum::Json as Reply;
use axum::extract::State;
use l9::kernel::Dead;
use l9::principal::{Principal, Role};
use l9::time::Timestamp;
use l9::{ErrorKind, QueueStatus, RunId, TenantId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::access::{Access, is_over_all};
use super::app::App;
use super::body::{Params, Segment};
use super::openapi::Operation;
use super::problem::Problem;
use super::routes::Routes;
use crate::auth::Caller;

/// The most dead runs that are told at once.
const MOST: usize = 1_000;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .add(
            Operation::get("/queue", Access::Needs(Role::Viewer), "What waits to be advanced, and what was given up")
                .query::<Whose>()
                .answers::<Queue>(200, "How the queue stands"),
            show,
        )
        .add(
            Operation::post(
                "/queue/dead/{id}/redrive",
                Access::Needs(Role::Operator),
                "Has a run that was given up advanced again",
            )
            .query::<Whose>()
            .answers::<Redriven>(202, "It is due"),
            redrive,
        )
        .add(
            Operation::post("/queue/pause", Access::Needs(Role::Admin), "Lets no worker of this queue take up runs")
                .answers::<Paused>(200, "They end what they have"),
            pause,
        )
        .add(
            Operation::post("/queue/resume", Access::Needs(Role::Admin), "Lets workers take up runs again")
                .answers::<Paused>(200, "They do"),
            resume,
        )
}

/// Whose tasks.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Whose {
    /// Those of all tenants; for an admin of the tenant `default`.
    all: bool,
}

/// How the queue stands.
#[derive(Debug, Serialize, JsonSchema)]
struct Queue {
    /// Where this was read: `redis`, `in_process`, or `database` where this server advances no
    /// runs and does not see the queues of those that do.
    #[schemars(with = "String")]
    read_from: l9::QueuePlace,
    /// Tasks that are ready to be claimed.
    ready: usize,
    /// Tasks that wait for their time; null if it was read from the database.
    delayed: Option<usize>,
    /// Tasks in workers' hands.
    claimed: usize,
    /// How long the oldest ready task has waited; null if none does, or of one tenant.
    oldest_ready_ms: Option<u64>,
    /// Whether nobody may claim.
    paused: bool,
    /// How many runs were given up.
    dead_count: u64,
    /// Those, the longest dead first, at most 1000.
    dead: Vec<DeadRun>,
}

/// A run that was given up.
#[derive(Debug, Serialize, JsonSchema)]
struct DeadRun {
    /// Its tenant.
    #[schemars(with = "String")]
    tenant: TenantId,
    /// The run.
    run_id: RunId,
    /// When it was given up.
    #[schemars(with = "String")]
    at: Timestamp,
    /// Why.
    reason: String,
}

/// A run that is advanced again.
#[derive(Debug, Serialize, JsonSchema)]
struct Redriven {
    /// The run.
    run_id: RunId,
}

/// Whether the queue is paused.
#[derive(Debug, Serialize, JsonSchema)]
struct Paused {
    /// Whether nobody may claim.
    paused: bool,
}

async fn show(State(app): State<App>, caller: Caller, Params(whose): Params<Whose>) -> Result<Reply<Queue>, Problem> {
    let tenant = whose.tenant(&caller.principal)?;
    let QueueStatus { read_from, ready, delayed, claimed, dead: dead_count, oldest_ready_ms, paused } =
        app.runtime().queue_status(tenant).await?;
    let dead = app.engine().dead(tenant, MOST).await?.into_iter();
    let dead = dead.map(|Dead { tenant, run, at, reason }| DeadRun { tenant, run_id: run, at, reason }).collect();
    Ok(Reply(Queue { read_from, ready, delayed, claimed, oldest_ready_ms, paused, dead_count, dead }))
}

async fn redrive(
    State(app): State<App>,
    caller: Caller,
    Segment(id): Segment,
    Params(whose): Params<Whose>,
) -> Result<(http::StatusCode, Reply<Redriven>), Problem> {
    let run_id: RunId = id.parse()?;
    let mut tenant = caller.principal.tenant.clone();
    if whose.tenant(&caller.principal)?.is_none() {
        let dead = app.engine().dead(None, usize::MAX).await?;
        tenant = dead.into_iter().find(|dead| dead.run == run_id).map_or(tenant, |dead| dead.tenant);
    }
    app.engine().redrive(&tenant, run_id, &caller.principal.subject).await?;
    Ok((http::StatusCode::ACCEPTED, Reply(Redriven { run_id })))
}

async fn pause(State(app): State<App>, caller: Caller) -> Result<Reply<Paused>, Problem> {
    set_paused(&app, &caller, true).await
}

async fn resume(State(app): State<App>, caller: Caller) -> Result<Reply<Paused>, Problem> {
    set_paused(&app, &caller, false).await
}

async fn set_paused(app: &App, caller: &Caller, paused: bool) -> Result<Reply<Paused>, Problem> {
    over_all(&caller.principal)?;
    app.runtime().queue().pause(paused).await?;
    tracing::warn!(paused, by = caller.principal.subject, "the queue was paused or resumed");
    Ok(Reply(Paused { paused }))
}

impl Whose {
    /// The tenant, or none for all.
    fn tenant<'a>(&self, principal: &'a Principal) -> Result<Option<&'a TenantId>, Problem> {
        if !self.all {
            return Ok(Some(&principal.tenant));
        }
        over_all(principal).map(|()| None)
    }
}

fn over_all(principal: &Principal) -> Result<(), Problem> {
    if is_over_all(principal) {
        return Ok(());
    }
    Err(l9::Error::new(ErrorKind::Denied, "only an admin of the tenant default may see and hold the tasks of all")
        .into())
}
