//! A run's events: a page of them as JSON, or all of them as they come as an event
//! stream (`text/event-stream`, the HTML standard's section 9.2).
//!
//! A stream reads the journal only as fast as its client takes it; nothing is buffered.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, StatusCode};
use l9::digest::Digest;
use l9::id::{RunId, TenantId};
use l9::principal::Role;
use l9::run::{EventView, Feed};
use l9::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::access::Access;
use super::app::App;
use super::body::{Params, Segment, size};
use super::media::{Media, negotiate};
use super::openapi::Operation;
use super::problem::Problem;
use super::routes::Routes;
use crate::auth::{Caller, Ends};

/// What events come as; JSON where the client does not say.
const FORMS: &[Media] = &[Media::Json, Media::EventStream];

/// The most events of one page.
const PAGE: usize = 1000;

/// What a client should wait before it connects again, in milliseconds.
const RETRY: &str = "retry: 1000\n\n";

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(
        Operation::get("/runs/{id}/events", Access::Needs(Role::Viewer), "A run's events, as a page or as a stream")
            .producing(FORMS)
            .query::<Events>()
            .headers(&[("Last-Event-ID", "the seq of the last event that was seen; a stream goes on after it")])
            .answers::<EventPage>(200, "Events in order")
            .answers_plainly(204, "A stream that has nothing more to tell: the run ended and all was seen"),
        events,
    )
}

/// Which events.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Events {
    /// The first event's seq; 0 if absent.
    from_seq: Option<u64>,
    /// The most events of a page; 256 if absent, at most 1000. A stream has no limit.
    limit: Option<usize>,
}

/// Events of one run.
#[derive(Debug, Serialize, JsonSchema)]
struct EventPage {
    /// In order, dense.
    #[schemars(with = "Vec<EventForm>")]
    events: Vec<EventView>,
    /// The seq to go on from.
    next: u64,
    /// Whether the run has ended and nothing follows.
    closed: bool,
}

/// One event of a run.
#[derive(JsonSchema)]
#[schemars(rename = "Event")]
#[expect(dead_code, reason = "only its schema is used: the form of the core's own view")]
struct EventForm {
    /// The run.
    run_id: RunId,
    /// Its place, dense from 0.
    seq: u64,
    /// The lease under which it was written.
    epoch: u64,
    /// The hash of the record before.
    prev: Digest,
    /// The record's hash.
    hash: Digest,
    /// The event's kind.
    kind: String,
    /// The version of the event's form.
    version: u16,
    /// When it was written.
    at: Timestamp,
    /// The event's payload.
    data: Value,
}

async fn events(
    State(app): State<App>,
    caller: Caller,
    Segment(run): Segment,
    Params(query): Params<Events>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let run = App::run_id(&run)?;
    match negotiate(&headers, FORMS)? {
        Media::EventStream => {
            let from = last_seen(&headers)?.map_or(query.from_seq.unwrap_or(0), |seq| seq.saturating_add(1));
            open_stream(app, &caller, run, from).await
        }
        _ => page(&app, &caller.principal.tenant, run, query).await,
    }
}

async fn page(app: &App, tenant: &TenantId, run: RunId, query: Events) -> Result<Response, Problem> {
    let (from, limit) = (query.from_seq.unwrap_or(0), size(query.limit, 256, PAGE)?);
    let mut feed = app.engine().feed(tenant, run, from).await?;
    let mut events: Vec<EventView> = Vec::new();
    while events.len() < limit {
        let some = feed.page().await?;
        if some.is_empty() {
            break;
        }
        events.extend(some.into_iter().map(|(view, _)| view));
    }
    events.truncate(limit);
    let next = events.last().map_or(from, |event| event.seq + 1);
    let closed = is_over(app, tenant, run, next).await?;
    Ok(Json(EventPage { events, next, closed }).into_response())
}

async fn open_stream(app: App, caller: &Caller, run: RunId, from: u64) -> Result<Response, Problem> {
    let tenant = &caller.principal.tenant;
    let feed = app.engine().feed(tenant, run, from).await?;
    if is_over(&app, tenant, run, from).await? {
        // Tells an EventSource not to come back.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let lines = stream::unfold(Stream { ends: caller.ends(app.clock()), app, feed, begun: false }, Stream::next);
    let unbuffered = HeaderName::from_static("x-accel-buffering");
    let headers = [(CONTENT_TYPE, Media::EventStream.content_type()), (unbuffered, "no")];
    Ok((headers, Body::from_stream(lines)).into_response())
}

/// Whether a run has ended and has no event from a seq on.
async fn is_over(app: &App, tenant: &TenantId, run: RunId, from: u64) -> Result<bool, Problem> {
    let row = app.runtime().store().run(tenant, run).await?;
    Ok(row.is_some_and(|row| row.status.is_closed() && row.head.next <= from))
}

fn last_seen(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(seen) = headers.get("last-event-id") else { return Ok(None) };
    let seq = seen.to_str().ok().and_then(|seen| seen.parse().ok());
    seq.map(Some).ok_or_else(|| Problem::invalid("Last-Event-ID is not a seq: send the id of the last event"))
}

struct Stream {
    app: App,
    feed: Feed,
    ends: Ends,
    begun: bool,
}

impl Stream {
    /// The next lines, and the rest of the stream; `None` after the run's end, at the end
    /// of the caller's token, at the server's stop, or when the journal cannot be read (the
    /// client comes back).
    async fn next(mut self) -> Option<(Result<Bytes, std::convert::Infallible>, Self)> {
        if !std::mem::replace(&mut self.begun, true) {
            return Some((Ok(Bytes::from_static(RETRY.as_bytes())), self));
        }
        let heartbeat = self.app.settings().heartbeat();
        let lines = tokio::select! {
            event = self.feed.next() => match event {
                Ok(Some((event, _))) => Bytes::from(lines(&event)?),
                Ok(None) => return None,
                Err(error) => {
                    tracing::warn!(%error, "an event stream broke off");
                    return None;
                }
            },
            () = self.app.clock().sleep(heartbeat) => Bytes::from_static(b": still here\n\n"),
            () = self.ends.wait(self.app.clock()) => return None,
            () = self.app.stop().cancelled() => return None,
        };
        Some((Ok(lines), self))
    }
}

/// One event as lines of a stream; its data is one line, because JSON escapes breaks.
fn lines(event: &EventView) -> Option<String> {
    let data = serde_json::to_string(event).ok()?;
    Some(format!("id: {}\nevent: run.event\ndata: {data}\n\n", event.seq))
}
