//! The journal: records, the index over runs, artifacts.

use async_trait::async_trait;
use l9_core::digest::{Digest, sha256};
use l9_core::id::{RunId, TenantId};
use l9_core::journal::{Append, Appended, Created, ForkPoint, Journal, NewRun, RunFilter, RunRow, Snapshot};
use l9_core::run::Record;
use l9_core::{Error, Result};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgExecutor, Row};
use tokio::time::timeout;

use super::database::PING;
use super::rows::{self, closed, limited, record_columns, run_columns};
use super::store::Store;
use crate::check;

/// What no id of a run comes after.
const LAST_RUN: [u8; 17] = [0xff; 17];

/// Nothing follows from a run or key that is there.
const CREATE: &str = "WITH fresh AS (INSERT INTO runs (tenant, run, kind, name, status, created_at, updated_at, \
     head_next, head_hash, epoch, priority, fork_parent, fork_at, idempotency_key, wake_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, clock_timestamp()) \
     ON CONFLICT DO NOTHING RETURNING tenant, run), \
     added AS (INSERT INTO records (tenant, run, seq, epoch, at, kind, version, body, commitment, prev, hash) \
     SELECT tenant, run, $15, $16, $17, $18, $19, $20, $21, $22, $23 FROM fresh), \
     queued AS (INSERT INTO audit_outbox (tenant, run, seq, records) SELECT tenant, run, $15, 1 FROM fresh), \
     kept AS (INSERT INTO artifacts (tenant, id, sealed) SELECT fresh.tenant, x.id, x.sealed \
     FROM unnest($24::bytea[], $25::bytea[]) AS x (id, sealed), fresh ORDER BY x.id ON CONFLICT DO NOTHING), \
     about AS (INSERT INTO run_subjects (tenant, subject, run) SELECT fresh.tenant, s.subject, fresh.run \
     FROM unnest($26::bytea[]) AS s (subject), fresh ON CONFLICT DO NOTHING) \
     SELECT EXISTS (SELECT 1 FROM fresh)";

const EXPIRE: &str = "WITH kept AS (INSERT INTO snapshots (tenant, run, next, hash, sealed) VALUES ($1, $2, $3, $4, $5) \
     ON CONFLICT (tenant, run) DO UPDATE SET next = excluded.next, hash = excluded.hash, sealed = excluded.sealed), \
     referred AS (DELETE FROM artifacts WHERE tenant = $1 AND id = ANY ($6)) \
     UPDATE records SET body = '' WHERE tenant = $1 AND run = $2 AND length(body) > 0";

const ABOUT: &str = concat!(
    "WITH RECURSIVE about (id) AS (SELECT run FROM run_subjects WHERE tenant = $1 AND subject = $2 \
     UNION SELECT forks.run FROM runs AS forks JOIN about ON forks.fork_parent = about.id WHERE forks.tenant = $1) SELECT ",
    run_columns!(),
    " FROM runs WHERE tenant = $1 AND run IN (SELECT id FROM about) ORDER BY run"
);

const ERASE: &str = "WITH state AS (DELETE FROM snapshots WHERE tenant = $1 AND run = $2), \
     told AS (UPDATE inbox SET sealed = NULL WHERE tenant = $1 AND run = $2 AND sealed IS NOT NULL), \
     idle AS (UPDATE runs SET waiting = 0 WHERE tenant = $1 AND run = $2), \
     about AS (DELETE FROM run_subjects WHERE tenant = $1 AND run = $2), \
     referred AS (DELETE FROM artifacts WHERE tenant = $1 AND id = ANY ($3)) \
     UPDATE records SET body = '' WHERE tenant = $1 AND run = $2 AND length(body) > 0";

const ERASED: &str = "SELECT EXISTS (SELECT 1 FROM records WHERE tenant = $1 AND run = $2 AND length(body) = 0) \
     AND NOT EXISTS (SELECT 1 FROM snapshots WHERE tenant = $1 AND run = $2)";

