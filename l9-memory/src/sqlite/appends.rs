//! The appends of one transaction as few statements over many rows.
//!
//! Every statement costs a visit to the connection's thread, so the ordinary case is
//! one visit: begin, move the heads whose lease and expected end are right, add the
//! records of those heads, commit. Which heads moved is what the first statement
//! returns; the others are refused, and nothing of theirs is written.
//!
//! Rows come in a few fixed numbers, the rest filled with NULLs that match nothing, so
//! that the statements are few and stay prepared.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use l9_core::digest::Digest;
use l9_core::failpoint::{self, Point};
use l9_core::journal::{Along, Append, Appended};
use l9_core::{Error, ErrorKind, Result};
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, AssertSqlSafe, Row, SqliteConnection};

use super::journal::{about, create, keep};
use super::{inbox, rows};
use crate::check;
use crate::kept::{self, Addition};

/// The numbers of rows for which statements exist.
const SIZES: &[usize] = &[1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256];

/// The database's clock, in milliseconds.
macro_rules! now {
    () => {
        "CAST(unixepoch('subsec') * 1000 AS INTEGER)"
    };
}
pub(super) use now;

const HEAD_COLUMNS: usize = 9;
const RECORD_COLUMNS: usize = 12;

/// Whose lease and expected end are right.
const FENCE: &str = concat!(
    "AND runs.epoch = v.column3 AND runs.head_next = v.column4 AND runs.head_hash = v.column5 AND runs.lease_until > ",
    now!(),
);

const MOVE_HEADS: &str = concat!(
    "UPDATE runs SET head_next = v.column6, head_hash = v.column7, updated_at = v.column8, status = v.column9 ",
    "FROM (VALUES {heads}) AS v ",
    "WHERE runs.tenant = v.column1 AND runs.run = v.column2 {fence} RETURNING head_hash, EXISTS (SELECT 1 FROM inbox WHERE inbox.tenant = runs.tenant AND inbox.run = runs.run ",
    "AND inbox.sealed IS NOT NULL);",
);

/// A head that has moved to an append's end says that the append is admitted. If it
/// stood there before, the append was written before, and its records are there.
const ADD_RECORDS: &str = "INSERT INTO records \
    (tenant, run, seq, epoch, at, kind, version, body, commitment, prev, hash) \
    SELECT v.column1, v.column2, v.column3, v.column4, v.column5, v.column6, v.column7, v.column8, v.column9, \
    v.column10, v.column11 FROM (VALUES {records}) AS v CROSS JOIN runs \
    WHERE runs.tenant = v.column1 AND runs.run = v.column2 AND runs.head_hash = v.column12 \
    ON CONFLICT (tenant, run, seq) DO NOTHING;";

/// Appends to different runs.
pub(super) struct Appends<'a> {
    appends: &'a [&'a Append],
    records: usize,
}

impl<'a> Appends<'a> {
    pub(super) fn new(appends: &'a [&'a Append]) -> Self {
        Self { appends, records: appends.iter().map(|append| append.records.len()).sum() }
    }

    /// Whether heads and records are all there is to write.
    pub(super) fn are_plain(&self) -> bool {
        self.appends.iter().all(|append| {
            append.artifacts.is_empty()
                && append.consumed.is_empty()
                && append.along.is_empty()
                && append.snapshot.is_none()
                && !append.status.is_closed()
        }) && self.records <= SIZES[SIZES.len() - 1]
    }

    /// Writes them in a transaction of their own.
    pub(super) async fn commit(&self, connection: &mut SqliteConnection) -> Result<Vec<Result<Appended>>, sqlx::Error> {
        let moved = run(connection, self.appends, true).await?;
        self.outcomes(connection, &moved, HashMap::new()).await
    }

    /// Writes them in a transaction that is open.
    pub(super) async fn write(&self, connection: &mut SqliteConnection) -> Result<Vec<Result<Appended>>, sqlx::Error> {
        let (mut moved, mut refused) = (HashMap::new(), HashMap::new());
        let light: Vec<&Append> = self.appends.iter().copied().filter(|append| append.along.is_empty()).collect();
        for part in parts(&light) {
            moved.extend(run(connection, part, false).await?);
        }
        for append in light {
            if let Some(commands) = moved.get_mut(&check::end(append).hash) {
                finish(connection, append, commands).await?;
            }
        }
        for append in self.appends.iter().filter(|append| !append.along.is_empty()) {
            match laden(connection, append).await? {
                Ok(own) => moved.extend(own),
                Err(error) => drop(refused.insert(check::end(append).hash, error)),
            }
        }
        self.outcomes(connection, &moved, refused).await
    }

    async fn outcomes(
        &self,
        connection: &mut SqliteConnection,
        moved: &HashMap<Digest, bool>,
        mut refused: HashMap<Digest, Error>,
    ) -> Result<Vec<Result<Appended>>, sqlx::Error> {
        let mut outcomes = Vec::with_capacity(self.appends.len());
        for append in self.appends {
            let head = check::end(append);
            outcomes.push(match moved.get(&head.hash) {
                Some(commands) => Ok(Appended { head, commands: *commands }),
                None => match refused.remove(&head.hash) {
                    Some(error) => Err(error),
                    None => Err(refusal(connection, append).await?),
                },
            });
        }
        Ok(outcomes)
    }
}

