//! One query over a connection that can only read, and that stops when nobody waits for it
//! any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use l9_core::tool::ToolFault;
use serde_json::Value;
use sqlx::error::BoxDynError;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteRow, SqliteStatement, SqliteValueRef,
};
use sqlx::{
    Arguments as _, AssertSqlSafe, Column as _, ConnectOptions as _, Connection as _, Decode, Either, Executor as _,
    Row as _, SqlSafeStr as _, Statement as _, TypeInfo as _, ValueRef as _,
};

use super::guard::{guard, parameters};
use crate::builtin::sql::answer::{Answer, Cell, Column};
use crate::builtin::sql::engine::{Engine, Question, late, miscounted, not_one_query, said, unreachable};
use crate::builtin::sql::settings::Settings;

/// Steps of SQLite's machine between two looks at whether somebody still waits.
const STEPS: i32 = 1_000;

/// The code of what the authorizer says no to.
const SQLITE_AUTH: &str = "23";

/// A SQLite file.
#[derive(Debug)]
pub(in crate::builtin::sql) struct Sqlite {
    options: SqliteConnectOptions,
    settings: Settings,
}

impl Sqlite {
    pub(in crate::builtin::sql) fn new(path: &str, settings: &Settings) -> Self {
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        let options = SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            .create_if_missing(false)
            .pragma("query_only", "ON")
            .busy_timeout(settings.timeout())
            // Rows wait one at a time: each may be large.
            .row_buffer_size(1)
            .statement_cache_capacity(0)
            .thread_name(|id| format!("l9-sql-{id}"))
            .disable_statement_logging();
        Self { options, settings: settings.clone() }
    }

    async fn connect(&self, stop: &Stop) -> Result<SqliteConnection, ToolFault> {
        let fault = |error: sqlx::Error| unreachable(format!("the database cannot be opened: {error}"));
        let mut connection = self.options.connect().await.map_err(fault)?;
        let mut handle = connection.lock_handle().await.map_err(fault)?;
        guard(handle.as_raw_handle())
            .map_err(|code| unreachable(format!("the database cannot be guarded (SQLite says {code})")))?;
        let stopped = Arc::clone(&stop.0);
        handle.set_progress_handler(STEPS, move || !stopped.load(Ordering::Relaxed));
        drop(handle);
        Ok(connection)
    }

    async fn read(&self, question: Question) -> Result<Answer, ToolFault> {
        let stop = Stop::default();
        let mut connection = self.connect(&stop).await?;
        let sql = AssertSqlSafe(question.sql.clone()).into_sql_str();
        let statement = (&mut connection).prepare(sql).await.map_err(refused)?;
        let columns = statement.columns().iter().map(|column| {
            let kind = match column.type_info().name() {
                "NULL" => String::new(),
                name => name.to_lowercase(),
            };
            Column { name: column.name().to_owned(), kind }
        });
        let columns: Vec<Column> = columns.collect();
        if columns.is_empty() {
            return Err(not_one_query());
        }
        let mut answer = Answer::new(columns, question.rows);
        let mut handle = connection.lock_handle().await.map_err(refused)?;
        let names = parameters(handle.as_raw_handle(), &question.sql);
        drop(handle);
        numbered(&names.map_err(|code| said(format!("the parameters have no names (SQLite says {code})")))?)?;
        let (wanted, given) = (count(&statement), question.params.len());
        if wanted != given {
            return Err(miscounted(wanted, given, "?1"));
        }
        let arguments = bind(&question.params)?;
        let mut events = (&mut connection).fetch_many(statement.query_with(arguments));
        let mut ended = false;
        while let Some(event) = events.try_next().await.map_err(refused)? {
            match event {
                // Another statement stands behind the first one.
                _ if ended => return Err(not_one_query()),
                Either::Left(_) => ended = true,
                Either::Right(row) => {
                    if !answer.add(cells(&row)?) {
                        break;
                    }
                }
            }
        }
        drop(events);
        // What still runs ends now, and closing waits for it.
        drop(stop);
        drop(connection.close().await);
        Ok(answer)
    }
}

