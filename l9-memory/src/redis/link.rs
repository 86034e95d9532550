//! The way to a server, or to the servers of a cluster.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::BoxStream;
use futures_util::{FutureExt as _, StreamExt as _};
use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Cmd, ConnectionInfo, ErrorKind, Pipeline, RedisFuture, RedisResult, Value};
use tokio::time::timeout;

use super::cluster::Cluster;
use super::error::late;

/// How often a lost connection is tried anew before a request fails.
const RETRIES: usize = 1;

/// Who listens to a channel, over a connection of its own.
pub(super) struct Listening(BoxStream<'static, Vec<u8>>);

impl Listening {
    /// The next message; nothing once the connection is lost.
    pub(super) async fn next(&mut self) -> Option<Vec<u8>> {
        self.0.next().await
    }
}

/// What clones share, and comes back by itself.
#[derive(Clone)]
pub(super) enum Link {
    Server(Box<Single>),
    Cluster(Arc<Cluster>),
}

/// One server.
#[derive(Clone)]
pub(super) struct Single {
    connection: ConnectionManager,
    client: Client,
    /// How long a connection of its own may take to come up.
    connect: Duration,
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
        Ok(Self::Server(Box::new(Single { connection, client, connect })))
    }

    /// To the cluster that these servers belong to.
    pub(super) fn cluster(servers: Vec<ConnectionInfo>, connect: Duration, answer: Duration) -> RedisResult<Self> {
        Ok(Self::Cluster(Arc::new(Cluster::new(servers, connect, answer)?)))
    }

    /// What is said in a channel from now on, over a connection of its own.
    pub(super) async fn listen(&self, channel: &str) -> RedisResult<Listening> {
        match self {
            Self::Server(single) => {
                let listen = async {
                    let mut listening = single.client.get_async_pubsub().await?;
                    listening.subscribe(channel).await?;
                    let messages = listening.into_on_message().map(|message| message.get_payload_bytes().to_vec());
                    Ok(Listening(messages.boxed()))
                };
                timeout(single.connect, listen).await.unwrap_or_else(|_| Err(late()))
            }
            Self::Cluster(cluster) => cluster.listen(channel).await.map(Listening),
        }
    }
}

impl ConnectionLike for Link {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Server(single) => single.connection.req_packed_command(command),
            Self::Cluster(cluster) => cluster.ask(command).boxed(),
        }
    }

    /// Nothing is asked in pipelines, whose commands might have to go to several servers.
    fn req_packed_commands<'a>(
        &'a mut self,
        commands: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Server(single) => single.connection.req_packed_commands(commands, offset, count),
            Self::Cluster(_) => {
                let no = "a cluster is asked one thing at a time";
                std::future::ready(Err((ErrorKind::InvalidClientConfig, no).into())).boxed()
            }
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Server(single) => single.connection.get_db(),
            Self::Cluster(_) => 0,
        }
    }
}