/// Whoever lets bodies go and whoever makes a fork hold the parent's row, and then look: a
/// statement sees what was there when it began.
const LOCK_CLOSED: &str = "SELECT true FROM runs WHERE tenant = $1 AND run = $2 FOR UPDATE";
const LOCK_PARENT: &str = "SELECT true FROM runs WHERE tenant = $1 AND run = $2 FOR SHARE";

const SHARED: &str = "SELECT EXISTS (SELECT 1 FROM runs WHERE tenant = $1 AND fork_parent = $2)";

/// Whether records of the parent's own are emptied that a fork would share.
const EMPTIED: &str =
    "SELECT EXISTS (SELECT 1 FROM records WHERE tenant = $1 AND run = $2 AND seq < $3 AND length(body) = 0)";

const EXISTING: &str = concat!(
    "SELECT ",
    run_columns!(),
    " FROM runs WHERE tenant = $1 AND run = \
     coalesce((SELECT run FROM runs WHERE tenant = $1 AND idempotency_key = $3), $2)"
);

const RUNS: &str = concat!(
    "SELECT ",
    run_columns!(),
    " FROM runs WHERE tenant = $1 AND run < $2 AND ($3::text IS NULL OR status = $3) \
     AND ($4::text IS NULL OR name = $4) AND ($5::bigint IS NULL OR updated_at < $5 AND status IN ",
    closed!(),
    ") AND (NOT $7 OR status NOT IN ",
    closed!(),
    " AND EXISTS (SELECT 1 FROM records WHERE records.tenant = runs.tenant AND records.run = runs.run \
     AND kind = 'approval.asked')) ORDER BY run DESC LIMIT $6"
);

#[async_trait]
impl Journal for Store {
    async fn create(&self, new: NewRun) -> Result<Created> {
        check::create(&new)?;
        let row = check::new_row(&new);
        let key = key(&new);
        let gone = || new.fork.map_or_else(|| Error::internal("a run without a parent"), check::past_is_gone);
        match self.insert(&new, &row, key).await? {
            Some(true) => return Ok(Created::New(row)),
            Some(false) => {}
            // Unless it was made before its past went.
            None => return self.existing(&row, key).await?.map(Created::Existing).ok_or_else(gone),
        }
        let gone = || Error::unavailable(format!("run {} was there and is gone: try again", row.run));
        self.existing(&row, key).await?.map(Created::Existing).ok_or_else(gone)
    }

    async fn append(&self, append: Append) -> Result<Appended> {
        self.database.appender().append(append).await
    }

    async fn read(&self, tenant: &TenantId, run: RunId, from: u64, limit: usize) -> Result<Vec<Record>> {
        let read = sqlx::query(concat!(
            "SELECT ",
            record_columns!(),
            " FROM records WHERE tenant = $1 AND run = $2 AND seq >= $3 ORDER BY seq LIMIT $4"
        ))
        .bind(tenant.as_str())
        .bind(run.as_bytes().as_slice())
        .bind(rows::integer(from))
        .bind(limited(limit))
        .fetch_all(self.database.pool());
        let found = self.database.within(read).await?;
        let read = |(at, row)| rows::record(row, || format!("record {} of run {run}", from + at as u64));
        found.iter().enumerate().map(|row| read(row).map(|(_, record)| record)).collect()
    }

    async fn snapshot(&self, tenant: &TenantId, run: RunId) -> Result<Option<Snapshot>> {
        let read = sqlx::query("SELECT next, hash, sealed FROM snapshots WHERE tenant = $1 AND run = $2")
            .bind(tenant.as_str())
            .bind(run.as_bytes().as_slice())
            .fetch_optional(self.database.pool());
        let found = self.database.within(read).await?;
        let read = |row: &PgRow| Ok(Snapshot { head: rows::head(row, 0)?, sealed: row.try_get(2)? });
        found.as_ref().map(read).transpose().map_err(|error| self.database.fault(error).with("run", run))
    }

