//! The appends of one commit as one statement over many rows.
//!
//! A journey to the server and its flush cost more than the rows do, so one statement
//! does everything, in a transaction of its own: it locks the rows of the runs in the
//! order of tenant and run (no batch ever waits for one that waits for it), moves the
//! heads whose epoch, end and lease are right, and adds what belongs to those. Which
//! heads moved is what it returns; the others are refused, and nothing of theirs is
//! written.
//!
//! The rows are locked before they are compared, and each is compared as it is then, not
//! as it was when the statement began. Everything that could have changed meanwhile and
//! matters stands in the run's own row, the number of commands that wait included.

use std::sync::LazyLock;

use l9_core::failpoint;
use l9_core::journal::{Along, Append, Appended};
use l9_core::{Error, ErrorKind, Result};
use sqlx::{Connection, PgConnection};

use super::columns::{Artifacts, Consumed, Heads, Records, Snapshots};
use super::rows::{self, closed};
use super::{inbox, journal, memory};
use crate::check;
use crate::kept::{self, Addition};

/// Whose lease and expected end are right.
const FENCE: &str = "AND runs.epoch = h.epoch AND runs.head_next = h.next AND runs.head_hash = h.hash \
     AND runs.lease_until > clock_timestamp()";

/// Which records belong to a head that moved is asked of a hashed set: joined, a batch
/// would take the square of its length, for the server expects it to be short.
const ADMIT: &str = concat!(
    "WITH asked AS (SELECT * FROM unnest($1::text[], $2::bytea[], $3::bigint[], $4::bigint[], $5::bytea[], \
     $6::bigint[], $7::bytea[], $8::bigint[], $9::text[]) WITH ORDINALITY \
     AS a (tenant, run, epoch, next, hash, end_next, end_hash, at, status, place)), \
     held AS MATERIALIZED (SELECT a.* FROM runs r JOIN asked a ON r.tenant = a.tenant AND r.run = a.run \
     ORDER BY r.tenant, r.run FOR UPDATE OF r), \
     spent AS MATERIALIZED (SELECT c.place, count(*) AS commands \
     FROM unnest($22::bigint[], $23::text[], $24::bytea[], $25::text[]) AS c (place, tenant, run, id) \
     JOIN inbox i ON i.tenant = c.tenant AND i.run = c.run AND i.id = c.id \
     WHERE i.sealed IS NOT NULL GROUP BY c.place), \
     moved AS (UPDATE runs SET head_next = h.end_next, head_hash = h.end_hash, updated_at = h.at, status = h.status, \
     waiting = waiting - coalesce(s.commands, 0), \
     owner = CASE WHEN h.status IN ",
    closed!(),
    " THEN NULL ELSE owner END, \
     lease_until = CASE WHEN h.status IN ",
    closed!(),
    " THEN NULL ELSE lease_until END \
     FROM held h LEFT JOIN spent s ON s.place = h.place \
     WHERE runs.tenant = h.tenant AND runs.run = h.run {fence} RETURNING h.place, runs.waiting), \
     added AS (INSERT INTO records (tenant, run, seq, epoch, at, kind, version, body, commitment, prev, hash) \
     SELECT b.tenant, b.run, b.seq, b.epoch, b.at, b.kind, b.version, b.body, b.commitment, b.prev, b.hash \
     FROM unnest($10::bigint[], $11::text[], $12::bytea[], $13::bigint[], $14::bigint[], $15::bigint[], $16::text[], \
     $17::int[], $18::bytea[], $19::bytea[], $20::bytea[], $21::bytea[]) \
     AS b (place, tenant, run, seq, epoch, at, kind, version, body, commitment, prev, hash) \
     WHERE (b.place IN (SELECT place FROM moved)) IS TRUE {clash}), \
     queued AS (INSERT INTO audit_outbox (tenant, run, seq, records) \
     SELECT h.tenant, h.run, h.next, h.end_next - h.next FROM held h \
     WHERE (h.place IN (SELECT place FROM moved)) IS TRUE ORDER BY h.place), \
     consumed AS (UPDATE inbox SET sealed = NULL \
     FROM unnest($22::bigint[], $23::text[], $24::bytea[], $25::text[]) AS c (place, tenant, run, id) \
     WHERE (c.place IN (SELECT place FROM moved)) IS TRUE \
     AND inbox.tenant = c.tenant AND inbox.run = c.run AND inbox.id = c.id AND inbox.sealed IS NOT NULL), \
     kept AS (INSERT INTO artifacts (tenant, id, sealed) SELECT x.tenant, x.id, x.sealed \
     FROM unnest($26::bigint[], $27::text[], $28::bytea[], $29::bytea[]) AS x (place, tenant, id, sealed) \
     WHERE (x.place IN (SELECT place FROM moved)) IS TRUE ORDER BY x.tenant COLLATE \"C\", x.id ON CONFLICT DO NOTHING), \
     folded AS (INSERT INTO snapshots (tenant, run, next, hash, sealed) SELECT f.tenant, f.run, f.next, f.hash, f.sealed \
     FROM unnest($30::bigint[], $31::text[], $32::bytea[], $33::bigint[], $34::bytea[], $35::bytea[]) \
     AS f (place, tenant, run, next, hash, sealed) WHERE (f.place IN (SELECT place FROM moved)) IS TRUE \
     ON CONFLICT (tenant, run) DO UPDATE SET next = excluded.next, hash = excluded.hash, sealed = excluded.sealed) \
     SELECT place, waiting FROM moved",
);

