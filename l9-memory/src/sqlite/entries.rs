//! The statements over rows of memories.

use l9_core::digest::Digest;
use l9_core::id::TenantId;
use sqlx::error::BoxDynError;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Row, SqliteConnection};
use uuid::Uuid;

use super::appends::values;
use super::rows::{self, decode};
use crate::kept::{Kept, Marks, Prepared};

const COLUMNS: usize = 12;
/// The numbers of rows for which statements exist.
const SIZES: [usize; 3] = [32, 8, 1];

/// Finds equal entries.
pub(super) async fn find(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    marks: &[Marks],
) -> Result<Kept, sqlx::Error> {
    let mut kept = Kept::default();
    let contents: Vec<Digest> = marks.iter().map(|marks| marks.content).collect();
    for part in contents.chunks(SIZES[0]) {
        let sql = "SELECT id, v.column1 FROM (VALUES {values}) AS v CROSS JOIN entries AS e \
                   WHERE e.content = v.column1 AND e.tenant = ? ORDER BY position DESC";
        for row in find_by(connection, sql, tenant, part).await? {
            kept.contents.insert(rows::digest(&row, 1)?, uuid(&row, 0)?);
        }
    }
    let keys: Vec<Digest> = marks.iter().filter_map(|marks| marks.key).collect();
    for part in keys.chunks(SIZES[0]) {
        let sql = "SELECT id, v.column1, entry FROM (VALUES {values}) AS v CROSS JOIN entries AS e \
                   WHERE e.key = v.column1 AND e.tenant = ?";
        for row in find_by(connection, sql, tenant, part).await? {
            kept.keys.insert(rows::digest(&row, 1)?, (uuid(&row, 0)?, row.try_get(2)?));
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
            "INSERT INTO entries (tenant, id, layer, at, recorded_at, agent, session, source, key, content, terms, entry) VALUES {}",
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
    out.add(token(&entry.agent))?;
    out.add(token(&entry.session))?;
    out.add(token(&entry.source))?;
    out.add(token(&entry.key))?;
    out.add(entry.content.as_bytes().as_slice())?;
    out.add(entry.terms.as_slice())?;
    out.add(entry.sealed.as_slice())
}

pub(super) fn uuid(row: &SqliteRow, at: usize) -> Result<Uuid, sqlx::Error> {
    Uuid::from_slice(row.try_get(at)?).map_err(|error| decode(at, error))
}
