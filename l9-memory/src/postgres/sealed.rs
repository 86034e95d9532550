//! Sealed bytes in the rows of the database, as a rotation of keys goes over them.

use async_trait::async_trait;
use l9_core::id::TenantId;
use l9_core::time::Timestamp;
use l9_core::{Error, Result};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{Arguments, AssertSqlSafe, Connection as _, PgConnection, Row as _};

use super::database::Database;
use super::rows::{self, decode};
use crate::vault::{COLUMNS, Column, Dialect, KeyId, Part, Resealed, Row, SealedRows, SeenKey, mark};

const DIALECT: Dialect = Dialect {
    empty: r"'\x'::bytea",
    version: r"'\x01'::bytea",
    tool_change: "position || chr(10) || tool || chr(10) || version || chr(10) || encode(contract, 'hex') || chr(10) \
                  || state || chr(10) || at",
};

#[async_trait]
impl SealedRows for Database {
    async fn root_keys(&self) -> Result<Vec<SeenKey>> {
        let found = sqlx::query("SELECT id, retired_at IS NOT NULL FROM root_keys").fetch_all(self.pool());
        let found = self.within(found).await?;
        found.iter().map(seen).collect::<Result<_, _>>().map_err(|error| self.fault(error))
    }

    async fn note_key(&self, id: KeyId, at: Timestamp) -> Result<()> {
        let note = sqlx::query("INSERT INTO root_keys (id, noted_at) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(id.as_slice())
            .bind(at.as_millis())
            .execute(self.pool());
        self.within(note).await.map(drop)
    }

    async fn retire_keys(&self, ids: &[KeyId], at: Timestamp) -> Result<()> {
        let retire = Box::pin(async {
            let mut connection = self.pool().acquire().await?;
            retire(&mut connection, ids, at).await
        });
        self.within(retire).await
    }

    async fn remembering(&self) -> Result<Vec<TenantId>> {
        let found = sqlx::query("SELECT DISTINCT tenant FROM entries").fetch_all(self.pool());
        let found = self.within(found).await?;
        found.iter().map(|row| rows::tenant(row, 0)).collect::<Result<_, _>>().map_err(|error| self.fault(error))
    }

    async fn count_marks(&self, column: &'static Column) -> Result<Vec<([u8; 5], u64)>> {
        let found = sqlx::query(AssertSqlSafe(column.count(&DIALECT))).fetch_all(self.pool());
        let found = self.within(found).await?;
        let count = |row: &PgRow| Ok((short(row, 0)?, rows::number(row, 1)?));
        found.iter().map(count).collect::<Result<_, _>>().map_err(|error| self.fault(error))
    }

    async fn stale(&self, column: &'static Column, mark: [u8; 5], after: Option<&Row>, limit: i64) -> Result<Vec<Row>> {
        let mut arguments = PgArguments::default();
        let mut add = || -> Result<(), sqlx::error::BoxDynError> {
            arguments.add(mark.as_slice())?;
            arguments.add(limit)?;
            after.map_or(Ok(()), |after| add_key(&mut arguments, column, after))
        };
        add().map_err(|error| self.fault(sqlx::Error::Encode(error)))?;
        let sql = column.select_stale(&DIALECT, after.is_none());
        let found = sqlx::query_with(AssertSqlSafe(sql), arguments).fetch_all(self.pool());
        let found = self.within(found).await?;
        found.iter().map(sealed_row).collect::<Result<_, _>>().map_err(|error| self.fault(error))
    }

    async fn reseal(&self, column: &'static Column, rows: Vec<Resealed>) -> Result<u64> {
        let update = column.update();
        let reseal = Box::pin(async {
            let mut put = 0;
            let mut transaction = self.pool().begin().await?;
            for Resealed { row, now } in &rows {
                let mut arguments = PgArguments::default();
                let mut add = || -> Result<(), sqlx::error::BoxDynError> {
                    arguments.add(now.as_slice())?;
                    arguments.add(row.sealed.as_slice())?;
                    add_key(&mut arguments, column, row)
                };
                add().map_err(sqlx::Error::Encode)?;
                let done = sqlx::query_with(AssertSqlSafe(update.clone()), arguments);
                put += done.execute(&mut *transaction).await?.rows_affected();
            }
            transaction.commit().await?;
            Ok(put)
        });
        self.within(reseal).await
    }

    async fn scrub(&self) -> Result<bool> {
        // However large the tables are: nobody waits for it but whoever rotates or erases.
        let mut connection = self.connect().await?;
        for Column { table, .. } in COLUMNS {
            let vacuum = sqlx::raw_sql(AssertSqlSafe(format!("VACUUM {table}"))).execute(&mut connection).await;
            vacuum.map_err(|error| self.fault(error))?;
        }
        // What lies open too, if anything ever did.
        let open = sqlx::query_scalar::<_, bool>("SELECT to_regclass('unsealed_vectors') IS NOT NULL");
        if open.fetch_one(&mut connection).await.map_err(|error| self.fault(error))? {
            let vacuum = sqlx::raw_sql("VACUUM unsealed_vectors").execute(&mut connection).await;
            vacuum.map_err(|error| self.fault(error))?;
        }
        // A page may keep what was removed of it: the few keys are written anew.
        // Who uses them for long is not waited for, or others would wait as well.
        let rewrite = sqlx::raw_sql("SET lock_timeout = '5s'").execute(&mut connection).await;
        rewrite.map_err(|error| self.fault(error))?;
        let rewritten = sqlx::raw_sql("VACUUM FULL subject_keys").execute(&mut connection).await.is_ok();
        drop(connection.close().await);
        Ok(rewritten)
    }
}

/// How long a table is waited for that others write, before they are let on first.
const LOCK_WAIT: &str = "SET LOCAL lock_timeout = '10s'";

async fn retire(connection: &mut PgConnection, ids: &[KeyId], at: Timestamp) -> Result<(), sqlx::Error> {
    for id in ids {
        sqlx::query(
            "INSERT INTO root_keys (id, noted_at, retired_at) VALUES ($1, $2, $2) \
             ON CONFLICT (id) DO UPDATE SET retired_at = coalesce(root_keys.retired_at, excluded.retired_at)",
        )
        .bind(id.as_slice())
        .bind(at.as_millis())
        .execute(&mut *connection)
        .await?;
    }
    let found = sqlx::query("SELECT id, TRUE FROM root_keys WHERE retired_at IS NOT NULL ORDER BY id");
    let retired = found.fetch_all(&mut *connection).await?;
    let retired = retired.iter().map(seen).collect::<Result<Vec<_>, _>>()?;
    let marks: Vec<String> = retired.iter().map(|key| format!("'\\x{}'::bytea", hex::encode(mark(key.id)))).collect();
    // A table at a time: the trigger waits for whoever writes it, and others for the trigger.
    for Column { table, sealed, .. } in COLUMNS {
        let mut transaction = connection.begin().await?;
        sqlx::raw_sql(LOCK_WAIT).execute(&mut *transaction).await?;
        let sql = format!(
            "CREATE OR REPLACE TRIGGER retired_{sealed} BEFORE INSERT OR UPDATE OF {sealed} ON {table} FOR EACH ROW \
             WHEN (substr(NEW.{sealed}, 1, 5) IN ({})) EXECUTE FUNCTION refuse_retired_key()",
            marks.join(", ")
        );
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *transaction).await?;
        transaction.commit().await?;
    }
    Ok(())
}

fn add_key(arguments: &mut PgArguments, column: &Column, row: &Row) -> Result<(), sqlx::error::BoxDynError> {
    column.key.iter().try_for_each(|(_, part)| match part {
        Part::Tenant => arguments.add(row.tenant.as_str()),
        Part::Blob => arguments.add(row.blob.as_slice()),
        Part::Number => arguments.add(row.number),
        Part::Text => arguments.add(row.text.as_str()),
    })
}

fn sealed_row(row: &PgRow) -> Result<Row, sqlx::Error> {
    Ok(Row {
        tenant: row.try_get(0)?,
        blob: row.try_get(1)?,
        other: row.try_get(2)?,
        number: row.try_get(3)?,
        text: row.try_get(4)?,
        sealed: row.try_get(5)?,
    })
}

fn seen(row: &PgRow) -> Result<SeenKey, sqlx::Error> {
    Ok(SeenKey { id: short(row, 0)?, retired: row.try_get(1)? })
}

fn short<const N: usize>(row: &PgRow, at: usize) -> Result<[u8; N], sqlx::Error> {
    let bytes: &[u8] = row.try_get(at)?;
    bytes.try_into().map_err(|_| decode(at, Error::corrupt(format!("{} bytes stand for {N}", bytes.len()))))
}
