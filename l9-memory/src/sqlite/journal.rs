//! The journal: records, the index over runs, artifacts.

use async_trait::async_trait;
use l9_core::Result;
use l9_core::digest::{Digest, sha256};
use l9_core::id::{RunId, TenantId};
use l9_core::journal::{Append, Appended, Created, ForkPoint, Journal, NewRun, RunFilter, RunRow, Snapshot};
use l9_core::run::Record;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, Row, SqliteConnection, SqliteExecutor};

use super::appends::now;
use super::rows::{self, limited, record_columns, run_columns};
use super::store::Store;
use super::writer::Answer;
use crate::check;

/// How many of the newest records of all tenants are looked at before the tenant's
/// own index is.
const RECENT_WINDOW: i64 = 4096;

#[async_trait]
impl Journal for Store {
    async fn create(&self, new: NewRun) -> Result<Created> {
        check::create(&new)?;
        let claim = Some((new.record.tenant.clone(), new.record.run));
        let rows = 2 + new.artifacts.len();
        self.database.writer().grouped(claim, rows, move |connection| Box::pin(create(connection, new))).await
    }

    async fn append(&self, append: Append) -> Result<Appended> {
        self.database.writer().append(append).await
    }

    async fn read(&self, tenant: &TenantId, run: RunId, from: u64, limit: usize) -> Result<Vec<Record>> {
        // The rows are read by position, not through the index: the index has copies of
        // its own of the key columns, and what was changed in the table would not be seen.
        let found = sqlx::query(concat!(
            "SELECT ",
            record_columns!(),
            " FROM records WHERE position IN (SELECT position FROM records INDEXED BY records_by_seq \
             WHERE tenant = ? AND run = ? AND seq >= ? ORDER BY seq LIMIT ?) ORDER BY position"
        ))
        .bind(tenant.as_str())
        .bind(run.as_bytes().as_slice())
        .bind(rows::integer(from))
        .bind(limited(limit))
        .fetch_all(self.database.readers())
        .await
        .map_err(|error| self.database.fault(error).with("run", run))?;
        let read = |(at, row)| rows::record(row, || format!("record {} of run {run}", from + at as u64));
        found.iter().enumerate().map(|row| read(row).map(|(_, record)| record)).collect()
    }

    async fn snapshot(&self, tenant: &TenantId, run: RunId) -> Result<Option<Snapshot>> {
        let found = sqlx::query("SELECT next, hash, sealed FROM snapshots WHERE tenant = ? AND run = ?")
            .bind(tenant.as_str())
            .bind(run.as_bytes().as_slice())
            .fetch_optional(self.database.readers())
            .await;
        let read = |row: &sqlx::sqlite::SqliteRow| Ok(Snapshot { head: rows::head(row, 0)?, sealed: row.try_get(2)? });
        found
            .and_then(|row| row.as_ref().map(read).transpose())
            .map_err(|error| self.database.fault(error).with("run", run))
    }

    async fn expire(&self, tenant: &TenantId, run: RunId, snapshot: Snapshot, gone: &[Digest]) -> Result<u64> {
        let (tenant, gone) = (tenant.clone(), gone.to_vec());
        let claim = Some((tenant.clone(), run));
        self.database
            .writer()
            .grouped(claim, 64, move |connection| Box::pin(expire(connection, tenant, run, snapshot, gone)))
            .await
    }

    async fn about(&self, tenant: &TenantId, subject: &Digest) -> Result<Vec<RunRow>> {
        let found = sqlx::query(concat!(
            "WITH RECURSIVE about (id) AS (SELECT run FROM run_subjects WHERE tenant = $1 AND subject = $2 \
             UNION SELECT forks.run FROM runs AS forks JOIN about ON forks.fork_parent = about.id WHERE forks.tenant = $1) \
             SELECT ",
            run_columns!(),
            " FROM runs WHERE tenant = $1 AND run IN (SELECT id FROM about) ORDER BY run"
        ))
        .bind(tenant.as_str())
        .bind(subject.as_bytes().as_slice())
        .fetch_all(self.database.readers())
        .await;
        found.and_then(|found| found.iter().map(rows::run).collect()).map_err(|error| self.database.fault(error))
    }

    async fn erase(&self, tenant: &TenantId, run: RunId, artifacts: &[Digest]) -> Result<u64> {
        let (tenant, artifacts) = (tenant.clone(), artifacts.to_vec());
        let claim = Some((tenant.clone(), run));
        self.database
            .writer()
            .grouped(claim, 64, move |connection| Box::pin(erase(connection, tenant, run, artifacts)))
            .await
    }

