//! One connection to a server, from its handshake to its end.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use l9_core::redact::Redactor;
use l9_core::time::Clock;
use l9_core::tool::{Limits, ToolFault};
use l9_core::{Error, Result};
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, ClientRequest, PaginatedRequestParams, ProtocolVersion, ServerResult,
    SubscriptionFilter, Tool,
};
use rmcp::service::{
    ClientInitializeError, ClientLifecycleMode, ClientServiceExt as _, Peer, PeerRequestOptions, RequestHandle,
    RunningService,
};
use rmcp::transport::common::client_side_sse::ExponentialBackoff;
use rmcp::transport::streamable_http_client::{StreamableHttpClientTransport, StreamableHttpClientTransportConfig};
use rmcp::{RoleClient, ServiceError};
use serde_json::Value;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::handler::{Calls, Handler};
use super::http::Client;
use super::listing::TOOLS;
use super::output::{judged, told};
use super::pace::Pace;
use super::process::{Process, Said};
use super::server::Host;
use super::settings::Settings;
use super::stdio::Stdio;
use super::ticket::Ticket;
use super::words;
use crate::error::late;
use crate::http::Surroundings;

/// Pages of one list.
const PAGES: usize = 100;
/// How long the notice that a call was given up may take to leave, and the connection to end.
const PARTING: Duration = Duration::from_secs(6);
/// How often a stream of events is taken up again.
const STREAMS: usize = 5;

/// A connection whose handshake is done.
#[derive(Debug)]
pub(super) struct Connection {
    peer: Peer<RoleClient>,
    running: Mutex<Option<RunningService<RoleClient, Handler>>>,
    calls: Arc<Calls>,
    changed: Arc<Notify>,
    said: Said,
    redactor: Arc<dyn Redactor>,
    /// Ends what goes on beside calls.
    stop: CancellationToken,
    /// Fires when no further call is made: the server does not know the session any more, or
    /// what it lists is not known.
    lost: CancellationToken,
    /// When it began, on the monotonic clock.
    pub(super) since: Duration,
}

impl Connection {
    /// Starts or reaches the server and shakes hands, in the newest version that both know.
    pub(super) async fn open(server: &str, settings: &Settings, host: &Host) -> Result<Self> {
        let Surroundings { redactor, clock, .. } = &host.around;
        let (calls, changed) = (Arc::<Calls>::default(), Arc::<Notify>::default());
        let (stop, lost) = (CancellationToken::new(), CancellationToken::new());
        let handler = Handler {
            server: server.to_owned(),
            calls: Arc::clone(&calls),
            changed: Arc::clone(&changed),
            redactor: Arc::clone(redactor),
        };
        let mut said = Said::nothing();
        let running = match &settings.url {
            Some(url) => {
                let client = Client::new(settings, &host.around, stop.clone(), lost.clone())?;
                let transport = StreamableHttpClientTransport::with_client(client, streams(url));
                handler.serve_with_lifecycle(transport, versions()).await
            }
            None => {
                let started = Process::start(server, settings, host)?;
                said = started.process.said();
                handler.serve_with_lifecycle(Stdio::new(server, started, settings.message_bytes), versions()).await
            }
        };
        let running = match running {
            Ok(running) => running,
            Err(error) => return Err(unmet(&error, &said, redactor).await),
        };
        let peer = running.peer().clone();
        let since = clock.monotonic();
        let (running, redactor) = (Mutex::new(Some(running)), Arc::clone(redactor));
        let opened = Self { peer, running, calls, changed, said, redactor, stop, lost, since };
        opened.subscribe(Arc::clone(clock));
        Ok(opened)
    }

    /// Whether calls can still be made.
    pub(super) fn is_open(&self) -> bool {
        !self.peer.is_transport_closed() && !self.lost.is_cancelled()
    }

    /// Makes no further call by it.
    pub(super) fn lose(&self) {
        self.lost.cancel();
    }

    /// Fires when the server says that its list changed.
    pub(super) fn changed(&self) -> Arc<Notify> {
        Arc::clone(&self.changed)
    }