    async fn expire(&self, tenant: &TenantId, run: RunId, snapshot: Snapshot, gone: &[Digest]) -> Result<u64> {
        let row = self.run(tenant, run).await?.ok_or_else(|| check::unknown(run))?;
        check::expire(run, (row.status, row.head, false), &snapshot)?;
        let expire = async {
            let mut transaction = self.database.pool().begin().await?;
            if asked(&mut transaction, LOCK_CLOSED, (tenant, run), None).await?.is_none()
                || asked(&mut transaction, SHARED, (tenant, run), None).await? == Some(true)
            {
                return Ok(None);
            }
            let emptied = sqlx::query(EXPIRE)
                .bind(tenant.as_str())
                .bind(run.as_bytes().as_slice())
                .bind(rows::integer(snapshot.head.next))
                .bind(snapshot.head.hash.as_bytes().as_slice())
                .bind(snapshot.sealed.as_slice())
                .bind(gone.iter().map(|id| id.as_bytes().as_slice()).collect::<Vec<_>>())
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(Some(emptied.rows_affected()))
        };
        match self.database.within(expire).await? {
            Some(emptied) => Ok(emptied),
            None => check::expire(run, (row.status, row.head, true), &snapshot).map(|()| 0),
        }
    }

    async fn about(&self, tenant: &TenantId, subject: &Digest) -> Result<Vec<RunRow>> {
        let read = sqlx::query(ABOUT)
            .bind(tenant.as_str())
            .bind(subject.as_bytes().as_slice())
            .fetch_all(self.database.pool());
        let found = self.database.within(read).await?;
        found.iter().map(rows::run).collect::<Result<_, _>>().map_err(|error| self.database.fault(error))
    }

    async fn erase(&self, tenant: &TenantId, run: RunId, artifacts: &[Digest]) -> Result<u64> {
        let row = self.run(tenant, run).await?.ok_or_else(|| check::unknown(run))?;
        check::erase(run, row.status)?;
        let erase = async {
            let mut transaction = self.database.pool().begin().await?;
            asked(&mut transaction, LOCK_CLOSED, (tenant, run), None).await?;
            let emptied = sqlx::query(ERASE)
                .bind(tenant.as_str())
                .bind(run.as_bytes().as_slice())
                .bind(artifacts.iter().map(|id| id.as_bytes().as_slice()).collect::<Vec<_>>())
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(emptied.rows_affected())
        };
        self.database.within(erase).await
    }

    async fn refill(&self, tenant: &TenantId, run: RunId, records: Vec<Record>) -> Result<u64> {
        let row = self.run(tenant, run).await?.ok_or_else(|| check::unknown(run))?;
        let look = sqlx::query_scalar(ERASED).bind(tenant.as_str()).bind(run.as_bytes().as_slice());
        let erased = self.database.within(look.fetch_one(self.database.pool())).await?;
        check::refill(run, row.status, erased)?;
        // Whoever erases meanwhile takes away what the rows must not have: the last look is the statement's.
        let fill = sqlx::query(
            "UPDATE records SET body = b.body FROM unnest($3::bigint[], $4::bytea[], $5::bytea[]) AS b (seq, hash, body) \
             WHERE records.tenant = $1 AND records.run = $2 AND records.seq = b.seq AND records.hash = b.hash \
             AND length(records.body) = 0 AND EXISTS (SELECT 1 FROM snapshots WHERE tenant = $1 AND run = $2)",
        )
        .bind(tenant.as_str())
        .bind(run.as_bytes().as_slice())
        .bind(records.iter().map(|record| rows::integer(record.seq)).collect::<Vec<_>>())
        .bind(records.iter().map(|record| record.hash.as_bytes().as_slice()).collect::<Vec<_>>())
        .bind(records.iter().map(|record| record.body.as_slice()).collect::<Vec<_>>())
        .execute(self.database.pool());
        Ok(self.database.within(fill).await?.rows_affected())
    }

