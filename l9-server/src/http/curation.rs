//! What became of memory: lists and conversations, superseding, quarantine, snapshots.

use axum::Json as Reply;
use axum::extract::State;
use http::StatusCode;
use l9::id::AgentId;
use l9::memory::{
    Cursor, Entry, Layer, Listing, NewEntry, NewQuarantine, Order, Page, Quarantine, Quarantined, Released, Remembered,
    Restored, Scope, Session, Shown, Snapshot, Suspect,
};
use l9::principal::Role;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::access::Access;
use super::app::App;
use super::body::{Json, Params, Segment, given, size};
use super::memory::{EntryForm, KeptForm, entry_id};
use super::openapi::Operation;
use super::problem::Problem;
use super::routes::Routes;
use crate::auth::Caller;

/// The most items of a page, and those of one that does not say how many.
const MOST: usize = 500;
const USUAL: usize = 50;

pub(super) fn routes(routes: Routes) -> Routes {
    lists(changes(routes))
        .add(
            Operation::post(
                "/memory/quarantine",
                Access::Needs(Role::Operator),
                "Hides a source or an entry, and everything derived from it",
            )
            .body::<QuarantineOrder>()
            .answers::<Quarantined>(201, "The quarantine, and what it hides"),
            quarantine,
        )
        .add(
            Operation::get("/memory/quarantine", Access::Needs(Role::Viewer), "Every quarantine, newest first")
                .answers::<Quarantines>(200, "Also those that were released"),
            quarantines,
        )
        .add(
            Operation::delete("/memory/quarantine/{id}", Access::Needs(Role::Operator), "Releases a quarantine")
                .answers::<Released>(200, "What is current again"),
            release,
        )
        .add(
            Operation::post("/memory/snapshots", Access::Needs(Role::Operator), "Marks the present state of memory")
                .body::<SnapshotOrder>()
                .answers::<Snapshot>(201, "The snapshot"),
            snapshot,
        )
        .add(
            Operation::get("/memory/snapshots", Access::Needs(Role::Viewer), "Every snapshot, newest first")
                .answers::<Snapshots>(200, "Those that are kept"),
            snapshots,
        )
        .add(
            Operation::post(
                "/memory/snapshots/{id}/restore",
                Access::Needs(Role::Operator),
                "Goes back to a snapshot; the state before is marked first",
            )
            .answers::<Restored>(200, "What it did"),
            restore,
        )
}

fn lists(routes: Routes) -> Routes {
    routes
        .add(
            Operation::get("/memory", Access::Needs(Role::Viewer), "Entries by the time they were said")
                .query::<List>()
                .answers::<EntriesForm>(200, "A page"),
            list,
        )
        .add(
            Operation::get("/memory/sessions", Access::Needs(Role::Viewer), "Conversations, newest first")
                .query::<Sessions>()
                .answers::<SessionsForm>(200, "A page"),
            sessions,
        )
        .add(
            Operation::get(
                "/memory/sessions/{id}",
                Access::Needs(Role::Viewer),
                "A conversation in the order it was said",
            )
            .query::<Sessions>()
            .answers::<EntriesForm>(200, "A page"),
            history,
        )
}

fn changes(routes: Routes) -> Routes {
    routes
        .add(
            Operation::post(
                "/memory/{id}/supersede",
                Access::Needs(Role::Operator),
                "Keeps an entry that says what is true now instead",
            )
            .body::<NewEntry>()
            .answers::<KeptForm>(201, "The new entry"),
            supersede,
        )
        .add(
            Operation::delete(
                "/memory/{id}/supersede",
                Access::Needs(Role::Operator),
                "Makes a superseded entry current again",
            )
            .answers_plainly(204, "It is current"),
            reinstate,
        )
}

