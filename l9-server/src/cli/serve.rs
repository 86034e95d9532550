//! `serve`: the runtime behind HTTP and WebSocket, until somebody ends the process.

use std::net::SocketAddr;
use std::sync::Arc;

use l9::node::{self, Roles};
use l9::time::{Clock, SystemClock};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::arguments::Serve;
use super::context::Context;
use super::failure::{Exit, Failure};
use crate::auth::Authenticator;
use crate::config::{Config, Problem, refuse_serving};
use crate::terminal::Screen;
use crate::{http, metrics};

/// Serves until Ctrl-C or SIGTERM, then lets runs go and closes the database.
pub(super) async fn serve(context: &Context, arguments: &Serve) -> Result<Exit, Failure> {
    refuse_serving(&context.config)?;
    let roles = arguments.roles();
    let (server, admission) = (&context.config.server, admission(&context.config)?);
    // First of all, so that a port in use is told before anything is opened.
    let address = SocketAddr::new(server.host, server.port);
    let listener = http::bind(address, &admission).await.map_err(Failure::of_machine)?;
    // Before the runtime opens, so that what it counts meanwhile is not lost.
    metrics::install();
    let runtime = context.open_to_serve().await?;
    runtime.start_as(&roles).await;
    let address = listener.local_addr().ok().map(|address| address.to_string());
    runtime.appear(roles.clone(), address).await;
    // A server that does not come up keeps nobody waiting.
    let servers = runtime.clone();
    tokio::spawn(async move { servers.connect_servers().await });
    let shutdown = CancellationToken::new();
    tokio::spawn(until_asked(shutdown.clone()));
    announce(context.screen, &listener, &roles, admission.authenticator.is_some());
    let ends = shutdown.clone().cancelled_owned();
    let serving = http::Serving { settings: server.http.clone(), admission, roles };
    let served = Box::pin(http::serve(runtime.clone(), listener, serving, ends)).await.map_err(Failure::from);
    shutdown.cancel();
    tracing::info!("letting runs go");
    runtime.shutdown().await;
    served.map(|()| Exit::Done)
}

/// How requests are let in. The clock is the machine's: a seeded one stands still, and no
/// token would ever end.
fn admission(config: &Config) -> Result<http::Admission, Problem> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let authenticator = config.authenticates().then(|| Authenticator::new(&config.auth, clock)).transpose()?;
    let requests = config.rates.requests(config.deployment).map(http::Requests::new);
    Ok(http::Admission {
        authenticator: authenticator.map(Arc::new),
        origins: config.server.cors_origins.clone(),
        requests: requests.map(Arc::new),
    })
}

/// Where everything is, once it can be reached.
fn announce(screen: Screen, listener: &TcpListener, roles: &Roles, authenticated: bool) {
    let Ok(address) = listener.local_addr() else { return };
    let paint = screen.paint();
    if screen.is_json() {
        return screen.json_line(&json!({"listening": address, "authentication": authenticated, "roles": roles}));
    }
    screen.line(&format!("{} on {address}", paint.strong("L9 serves")));
    let api = [("API", "/openapi.json"), ("WebSocket", "/ws"), ("home page", "/")];
    let api = api.into_iter().filter(|_| roles.has(node::Role::Api));
    for (name, path) in api.chain([("metrics", "/metrics"), ("health", "/health")]) {
        let scheme = if name == "WebSocket" { "ws" } else { "http" };
        screen.line(&format!("  {} {scheme}://{address}{path}", paint.faint(&format!("{name:<9}"))));
    }
    if authenticated {
        screen.line(&paint.faint("  requests need a token: `l9-server token mint`"));
    }
    screen.line(&paint.faint("  Ctrl-C stops it"));
}

/// Ends the process gracefully at the first Ctrl-C or SIGTERM, at once at the second.
async fn until_asked(shutdown: CancellationToken) {
    asked().await;
    tracing::info!("asked to stop");
    shutdown.cancel();
    asked().await;
    std::process::exit(Exit::Interrupted as i32);
}

#[cfg(unix)]
async fn asked() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminated) => tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminated.recv() => {}
        },
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}

#[cfg(not(unix))]
async fn asked() {
    drop(tokio::signal::ctrl_c().await);
}