/// Moves heads and adds records; gives the new heads that count, and whether commands wait
/// there.
async fn run(
    connection: &mut SqliteConnection,
    appends: &[&Append],
    whole: bool,
) -> Result<HashMap<Digest, bool>, sqlx::Error> {
    let mut moved = HashMap::with_capacity(appends.len());
    if appends.is_empty() {
        return Ok(moved);
    }
    let records: usize = appends.iter().map(|append| append.records.len()).sum();
    let (heads, rows) = (size(appends.len()), size(records));
    let arguments = arguments(appends, heads, rows).map_err(sqlx::Error::Encode)?;
    for row in sqlx::query_with(AssertSqlSafe(sql(heads, rows, whole)), arguments).fetch_all(connection).await? {
        moved.insert(rows::digest(&row, 0)?, row.try_get(1)?);
    }
    Ok(moved)
}

/// Writes an append that brings something along: all of both, or nothing of either.
async fn laden(
    connection: &mut SqliteConnection,
    append: &&Append,
) -> Result<Result<HashMap<Digest, bool>>, sqlx::Error> {
    sqlx::query("SAVEPOINT laden").execute(&mut *connection).await?;
    let mut moved = run(connection, std::slice::from_ref(append), false).await?;
    if let Some(commands) = moved.get_mut(&check::end(append).hash) {
        finish(connection, append, commands).await?;
        for along in &append.along {
            if let Err(error) = bring(connection, append, along).await? {
                sqlx::query("ROLLBACK TO laden; RELEASE laden").execute(connection).await?;
                return Ok(Err(error));
            }
        }
    }
    sqlx::query("RELEASE laden").execute(connection).await?;
    Ok(Ok(moved))
}

async fn bring(connection: &mut SqliteConnection, append: &Append, along: &Along) -> Result<Result<()>, sqlx::Error> {
    match along {
        Along::Begin(new) => Ok(create(connection, (**new).clone()).await?.map(drop)),
        Along::Post { run, command, about: subjects } => {
            // A run that has ended, or never was, is told nothing.
            let posted = inbox::post(&mut *connection, append.tenant.clone(), *run, command.clone()).await?;
            if let Ok(true) = posted {
                for subject in subjects {
                    about(&mut *connection, &append.tenant, *run, subject).await?;
                }
            }
            Ok(Ok(()))
        }
        Along::Write(write) => {
            let Some(addition) = write.prepared::<Addition>() else { return Ok(Err(check::foreign())) };
            let added = kept::add(connection, addition).await?;
            Ok(if added { Ok(()) } else { Err(check::kept_meanwhile(append.run)) })
        }
        Along::About(subject) => about(connection, &append.tenant, append.run, subject).await.map(Ok),
        _ => Ok(Err(Error::internal("this backend does not know what an append brings along"))),
    }
}

