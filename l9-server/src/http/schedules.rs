//! Schedules: what starts runs by the clock.

use axum::Json as Reply;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::LOCATION;
use l9::id::{RunId, TenantId};
use l9::principal::{Principal, Role};
use l9::schedule::{Definition, Paused, Schedule, ScheduleId, Tick};
use l9::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::access::Access;
use super::app::App;
use super::body::{Json, Params, Segment, size};
use super::openapi::Operation;
use super::problem::Problem;
use super::routes::Routes;
use crate::auth::Caller;

/// The most schedules of one page.
const PAGE: usize = 200;

/// The most ticks of a preview.
const TICKS: usize = 1_000;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .add(
            Operation::get("/schedules", Access::Needs(Role::Viewer), "Schedules, in the order of their ids")
                .query::<List>()
                .answers::<Page>(200, "A page of schedules"),
            list,
        )
        .add(
            Operation::post(
                "/schedules",
                Access::Needs(Role::Operator),
                "Makes a schedule, whose runs are the caller's",
            )
            .body::<New>()
            .answers::<Shown>(201, "It is made"),
            add,
        )
        .add(
            Operation::get("/schedules/{id}", Access::Needs(Role::Viewer), "One schedule and its last ticks")
                .answers::<Shown>(200, "The schedule"),
            show,
        )
        .add(
            Operation::delete("/schedules/{id}", Access::Needs(Role::Operator), "Removes a schedule; its runs go on")
                .answers_plainly(204, "It is gone"),
            remove,
        )
        .add(
            Operation::get("/schedules/{id}/preview", Access::Needs(Role::Viewer), "When it is due next")
                .query::<Preview>()
                .answers::<Ticks>(200, "The next ticks that are not decided"),
            preview,
        )
        .add(
            Operation::post("/schedules/{id}/pause", Access::Needs(Role::Operator), "Starts nothing more of it")
                .answers::<Shown>(200, "It is paused"),
            pause,
        )
        .add(
            Operation::post("/schedules/{id}/resume", Access::Needs(Role::Operator), "Lets a paused schedule go on")
                .answers::<Shown>(200, "It goes on"),
            resume,
        )
}

/// A schedule to make.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct New {
    /// Its name in the tenant: 1 to 64 of a-z 0-9 - _ .
    id: ScheduleId,
    /// What it is.
    definition: Definition,
}

/// Which schedules to list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct List {
    /// The most schedules; 50 if absent, at most 200.
    limit: Option<usize>,
    /// The `next` of the page before.
    cursor: Option<ScheduleId>,
}

/// A page of schedules.
#[derive(Debug, Serialize, JsonSchema)]
struct Page {
    /// In the order of their ids.
    schedules: Vec<Shown>,
    /// The cursor of the next page; null on the last.
    next: Option<ScheduleId>,
}

/// A schedule, as it is shown here and on the command line.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Shown {
    /// Its name in the tenant.
    id: ScheduleId,
    /// What it is.
    definition: Definition,
    /// When it was made.
    created_at: Timestamp,
    /// Who made it: its runs are theirs.
    by: Principal,
    /// Who paused it, while it is.
    paused: Option<Paused>,
    /// When somebody looks at it next; null if it is paused or over.
    next: Option<Timestamp>,
    /// Ticks that are carried out, or wait for the run of the one before.
    pending: Vec<Timestamp>,
    /// The run of the newest tick that had one.
    last_run: Option<RunId>,
    /// Why the newest tick has no run, if none could be started.
    last_error: Option<String>,
    /// What became of the last ticks, the newest first; at most 20.
    recent: Vec<Tick>,
}

impl Shown {
    /// Of a schedule.
    ///
    /// # Errors
    /// `Invalid` for a time zone that this system does not know any more.
    pub(crate) fn of(schedule: Schedule) -> l9::Result<Self> {
        let next = schedule.next()?;
        let Schedule { id, created_at, by, definition, state, .. } = schedule;
        Ok(Self {
            id,
            definition,
            created_at,
            by,
            paused: state.paused,
            next,
            pending: state.pending,
            last_run: state.last_run.map(|last| last.run),
            last_error: state.recent.first().and_then(|tick| tick.error.clone()),
            recent: state.recent,
        })
    }
}

/// How much to look ahead.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Preview {
    /// How many ticks; 10 if absent, at most 1000.
    n: Option<usize>,
}

/// The next ticks.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Ticks {
    /// In their order.
    ticks: Vec<Coming>,
}

/// A tick to come.
#[derive(Debug, Serialize, JsonSchema)]
struct Coming {
    /// Its time, which names it.
    tick: Timestamp,
    /// When it is carried out: later by its jitter.
    at: Timestamp,
}

impl Ticks {
    /// The next ones of a schedule.
    ///
    /// # Errors
    /// As [`Shown::of`].
    pub(crate) fn of(schedule: &Schedule, count: usize) -> l9::Result<Self> {
        let ticks = schedule.preview(count)?.into_iter().map(|(tick, at)| Coming { tick, at }).collect();
        Ok(Self { ticks })
    }
}

async fn list(State(app): State<App>, caller: Caller, Params(query): Params<List>) -> Result<Reply<Page>, Problem> {
    let limit = size(query.limit, 50, PAGE)?;
    let schedules = app.runtime().schedules();
    let mut found = schedules.list(&caller.principal.tenant, query.cursor.as_ref(), limit + 1).await?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next = if more { found.last().map(|last| last.id.clone()) } else { None };
    let schedules = found.into_iter().map(Shown::of).collect::<l9::Result<_>>()?;
    Ok(Reply(Page { schedules, next }))
}

async fn add(State(app): State<App>, caller: Caller, Json(new): Json<New>) -> Result<Response, Problem> {
    let made = app.runtime().schedules().add(&caller.principal, &new.id, new.definition).await?;
    let place = format!("/schedules/{}", made.id);
    Ok((StatusCode::CREATED, [(LOCATION, place)], Reply(Shown::of(made)?)).into_response())
}

async fn show(State(app): State<App>, caller: Caller, Segment(id): Segment) -> Result<Reply<Shown>, Problem> {
    Ok(Reply(Shown::of(get(&app, &caller.principal.tenant, &id).await?)?))
}

async fn get(app: &App, tenant: &TenantId, id: &str) -> Result<Schedule, Problem> {
    Ok(app.runtime().schedules().get(tenant, &id.parse()?).await?)
}

async fn remove(State(app): State<App>, caller: Caller, Segment(id): Segment) -> Result<StatusCode, Problem> {
    app.runtime().schedules().remove(&caller.principal.tenant, &id.parse()?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn preview(
    State(app): State<App>,
    caller: Caller,
    Segment(id): Segment,
    Params(query): Params<Preview>,
) -> Result<Reply<Ticks>, Problem> {
    let count = size(query.n, 10, TICKS)?;
    Ok(Reply(Ticks::of(&get(&app, &caller.principal.tenant, &id).await?, count)?))
}

async fn pause(State(app): State<App>, caller: Caller, Segment(id): Segment) -> Result<Reply<Shown>, Problem> {
    Ok(Reply(Shown::of(app.runtime().schedules().pause(&caller.principal, &id.parse()?).await?)?))
}

async fn resume(State(app): State<App>, caller: Caller, Segment(id): Segment) -> Result<Reply<Shown>, Problem> {
    Ok(Reply(Shown::of(app.runtime().schedules().resume(&caller.principal, &id.parse()?).await?)?))
}
