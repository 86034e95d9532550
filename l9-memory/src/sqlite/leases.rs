//! Leases: who may append to which run.

use std::sync::LazyLock;
use std::time::Duration;

use async_trait::async_trait;
use l9_core::Result;
use l9_core::failpoint;
use l9_core::id::{RunId, TenantId};
use l9_core::journal::{Lease, Leases};
use l9_core::queue::Task;
use l9_core::stop::{Scope, StoredStop};
use l9_core::time::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::appends::now;
use super::rows::{self, millis};
use super::store::Store;
use super::writer::Answer;
use crate::check;

/// No emergency stop holds the run.
macro_rules! unstopped {
    () => {
        " AND NOT EXISTS (SELECT 1 FROM stops WHERE scope IN ('*', tenant))"
    };
}

static ACQUIRE: LazyLock<String> = LazyLock::new(|| {
    let free = concat!("owner IS NULL OR owner IS $5 OR owner = $3 OR lease_until <= ", now!());
    let take = concat!(
        "UPDATE runs SET epoch = epoch + 1, expired_ms = CASE WHEN owner IS NOT NULL AND owner IS NOT $5 THEN max(0, ",
        now!(),
        " - lease_until) END, owner = $3, lease_until = ",
        now!(),
        " + $4, wake_at = NULL, dead_at = NULL, dead_reason = NULL WHERE tenant = $1 AND run = $2 AND status NOT IN ('succeeded', 'failed', 'cancelled')",
        unstopped!(),
        " AND ({free}) RETURNING epoch, head_next, head_hash, expired_ms, fork_parent, fork_at"
    );
    take.replace("{free}", if failpoint::is_unfenced() { "TRUE" } else { free })
});

/// What an attempt to take a lease found.
enum Attempt {
    Taken(Lease),
    Closed,
    HeldBy(String),
}

/// The runs that are due, oldest first: parked ones whose time has come, ones whose lease
/// ran out, ones whose process is dead. Parked ones may be many, and are read in the order of
/// their index and no further than the limit; of the others there are no more than nodes work
/// on at a time.
const DUE: &str = concat!(
    "SELECT tenant, run, priority FROM (SELECT * FROM (",
    "SELECT tenant, run, priority, wake_at AS since FROM runs WHERE owner IS NULL AND wake_at <= ",
    now!(),
    unstopped!(),
    " ORDER BY wake_at, priority DESC, run LIMIT $2) ",
    "UNION ALL SELECT tenant, run, priority, lease_until FROM runs WHERE owner IS NOT NULL AND lease_until <= ",
    now!(),
    " AND (wake_at IS NULL OR wake_at <= ",
    now!(),
    ")",
    unstopped!(),
    " UNION ALL SELECT tenant, run, priority, ",
    now!(),
    " FROM runs WHERE owner IN (SELECT value FROM json_each($1)) AND lease_until > ",
    now!(),
    " AND (wake_at IS NULL OR wake_at <= ",
    now!(),
    ")",
    unstopped!(),
    ") ORDER BY since, priority DESC, run LIMIT $2"
);

#[async_trait]
impl Leases for Store {
    async fn acquire(&self, tenant: &TenantId, run: RunId, owner: &str, ttl: Duration) -> Result<Option<Lease>> {
        self.hold(owner).await?;
        let mut dead: Option<String> = None;
        loop {
            let (key, former, owner) = ((tenant.clone(), run), dead.clone(), owner.to_owned());
            let attempt = self.database.writer().grouped(Some(key.clone()), 1, move |connection| {
                Box::pin(acquire(connection, key.0, key.1, owner, millis(ttl), former))
            });
            match attempt.await? {
                Attempt::Taken(lease) => return Ok(Some(lease)),
                Attempt::Closed => return Ok(None),
                Attempt::HeldBy(holder) if dead.as_ref() != Some(&holder) && self.nodes.is_dead(&holder) => {
                    dead = Some(holder);
                }
                Attempt::HeldBy(_) => return Ok(None),
            }
        }
    }

