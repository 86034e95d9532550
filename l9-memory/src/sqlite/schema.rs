//! Versions of the database's form: embedded, forward only, each in one transaction.

use std::path::Path;

use l9_core::{Error, ErrorKind, Result};
use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};

use super::error::fault;

/// Every migration in order; the database's `user_version` is how many it has had.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001.sql"),
    include_str!("migrations/0002.sql"),
    include_str!("migrations/0003.sql"),
    include_str!("migrations/0004.sql"),
    include_str!("migrations/0005.sql"),
    include_str!("migrations/0006.sql"),
    include_str!("migrations/0007.sql"),
    include_str!("migrations/0008.sql"),
    include_str!("migrations/0009.sql"),
    include_str!("migrations/0010.sql"),
    include_str!("migrations/0011.sql"),
    include_str!("migrations/0012.sql"),
    include_str!("migrations/0013.sql"),
    include_str!("migrations/0014.sql"),
    include_str!("migrations/0015.sql"),
    include_str!("migrations/0016.sql"),
    include_str!("migrations/0017.sql"),
    include_str!("migrations/0018.sql"),
];

/// `L9db`: what the file says it is.
const APPLICATION_ID: i64 = 0x4c39_6462;

/// What a database was found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing is in it yet.
    Empty,
    /// It has had this many migrations.
    Version(usize),
}

/// Tells what a database is; writes nothing.
pub(super) async fn find(connection: &mut SqliteConnection, path: &Path) -> Result<Found> {
    let row = sqlx::query(
        "SELECT (SELECT application_id FROM pragma_application_id), (SELECT user_version FROM pragma_user_version), \
         (SELECT count(*) FROM sqlite_schema)",
    )
    .fetch_one(connection)
    .await
    .map_err(|error| fault(path, error))?;
    let get = |at: usize| row.try_get::<i64, _>(at).map_err(|error| fault(path, error));
    let (application, version, tables) = (get(0)?, get(1)?, get(2)?);
    if tables == 0 && application == 0 && version == 0 {
        return Ok(Found::Empty);
    }
    if application != APPLICATION_ID {
        return Err(Error::invalid(format!(
            "{} is the database of another program: name another file in database.path",
            path.display()
        )));
    }
    match usize::try_from(version) {
        Ok(version) if version == 0 || version <= MIGRATIONS.len() => Ok(Found::Version(version)),
        _ => Err(Error::new(
            ErrorKind::Newer,
            format!(
                "the database {} has form {version} and this L9 {} knows up to {}: upgrade L9, nothing was written",
                path.display(),
                env!("CARGO_PKG_VERSION"),
                MIGRATIONS.len()
            ),
        )),
    }
}

/// Brings a database to the newest form. Another process may do so at the same time.
pub(super) async fn migrate(connection: &mut SqliteConnection, path: &Path) -> Result<()> {
    let failed = |error| fault(path, error);
    loop {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        let done = match find(&mut transaction, path).await? {
            Found::Empty => 0,
            Found::Version(version) => version,
        };
        let Some(migration) = MIGRATIONS.get(done) else { return transaction.rollback().await.map_err(failed) };
        sqlx::raw_sql(*migration).execute(&mut *transaction).await.map_err(failed)?;
        let marks = format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {}", done + 1);
        sqlx::raw_sql(AssertSqlSafe(marks)).execute(&mut *transaction).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
    }
}

/// Whether migrations wait.
pub(super) fn is_behind(found: Found) -> bool {
    found != Found::Version(MIGRATIONS.len())
}
