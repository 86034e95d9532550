//! Opening the database, and the connections to it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use l9_core::{Error, ErrorKind, Result};
use secrecy::ExposeSecret;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool};
use tokio::time::timeout;

use super::appender::{self, Appender};
use super::error::fault;
use super::schema::{self, Found};
use super::settings::Settings;

/// A connection that lay idle this long is tried before it is used: the server may
/// have been restarted meanwhile.
const IDLE: Duration = Duration::from_millis(500);

/// How long a server that is asked whether it answers may take.
pub(super) const PING: Duration = Duration::from_millis(1_500);

/// An open database; clones share it.
#[derive(Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

struct Inner {
    connector: Connector,
    key_id: Option<String>,
    found: Found,
    appender: Appender,
    pool: PgPool,
}

/// How to reach the server.
#[derive(Clone)]
pub(super) struct Connector {
    options: PgConnectOptions,
    shown: Arc<str>,
    connecting: Duration,
    answering: Duration,
}

impl Database {
    /// Connects, and makes the tables if there are none. Those that are there are only
    /// looked at: [`Database::bind_key`] brings them up to date once its key is there.
    ///
    /// # Errors
    /// `Newer` for a database of a newer L9, `Invalid` for one of another program, one
    /// that does not exist or a server that is too old, `Denied` for a wrong password or
    /// a server that takes no writes, `Unavailable` when it cannot be reached.
    pub async fn open(settings: &Settings) -> Result<Self> {
        let connector = Connector::new(settings)?;
        let mut connection = connector.connect().await?;
        let looked = look(&mut connection, connector.shown());
        let (found, key_id) = connector.within_result(looked).await?;
        // What is open from now on was opened by the pool.
        drop(connection.close().await);
        let pool = PgPoolOptions::new()
            .max_connections(settings.pool_size.saturating_sub(appender::CONNECTIONS))
            .acquire_timeout(settings.pool_timeout())
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for > IDLE {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(connector.options.clone());
        let appender = Appender::start(&connector);
        Ok(Self { inner: Arc::new(Inner { connector, key_id, found, appender, pool }) })
    }

    /// The root key that the content is sealed under; `None` before the first.
    #[must_use]
    pub fn key_id(&self) -> Option<String> {
        self.inner.key_id.clone()
    }

    /// Says which root key seals the content, and brings the form up to date. To be
    /// called before anything is stored.
    ///
    /// # Errors
    /// `Conflict` when the content is sealed under another key; nothing is written then.
    pub async fn bind_key(&self, key_id: &str) -> Result<()> {
        if let Some(bound) = self.inner.key_id.as_ref().filter(|bound| *bound != key_id) {
            return Err(self.other_key(bound, key_id));
        }
        if schema::is_behind(self.inner.found) {
            let mut connection = self.inner.connector.connect().await?;
            schema::migrate(&mut connection, self.shown()).await?;
            drop(connection.close().await);
        }
        self.within(
            sqlx::query("INSERT INTO meta (name, value) VALUES ('key_id', $1) ON CONFLICT DO NOTHING")
                .bind(key_id)
                .execute(self.pool()),
        )
        .await?;
        let bound: String = self
            .within(sqlx::query_scalar("SELECT value FROM meta WHERE name = 'key_id'").fetch_one(self.pool()))
            .await?;
        if bound == key_id { Ok(()) } else { Err(self.other_key(&bound, key_id)) }
    }

    /// Where the database is, without the password.
    #[must_use]
    pub fn shown(&self) -> &str {
        self.inner.connector.shown()
    }

    /// Finishes what waits to be appended and closes every connection.
    pub async fn close(&self) {
        self.inner.appender.close().await;
        self.inner.pool.close().await;
    }

    pub(super) fn appender(&self) -> &Appender {
        &self.inner.appender
    }

    /// The connections that do not append.
    pub(super) fn pool(&self) -> &PgPool {
        let (size, idle) = (f64::from(self.inner.pool.size()), self.inner.pool.num_idle() as f64);
        metrics::gauge!("database_connection_pool", "state" => "idle").set(idle);
        // The connection that appends is always in use.
        let used = (size - idle).max(0.0) + f64::from(appender::CONNECTIONS);
        metrics::gauge!("database_connection_pool", "state" => "used").set(used);
        &self.inner.pool
    }

    /// What a piece of work gives, if it does in time.
    pub(super) async fn within<T>(&self, work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T> {
        self.inner.connector.within(work).await
    }

    /// A connection of its own, outside of the pool.
    pub(super) async fn connect(&self) -> Result<PgConnection> {
        self.inner.connector.connect().await
    }

    pub(super) fn fault(&self, error: sqlx::Error) -> Error {
        fault(self.shown(), error)
    }

    pub(super) fn mute(&self, waited: Duration) -> Error {
        self.inner.connector.mute(waited)
    }

    fn other_key(&self, bound: &str, given: &str) -> Error {
        Error::new(
            ErrorKind::Conflict,
            format!(
                "the database {} is sealed under root key {bound}, and the key file holds {given}: all nodes of a database share one key file, copy it here",
                self.shown()
            ),
        )
    }
}

impl Connector {
    fn new(settings: &Settings) -> Result<Self> {
        if settings.pool_size <= appender::CONNECTIONS {
            return Err(Error::invalid(format!(
                "the pool's size is {}: use {} or more",
                settings.pool_size,
                appender::CONNECTIONS + 1
            )));
        }
        let options: PgConnectOptions = settings.url.expose_secret().parse().map_err(|error: sqlx::Error| {
            Error::invalid("DATABASE_URL does not parse: use postgresql://USER:PASSWORD@HOST:PORT/DATABASE")
                .caused_by(error)
        })?;
        let place = match options.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => format!("{}:{}", options.get_host(), options.get_port()),
        };
        let name = options.get_database().unwrap_or(options.get_username());
        let shown = format!("postgresql://{place}/{name}").into();
        let options = match options.get_application_name() {
            Some(_) => options,
            None => options.application_name("l9"),
        };
        Ok(Self {
            options: options.disable_statement_logging(),
            shown,
            connecting: settings.pool_timeout(),
            answering: settings.answer_timeout(),
        })
    }

    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// A connection of its own, outside of the pool.
    pub(super) async fn connect(&self) -> Result<PgConnection> {
        match timeout(self.connecting, self.options.connect()).await {
            Ok(connected) => connected.map_err(|error| fault(&self.shown, error)),
            Err(_) => Err(Error::unavailable(format!(
                "the database {} let no connection in within {} ms: check its host and port",
                self.shown,
                self.connecting.as_millis()
            ))),
        }
    }

    /// A connection for appends. Their statement is planned once, for that takes longer
    /// than carrying it out, and joins small arrays with the index of the runs: a plan
    /// that was made while there were few runs must do so as well.
    pub(super) async fn connect_to_append(&self) -> Result<PgConnection> {
        let mut connection = self.connect().await?;
        self.within(
            sqlx::raw_sql(
                "SET jit = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_seqscan = off",
            )
            .execute(&mut connection),
        )
        .await?;
        Ok(connection)
    }

    /// How long an answer may take.
    pub(super) fn answering(&self) -> Duration {
        self.answering
    }

    /// What a piece of work gives, if it does in time.
    pub(super) async fn within<T>(&self, work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T> {
        // In a box: what is waited for is large, and so is everybody who waits.
        Box::pin(self.within_result(async { work.await.map_err(|error| fault(&self.shown, error)) })).await
    }

    pub(super) async fn within_result<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        timeout(self.answering, work).await.unwrap_or_else(|_| Err(self.mute(self.answering)))
    }

    /// The error of a server that does not answer.
    pub(super) fn mute(&self, waited: Duration) -> Error {
        Error::unavailable(format!("the database {} did not answer within {} ms", self.shown, waited.as_millis()))
    }
}

/// Tells what is there, and makes the tables if nothing is.
async fn look(connection: &mut PgConnection, shown: &str) -> Result<(Found, Option<String>)> {
    schema::check_server(connection, shown).await?;
    let mut found = schema::find(connection, shown).await?;
    if found == Found::Empty {
        schema::migrate(connection, shown).await?;
        found = schema::find(connection, shown).await?;
    }
    let key_id = sqlx::query_scalar("SELECT value FROM meta WHERE name = 'key_id'")
        .fetch_optional(connection)
        .await
        .map_err(|error| fault(shown, error))?;
    Ok((found, key_id))
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("url", &self.shown())
            .field("key_id", &self.inner.key_id)
            .finish_non_exhaustive()
    }
}
