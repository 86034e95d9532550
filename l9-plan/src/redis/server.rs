//! The queue's part of the server: its keys, and the scripts as functions.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use l9_core::id::{RunId, TenantId};
use l9_core::queue::{Claim, Depth, Task};
use l9_core::{Error, Result};
use redis::{FromRedisValue, Script, ToRedisArgs, from_redis_value};

use super::scripts::Scripts;
use super::way::Way;
use crate::rate::Rate;
use crate::settings::Settings;

/// The keys that every script gets, in its order.
const KEYS: [&str; 9] = ["tasks", "ready", "delayed", "claimed", "places", "turns", "meta", "rates", "held"];
/// Which of them is also the name of the channel.
const CHANNEL: usize = 6;

/// A queue's part of a server.
pub(super) struct Server {
    way: Arc<dyn Way>,
    keys: [String; KEYS.len()],
    scripts: Scripts,
}

/// What asking for tasks comes to.
#[derive(Debug)]
pub(super) struct Claimed {
    /// Each, or why it cannot be read.
    pub(super) claims: Vec<Result<Claim>>,
    /// Whether there may be more.
    pub(super) more: bool,
    /// How long it may be until there is another, if that is known.
    pub(super) wait: Option<Duration>,
}

/// The end of a claim.
#[derive(Debug)]
pub(super) struct End {
    pub(super) run: RunId,
    pub(super) fence: u64,
    /// The wait before it goes again, if it does.
    pub(super) wait: Option<Duration>,
    /// Whether that is an attempt that failed.
    pub(super) failed: bool,
}

impl Server {
    /// Queues of another name share nothing.
    pub(super) fn new(way: Arc<dyn Way>, name: &str) -> Self {
        let keys = KEYS.map(|key| format!("l9:{{{name}}}:queue:{key}"));
        Self { way, keys, scripts: Scripts::new() }
    }

    /// Whether each was taken in, or there was no room for it.
    pub(super) async fn enqueue(&self, tasks: &[(Task, Duration)], capacity: usize) -> Result<Vec<bool>> {
        let mut arguments = vec![capacity.to_string()];
        for (task, delay) in tasks {
            let priority = task.priority.to_string();
            arguments.extend([task.run.to_string(), task.tenant.to_string(), priority, millis(*delay)]);
        }
        self.call(&self.scripts.enqueue, &arguments).await
    }

    /// As many claims as there are, up to so many.
    pub(super) async fn claim(&self, settings: &Settings, most: usize) -> Result<Claimed> {
        let every = |rate: Option<Rate>| rate.map_or_else(|| "0".to_owned(), |rate| micros(rate.every));
        let arguments = [
            settings.claim_ms.to_string(),
            settings.tenant_claims.to_string(),
            every(settings.rate()),
            every(settings.tenant_rate()),
            micros(Duration::from_millis(settings.rate_ms)),
            most.to_string(),
        ];
        let (more, wait, fields): (bool, String, Vec<String>) = self.call(&self.scripts.claim, &arguments).await?;
        let claims = fields.chunks(5).map(|claim| {
            claim_of(claim)
                .ok_or_else(|| Error::corrupt(format!("the queue in Redis has the foreign task {:?}", claim.first())))
        });
        Ok(Claimed { claims: claims.collect(), more, wait: wait.parse().ok().map(Duration::from_millis) })
    }

    /// Whether the fence of each was current.
    pub(super) async fn finish(&self, ends: &[End]) -> Result<Vec<bool>> {
        let mut arguments = Vec::with_capacity(4 * ends.len());
        for End { run, fence, wait, failed } in ends {
            let failed = if *failed { "1" } else { "0" }.to_owned();
            arguments.extend([run.to_string(), fence.to_string(), wait.map(millis).unwrap_or_default(), failed]);
        }
        self.call(&self.scripts.finish, &arguments).await
    }

    /// Renews claims, those that are held still.
    pub(super) async fn renew(&self, lasts: u64, claims: &[(RunId, u64)]) -> Result<()> {
        let pairs = claims.iter().flat_map(|(run, fence)| [run.to_string(), fence.to_string()]);
        let arguments: Vec<String> = std::iter::once(lasts.to_string()).chain(pairs).collect();
        self.call(&self.scripts.renew, &arguments).await
    }

    pub(super) async fn remove(&self, run: RunId) -> Result<bool> {
        self.call(&self.scripts.remove, &[run.to_string()]).await
    }

    pub(super) async fn depth(&self, tenant: Option<&TenantId>) -> Result<Depth> {
        let tenant = tenant.map(TenantId::as_str).unwrap_or_default();
        let (ready, delayed, claimed, paused, oldest): (usize, usize, usize, bool, String) =
            self.call(&self.scripts.depth, &[tenant]).await?;
        let oldest = oldest.parse().ok().map(Duration::from_millis);
        Ok(Depth { ready, delayed, claimed, oldest, paused })
    }

    pub(super) async fn pause(&self, paused: bool) -> Result<()> {
        self.call(&self.scripts.pause, &[u8::from(paused)]).await
    }

    /// Calls `hear` when it listens, and when there is something to claim, while it can.
    pub(super) async fn listen(&self, hear: &(dyn Fn() + Send + Sync)) -> Result<()> {
        self.way.listen(&self.keys[CHANNEL], hear).await
    }

    async fn call<T: FromRedisValue>(&self, script: &Script, arguments: &[impl ToRedisArgs]) -> Result<T> {
        let mut call = script.prepare_invoke();
        for key in &self.keys {
            call.key(key);
        }
        for argument in arguments {
            call.arg(argument);
        }
        let answer = self.way.run(&call).await?;
        from_redis_value(answer)
            .map_err(|error| Error::corrupt("the queue in Redis answers in another form").caused_by(error))
    }
}

fn claim_of(fields: &[String]) -> Option<Claim> {
    let [run, tenant, priority, fence, attempt] = fields else { return None };
    let task = Task { tenant: TenantId::new(tenant).ok()?, run: run.parse().ok()?, priority: priority.parse().ok()? };
    Some(Claim { task, fence: fence.parse().ok()?, attempt: attempt.parse().ok()? })
}

fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}

fn micros(duration: Duration) -> String {
    duration.as_micros().to_string()
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("way", &self.way).finish_non_exhaustive()
    }
}
