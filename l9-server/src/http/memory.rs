//! Memory: remember, find, show and forget entries of the caller's tenant.

use axum::Json as Reply;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use l9::id::AgentId;
use l9::journal::Status;
use l9::label::Label;
use l9::memory::{Entry, Hit, Layer, NewEntry, Query, Remembered, Scope, Standing, Why};
use l9::principal::{Principal, Role};
use l9::time::Timestamp;
use l9::{Error, StartOptions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::access::Access;
use super::app::App;
use super::body::{Json, Params, Segment, given, read, typed};
use super::openapi::Operation;
use super::problem::Problem;
use super::routes::Routes;
use super::runs::ended;
use super::tools::refused;
use crate::auth::Caller;

/// The most hits of one search.
const HITS: usize = 100;

/// The hits of a search that does not say how many.
const FEW: usize = 8;

/// The most entries that are remembered at once.
const BULK: usize = 10_000;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .add(
            Operation::get("/memory/search", Access::Needs(Role::Viewer), "The best matches for words")
                .query::<Search>()
                .answers::<Findings>(200, "Best first"),
            search,
        )
        .add(
            Operation::post(
                "/memory",
                Access::Needs(Role::Operator),
                "Remembers one entry or a list of them, all or none",
            )
            .body::<OneOrMany>()
            .answers::<Kept>(200, "Every entry was kept before")
            .answers::<Kept>(201, "At least one entry is new"),
            remember,
        )
        .add(
            Operation::get("/memory/{id}", Access::Needs(Role::Viewer), "One entry")
                .answers::<EntryForm>(200, "The entry"),
            show,
        )
        .add(
            Operation::delete("/memory/{id}", Access::Needs(Role::Operator), "Forgets one entry")
                .answers_plainly(204, "It is gone"),
            forget,
        )
        .add(
            Operation::post(
                "/memory/{id}/reveal",
                Access::Needs(Role::Admin),
                "Shows one entry with the personal data that tokens stand for, and puts that on record",
            )
            .body::<Reveal>()
            .answers::<EntryForm>(200, "The entry as it was said"),
            reveal,
        )
}

/// Why an entry must be seen as it was said.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Reveal {
    /// For the journal.
    reason: String,
}

/// What to find.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Search {
    /// Words to find.
    q: String,
    /// The most hits; 8 if absent, at most 100.
    k: Option<usize>,
    /// Only this layer.
    layer: Option<Layer>,
    /// Only this agent's entries and those of no agent.
    agent: Option<AgentId>,
    /// Only what was known at that time.
    as_of: Option<Timestamp>,
    /// Only what was true then, as far as it is known.
    valid_at: Option<Timestamp>,
    /// Whether each hit says why it was found.
    #[serde(default)]
    explain: bool,
    /// Whether near duplicates are hits of their own, and not told with the best of them.
    #[serde(default)]
    duplicates: bool,
}

/// What was found.
#[derive(Debug, Serialize, JsonSchema)]
struct Findings {
    /// Best first.
    results: Vec<Found>,
}

/// One hit, as clients see it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Found {
    /// The entry's id.
    #[schemars(with = "String")]
    id: Uuid,
    /// The caller's own id of it.
    key: Option<String>,
    /// Its words.
    text: String,
    /// How well it matches, greater is better; comparable within one answer only.
    score: f64,
    /// The file or address it came from.
    source: Option<String>,
    /// Where within the source.
    position: Option<String>,
    /// Whose memory; null for all agents.
    agent: Option<AgentId>,
    /// The conversation it belongs to.
    session: Option<String>,
    /// When it was said.
    at: Option<Timestamp>,
    /// Where it came from and who may see it.
    labels: Label,
    /// What it is taken for now, whatever time was asked about.
    standing: Standing,
    /// Others that were found and say the same with small differences, best first: they are not
    /// hits of their own, unless that was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    duplicates: Vec<Uuid>,
    /// Why it was found, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<Why>,
}

impl From<Hit> for Found {
    fn from(hit: Hit) -> Self {
        let Entry { id, entry, standing, .. } = hit.entry;
        Self {
            id,
            key: entry.key,
            text: entry.text,
            score: hit.score,
            source: entry.source,
            position: entry.position,
            agent: entry.agent,
            session: entry.session,
            at: entry.at,
            labels: entry.label,
            standing,
            duplicates: hit.duplicates,
            why: hit.why,
        }
    }
}

/// An entry as it is kept.
#[derive(JsonSchema)]
#[schemars(rename = "Entry")]
#[expect(dead_code, reason = "only its schema is used: the form of the core's own entry")]
pub(super) struct EntryForm {
    /// Its id.
    id: String,
    /// What was remembered.
    #[schemars(flatten)]
    entry: NewEntry,
    /// When it was written.
    recorded_at: Timestamp,
    /// What it is taken for now.
    standing: Standing,
    /// The entry that says what is true now instead.
    superseded_by: Option<String>,
}

