//! The schedules, for every process that has the file open.

use async_trait::async_trait;
use l9_core::Result;
use l9_core::id::{ScheduleId, TenantId};
use l9_core::schedule::{Moved, Schedules, SeriesId, StoredSchedule};
use l9_core::time::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::rows::{self, decode};
use super::store::Store;
use crate::check;

/// The columns [`schedule`] reads.
macro_rules! columns {
    () => {
        "tenant, id, series, version, due_at, created_at, definition, state"
    };
}

#[async_trait]
impl Schedules for Store {
    async fn create_schedule(&self, new: StoredSchedule) -> Result<()> {
        let create = self.database.writer().grouped(None, 1, move |connection| {
            Box::pin(async move {
                let done = sqlx::query(concat!(
                    "INSERT INTO schedules (",
                    columns!(),
                    ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING"
                ))
                .bind(new.tenant.as_str())
                .bind(new.id.as_str())
                .bind(new.series.as_bytes().as_slice())
                .bind(rows::integer(new.version))
                .bind(new.due_at.map(Timestamp::as_millis))
                .bind(new.created_at.as_millis())
                .bind(new.definition.as_slice())
                .bind(new.state.as_slice())
                .execute(connection)
                .await?;
                Ok(if done.rows_affected() == 1 { Ok(()) } else { Err(check::schedule_is_taken(&new.id)) })
            })
        });
        create.await
    }

    async fn schedule(&self, tenant: &TenantId, id: &ScheduleId) -> Result<Option<StoredSchedule>> {
        let found = sqlx::query(concat!("SELECT ", columns!(), " FROM schedules WHERE tenant = $1 AND id = $2"))
            .bind(tenant.as_str())
            .bind(id.as_str())
            .fetch_optional(self.database.readers())
            .await;
        found
            .and_then(|found| found.as_ref().map(schedule).transpose())
            .map_err(|error| self.database.fault(error).with("schedule", id))
    }

    async fn schedules(
        &self,
        tenant: &TenantId,
        after: Option<&ScheduleId>,
        limit: usize,
    ) -> Result<Vec<StoredSchedule>> {
        let found = sqlx::query(concat!(
            "SELECT ",
            columns!(),
            " FROM schedules WHERE tenant = $1 AND id > $2 ORDER BY id LIMIT $3"
        ))
        .bind(tenant.as_str())
        .bind(after.map_or("", ScheduleId::as_str))
        .bind(rows::limited(limit))
        .fetch_all(self.database.readers())
        .await;
        found.and_then(|found| found.iter().map(schedule).collect()).map_err(|error| self.database.fault(error))
    }

    async fn due_schedules(&self, now: Timestamp, limit: usize) -> Result<Vec<StoredSchedule>> {
        let found =
            sqlx::query(concat!("SELECT ", columns!(), " FROM schedules WHERE due_at <= $1 ORDER BY due_at LIMIT $2"))
                .bind(now.as_millis())
                .bind(rows::limited(limit))
                .fetch_all(self.database.readers())
                .await;
        found.and_then(|found| found.iter().map(schedule).collect()).map_err(|error| self.database.fault(error))
    }

    async fn move_schedule(&self, seen: &StoredSchedule, moved: Moved) -> Result<bool> {
        let (tenant, id, series, version) = (seen.tenant.clone(), seen.id.clone(), seen.series, seen.version);
        let update = self.database.writer().grouped(None, 1, move |connection| {
            Box::pin(async move {
                let done = sqlx::query(
                    "UPDATE schedules SET version = version + 1, due_at = $1, state = $2 \
                     WHERE tenant = $3 AND id = $4 AND series = $5 AND version = $6",
                )
                .bind(moved.due_at.map(Timestamp::as_millis))
                .bind(moved.state.as_slice())
                .bind(tenant.as_str())
                .bind(id.as_str())
                .bind(series.as_bytes().as_slice())
                .bind(rows::integer(version))
                .execute(connection)
                .await?;
                Ok(Ok(done.rows_affected() == 1))
            })
        });
        update.await
    }

    async fn remove_schedule(&self, tenant: &TenantId, id: &ScheduleId) -> Result<bool> {
        let (tenant, id) = (tenant.clone(), id.clone());
        let remove = self.database.writer().grouped(None, 1, move |connection| {
            Box::pin(async move {
                let done = sqlx::query("DELETE FROM schedules WHERE tenant = $1 AND id = $2")
                    .bind(tenant.as_str())
                    .bind(id.as_str())
                    .execute(connection)
                    .await?;
                Ok(Ok(done.rows_affected() == 1))
            })
        });
        remove.await
    }
}

fn schedule(row: &SqliteRow) -> Result<StoredSchedule, sqlx::Error> {
    Ok(StoredSchedule {
        tenant: rows::tenant(row, 0)?,
        id: ScheduleId::new(row.try_get::<&str, _>(1)?).map_err(|error| decode(1, error))?,
        series: SeriesId::from_slice(row.try_get(2)?).map_err(|error| decode(2, error))?,
        version: rows::number(row, 3)?,
        due_at: row.try_get::<Option<i64>, _>(4)?.map(Timestamp::from_millis),
        created_at: Timestamp::from_millis(row.try_get(5)?),
        definition: row.try_get(6)?,
        state: row.try_get(7)?,
    })
}
