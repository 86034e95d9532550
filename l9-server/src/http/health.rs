//! Whether the server lives, is ready, and what each component says; and the metrics.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use l9::memory::Embedding;
use l9::principal::Role;
use l9::relations::Progress;
use l9::stop::{Scope, Stop};
use l9::tool::ToolRegistry;
use l9::{QueueStatus, Runtime, TenantId};
use schemars::JsonSchema;
use serde::Serialize;

use super::access::{Access, Known};
use super::app::App;
use super::media::Media;
use super::openapi::Operation;
use super::problem::Problem;
use super::routes::Routes;
use crate::metrics;

/// How long a component may take to say that it is well.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .add(
            Operation::get("/health", Access::Open, "The state of every component")
                .answers::<Health>(200, "All is well")
                .answers::<Health>(503, "A component is not"),
            health,
        )
        .add(
            Operation::get("/livez", Access::Open, "Whether the process answers").answers::<Word>(200, "It does"),
            live,
        )
        .add(
            Operation::get("/readyz", Access::Open, "Whether requests may be sent").answers::<Word>(200, "They may"),
            ready,
        )
        .add(
            Operation::get("/metrics", Access::OpenHere(Role::Viewer), "Metrics in the classic Prometheus text format")
                .producing(&[Media::Prometheus])
                .answers_plainly(200, "The metrics"),
            scrape,
        )
}

/// A single word of state.
#[derive(Debug, Serialize, JsonSchema)]
struct Word {
    /// `ok` or `ready`.
    status: &'static str,
}

/// The state of the server and of each of its components.
#[derive(Debug, Serialize, JsonSchema)]
struct Health {
    /// `ok`, `degraded` or `stopping`.
    status: &'static str,
    /// The server's version.
    version: &'static str,
    /// Seconds since the server began to serve.
    uptime_seconds: u64,
    /// Each component by its name; only for viewers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    components: BTreeMap<String, Component>,
}

/// The state of one component.
#[derive(Debug, Serialize, JsonSchema)]
struct Component {
    /// `ok`, `stale` where it works but not by what it was last given, `stopped` where somebody
    /// ordered that, or `failed`.
    status: &'static str,
    /// Figures or the fault, in words without secrets.
    detail: String,
}

impl Component {
    fn ok(detail: impl Into<String>) -> Self {
        Self { status: "ok", detail: detail.into() }
    }

    fn stale(detail: impl Into<String>) -> Self {
        Self { status: "stale", detail: detail.into() }
    }

    fn stopped(detail: impl Into<String>) -> Self {
        Self { status: "stopped", detail: detail.into() }
    }

    fn failed(detail: impl Into<String>) -> Self {
        Self { status: "failed", detail: detail.into() }
    }
}

/// How far memories have vectors. One that fails takes nothing else with it: memories are found
/// by their words.
fn embedder(embedding: &Embedding) -> Component {
    let Embedding { embedder, embedded, pending, .. } = embedding;
    let said = format!("{embedder}: {embedded} memories have vectors, {pending} wait");
    match &embedding.failing {
        None => Component::ok(said),
        Some(why) => Component::stale(format!("{said}; {why}")),
    }
}

/// How the queue stands. What is dead waits for a person; the server is well all the same.
fn queued(status: &QueueStatus) -> Component {
    let QueueStatus { ready, delayed, claimed, dead, paused, .. } = status;
    let delayed = delayed.map(|delayed| format!("{delayed} delayed, ")).unwrap_or_default();
    let said = format!("{ready} ready, {delayed}{claimed} claimed, {dead} dead");
    if *paused { Component::stopped(format!("paused; {said}")) } else { Component::ok(said) }
}

/// How far memories are read for what they state, as far as that is known. It is never `failed`:
/// nothing else waits for it.
fn relations(progress: Option<&Progress>) -> Component {
    let Some(progress) = progress else {
        return Component::stale(format!("how far memories are read was not counted within {PATIENCE:?}"));
    };
    let Progress { reader, read, pending, relations, .. } = progress;
    let mut said =
        format!("{reader}: {read} memories were read, {relations} relations taken from them, {pending} wait");
    if progress.failed > 0 {
        said = format!("{said}; {} could not be read", progress.failed);
    }
    if let Some(such_as) = &progress.such_as {
        said = format!("{said}, such as {such_as}");
    }
    if let Some(at) = progress.counted_at {
        said = format!("{said}; counted at {at}, not within {PATIENCE:?} since");
    }
    match &progress.failing {
        Some(why) => Component::stale(format!("{said}; {why}")),
        None if progress.counted_at.is_some() => Component::stale(said),
        None => Component::ok(said),
    }
}