/// One entry or a list of them.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is used: the body is told apart by its first character")]
enum OneOrMany {
    /// One.
    One(Box<NewEntry>),
    /// At most 10,000.
    Many(Vec<NewEntry>),
}

/// What became of the entries.
#[derive(Debug, Serialize, JsonSchema)]
struct Kept {
    /// In the order of the request.
    #[schemars(with = "Vec<KeptForm>")]
    results: Vec<Remembered>,
}

/// What became of one entry.
#[derive(JsonSchema)]
#[schemars(rename = "KeptEntry")]
#[expect(dead_code, reason = "only its schema is used: the form of the core's own answer")]
pub(super) struct KeptForm {
    /// The entry's id: the new one's, or that of the equal one kept before.
    id: String,
    /// Whether equal content was kept already.
    duplicate: bool,
}

async fn search(
    State(app): State<App>,
    caller: Caller,
    Params(search): Params<Search>,
) -> Result<Reply<Findings>, Problem> {
    let Search { q, k, layer, agent, as_of, valid_at, explain, duplicates } = search;
    let query = Query { layer, as_of, valid_at, explain, duplicates, ..Query::new(q, k.unwrap_or(FEW)) };
    Ok(Reply(Findings { results: find(&app, &caller.principal, agent, query).await? }))
}

/// Finds entries of a caller's tenant.
///
/// # Errors
/// 400 for no words or too many hits; whatever the store says.
pub(crate) async fn find(
    app: &App,
    principal: &Principal,
    agent: Option<AgentId>,
    query: Query,
) -> Result<Vec<Found>, Problem> {
    if query.text.trim().is_empty() {
        return Err(Problem::invalid("q is empty: say which words to find"));
    }
    if !(1..=HITS).contains(&query.k) {
        return Err(Problem::invalid(format!("k is {}: use 1 to {HITS}", query.k)));
    }
    let scope = Scope { tenant: principal.tenant.clone(), agent, session: None };
    let hits = app.runtime().memory().search(&scope, &query).await?;
    Ok(hits.into_iter().map(Found::from).collect())
}

async fn remember(State(app): State<App>, caller: Caller, request: Request) -> Result<Response, Problem> {
    let value = read(request, &app, app.settings().bulk_bytes).await?;
    let mut entries: Vec<NewEntry> = match value {
        Value::Array(items) if items.is_empty() => return Err(Problem::invalid("the list is empty: send an entry")),
        Value::Array(items) if items.len() > BULK => {
            return Err(Problem::invalid(format!("{} entries at once: send at most {BULK}", items.len())));
        }
        Value::Array(items) => items.into_iter().map(typed).collect::<Result<_, _>>()?,
        value => vec![typed(value)?],
    };
    for entry in &mut entries {
        entry.label = given(std::mem::take(&mut entry.label))?;
    }
    let results = app.runtime().memory().remember(&caller.principal.tenant, entries).await?;
    let status = if results.iter().all(|kept| kept.duplicate) { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Reply(Kept { results })).into_response())
}

async fn show(State(app): State<App>, caller: Caller, Segment(id): Segment) -> Result<Reply<Entry>, Problem> {
    let id = entry_id(&id)?;
    let entry = app.runtime().memory().get(&caller.principal.tenant, id).await?;
    entry.map(Reply).ok_or_else(|| unknown(id))
}

async fn forget(State(app): State<App>, caller: Caller, Segment(id): Segment) -> Result<StatusCode, Problem> {
    let id = entry_id(&id)?;
    match app.runtime().memory().forget(&caller.principal.tenant, id).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(unknown(id)),
    }
}

/// First the run of `memory/reveal` is on record, with who asks and why, and has passed policy.
async fn reveal(
    State(app): State<App>,
    caller: Caller,
    Segment(id): Segment,
    Json(Reveal { reason }): Json<Reveal>,
) -> Result<Reply<Entry>, Problem> {
    let (id, tenant) = (entry_id(&id)?, &caller.principal.tenant);
    if app.runtime().memory().get(tenant, id).await?.is_none() {
        return Err(unknown(id));
    }
    let arguments = json!({"id": id, "reason": reason}).to_string();
    let tool = "memory/reveal".parse()?;
    let started = app.engine().start_tool(&caller.principal, &tool, &arguments, StartOptions::default()).await?;
    match ended(&app, &caller.principal, started.run, app.settings().wait()).await? {
        Some(ended) if ended.status == Status::Succeeded => {}
        Some(ended) => return Err(refused(started.run, ended)),
        None => return Err(Error::unavailable("it is not on record yet who asks: ask again").into()),
    }
    app.runtime().memory().as_said(tenant, id).await?.map(Reply).ok_or_else(|| unknown(id))
}

pub(super) fn entry_id(text: &str) -> Result<Uuid, Problem> {
    Uuid::try_parse(text).map_err(|_| {
        let shown: String = text.chars().take(80).collect();
        Problem::invalid(format!("{shown:?} is not an entry's id: use the id that a search gives"))
    })
}

fn unknown(id: Uuid) -> Problem {
    Problem::not_found(format!("there is no memory {id}"))
}
