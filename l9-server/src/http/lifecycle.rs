//! What is done with a run besides starting and stopping it: pause, resume, signal,
//! resolve, fork, replay, diff.

use std::collections::BTreeMap;

use axum::Json as Reply;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use l9::id::{CallId, RunId};
use l9::kernel::{Changes, Diff, Replayed};
use l9::model::ModelName;
use l9::principal::Role;
use l9::run::{Command, Resolution};
use l9::tool::ToolName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::access::Access;
use super::app::App;
use super::body::{Json, Segment, idempotency_key};
use super::openapi::Operation;
use super::problem::Problem;
use super::routes::Routes;
use super::runs::{Commanded, RunAccepted, accepted, command, words};
use crate::auth::Caller;

pub(super) fn routes(routes: Routes) -> Routes {
    let asks = |path, what| {
        Operation::post(path, Access::Needs(Role::Operator), what)
            .headers(&[("Idempotency-Key", "the command's own id")])
    };
    routes
        .add(
            asks("/runs/{id}/pause", "Lets a run end what it does and start nothing new")
                .body::<Reason>()
                .answers::<Commanded>(202, "The run's owner will hold it"),
            pause,
        )
        .add(
            asks("/runs/{id}/resume", "Lets a paused run go on")
                .body::<Reason>()
                .answers::<Commanded>(202, "It will go on"),
            resume,
        )
        .add(
            asks("/runs/{id}/signal", "Sends a run what it waits for")
                .body::<Signal>()
                .answers::<Commanded>(202, "The wait will end"),
            signal,
        )
        .add(
            asks("/runs/{id}/resolve", "Decides what a write whose end nobody knows is taken for")
                .body::<Resolve>()
                .answers::<Commanded>(202, "The run will go on"),
            resolve,
        )
        .add(
            Operation::post(
                "/runs/{id}/fork",
                Access::Needs(Role::Operator),
                "Starts a run that shares this one's past",
            )
            .headers(&[("Idempotency-Key", "the same key and request again give the same run")])
            .body::<Fork>()
            .answers::<RunAccepted>(202, "It is durable and will be carried out"),
            fork,
        )
        .add(
            Operation::post(
                "/runs/{id}/replay",
                Access::Needs(Role::Operator),
                "Derives a run again, without a single effect",
            )
            .body::<Replay>()
            .answers::<ReplayShown>(200, "How far it went as it was recorded"),
            replay,
        )
        .add(
            Operation::get("/runs/{id}/diff/{other}", Access::Needs(Role::Viewer), "Where two runs differ")
                .answers::<DiffShown>(200, "The differences"),
            diff,
        )
}

/// Why.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Reason {
    /// In words; journaled.
    reason: String,
}

/// A signal.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Signal {
    /// Its name.
    name: String,
    /// What it says.
    #[serde(default)]
    value: Value,
}

/// A decision.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Resolve {
    /// The effect, such as `turn/1/tool/0`.
    #[schemars(with = "String")]
    call: CallId,
    /// What it is taken for.
    #[serde(rename = "as")]
    verdict: Taken,
    /// What it gave, if it happened.
    #[serde(default)]
    value: Value,
    /// Why, in words; journaled.
    reason: String,
}

/// What an unknown effect is taken for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Taken {
    /// It happened.
    Happened,
    /// It did not happen.
    NotHappened,
    /// Nobody will ever know.
    Unknown,
}

/// A fork.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Fork {
    /// The event before which it leaves.
    at: u64,
    /// Another model.
    #[serde(default)]
    model: Option<ModelName>,
    /// Other instructions.
    #[serde(default)]
    instructions: Option<String>,
    /// Other tools.
    #[serde(default)]
    tools: Option<Vec<ToolName>>,
    /// A policy that must allow as well as the node's, in Cedar.
    #[serde(default)]
    policy: Option<String>,
    /// What effects before are taken to have given instead.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Value>")]
    results: BTreeMap<CallId, Value>,
}

