//! The statements over rows of memories.

use async_trait::async_trait;
use l9_core::digest::Digest;
use l9_core::id::TenantId;
use sqlx::error::BoxDynError;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Row, SqliteConnection, SqliteExecutor, TypeInfo, ValueRef};
use uuid::Uuid;

use super::appends::values;
use super::rows::{self, decode};
use crate::kept::{Connection, Kept, Known, Marks, Prepared, Row as Found, Value};

const COLUMNS: usize = 14;
/// The numbers of rows for which statements exist.
const SIZES: [usize; 3] = [32, 8, 1];

/// Entries of equal content.
const EQUAL: &str = "SELECT id, v.column1 FROM (VALUES {values}) AS v CROSS JOIN entries AS e \
     WHERE e.content = v.column1 AND e.tenant = ? AND e.standing & 1 = 0 \
     AND (e.standing & 2 = 0 OR e.source IS NOT NULL) ORDER BY position";
/// Whose a key is, then the oldest superseded one of a document. Each says what its partial
/// index says, word for word, or SQLite looks through all that came from any source.
const KEYED: [&str; 2] = [
    "SELECT id, v.column1, entry, e.standing FROM (VALUES {values}) AS v CROSS JOIN entries AS e \
     WHERE e.key = v.column1 AND e.tenant = ? AND e.key IS NOT NULL AND e.standing & 3 = 0 ORDER BY position",
    "SELECT id, v.column1, entry, e.standing FROM (VALUES {values}) AS v CROSS JOIN entries AS e \
     WHERE e.key = v.column1 AND e.tenant = ? AND e.key IS NOT NULL AND e.standing & 3 <> 0 \
     AND e.standing & 1 = 0 AND e.source IS NOT NULL ORDER BY position",
];

/// Finds equal entries.
pub(super) async fn find(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    marks: &[Marks],
) -> Result<Kept, sqlx::Error> {
    let mut kept = Kept::default();
    let contents: Vec<Digest> = marks.iter().map(|marks| marks.content).collect();
    for part in contents.chunks(SIZES[0]) {
        for row in find_by(connection, EQUAL, tenant, part).await? {
            kept.contents.entry(rows::digest(&row, 1)?).or_default().push(uuid(&row, 0)?);
        }
    }
    let keys: Vec<Digest> = marks.iter().filter_map(|marks| marks.key).collect();
    for part in keys.chunks(SIZES[0]) {
        for sql in KEYED {
            for row in find_by(connection, sql, tenant, part).await? {
                let superseded = row.try_get::<i64, _>(3)? & 2 != 0;
                let known = Known { id: uuid(&row, 0)?, superseded, sealed: row.try_get(2)? };
                kept.keys.entry(rows::digest(&row, 1)?).or_insert(known);
            }
        }
    }
    Ok(kept)
}

async fn find_by(
    connection: &mut SqliteConnection,
    sql: &str,
    tenant: &TenantId,
    tokens: &[Digest],
) -> Result<Vec<SqliteRow>, sqlx::Error> {
    let size = SIZES.iter().copied().filter(|size| *size >= tokens.len()).min().unwrap_or(tokens.len());
    let mut arguments = SqliteArguments::default();
    for at in 0..size {
        arguments.add(tokens.get(at).map(|token| token.as_bytes().as_slice())).map_err(sqlx::Error::Encode)?;
    }
    arguments.add(tenant.as_str()).map_err(sqlx::Error::Encode)?;
    let sql = sql.replace("{values}", &values(size, 1));
    sqlx::query_with(AssertSqlSafe(sql), arguments).fetch_all(connection).await
}

/// Inserts new entries.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    mut entries: &[Prepared],
) -> Result<(), sqlx::Error> {
    while !entries.is_empty() {
        let size = SIZES.iter().copied().find(|size| *size <= entries.len()).unwrap_or(1);
        let (part, rest) = entries.split_at(size);
        entries = rest;
        let mut arguments = SqliteArguments::default();
        arguments.reserve(size * COLUMNS, 0);
        part.iter().try_for_each(|entry| add(&mut arguments, tenant, entry)).map_err(sqlx::Error::Encode)?;
        let sql = format!(
            "INSERT INTO entries (tenant, id, layer, at, recorded_at, valid_from, valid_to, agent, session, source, key, content, terms, entry) VALUES {}",
            values(size, COLUMNS)
        );
        sqlx::query_with(AssertSqlSafe(sql), arguments).execute(&mut *connection).await?;
    }
    Ok(())
}