    async fn renew(&self, owner: &str, ttl: Duration) -> Result<Vec<Lease>> {
        let owner = owner.to_owned();
        let renew = self.database.writer().grouped(None, 1, move |connection| {
            Box::pin(async move {
                let renewed = sqlx::query(concat!(
                    "UPDATE runs SET lease_until = ",
                    now!(),
                    " + ? WHERE owner = ? AND lease_until > ",
                    now!(),
                    " RETURNING tenant, run, epoch, head_next, head_hash, fork_parent, fork_at"
                ))
                .bind(millis(ttl))
                .bind(owner)
                .fetch_all(connection)
                .await?;
                Ok(Ok(renewed.iter().map(held).collect::<Result<_, _>>()?))
            })
        });
        renew.await
    }

    async fn release(&self, lease: &Lease, wake_in: Option<Duration>) -> Result<()> {
        let (tenant, run, epoch) = (lease.tenant.clone(), lease.run, lease.epoch);
        let claim = Some((tenant.clone(), run));
        let release = self.database.writer().grouped(claim, 1, move |connection| {
            Box::pin(async move {
                // A command that came after the owner last looked must not be slept over.
                sqlx::query(concat!(
                    "UPDATE runs SET owner = NULL, lease_until = NULL, wake_at = CASE WHEN EXISTS (SELECT 1 FROM inbox ",
                    "WHERE inbox.tenant = runs.tenant AND inbox.run = runs.run AND sealed IS NOT NULL) THEN ",
                    now!(),
                    " ELSE ",
                    now!(),
                    " + $4 END WHERE tenant = $1 AND run = $2 AND epoch = $3 AND owner IS NOT NULL"
                ))
                .bind(tenant.as_str())
                .bind(run.as_bytes().as_slice())
                .bind(rows::integer(epoch))
                .bind(wake_in.map(millis))
                .execute(connection)
                .await?;
                Ok(Ok(()))
            })
        });
        release.await
    }

    async fn due(&self, limit: usize, hold: Duration) -> Result<Vec<Task>> {
        let fault = |error| self.database.fault(error);
        let owners: Vec<String> = sqlx::query_scalar("SELECT DISTINCT owner FROM runs WHERE owner IS NOT NULL")
            .fetch_all(self.database.readers())
            .await
            .map_err(fault)?;
        let dead: Vec<&String> = owners.iter().filter(|owner| self.nodes.is_dead(owner)).collect();
        let dead = serde_json::to_string(&dead).unwrap_or_else(|_| "[]".into());
        let found = sqlx::query(DUE)
            .bind(dead.as_str())
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(self.database.readers())
            .await
            .map_err(fault)?;
        let task =
            |row| Ok(Task { tenant: rows::tenant(row, 0)?, run: rows::run_id(row, 1)?, priority: row.try_get(2)? });
        let tasks: Vec<Task> = found.iter().map(task).collect::<Result<_, sqlx::Error>>().map_err(fault)?;
        if !hold.is_zero() && !tasks.is_empty() {
            self.offer(&tasks, hold, dead).await?;
        }
        Ok(tasks)
    }

