//! Leases: who may append to which run, by the server's clock.
//!
//! Whatever locks several rows locks them in the order of tenant and run, as appends do,
//! or skips those that are locked: so no two nodes ever wait for each other.

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
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::rows::{self, closed, limited, millis};
use super::store::Store;
use crate::check;

/// A wait in milliseconds.
macro_rules! millis {
    ($argument:literal) => {
        concat!($argument, "::bigint * interval '1 millisecond'")
    };
}

/// No emergency stop holds the run.
macro_rules! unstopped {
    () => {
        " AND NOT EXISTS (SELECT 1 FROM stops WHERE scope IN ('*', tenant))"
    };
}

const TAKE: &str = concat!(
    "UPDATE runs SET epoch = epoch + 1, expired_ms = CASE WHEN owner IS NOT NULL THEN \
     greatest(0, (extract(epoch FROM clock_timestamp() - lease_until) * 1000)::bigint) END, owner = $3, \
     lease_until = clock_timestamp() + ",
    millis!("$4"),
    ", wake_at = NULL, dead_at = NULL, dead_reason = NULL WHERE tenant = $1 AND run = $2 AND status NOT IN ",
    closed!(),
    unstopped!(),
    " AND ({free}) RETURNING epoch, head_next, head_hash, expired_ms, fork_parent, fork_at"
);

static ACQUIRE: LazyLock<String> = LazyLock::new(|| {
    let free = "owner IS NULL OR owner = $3 OR lease_until <= clock_timestamp()";
    TAKE.replace("{free}", if failpoint::is_unfenced() { "TRUE" } else { free })
});

const RENEW: &str = concat!(
    "WITH held AS MATERIALIZED (SELECT tenant, run FROM runs WHERE owner = $1 AND lease_until > clock_timestamp() \
     ORDER BY tenant, run FOR UPDATE) \
     UPDATE runs SET lease_until = clock_timestamp() + ",
    millis!("$2"),
    " FROM held WHERE runs.tenant = held.tenant AND runs.run = held.run AND runs.owner = $1 \
     RETURNING runs.tenant, runs.run, epoch, head_next, head_hash, fork_parent, fork_at"
);

/// A command that came after the owner last looked must not be slept over.
const RELEASE: &str = concat!(
    "UPDATE runs SET owner = NULL, lease_until = NULL, \
     wake_at = CASE WHEN waiting > 0 THEN clock_timestamp() ELSE clock_timestamp() + ",
    millis!("$4"),
    " END WHERE tenant = $1 AND run = $2 AND epoch = $3 AND owner IS NOT NULL"
);

/// Runs that nobody holds and whose time has come, and runs whose lease has run out.
/// The clock is read once, so that indexes can be walked by it.
macro_rules! due {
    ($locking:literal) => {
        concat!(
            "WITH clock AS MATERIALIZED (SELECT clock_timestamp() AS now), \
             parked AS MATERIALIZED (SELECT tenant, run, priority, wake_at AS since FROM runs \
             WHERE wake_at <= (SELECT now FROM clock) AND owner IS NULL",
            unstopped!(),
            " ORDER BY wake_at, priority DESC, run LIMIT $1 ",
            $locking,
            "), lost AS MATERIALIZED (SELECT tenant, run, priority, lease_until AS since FROM runs \
             WHERE lease_until <= (SELECT now FROM clock) AND owner IS NOT NULL \
             AND (wake_at IS NULL OR wake_at <= (SELECT now FROM clock))",
            unstopped!(),
            " ORDER BY lease_until, priority DESC, run LIMIT $1 ",
            $locking,
            "), due AS MATERIALIZED (SELECT * FROM (SELECT * FROM parked UNION ALL SELECT * FROM lost) AS any_of_them \
             ORDER BY since, priority DESC, run LIMIT $1)"
        )
    };
}

const LOOK: &str = concat!(due!(""), " SELECT tenant, run, priority FROM due ORDER BY since, priority DESC, run");

/// Rows that another node's scan, or an append, has locked are left to it.
const OFFER: &str = concat!(
    due!("FOR UPDATE SKIP LOCKED"),
    ", offered AS (UPDATE runs SET wake_at = clock_timestamp() + ",
    millis!("$2"),
    " FROM due WHERE runs.tenant = due.tenant AND runs.run = due.run) \
     SELECT tenant, run, priority FROM due ORDER BY since, priority DESC, run"
);

#[async_trait]
impl Leases for Store {
    async fn acquire(&self, tenant: &TenantId, run: RunId, owner: &str, ttl: Duration) -> Result<Option<Lease>> {
        let acquire = sqlx::query(ACQUIRE.as_str())
            .bind(tenant.as_str())
            .bind(run.as_bytes().as_slice())
            .bind(owner)
            .bind(millis(ttl))
            .fetch_optional(self.database.pool());
        if let Some(row) = self.database.within(acquire).await? {
            let read =
                || Ok((rows::number(&row, 0)?, rows::head(&row, 1)?, rows::wait(&row, 3)?, rows::fork(&row, 4)?));
            let (epoch, head, expired, fork) = read().map_err(|error| self.database.fault(error))?;
            return Ok(Some(Lease { tenant: tenant.clone(), run, epoch, head, fork, expired }));
        }
        self.known(tenant, run).await.map(|()| None)
    }