    async fn recent(&self, tenant: &TenantId, before: Option<u64>, limit: usize) -> Result<Vec<(u64, Record)>> {
        let read = sqlx::query(concat!(
            "SELECT ",
            record_columns!(),
            " FROM records WHERE tenant = $1 AND position < $2 ORDER BY position DESC LIMIT $3"
        ))
        .bind(tenant.as_str())
        .bind(before.map_or(i64::MAX, rows::integer))
        .bind(limited(limit))
        .fetch_all(self.database.pool());
        let found = self.database.within(read).await?;
        found.iter().map(|row| rows::record(row, || format!("a recent record of tenant {tenant}"))).collect()
    }

    async fn run(&self, tenant: &TenantId, run: RunId) -> Result<Option<RunRow>> {
        let read = sqlx::query(concat!("SELECT ", run_columns!(), " FROM runs WHERE tenant = $1 AND run = $2"))
            .bind(tenant.as_str())
            .bind(run.as_bytes().as_slice())
            .fetch_optional(self.database.pool());
        let found = self.database.within(read).await?;
        found.as_ref().map(rows::run).transpose().map_err(|error| self.database.fault(error).with("run", run))
    }

    async fn runs(&self, tenant: &TenantId, filter: &RunFilter, limit: usize) -> Result<Vec<RunRow>> {
        let read = sqlx::query(RUNS)
            .bind(tenant.as_str())
            .bind(filter.before.as_ref().map_or(LAST_RUN.as_slice(), |before| before.as_bytes()))
            .bind(filter.status.map(|status| status.as_str()))
            .bind(filter.name.as_deref())
            .bind(filter.closed_before.map(|before| before.as_millis()))
            .bind(limited(limit))
            .bind(filter.asked)
            .fetch_all(self.database.pool());
        let found = self.database.within(read).await?;
        found.iter().map(rows::run).collect::<Result<_, _>>().map_err(|error| self.database.fault(error))
    }

    async fn tenants(&self) -> Result<Vec<TenantId>> {
        // One step of the index per tenant, however many runs each has.
        let read = sqlx::query(
            "WITH RECURSIVE t (tenant) AS ((SELECT tenant FROM runs ORDER BY tenant LIMIT 1) UNION ALL \
             SELECT (SELECT runs.tenant FROM runs WHERE runs.tenant > t.tenant ORDER BY runs.tenant LIMIT 1) \
             FROM t WHERE t.tenant IS NOT NULL) SELECT tenant FROM t WHERE tenant IS NOT NULL",
        )
        .fetch_all(self.database.pool());
        let found = self.database.within(read).await?;
        let tenant = |row| rows::tenant(row, 0);
        found.iter().map(tenant).collect::<Result<_, _>>().map_err(|error| self.database.fault(error))
    }

    async fn artifact(&self, tenant: &TenantId, id: Digest) -> Result<Option<Vec<u8>>> {
        let read = sqlx::query_scalar("SELECT sealed FROM artifacts WHERE tenant = $1 AND id = $2")
            .bind(tenant.as_str())
            .bind(id.as_bytes().as_slice())
            .fetch_optional(self.database.pool());
        self.database.within(read).await.map_err(|error| error.with("artifact", id))
    }

    async fn ping(&self) -> Result<()> {
        let look = sqlx::query("SELECT (SELECT count(*) FROM meta), (SELECT run FROM runs LIMIT 1)")
            .fetch_one(self.database.pool());
        // Whoever asks wants to know now, not when the pool gives up.
        match timeout(PING, self.database.within(look)).await {
            Ok(answered) => answered.map(drop),
            Err(_) => Err(self.database.mute(PING)),
        }
    }
}

impl Store {
    /// The run of that id or key.
    async fn existing(&self, row: &RunRow, key: Option<Digest>) -> Result<Option<RunRow>> {
        let look = sqlx::query(EXISTING)
            .bind(row.tenant.as_str())
            .bind(row.run.as_bytes().as_slice())
            .bind(key.as_ref().map(|key| key.as_bytes().as_slice()))
            .fetch_optional(self.database.pool());
        let found = self.database.within(look).await?;
        found.as_ref().map(rows::run).transpose().map_err(|error| self.database.fault(error))
    }

