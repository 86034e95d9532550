//! Long plans: start one, show one, edit one, stop it at nodes, roll it back.

use std::time::Duration;

use axum::Json as Reply;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use l9::ErrorKind;
use l9::budget::Budget;
use l9::id::RunId;
use l9::journal::Status;
use l9::kernel::StartOptions;
use l9::label::Label;
use l9::plan::{NodeDoc, Patch, PlanView, Target};
use l9::principal::{Principal, Role};
use l9::run::{Breakpoint, Command, Mode, Moment};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::access::Access;
use super::app::App;
use super::body::{Json, Planned, Segment, given, idempotency_key};
use super::openapi::Operation;
use super::problem::Problem;
use super::routes::Routes;
use super::runs::{Commanded, RunAccepted, RunEnded, Wait, begun, command, words};
use crate::auth::Caller;
use crate::standing::Standing;

/// How long the owner of a plan's run is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn routes(routes: Routes) -> Routes {
    let command = &[("Idempotency-Key", "the command's own id")];
    routes
        .add(
            Operation::post(
                "/plans",
                Access::Needs(Role::Operator),
                "Starts a run of a plan, once it was checked whole",
            )
            .headers(&[("Idempotency-Key", "the same key and request again give the same run")])
            .body::<StartPlan>()
            .answers::<RunEnded>(200, "It ended within the wait")
            .answers::<RunAccepted>(202, "It is durable and will be carried out"),
            start,
        )
        .add(
            Operation::get("/plans/{id}", Access::Needs(Role::Viewer), "How a plan stands, node by node")
                .answers::<PlanShown>(200, "The plan"),
            show,
        )
        .add(
            Operation::patch(
                "/plans/{id}",
                Access::Needs(Role::Operator),
                "Edits the nodes of a plan that have not begun",
            )
            .headers(command)
            .body::<EditPlan>()
            .answers::<Changed>(200, "It is edited")
            .answers::<Commanded>(202, "The plan's owner has not answered yet"),
            edit,
        )
        .add(
            Operation::post(
                "/plans/{id}/breakpoints",
                Access::Needs(Role::Operator),
                "Sets or clears a breakpoint of a plan",
            )
            .headers(command)
            .body::<SetBreakpoint>()
            .answers::<Changed>(200, "It stands, or stands no more")
            .answers::<Commanded>(202, "The plan's owner has not answered yet"),
            stop_at,
        )
        .add(
            Operation::post(
                "/runs/{id}/rollback",
                Access::Needs(Role::Operator),
                "Compensates what a plan did, and goes back",
            )
            .headers(command)
            .body::<RollBack>()
            .answers::<Changed>(200, "It is rolled back, and goes on in the run that is named")
            .answers::<Commanded>(202, "The plan's owner has not answered yet"),
            roll_back,
        )
}

/// A plan to carry out.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StartPlan {
    /// The plan: an object, or its YAML as a text. `l9-server plans schema` prints its schema. A
    /// body of the type application/yaml is the plan itself.
    plan: Value,
    /// What it is given: `${input.field}` within it.
    #[serde(default)]
    input: Value,
    /// The most it may use; the stricter of this and the plan's.
    #[serde(default)]
    budget: Budget,
    /// Where the plan and its input came from and who may see them.
    #[serde(default)]
    labels: Label,
    /// Stop it if it has not ended after so many milliseconds.
    #[serde(default)]
    deadline_ms: Option<u64>,
    /// Whether to wait for the end.
    #[serde(default)]
    wait: Wait,
}

/// How a plan stands.
#[derive(Debug, Serialize, JsonSchema)]
struct PlanShown {
    /// The run that carries it out; a plan's id is its run's.
    run_id: RunId,
    /// Where it is in its life.
    state: Status,
    /// How many events it has.
    events: u64,
    /// What it waits for.
    waiting: Standing,
    /// Its nodes.
    #[serde(flatten)]
    view: PlanView,
}

/// An edit.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EditPlan {
    /// The version that is edited; another is refused.
    expected_version: u64,
    /// Nodes that are added, or that take the place of those of their ids.
    #[serde(default)]
    put: Vec<NodeDoc>,
    /// The ids of nodes that go.
    #[serde(default)]
    remove: Vec<String>,
    /// Why, in words; journaled.
    reason: String,
}

/// A breakpoint.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SetBreakpoint {
    /// The node, or `*` for every node.
    node: String,
    /// When it stops: `before`, `after` or `on_error`.
    at: Moment,
    /// Only if this is true then, such as `${test.failed} > 0`.
    #[serde(default)]
    when: Option<String>,
    /// What becomes of what is under way.
    #[serde(default)]
    mode: Mode,
    /// Whether it is cleared instead.
    #[serde(default)]
    clear: bool,
}

