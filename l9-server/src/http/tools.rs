//! Tools: what there is, the contract of each, and a governed call.
//!
//! A tool's id has a slash. Paths take it as it is or percent-encoded, so the router
//! matches everything below `/tools/`.

use axum::Json as Reply;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use l9::budget::Budget;
use l9::id::{RunId, ToolId};
use l9::journal::Status;
use l9::kernel::{Ended, StartOptions};
use l9::label::Label;
use l9::principal::Role;
use l9::tool::{ContractHash, EffectClass, Manifest, Tool, ToolRegistry};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::access::Access;
use super::app::App;
use super::body::{Json, Segment, idempotency_key};
use super::openapi::Operation;
use super::problem::Problem;
use super::routes::Routes;
use super::runs::{RunAccepted, Wait, accepted, ended};
use crate::auth::Caller;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .add(
            Operation::get("/tools", Access::Needs(Role::Viewer), "Every tool, in short")
                .answers::<Tools>(200, "The tools, by id"),
            list,
        )
        .add(
            Operation::get("/tools/{id}", Access::Needs(Role::Viewer), "One tool's contract")
                .served_by("/tools/{*id}")
                .answers::<ToolShown>(200, "The manifest and its hash"),
            show,
        )
        .add(
            Operation::post(
                "/tools/{id}/call",
                Access::Needs(Role::Operator),
                "Calls a tool on the governed path, as a run of its own",
            )
            .served_by("/tools/{*id}")
            .headers(&[("Idempotency-Key", "the same key and request again give the same run")])
            .body::<CallTool>()
            .answers::<Called>(200, "The tool's output")
            .answers::<RunAccepted>(202, "The call goes on as this run"),
            call,
        )
}

/// Tools.
#[derive(Debug, Serialize, JsonSchema)]
struct Tools {
    /// By id.
    tools: Vec<ToolSummary>,
}

/// A tool in short.
#[derive(Debug, Serialize, JsonSchema)]
struct ToolSummary {
    /// `namespace/name`.
    id: ToolId,
    /// The tool's own version.
    version: String,
    /// A few words for people.
    title: String,
    /// What it does and when to use it.
    description: String,
    /// What a call does to the world.
    effect: EffectClass,
    /// Whether what it does cannot be undone.
    destructive: bool,
    /// The hash of its manifest.
    contract_hash: ContractHash,
}

impl From<&Tool> for ToolSummary {
    fn from(tool: &Tool) -> Self {
        let manifest = &tool.manifest;
        Self {
            id: manifest.id.clone(),
            version: manifest.version.to_string(),
            title: manifest.title.clone(),
            description: manifest.description.clone(),
            effect: manifest.effect,
            destructive: manifest.destructive,
            contract_hash: tool.contract,
        }
    }
}

/// A tool's whole contract.
#[derive(Debug, Serialize, JsonSchema)]
struct ToolShown {
    /// What it takes, gives, may touch and costs.
    manifest: Manifest,
    /// The hash of that.
    contract_hash: ContractHash,
}

/// A call.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CallTool {
    /// The tool's input.
    #[serde(default)]
    arguments: Map<String, Value>,
    /// The most it may use.
    #[serde(default)]
    budget: Budget,
    /// Where the arguments came from and who may see them.
    #[serde(default)]
    labels: Label,
    /// How long to wait for the output; as long as the server allows if absent.
    #[serde(default = "patiently")]
    wait: Wait,
}

fn patiently() -> Wait {
    Wait::Flag(true)
}

/// What a call gave.
#[derive(Debug, Serialize, JsonSchema)]
struct Called {
    /// The run that holds the receipt.
    run_id: RunId,
    /// The tool's output.
    result: Value,
}

async fn list(State(app): State<App>, caller: Caller) -> Reply<Tools> {
    let tools = app.runtime().registry().list(&caller.principal.tenant);
    Reply(Tools { tools: tools.iter().map(|tool| ToolSummary::from(&**tool)).collect() })
}

async fn show(State(app): State<App>, caller: Caller, Segment(id): Segment) -> Result<Reply<ToolShown>, Problem> {
    let id = ToolId::new(id)?;
    let tool = app.runtime().registry().resolve(&caller.principal.tenant, &id);
    let tool =
        tool.ok_or_else(|| Problem::not_found(format!("there is no tool {id}: /tools lists those there are")))?;
    Ok(Reply(ToolShown { manifest: tool.manifest.clone(), contract_hash: tool.contract }))
}

async fn call(
    State(app): State<App>,
    caller: Caller,
    Segment(path): Segment,
    headers: HeaderMap,
    Json(body): Json<CallTool>,
) -> Result<Response, Problem> {
    let Some(id) = path.strip_suffix("/call") else {
        return Err(Problem::not_found("tools are called at /tools/{id}/call"));
    };
    let options = StartOptions {
        budget: body.budget,
        label: body.labels,
        idempotency_key: idempotency_key(&headers)?,
        ..StartOptions::default()
    };
    let arguments = Value::Object(body.arguments).to_string();
    let started = app.engine().start_tool(&caller.principal, &ToolId::new(id)?, &arguments, options).await?;
    match ended(&app, &caller.principal, started.run, body.wait.limit(&app)).await? {
        Some(ended) => outcome(started.run, ended),
        None => Ok(accepted(&RunAccepted { run_id: started.run, existing: started.existing })),
    }
}

fn outcome(run: RunId, ended: Ended) -> Result<Response, Problem> {
    let detail = ended.text();
    let code = ended.code.unwrap_or_default();
    if ended.status == Status::Succeeded {
        return Ok(Reply(Called { run_id: run, result: ended.answer }).into_response());
    }
    let problem = match code.strip_prefix("denied.").unwrap_or(&code) {
        "invalid_arguments" | "malformed_arguments" => {
            Problem::invalid(detail).with_status(StatusCode::UNPROCESSABLE_ENTITY)
        }
        _ if code.starts_with("denied.") => l9::Error::new(l9::ErrorKind::Denied, detail).into(),
        "cancelled" => l9::Error::new(l9::ErrorKind::Cancelled, detail).into(),
        "unknown" => {
            let title = "nobody knows whether the call took effect";
            Problem::new(StatusCode::BAD_GATEWAY, "unknown", title, detail)
        }
        _ => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "failed", "the tool failed", detail),
    };
    let code = code.strip_prefix("denied.").unwrap_or(&code);
    Err(problem.with_run(run).with_code(code))
}
