//! Rows to values and back. What does not parse is an error that names the row.

use std::time::Duration;

use l9_core::digest::Digest;
use l9_core::id::{RunId, TenantId};
use l9_core::journal::{ForkPoint, Head, RunRow};
use l9_core::run::Record;
use l9_core::time::Timestamp;
use l9_core::{Error, Result};
use sqlx::error::BoxDynError;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, Row};

/// The columns [`record`] reads.
macro_rules! record_columns {
    () => {
        "position, tenant, run, seq, epoch, at, kind, version, body, commitment, prev, hash"
    };
}
/// The columns [`run`] reads.
macro_rules! run_columns {
    () => {
        "tenant, run, kind, name, status, created_at, updated_at, head_next, head_hash, epoch, priority, \
         fork_parent, fork_at"
    };
}
pub(super) use {record_columns, run_columns};

/// A count or an epoch as SQLite keeps it.
pub(super) fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A number of rows as SQLite takes it.
pub(super) fn limited(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// A span of time as SQLite keeps it.
pub(super) fn millis(duration: Duration) -> i64 {
    // A century is for ever, and stays clear of overflow.
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX).min(3_155_760_000_000)
}

pub(super) fn number(row: &SqliteRow, at: usize) -> Result<u64, sqlx::Error> {
    u64::try_from(row.try_get::<i64, _>(at)?).map_err(|error| decode(at, error))
}

/// A span of milliseconds.
pub(super) fn wait(row: &SqliteRow, at: usize) -> Result<Option<Duration>, sqlx::Error> {
    let millis: Option<i64> = row.try_get(at)?;
    Ok(millis.map(|millis| Duration::from_millis(u64::try_from(millis).unwrap_or(0))))
}

pub(super) fn digest(row: &SqliteRow, at: usize) -> Result<Digest, sqlx::Error> {
    Digest::from_slice(row.try_get(at)?).map_err(|error| decode(at, error))
}

pub(super) fn head(row: &SqliteRow, at: usize) -> Result<Head, sqlx::Error> {
    Ok(Head { next: number(row, at)?, hash: digest(row, at + 1)? })
}

pub(super) fn tenant(row: &SqliteRow, at: usize) -> Result<TenantId, sqlx::Error> {
    TenantId::new(row.try_get::<&str, _>(at)?).map_err(|error| decode(at, error))
}

pub(super) fn run_id(row: &SqliteRow, at: usize) -> Result<RunId, sqlx::Error> {
    RunId::from_slice(row.try_get(at)?).map_err(|error| decode(at, error))
}

pub(super) fn decode(at: usize, error: impl Into<BoxDynError>) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: at.to_string(), source: error.into() }
}

/// A run's index row.
pub(super) fn run(row: &SqliteRow) -> Result<RunRow, sqlx::Error> {
    Ok(RunRow {
        tenant: tenant(row, 0)?,
        run: run_id(row, 1)?,
        kind: row.try_get(2)?,
        name: row.try_get(3)?,
        status: row.try_get::<&str, _>(4)?.parse().map_err(|error: Error| decode(4, error))?,
        created_at: Timestamp::from_millis(row.try_get(5)?),
        updated_at: Timestamp::from_millis(row.try_get(6)?),
        head: head(row, 7)?,
        epoch: number(row, 9)?,
        priority: row.try_get(10)?,
        fork: fork(row, 11)?,
    })
}

pub(super) fn fork(row: &SqliteRow, at: usize) -> Result<Option<ForkPoint>, sqlx::Error> {
    let Some(parent) = row.try_get::<Option<&[u8]>, _>(at)? else { return Ok(None) };
    let parent = RunId::from_slice(parent).map_err(|error| decode(at, error))?;
    Ok(Some(ForkPoint { parent, at: number(row, at + 1)? }))
}

/// A record and its position. `named` says which one was asked for.
pub(super) fn record(row: &SqliteRow, named: impl Fn() -> String) -> Result<(u64, Record)> {
    let read = || -> Result<(u64, Record), sqlx::Error> {
        let record = Record {
            tenant: tenant(row, 1)?,
            run: run_id(row, 2)?,
            seq: number(row, 3)?,
            epoch: number(row, 4)?,
            at: Timestamp::from_millis(row.try_get(5)?),
            kind: row.try_get(6)?,
            version: u16::try_from(row.try_get::<i64, _>(7)?).map_err(|error| decode(7, error))?,
            body: row.try_get(8)?,
            commitment: digest(row, 9)?,
            prev: digest(row, 10)?,
            hash: digest(row, 11)?,
        };
        Ok((number(row, 0)?, record))
    };
    read().map_err(|error| {
        Error::corrupt(format!("{} cannot be read: restore it from a backup", named())).caused_by(error)
    })
}

/// The eleven columns of a record, without its position.
pub(super) fn add_record(out: &mut SqliteArguments, record: &Record) -> Result<(), BoxDynError> {
    out.add(record.tenant.as_str())?;
    out.add(record.run.as_bytes().as_slice())?;
    out.add(integer(record.seq))?;
    out.add(integer(record.epoch))?;
    out.add(record.at.as_millis())?;
    out.add(record.kind.as_str())?;
    out.add(i64::from(record.version))?;
    out.add(record.body.as_slice())?;
    out.add(record.commitment.as_bytes().as_slice())?;
    out.add(record.prev.as_bytes().as_slice())?;
    out.add(record.hash.as_bytes().as_slice())
}