fn add(out: &mut SqliteArguments, tenant: &TenantId, entry: &Prepared) -> Result<(), BoxDynError> {
    let token = |token: &Option<Digest>| token.as_ref().map(|token| token.as_bytes().to_vec());
    out.add(tenant.as_str())?;
    out.add(entry.id.as_bytes().as_slice())?;
    out.add(entry.layer)?;
    out.add(entry.at)?;
    out.add(entry.recorded_at)?;
    out.add(entry.valid_from)?;
    out.add(entry.valid_to)?;
    out.add(token(&entry.agent))?;
    out.add(token(&entry.session))?;
    out.add(token(&entry.source))?;
    out.add(token(&entry.key))?;
    out.add(entry.content.as_bytes().as_slice())?;
    out.add(entry.terms.as_slice())?;
    out.add(entry.sealed.as_slice())
}

#[async_trait]
impl Connection for SqliteConnection {
    async fn find(&mut self, tenant: &TenantId, marks: &[Marks]) -> Result<Kept, sqlx::Error> {
        find(self, tenant, marks).await
    }

    async fn insert(&mut self, tenant: &TenantId, entries: &[Prepared]) -> Result<(), sqlx::Error> {
        insert(self, tenant, entries).await
    }

    async fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, sqlx::Error> {
        let done = sqlx::query_with(AssertSqlSafe(sql.to_owned()), arguments(values)?).execute(self).await?;
        Ok(done.rows_affected())
    }

    async fn rows(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Found>, sqlx::Error> {
        read(self, sql, values).await
    }
}

/// Reads rows of any form.
pub(super) async fn read(
    executor: impl SqliteExecutor<'_>,
    sql: &str,
    values: &[Value],
) -> Result<Vec<Found>, sqlx::Error> {
    let rows = sqlx::query_with(AssertSqlSafe(sql.to_owned()), arguments(values)?).fetch_all(executor).await?;
    rows.iter().map(|row| (0..row.len()).map(|at| value(row, at)).collect::<Result<_, _>>().map(Found)).collect()
}

fn arguments(values: &[Value]) -> Result<SqliteArguments, sqlx::Error> {
    let mut out = SqliteArguments::default();
    for value in values {
        let added = match value {
            Value::Null => out.add(None::<i64>),
            Value::Number(number) => out.add(*number),
            Value::Text(text) => out.add(text.clone()),
            Value::Bytes(bytes) => out.add(bytes.clone()),
        };
        added.map_err(sqlx::Error::Encode)?;
    }
    Ok(out)
}

fn value(row: &SqliteRow, at: usize) -> Result<Value, sqlx::Error> {
    let raw = row.try_get_raw(at)?;
    if raw.is_null() {
        return Ok(Value::Null);
    }
    Ok(match raw.type_info().name() {
        "INTEGER" => Value::Number(row.try_get(at)?),
        "BLOB" => Value::Bytes(row.try_get(at)?),
        _ => Value::Text(row.try_get(at)?),
    })
}

pub(super) fn uuid(row: &SqliteRow, at: usize) -> Result<Uuid, sqlx::Error> {
    Uuid::from_slice(row.try_get(at)?).map_err(|error| decode(at, error))
}

pub(super) fn optional_uuid(row: &SqliteRow, at: usize) -> Result<Option<Uuid>, sqlx::Error> {
    row.try_get::<Option<&[u8]>, _>(at)?.map(|_| uuid(row, at)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::{Database, Settings};

    #[tokio::test]
    async fn equal_entries_are_looked_up_and_not_searched_for() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&Settings::at(folder.path().join("l9.db"))).await.unwrap();
        for (sql, column) in [(EQUAL, "content"), (KEYED[0], "key"), (KEYED[1], "key")] {
            for size in SIZES {
                let explain = format!("EXPLAIN QUERY PLAN {}", sql.replace("{values}", &values(size, 1)));
                let steps = sqlx::query(AssertSqlSafe(explain)).fetch_all(database.readers()).await.unwrap();
                let steps: Vec<String> = steps.iter().map(|row| row.get("detail")).collect();
                let looked_up = format!("(tenant=? AND {column}=?)");
                assert!(steps.iter().any(|step| step.contains(&looked_up)), "{steps:?}");
            }
        }
    }
}