/// Adds what there is to say of a component, if it is there at all; it did not answer in time if
/// there is no answer.
fn add(components: &mut BTreeMap<String, Component>, name: &str, answer: Option<l9::Result<Option<Component>>>) {
    let component = match answer {
        Some(Ok(None)) => return,
        Some(Ok(Some(component))) => component,
        Some(Err(error)) => Component::failed(error.message()),
        None => Component::failed(format!("no answer within {PATIENCE:?}")),
    };
    components.insert(name.to_owned(), component);
}

async fn live() -> Json<Word> {
    Json(Word { status: "ok" })
}

async fn ready(State(app): State<App>) -> Result<Json<Word>, Problem> {
    if app.stop().is_cancelled() {
        return Err(l9::Error::unavailable("the server is stopping: use another node").into());
    }
    match app.within(PATIENCE, app.runtime().store().ping()).await {
        Some(answer) => Ok(answer.map(|()| Json(Word { status: "ready" }))?),
        None => Err(l9::Error::unavailable(format!("the store did not answer within {PATIENCE:?}")).into()),
    }
}

async fn health(State(app): State<App>, known: Known) -> Response {
    let runtime = app.runtime();
    let mut components = BTreeMap::new();
    let store = app.within(PATIENCE, runtime.store().ping()).await;
    add(&mut components, "store", store.map(|answer| answer.map(|()| Some(Component::ok("answers")))));
    let redis = app.within(PATIENCE, runtime.redis()).await;
    add(&mut components, "redis", redis.map(|there| there.transpose().map(|said| said.map(Component::ok))));
    let vectors = app.within(PATIENCE, runtime.embeddings().status()).await;
    add(&mut components, "embedder", vectors.map(|answer| answer.map(|there| there.as_ref().map(embedder))));
    let queue = app.within(PATIENCE, runtime.queue_status(None)).await;
    add(&mut components, "queue", queue.map(|answer| answer.map(|status| Some(queued(&status)))));
    components.insert("tools".to_owned(), tools(runtime));
    for server in runtime.servers() {
        let component = if server.ok { Component::ok(server.detail) } else { Component::stale(server.detail) };
        components.insert(format!("mcp {}", server.name), component);
    }
    let models = app.engine().parts().governor.models().providers().join(", ");
    components.insert("models".to_owned(), Component::ok(models));
    let policy = match app.engine().parts().governor.policy().fault() {
        None => Component::ok("decides"),
        Some(fault) => Component::stale(format!("newer policies cannot be used, those before decide: {fault}")),
    };
    components.insert("policy".to_owned(), policy);
    let agents = runtime.profiles().list().len();
    components.insert("agents".to_owned(), Component::ok(format!("{agents} profiles")));
    // Whoever is not known hears the state alone, and nobody hears of another tenant's stop
    // or memories.
    let viewer = known.viewer();
    if let Some(viewer) = viewer {
        let stops = app.within(PATIENCE, app.engine().stops()).await;
        add(&mut components, "stop", stops.map(|answer| answer.map(|stops| Some(stop(stops, &viewer.tenant)))));
        if let Some(read) = runtime.relations().status(&viewer.tenant, PATIENCE).await {
            components.insert("relations".to_owned(), relations(read.as_ref()));
        }
    }
    let well = components.values().all(|component| component.status != "failed");
    let stopping = app.stop().is_cancelled();
    let status = if stopping {
        "stopping"
    } else if well {
        "ok"
    } else {
        "degraded"
    };
    let code = if well && !stopping { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    if viewer.is_none() {
        components.clear();
    }
    let health =
        Health { status, version: env!("CARGO_PKG_VERSION"), uptime_seconds: app.uptime().as_secs(), components };
    (code, Json(health)).into_response()
}

/// Whether an emergency stop holds a tenant. The server is well all the same: it was told to.
fn stop(stops: Vec<Stop>, tenant: &TenantId) -> Component {
    let stands = |stop: &Stop| stop.scope.holds(tenant);
    let told = |Stop { scope, at, by, reason }: Stop| match scope {
        Scope::All => format!("all tenants, by {by} since {at}: {reason}"),
        Scope::Tenant(tenant) => format!("tenant {tenant}, by {by} since {at}: {reason}"),
    };
    let told: Vec<String> = stops.into_iter().filter(stands).map(told).collect();
    if told.is_empty() { Component::ok("none stands") } else { Component::stopped(told.join("; ")) }
}

fn tools(runtime: &Runtime) -> Component {
    let callable = runtime.registry().list(&runtime.principal().tenant).len();
    let faults = runtime.tools().faults();
    match faults.iter().next() {
        None => Component::ok(format!("{callable} may be called")),
        Some((place, why)) => Component::stale(format!(
            "{callable} may be called; {} cannot be used, such as {place}, and what was there before stays: {why}",
            faults.len()
        )),
    }
}

async fn scrape(State(app): State<App>) -> Response {
    metrics::measure(app.runtime(), app.uptime()).await;
    ([(CONTENT_TYPE, Media::Prometheus.content_type())], metrics::render(app.metrics())).into_response()
}