/// A replay.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Replay {
    /// Results to take in place of those recorded.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Value>")]
    results: BTreeMap<CallId, Value>,
}

/// How far a replay went.
#[derive(Debug, Serialize, JsonSchema)]
struct ReplayShown(#[schemars(with = "Value")] Replayed);

/// Where two runs differ.
#[derive(Debug, Serialize, JsonSchema)]
struct DiffShown(#[schemars(with = "Value")] Diff);

async fn ask(app: &App, caller: &Caller, run: &str, headers: &HeaderMap, asked: Command) -> Result<Response, Problem> {
    let run_id = App::run_id(run)?;
    let command_id = command(app, &caller.principal, run_id, asked, idempotency_key(headers)?).await?;
    Ok((StatusCode::ACCEPTED, Reply(Commanded { run_id, command_id })).into_response())
}

async fn pause(
    State(app): State<App>,
    caller: Caller,
    Segment(run): Segment,
    headers: HeaderMap,
    Json(body): Json<Reason>,
) -> Result<Response, Problem> {
    ask(&app, &caller, &run, &headers, Command::Pause { reason: words("reason", body.reason)? }).await
}

async fn resume(
    State(app): State<App>,
    caller: Caller,
    Segment(run): Segment,
    headers: HeaderMap,
    Json(body): Json<Reason>,
) -> Result<Response, Problem> {
    ask(&app, &caller, &run, &headers, Command::Resume { reason: words("reason", body.reason)? }).await
}

async fn signal(
    State(app): State<App>,
    caller: Caller,
    Segment(run): Segment,
    headers: HeaderMap,
    Json(body): Json<Signal>,
) -> Result<Response, Problem> {
    ask(&app, &caller, &run, &headers, Command::Signal { name: words("name", body.name)?, value: body.value }).await
}

async fn resolve(
    State(app): State<App>,
    caller: Caller,
    Segment(run): Segment,
    headers: HeaderMap,
    Json(body): Json<Resolve>,
) -> Result<Response, Problem> {
    if !body.value.is_null() && !matches!(body.verdict, Taken::Happened) {
        return Err(Problem::invalid("value says what an effect gave that happened: leave it out"));
    }
    let verdict = match body.verdict {
        Taken::Happened => Resolution::Happened { value: body.value },
        Taken::NotHappened => Resolution::NotHappened,
        Taken::Unknown => Resolution::Unknown,
    };
    let reason = words("reason", body.reason)?;
    ask(&app, &caller, &run, &headers, Command::Resolve { call: body.call, verdict, reason }).await
}

async fn fork(
    State(app): State<App>,
    caller: Caller,
    Segment(run): Segment,
    headers: HeaderMap,
    Json(body): Json<Fork>,
) -> Result<Response, Problem> {
    let Fork { at, model, instructions, tools, policy, results } = body;
    let (run, changes) = (App::run_id(&run)?, Changes { model, instructions, tools, policy, results });
    let started = app.engine().fork(&caller.principal, run, at, &changes, idempotency_key(&headers)?).await?;
    Ok(accepted(&RunAccepted { run_id: started.run, existing: started.existing }))
}

async fn replay(
    State(app): State<App>,
    caller: Caller,
    Segment(run): Segment,
    Json(body): Json<Replay>,
) -> Result<Reply<ReplayShown>, Problem> {
    let run = App::run_id(&run)?;
    Ok(Reply(ReplayShown(app.engine().replay(&caller.principal.tenant, run, &body.results).await?)))
}

async fn diff(
    State(app): State<App>,
    caller: Caller,
    Path((one, other)): Path<(String, String)>,
) -> Result<Reply<DiffShown>, Problem> {
    let (one, other): (RunId, RunId) = (App::run_id(&one)?, App::run_id(&other)?);
    Ok(Reply(DiffShown(app.engine().diff(&caller.principal.tenant, one, other).await?)))
}
