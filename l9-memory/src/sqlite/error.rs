//! SQLite's faults as kinds that say what to do about them.

use std::path::Path;

use l9_core::{Error, ErrorKind};

/// Primary result codes, <https://www.sqlite.org/rescode.html>.
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const READONLY: i32 = 8;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const CANTOPEN: i32 = 14;
const CONSTRAINT: i32 = 19;
const NOTADB: i32 = 26;

/// What the triggers say that refuse a retired key.
pub(super) const RETIRED: &str = "sealed under a root key that was retired";

/// What a fault of the database at `path` means.
pub(super) fn fault(path: &Path, error: sqlx::Error) -> Error {
    let shown = path.display();
    let (kind, message) = match code(&error) {
        Some(BUSY | LOCKED) => (
            ErrorKind::Unavailable,
            format!("the database {shown} is locked by another process: wait for it, or raise busy_timeout_ms"),
        ),
        Some(READONLY) => (
            ErrorKind::Denied,
            format!("the database {shown} cannot be written: make the file and its folder writable"),
        ),
        Some(CORRUPT) => (ErrorKind::Corrupt, format!("the database {shown} is damaged: restore it from a backup")),
        Some(NOTADB) => (
            ErrorKind::Corrupt,
            format!("{shown} is not a SQLite database, or its beginning is damaged: restore it from a backup"),
        ),
        Some(FULL) => (ErrorKind::Exhausted, format!("the disk of the database {shown} is full: free some space")),
        Some(CONSTRAINT) if error.to_string().contains(RETIRED) => (
            ErrorKind::Unavailable,
            format!("{RETIRED} in the database {shown}: try again, or copy the newest root key file here"),
        ),
        Some(CANTOPEN) => (
            ErrorKind::Denied,
            format!("the database {shown} cannot be opened: check that its folder can be read and written"),
        ),
        _ if is_undecodable(&error) => {
            (ErrorKind::Corrupt, format!("a row of the database {shown} cannot be read: restore it from a backup"))
        }
        _ => (ErrorKind::Unavailable, format!("the database {shown} failed")),
    };
    Error::new(kind, message).caused_by(error)
}

/// The same refusal for everybody whose work shared a transaction.
pub(super) fn again(error: &Error) -> Error {
    Error::new(error.kind(), error.to_string())
}

fn is_undecodable(error: &sqlx::Error) -> bool {
    matches!(
        error,
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnIndexOutOfBounds { .. }
    )
}

fn code(error: &sqlx::Error) -> Option<i32> {
    let code: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::{ConnectOptions, SqliteConnection};

    async fn failing(connection: &mut SqliteConnection, sql: &'static str) -> Error {
        let error = sqlx::raw_sql(sql).execute(connection).await.unwrap_err();
        fault(Path::new("data/l9.db"), error)
    }

    #[tokio::test]
    async fn faults_say_what_to_do() {
        let options = sqlx::sqlite::SqliteConnectOptions::new().in_memory(true);
        let mut connection = options.connect().await.unwrap();
        let tables = "CREATE TABLE a (b); PRAGMA max_page_count = 3";
        sqlx::raw_sql(tables).execute(&mut connection).await.unwrap();
        let full = failing(&mut connection, "INSERT INTO a VALUES (zeroblob(100000))").await;
        assert_eq!((full.kind(), full.to_string().contains("free some space")), (ErrorKind::Exhausted, true), "{full}");
        sqlx::raw_sql("PRAGMA query_only = on").execute(&mut connection).await.unwrap();
        let readonly = failing(&mut connection, "INSERT INTO a VALUES (1)").await;
        assert_eq!(readonly.kind(), ErrorKind::Denied, "{readonly}");
        assert!(readonly.to_string().contains("data/l9.db"), "{readonly}");
    }
}
