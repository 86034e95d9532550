//! Versions of the database's form: embedded, forward only, each in one transaction.

use l9_core::{Error, ErrorKind, Result};
use sqlx::{Connection, PgConnection};

use super::error::{fault, read_only};

/// Every migration in order; `version` in `meta` is how many the database has had.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001.sql"),
    include_str!("migrations/0002.sql"),
    include_str!("migrations/0003.sql"),
    include_str!("migrations/0004.sql"),
    include_str!("migrations/0005.sql"),
    include_str!("migrations/0006.sql"),
    include_str!("migrations/0007.sql"),
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

/// The oldest server that is known to do all that is asked of it, in the form of
/// `server_version_num`.
const OLDEST_SERVER: i32 = 140_000;

/// Whoever migrates holds the advisory lock of this number: `L9db`.
const MIGRATING: i64 = 0x4c39_6462;

/// What a database was found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing is in it yet.
    Empty,
    /// It has had this many migrations.
    Version(usize),
}

/// Refuses a server that is too old or takes no writes.
pub(super) async fn check_server(connection: &mut PgConnection, shown: &str) -> Result<()> {
    let (version, name, idle): (i32, String, bool) = sqlx::query_as(
        "SELECT current_setting('server_version_num')::int, current_setting('server_version'), \
         pg_is_in_recovery() OR current_setting('transaction_read_only')::bool",
    )
    .fetch_one(connection)
    .await
    .map_err(|error| fault(shown, error))?;
    if version < OLDEST_SERVER {
        return Err(Error::invalid(format!(
            "the database {shown} is PostgreSQL {name}: use version {} or newer",
            OLDEST_SERVER / 10_000
        )));
    }
    if idle { Err(Error::new(ErrorKind::Denied, read_only(shown))) } else { Ok(()) }
}

/// Tells what a database is; writes nothing.
pub(super) async fn find(connection: &mut PgConnection, shown: &str) -> Result<Found> {
    let failed = |error| fault(shown, error);
    // What an extension brought is nobody's.
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace \
         AND c.relkind IN ('r', 'p', 'v', 'm', 'f') \
         AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')",
    )
    .fetch_all(&mut *connection)
    .await
    .map_err(failed)?;
    if tables.is_empty() {
        return Ok(Found::Empty);
    }
    let foreign = || {
        Error::invalid(format!(
            "the database {shown} holds the tables of another program: make one for L9 and name it in DATABASE_URL"
        ))
    };
    if !["meta", "runs", "records"].iter().all(|ours| tables.iter().any(|table| table == ours)) {
        return Err(foreign());
    }
    let meta: Vec<(String, String)> =
        match sqlx::query_as("SELECT name::text, value::text FROM meta").fetch_all(connection).await {
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42703") => return Err(foreign()),
            read => read.map_err(failed)?,
        };
    let get = |wanted: &str| meta.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    if get("application") != Some("l9") {
        return Err(foreign());
    }
    let version = get("version").unwrap_or("0");
    match version.parse::<usize>() {
        Ok(version) if version <= MIGRATIONS.len() => Ok(Found::Version(version)),
        _ => Err(Error::new(
            ErrorKind::Newer,
            format!(
                "the database {shown} has form {version} and this L9 {} knows up to {}: upgrade L9, nothing was written",
                env!("CARGO_PKG_VERSION"),
                MIGRATIONS.len()
            ),
        )),
    }
}

/// Brings a database to the newest form. Another node may want to at the same time.
pub(super) async fn migrate(connection: &mut PgConnection, shown: &str) -> Result<()> {
    let failed = |error| fault(shown, error);
    loop {
        let mut transaction = connection.begin().await.map_err(failed)?;
        lock(&mut transaction).await.map_err(failed)?;
        let done = match find(&mut transaction, shown).await? {
            Found::Empty => 0,
            Found::Version(version) => version,
        };
        let Some(migration) = MIGRATIONS.get(done) else { return transaction.rollback().await.map_err(failed) };
        sqlx::raw_sql(*migration).execute(&mut *transaction).await.map_err(failed)?;
        sqlx::query(
            "INSERT INTO meta (name, value) VALUES ('version', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )
        .bind((done + 1).to_string())
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
    }
}

/// Keeps others from changing the database's form until the transaction ends.
pub(super) async fn lock(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(MIGRATING).execute(connection).await.map(drop)
}

/// Whether migrations wait.
pub(super) fn is_behind(found: Found) -> bool {
    found != Found::Version(MIGRATIONS.len())
}