#[async_trait]
impl Engine for Sqlite {
    async fn ask(&self, question: Question) -> Result<Answer, ToolFault> {
        let read = tokio::time::timeout(self.settings.timeout(), self.read(question)).await;
        read.unwrap_or_else(|_| Err(late(&self.settings)))
    }
}

/// Interrupts a connection's statement when it is dropped.
#[derive(Debug, Default)]
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// How many parameters a statement has; SQLite takes any that is not given for NULL.
fn count(statement: &SqliteStatement) -> usize {
    match statement.parameters() {
        Some(Either::Left(kinds)) => kinds.len(),
        Some(Either::Right(count)) => count,
        None => 0,
    }
}

/// Refuses parameters that go by another name than their number, since values are given in order,
/// and those that are numbered in part, since the driver then counts otherwise than SQLite.
fn numbered(names: &[Option<String>]) -> Result<(), ToolFault> {
    let mend = "write ?1, ?2, … in sql, and give the values in params in that order";
    let refused = |why: String| Err(ToolFault::new("invalid_input", format!("{why}: {mend}")));
    let is_number = |name: &str| {
        let number = name.strip_prefix('$').and_then(|number| number.parse::<usize>().ok());
        name.starts_with('?') || number.is_some_and(|number| (1..=names.len()).contains(&number))
    };
    if let Some(other) = names.iter().flatten().find(|name| !is_number(name)) {
        return refused(format!("the parameter {} has a name", crate::log::printable(other, 80)));
    }
    if names.windows(2).any(|pair| pair[0].is_some() && pair[1].is_none()) {
        return refused("some parameters have a number and some have none".to_owned());
    }
    Ok(())
}

fn bind(params: &[Value]) -> Result<SqliteArguments, ToolFault> {
    let mut arguments = SqliteArguments::default();
    for param in params {
        let added = match param {
            Value::Null => arguments.add(None::<i64>),
            Value::Bool(flag) => arguments.add(*flag),
            Value::Number(number) => match number.as_i64() {
                Some(integer) => arguments.add(integer),
                None => arguments.add(number.as_f64()),
            },
            other => arguments.add(other.as_str().unwrap_or_default().to_owned()),
        };
        added.map_err(said)?;
    }
    Ok(arguments)
}

fn cells(row: &SqliteRow) -> Result<Vec<Cell>, ToolFault> {
    (0..row.len()).map(|at| cell(row, at).map_err(said)).collect()
}

/// SQLite's values have types of their own, whatever their column says.
fn cell(row: &SqliteRow, at: usize) -> Result<Cell, sqlx::Error> {
    let value = row.try_get_raw(at)?;
    if value.is_null() {
        return Ok(Cell::Null);
    }
    let kind = value.type_info().into_owned();
    let cell = match kind.name() {
        "INTEGER" => decode(value).map(Cell::Integer),
        "REAL" => decode(value).map(Cell::Real),
        "TEXT" => decode(value).map(|text: &[u8]| Cell::Text(String::from_utf8_lossy(text).into_owned())),
        _ => decode(value).map(|bytes: &[u8]| Cell::Bytes(bytes.to_vec())),
    };
    cell.map_err(sqlx::Error::Decode)
}

fn decode<'a, T: Decode<'a, sqlx::Sqlite>>(value: SqliteValueRef<'a>) -> Result<T, BoxDynError> {
    T::decode(value)
}

/// Why a statement was not carried out.
fn refused(error: sqlx::Error) -> ToolFault {
    match error {
        sqlx::Error::Database(error) if error.code().as_deref() == Some(SQLITE_AUTH) => {
            said("not authorized: this only reads, and neither attaches files nor sets pragmas")
        }
        sqlx::Error::Database(error) => said(error.message()),
        error => unreachable(format!("the database failed: {error}")),
    }
}
