//! The way to the servers of a cluster, of which some may go while others come. The driver
//! follows slots and servers that die; what it does not get over is begun anew: a server that
//! hangs, or addresses that are others now.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::select_ok;
use futures_util::stream::{BoxStream, unfold};
use redis::aio::ConnectionLike as _;
use redis::cluster::{ClusterClient, ClusterConfig};
use redis::cluster_async::ClusterConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, ErrorKind, ProtocolVersion, PushKind, RedisError, RedisResult,
    ServerErrorKind, Value,
};
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;

use super::error::late;

/// How often a request follows a cluster that has changed, and the shortest and longest wait
/// before it does, in milliseconds; all within the time that an answer may take.
const FOLLOWED: u32 = 4;
const WAITS: (u64, u64) = (20, 250);
/// After so many requests in a row that no server answered, the connection is made anew.
const FAILURES: u32 = 3;
/// Who has heard nothing for this long listens anew: a server that hangs, or has left the cluster,
/// does not say so.
const SILENT: Duration = Duration::from_secs(60);

/// The cluster that some servers belong to.
pub(super) struct Cluster {
    servers: Vec<ConnectionInfo>,
    connect: Duration,
    answer: Duration,
    connection: Mutex<Option<ClusterConnection>>,
    /// Requests in a row that no server answered.
    failures: AtomicU32,
}

impl Cluster {
    /// Fails for servers that differ in more than where they are.
    pub(super) fn new(servers: Vec<ConnectionInfo>, connect: Duration, answer: Duration) -> RedisResult<Self> {
        ClusterClient::new(servers.clone())?;
        Ok(Self { servers, connect, answer, connection: Mutex::new(None), failures: AtomicU32::new(0) })
    }

    pub(super) async fn ask(&self, command: &Cmd) -> RedisResult<Value> {
        // Whoever finds that somebody connects already waits no longer than for itself.
        let connection = timeout(self.connect + self.answer, self.connection()).await;
        let mut connection = connection.unwrap_or_else(|_| Err(late()))?;
        let answer = connection.req_packed_command(command).await;
        match &answer {
            Err(error) if is_lost(error) => {
                let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
                // Whoever has it may be making another already.
                if failures >= FAILURES
                    && let Ok(mut connection) = self.connection.try_lock()
                {
                    *connection = None;
                    self.failures.store(0, Ordering::Relaxed);
                }
            }
            _ => self.failures.store(0, Ordering::Relaxed),
        }
        answer
    }

    /// Whether every slot is served, and by how many servers.
    pub(super) async fn is_whole(&self) -> RedisResult<(bool, usize)> {
        let said = self.ask(redis::cmd("CLUSTER").arg("INFO")).await?.extract_error()?;
        let said: String = redis::from_redis_value(said)?;
        let field = |name: &str| said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let servers = field("cluster_size").and_then(|size| size.trim().parse().ok()).unwrap_or(0);
        Ok((field("cluster_state").is_some_and(|state| state.trim() == "ok"), servers))
    }

    /// What is said in a channel from now on, over a connection of its own; it ends when that
    /// does.
    pub(super) async fn listen(&self, channel: &str) -> RedisResult<BoxStream<'static, Vec<u8>>> {
        let listen = async {
            let (push, pushed) = mpsc::unbounded_channel();
            // Only in this protocol a connection of a cluster hears anything.
            let client = self.client(ProtocolVersion::RESP3).await?;
            let config = ClusterConfig::new().set_response_timeout(self.answer).set_push_sender(push);
            let mut connection = client.get_async_connection_with_config(config).await?;
            connection.subscribe(channel).await?;
            let messages = unfold((connection, pushed), |(connection, mut pushed)| async {
                loop {
                    let push = timeout(SILENT, pushed.recv()).await.ok()??;
                    match (push.kind, push.data.into_iter().next_back()) {
                        (PushKind::Message, Some(Value::BulkString(said))) => {
                            return Some((said, (connection, pushed)));
                        }
                        // What was said meanwhile is not heard any more: who listens begins anew.
                        (PushKind::Disconnection, _) => return None,
                        _ => {}
                    }
                }
            });
            Ok(messages.boxed())
        };
        timeout(2 * self.connect + self.answer, listen).await.unwrap_or_else(|_| Err(late()))
    }

    async fn connection(&self) -> RedisResult<ClusterConnection> {
        let mut connection = self.connection.lock().await;
        if let Some(connection) = &*connection {
            return Ok(connection.clone());
        }
        let client = self.client(ProtocolVersion::RESP2).await?;
        let config = ClusterConfig::new().set_connection_timeout(self.connect).set_response_timeout(self.answer);
        Ok(connection.insert(client.get_pending_async_connection_with_config(config)).clone())
    }

    /// A client that begins at whichever server is the first to say where the others are; if none
    /// does, what one of them says instead, which the driver would not tell.
    async fn client(&self, protocol: ProtocolVersion) -> RedisResult<ClusterClient> {
        let asked = self.servers.iter().map(|server| Box::pin(self.answers(server)));
        let (server, _) = select_ok(asked).await?;
        let settings = server.redis_settings().clone().set_protocol(protocol);
        ClusterClient::builder([server.clone().set_redis_settings(settings)])
            .connection_timeout(self.connect)
            .response_timeout(self.answer)
            .retries(FOLLOWED)
            .min_retry_wait(WAITS.0)
            .max_retry_wait(WAITS.1)
            .build()
    }

    /// A server that says where the others are.
    async fn answers<'a>(&self, server: &'a ConnectionInfo) -> RedisResult<&'a ConnectionInfo> {
        let timeouts = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect))
            .set_response_timeout(Some(self.answer));
        let client = Client::open(server.clone())?;
        let mut connection = client.get_multiplexed_async_connection_with_config(&timeouts).await?;
        redis::cmd("CLUSTER").arg("SLOTS").query_async::<Value>(&mut connection).await?;
        Ok(server)
    }
}

/// Whether a request was answered by nobody, or by those only who say that it is another's.
fn is_lost(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::Server(server) => {
            matches!(server, ServerErrorKind::Moved | ServerErrorKind::Ask | ServerErrorKind::ReadOnly)
        }
        kind => matches!(kind, ErrorKind::Io | ErrorKind::ClusterConnectionNotFound | ErrorKind::AuthenticationFailed),
    }
}
