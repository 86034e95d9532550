//! The server: its connection, and the scripts as functions.

use std::fmt;
use std::time::Duration;

use l9_core::id::{RunId, TenantId};
use l9_core::queue::{Claim, Depth, Task};
use l9_core::{Error, ErrorKind, Result};
use redis::aio::{ConnectionManager, ConnectionManagerConfig, PubSub};
use redis::{Client, FromRedisValue, RedisError, Script, ServerErrorKind, ToRedisArgs};
use tokio::time::timeout;

use super::connection::Connection;
use super::scripts::Scripts;
use crate::rate::Rate;
use crate::settings::Settings;

/// How often a lost connection is tried anew before a request fails.
const RETRIES: usize = 1;
/// The keys that every script gets, in its order.
const KEYS: [&str; 9] = ["tasks", "ready", "delayed", "claimed", "places", "turns", "meta", "rates", "held"];
/// Which of them is also the name of the channel.
const CHANNEL: usize = 6;

/// A queue's part of a server.
pub(super) struct Server {
    manager: ConnectionManager,
    client: Client,
    /// How long a connection of its own may take to come up.
    connecting: Duration,
    shown: String,
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
    /// Prepares a connection, which is made when it is needed. Queues of another name share
    /// nothing.
    pub(super) fn new(connection: Connection, name: &str) -> Result<Self> {
        let shown = connection.info.addr().to_string();
        let connecting = connection.connect;
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(RETRIES)
            .set_connection_timeout(Some(connection.connect))
            .set_response_timeout(Some(connection.answer));
        let wrong = |_| Error::invalid(format!("{shown} is no address of a Redis server"));
        let client = Client::open(connection.info).map_err(wrong)?;
        let manager = ConnectionManager::new_lazy_with_config(client.clone(), config).map_err(wrong)?;
        let keys = KEYS.map(|key| format!("l9:{{{name}}}:queue:{key}"));
        Ok(Self { manager, client, connecting, shown, keys, scripts: Scripts::new() })
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
            claim_of(claim).ok_or_else(|| {
                Error::corrupt(format!("Redis at {} has the foreign task {:?}", self.shown, claim.first()))
            })
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

    /// A connection that hears when there is something to claim.
    pub(super) async fn listen(&self) -> Result<PubSub> {
        let listen = async {
            let mut heard = self.client.get_async_pubsub().await?;
            heard.subscribe(&self.keys[CHANNEL]).await?;
            Ok(heard)
        };
        match timeout(self.connecting, listen).await {
            Ok(heard) => heard.map_err(|error| self.fault(error)),
            Err(_) => Err(Error::unavailable(format!("Redis at {} did not answer in time", self.shown))),
        }
    }

    async fn call<T: FromRedisValue>(&self, script: &Script, arguments: &[impl ToRedisArgs]) -> Result<T> {
        let mut call = script.prepare_invoke();
        for key in &self.keys {
            call.key(key);
        }
        for argument in arguments {
            call.arg(argument);
        }
        call.invoke_async(&mut self.manager.clone()).await.map_err(|error| self.fault(error))
    }

    fn fault(&self, error: RedisError) -> Error {
        let shown = &self.shown;
        let (kind, message) = match (error.kind(), error.code()) {
            (redis::ErrorKind::AuthenticationFailed, _) | (_, Some("NOAUTH" | "WRONGPASS")) => (
                ErrorKind::Denied,
                format!("Redis at {shown} refuses the user or password: mend them in REDIS_PASSWORD"),
            ),
            (redis::ErrorKind::Server(ServerErrorKind::NoPerm), _) => (
                ErrorKind::Denied,
                format!(
                    "Redis at {shown} does not let its user do this: let it run scripts over keys and channels that begin with l9:"
                ),
            ),
            (_, Some("OOM")) => (
                ErrorKind::Exhausted,
                format!("Redis at {shown} is full: raise its maxmemory, or lower workers.queue_capacity"),
            ),
            _ => {
                (ErrorKind::Unavailable, format!("the queue in Redis at {shown} cannot be asked: is it running there?"))
            }
        };
        Error::new(kind, message).caused_by(error)
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
        f.debug_struct("Server").field("at", &self.shown).finish_non_exhaustive()
    }
}