    async fn refill(&self, tenant: &TenantId, run: RunId, records: Vec<Record>) -> Result<u64> {
        let tenant = tenant.clone();
        let claim = Some((tenant.clone(), run));
        let rows = records.len();
        self.database
            .writer()
            .grouped(claim, rows, move |connection| Box::pin(refill(connection, tenant, run, records)))
            .await
    }

    async fn recent(&self, tenant: &TenantId, before: Option<u64>, limit: usize) -> Result<Vec<(u64, Record)>> {
        let before = before.map_or(i64::MAX, rows::integer);
        let newest: Option<i64> = sqlx::query_scalar("SELECT max(position) FROM records WHERE position < ?")
            .bind(before)
            .fetch_one(self.database.readers())
            .await
            .map_err(|error| self.database.fault(error))?;
        let Some(newest) = newest else { return Ok(Vec::new()) };
        // A busy tenant's newest records are among everybody's; a quiet one has few.
        let mut found = self.recent_of(NEAR, tenant, before, newest - RECENT_WINDOW, limit).await?;
        if found.len() < limit && newest > RECENT_WINDOW {
            found = self.recent_of(FAR, tenant, before, 0, limit).await?;
        }
        Ok(found)
    }

    async fn run(&self, tenant: &TenantId, run: RunId) -> Result<Option<RunRow>> {
        let found = row(self.database.readers(), tenant, run).await;
        found.map_err(|error| self.database.fault(error).with("run", run))
    }

    async fn runs(&self, tenant: &TenantId, filter: &RunFilter, limit: usize) -> Result<Vec<RunRow>> {
        let found = sqlx::query(concat!(
            "SELECT ",
            run_columns!(),
            " FROM runs WHERE tenant = $1 AND ($2 IS NULL OR run < $2) AND ($3 IS NULL OR status = $3) \
             AND ($4 IS NULL OR name = $4) AND ($5 IS NULL OR updated_at < $5 AND status IN \
             ('succeeded', 'failed', 'cancelled')) \
             AND (NOT $7 OR status NOT IN ('succeeded', 'failed', 'cancelled') AND EXISTS (SELECT 1 FROM records \
             INDEXED BY records_by_question WHERE records.tenant = runs.tenant AND records.run = runs.run \
             AND kind = 'approval.asked')) ORDER BY run DESC LIMIT $6"
        ))
        .bind(tenant.as_str())
        .bind(filter.before.map(|before| before.as_bytes().to_vec()))
        .bind(filter.status.map(|status| status.as_str()))
        .bind(filter.name.as_deref())
        .bind(filter.closed_before.map(|before| before.as_millis()))
        .bind(limited(limit))
        .bind(filter.asked)
        .fetch_all(self.database.readers())
        .await;
        found.and_then(|found| found.iter().map(rows::run).collect()).map_err(|error| self.database.fault(error))
    }

    async fn tenants(&self) -> Result<Vec<TenantId>> {
        // One step of the index per tenant, however many runs each has.
        let found = sqlx::query(
            "WITH RECURSIVE t (tenant) AS (SELECT min(tenant) FROM runs UNION ALL \
             SELECT (SELECT min(tenant) FROM runs WHERE runs.tenant > t.tenant) FROM t WHERE t.tenant IS NOT NULL) \
             SELECT tenant FROM t WHERE tenant IS NOT NULL",
        )
        .fetch_all(self.database.readers())
        .await;
        found
            .and_then(|found| found.iter().map(|row| rows::tenant(row, 0)).collect())
            .map_err(|error| self.database.fault(error))
    }

    async fn artifact(&self, tenant: &TenantId, id: Digest) -> Result<Option<Vec<u8>>> {
        sqlx::query_scalar("SELECT sealed FROM artifacts WHERE tenant = ? AND id = ?")
            .bind(tenant.as_str())
            .bind(id.as_bytes().as_slice())
            .fetch_optional(self.database.readers())
            .await
            .map_err(|error| self.database.fault(error).with("artifact", id))
    }

    async fn ping(&self) -> Result<()> {
        sqlx::query(
            "SELECT (SELECT count(*) FROM meta), (SELECT run FROM runs LIMIT 1), (SELECT max(position) FROM records)",
        )
        .fetch_one(self.database.readers())
        .await
        .map(drop)
        .map_err(|error| self.database.fault(error))
    }
}

const NEAR: &str = concat!(
    "SELECT ",
    record_columns!(),
    " FROM records NOT INDEXED WHERE tenant = ? AND position < ? AND position > ? ORDER BY position DESC LIMIT ?"
);
const FAR: &str = concat!(
    "SELECT ",
    record_columns!(),
    " FROM records WHERE position IN (SELECT position FROM records INDEXED BY records_by_seq \
     WHERE tenant = ? AND position < ? AND position > ? ORDER BY position DESC LIMIT ?) ORDER BY position DESC"
);

