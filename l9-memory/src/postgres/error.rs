//! PostgreSQL's faults as kinds that say what to do about them.

use l9_core::{Error, ErrorKind};

/// What a fault of the database shown as `shown` (never with its password) means.
/// Codes are SQLSTATEs, <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
pub(super) fn fault(shown: &str, error: sqlx::Error) -> Error {
    let (kind, message) = match code(&error).as_deref() {
        Some(code) => of_code(shown, code),
        None => without_code(shown, &error),
    };
    Error::new(kind, message).caused_by(error)
}

fn of_code(shown: &str, code: &str) -> (ErrorKind, String) {
    match code {
        "28P01" | "28000" => {
            (ErrorKind::Denied, format!("the database {shown} refuses the user or password: mend them in DATABASE_URL"))
        }
        "3D000" => (ErrorKind::Invalid, format!("the database {shown} does not exist: create it, or name another")),
        "42501" => (
            ErrorKind::Denied,
            format!("the database {shown} does not let its user do this: make the user the owner of L9's tables"),
        ),
        "25006" => (ErrorKind::Denied, read_only(shown)),
        "42P01" | "42703" => {
            (ErrorKind::Corrupt, format!("a table of the database {shown} is missing: restore it from a backup"))
        }
        "53100" => (ErrorKind::Exhausted, format!("the disk of the database {shown} is full: free some space")),
        "53300" => (
            ErrorKind::Unavailable,
            format!("the database {shown} has no connection left: raise its max_connections, or lower the pool's size"),
        ),
        "57P01" | "57P02" | "57P03" => {
            (ErrorKind::Unavailable, format!("the database {shown} is stopping or starting: wait for it"))
        }
        "57014" => (ErrorKind::Unavailable, format!("the database {shown} gave a statement up: it took too long")),
        "L9K01" => (
            ErrorKind::Unavailable,
            format!(
                "sealed under a root key that was retired in the database {shown}: try again, or copy the newest root key file here"
            ),
        ),
        // A text that no column can hold; nothing of that kind was ever stored.
        "22021" | "22P05" => (ErrorKind::Invalid, "a text holds a zero byte: leave it out".to_owned()),
        code if code.starts_with("XX") => {
            (ErrorKind::Corrupt, format!("the database {shown} is damaged ({code}): restore it from a backup"))
        }
        code => (ErrorKind::Unavailable, format!("the database {shown} failed ({code})")),
    }
}

fn without_code(shown: &str, error: &sqlx::Error) -> (ErrorKind, String) {
    match error {
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnIndexOutOfBounds { .. } => {
            (ErrorKind::Corrupt, format!("a row of the database {shown} cannot be read: restore it from a backup"))
        }
        sqlx::Error::PoolTimedOut => (
            ErrorKind::Unavailable,
            format!(
                "no connection to the database {shown} came free in time: is it running? else raise the pool's size"
            ),
        ),
        sqlx::Error::PoolClosed => (ErrorKind::Unavailable, "the database is closed".to_owned()),
        sqlx::Error::Tls(_) => (
            ErrorKind::Unavailable,
            format!("the database {shown} offers no TLS that can be trusted: check its certificate and sslmode"),
        ),
        sqlx::Error::Io(_) => {
            (ErrorKind::Unavailable, format!("the database {shown} cannot be reached: is it running there?"))
        }
        _ => (ErrorKind::Unavailable, format!("the database {shown} failed")),
    }
}

/// The refusal of a server that takes no writes.
pub(super) fn read_only(shown: &str) -> String {
    format!("the database {shown} is read-only or a standby: name the primary server in DATABASE_URL")
}

/// The same refusal for everybody whose work shared a statement.
pub(super) fn again(error: &Error) -> Error {
    Error::new(error.kind(), error.message())
}

/// Whether the connection is of no more use.
pub(super) fn is_of_connection(error: &sqlx::Error) -> bool {
    // A statement that the server refused leaves its connection whole, but for the
    // refusals with which a server takes its leave.
    code(error).is_none_or(|code| code.starts_with("57P") || code.starts_with("08") || code == "25006")
}

fn code(error: &sqlx::Error) -> Option<String> {
    error.as_database_error()?.code().map(|code| code.into_owned())
}
