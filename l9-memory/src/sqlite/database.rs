//! Opening the file, and the connections to it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use l9_core::{Error, ErrorKind, Result};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, SqliteConnection, SqlitePool};

use super::error::fault;
use super::schema::{self, Found};
use super::settings::{Settings, Synchronous};
use super::writer::Writer;

/// An open database; clones share it.
#[derive(Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    key_id: Option<String>,
    found: Found,
    writer: Writer,
    readers: SqlitePool,
}

impl Database {
    /// Opens the file, or makes it and its folder. An existing one is only looked at:
    /// [`Database::bind_key`] brings it up to date once its key is there.
    ///
    /// # Errors
    /// `Newer` for a file of a newer L9, `Corrupt` for a damaged one, `Invalid` for one
    /// of another program, `Unavailable` while another process locks it, `Denied` or
    /// `Exhausted` when it cannot be made.
    pub async fn open(settings: &Settings) -> Result<Self> {
        let path = settings.path.clone();
        make_folder(&path)?;
        let mut connection = write_options(settings).connect().await.map_err(|error| fault(&path, error))?;
        let mut found = schema::find(&mut connection, &path).await?;
        if found == Found::Empty {
            schema::migrate(&mut connection, &path).await?;
            found = schema::find(&mut connection, &path).await?;
        }
        let key_id = read_key_id(&mut connection, &path).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(settings.read_pool_size.max(1))
            .acquire_timeout(settings.busy_timeout().max(std::time::Duration::from_secs(1)))
            .test_before_acquire(false)
            .connect_lazy_with(read_options(settings));
        let writer = Writer::start(connection, path.clone().into());
        Ok(Self { inner: Arc::new(Inner { path, key_id, found, writer, readers }) })
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
        let given = key_id.to_owned();
        if let Some(bound) = self.inner.key_id.as_ref().filter(|bound| **bound != given) {
            return Err(self.other_key(bound, &given));
        }
        if schema::is_behind(self.inner.found) {
            let path = self.inner.path.clone();
            self.writer()
                .alone(move |connection| Box::pin(async move { schema::migrate(connection, &path).await }))
                .await?;
        }
        let mine = given.clone();
        let bound = self
            .writer()
            .grouped(None, 1, move |connection| {
                Box::pin(async move {
                    sqlx::query("INSERT INTO meta (name, value) VALUES ('key_id', ?) ON CONFLICT DO NOTHING")
                        .bind(mine)
                        .execute(&mut *connection)
                        .await?;
                    let bound: String = sqlx::query_scalar("SELECT value FROM meta WHERE name = 'key_id'")
                        .fetch_one(connection)
                        .await?;
                    Ok(Ok(bound))
                })
            })
            .await?;
        if bound == given { Ok(()) } else { Err(self.other_key(&bound, &given)) }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Finishes what waits to be written and closes every connection.
    pub async fn close(&self) {
        self.inner.writer.close().await;
        self.inner.readers.close().await;
    }

    pub(super) fn writer(&self) -> &Writer {
        &self.inner.writer
    }

    /// The connections that read.
    pub(super) fn readers(&self) -> &SqlitePool {
        let (size, idle) = (f64::from(self.inner.readers.size()), self.inner.readers.num_idle() as f64);
        metrics::gauge!("database_connection_pool", "state" => "idle").set(idle);
        // The writer's connection is always in use.
        metrics::gauge!("database_connection_pool", "state" => "used").set((size - idle).max(0.0) + 1.0);
        &self.inner.readers
    }

    pub(super) fn fault(&self, error: sqlx::Error) -> Error {
        fault(&self.inner.path, error)
    }

    fn other_key(&self, bound: &str, given: &str) -> Error {
        Error::new(
            ErrorKind::Conflict,
            format!(
                "the database {} is sealed under root key {bound}, and the key file holds {given}: restore the key file from its backup",
                self.inner.path.display()
            ),
        )
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("path", &self.inner.path)
            .field("key_id", &self.inner.key_id)
            .finish_non_exhaustive()
    }
}

fn write_options(settings: &Settings) -> SqliteConnectOptions {
    let synchronous = match settings.synchronous {
        Synchronous::Full => SqliteSynchronous::Full,
        Synchronous::Normal => SqliteSynchronous::Normal,
    };
    SqliteConnectOptions::new()
        .filename(&settings.path)
        .create_if_missing(true)
        .busy_timeout(settings.busy_timeout())
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous)
        .foreign_keys(true)
        .pragma("cache_size", "-16384")
        // What is removed is overwritten, so that the file does not keep it.
        .pragma("secure_delete", "on")
        // Or every large statement would make a file for its own undoing.
        .pragma("temp_store", "memory")
        .statement_cache_capacity(512)
        .row_buffer_size(1024)
        .disable_statement_logging()
}

fn read_options(settings: &Settings) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(&settings.path)
        .create_if_missing(false)
        .busy_timeout(settings.busy_timeout())
        .pragma("query_only", "on")
        .row_buffer_size(512)
        .disable_statement_logging()
}

fn make_folder(path: &Path) -> Result<()> {
    let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) else { return Ok(()) };
    std::fs::create_dir_all(folder).map_err(|error| {
        let kind = match error.kind() {
            std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Denied,
            std::io::ErrorKind::StorageFull => ErrorKind::Exhausted,
            _ => ErrorKind::Unavailable,
        };
        Error::new(kind, format!("the database's folder {} cannot be made", folder.display())).caused_by(error)
    })
}

async fn read_key_id(connection: &mut SqliteConnection, path: &Path) -> Result<Option<String>> {
    sqlx::query_scalar("SELECT value FROM meta WHERE name = 'key_id'")
        .fetch_optional(connection)
        .await
        .map_err(|error| fault(path, error))
}
