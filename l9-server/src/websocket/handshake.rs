//! The server's side of the opening handshake, RFC 6455 section 4.2, on an HTTP/1.1
//! connection that hyper gives up.

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{
    CONNECTION, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, StatusCode, Version};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use l9::principal;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tracing::Instrument;

use super::connection::Connection;
use super::settings::Settings;
use crate::auth::{Caller, SUBPROTOCOL};
use crate::http::{Access, App, Correlation, Operation, Problem, Routes, Sender, Slot};

/// The one version there is, RFC 6455 section 11.6.
const VERSION: &str = "13";

/// Bytes of a connection's read buffer; it grows for a larger message.
const READ_BUFFER: usize = 4 << 10;

/// Adds `/ws`.
pub(crate) fn routes(routes: Routes) -> Routes {
    let operation =
        Operation::get("/ws", Access::Needs(principal::Role::Viewer), "Opens a WebSocket: see docs/api/websocket.md")
            .producing(&[])
            .answers_plainly(101, "The connection speaks WebSocket now")
            .answers_plainly(426, "The request did not ask for a WebSocket");
    routes.add(operation, open)
}

async fn open(State(app): State<App>, caller: Caller, mut request: Request) -> Result<Response, Response> {
    let key = key(&request).map_err(refuse)?;
    let spoken = lists(request.headers(), &SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL);
    let extensions = request.extensions_mut();
    let (upgrade, slot, sender) =
        (extensions.remove::<OnUpgrade>(), extensions.remove::<Slot>(), extensions.remove::<Sender>());
    let correlation = extensions.remove::<Correlation>().map(|id| id.0).unwrap_or_default();
    let upgrade = upgrade.ok_or_else(|| refuse("this connection cannot be upgraded: use HTTP/1.1"))?;
    let span = tracing::info_span!("websocket", correlation_id = %correlation);
    let talk = {
        let app = app.clone();
        async move {
            // The connection keeps its place among all connections until it ends.
            let _slot = slot;
            match upgrade.await {
                Ok(raw) => converse(app, caller, sender, raw).await,
                Err(error) => tracing::debug!(%error, "the client left during the handshake"),
            }
        }
    };
    app.spawn(talk.instrument(span));
    let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes()));
    let accept = accept.map_err(|error| Problem::invalid(error.to_string()).into_response())?;
    let headers = [
        (CONNECTION, HeaderValue::from_static("upgrade")),
        (UPGRADE, HeaderValue::from_static("websocket")),
        (SEC_WEBSOCKET_ACCEPT, accept),
    ];
    let mut response = (StatusCode::SWITCHING_PROTOCOLS, headers).into_response();
    if spoken {
        // Never the one that carries a token.
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    }
    Ok(response)
}

async fn converse(app: App, caller: Caller, sender: Option<Sender>, raw: Upgraded) {
    let config = config(&app.settings().websocket);
    let socket = WebSocketStream::from_raw_socket(TokioIo::new(raw), Role::Server, Some(config)).await;
    Connection::new(app, &caller, sender, socket).run().await;
}

fn config(settings: &Settings) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(64 << 20)
        .max_message_size(Some(settings.message_bytes))
        .max_frame_size(Some(settings.message_bytes))
}

/// The client's key, if the request asks for a WebSocket.
fn key(request: &Request) -> Result<String, &'static str> {
    let headers = request.headers();
    if request.version() != Version::HTTP_11 {
        return Err("a WebSocket is opened over HTTP/1.1");
    }
    if !lists(headers, &CONNECTION, "upgrade") || !lists(headers, &UPGRADE, "websocket") {
        return Err("this address speaks WebSocket: send connection: upgrade and upgrade: websocket");
    }
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != VERSION) {
        return Err("sec-websocket-version must be 13");
    }
    // 16 bytes in base64 (RFC 6455 section 4.1): 22 digits and two signs of padding.
    let digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let key = headers.get(SEC_WEBSOCKET_KEY).and_then(|key| key.to_str().ok());
    let valid = |key: &&str| key.len() == 24 && key.ends_with("==") && key.bytes().take(22).all(digit);
    key.filter(valid).map(str::to_owned).ok_or("sec-websocket-key must be 16 bytes in base64")
}

fn lists(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case(token))
}

fn refuse(detail: &str) -> Response {
    let problem = Problem::new(StatusCode::UPGRADE_REQUIRED, "upgrade_required", "a WebSocket is needed", detail);
    let headers =
        [(UPGRADE, HeaderValue::from_static("websocket")), (SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION))];
    (headers, problem).into_response()
}
