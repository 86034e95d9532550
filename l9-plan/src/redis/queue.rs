//! The queue: waiting for tasks, and keeping what was claimed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use l9_core::entropy::Entropy;
use l9_core::id::{RunId, TenantId};
use l9_core::queue::{Claim, Depth, Finished, Task, TaskQueue};
use l9_core::time::Clock;
use l9_core::{Error, ErrorKind, Result};
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::connection::Connection;
use super::server::{Next, Server};
use crate::jitter;
use crate::settings::Settings;

/// The first and the longest wait for a server that is away.
const AWAY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// How long a delay counts: a century.
const LONGEST: Duration = Duration::from_secs(3_155_760_000);
/// How many claims are renewed in one request.
const RENEWED: usize = 1_000;

/// A bounded queue with turns of tenants, priorities, delays and retries, in Redis. Claims of a
/// process that dies come back when they are not renewed.
#[derive(Debug)]
pub struct Queue {
    inner: Arc<Inner>,
    started: AtomicBool,
    /// Ends what goes on in the background.
    _stop: DropGuard,
}

#[derive(Debug)]
struct Inner {
    server: Server,
    settings: Settings,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    changed: Notify,
    closed: CancellationToken,
    dropped: CancellationToken,
    /// What this process has claimed, to be renewed.
    held: Mutex<HashMap<RunId, u64>>,
}

impl Queue {
    /// The queue of a name on a server, which is not connected to before it is needed. All that
    /// share the journal's database, and nobody else, use the same name.
    ///
    /// # Errors
    /// `Invalid` for an address that is none.
    pub fn new(
        connection: Connection,
        name: &str,
        settings: Settings,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self> {
        let (server, dropped) = (Server::new(connection, name)?, CancellationToken::new());
        let (changed, closed, held) = (Notify::new(), CancellationToken::new(), Mutex::default());
        let stop = dropped.clone().drop_guard();
        let inner = Arc::new(Inner { server, settings, clock, entropy, changed, closed, dropped, held });
        Ok(Self { inner, started: AtomicBool::new(false), _stop: stop })
    }

    /// Starts what whoever claims needs: to hear of tasks, and to keep what was claimed.
    fn start(&self) {
        if !self.started.swap(true, Ordering::Relaxed) {
            let (hears, renews) = (Arc::clone(&self.inner), Arc::clone(&self.inner));
            tokio::spawn(async move { hears.dropped.run_until_cancelled(hears.hear()).await });
            tokio::spawn(async move { renews.dropped.run_until_cancelled(renews.renew()).await });
        }
    }
}

#[async_trait]
impl TaskQueue for Queue {
    async fn enqueue(&self, task: Task, delay: Duration) -> Result<()> {
        let capacity = self.inner.settings.capacity;
        if self.inner.server.enqueue(&task, delay.min(LONGEST), capacity).await? {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Exhausted, format!("the queue holds {capacity} tasks, its capacity")))
    }

    async fn claim(&self) -> Option<Claim> {
        self.start();
        let Inner { server, settings, clock, changed, closed, .. } = &*self.inner;
        let poll = Duration::from_millis(settings.poll_ms);
        let mut away = None;
        while !closed.is_cancelled() {
            let wait = match server.claim(settings).await {
                Ok(Next::Task(claim, more)) => {
                    self.inner.held().insert(claim.task.run, claim.fence);
                    if more {
                        // Another worker of this process may take it.
                        changed.notify_one();
                    }
                    return Some(claim);
                }
                Ok(Next::Wait(wait)) => {
                    away = None;
                    wait.map_or(poll, |wait| wait.min(poll))
                }
                Err(error) => {
                    if away.is_none() {
                        tracing::warn!(%error, "no tasks are claimed until the queue answers");
                    }
                    let wait = away.map_or(AWAY.0, |before: Duration| (before * 2).min(AWAY.1));
                    away = Some(wait);
                    wait.mul_f64(0.5 + jitter(&*self.inner.entropy) / 2.0)
                }
            };
            tokio::select! {
                biased;
                () = closed.cancelled() => {}
                () = changed.notified() => {}
                () = clock.sleep(wait) => {}
            }
        }
        None
    }

    async fn finish(&self, claim: Claim, finished: Finished) -> bool {
        let Inner { server, settings, entropy, .. } = &*self.inner;
        let (wait, failed) = match finished {
            Finished::Done => (None, false),
            Finished::Retry { after: Some(after) } => (Some(after), false),
            Finished::Retry { after: None } => (Some(settings.backoff(claim.attempt, jitter(&**entropy))), true),
        };
        self.inner.let_go(&claim);
        match server.finish(&claim, wait.map(|wait| wait.min(LONGEST)), failed).await {
            Ok(current) => current,
            Err(error) => {
                tracing::warn!(run = %claim.task.run, %error, "a claim was not given back; it runs out");
                false
            }
        }
    }

    async fn remove(&self, run: RunId) -> bool {
        let removed = self.inner.server.remove(run).await;
        removed.unwrap_or_else(|error| {
            tracing::warn!(%run, %error, "a task was not taken out of the queue");
            false
        })
    }

    async fn depth(&self, tenant: Option<&TenantId>) -> Result<Depth> {
        self.inner.server.depth(tenant).await
    }

    async fn pause(&self, paused: bool) -> Result<()> {
        self.inner.server.pause(paused).await
    }

    fn close(&self) {
        self.inner.closed.cancel();
    }
}

impl Inner {
    fn held(&self) -> std::sync::MutexGuard<'_, HashMap<RunId, u64>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Renews a claim no more, unless this process has a newer one of the run.
    fn let_go(&self, claim: &Claim) {
        let mut held = self.held();
        if held.get(&claim.task.run) == Some(&claim.fence) {
            held.remove(&claim.task.run);
        }
    }

    /// Wakes whoever waits in this process when there is something to claim. What is not heard
    /// while the connection is lost, whoever waits finds by asking.
    async fn hear(&self) {
        let mut away = AWAY.0;
        loop {
            match self.server.listen().await {
                Ok(mut heard) => {
                    away = AWAY.0;
                    self.changed.notify_one();
                    let mut messages = heard.on_message();
                    while messages.next().await.is_some() {
                        self.changed.notify_one();
                    }
                }
                Err(error) => tracing::debug!(%error, "the queue is not heard; it is asked"),
            }
            self.clock.sleep(away).await;
            away = (away * 2).min(AWAY.1);
        }
    }

    /// Renews what this process has claimed, three times in the life of a claim.
    async fn renew(&self) {
        let lasts = self.settings.claim_ms;
        loop {
            self.clock.sleep(Duration::from_millis(lasts / 3)).await;
            let held: Vec<(RunId, u64)> = self.held().iter().map(|(run, fence)| (*run, *fence)).collect();
            for part in held.chunks(RENEWED) {
                if let Err(error) = self.server.renew(lasts, part).await {
                    tracing::debug!(%error, "claims were not renewed");
                    break;
                }
            }
        }
    }
}