static APPEND: LazyLock<String> = LazyLock::new(|| {
    let (fence, clash) = if failpoint::is_unfenced() { ("", "ON CONFLICT DO NOTHING") } else { (FENCE, "") };
    ADMIT.replace("{fence}", fence).replace("{clash}", clash)
});

/// Locks the rows of runs in the order in which every batch locks them.
const LOCK: &str = "SELECT 1 FROM runs WHERE tenant = $1 AND run = ANY ($2) ORDER BY tenant, run FOR UPDATE";

/// Writes an append that brings something along, in a transaction of its own: all of both,
/// or nothing of either.
pub(super) async fn write_laden(
    connection: &mut PgConnection,
    append: &Append,
) -> Result<Result<Appended>, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    // A long write of memories is waited for before the run's row is held, or it would cost the
    // run its lease.
    if append.along.iter().any(|along| matches!(along, Along::Write(_))) {
        memory::lock(&mut transaction, &append.tenant).await?;
    }
    let others = append.along.iter().filter_map(|along| match along {
        Along::Post { run, .. } => Some(*run),
        _ => None,
    });
    let runs: Vec<Vec<u8>> = others.chain([append.run]).map(|run| run.as_bytes().to_vec()).collect();
    sqlx::query(LOCK).bind(append.tenant.as_str()).bind(runs).execute(&mut *transaction).await?;
    let outcome = write(&mut transaction, &[append]).await?.pop();
    let outcome = outcome.unwrap_or_else(|| Err(Error::internal("an append was left out")));
    if outcome.is_ok() {
        for along in &append.along {
            if let Err(error) = bring(&mut transaction, append, along).await? {
                transaction.rollback().await?;
                return Ok(Err(error));
            }
        }
    }
    transaction.commit().await?;
    Ok(outcome)
}

async fn bring(connection: &mut PgConnection, append: &Append, along: &Along) -> Result<Result<()>, sqlx::Error> {
    match along {
        Along::Begin(new) => {
            if let Err(error) = check::create(new) {
                return Ok(Err(error));
            }
            journal::insert(connection, new, &check::new_row(new), journal::key(new)).await.map(|_| Ok(()))
        }
        // A run that has ended, or never was, is told nothing.
        Along::Post { run, command, about } => {
            let posted = inbox::post(&mut *connection, &append.tenant, *run, command).await?;
            if let Some((_, true)) = posted {
                for subject in about {
                    journal::about(&mut *connection, &append.tenant, *run, subject).await?;
                }
            }
            Ok(Ok(()))
        }
        Along::Write(write) => match write.prepared::<Addition>() {
            None => Ok(Err(check::foreign())),
            Some(addition) if kept::add(connection, addition).await? => Ok(Ok(())),
            Some(_) => Ok(Err(check::kept_meanwhile(append.run))),
        },
        Along::About(subject) => journal::about(connection, &append.tenant, append.run, subject).await.map(Ok),
        _ => Ok(Err(Error::internal("this backend does not know what an append brings along"))),
    }
}