    /// Inserts a run with its first record; tells whether it was not there. `None` if it is
    /// a fork of what has expired.
    async fn insert(&self, new: &NewRun, row: &RunRow, key: Option<Digest>) -> Result<Option<bool>> {
        let Some(ForkPoint { parent, at }) = new.fork else {
            return self.database.within(insert(self.database.pool(), new, row, key)).await.map(Some);
        };
        let parent = (&row.tenant, parent);
        let insert = async {
            let mut transaction = self.database.pool().begin().await?;
            asked(&mut transaction, LOCK_PARENT, parent, None).await?;
            if asked(&mut transaction, EMPTIED, parent, Some(at)).await? == Some(true) {
                return Ok(None);
            }
            let fresh = insert(&mut *transaction, new, row, key).await?;
            transaction.commit().await?;
            Ok(Some(fresh))
        };
        self.database.within(insert).await
    }
}

/// Asks something of a run, and of its records before a seq.
async fn asked(
    connection: &mut PgConnection,
    question: &'static str,
    (tenant, run): (&TenantId, RunId),
    before: Option<u64>,
) -> Result<Option<bool>, sqlx::Error> {
    let asked = sqlx::query_scalar(question).bind(tenant.as_str()).bind(run.as_bytes().to_vec());
    let asked = match before {
        Some(seq) => asked.bind(rows::integer(seq)),
        None => asked,
    };
    asked.fetch_optional(connection).await
}

/// Inserts a run with its first record; tells whether it was not there.
pub(super) async fn insert(
    executor: impl PgExecutor<'_>,
    new: &NewRun,
    row: &RunRow,
    key: Option<Digest>,
) -> Result<bool, sqlx::Error> {
    let record = &new.record;
    sqlx::query_scalar(CREATE)
        .bind(row.tenant.as_str())
        .bind(row.run.as_bytes().as_slice())
        .bind(row.kind.as_str())
        .bind(row.name.as_str())
        .bind(row.status.as_str())
        .bind(row.created_at.as_millis())
        .bind(row.updated_at.as_millis())
        .bind(rows::integer(row.head.next))
        .bind(row.head.hash.as_bytes().as_slice())
        .bind(rows::integer(row.epoch))
        .bind(row.priority)
        .bind(row.fork.as_ref().map(|fork| fork.parent.as_bytes().as_slice()))
        .bind(row.fork.map(|fork| rows::integer(fork.at)))
        .bind(key.as_ref().map(|key| key.as_bytes().as_slice()))
        .bind(rows::integer(record.seq))
        .bind(rows::integer(record.epoch))
        .bind(record.at.as_millis())
        .bind(record.kind.as_str())
        .bind(i32::from(record.version))
        .bind(record.body.as_slice())
        .bind(record.commitment.as_bytes().as_slice())
        .bind(record.prev.as_bytes().as_slice())
        .bind(record.hash.as_bytes().as_slice())
        .bind(new.artifacts.iter().map(|artifact| artifact.id.as_bytes().as_slice()).collect::<Vec<_>>())
        .bind(new.artifacts.iter().map(|artifact| artifact.sealed.as_slice()).collect::<Vec<_>>())
        .bind(new.about.iter().map(|subject| subject.as_bytes().as_slice()).collect::<Vec<_>>())
        .fetch_one(executor)
        .await
}

/// Notes that a run holds values about a data subject.
pub(super) async fn about(
    executor: impl PgExecutor<'_>,
    tenant: &TenantId,
    run: RunId,
    subject: &Digest,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO run_subjects (tenant, subject, run) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
        .bind(tenant.as_str())
        .bind(subject.as_bytes().as_slice())
        .bind(run.as_bytes().as_slice())
        .execute(executor)
        .await
        .map(drop)
}

/// The mark of a caller's key.
pub(super) fn key(new: &NewRun) -> Option<Digest> {
    new.idempotency_key.as_ref().map(|key| sha256(&[key.as_bytes()]))
}
