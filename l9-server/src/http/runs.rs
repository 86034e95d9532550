//! Runs: start one, wait for it, list them, show one, cancel one.

use std::time::Duration;

use axum::Json as Reply;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::LOCATION;
use http::{HeaderMap, StatusCode};
use l9::budget::{Budget, Cost};
use l9::digest::Digest;
use l9::id::{AgentId, CommandId, RunId};
use l9::journal::{RunFilter, RunRow, Status};
use l9::kernel::{Ended, StartOptions, Started};
use l9::label::Label;
use l9::principal::{Principal, Role};
use l9::run::{Citation, Command, CommandRequest};
use l9::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::access::Access;
use super::app::App;
use super::body::{Json, Params, Segment, given, idempotency_key, size};
use super::openapi::Operation;
use super::problem::Problem;
use super::routes::Routes;
use crate::auth::Caller;
use crate::standing::Standing;

/// The most runs of one page.
const PAGE: usize = 200;

/// The most bytes of a reason or a session's name.
const WORDS: usize = 1024;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .add(
            Operation::post("/agents/{id}/runs", Access::Needs(Role::Operator), "Starts a run of an agent")
                .headers(&[("Idempotency-Key", "the same key and request again give the same run")])
                .body::<StartRun>()
                .answers::<RunEnded>(200, "It ended within the wait")
                .answers::<RunAccepted>(202, "It is durable and will be carried out"),
            start,
        )
        .add(
            Operation::get("/runs", Access::Needs(Role::Viewer), "Runs, newest first")
                .query::<ListRuns>()
                .answers::<Runs>(200, "A page of runs"),
            list,
        )
        .add(
            Operation::get("/runs/{id}", Access::Needs(Role::Viewer), "One run's state")
                .answers::<RunShown>(200, "The state"),
            show,
        )
        .add(
            Operation::post("/runs/{id}/cancel", Access::Needs(Role::Operator), "Asks a run to stop")
                .headers(&[("Idempotency-Key", "the command's own id")])
                .body::<CancelRun>()
                .answers::<Commanded>(202, "The run's owner will stop it"),
            cancel,
        )
}

/// A run to start.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StartRun {
    /// What the agent should do, in words; at most 256 KiB.
    input: String,
    /// The conversation it belongs to.
    #[serde(default)]
    session: Option<String>,
    /// The most it may use; the stricter of this and the profile's.
    #[serde(default)]
    budget: Budget,
    /// Where the input came from and who may see it.
    #[serde(default)]
    labels: Label,
    /// Stop it if it has not ended after so many milliseconds.
    #[serde(default)]
    deadline_ms: Option<u64>,
    /// Whether to wait for the end.
    #[serde(default)]
    wait: Wait,
}

/// Whether to wait: `true` for as long as the server allows, a number for milliseconds.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "wait is true, false or a number of milliseconds")]
pub(super) enum Wait {
    /// As long as the server allows, or not at all.
    Flag(bool),
    /// At most so many milliseconds.
    Millis(u64),
}

impl Default for Wait {
    fn default() -> Self {
        Self::Flag(false)
    }
}

impl Wait {
    /// The time to wait, at most the server's limit.
    pub(super) fn limit(self, app: &App) -> Duration {
        let most = app.settings().wait();
        match self {
            Self::Flag(true) => most,
            Self::Flag(false) => Duration::ZERO,
            Self::Millis(millis) => Duration::from_millis(millis).min(most),
        }
    }
}

/// A run that was accepted.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RunAccepted {
    /// The run.
    pub(super) run_id: RunId,
    /// Whether it was there already, under the same key.
    pub(super) existing: bool,
}

/// A run that ended.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RunEnded {
    /// The run.
    pub(super) run_id: RunId,
    /// How.
    #[serde(flatten)]
    pub(super) end: End,
}

/// How a run ended.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct End {
    /// `succeeded`, `failed` or `cancelled`.
    outcome: Status,
    /// The agent's words, the tool's output, or what went wrong.
    answer: Value,
    /// The stable code of a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    /// Which words of the answer stand in which source.
    citations: Vec<Citation>,
}

