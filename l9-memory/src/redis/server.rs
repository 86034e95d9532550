//! What is asked of the server, and its keys.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use l9_core::{Error, Result};
use redis::{FromRedisValue, RedisResult, Script, ScriptInvocation, Value};
use uuid::Uuid;

use super::error::{fault, torn};
use super::link::{Link, Listening};
use super::scripts;
use super::settings::Settings;

/// How many entries are read at once.
const FETCH: usize = 256;

/// A Redis server, or the servers of a cluster; clones share its connection, which comes back
/// by itself.
#[derive(Clone)]
pub struct Server {
    link: Link,
    shown: Arc<str>,
}

/// What a look at a tenant's entries shows.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) version: String,
    /// The server's time, in milliseconds.
    pub(super) now: u64,
    /// The entries that are there and when they go; nothing if the version is as it was.
    pub(super) entries: Vec<(Uuid, u64)>,
}

impl Server {
    /// Prepares a connection, which is made when it is needed.
    ///
    /// # Errors
    /// `Invalid` for an address that is none.
    pub fn new(settings: &Settings) -> Result<Self> {
        let (link, shown) = settings.link()?;
        Ok(Self { link, shown: shown.into() })
    }

    /// Where the server is, without the password.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Whether the server answers, or all that share the keys of a cluster; tells how many bytes
    /// they use, which the metric `redis_memory_usage_bytes` shows too.
    ///
    /// # Errors
    /// `Unavailable` when it does not, `Denied` for a wrong password.
    pub async fn ping(&self) -> Result<u64> {
        let asked = redis::cmd("INFO").arg("memory").query_async(&mut self.link.clone()).await;
        let said = asked.and_then(of_each).map_err(|error| self.fault(error))?;
        if let Link::Cluster(cluster) = &self.link {
            let (is_whole, servers) = cluster.is_whole().await.map_err(|error| self.fault(error))?;
            if !is_whole || said.len() < servers {
                return Err(torn(&self.shown));
            }
        }
        let used =
            |said: &String| said.lines().find_map(|line| line.strip_prefix("used_memory:")?.trim().parse::<u64>().ok());
        let used = said.iter().filter_map(used).sum::<u64>();
        metrics::gauge!("redis_memory_usage_bytes").set(used as f64);
        Ok(used)
    }

    /// Has the server run a script.
    ///
    /// # Errors
    /// `Unavailable` when it does not answer, `Denied` for a wrong password, `Exhausted` when it
    /// is full.
    pub async fn run<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T> {
        script.invoke_async(&mut self.link.clone()).await.map_err(|error| self.fault(error))
    }

    /// Sends a message to whoever listens to a channel.
    pub(super) async fn publish(&self, channel: &str, message: &[u8]) -> Result<()> {
        let sent = redis::cmd("PUBLISH").arg(channel).arg(message).query_async(&mut self.link.clone()).await;
        sent.map_err(|error| self.fault(error))
    }

    /// Calls `hear` when it listens to a channel, and at each message from then on, until the
    /// connection of its own is lost that hears them.
    ///
    /// # Errors
    /// As [`Server::run`].
    pub async fn hear(&self, channel: &str, hear: &(dyn Fn() + Send + Sync)) -> Result<()> {
        let mut listening = self.listen(channel).await?;
        hear();
        while listening.next().await.is_some() {
            hear();
        }
        Ok(())
    }

    /// Listens to a channel from now on, over a connection of its own.
    pub(super) async fn listen(&self, channel: &str) -> Result<Listening> {
        self.link.listen(channel).await.map_err(|error| self.fault(error))
    }

    /// Looks at a tenant's entries, unless their version is still this one.
    pub(super) async fn look(&self, tag: &str, version: &str) -> Result<Look> {
        let script = Script::new(scripts::LOOK);
        let mut call = script.prepare_invoke();
        call.key(version_key(tag)).key(entries_key(tag)).arg(version);
        let (version, now, found): (String, u64, Vec<String>) = self.run(&call).await?;
        let entry = |pair: &[String]| Some((pair[0].parse().ok()?, pair[1].parse::<f64>().ok()? as u64));
        let entries = found.chunks_exact(2).map(entry).collect::<Option<_>>();
        let entries = entries.ok_or_else(|| Error::corrupt(format!("Redis at {} has a foreign entry", self.shown)))?;
        Ok(Look { version, now, entries })
    }

    /// The sealed bytes of entries, of those that are there.
    pub(super) async fn fetch(&self, tag: &str, ids: &[Uuid]) -> Result<Vec<(Uuid, Vec<u8>)>> {
        let mut all = Vec::with_capacity(ids.len());
        for part in ids.chunks(FETCH) {
            let mut command = redis::cmd("MGET");
            for id in part {
                command.arg(entry_key(tag, *id));
            }
            let found = command.query_async(&mut self.link.clone()).await;
            let found: Vec<Option<Vec<u8>>> = found.map_err(|error| self.fault(error))?;
            all.extend(part.iter().copied().zip(found).filter_map(|(id, sealed)| Some((id, sealed?))));
        }
        Ok(all)
    }

    /// Keeps entries all or none, if the version is still this one: then the new version and when
    /// they go.
    pub(super) async fn keep(
        &self,
        tag: &str,
        version: &str,
        ttl_ms: u64,
        entries: &[(Uuid, Vec<u8>)],
    ) -> Result<Option<(String, u64)>> {
        let script = Script::new(scripts::KEEP);
        let mut call = script.prepare_invoke();
        call.key(version_key(tag)).key(entries_key(tag)).arg(version).arg(ttl_ms);
        for (id, sealed) in entries {
            call.key(entry_key(tag, *id)).arg(id.to_string()).arg(sealed.as_slice());
        }
        let kept: Vec<String> = self.run(&call).await?;
        match kept.as_slice() {
            [version, gone] => Ok(Some((version.clone(), gone.parse().unwrap_or(0)))),
            _ => Ok(None),
        }
    }

    /// Removes entries; tells how many there were.
    pub(super) async fn forget(&self, tag: &str, ids: &[Uuid]) -> Result<u64> {
        let mut removed = 0;
        for part in ids.chunks(FETCH) {
            let script = Script::new(scripts::FORGET);
            let mut call = script.prepare_invoke();
            call.key(version_key(tag)).key(entries_key(tag));
            for id in part {
                call.key(entry_key(tag, *id)).arg(id.to_string());
            }
            removed += self.run::<u64>(&call).await?;
        }
        Ok(removed)
    }

    fn fault(&self, error: redis::RedisError) -> Error {
        fault(&self.shown, matches!(self.link, Link::Cluster(_)), error)
    }
}

/// What a server says, or each of a cluster that has keys.
fn of_each(said: Value) -> RedisResult<Vec<String>> {
    Ok(match said {
        Value::Map(_) => HashMap::<String, String>::from_redis_value(said)?.into_values().collect(),
        of_one => vec![String::from_redis_value(of_one)?],
    })
}

fn version_key(tag: &str) -> String {
    format!("l9:{{{tag}}}:version")
}

fn entries_key(tag: &str) -> String {
    format!("l9:{{{tag}}}:entries")
}

fn entry_key(tag: &str, id: Uuid) -> String {
    format!("l9:{{{tag}}}:entry:{id}")
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("at", &self.shown).finish_non_exhaustive()
    }
}
