//! Sealed bytes in the rows of the file, as a rotation of keys goes over them.

use async_trait::async_trait;
use l9_core::id::TenantId;
use l9_core::time::{Clock as _, SystemClock, Timestamp};
use l9_core::{Error, Result};
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Row as _, SqliteConnection};

use super::database::Database;
use super::error::{RETIRED, fault};
use super::rows::{self, decode};
use crate::vault::{COLUMNS, Column, Dialect, KeyId, Part, Resealed, Row, SealedRows, SeenKey, mark};

const DIALECT: Dialect = Dialect {
    empty: "x''",
    version: "x'01'",
    tool_change: "position || char(10) || tool || char(10) || version || char(10) || lower(hex(contract)) || char(10) \
                  || state || char(10) || at",
};

/// How often the log is tried to be folded in while others read, and what lies between.
const FOLDS: u32 = 20;
const FOLD_WAIT: std::time::Duration = std::time::Duration::from_millis(50);

#[async_trait]
impl SealedRows for Database {
    async fn root_keys(&self) -> Result<Vec<SeenKey>> {
        let found = sqlx::query("SELECT id, retired_at IS NOT NULL FROM root_keys").fetch_all(self.readers()).await;
        let read = |found: Vec<SqliteRow>| found.iter().map(seen).collect::<Result<Vec<_>, _>>();
        found.and_then(read).map_err(|error| self.fault(error))
    }

    async fn note_key(&self, id: KeyId, at: Timestamp) -> Result<()> {
        self.writer()
            .grouped(None, 1, move |connection| {
                Box::pin(async move {
                    sqlx::query("INSERT INTO root_keys (id, noted_at) VALUES (?, ?) ON CONFLICT DO NOTHING")
                        .bind(id.as_slice())
                        .bind(at.as_millis())
                        .execute(connection)
                        .await?;
                    Ok(Ok(()))
                })
            })
            .await
    }

    async fn retire_keys(&self, ids: &[KeyId], at: Timestamp) -> Result<()> {
        let (ids, path) = (ids.to_vec(), self.path().to_owned());
        self.writer()
            .alone(move |connection| {
                Box::pin(async move {
                    let retired = retire(connection, &ids, at).await;
                    if retired.is_err() {
                        // SQLite has taken some faults back by itself.
                        let _ = sqlx::query("ROLLBACK").execute(connection).await;
                    }
                    retired.map_err(|error| fault(&path, error))
                })
            })
            .await
    }

    async fn remembering(&self) -> Result<Vec<TenantId>> {
        let found = sqlx::query("SELECT DISTINCT tenant FROM entries").fetch_all(self.readers()).await;
        let read = |found: Vec<SqliteRow>| found.iter().map(|row| rows::tenant(row, 0)).collect::<Result<Vec<_>, _>>();
        found.and_then(read).map_err(|error| self.fault(error))
    }

    async fn count_marks(&self, column: &'static Column) -> Result<Vec<([u8; 5], u64)>> {
        let found = sqlx::query(AssertSqlSafe(column.count(&DIALECT))).fetch_all(self.readers()).await;
        let count = |row: &SqliteRow| Ok((short(row, 0)?, rows::number(row, 1)?));
        let read = |found: Vec<SqliteRow>| found.iter().map(count).collect::<Result<Vec<_>, _>>();
        found.and_then(read).map_err(|error| self.fault(error))
    }

    async fn stale(&self, column: &'static Column, mark: [u8; 5], after: Option<&Row>, limit: i64) -> Result<Vec<Row>> {
        let mut arguments = SqliteArguments::default();
        let mut add = || -> Result<(), sqlx::error::BoxDynError> {
            arguments.add(mark.as_slice())?;
            arguments.add(limit)?;
            after.map_or(Ok(()), |after| add_key(&mut arguments, column, after))
        };
        add().map_err(|error| self.fault(sqlx::Error::Encode(error)))?;
        let sql = column.select_stale(&DIALECT, after.is_none());
        let found = sqlx::query_with(AssertSqlSafe(sql), arguments).fetch_all(self.readers()).await;
        let read = |found: Vec<SqliteRow>| found.iter().map(sealed_row).collect::<Result<Vec<_>, _>>();
        found.and_then(read).map_err(|error| self.fault(error))
    }