impl Store {
    async fn recent_of(
        &self,
        sql: &'static str,
        tenant: &TenantId,
        before: i64,
        after: i64,
        limit: usize,
    ) -> Result<Vec<(u64, Record)>> {
        let found = sqlx::query(sql)
            .bind(tenant.as_str())
            .bind(before)
            .bind(after)
            .bind(limited(limit))
            .fetch_all(self.database.readers())
            .await
            .map_err(|error| self.database.fault(error))?;
        found.iter().map(|row| rows::record(row, || format!("a recent record of tenant {tenant}"))).collect()
    }
}

pub(super) async fn create(connection: &mut SqliteConnection, new: NewRun) -> Answer<Created> {
    let record = &new.record;
    let key = new.idempotency_key.as_ref().map(|key| sha256(&[key.as_bytes()]));
    let existing = sqlx::query(concat!(
        "SELECT ",
        run_columns!(),
        " FROM runs WHERE tenant = $1 ",
        "AND run = coalesce((SELECT run FROM runs WHERE tenant = $1 AND idempotency_key = $3), $2)"
    ))
    .bind(record.tenant.as_str())
    .bind(record.run.as_bytes().as_slice())
    .bind(key.map(|key| key.as_bytes().to_vec()))
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(row) = existing {
        return Ok(Ok(Created::Existing(rows::run(&row)?)));
    }
    if let Some(fork) = new.fork
        && has_emptied(connection, &record.tenant, fork).await?
    {
        return Ok(Err(check::past_is_gone(fork)));
    }
    let row = check::new_row(&new);
    let mut arguments = SqliteArguments::default();
    add(&mut arguments, &new, &row, key).map_err(sqlx::Error::Encode)?;
    sqlx::query_with(
        concat!(
            "INSERT INTO records (tenant, run, seq, epoch, at, kind, version, body, commitment, prev, hash) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?); \
             INSERT INTO runs (tenant, run, kind, name, status, created_at, updated_at, head_next, head_hash, epoch, \
             priority, fork_parent, fork_at, idempotency_key, wake_at) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ",
            now!(),
            ")"
        ),
        arguments,
    )
    .execute(&mut *connection)
    .await?;
    for artifact in &new.artifacts {
        sqlx::query("INSERT INTO artifacts (tenant, id, sealed) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
            .bind(record.tenant.as_str())
            .bind(artifact.id.as_bytes().as_slice())
            .bind(artifact.sealed.as_slice())
            .execute(&mut *connection)
            .await?;
    }
    for subject in &new.about {
        about(connection, &record.tenant, record.run, subject).await?;
    }
    Ok(Ok(Created::New(row)))
}

/// Whether records of the parent's own are emptied that a fork would share.
async fn has_emptied(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    fork: ForkPoint,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM records WHERE tenant = ? AND run = ? AND seq < ? AND length(body) = 0)",
    )
    .bind(tenant.as_str())
    .bind(fork.parent.as_bytes().as_slice())
    .bind(rows::integer(fork.at))
    .fetch_one(connection)
    .await
}

/// A run's row.
async fn row(executor: impl SqliteExecutor<'_>, tenant: &TenantId, run: RunId) -> Result<Option<RunRow>, sqlx::Error> {
    let found = sqlx::query(concat!("SELECT ", run_columns!(), " FROM runs WHERE tenant = ? AND run = ?"))
        .bind(tenant.as_str())
        .bind(run.as_bytes().as_slice())
        .fetch_optional(executor)
        .await?;
    found.as_ref().map(rows::run).transpose()
}

async fn expire(
    connection: &mut SqliteConnection,
    tenant: TenantId,
    run: RunId,
    snapshot: Snapshot,
    gone: Vec<Digest>,
) -> Answer<u64> {
    let Some(row) = row(&mut *connection, &tenant, run).await? else { return Ok(Err(check::unknown(run))) };
    let shared = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM runs WHERE tenant = ? AND fork_parent = ?)")
        .bind(tenant.as_str())
        .bind(run.as_bytes().as_slice())
        .fetch_one(&mut *connection)
        .await?;
    if let Err(refused) = check::expire(run, (row.status, row.head, shared), &snapshot) {
        return Ok(Err(refused));
    }
    keep(&mut *connection, &tenant, run, &snapshot).await?;
    remove(&mut *connection, &tenant, &gone).await?;
    empty(connection, &tenant, run).await.map(Ok)
}

