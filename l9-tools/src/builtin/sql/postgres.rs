//! Reading a PostgreSQL database.
//!
//! A statement becomes the query of a cursor, within a read-only transaction that has its
//! snapshot already. PostgreSQL's own grammar lets a cursor be opened for one query only,
//! without data-modifying `WITH`; a transaction with a snapshot cannot be made to write any
//! more. What functions may do beyond that is up to the role, so a mighty role is refused.

mod parameters;

use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::TryStreamExt as _;
use l9_core::tool::ToolFault;
use l9_core::{Error, Result};
use secrecy::ExposeSecret;
use sqlx::postgres::{PgColumn, PgConnectOptions, PgConnection, PgRow};
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions as _, Connection as _, Executor as _, Row as _, Statement as _,
    TypeInfo as _,
};
use tokio::time::timeout;

use super::answer::{Answer, Cell, Column};
use super::engine::{Engine, Question, late, not_one_query, said, unreachable};
use super::settings::Settings;

/// How long a connection may take to come about, and to go away.
const CONNECTING: Duration = Duration::from_secs(5);
const CLOSING: Duration = Duration::from_secs(1);
/// How much later than the server this side gives a query up.
const GRACE: Duration = Duration::from_secs(2);

/// What of a role's rights, and of those of the roles it may become, goes beyond reading. One that has any could read the server's
/// files, run its programs, end other sessions or connect elsewhere, all within a SELECT.
const MIGHT: &str = "
    SELECT pg_catalog.concat_ws(', ',
        CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_roles AS above
                           WHERE above.rolsuper AND pg_catalog.pg_has_role(role.oid, above.oid, 'MEMBER'))
             THEN 'superuser' END,
        CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_roles AS above
                           WHERE above.rolreplication AND NOT role.rolsuper
                             AND pg_catalog.pg_has_role(role.oid, above.oid, 'MEMBER'))
             THEN 'replication' END,
        (SELECT pg_catalog.string_agg(mighty.rolname::pg_catalog.text, ', ') FROM pg_catalog.pg_roles AS mighty
          WHERE mighty.rolname IN ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files',
                                   'pg_signal_backend', 'pg_write_all_data', 'pg_maintain', 'pg_checkpoint')
            AND NOT role.rolsuper AND pg_catalog.pg_has_role(role.oid, mighty.oid, 'MEMBER')),
        (SELECT 'functions of ' || pg_catalog.string_agg(DISTINCT extension.extname::pg_catalog.text, ' and ')
           FROM pg_catalog.pg_extension AS extension
           JOIN pg_catalog.pg_depend AS part ON part.refobjid = extension.oid AND part.deptype = 'e'
           JOIN pg_catalog.pg_proc AS function ON function.oid = part.objid
          WHERE extension.extname IN ('dblink', 'adminpack')
            AND NOT role.rolsuper
            -- Without a connection there is nothing that dblink could do.
            AND function.proname IN ('dblink_connect', 'dblink_connect_u', 'dblink', 'dblink_exec', 'pg_file_write')
            AND pg_catalog.has_function_privilege(role.oid, function.oid, 'EXECUTE')))
    FROM pg_catalog.pg_roles AS role WHERE role.rolname = SESSION_USER";

/// A PostgreSQL database.
#[derive(Debug)]
pub(super) struct Postgres {
    name: String,
    options: PgConnectOptions,
    settings: Settings,
}

impl Postgres {
    /// # Errors
    /// `Invalid` for an address that does not parse.
    pub(super) fn new(name: &str, settings: &Settings) -> Result<Self> {
        let options: PgConnectOptions = settings.url.expose_secret().parse().map_err(|error: sqlx::Error| {
            let mend = "use postgresql://USER:PASSWORD@HOST:PORT/DATABASE";
            Error::invalid(format!("tools.databases.{name}.url does not parse: {mend}")).caused_by(error)
        })?;
        let most = settings.timeout_ms.to_string();
        let options = options
            .application_name("l9 sql/query")
            .statement_cache_capacity(0)
            .options([
                ("default_transaction_read_only", "on"),
                ("statement_timeout", &most),
                ("lock_timeout", &most),
                ("idle_in_transaction_session_timeout", &most),
                ("DateStyle", "ISO"),
                ("TimeZone", "UTC"),
                ("bytea_output", "hex"),
            ])
            .disable_statement_logging();
        Ok(Self { name: name.to_owned(), options, settings: settings.clone() })
    }