/// Which entries to list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct List {
    /// Only this layer.
    layer: Option<Layer>,
    /// Only this agent's entries and those of no agent.
    agent: Option<AgentId>,
    /// Only this conversation.
    session: Option<String>,
    /// Only what came from this file or address.
    source: Option<String>,
    /// What is current, if absent; what is superseded or in quarantine; or both.
    #[serde(default)]
    shown: Shown,
    /// By the time they were said; the newest first, if absent.
    #[serde(default)]
    order: Order,
    /// The most entries; 50 if absent, at most 500.
    limit: Option<usize>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// Which conversations, or which part of one.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Sessions {
    /// Only this agent's entries and those of no agent.
    agent: Option<AgentId>,
    /// The most items; 50 if absent, at most 500.
    limit: Option<usize>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// Entries in order.
#[derive(Debug, Serialize)]
struct Entries {
    results: Vec<Entry>,
    next: Option<Cursor>,
}

/// Entries in order.
#[derive(JsonSchema)]
#[schemars(rename = "Entries")]
#[expect(dead_code, reason = "only its schema is used: the form of the core's own entries")]
struct EntriesForm {
    /// In order.
    results: Vec<EntryForm>,
    /// What the next page begins after; null at the end.
    next: Option<String>,
}

/// Conversations.
#[derive(Debug, Serialize)]
struct SessionsPage {
    sessions: Vec<Session>,
    next: Option<Cursor>,
}

/// Conversations.
#[derive(JsonSchema)]
#[schemars(rename = "Conversations")]
#[expect(dead_code, reason = "only its schema is used")]
struct SessionsForm {
    /// The one that was said something in last first.
    sessions: Vec<Session>,
    /// What the next page begins after; null at the end.
    next: Option<String>,
}

/// What to put into quarantine: a source or an entry.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct QuarantineOrder {
    /// A file or address.
    source: Option<String>,
    /// An entry.
    #[schemars(with = "Option<String>")]
    entry: Option<Uuid>,
    /// Why, in words; kept.
    reason: String,
}

/// Quarantines.
#[derive(Debug, Serialize, JsonSchema)]
struct Quarantines {
    /// Newest first.
    quarantines: Vec<Quarantine>,
}

/// What to mark.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SnapshotOrder {
    /// What to call it; the time, if absent.
    name: Option<String>,
    /// Only this agent's own entries.
    agent: Option<AgentId>,
}

/// Snapshots.
#[derive(Debug, Serialize, JsonSchema)]
struct Snapshots {
    /// Newest first.
    snapshots: Vec<Snapshot>,
}

async fn list(State(app): State<App>, caller: Caller, Params(asked): Params<List>) -> Result<Reply<Entries>, Problem> {
    let List { layer, agent, session, source, shown, order, limit, after } = asked;
    let scope = Scope { tenant: caller.principal.tenant.clone(), agent, session };
    let listing = Listing { layer, source, shown, order, after: cursor(after)?, limit: size(limit, USUAL, MOST)? };
    let Page { items, next } = app.runtime().memory().list(&scope, &listing).await?;
    Ok(Reply(Entries { results: items, next }))
}

async fn sessions(
    State(app): State<App>,
    caller: Caller,
    Params(Sessions { agent, limit, after }): Params<Sessions>,
) -> Result<Reply<SessionsPage>, Problem> {
    let scope = Scope { tenant: caller.principal.tenant.clone(), agent, session: None };
    let page = app.runtime().memory().sessions(&scope, cursor(after)?, size(limit, USUAL, MOST)?).await?;
    Ok(Reply(SessionsPage { sessions: page.items, next: page.next }))
}

async fn history(
    State(app): State<App>,
    caller: Caller,
    Segment(session): Segment,
    Params(Sessions { agent, limit, after }): Params<Sessions>,
) -> Result<Reply<Entries>, Problem> {
    let after = cursor(after)?;
    let listing = Listing { after, ..Listing::new(Order::Oldest, size(limit, USUAL, MOST)?) };
    let scope = Scope { tenant: caller.principal.tenant.clone(), agent, session: Some(session) };
    let Page { items, next } = app.runtime().memory().list(&scope, &listing).await?;
    if items.is_empty() && after.is_none() {
        let session = scope.session.unwrap_or_default();
        return Err(Problem::not_found(format!("there is no conversation {session}")));
    }
    Ok(Reply(Entries { results: items, next }))
}