/// What goes with an admitted append besides its records.
async fn finish(connection: &mut SqliteConnection, append: &Append, commands: &mut bool) -> Result<(), sqlx::Error> {
    for artifact in &append.artifacts {
        sqlx::query("INSERT INTO artifacts (tenant, id, sealed) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
            .bind(append.tenant.as_str())
            .bind(artifact.id.as_bytes().as_slice())
            .bind(artifact.sealed.as_slice())
            .execute(&mut *connection)
            .await?;
    }
    for command in &append.consumed {
        *commands = sqlx::query_scalar(
            "UPDATE inbox SET sealed = NULL WHERE tenant = $1 AND run = $2 AND id = $3; \
             SELECT EXISTS (SELECT 1 FROM inbox WHERE tenant = $1 AND run = $2 AND sealed IS NOT NULL)",
        )
        .bind(append.tenant.as_str())
        .bind(append.run.as_bytes().as_slice())
        .bind(command.as_str())
        .fetch_one(&mut *connection)
        .await?;
    }
    if let Some(snapshot) = &append.snapshot {
        failpoint::pass(Point::SnapshotBegun);
        keep(connection, &append.tenant, append.run, snapshot).await?;
        failpoint::pass(Point::SnapshotStored);
    }
    if append.status.is_closed() {
        sqlx::query("UPDATE runs SET owner = NULL, lease_until = NULL, wake_at = NULL WHERE tenant = ? AND run = ?")
            .bind(append.tenant.as_str())
            .bind(append.run.as_bytes().as_slice())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Why an append was not admitted.
async fn refusal(connection: &mut SqliteConnection, append: &Append) -> Result<Error, sqlx::Error> {
    let row = sqlx::query(concat!(
        "SELECT epoch, head_next, head_hash, coalesce(lease_until > ",
        now!(),
        ", 0) FROM runs WHERE tenant = ? AND run = ?"
    ))
    .bind(append.tenant.as_str())
    .bind(append.run.as_bytes().as_slice())
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(check::unknown(append.run)) };
    let current = check::Current { epoch: rows::number(&row, 0)?, head: rows::head(&row, 1)?, leased: row.try_get(3)? };
    let changed = || Error::new(ErrorKind::Conflict, format!("run {} changed meanwhile: read it again", append.run));
    Ok(current.admits(append).err().unwrap_or_else(changed))
}

/// Parts that have a statement each.
fn parts<'a>(mut appends: &'a [&'a Append]) -> Vec<&'a [&'a Append]> {
    let most = SIZES[SIZES.len() - 1];
    let mut parts = Vec::new();
    while !appends.is_empty() {
        let mut records = 0;
        let fits = appends.iter().take_while(|append| {
            records += append.records.len();
            records <= most
        });
        let (part, rest) = appends.split_at(fits.count().max(1));
        parts.push(part);
        appends = rest;
    }
    parts
}

fn size(rows: usize) -> usize {
    SIZES.iter().copied().find(|size| *size >= rows).unwrap_or(rows)
}

fn sql(heads: usize, records: usize, whole: bool) -> Arc<str> {
    type Known = Mutex<HashMap<(usize, usize, bool), Arc<str>>>;
    static KNOWN: LazyLock<Known> = LazyLock::new(Known::default);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let build = || {
        let statements = [MOVE_HEADS, ADD_RECORDS].concat();
        let statements = statements
            .replace("{fence}", if failpoint::is_unfenced() { "" } else { FENCE })
            .replace("{heads}", &values(heads, HEAD_COLUMNS))
            .replace("{records}", &values(records, RECORD_COLUMNS));
        if whole { format!("BEGIN IMMEDIATE;{statements}COMMIT").into() } else { statements.into() }
    };
    Arc::clone(known.entry((heads, records, whole)).or_insert_with(build))
}

/// `(?,?),(?,?)`
pub(super) fn values(rows: usize, columns: usize) -> String {
    let row = format!("({})", vec!["?"; columns].join(","));
    let mut out = String::with_capacity(rows * (row.len() + 1));
    for at in 0..rows {
        let _ = write!(out, "{}{row}", if at == 0 { "" } else { "," });
    }
    out
}

fn arguments(appends: &[&Append], heads: usize, rows: usize) -> Result<SqliteArguments, sqlx::error::BoxDynError> {
    let mut out = SqliteArguments::default();
    out.reserve(heads * HEAD_COLUMNS + rows * RECORD_COLUMNS, 0);
    for append in appends {
        let end = check::end(append);
        out.add(append.tenant.as_str())?;
        out.add(append.run.as_bytes().as_slice())?;
        out.add(rows::integer(append.epoch))?;
        out.add(rows::integer(append.expected.next))?;
        out.add(append.expected.hash.as_bytes().as_slice())?;
        out.add(rows::integer(end.next))?;
        out.add(end.hash.as_bytes().as_slice())?;
        out.add(append.records.last().map(|record| record.at.as_millis()))?;
        out.add(append.status.as_str())?;
    }
    fill(&mut out, (heads - appends.len()) * HEAD_COLUMNS)?;
    let mut added = 0;
    for append in appends {
        let end = check::end(append);
        for record in &append.records {
            rows::add_record(&mut out, record)?;
            out.add(end.hash.as_bytes().as_slice())?;
            added += 1;
        }
    }
    fill(&mut out, (rows - added) * RECORD_COLUMNS)?;
    Ok(out)
}

fn fill(out: &mut SqliteArguments, count: usize) -> Result<(), sqlx::error::BoxDynError> {
    (0..count).try_for_each(|_| out.add(None::<i64>))
}