    async fn reseal(&self, column: &'static Column, rows: Vec<Resealed>) -> Result<u64> {
        let update = column.update();
        self.writer()
            .grouped(None, rows.len(), move |connection| {
                Box::pin(async move {
                    let mut put = 0;
                    for Resealed { row, now } in &rows {
                        let mut arguments = SqliteArguments::default();
                        let mut add = || -> Result<(), sqlx::error::BoxDynError> {
                            arguments.add(now.as_slice())?;
                            arguments.add(row.sealed.as_slice())?;
                            add_key(&mut arguments, column, row)
                        };
                        add().map_err(sqlx::Error::Encode)?;
                        let done = sqlx::query_with(AssertSqlSafe(update.clone()), arguments);
                        put += done.execute(&mut *connection).await?.rows_affected();
                    }
                    Ok(Ok(put))
                })
            })
            .await
    }

    async fn scrub(&self) -> Result<bool> {
        // Rows were replaced by as many bytes in their place, so old ones are in the log.
        for _ in 0..FOLDS {
            let (path, (tell, told)) = (self.path().to_owned(), tokio::sync::oneshot::channel());
            self.writer()
                .alone(move |connection| {
                    Box::pin(async move {
                        let folded = sqlx::query_scalar::<_, i64>("PRAGMA wal_checkpoint(TRUNCATE)");
                        let busy = folded.fetch_one(connection).await.map_err(|error| fault(&path, error))?;
                        // Nobody else waits for it.
                        let _ = tell.send(busy == 0);
                        Ok(())
                    })
                })
                .await?;
            if told.await.unwrap_or(false) {
                return Ok(true);
            }
            SystemClock::default().sleep(FOLD_WAIT).await;
        }
        Ok(false)
    }
}

async fn retire(connection: &mut SqliteConnection, ids: &[KeyId], at: Timestamp) -> Result<(), sqlx::Error> {
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
    for id in ids {
        sqlx::query(
            "INSERT INTO root_keys (id, noted_at, retired_at) VALUES ($1, $2, $2) \
             ON CONFLICT (id) DO UPDATE SET retired_at = coalesce(retired_at, excluded.retired_at)",
        )
        .bind(id.as_slice())
        .bind(at.as_millis())
        .execute(&mut *connection)
        .await?;
    }
    let found = sqlx::query("SELECT id, TRUE FROM root_keys WHERE retired_at IS NOT NULL ORDER BY id");
    let retired = found.fetch_all(&mut *connection).await?;
    let retired = retired.iter().map(seen).collect::<Result<Vec<_>, _>>()?;
    let marks: Vec<String> = retired.iter().map(|key| format!("x'{}'", hex::encode(mark(key.id)))).collect();
    for Column { table, sealed, .. } in COLUMNS {
        for (name, when) in [("insert", "INSERT".to_owned()), ("update", format!("UPDATE OF {sealed}"))] {
            let trigger = format!("retired_{table}_{sealed}_{name}");
            let sql = format!(
                "DROP TRIGGER IF EXISTS {trigger}; CREATE TRIGGER {trigger} BEFORE {when} ON {table} \
                 WHEN substr(NEW.{sealed}, 1, 5) IN ({}) \
                 BEGIN SELECT RAISE(ABORT, '{RETIRED}'); END",
                marks.join(", ")
            );
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *connection).await?;
        }
    }
    sqlx::query("COMMIT").execute(connection).await.map(drop)
}

fn add_key(arguments: &mut SqliteArguments, column: &Column, row: &Row) -> Result<(), sqlx::error::BoxDynError> {
    column.key.iter().try_for_each(|(_, part)| match part {
        Part::Tenant => arguments.add(row.tenant.as_str()),
        Part::Blob => arguments.add(row.blob.as_slice()),
        Part::Number => arguments.add(row.number),
        Part::Text => arguments.add(row.text.as_str()),
    })
}

fn sealed_row(row: &SqliteRow) -> Result<Row, sqlx::Error> {
    Ok(Row {
        tenant: row.try_get(0)?,
        blob: row.try_get(1)?,
        other: row.try_get(2)?,
        number: row.try_get(3)?,
        text: row.try_get(4)?,
        sealed: row.try_get(5)?,
    })
}

fn seen(row: &SqliteRow) -> Result<SeenKey, sqlx::Error> {
    Ok(SeenKey { id: short(row, 0)?, retired: row.try_get(1)? })
}

fn short<const N: usize>(row: &SqliteRow, at: usize) -> Result<[u8; N], sqlx::Error> {
    let bytes: &[u8] = row.try_get(at)?;
    bytes.try_into().map_err(|_| decode(at, Error::corrupt(format!("{} bytes stand for {N}", bytes.len()))))
}