/// Removes artifacts.
async fn remove(connection: &mut SqliteConnection, tenant: &TenantId, gone: &[Digest]) -> Result<(), sqlx::Error> {
    for id in gone {
        sqlx::query("DELETE FROM artifacts WHERE tenant = ? AND id = ?")
            .bind(tenant.as_str())
            .bind(id.as_bytes().as_slice())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Empties a run's records; tells how many.
async fn empty(connection: &mut SqliteConnection, tenant: &TenantId, run: RunId) -> Result<u64, sqlx::Error> {
    let emptied = sqlx::query("UPDATE records SET body = x'' WHERE tenant = ? AND run = ? AND length(body) > 0")
        .bind(tenant.as_str())
        .bind(run.as_bytes().as_slice())
        .execute(connection)
        .await?;
    Ok(emptied.rows_affected())
}

/// Notes that a run holds values about a data subject.
pub(super) async fn about(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    run: RunId,
    subject: &Digest,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO run_subjects (tenant, subject, run) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
        .bind(tenant.as_str())
        .bind(subject.as_bytes().as_slice())
        .bind(run.as_bytes().as_slice())
        .execute(connection)
        .await
        .map(drop)
}

async fn erase(connection: &mut SqliteConnection, tenant: TenantId, run: RunId, artifacts: Vec<Digest>) -> Answer<u64> {
    let Some(row) = row(&mut *connection, &tenant, run).await? else { return Ok(Err(check::unknown(run))) };
    if let Err(refused) = check::erase(run, row.status) {
        return Ok(Err(refused));
    }
    let emptied = empty(&mut *connection, &tenant, run).await?;
    for sql in [
        "DELETE FROM snapshots WHERE tenant = ? AND run = ?",
        "UPDATE inbox SET sealed = NULL WHERE tenant = ? AND run = ?",
        "DELETE FROM run_subjects WHERE tenant = ? AND run = ?",
    ] {
        sqlx::query(sql).bind(tenant.as_str()).bind(run.as_bytes().as_slice()).execute(&mut *connection).await?;
    }
    remove(connection, &tenant, &artifacts).await?;
    Ok(Ok(emptied))
}

async fn refill(connection: &mut SqliteConnection, tenant: TenantId, run: RunId, records: Vec<Record>) -> Answer<u64> {
    let Some(row) = row(&mut *connection, &tenant, run).await? else { return Ok(Err(check::unknown(run))) };
    let erased = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM records WHERE tenant = $1 AND run = $2 AND length(body) = 0) \
         AND NOT EXISTS (SELECT 1 FROM snapshots WHERE tenant = $1 AND run = $2)",
    )
    .bind(tenant.as_str())
    .bind(run.as_bytes().as_slice())
    .fetch_one(&mut *connection)
    .await?;
    if let Err(refused) = check::refill(run, row.status, erased) {
        return Ok(Err(refused));
    }
    let mut filled = 0;
    for record in records {
        let fill =
            "UPDATE records SET body = ? WHERE tenant = ? AND run = ? AND seq = ? AND hash = ? AND length(body) = 0";
        let done = sqlx::query(fill)
            .bind(record.body)
            .bind(tenant.as_str())
            .bind(run.as_bytes().as_slice())
            .bind(rows::integer(record.seq))
            .bind(record.hash.as_bytes().as_slice())
            .execute(&mut *connection)
            .await?;
        filled += done.rows_affected();
    }
    Ok(Ok(filled))
}

/// Keeps a snapshot in place of any earlier one.
pub(super) async fn keep(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    run: RunId,
    snapshot: &Snapshot,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT OR REPLACE INTO snapshots (tenant, run, next, hash, sealed) VALUES (?, ?, ?, ?, ?)")
        .bind(tenant.as_str())
        .bind(run.as_bytes().as_slice())
        .bind(rows::integer(snapshot.head.next))
        .bind(snapshot.head.hash.as_bytes().as_slice())
        .bind(snapshot.sealed.as_slice())
        .execute(connection)
        .await
        .map(drop)
}

fn add(
    out: &mut SqliteArguments,
    new: &NewRun,
    row: &RunRow,
    key: Option<Digest>,
) -> Result<(), sqlx::error::BoxDynError> {
    rows::add_record(out, &new.record)?;
    out.add(row.tenant.as_str())?;
    out.add(row.run.as_bytes().as_slice())?;
    out.add(row.kind.as_str())?;
    out.add(row.name.as_str())?;
    out.add(row.status.as_str())?;
    out.add(row.created_at.as_millis())?;
    out.add(row.updated_at.as_millis())?;
    out.add(rows::integer(row.head.next))?;
    out.add(row.head.hash.as_bytes().as_slice())?;
    out.add(rows::integer(row.epoch))?;
    out.add(i64::from(row.priority))?;
    out.add(row.fork.map(|fork| fork.parent.as_bytes().to_vec()))?;
    out.add(row.fork.map(|fork| rows::integer(fork.at)))?;
    out.add(key.map(|key| key.as_bytes().to_vec()))
}
