//! The queue: waiting for tasks, and keeping what was claimed.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use l9_core::entropy::Entropy;
use l9_core::id::{RunId, TenantId};
use l9_core::queue::{Claim, Depth, Finished, Task, TaskQueue};
use l9_core::time::Clock;
use l9_core::{Error, ErrorKind, Result};
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::server::{Claimed, End, Server};
use super::together::{Request, Together};
use super::way::Way;
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

struct Inner {
    server: Arc<Server>,
    enqueues: Together<Enqueues>,
    claims: Together<Claims>,
    ends: Together<Ends>,
    settings: Settings,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    changed: Notify,
    closed: CancellationToken,
    dropped: CancellationToken,
    held: Arc<Held>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").field("server", &self.server).field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// What this process has claimed, to be renewed.
#[derive(Debug, Default)]
struct Held(Mutex<HashMap<RunId, u64>>);

impl Queue {
    /// The queue of a name on a server, which is asked for nothing before it is needed. All that
    /// share the journal's database, and nobody else, use the same name.
    pub fn new(
        way: Arc<dyn Way>,
        name: &str,
        settings: Settings,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        let (server, held) = (Arc::new(Server::new(way, name)), Arc::new(Held::default()));
        let to = || Arc::clone(&server);
        let (closed, dropped) = (CancellationToken::new(), CancellationToken::new());
        let stop = dropped.clone().drop_guard();
        let inner = Arc::new(Inner {
            enqueues: Together::new(Enqueues { server: to(), capacity: settings.capacity }),
            claims: Together::new(Claims { server: to(), settings: settings.clone(), held: Arc::clone(&held) }),
            ends: Together::new(Ends(to())),
            server,
            settings,
            clock,
            entropy,
            changed: Notify::new(),
            closed,
            dropped,
            held,
        });
        Self { inner, started: AtomicBool::new(false), _stop: stop }
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
        if self.inner.enqueues.ask((task, delay.min(LONGEST))).await? {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Exhausted, format!("the queue holds {capacity} tasks, its capacity")))
    }

    async fn claim(&self) -> Option<Claim> {
        self.start();
        let Inner { claims, settings, clock, changed, closed, .. } = &*self.inner;
        let poll = Duration::from_millis(settings.poll_ms);
        let mut away = None;
        while !closed.is_cancelled() {
            let wait = match claims.ask(()).await.flatten() {
                Ok(Next::Task(claim, more)) => {
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
        let Inner { ends, settings, entropy, held, .. } = &*self.inner;
        let (wait, failed) = match finished {
            Finished::Done => (None, false),
            Finished::Retry { after: Some(after) } => (Some(after), false),
            Finished::Retry { after: None } => (Some(settings.backoff(claim.attempt, jitter(&**entropy))), true),
        };
        held.let_go(&claim);
        let Claim { task: Task { run, .. }, fence, .. } = claim;
        match ends.ask(End { run, fence, wait: wait.map(|wait| wait.min(LONGEST)), failed }).await {
            Ok(current) => current,
            Err(error) => {
                tracing::warn!(%run, %error, "a claim was not given back; it runs out");
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

impl Held {
    fn all(&self) -> MutexGuard<'_, HashMap<RunId, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Renews a claim no more, unless this process has a newer one of the run.
    fn let_go(&self, claim: &Claim) {
        let mut held = self.all();
        if held.get(&claim.task.run) == Some(&claim.fence) {
            held.remove(&claim.task.run);
        }
    }
}

struct Enqueues {
    server: Arc<Server>,
    capacity: usize,
}

impl Request for Enqueues {
    type Question = (Task, Duration);
    /// Whether it was taken in.
    type Answer = bool;

    async fn ask(&self, tasks: Vec<(Task, Duration)>) -> Result<Vec<bool>> {
        self.server.enqueue(&tasks, self.capacity).await
    }

    async fn unwanted(&self, _: bool) {}
}

struct Claims {
    server: Arc<Server>,
    settings: Settings,
    held: Arc<Held>,
}

/// What asking for a task comes to.
enum Next {
    /// A task, and whether there may be more.
    Task(Claim, bool),
    /// Nothing yet, and perhaps for so long.
    Wait(Option<Duration>),
}

impl Request for Claims {
    type Question = ();
    /// What nobody can read is one asker's error, and keeps no other from its task.
    type Answer = Result<Next>;

    async fn ask(&self, questions: Vec<()>) -> Result<Vec<Result<Next>>> {
        let Claimed { claims, more, wait } = self.server.claim(&self.settings, questions.len()).await?;
        self.held.all().extend(claims.iter().flatten().map(|claim| (claim.task.run, claim.fence)));
        let tasks = claims.into_iter().map(|claim| Ok(Next::Task(claim?, more)));
        Ok(tasks.chain(std::iter::repeat_with(|| Ok(Next::Wait(wait)))).take(questions.len()).collect())
    }

    /// Somebody else may have it; as a claim of a process that died, it counts as an attempt.
    async fn unwanted(&self, next: Result<Next>) {
        let Ok(Next::Task(claim, _)) = next else { return };
        self.held.let_go(&claim);
        let end = End { run: claim.task.run, fence: claim.fence, wait: Some(Duration::ZERO), failed: true };
        if let Err(error) = self.server.finish(&[end]).await {
            tracing::debug!(run = %claim.task.run, %error, "a claim that nobody waited for runs out");
        }
    }
}

struct Ends(Arc<Server>);

impl Request for Ends {
    type Question = End;
    /// Whether its fence was current.
    type Answer = bool;

    async fn ask(&self, ends: Vec<End>) -> Result<Vec<bool>> {
        self.0.finish(&ends).await
    }

    async fn unwanted(&self, _: bool) {}
}

impl Inner {
    /// Wakes whoever waits in this process when there is something to claim. What is not heard
    /// while the connection is lost, whoever waits finds by asking.
    async fn hear(&self) {
        let mut away = AWAY.0;
        loop {
            match self.server.listen(&|| self.changed.notify_one()).await {
                Ok(()) => away = AWAY.0,
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
            let held: Vec<(RunId, u64)> = self.held.all().iter().map(|(run, fence)| (*run, *fence)).collect();
            for part in held.chunks(RENEWED) {
                if let Err(error) = self.server.renew(lasts, part).await {
                    tracing::debug!(%error, "claims were not renewed");
                    break;
                }
            }
        }
    }
}
