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
const NOTADB: i32 = 26;

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