    async fn stop(&self, stop: StoredStop) -> Result<StoredStop> {
        let stands = self.database.writer().grouped(None, 1, move |connection| {
            Box::pin(async move {
                sqlx::query("INSERT INTO stops (scope, at, sealed) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
                    .bind(stop.scope.as_str())
                    .bind(stop.at.as_millis())
                    .bind(stop.sealed.as_slice())
                    .execute(&mut *connection)
                    .await?;
                let row = sqlx::query("SELECT scope, at, sealed FROM stops WHERE scope = $1")
                    .bind(stop.scope.as_str())
                    .fetch_one(connection)
                    .await?;
                Ok(Ok(stored_stop(&row)?))
            })
        });
        stands.await
    }

    async fn unstop(&self, scope: &Scope) -> Result<Option<StoredStop>> {
        let scope = scope.clone();
        let lifted = self.database.writer().grouped(None, 1, move |connection| {
            Box::pin(async move {
                let row = sqlx::query("DELETE FROM stops WHERE scope = $1 RETURNING scope, at, sealed")
                    .bind(scope.as_str())
                    .fetch_optional(connection)
                    .await?;
                Ok(Ok(row.as_ref().map(stored_stop).transpose()?))
            })
        });
        lifted.await
    }

    async fn stops(&self) -> Result<Vec<StoredStop>> {
        let found =
            sqlx::query("SELECT scope, at, sealed FROM stops ORDER BY scope").fetch_all(self.database.readers()).await;
        found.and_then(|found| found.iter().map(stored_stop).collect()).map_err(|error| self.database.fault(error))
    }

    async fn held(&self, scope: &Scope) -> Result<u64> {
        let owners = sqlx::query(concat!(
            "SELECT owner, count(*) FROM runs WHERE owner IS NOT NULL AND lease_until > ",
            now!(),
            " AND $1 IN ('*', tenant) GROUP BY owner"
        ))
        .bind(scope.as_str())
        .fetch_all(self.database.readers())
        .await;
        let count = |row: &SqliteRow| Ok((row.try_get::<String, _>(0)?, rows::number(row, 1)?));
        let owners: Result<Vec<_>, sqlx::Error> = owners.and_then(|owners| owners.iter().map(count).collect());
        let owners = owners.map_err(|error| self.database.fault(error))?;
        Ok(owners.iter().filter(|(owner, _)| !self.nodes.is_dead(owner)).map(|(_, count)| count).sum())
    }
}

impl Store {
    /// Leaves due runs to whoever was handed them, if they are due still. Two processes of
    /// one machine may be handed the same run at the same time; the lease decides then.
    async fn offer(&self, tasks: &[Task], hold: Duration, dead: String) -> Result<()> {
        let runs: Vec<_> = tasks.iter().map(|task| (task.tenant.clone(), task.run)).collect();
        let offer = self.database.writer().grouped(None, runs.len(), move |connection| {
            Box::pin(async move {
                for (tenant, run) in runs {
                    sqlx::query(concat!(
                        "UPDATE runs SET wake_at = ",
                        now!(),
                        " + $1 WHERE tenant = $2 AND run = $3 ",
                        "AND (CASE WHEN owner IS NULL THEN wake_at ELSE lease_until END <= ",
                        now!(),
                        " OR owner IN (SELECT value FROM json_each($4)))"
                    ))
                    .bind(millis(hold))
                    .bind(tenant.as_str())
                    .bind(run.as_bytes().as_slice())
                    .bind(dead.as_str())
                    .execute(&mut *connection)
                    .await?;
                }
                Ok(Ok(()))
            })
        });
        offer.await
    }
}

async fn acquire(
    connection: &mut SqliteConnection,
    tenant: TenantId,
    run: RunId,
    owner: String,
    ttl: i64,
    dead: Option<String>,
) -> Answer<Attempt> {
    let taken = sqlx::query(ACQUIRE.as_str())
        .bind(tenant.as_str())
        .bind(run.as_bytes().as_slice())
        .bind(owner)
        .bind(ttl)
        .bind(dead)
        .fetch_optional(&mut *connection)
        .await?;
    if let Some(row) = taken {
        let (epoch, head, expired) = (rows::number(&row, 0)?, rows::head(&row, 1)?, rows::wait(&row, 3)?);
        let fork = rows::fork(&row, 4)?;
        return Ok(Ok(Attempt::Taken(Lease { tenant, run, epoch, head, fork, expired })));
    }
    let row = sqlx::query("SELECT owner FROM runs WHERE tenant = ? AND run = ?")
        .bind(tenant.as_str())
        .bind(run.as_bytes().as_slice())
        .fetch_optional(connection)
        .await?;
    let Some(row) = row else { return Ok(Err(check::unknown(run))) };
    Ok(Ok(row.try_get::<Option<String>, _>(0)?.map_or(Attempt::Closed, Attempt::HeldBy)))
}

fn stored_stop(row: &SqliteRow) -> Result<StoredStop, sqlx::Error> {
    let scope = row.try_get::<&str, _>(0)?.parse().map_err(|error| rows::decode(0, error))?;
    Ok(StoredStop { scope, at: Timestamp::from_millis(row.try_get(1)?), sealed: row.try_get(2)? })
}

/// A lease that is held on.
fn held(row: &SqliteRow) -> Result<Lease, sqlx::Error> {
    let (tenant, run, epoch) = (rows::tenant(row, 0)?, rows::run_id(row, 1)?, rows::number(row, 2)?);
    Ok(Lease { tenant, run, epoch, head: rows::head(row, 3)?, fork: rows::fork(row, 5)?, expired: None })
}