async fn supersede(
    State(app): State<App>,
    caller: Caller,
    Segment(id): Segment,
    Json(mut new): Json<NewEntry>,
) -> Result<(StatusCode, Reply<Remembered>), Problem> {
    new.label = given(new.label)?;
    let kept = app.runtime().memory().supersede(&caller.principal.tenant, entry_id(&id)?, new).await?;
    Ok((StatusCode::CREATED, Reply(kept)))
}

async fn reinstate(State(app): State<App>, caller: Caller, Segment(id): Segment) -> Result<StatusCode, Problem> {
    app.runtime().memory().reinstate(&caller.principal.tenant, entry_id(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn quarantine(
    State(app): State<App>,
    caller: Caller,
    Json(order): Json<QuarantineOrder>,
) -> Result<(StatusCode, Reply<Quarantined>), Problem> {
    let suspect = match (order.source, order.entry) {
        (Some(source), None) => Suspect::Source(source),
        (None, Some(entry)) => Suspect::Entry(entry),
        _ => return Err(Problem::invalid("name a source or an entry, one of both")),
    };
    let new = NewQuarantine { suspect, reason: order.reason, by: caller.principal.subject.clone() };
    let done = app.runtime().memory().quarantine(&caller.principal.tenant, new).await?;
    tracing::warn!(quarantine = %done.quarantine.id, by = done.quarantine.by, hidden = done.entries.len(), "memory quarantined");
    Ok((StatusCode::CREATED, Reply(done)))
}

async fn quarantines(State(app): State<App>, caller: Caller) -> Result<Reply<Quarantines>, Problem> {
    let quarantines = app.runtime().memory().quarantines(&caller.principal.tenant).await?;
    Ok(Reply(Quarantines { quarantines }))
}

async fn release(State(app): State<App>, caller: Caller, Segment(id): Segment) -> Result<Reply<Released>, Problem> {
    let id = id_of("quarantine", &id)?;
    let released = app.runtime().memory().release(&caller.principal.tenant, id, &caller.principal.subject).await?;
    Ok(Reply(released))
}

async fn snapshot(
    State(app): State<App>,
    caller: Caller,
    Json(SnapshotOrder { name, agent }): Json<SnapshotOrder>,
) -> Result<(StatusCode, Reply<Snapshot>), Problem> {
    let name = name.unwrap_or_else(|| app.runtime().clock().now().to_string());
    let by = &caller.principal.subject;
    let snapshot = app.runtime().memory().snapshot(&caller.principal.tenant, agent, &name, by).await?;
    Ok((StatusCode::CREATED, Reply(snapshot)))
}

async fn snapshots(State(app): State<App>, caller: Caller) -> Result<Reply<Snapshots>, Problem> {
    let snapshots = app.runtime().memory().snapshots(&caller.principal.tenant).await?;
    Ok(Reply(Snapshots { snapshots }))
}

async fn restore(State(app): State<App>, caller: Caller, Segment(id): Segment) -> Result<Reply<Restored>, Problem> {
    let id = id_of("snapshot", &id)?;
    let restored = app.runtime().memory().restore(&caller.principal.tenant, id, &caller.principal.subject).await?;
    tracing::warn!(snapshot = %id, by = caller.principal.subject, "memory restored");
    Ok(Reply(restored))
}

fn cursor(after: Option<String>) -> Result<Option<Cursor>, Problem> {
    Ok(after.map(|after| after.parse()).transpose()?)
}

fn id_of(what: &str, text: &str) -> Result<Uuid, Problem> {
    Uuid::try_parse(text).map_err(|_| {
        let shown: String = text.chars().take(80).collect();
        Problem::invalid(format!("{shown:?} is not the id of a {what}: use one that a list gives"))
    })
}