    /// Fires when the connection is given up.
    pub(super) fn stopped(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Everything that the server lists.
    pub(super) async fn list(&self) -> Result<Vec<Tool>> {
        let (mut tools, mut page) = (Vec::new(), PaginatedRequestParams::default());
        for _ in 0..PAGES {
            let listed = match self.peer.list_tools(Some(page)).await {
                Ok(listed) => listed,
                Err(error) => return Err(self.silent(&error).await),
            };
            tools.extend(listed.tools);
            if tools.len() > TOOLS {
                return Err(Error::unavailable(format!("it lists more than {TOOLS} tools, which are not read")));
            }
            match listed.next_cursor {
                Some(cursor) => page = PaginatedRequestParams::default().with_cursor(Some(cursor)),
                None => return Ok(tools),
            }
        }
        Err(Error::unavailable(format!("its list of tools does not end after {PAGES} pages")))
    }

    /// Makes one call, and tells the server if it is given up.
    pub(super) async fn call(
        &self,
        ticket: &Arc<Ticket>,
        tool: &str,
        input: &Value,
        limits: &Limits,
    ) -> Result<Value, ToolFault> {
        let Value::Object(arguments) = input else {
            return Err(ToolFault::new("invalid_input", "the arguments are no object"));
        };
        let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments.clone());
        let mut request = CallToolRequest::new(params);
        request.extensions.insert(Arc::clone(ticket));
        let sent = self
            .peer
            .send_cancellable_request(ClientRequest::CallToolRequest(request), PeerRequestOptions::no_options())
            .await;
        let mut handle = match sent {
            Ok(handle) => handle,
            Err(error) => return judged(Err(error), ticket, limits),
        };
        let token = handle.progress_token.clone();
        self.calls.begin(token.clone(), ticket);
        let ended = wait(&mut handle, ticket, limits).await;
        self.calls.end(&token);
        match ended {
            Ended::Answer(answer) => judged(*answer, ticket, limits),
            Ended::GivenUp(fault) => {
                let fault = ticket.give_up(fault);
                let reason = fault.message.clone();
                // The caller has waited long enough.
                tokio::spawn(async move { tokio::time::timeout(PARTING, handle.cancel(Some(reason))).await });
                Err(fault)
            }
        }
    }

    /// Ends the connection, and with it a server that was started for it.
    pub(super) async fn close(&self) {
        self.stop.cancel();
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut running) = running {
            let _ = running.close_with_timeout(PARTING).await;
        }
    }

    /// Asks a server of the latest version to tell of changes, and again when it stops to;
    /// earlier versions tell unasked.
    fn subscribe(&self, clock: Arc<dyn Clock>) {
        let modern = self.peer.peer_info().is_some_and(|info| {
            let tells = info.capabilities.tools.as_ref().is_some_and(|tools| tools.list_changed == Some(true));
            tells && !info.protocol_version.has_initialize()
        });
        if !modern {
            return;
        }
        let (peer, changed, stop) = (self.peer.clone(), self.changed(), self.stop.clone());
        let notices = async move {
            let mut pace = Pace::default();
            while !peer.is_transport_closed() {
                clock.sleep(pace.next(clock.monotonic())).await;
                let filter = SubscriptionFilter::builder().tools_list_changed().build();
                let Ok(mut notices) = peer.listen(filter).await else { continue };
                // What changed while nobody listened is not told again.
                changed.notify_one();
                while let Ok(Some(_)) = notices.next().await {
                    changed.notify_one();
                }
            }
        };
        tokio::spawn(async move { stop.run_until_cancelled(notices).await });
    }

    async fn silent(&self, error: &ServiceError) -> Error {
        let why = told(&self.redactor.redact(&words::of_request(error)));
        Error::unavailable(format!("its tools cannot be listed: {why}{}", self.said.last().await))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

enum Ended {
    Answer(Box<Result<ServerResult, ServiceError>>),
    GivenUp(ToolFault),
}

async fn wait(handle: &mut RequestHandle<RoleClient>, ticket: &Ticket, limits: &Limits) -> Ended {
    let within = limits.wall().min(ticket.permit().remaining());
    let cancelled = ticket.permit().cancelled().clone();
    tokio::select! {
        biased;
        answer = &mut handle.rx => Ended::Answer(Box::new(answer.unwrap_or(Err(ServiceError::TransportClosed)))),
        () = cancelled.cancelled() => Ended::GivenUp(crate::error::cancelled()),
        // Bytes may have arrived: whether it happened is open.
        () = ticket.permit().wait(within) => {
            Ended::GivenUp(ToolFault::passing("unavailable", late(limits, within).message))
        }
    }
}

fn versions() -> ClientLifecycleMode {
    ClientLifecycleMode::Auto {
        preferred_versions: vec![ProtocolVersion::V_2026_07_28],
        legacy_version: Some(ProtocolVersion::V_2025_11_25),
    }
}

fn streams(url: &str) -> StreamableHttpClientTransportConfig {
    let mut again = ExponentialBackoff::default();
    again.max_times = Some(STREAMS);
    let mut config = StreamableHttpClientTransportConfig::with_uri(url).reinit_on_expired_session(false);
    config.retry_config = Arc::new(again);
    config
}

/// Why there is no connection, with what the server said of it.
async fn unmet(error: &ClientInitializeError, said: &Said, redactor: &Arc<dyn Redactor>) -> Error {
    let words = words::of_handshake(error);
    let why = match error {
        ClientInitializeError::ConnectionClosed(_) => words,
        _ => format!("the handshake failed: {}", told(&redactor.redact(&words))),
    };
    Error::unavailable(format!("{why}{}", said.last().await))
}
