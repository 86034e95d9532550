//! One server: its connection, which is made when it is needed, and what it lists, which is
//! handed on whole to whoever records it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use l9_core::id::ToolId;
use l9_core::tool::ToolFault;
use l9_core::{Error, Result};
use secrecy::ExposeSecret as _;
use semver::Version;
use tokio_util::sync::CancellationToken;

use super::connection::Connection;
use super::intake::{Intake, Offer};
use super::listing::Listed;
use super::manifest;
use super::settings::Settings;
use super::status::{Refused, State, Status};
use crate::http::Surroundings;

/// The wait after a first failure; it doubles with each further one.
const BACKOFF: Duration = Duration::from_millis(500);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(60);
/// A connection that lived so long has not failed when it ends.
const LASTING: Duration = Duration::from_secs(60);
/// Bytes of a request over HTTP beside its address, token and arguments: the protocol's own
/// words, and names that are bounded.
const ENVELOPE: u64 = 8 << 10;
/// The least between two looks at a list that is said to change.
const SETTLE: Duration = Duration::from_millis(200);

/// What serves all servers.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) intake: Weak<dyn Intake>,
    pub(super) around: Surroundings,
    /// Where working folders are kept.
    pub(super) home: Option<PathBuf>,
}

/// A configured server.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) name: String,
    pub(super) settings: Arc<Settings>,
    pub(super) host: Host,
    link: tokio::sync::Mutex<Link>,
    board: Mutex<Board>,
    /// One list at a time.
    taking: tokio::sync::Mutex<()>,
    /// Fires when it is ended for good.
    closing: CancellationToken,
    this: Weak<Self>,
}

/// The way to the server, and how often it failed.
#[derive(Debug, Default)]
struct Link {
    connection: Option<Arc<Connection>>,
    failures: u32,
    not_before: Duration,
}

/// What is known.
#[derive(Debug, Default)]
struct Board {
    state: State,
    why: Option<String>,
    tools: BTreeMap<ToolId, Taken>,
    refused: BTreeMap<String, String>,
}

/// A listed tool that was taken in.
#[derive(Debug)]
struct Taken {
    /// The version under which it is recorded.
    version: Version,
    /// Its name there.
    name: String,
}