/// A rollback.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RollBack {
    /// How far: `"start"`, `{"node": "build"}`, or `"failed"` to try what failed again.
    #[serde(default = "start_of_it")]
    to: Target,
    /// Why, in words; journaled if the run goes on.
    reason: String,
}

fn start_of_it() -> Target {
    Target::Start
}

/// What was asked of a plan is done.
#[derive(Debug, Serialize, JsonSchema)]
struct Changed {
    /// The run that goes on.
    run_id: RunId,
    /// The plan's version.
    version: u64,
}

async fn start(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Planned(body): Planned<StartPlan>,
) -> Result<Response, Problem> {
    let options = StartOptions {
        budget: body.budget,
        label: given(body.labels)?,
        deadline: body.deadline_ms.map(Duration::from_millis),
        idempotency_key: idempotency_key(&headers)?,
        ..StartOptions::default()
    };
    let started = app.engine().start_plan(&caller.principal, &body.plan, &body.input, options).await?;
    begun(&app, &caller.principal, started, body.wait.limit(&app)).await
}

async fn show(State(app): State<App>, caller: Caller, Segment(run): Segment) -> Result<Reply<PlanShown>, Problem> {
    let run_id = App::run_id(&run)?;
    let (row, state) = app.engine().show(&caller.principal.tenant, run_id).await?;
    let (view, waiting) = (PlanView::of(&state)?, Standing::of(&row, &state).seen_by(&caller.principal));
    Ok(Reply(PlanShown { run_id, state: row.status, events: row.head.next, waiting, view }))
}

async fn edit(
    State(app): State<App>,
    caller: Caller,
    Segment(run): Segment,
    headers: HeaderMap,
    Json(body): Json<EditPlan>,
) -> Result<Response, Problem> {
    let EditPlan { expected_version: expected, put, remove, reason } = body;
    let patch = serde_json::to_value(Patch { put, remove }).map_err(|error| Problem::invalid(error.to_string()))?;
    let asked = Command::Patch { expected, patch, reason: words("reason", reason)? };
    ask(&app, &caller, App::run_id(&run)?, &headers, asked).await
}

async fn stop_at(
    State(app): State<App>,
    caller: Caller,
    Segment(run): Segment,
    headers: HeaderMap,
    Json(body): Json<SetBreakpoint>,
) -> Result<Response, Problem> {
    let SetBreakpoint { node, at, when, mode, clear } = body;
    let asked = Command::Break { breakpoint: Breakpoint { node, at, when, mode }, clear };
    ask(&app, &caller, App::run_id(&run)?, &headers, asked).await
}

async fn roll_back(
    State(app): State<App>,
    caller: Caller,
    Segment(run): Segment,
    headers: HeaderMap,
    Json(body): Json<RollBack>,
) -> Result<Response, Problem> {
    let (run, reason) = (App::run_id(&run)?, words("reason", body.reason)?);
    let row = app.runtime().store().run(&caller.principal.tenant, run).await?;
    if row.is_some_and(|row| row.status.is_closed()) {
        let started = app.engine().roll_back(&caller.principal, run, &body.to).await?;
        return changed(&app, &caller.principal, started.run).await;
    }
    ask(&app, &caller, run, &headers, Command::RollBack { target: body.to, reason }).await
}

/// Sends a command to a plan's run and waits a while for its owner's answer.
async fn ask(
    app: &App,
    caller: &Caller,
    run_id: RunId,
    headers: &HeaderMap,
    asked: Command,
) -> Result<Response, Problem> {
    let principal = &caller.principal;
    let command_id = command(app, principal, run_id, asked, idempotency_key(headers)?).await?;
    match app.within(PATIENCE, app.engine().answer(&principal.tenant, run_id, &command_id)).await.transpose()? {
        Some(Ok(())) => changed(app, principal, run_id).await,
        Some(Err(why)) => Err(l9::Error::new(ErrorKind::Conflict, format!("run {run_id}: {why}")).into()),
        None => Ok((StatusCode::ACCEPTED, Reply(Commanded { run_id, command_id })).into_response()),
    }
}

async fn changed(app: &App, principal: &Principal, run_id: RunId) -> Result<Response, Problem> {
    let (_, state) = app.engine().show(&principal.tenant, run_id).await?;
    Ok(Reply(Changed { run_id, version: state.plan.version() }).into_response())
}
