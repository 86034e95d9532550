//! A server over streamable HTTP: every request through the egress to the one origin that
//! the operator named.
//!
//! A call goes under the permit of its ticket; what goes without one is no effect of a run.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use http::{HeaderName, HeaderValue};
use l9_core::egress::{Egress as _, EgressRequest, EgressResponse, Injection};
use l9_core::time::Clock;
use l9_core::tool::{Inject, NetGrant, ToolFault};
use l9_core::{Error, ErrorKind, Result};
use rmcp::model::{ClientJsonRpcMessage, ClientRequest, ErrorData, JsonRpcMessage, RequestId, ServerJsonRpcMessage};
use rmcp::transport::streamable_http_client::{
    SseError, StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse,
};
use secrecy::ExposeSecret as _;
use sse_stream::{Sse, SseStream};
use tokio_util::sync::CancellationToken;

use super::frame;
use super::manifest::grant;
use super::output::told;
use super::pace::Pace;
use super::settings::Settings;
use super::ticket::Ticket;
use crate::egress::{Direct, NotSent, USER_AGENT};
use crate::http::Surroundings;

/// The longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// The longest silence of a stream of notices.
const QUIET: Duration = Duration::from_secs(600);
/// How long a server has to take a notice, at least: however short its calls are, it is told
/// that one was given up.
const NOTICE: Duration = Duration::from_secs(5);
/// The longest name of a session.
const SESSION: usize = 512;

type Failed = StreamableHttpError<Error>;
type Events = BoxStream<'static, std::result::Result<Sse, SseError>>;

/// The way to one server.
#[derive(Debug, Clone)]
pub(super) struct Client {
    egress: Direct,
    token: Option<Injection>,
    message_bytes: u64,
    call: Duration,
    stop: CancellationToken,
    lost: CancellationToken,
    clock: Arc<dyn Clock>,
    streams: Arc<Mutex<Pace>>,
}

impl Client {
    /// The way to the address of those settings; `stop` ends whatever goes without a permit,
    /// and `lost` is fired when the server does not know the session any more.
    pub(super) fn new(
        settings: &Settings,
        around: &Surroundings,
        stop: CancellationToken,
        lost: CancellationToken,
    ) -> Result<Self> {
        let url = settings.url.as_deref().unwrap_or_default();
        let methods = ["POST", "GET", "DELETE"].map(str::to_owned).to_vec();
        let grant = NetGrant { methods, ..grant(url, settings)? };
        let bearer = |handle: &String| -> Result<Injection> {
            let value = format!("Bearer {}", around.secrets.named(handle)?.expose_secret()).into();
            let (place, audience) = (Inject::Header("authorization".to_owned()), grant.host.clone());
            Ok(Injection { place, value, audience })
        };
        let token = settings.token.as_ref().map(bearer).transpose()?;
        let connect = settings.start().min(CONNECT);
        let (redactor, clock) = (Arc::clone(&around.redactor), Arc::clone(&around.clock));
        let egress = Direct::granted(&[grant], connect, &around.gateway, redactor, Arc::clone(&clock))?;
        let (call, message_bytes) = (Duration::from_millis(settings.call_ms), settings.message_bytes);
        Ok(Self { egress, token, message_bytes, call, stop, lost, clock, streams: Arc::default() })
    }

