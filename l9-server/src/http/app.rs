//! What every handler and connection shares: the runtime, the settings, the stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use l9::Runtime;
use l9::id::{RunId, uuid_v7};
use l9::kernel::Engine;
use l9::time::Clock;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::admission::Admission;
use super::requests::Requests;
use super::settings::Settings;

/// Shared by every request. Cheap to clone.
#[derive(Clone)]
pub(crate) struct App {
    inner: Arc<Inner>,
}

struct Inner {
    runtime: Runtime,
    settings: Settings,
    metrics: PrometheusHandle,
    admission: Admission,
    address: SocketAddr,
    started: Duration,
    document: Bytes,
    names: AtomicU64,
    stop: CancellationToken,
    kill: CancellationToken,
    tasks: TaskTracker,
}

impl App {
    pub(super) fn new(
        runtime: Runtime,
        settings: Settings,
        metrics: PrometheusHandle,
        admission: Admission,
        address: SocketAddr,
        document: Bytes,
    ) -> Self {
        let started = runtime.engine().parts().clock.monotonic();
        let inner = Inner {
            runtime,
            settings,
            metrics,
            admission,
            address,
            started,
            document,
            names: AtomicU64::new(0),
            stop: CancellationToken::new(),
            kill: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        &self.inner.runtime
    }

    pub(crate) fn engine(&self) -> &Engine {
        self.inner.runtime.engine()
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.engine().parts().clock
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    pub(super) fn metrics(&self) -> &PrometheusHandle {
        &self.inner.metrics
    }

    pub(super) fn admission(&self) -> &Admission {
        &self.inner.admission
    }

    /// What counts requests and messages, if anything does.
    pub(crate) fn requests(&self) -> Option<&Requests> {
        self.inner.admission.requests.as_deref()
    }

    /// Where the server listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.inner.address
    }

    pub(super) fn document(&self) -> Bytes {
        self.inner.document.clone()
    }

    pub(super) fn uptime(&self) -> Duration {
        self.clock().monotonic().saturating_sub(self.inner.started)
    }

    /// A name that no other request or command of this process has.
    pub(crate) fn fresh_name(&self, what: &str) -> String {
        let parts = self.engine().parts();
        let count = self.inner.names.fetch_add(1, Ordering::Relaxed);
        uuid_v7(parts.clock.now(), &*parts.entropy, &format!("{what}/{count}")).to_string()
    }

    /// Fires when the server stops: streams end, connections drain.
    pub(crate) fn stop(&self) -> &CancellationToken {
        &self.inner.stop
    }

    /// Fires when the grace has passed: whatever is left ends at once.
    pub(super) fn kill(&self) -> &CancellationToken {
        &self.inner.kill
    }

    pub(super) fn tasks(&self) -> &TaskTracker {
        &self.inner.tasks
    }

    /// Runs a task that the server waits for when it stops, and ends after the grace.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let kill = self.inner.kill.clone();
        self.inner.tasks.spawn(async move {
            tokio::select! {
                () = task => {}
                () = kill.cancelled() => {}
            }
        });
    }

    /// Waits for a future for at most a while.
    pub(crate) async fn within<T>(&self, limit: Duration, future: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            value = future => Some(value),
            () = self.clock().sleep(limit) => None,
        }
    }

    /// Reads a run's id as a client wrote it.
    pub(crate) fn run_id(text: &str) -> l9::Result<RunId> {
        text.parse()
    }
}