/// Writes appends to different runs; durable when it returns. A fault means that none was
/// written, or all that were admitted: whoever asked must look.
pub(super) async fn write(
    connection: &mut PgConnection,
    appends: &[&Append],
) -> Result<Vec<Result<Appended>>, sqlx::Error> {
    let mut outcomes: Vec<Option<Result<Appended>>> = run(connection, appends).await?;
    let mut again = Vec::new();
    for (at, outcome) in outcomes.iter_mut().enumerate().filter(|(_, outcome)| outcome.is_none()) {
        match refusal(connection, appends[at]).await? {
            Some(refused) => *outcome = Some(Err(refused)),
            // It was in order after all: its lease was renewed while the statement waited.
            None => again.push(at),
        }
    }
    if !again.is_empty() {
        let asked: Vec<&Append> = again.iter().map(|at| appends[*at]).collect();
        for (at, outcome) in again.into_iter().zip(run(connection, &asked).await?) {
            outcomes[at] = outcome;
        }
    }
    let changed = |append: &Append| {
        Error::new(ErrorKind::Conflict, format!("run {} changed meanwhile: read it again", append.run))
    };
    Ok(outcomes
        .into_iter()
        .zip(appends)
        .map(|(outcome, append)| outcome.unwrap_or_else(|| Err(changed(append))))
        .collect())
}

/// Runs the statement; gives what each append that was admitted found.
async fn run(connection: &mut PgConnection, appends: &[&Append]) -> Result<Vec<Option<Result<Appended>>>, sqlx::Error> {
    let heads = Heads::of(appends);
    let records = Records::of(appends);
    let consumed = Consumed::of(appends);
    let artifacts = Artifacts::of(appends);
    let snapshots = Snapshots::of(appends);
    let query = sqlx::query_as(APPEND.as_str())
        .bind(heads.tenants)
        .bind(heads.runs)
        .bind(heads.epochs)
        .bind(heads.nexts)
        .bind(heads.hashes)
        .bind(heads.end_nexts)
        .bind(heads.end_hashes)
        .bind(heads.ats)
        .bind(heads.statuses)
        .bind(records.places)
        .bind(records.tenants)
        .bind(records.runs)
        .bind(records.seqs)
        .bind(records.epochs)
        .bind(records.ats)
        .bind(records.kinds)
        .bind(records.versions)
        .bind(records.bodies)
        .bind(records.commitments)
        .bind(records.prevs)
        .bind(records.hashes)
        .bind(consumed.places)
        .bind(consumed.tenants)
        .bind(consumed.runs)
        .bind(consumed.ids)
        .bind(artifacts.places)
        .bind(artifacts.tenants)
        .bind(artifacts.ids)
        .bind(artifacts.bytes)
        .bind(snapshots.places)
        .bind(snapshots.tenants)
        .bind(snapshots.runs)
        .bind(snapshots.nexts)
        .bind(snapshots.hashes)
        .bind(snapshots.bytes);
    let moved: Vec<(i64, i32)> = query.fetch_all(connection).await?;
    let mut outcomes: Vec<Option<Result<Appended>>> = appends.iter().map(|_| None).collect();
    for (place, waiting) in moved {
        let at = usize::try_from(place - 1).unwrap_or(usize::MAX);
        if let (Some(outcome), Some(append)) = (outcomes.get_mut(at), appends.get(at)) {
            *outcome = Some(Ok(Appended { head: check::end(append), commands: waiting > 0 }));
        }
    }
    Ok(outcomes)
}

/// Why an append was not admitted; `None` if it would be now.
async fn refusal(connection: &mut PgConnection, append: &Append) -> Result<Option<Error>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT epoch, head_next, head_hash, coalesce(lease_until > clock_timestamp(), false) \
         FROM runs WHERE tenant = $1 AND run = $2",
    )
    .bind(append.tenant.as_str())
    .bind(append.run.as_bytes().as_slice())
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(Some(check::unknown(append.run))) };
    let leased = sqlx::Row::try_get(&row, 3)?;
    let current = check::Current { epoch: rows::number(&row, 0)?, head: rows::head(&row, 1)?, leased };
    Ok(current.admits(append).err())
}