    fn request(
        &self,
        (method, url): (&str, &str),
        session: Option<&str>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> EgressRequest {
        let shown = |(name, value): (HeaderName, HeaderValue)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let mut headers: Vec<(String, String)> = headers.into_iter().map(shown).collect();
        headers.push(("user-agent".into(), USER_AGENT.into()));
        headers.push(("accept".into(), "application/json, text/event-stream".into()));
        headers.extend(session.map(|session| ("mcp-session-id".to_owned(), session.to_owned())));
        EgressRequest {
            method: method.to_owned(),
            url: url.to_owned(),
            headers,
            secrets: self.token.clone().into_iter().collect(),
            body: Bytes::new(),
            idle: self.call,
            max_response_bytes: self.message_bytes,
        }
    }

    async fn post(
        &self,
        url: &str,
        message: &ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> std::result::Result<StreamableHttpPostResponse, Failed> {
        let mut request = self.request(("POST", url), session.as_deref(), headers);
        request.headers.push(("content-type".into(), "application/json".into()));
        request.body = serde_json::to_vec(message)?.into();
        let ticket = Ticket::of(message).map_err(StreamableHttpError::Client)?;
        let sent = match &ticket {
            Some(ticket) => {
                // Whether it did, the egress says.
                ticket.leave().map_err(StreamableHttpError::Client)?;
                self.egress.send(ticket.permit(), request).await.inspect_err(|error| ticket.fail(meaning(error)))
            }
            None => {
                match message {
                    JsonRpcMessage::Notification(_) => request.idle = self.call.max(NOTICE),
                    _ if listens(message) => request.idle = QUIET,
                    _ => {}
                }
                self.egress.errand(&self.stop, request).await
            }
        };
        let response = sent.map_err(StreamableHttpError::Client)?;
        if let Some(ticket) = &ticket
            && let Some(fault) = turned_away(response.status)
        {
            ticket.fail(fault);
        }
        self.answer(message, session.is_some(), response).await
    }

    async fn answer(
        &self,
        message: &ClientJsonRpcMessage,
        in_session: bool,
        response: EgressResponse,
    ) -> std::result::Result<StreamableHttpPostResponse, Failed> {
        let (status, good) = (response.status, (200..300).contains(&response.status));
        if status == 404 && in_session {
            self.lost.cancel();
            return Err(StreamableHttpError::SessionExpired);
        }
        let media = media(&response);
        let asks = matches!(message, JsonRpcMessage::Request(_));
        if matches!(status, 202 | 204) || (good && !asks) {
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        let session = response.header("mcp-session-id").map(str::to_owned).filter(|session| session.len() <= SESSION);
        if good && media == "text/event-stream" {
            return Ok(StreamableHttpPostResponse::Sse(events(response, asked(message)), session));
        }
        let body = whole(response).await?;
        match frame::message(&body) {
            Ok(answer) if good && media == "application/json" => Ok(StreamableHttpPostResponse::Json(answer, session)),
            Ok(answer @ JsonRpcMessage::Error(_)) if !good && !discovers(message) => {
                Ok(StreamableHttpPostResponse::Json(answer, session))
            }
            parsed => {
                if let (Err(why), Some(id), true) = (&parsed, asked(message), good && media == "application/json") {
                    return Ok(StreamableHttpPostResponse::Json(frame::unreadable(id, why), session));
                }
                rejected(message, status, parsed.ok()).ok_or_else(|| {
                    let said = told(&String::from_utf8_lossy(&body));
                    StreamableHttpError::UnexpectedServerResponse(format!("HTTP {status}: {said}").into())
                })
            }
        }
    }
}

impl StreamableHttpClient for Client {
    type Error = Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        _: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> std::result::Result<StreamableHttpPostResponse, Failed> {
        self.post(&uri, &message, session_id, custom_headers).await
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session_id: Arc<str>,
        _: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> std::result::Result<(), Failed> {
        let request = self.request(("DELETE", &uri), Some(&session_id), custom_headers);
        // Whether it knows how to does not matter any more.
        self.egress.errand(&CancellationToken::new(), request).await.map_err(StreamableHttpError::Client).map(drop)
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        _: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> std::result::Result<Events, Failed> {
        // However soon a server ends its streams, they are not taken up again without a pause.
        let wait = self.streams.lock().unwrap_or_else(PoisonError::into_inner).next(self.clock.monotonic());
        tokio::select! {
            biased;
            () = self.stop.cancelled() => return Err(StreamableHttpError::ServerDoesNotSupportSse),
            () = self.clock.sleep(wait) => {}
        }
        let mut request = self.request(("GET", &uri), session_id.as_deref(), custom_headers);
        request.idle = QUIET;
        request.headers.extend(last_event_id.map(|last| ("last-event-id".to_owned(), last)));
        let response = self.egress.errand(&self.stop, request).await.map_err(StreamableHttpError::Client)?;
        match response.status {
            200..300 if media(&response) == "text/event-stream" => Ok(events(response, None)),
            // It cannot, or does not want to.
            _ => Err(StreamableHttpError::ServerDoesNotSupportSse),
        }
    }
}

/// The body of an answer, read to its end.
async fn whole(mut response: EgressResponse) -> std::result::Result<Vec<u8>, Failed> {
    let mut body = Vec::new();
    while let Some(piece) = response.body.next().await {
        body.extend_from_slice(&piece.map_err(StreamableHttpError::Client)?);
    }
    Ok(body)
}

fn media(response: &EgressResponse) -> String {
    let media = response.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default();
    media.trim().to_ascii_lowercase()
}

/// The events of a response to what was asked. One whose data is no message within bounds is
/// passed over like a line that is none, unless it is the answer.
fn events(response: EgressResponse, asked: Option<RequestId>) -> Events {
    let unreadable = |id: RequestId, why: &Error| serde_json::to_string(&frame::unreadable(id, why)).ok();
    let message = move |data: String| match frame::message(data.as_bytes()) {
        Ok(_) => Some(data),
        Err(error) => {
            tracing::debug!(error = told(&error.to_string()), "an MCP server sent an event that is no message");
            unreadable(frame::answered(data.as_bytes())?, &error)
        }
    };
    let read = move |event: std::result::Result<Sse, SseError>| match (event, &asked) {
        (Ok(event), _) => Ok(Sse { data: event.data.and_then(message), ..event }),
        (Err(SseError::Utf8Parse(error)), Some(id)) => {
            let why = Error::invalid(format!("it is not UTF-8: bad byte at offset {}", error.valid_up_to()));
            Ok(Sse { data: unreadable(id.clone(), &why), ..Sse::default() })
        }
        (Err(error), _) => Err(error),
    };
    SseStream::from_bytes_stream(response.body).map(read).boxed()
}

/// The id of a request.
fn asked(message: &ClientJsonRpcMessage) -> Option<RequestId> {
    match message {
        JsonRpcMessage::Request(request) => Some(request.id.clone()),
        _ => None,
    }
}

fn discovers(message: &ClientJsonRpcMessage) -> bool {
    matches!(message, JsonRpcMessage::Request(request) if matches!(request.request, ClientRequest::DiscoverRequest(_)))
}

/// Whether its answer is a stream of notices.
fn listens(message: &ClientJsonRpcMessage) -> bool {
    let JsonRpcMessage::Request(request) = message else { return false };
    matches!(request.request, ClientRequest::SubscriptionsListenRequest(_))
}

/// A server of an earlier version turns the first question of a later one away in ways of its
/// own: as the answer to that question, so that it is asked in its own version.
fn rejected(
    message: &ClientJsonRpcMessage,
    status: u16,
    answer: Option<ServerJsonRpcMessage>,
) -> Option<StreamableHttpPostResponse> {
    let JsonRpcMessage::Request(request) = message else { return None };
    if !discovers(message) || !(400..500).contains(&status) || matches!(status, 401 | 403) {
        return None;
    }
    let error = match answer {
        Some(JsonRpcMessage::Error(error)) => error.error,
        _ => ErrorData::invalid_request(format!("HTTP {status}"), None),
    };
    let answer = ServerJsonRpcMessage::error(error, Some(request.id.clone()));
    Some(StreamableHttpPostResponse::Json(answer, None))
}

/// What a status says of a call that got no message for an answer.
fn turned_away(status: u16) -> Option<ToolFault> {
    let message = format!("the server answered HTTP {status}");
    match status {
        200..300 => None,
        // Of a session that it does not know any more, or too early: nothing was begun.
        404 | 425 | 429 => Some(ToolFault::passing("not_sent", message)),
        408 | 500..=599 => Some(ToolFault::passing("unavailable", message)),
        400 | 401 | 403 | 405 | 415 => Some(ToolFault::new("failed", message)),
        400..=499 => Some(ToolFault::new("server_error", message)),
        300..=399 => {
            Some(ToolFault::new("redirected", format!("{message}: redirects are not followed, name the final address")))
        }
        _ => Some(ToolFault::new("malformed", message)),
    }
}

/// What an error of the egress means for a call.
fn meaning(error: &Error) -> ToolFault {
    let cause = std::error::Error::source(error);
    let message = told(&error.to_string());
    match error.kind() {
        ErrorKind::Unavailable if cause.is_some_and(|cause| cause.is::<NotSent>()) => {
            ToolFault::passing("not_sent", message)
        }
        ErrorKind::Cancelled => crate::error::cancelled(),
        ErrorKind::Denied if error.message().starts_with("the permit") => ToolFault::passing("unavailable", message),
        ErrorKind::Denied => ToolFault::new("refused", message),
        ErrorKind::Invalid => ToolFault::new("invalid_input", message),
        _ => ToolFault::passing("unavailable", message),
    }
}
