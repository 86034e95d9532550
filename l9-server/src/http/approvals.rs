//! Approvals: the questions that wait for a person, and decisions upon them.

use axum::Json as Reply;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use l9::governor::Choice;
use l9::id::{ApprovalId, CommandId};
use l9::kernel::OpenQuestion;
use l9::principal::{Principal, Role};
use l9::run::Remember;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::access::Access;
use super::app::App;
use super::body::{Json, Segment, idempotency_key};
use super::openapi::Operation;
use super::problem::Problem;
use super::routes::Routes;
use super::runs::{Commanded, words};
use crate::auth::Caller;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .add(
            Operation::get("/approvals", Access::Needs(Role::Viewer), "The questions that wait for a person")
                .answers::<Approvals>(200, "The open questions, of the newest runs first"),
            list,
        )
        .add(
            Operation::post("/approvals/{id}", Access::Needs(Role::Approver), "Decides a question")
                .headers(&[("Idempotency-Key", "the command's own id")])
                .body::<Decision>()
                .answers::<Commanded>(202, "The run will go on"),
            decide,
        )
}

/// The open questions.
#[derive(Debug, Serialize, JsonSchema)]
struct Approvals {
    /// Each with its id.
    approvals: Vec<OpenQuestion>,
}

/// A decision.
#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Decision {
    /// What is decided.
    decision: Kind,
    /// The arguments to execute instead, with `edit`.
    #[serde(default)]
    args: Option<Value>,
    /// What else the approval holds for: once, class, provenance or run.
    #[serde(default)]
    remember: Remember,
    /// Why, in words; journaled.
    reason: String,
}

/// What is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// It may happen as it was asked for.
    Approve,
    /// It may not happen.
    Reject,
    /// It may happen with other arguments.
    Edit,
}

impl Decision {
    /// The choice and the reason.
    ///
    /// # Errors
    /// For arguments without `edit`, or `edit` without arguments.
    pub(crate) fn parts(self) -> Result<(Choice, String), Problem> {
        let Self { decision, args, remember, reason } = self;
        let choice = match (decision, args) {
            (Kind::Approve, None) => Choice::Approve { arguments: None, remember },
            (Kind::Edit, Some(args)) => Choice::Approve { arguments: Some(args), remember },
            (Kind::Reject, None) => Choice::Reject,
            (Kind::Edit, None) => {
                return Err(Problem::invalid("edit needs args: the whole arguments to execute instead"));
            }
            (Kind::Approve | Kind::Reject, Some(_)) => {
                return Err(Problem::invalid("args belong to the decision edit: leave them out, or write edit"));
            }
        };
        Ok((choice, words("reason", reason)?))
    }
}

async fn list(State(app): State<App>, caller: Caller) -> Result<Reply<Approvals>, Problem> {
    let open = app.engine().approvals(&caller.principal.tenant).await?;
    let approvals = open.into_iter().map(|question| question.seen_by(&caller.principal)).collect();
    Ok(Reply(Approvals { approvals }))
}

async fn decide(
    State(app): State<App>,
    caller: Caller,
    Segment(id): Segment,
    headers: HeaderMap,
    Json(body): Json<Decision>,
) -> Result<Response, Problem> {
    let id: ApprovalId = id.parse()?;
    let command_id = upon(&app, &caller.principal, id, body, idempotency_key(&headers)?).await?;
    Ok((StatusCode::ACCEPTED, Reply(Commanded { run_id: id.run, command_id })).into_response())
}

/// Sends a decision to the run that asked.
///
/// # Errors
/// 404 for an unknown run, 403 for somebody who may not decide, 409 for a question that is
/// not open.
pub(crate) async fn upon(
    app: &App,
    principal: &Principal,
    id: ApprovalId,
    decision: Decision,
    key: Option<String>,
) -> Result<CommandId, Problem> {
    let (choice, reason) = decision.parts()?;
    let command = CommandId::new(key.unwrap_or_else(|| app.fresh_name("approval")))?;
    app.engine().decide(principal, id, choice, reason, command.clone()).await?;
    Ok(command)
}
