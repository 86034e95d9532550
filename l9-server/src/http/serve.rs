//! The server itself: accepts within a cap, gives every connection its deadlines,
//! and drains them when it is told to stop.
//!
//! It serves hyper directly, so that the deadlines are its own. Without
//! authentication it serves loopback only.

use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use l9::node::{Role, Roles};
use l9::{Error, ErrorKind, Result, Runtime};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::admission::Admission;
use super::app::App;
use super::border::Border;
use super::routes;
use super::settings::Settings;
use crate::metrics;

/// Bytes of a request's headers.
const HEADER_BYTES: usize = 64 << 10;

/// How long the listener rests after it could not accept.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// How often histograms are folded when nobody scrapes.
const UPKEEP: Duration = Duration::from_secs(5);

/// A connection's place among those the server holds at once; an upgraded connection
/// keeps it.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    _permit: Arc<OwnedSemaphorePermit>,
}

/// How a server serves.
#[derive(Debug)]
pub(crate) struct Serving {
    /// Its limits.
    pub(crate) settings: Settings,
    /// How requests are let in.
    pub(crate) admission: Admission,
    /// What the process does: without `api` only its health and its metrics are served.
    pub(crate) roles: Roles,
}

/// Takes an address to listen on; port 0 takes any free one.
///
/// # Errors
/// `Denied` for an address that others can reach without authentication, `Conflict` for one that is in use,
/// `Unavailable` when the machine refuses it.
pub(crate) async fn bind(address: SocketAddr, admission: &Admission) -> Result<TcpListener> {
    admission.permits(address)?;
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            let message = format!("{address} is in use by another program: stop it, or use another port with --port");
            Error::new(ErrorKind::Conflict, message)
        }
        _ => Error::unavailable(format!("cannot listen on {address}")).caused_by(error),
    })
}

/// Serves until `shutdown` ends, then drains. The runtime is left to its owner.
///
/// # Errors
/// `Invalid` for settings that cannot be, `Denied` for a listener that others can reach
/// without authentication.
pub(crate) async fn serve(
    runtime: Runtime,
    listener: TcpListener,
    Serving { settings, admission, roles }: Serving,
    shutdown: impl Future<Output = ()>,
) -> Result<()> {
    settings.validate()?;
    let address = listener.local_addr().map_err(|error| Error::unavailable("the listener is gone").caused_by(error))?;
    admission.permits(address)?;
    let (router, document) = routes::build(roles.has(Role::Api))?;
    let app = App::new(runtime, settings, metrics::install(), admission, address, document);
    let border = Border::new(app.clone(), router.with_state(app.clone()));
    app.spawn(upkeep(app.clone()));
    tokio::select! {
        biased;
        () = shutdown => {}
        () = accept(&app, &border, &listener) => {}
    }
    drop(listener);
    drain(&app).await;
    Ok(())
}

async fn accept(app: &App, border: &Border, listener: &TcpListener) {
    let slots = Arc::new(Semaphore::new(app.settings().connections));
    loop {
        let Ok(permit) = Arc::clone(&slots).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let slot = Slot { _permit: Arc::new(permit) };
                app.spawn(connection(border.clone(), stream, peer.ip(), slot));
            }
            Err(error) => {
                // Mostly too many open files: it passes when a connection ends.
                tracing::warn!(%error, "a connection was not accepted");
                app.clock().sleep(ACCEPT_REST).await;
            }
        }
    }
}

async fn drain(app: &App) {
    app.stop().cancel();
    app.tasks().close();
    if app.within(app.settings().grace(), app.tasks().wait()).await.is_none() {
        tracing::warn!(connections = app.tasks().len(), "connections were cut after the grace");
        app.kill().cancel();
        app.tasks().wait().await;
    }
}

async fn upkeep(app: App) {
    loop {
        tokio::select! {
            () = app.stop().cancelled() => return,
            () = app.clock().sleep(UPKEEP) => app.metrics().run_upkeep(),
        }
    }
}

async fn connection(border: Border, stream: TcpStream, from: IpAddr, slot: Slot) {
    let app = border.app().clone();
    let _open = metrics::Open::http();
    // Answers are small and events urgent.
    let _ = stream.set_nodelay(true);
    let pulse = Arc::new(Pulse::new(app.clock().monotonic()));
    let service = service_fn(|mut request: http::Request<Incoming>| {
        let busy = Busy::begin(&app, &pulse);
        request.extensions_mut().insert(slot.clone());
        let border = border.clone();
        async move {
            let response = border.pass(request.map(Body::new), from).await;
            Ok::<_, std::convert::Infallible>(response.map(|body| Answer { body, _busy: busy }))
        }
    });
    let builder = builder(app.settings());
    let mut connection = pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
    let mut stopping = false;
    loop {
        let idle = pulse.idle(&app);
        let limit = if pulse.is_new() { app.settings().header_timeout() } else { app.settings().keep_alive() };
        let left = if stopping { app.settings().grace() } else { limit.saturating_sub(idle).max(ACCEPT_REST) };
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended badly");
                }
                return;
            }
            () = app.stop().cancelled(), if !stopping => {
                stopping = true;
                if pulse.is_new() {
                    return;
                }
                connection.as_mut().graceful_shutdown();
            }
            () = app.clock().sleep(left) => {
                if pulse.idle(&app) >= limit {
                    return;
                }
            }
        }
    }
}

fn builder(settings: &Settings) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(settings.header_timeout())
        .max_buf_size(HEADER_BYTES)
        .max_headers(100);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(settings.streams)
        .max_header_list_size(16 << 10)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}

/// When a connection last did something, so that one that does nothing can be closed.
struct Pulse {
    requests: AtomicU64,
    busy: AtomicUsize,
    /// The monotonic clock's milliseconds.
    last: AtomicU64,
}

impl Pulse {
    fn new(now: Duration) -> Self {
        Self { requests: AtomicU64::new(0), busy: AtomicUsize::new(0), last: AtomicU64::new(millis(now)) }
    }

    fn is_new(&self) -> bool {
        self.requests.load(Ordering::Relaxed) == 0
    }

    fn idle(&self, app: &App) -> Duration {
        if self.busy.load(Ordering::Relaxed) > 0 {
            return Duration::ZERO;
        }
        app.clock().monotonic().saturating_sub(Duration::from_millis(self.last.load(Ordering::Relaxed)))
    }
}

/// A request under way, until its answer has been sent or given up.
struct Busy {
    app: App,
    pulse: Arc<Pulse>,
}

impl Busy {
    fn begin(app: &App, pulse: &Arc<Pulse>) -> Self {
        pulse.requests.fetch_add(1, Ordering::Relaxed);
        pulse.busy.fetch_add(1, Ordering::Relaxed);
        Self { app: app.clone(), pulse: Arc::clone(pulse) }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.pulse.last.store(millis(self.app.clock().monotonic()), Ordering::Relaxed);
        self.pulse.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// An answer's body; its connection is busy as long as it lives.
struct Answer {
    body: Body,
    _busy: Busy,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
