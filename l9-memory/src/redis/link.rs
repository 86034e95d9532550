//! The way to a server, or to the servers of a cluster, of which some may go while others come.

use std::fmt;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::{BoxStream, unfold};
use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::cluster::{ClusterClient, ClusterClientBuilder, ClusterConfig};
use redis::cluster_async::ClusterConnection;
use redis::{Client, Cmd, ConnectionInfo, Pipeline, ProtocolVersion, PushKind, RedisFuture, RedisResult, Value};
use tokio::sync::mpsc;

/// How often a lost connection is tried anew before a request fails.
const RETRIES: usize = 1;
/// How often a request follows a cluster that has changed, and the shortest and longest wait
/// before it does, in milliseconds; all within the time that an answer may take.
const FOLLOWED: u32 = 4;
const WAITS: (u64, u64) = (20, 250);

/// Who listens to a channel, over a connection of its own.
pub struct Listening(BoxStream<'static, Vec<u8>>);

impl Listening {
    /// The next message; nothing once the connection is lost.
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        self.0.next().await
    }
}

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listening").finish_non_exhaustive()
    }
}

/// What clones share, and comes back by itself.
#[derive(Clone)]
pub(super) enum Link {
    Server { connection: ConnectionManager, client: Client },
    Cluster { connection: ClusterConnection, hearing: ClusterClient },
}

impl Link {
    /// To one server, which is connected to when it is needed.
    pub(super) fn server(info: ConnectionInfo, connect: Duration, answer: Duration) -> RedisResult<Self> {
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(RETRIES)
            .set_connection_timeout(Some(connect))
            .set_response_timeout(Some(answer));
        let client = Client::open(info)?;
        let connection = ConnectionManager::new_lazy_with_config(client.clone(), config)?;
        Ok(Self::Server { connection, client })
    }

    /// To the cluster that these servers belong to; it is asked of the first that answers where
    /// the others are.
    pub(super) fn cluster(servers: &[ConnectionInfo], connect: Duration, answer: Duration) -> RedisResult<Self> {
        let client = |protocol| {
            let servers = servers.iter().map(|server| {
                let settings = server.redis_settings().clone().set_protocol(protocol);
                server.clone().set_redis_settings(settings)
            });
            ClusterClientBuilder::new(servers)
                .connection_timeout(connect)
                .response_timeout(answer)
                .retries(FOLLOWED)
                .min_retry_wait(WAITS.0)
                .max_retry_wait(WAITS.1)
                .build()
        };
        let config = ClusterConfig::new().set_connection_timeout(connect).set_response_timeout(answer);
        let connection = client(ProtocolVersion::RESP2)?.get_pending_async_connection_with_config(config);
        // Only in this protocol a connection of a cluster hears anything.
        Ok(Self::Cluster { connection, hearing: client(ProtocolVersion::RESP3)? })
    }

    pub(super) async fn listen(&self, channel: &str) -> RedisResult<Listening> {
        match self {
            Self::Server { client, .. } => {
                let mut listening = client.get_async_pubsub().await?;
                listening.subscribe(channel).await?;
                let messages = listening.into_on_message().map(|message| message.get_payload_bytes().to_vec());
                Ok(Listening(messages.boxed()))
            }
            Self::Cluster { hearing, .. } => {
                let (push, pushed) = mpsc::unbounded_channel();
                let config = ClusterConfig::new().set_push_sender(push);
                let mut connection = hearing.get_async_connection_with_config(config).await?;
                connection.subscribe(channel).await?;
                let messages = unfold((connection, pushed), |(connection, mut pushed)| async {
                    loop {
                        let push = pushed.recv().await?;
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
                Ok(Listening(messages.boxed()))
            }
        }
    }
}

impl ConnectionLike for Link {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Server { connection, .. } => connection.req_packed_command(command),
            Self::Cluster { connection, .. } => connection.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        commands: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Server { connection, .. } => connection.req_packed_commands(commands, offset, count),
            Self::Cluster { connection, .. } => connection.req_packed_commands(commands, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Server { connection, .. } => connection.get_db(),
            Self::Cluster { connection, .. } => connection.get_db(),
        }
    }
}