impl Server {
    pub(super) fn new(name: String, settings: Arc<Settings>, host: Host) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            name,
            settings,
            host,
            link: tokio::sync::Mutex::default(),
            board: Mutex::default(),
            taking: tokio::sync::Mutex::default(),
            closing: CancellationToken::new(),
            this: this.clone(),
        })
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection, made if there is none, but not too soon after it failed. Whoever does
    /// not wait any longer does not end what was begun.
    pub(super) async fn connection(&self) -> Result<Arc<Connection>> {
        if let Ok(link) = self.link.try_lock()
            && let Some(open) = link.open()
        {
            return Ok(open);
        }
        let ended = || Error::unavailable("the system is shutting down");
        let server = self.this.upgrade().ok_or_else(ended)?;
        tokio::spawn(async move { server.connected().await }).await.map_err(|_| ended())?
    }

    async fn connected(&self) -> Result<Arc<Connection>> {
        let mut link = self.link.lock().await;
        if let Some(open) = link.open() {
            return Ok(open);
        }
        if let Some(ended) = link.connection.take() {
            ended.close().await;
            link.ended(ended.since, self.host.around.clock.monotonic());
        }
        let now = self.host.around.clock.monotonic();
        if link.not_before > now {
            let left = (link.not_before - now).as_millis();
            let why = self.board().why.clone().unwrap_or_else(|| "it ended".to_owned());
            return Err(Error::unavailable(format!("the MCP server {} is tried again in {left} ms: {why}", self.name)));
        }
        let connected = tokio::select! {
            biased;
            () = self.closing.cancelled() => return Err(Error::unavailable("the system is shutting down")),
            connected = self.connect() => connected,
        };
        match connected {
            Ok(connection) => {
                link.connection = Some(Arc::clone(&connection));
                Ok(connection)
            }
            Err(error) => {
                link.failed(self.host.around.clock.monotonic());
                tracing::warn!(server = self.name, why = %error, "an MCP server is not there: its tools cannot be called");
                let mut board = self.board();
                (board.state, board.why) = (State::Down, Some(error.to_string()));
                Err(Error::unavailable(format!("the MCP server {} is not there: {error}", self.name)))
            }
        }
    }

    async fn connect(&self) -> Result<Arc<Connection>> {
        let connecting = async {
            let opened = Connection::open(&self.name, &self.settings, &self.host).await?;
            let listed = opened.list().await?;
            Ok::<_, Error>((Arc::new(opened), listed))
        };
        let within = self.settings.start();
        let (connection, listed) = tokio::time::timeout(within, connecting).await.map_err(|_| {
            let (millis, mend) = (within.as_millis(), "mend it, or raise its start_ms");
            Error::unavailable(format!("it was not ready within {millis} ms: {mend}"))
        })??;
        self.take(Listed::read(&self.name, &self.settings, &listed)).await?;
        tokio::spawn(watch(self.this.clone(), &connection));
        let mut board = self.board();
        (board.state, board.why) = (State::Connected, None);
        Ok(connection)
    }

    /// Hands on what is listed, and notes what became of it.
    async fn take(&self, listed: Listed) -> Result<()> {
        let _one = self.taking.lock().await;
        let intake = self.host.intake.upgrade().ok_or_else(|| Error::unavailable("the system is shutting down"))?;
        let Listed { tools: listed, mut refused } = listed;
        let mut offers = Vec::with_capacity(listed.len());
        for (id, listing) in &listed {
            match manifest::of(&self.name, &self.settings, id, listing) {
                Ok(manifest) => offers.push(Offer::new(manifest, Arc::clone(&self.settings))),
                Err(error) => drop(refused.insert(listing.name.clone(), error.to_string())),
            }
        }
        let mut tools = BTreeMap::new();
        for (id, taken) in intake.take(&self.name, offers).await? {
            let name = listed.get(&id).map(|listing| listing.name.clone()).unwrap_or_default();
            match taken {
                Ok(version) => drop(tools.insert(id, Taken { version, name })),
                Err(error) => drop(refused.insert(name, error.to_string())),
            }
        }
        let mut board = self.board();
        for (name, why) in refused.iter().filter(|(name, why)| board.refused.get(*name) != Some(why)) {
            tracing::warn!(server = self.name, tool = name, why, "a tool of an MCP server is not taken");
        }
        (board.tools, board.refused) = (tools, refused);
        Ok(())
    }

    /// The name there of a tool that is listed now as it was recorded under a version.
    ///
    /// # Errors
    /// The fault of a call that was made for another one. What the server says instead is not
    /// told: a model would read it.
    pub(super) fn name_of(&self, id: &ToolId, version: &Version) -> Result<String, ToolFault> {
        match self.board().tools.get(id) {
            Some(taken) if taken.version == *version => Ok(taken.name.clone()),
            Some(taken) => {
                let (server, listed) = (&self.name, &taken.version);
                let mend = format!("`l9-server tools inspect {id}` shows what changed");
                let message = format!("the MCP server {server} lists {id} as {listed} now, not as {version}: {mend}");
                Err(ToolFault::new("not_sent", message))
            }
            None => {
                Err(ToolFault::new("not_sent", format!("the MCP server {} does not list {id} any more", self.name)))
            }
        }
    }

    /// Looks at the list again. What cannot be looked at is not gone on with: whoever needs the
    /// server connects anew.
    async fn look_again(&self, connection: &Connection) {
        let listed = tokio::time::timeout(self.settings.start(), connection.list()).await;
        let judged = match listed {
            Ok(Ok(tools)) => self.take(Listed::read(&self.name, &self.settings, &tools)).await,
            Ok(Err(error)) => Err(error),
            Err(_) => Err(Error::unavailable("it was not listed in time")),
        };
        if let Err(error) = judged {
            tracing::warn!(server = self.name, why = %error, "the changed tools of an MCP server cannot be looked at");
            connection.lose();
        }
    }

    /// The most bytes of a request over HTTP beside its arguments.
    pub(super) fn envelope(&self) -> u64 {
        let url = self.settings.url.as_ref().map_or(0, String::len);
        let token = self.settings.token.as_ref().and_then(|handle| self.host.around.secrets.named(handle).ok());
        ENVELOPE + (url + token.map_or(0, |token| token.expose_secret().len())) as u64
    }

    /// How it stands.
    pub(super) fn status(&self) -> Status {
        let ended = self.link.try_lock().is_ok_and(|link| link.connection.as_ref().is_some_and(|open| !open.is_open()));
        let board = self.board();
        let (state, why) = match ended {
            true => (State::Down, Some("it ended; it is started again when it is needed".to_owned())),
            false => (board.state, board.why.clone()),
        };
        let refused = board.refused.iter().map(|(tool, why)| Refused { tool: tool.clone(), why: why.clone() });
        Status { server: self.name.clone(), state, why, tools: board.tools.len(), refused: refused.collect() }
    }

    /// Ends it for good.
    pub(super) async fn close(&self) {
        self.closing.cancel();
        if let Some(connection) = self.link.lock().await.connection.take() {
            connection.close().await;
        }
    }
}

impl Link {
    fn open(&self) -> Option<Arc<Connection>> {
        self.connection.as_ref().filter(|connection| connection.is_open()).map(Arc::clone)
    }

    /// A connection that was made at `since` is no more.
    fn ended(&mut self, since: Duration, now: Duration) {
        if now.saturating_sub(since) < LASTING {
            self.failed(since);
        } else {
            self.failures = 0;
        }
    }

    fn failed(&mut self, at: Duration) {
        self.not_before = at + BACKOFF.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
    }
}

/// Looks at the list whenever the server says that it changed, for as long as the connection
/// is there.
fn watch(server: Weak<Server>, connection: &Arc<Connection>) -> impl Future<Output = ()> + Send + 'static {
    let (changed, stopped) = (connection.changed(), connection.stopped());
    let connection = Arc::downgrade(connection);
    async move {
        loop {
            tokio::select! {
                () = stopped.cancelled() => return,
                () = changed.notified() => {}
            }
            let (Some(server), Some(connection)) = (server.upgrade(), connection.upgrade()) else { return };
            server.look_again(&connection).await;
            // A server that tells of changes without end is looked at now and then.
            server.host.around.clock.sleep(SETTLE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_dies_at_once_is_started_less_and_less_often() {
        let (mut link, mut waits, second) = (Link::default(), Vec::new(), Duration::from_secs(1));
        for _ in 0..10 {
            let started = link.not_before;
            link.ended(started, started + second / 10);
            waits.push((link.not_before - started).as_millis());
        }
        assert_eq!(waits, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]);
        link.ended(link.not_before, link.not_before + LASTING);
        assert_eq!(link.failures, 0, "one that lived long has not failed");
    }
}