impl From<Ended> for End {
    fn from(ended: Ended) -> Self {
        Self { outcome: ended.status, answer: ended.answer, code: ended.code, citations: ended.citations }
    }
}

/// Which runs to list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListRuns {
    /// Only runs in this state.
    state: Option<Status>,
    /// Only runs of this agent, or of this tool.
    agent: Option<String>,
    /// The most runs; 50 if absent, at most 200.
    limit: Option<usize>,
    /// The `next` of the page before.
    cursor: Option<RunId>,
}

/// A page of runs.
#[derive(Debug, Serialize, JsonSchema)]
struct Runs {
    /// Newest first.
    runs: Vec<RunSummary>,
    /// The cursor of the next page; null on the last.
    next: Option<RunId>,
}

/// What the index knows of a run.
#[derive(Debug, Serialize, JsonSchema)]
struct RunSummary {
    /// The run.
    run_id: RunId,
    /// `agent`, `tool` or `plan`.
    kind: String,
    /// The agent, the tool's id, or the plan's name.
    name: String,
    /// Where it is in its life.
    state: Status,
    /// When it was accepted.
    created_at: Timestamp,
    /// When its newest event was written.
    updated_at: Timestamp,
    /// How many events it has.
    events: u64,
    /// The hash of its newest event's record.
    head_hash: Digest,
}

impl From<&RunRow> for RunSummary {
    fn from(row: &RunRow) -> Self {
        Self {
            run_id: row.run,
            kind: row.kind.clone(),
            name: row.name.clone(),
            state: row.status,
            created_at: row.created_at,
            updated_at: row.updated_at,
            events: row.head.next,
            head_hash: row.head.hash,
        }
    }
}

/// A run's state, folded from its journal, every record verified.
#[derive(Debug, Serialize, JsonSchema)]
struct RunShown {
    /// What the index knows.
    #[serde(flatten)]
    summary: RunSummary,
    /// The newest lease's number.
    epoch: u64,
    /// On whose behalf it runs.
    principal: Option<Principal>,
    /// The conversation it belongs to.
    session: Option<String>,
    /// The most it may use.
    budget: Budget,
    /// What settled effects used.
    spent: Cost,
    /// What open effects hold.
    reserved: Cost,
    /// Why it was asked to stop, if it was.
    cancel_reason: Option<String>,
    /// What it waits for.
    waiting: Standing,
    /// How it ended, once it has.
    end: Option<End>,
}

/// Why a run should stop.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CancelRun {
    /// In words; journaled.
    reason: String,
}

/// A command that was taken.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Commanded {
    /// The run.
    pub(super) run_id: RunId,
    /// The command's id.
    pub(super) command_id: CommandId,
}

async fn start(
    State(app): State<App>,
    caller: Caller,
    Segment(agent): Segment,
    headers: HeaderMap,
    Json(body): Json<StartRun>,
) -> Result<Response, Problem> {
    let agent = AgentId::new(agent)?;
    let options = StartOptions {
        session: body.session.map(|session| words("session", session)).transpose()?,
        budget: body.budget,
        label: given(body.labels)?,
        deadline: body.deadline_ms.map(Duration::from_millis),
        idempotency_key: idempotency_key(&headers)?,
        ..StartOptions::default()
    };
    let started = app.engine().start_agent(&caller.principal, &agent, &body.input, options).await?;
    begun(&app, &caller.principal, started, body.wait.limit(&app)).await
}

/// What is answered to whoever began a run: its end, if that comes within a while.
pub(super) async fn begun(
    app: &App,
    principal: &Principal,
    started: Started,
    limit: Duration,
) -> Result<Response, Problem> {
    let Started { run, existing } = started;
    match ended(app, principal, run, limit).await? {
        Some(ended) => Ok(Reply(RunEnded { run_id: run, end: ended.into() }).into_response()),
        None => Ok(accepted(&RunAccepted { run_id: run, existing })),
    }
}