    async fn connect(&self) -> Result<PgConnection, ToolFault> {
        let name = &self.name;
        match timeout(CONNECTING, self.options.connect()).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(unreachable(format!("no connection to {name}: {error}"))),
            Err(_) => Err(unreachable(format!("no connection to {name} within {} s", CONNECTING.as_secs()))),
        }
    }

    /// Begins to read: the snapshot is taken here, and nothing can make the transaction write
    /// afterwards.
    async fn begin(&self, connection: &mut PgConnection) -> Result<(), ToolFault> {
        let fault = |error| self.refused(error);
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await.map_err(fault)?;
        let might: String = sqlx::query_scalar(MIGHT).fetch_one(&mut *connection).await.map_err(fault)?;
        if might.is_empty() {
            return Ok(());
        }
        let name = &self.name;
        Err(ToolFault::new(
            "failed",
            format!(
                "the role of the database {name} can do more than read ({might}), and is not used: have a role made with \
                 CREATE ROLE … LOGIN, granted CONNECT, USAGE and SELECT only, and named in tools.databases.{name}.url"
            ),
        ))
    }

    async fn read(&self, connection: &mut PgConnection, question: Question) -> Result<Answer, ToolFault> {
        let fault = |error| self.refused(error);
        self.begin(connection).await?;
        let sql = question.sql.trim_end_matches(|last: char| last == ';' || last.is_whitespace()).to_owned();
        // By itself first: only then is it sure that it does not reach out of the cursor's query.
        let statement = self.prepare(connection, &sql, &question.params).await?;
        let columns = statement.columns();
        if columns.is_empty() {
            return Err(not_one_query());
        }
        let kinds: Vec<String> = columns.iter().map(kind).collect();
        let described = columns.iter().zip(&kinds);
        let described = described.map(|(column, kind)| Column { name: column.name().to_owned(), kind: kind.clone() });
        let mut answer = Answer::new(described.collect(), question.rows);
        let arguments = self.bind(connection, &statement, &question.params).await?;
        let open = AssertSqlSafe(cursor(&sql, &kinds, answer.value_bytes() + 1));
        sqlx::query_with(open, arguments).persistent(false).execute(&mut *connection).await.map_err(fault)?;
        let fetch = AssertSqlSafe(format!("FETCH FORWARD {} FROM l9_answer", answer.most() + 1));
        let mut rows = sqlx::query(fetch).persistent(false).fetch(connection);
        while let Some(row) = rows.try_next().await.map_err(fault)? {
            if !answer.add(cells(&row, &kinds)?) {
                break;
            }
        }
        Ok(answer)
    }

    /// Why a statement was not carried out.
    fn refused(&self, error: sqlx::Error) -> ToolFault {
        match error {
            sqlx::Error::Database(error) => match error.code().as_deref() {
                Some("57014") => late(&self.settings),
                Some("57P01" | "57P02" | "57P03" | "53300") => {
                    unreachable(format!("the database says: {}", error.message()))
                }
                Some(code) => said(format!("{} (SQLSTATE {code})", error.message())),
                None => said(error.message()),
            },
            error => unreachable(format!("the database {} failed: {error}", self.name)),
        }
    }
}

#[async_trait]
impl Engine for Postgres {
    async fn ask(&self, question: Question) -> Result<Answer, ToolFault> {
        let mut connection = self.connect().await?;
        let read = timeout(self.settings.timeout() + GRACE, Box::pin(self.read(&mut connection, question))).await;
        // The session goes with all that it may hold; what still runs there ends by its timeout.
        drop(timeout(CLOSING, connection.close()).await);
        read.unwrap_or_else(|_| Err(late(&self.settings)))
    }
}

/// The statement that opens the cursor. Every value comes as a text, cut by the server, so
/// that none larger than that ever leaves it.
fn cursor(sql: &str, kinds: &[String], most: usize) -> String {
    let names: Vec<String> = (1..=kinds.len()).map(|at| format!("c{at}")).collect();
    let texts = names.iter().zip(kinds).map(|(name, kind)| match kind.as_str() {
        "bytea" => format!("pg_catalog.encode(pg_catalog.substr({name}, 1, {}), 'base64')", most / 4 * 3 + 1),
        _ => format!("pg_catalog.\"left\"({name}::pg_catalog.text, {most})"),
    });
    let (texts, names) = (texts.collect::<Vec<_>>().join(", "), names.join(", "));
    // On a line of its own, or a comment at its end would swallow the rest.
    format!("DECLARE l9_answer NO SCROLL CURSOR FOR SELECT {texts} FROM (\n{sql}\n) AS answer({names})")
}

fn kind(column: &PgColumn) -> String {
    column.type_info().name().to_lowercase()
}

fn cells(row: &PgRow, kinds: &[String]) -> Result<Vec<Cell>, ToolFault> {
    let texts = kinds.iter().enumerate().map(|(at, kind)| {
        let text: Option<String> = row.try_get(at).map_err(said)?;
        Ok(text.map_or(Cell::Null, |text| cell(text, kind)))
    });
    texts.collect()
}

/// A value by its text and its type; what has no form of its own stays a text.
fn cell(text: String, kind: &str) -> Cell {
    let known = match kind {
        "int2" | "int4" | "int8" | "oid" => text.parse().ok().map(Cell::Integer),
        "float4" | "float8" => text.parse().ok().map(Cell::Real),
        "bool" => Some(Cell::Flag(text == "true")),
        "bytea" => STANDARD.decode(text.replace('\n', "")).ok().map(Cell::Bytes),
        _ => None,
    };
    known.unwrap_or(Cell::Text(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_becomes_the_query_of_a_cursor() {
        let kinds = ["int8".to_owned(), "bytea".to_owned()];
        assert_eq!(
            cursor("SELECT 1, 'x'::bytea -- two", &kinds, 101),
            "DECLARE l9_answer NO SCROLL CURSOR FOR SELECT pg_catalog.\"left\"(c1::pg_catalog.text, 101), \
             pg_catalog.encode(pg_catalog.substr(c2, 1, 76), 'base64') FROM (\nSELECT 1, 'x'::bytea -- two\n) AS answer(c1, c2)"
        );
    }

    #[test]
    fn texts_become_values_by_their_types() {
        for (text, kind, cell) in [
            ("-7", "int4", Cell::Integer(-7)),
            ("1.10", "numeric", Cell::Text("1.10".into())),
            ("0.1", "float8", Cell::Real(0.1)),
            ("false", "bool", Cell::Flag(false)),
            ("AP8=\n", "bytea", Cell::Bytes(vec![0, 255])),
            ("2026-01-01", "date", Cell::Text("2026-01-01".into())),
        ] {
            assert_eq!(super::cell(text.into(), kind), cell);
        }
    }
}