    async fn renew(&self, owner: &str, ttl: Duration) -> Result<Vec<Lease>> {
        let renew = sqlx::query(RENEW).bind(owner).bind(millis(ttl)).fetch_all(self.database.pool());
        let renewed = self.database.within(renew).await?;
        renewed.iter().map(held).collect::<Result<_, _>>().map_err(|error| self.database.fault(error))
    }

    async fn release(&self, lease: &Lease, wake_in: Option<Duration>) -> Result<()> {
        let release = sqlx::query(RELEASE)
            .bind(lease.tenant.as_str())
            .bind(lease.run.as_bytes().as_slice())
            .bind(rows::integer(lease.epoch))
            .bind(wake_in.map(millis))
            .execute(self.database.pool());
        self.database.within(release).await.map(drop)
    }

    async fn due(&self, limit: usize, hold: Duration) -> Result<Vec<Task>> {
        let found = if hold.is_zero() {
            self.database.within(sqlx::query(LOOK).bind(limited(limit)).fetch_all(self.database.pool())).await?
        } else {
            let offer = sqlx::query(OFFER).bind(limited(limit)).bind(millis(hold)).fetch_all(self.database.pool());
            self.database.within(offer).await?
        };
        let task = |row: &PgRow| {
            Ok(Task { tenant: rows::tenant(row, 0)?, run: rows::run_id(row, 1)?, priority: row.try_get(2)? })
        };
        found.iter().map(task).collect::<Result<_, _>>().map_err(|error| self.database.fault(error))
    }

    async fn stop(&self, stop: StoredStop) -> Result<StoredStop> {
        let write = async {
            let mut transaction = self.database.pool().begin().await?;
            // Whoever takes a lease at this moment has it when this goes on, or sees the stop.
            sqlx::query("LOCK TABLE runs IN SHARE ROW EXCLUSIVE MODE").execute(&mut *transaction).await?;
            sqlx::query("INSERT INTO stops (scope, at, sealed) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
                .bind(stop.scope.as_str())
                .bind(stop.at.as_millis())
                .bind(stop.sealed.as_slice())
                .execute(&mut *transaction)
                .await?;
            let row = sqlx::query("SELECT scope, at, sealed FROM stops WHERE scope = $1")
                .bind(stop.scope.as_str())
                .fetch_one(&mut *transaction)
                .await?;
            transaction.commit().await?;
            stored_stop(&row)
        };
        self.database.within(write).await
    }

    async fn unstop(&self, scope: &Scope) -> Result<Option<StoredStop>> {
        let lift = sqlx::query("DELETE FROM stops WHERE scope = $1 RETURNING scope, at, sealed")
            .bind(scope.as_str())
            .fetch_optional(self.database.pool());
        let row = self.database.within(lift).await?;
        row.as_ref().map(stored_stop).transpose().map_err(|error| self.database.fault(error))
    }

    async fn stops(&self) -> Result<Vec<StoredStop>> {
        let read = sqlx::query("SELECT scope, at, sealed FROM stops ORDER BY scope").fetch_all(self.database.pool());
        let found = self.database.within(read).await?;
        found.iter().map(stored_stop).collect::<Result<_, _>>().map_err(|error| self.database.fault(error))
    }

    async fn held(&self, scope: &Scope) -> Result<u64> {
        let count = sqlx::query(
            "SELECT count(*) FROM runs WHERE owner IS NOT NULL AND lease_until > clock_timestamp() \
             AND $1 IN ('*', tenant)",
        )
        .bind(scope.as_str())
        .fetch_one(self.database.pool());
        let row = self.database.within(count).await?;
        rows::number(&row, 0).map_err(|error| self.database.fault(error))
    }
}

impl Store {
    /// Refuses a run that is not there.
    pub(super) async fn known(&self, tenant: &TenantId, run: RunId) -> Result<()> {
        let look = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM runs WHERE tenant = $1 AND run = $2)")
            .bind(tenant.as_str())
            .bind(run.as_bytes().as_slice())
            .fetch_one(self.database.pool());
        if self.database.within(look).await? { Ok(()) } else { Err(check::unknown(run)) }
    }
}

fn stored_stop(row: &PgRow) -> Result<StoredStop, sqlx::Error> {
    let scope = row.try_get::<&str, _>(0)?.parse().map_err(|error| rows::decode(0, error))?;
    Ok(StoredStop { scope, at: Timestamp::from_millis(row.try_get(1)?), sealed: row.try_get(2)? })
}

/// A lease that is held on.
fn held(row: &PgRow) -> Result<Lease, sqlx::Error> {
    let (tenant, run, epoch) = (rows::tenant(row, 0)?, rows::run_id(row, 1)?, rows::number(row, 2)?);
    Ok(Lease { tenant, run, epoch, head: rows::head(row, 3)?, fork: rows::fork(row, 5)?, expired: None })
}