/// A 202 that says where to look.
pub(super) fn accepted(run: &RunAccepted) -> Response {
    (StatusCode::ACCEPTED, [(LOCATION, format!("/runs/{}", run.run_id))], Reply(run)).into_response()
}

/// Waits for a run's end for at most a while, or until the server stops.
pub(super) async fn ended(
    app: &App,
    principal: &Principal,
    run: RunId,
    limit: Duration,
) -> Result<Option<Ended>, Problem> {
    if limit.is_zero() {
        return Ok(None);
    }
    let handle = app.engine().handle(principal, run).await?;
    tokio::select! {
        ended = app.within(limit, handle.outcome()) => Ok(ended.transpose()?),
        // The run is durable: another node, or this one later, carries it on.
        () = app.stop().cancelled() => Ok(None),
    }
}

async fn list(State(app): State<App>, caller: Caller, Params(query): Params<ListRuns>) -> Result<Reply<Runs>, Problem> {
    let limit = size(query.limit, 50, PAGE)?;
    let filter = RunFilter { status: query.state, name: query.agent, before: query.cursor, ..RunFilter::default() };
    let mut rows = app.runtime().store().runs(&caller.principal.tenant, &filter, limit + 1).await?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = if more { rows.last().map(|row| row.run) } else { None };
    Ok(Reply(Runs { runs: rows.iter().map(RunSummary::from).collect(), next }))
}

async fn show(State(app): State<App>, caller: Caller, Segment(run): Segment) -> Result<Reply<RunShown>, Problem> {
    let (run, tenant) = (App::run_id(&run)?, &caller.principal.tenant);
    let (row, state) = app.engine().show(tenant, run).await?;
    let standing = Standing::of(&row, &state).seen_by(&caller.principal);
    let end = match state.closed {
        Some(_) => Some(app.engine().outcome(tenant, run).await?.into()),
        None => None,
    };
    let created = state.created;
    Ok(Reply(RunShown {
        summary: RunSummary::from(&row),
        epoch: row.epoch,
        session: created.as_ref().and_then(|created| created.session.clone()),
        budget: created.as_ref().map(|created| created.budget).unwrap_or_default(),
        principal: created.map(|created| created.principal),
        spent: state.spent,
        reserved: state.reserved,
        cancel_reason: state.cancel.map(|cancel| cancel.reason),
        waiting: standing,
        end,
    }))
}

async fn cancel(
    State(app): State<App>,
    caller: Caller,
    Segment(run): Segment,
    headers: HeaderMap,
    Json(body): Json<CancelRun>,
) -> Result<Response, Problem> {
    let run_id = App::run_id(&run)?;
    let asked = Command::Cancel { reason: words("reason", body.reason)? };
    let command_id = command(&app, &caller.principal, run_id, asked, idempotency_key(&headers)?).await?;
    Ok((StatusCode::ACCEPTED, Reply(Commanded { run_id, command_id })).into_response())
}

/// Asks something of a run, under the sender's own command id if there is one.
///
/// # Errors
/// 404 for an unknown run, 409 for what cannot be carried out as it stands.
pub(crate) async fn command(
    app: &App,
    principal: &Principal,
    run: RunId,
    command: Command,
    key: Option<String>,
) -> Result<CommandId, Problem> {
    let id = CommandId::new(key.unwrap_or_else(|| app.fresh_name("command")))?;
    let request = CommandRequest { id: id.clone(), by: principal.subject.clone(), command };
    app.engine().command(&principal.tenant, run, &request).await?;
    Ok(id)
}

/// Words that a person wrote: some, and not too many.
pub(crate) fn words(name: &str, text: String) -> Result<String, Problem> {
    if text.trim().is_empty() || text.len() > WORDS {
        return Err(Problem::invalid(format!("{name} has {} bytes: use 1 to {WORDS}", text.len())));
    }
    Ok(text)
}
