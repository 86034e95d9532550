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
use l9::principal::{Principal, Role};
use l9::registry::{Recorded, Shelved, Source, from_json, grants, recorded};
use l9::tool::{ContractHash, EffectClass, Manifest, ToolName, ToolState};
use l9::tools::{Decided, Decision};
use l9::{ErrorKind, TenantId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::access::Access;
use super::app::App;
use super::body::{Json, Segment, given, idempotency_key};
use super::openapi::Operation;
use super::problem::Problem;
use super::routes::Routes;
use super::runs::{RunAccepted, Wait, accepted, ended, words};
use crate::auth::Caller;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .add(
            Operation::get("/tools", Access::Needs(Role::Viewer), "Every version of every tool, in short")
                .answers::<Tools>(200, "The tools, by id and version"),
            list,
        )
        .add(
            Operation::post("/tools", Access::Needs(Role::Admin), "Takes in a tool that a manifest alone declares")
                .body::<PostTool>()
                .answers::<Posted>(201, "It is recorded, for every process of the store"),
            post,
        )
        .add(
            Operation::post("/tools/accept", Access::Needs(Role::Admin), "Lets a version of a tool be called")
                .body::<Decide>()
                .answers::<Decisions>(200, "What changed; nothing if it was so already"),
            accept,
        )
        .add(
            Operation::post("/tools/disable", Access::Needs(Role::Admin), "Forbids a tool until it is accepted again")
                .body::<Decide>()
                .answers::<Decisions>(200, "What changed; nothing if it was so already"),
            disable,
        )
        .add(
            Operation::post("/tools/revoke", Access::Needs(Role::Admin), "Forbids a version of a tool for ever")
                .body::<Decide>()
                .answers::<Decisions>(200, "What changed; nothing if it was so already"),
            revoke,
        )
        .add(
            Operation::get("/tools/{id}", Access::Needs(Role::Viewer), "One tool's contract and its history")
                .served_by("/tools/{*id}")
                .answers::<ToolShown>(200, "The manifest, its hash, and every version that was recorded"),
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
    /// Whether it may be called.
    state: ToolState,
    /// Whether the bare id means this version.
    in_use: bool,
    /// Where it comes from.
    source: Source,
}

impl From<&Shelved> for ToolSummary {
    fn from(Shelved { tool, source, in_use, state }: &Shelved) -> Self {
        let manifest = &tool.manifest;
        Self {
            id: manifest.id.clone(),
            version: manifest.version.to_string(),
            title: manifest.title.clone(),
            description: manifest.description.clone(),
            effect: manifest.effect,
            destructive: manifest.destructive,
            contract_hash: tool.contract,
            state: *state,
            in_use: *in_use,
            source: *source,
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
    /// Whether it may be called.
    state: ToolState,
    /// Whether the bare id means this version.
    in_use: bool,
    /// What it may do and touch, in words.
    grants: Vec<String>,
    /// Every version that was recorded, and what happened to it.
    versions: Vec<Recorded>,
}

/// A manifest to take in.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PostTool {
    /// The manifest of an HTTP tool.
    #[schemars(with = "Manifest")]
    manifest: Value,
    /// The signature over it, as `tools sign` writes it.
    #[serde(default)]
    signature: Option<String>,
}

/// What became of a manifest.
#[derive(Debug, Serialize, JsonSchema)]
struct Posted {
    /// `namespace/name`.
    id: ToolId,
    /// The tool's own version.
    version: String,
    /// The hash of its manifest.
    contract_hash: ContractHash,
    /// Whether it may be called.
    state: ToolState,
}

/// What to decide about, and why.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Decide {
    /// `namespace/name`, or `namespace/name@version` for one version.
    tool: ToolName,
    /// The contract's hash in hex, or its beginning, to name one exactly.
    #[serde(default)]
    contract: Option<String>,
    /// Why, in words; kept.
    reason: String,
}

/// What was decided.
#[derive(Debug, Serialize, JsonSchema)]
struct Decisions {
    /// Each version that changed.
    decided: Vec<DecidedShown>,
}

/// What was decided of one version.
#[derive(Debug, Serialize, JsonSchema)]
struct DecidedShown {
    /// The version, by name.
    tool: ToolName,
    /// What it means.
    contract_hash: ContractHash,
    /// What it is from now on.
    state: ToolState,
    /// The statement that says so under the audit log's signature.
    statement: String,
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

async fn list(State(app): State<App>) -> Reply<Tools> {
    Reply(Tools { tools: app.runtime().registry().shelved().iter().map(ToolSummary::from).collect() })
}

async fn show(State(app): State<App>, Segment(name): Segment) -> Result<Reply<ToolShown>, Problem> {
    let name: ToolName = name.parse()?;
    let registry = app.runtime().registry();
    let shelved = registry.shelved().into_iter().filter(|one| one.tool.manifest.id == name.id);
    let named = |one: &Shelved| name.version.as_ref().is_none_or(|version| *version == one.tool.manifest.version);
    // The version that is named, else the one in use, else the newest.
    let shown = shelved.filter(named).reduce(|best, next| if best.in_use { best } else { next });
    let shown =
        shown.ok_or_else(|| Problem::not_found(format!("there is no tool {name}: /tools lists those there are")))?;
    Ok(Reply(ToolShown {
        manifest: shown.tool.manifest.clone(),
        contract_hash: shown.tool.contract,
        state: shown.state,
        in_use: shown.in_use,
        grants: grants(&shown.tool.manifest),
        versions: recorded(&registry.standings(), &name.id),
    }))
}

async fn post(State(app): State<App>, caller: Caller, Json(body): Json<PostTool>) -> Result<Response, Problem> {
    in_default(&caller.principal)?;
    let PostTool { manifest, signature } = body;
    let manifest = from_json(manifest.to_string().as_bytes())?;
    let (id, version) = (manifest.id.clone(), manifest.version.to_string());
    let tools = app.runtime().tools();
    let (contract_hash, state) = tools.post(&caller.principal.subject, manifest, signature.as_deref()).await?;
    Ok((StatusCode::CREATED, Reply(Posted { id, version, contract_hash, state })).into_response())
}

async fn accept(app: State<App>, caller: Caller, body: Json<Decide>) -> Result<Reply<Decisions>, Problem> {
    decide(&app, &caller, body, ToolState::Accepted).await
}

async fn disable(app: State<App>, caller: Caller, body: Json<Decide>) -> Result<Reply<Decisions>, Problem> {
    decide(&app, &caller, body, ToolState::Disabled).await
}

async fn revoke(app: State<App>, caller: Caller, body: Json<Decide>) -> Result<Reply<Decisions>, Problem> {
    decide(&app, &caller, body, ToolState::Revoked).await
}

async fn decide(
    app: &App,
    caller: &Caller,
    Json(Decide { tool, contract, reason }): Json<Decide>,
    state: ToolState,
) -> Result<Reply<Decisions>, Problem> {
    in_default(&caller.principal)?;
    let decision = Decision { name: tool, contract, state, reason: words("reason", reason)? };
    let decided = app.runtime().decide_tool(&caller.principal.subject, &decision).await?.into_iter();
    let decided = decided.map(|Decided { tool, contract, state, statement }| DecidedShown {
        tool,
        contract_hash: contract,
        state,
        statement,
    });
    Ok(Reply(Decisions { decided: decided.collect() }))
}

/// Tools are those of all tenants, so only who is above them changes any.
fn in_default(principal: &Principal) -> Result<(), Problem> {
    if principal.tenant == TenantId::default_tenant() {
        return Ok(());
    }
    let message = "tools belong to all tenants: only an admin of the tenant default changes them";
    Err(l9::Error::new(ErrorKind::Denied, message).into())
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
        label: given(body.labels)?,
        idempotency_key: idempotency_key(&headers)?,
        ..StartOptions::default()
    };
    let arguments = Value::Object(body.arguments).to_string();
    let started = app.engine().start_tool(&caller.principal, &id.parse()?, &arguments, options).await?;
    match ended(&app, &caller.principal, started.run, body.wait.limit(&app)).await? {
        Some(ended) => outcome(started.run, ended),
        None => Ok(accepted(&RunAccepted { run_id: started.run, existing: started.existing })),
    }
}

fn outcome(run: RunId, ended: Ended) -> Result<Response, Problem> {
    if ended.status == Status::Succeeded {
        return Ok(Reply(Called { run_id: run, result: ended.answer }).into_response());
    }
    Err(refused(run, ended))
}

/// The problem of a call that did not succeed.
pub(super) fn refused(run: RunId, ended: Ended) -> Problem {
    let detail = ended.text();
    let code = ended.code.unwrap_or_default();
    let problem = match code.strip_prefix("denied.").unwrap_or(&code) {
        "invalid_arguments" | "malformed_arguments" => {
            Problem::invalid(detail).with_status(StatusCode::UNPROCESSABLE_ENTITY)
        }
        _ if code.starts_with("denied.") => l9::Error::new(ErrorKind::Denied, detail).into(),
        "cancelled" => l9::Error::new(ErrorKind::Cancelled, detail).into(),
        "unknown" => {
            let title = "nobody knows whether the call took effect";
            Problem::new(StatusCode::BAD_GATEWAY, "unknown", title, detail)
        }
        _ => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "failed", "the tool failed", detail),
    };
    let code = code.strip_prefix("denied.").unwrap_or(&code);
    problem.with_run(run).with_code(code)
}
