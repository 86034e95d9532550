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

use l9_core::journal::{Append, Appended};
use l9_core::{Error, ErrorKind, Result};
use sqlx::PgConnection;

use super::rows::{self, closed};
use crate::check;

const APPEND: &str = concat!(
    "WITH asked AS MATERIALIZED (SELECT * FROM unnest($1::text[], $2::bytea[], $3::bigint[], $4::bigint[], \
     $5::bytea[], $6::bigint[], $7::bytea[], $8::bigint[], $9::text[]) WITH ORDINALITY \
     AS a (tenant, run, epoch, next, hash, end_next, end_hash, at, status, place)), \
     held AS MATERIALIZED (SELECT a.place FROM runs r JOIN asked a ON r.tenant = a.tenant AND r.run = a.run \
     ORDER BY r.tenant, r.run FOR UPDATE OF r), \
     spent AS MATERIALIZED (SELECT c.place, count(*) AS commands \
     FROM unnest($19::bigint[], $20::text[]) AS c (place, id) JOIN asked a ON a.place = c.place \
     JOIN inbox i ON i.tenant = a.tenant AND i.run = a.run AND i.id = c.id \
     WHERE i.sealed IS NOT NULL GROUP BY c.place), \
     moved AS (UPDATE runs SET head_next = a.end_next, head_hash = a.end_hash, updated_at = a.at, status = a.status, \
     waiting = waiting - coalesce(s.commands, 0), \
     owner = CASE WHEN a.status IN ",
    closed!(),
    " THEN NULL ELSE owner END, \
     lease_until = CASE WHEN a.status IN ",
    closed!(),
    " THEN NULL ELSE lease_until END \
     FROM held h JOIN asked a ON a.place = h.place LEFT JOIN spent s ON s.place = a.place \
     WHERE runs.tenant = a.tenant AND runs.run = a.run AND runs.epoch = a.epoch AND runs.head_next = a.next \
     AND runs.head_hash = a.hash AND runs.lease_until > clock_timestamp() \
     RETURNING a.place, runs.tenant, runs.run, runs.epoch, runs.waiting), \
     added AS (INSERT INTO records (tenant, run, seq, epoch, at, kind, version, body, commitment, prev, hash) \
     SELECT m.tenant, m.run, b.seq, m.epoch, b.at, b.kind, b.version, b.body, b.commitment, b.prev, b.hash \
     FROM unnest($10::bigint[], $11::bigint[], $12::bigint[], $13::text[], $14::int[], $15::bytea[], $16::bytea[], \
     $17::bytea[], $18::bytea[]) WITH ORDINALITY \
     AS b (place, seq, at, kind, version, body, commitment, prev, hash, n) \
     JOIN moved m ON m.place = b.place ORDER BY b.n), \
     consumed AS (UPDATE inbox SET sealed = NULL FROM unnest($19::bigint[], $20::text[]) AS c (place, id) \
     JOIN moved m ON m.place = c.place \
     WHERE inbox.tenant = m.tenant AND inbox.run = m.run AND inbox.id = c.id AND inbox.sealed IS NOT NULL), \
     kept AS (INSERT INTO artifacts (tenant, id, sealed) SELECT m.tenant, x.id, x.sealed \
     FROM unnest($21::bigint[], $22::bytea[], $23::bytea[]) AS x (place, id, sealed) \
     JOIN moved m ON m.place = x.place ORDER BY m.tenant, x.id ON CONFLICT DO NOTHING), \
     folded AS (INSERT INTO snapshots (tenant, run, next, hash, sealed) \
     SELECT m.tenant, m.run, f.next, f.hash, f.sealed \
     FROM unnest($24::bigint[], $25::bigint[], $26::bytea[], $27::bytea[]) AS f (place, next, hash, sealed) \
     JOIN moved m ON m.place = f.place \
     ON CONFLICT (tenant, run) DO UPDATE SET next = excluded.next, hash = excluded.hash, sealed = excluded.sealed) \
     SELECT place, waiting FROM moved",
);

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
    let further = Further::of(appends);
    let query = sqlx::query_as(APPEND)
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
        .bind(records.seqs)
        .bind(records.ats)
        .bind(records.kinds)
        .bind(records.versions)
        .bind(records.bodies)
        .bind(records.commitments)
        .bind(records.prevs)
        .bind(records.hashes)
        .bind(further.consumed_places)
        .bind(further.consumed)
        .bind(further.artifact_places)
        .bind(further.artifacts)
        .bind(further.artifact_bytes)
        .bind(further.snapshot_places)
        .bind(further.snapshot_nexts)
        .bind(further.snapshot_hashes)
        .bind(further.snapshots);
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

/// A column for each thing that is said of a head. A place counts from one, as the
/// server counts rows.
struct Heads<'a> {
    tenants: Vec<&'a str>,
    runs: Vec<&'a [u8]>,
    epochs: Vec<i64>,
    nexts: Vec<i64>,
    hashes: Vec<&'a [u8]>,
    end_nexts: Vec<i64>,
    end_hashes: Vec<&'a [u8]>,
    ats: Vec<i64>,
    statuses: Vec<&'static str>,
}

impl<'a> Heads<'a> {
    fn of(appends: &[&'a Append]) -> Self {
        let last = |append: &'a Append| append.records.last();
        Self {
            tenants: appends.iter().map(|append| append.tenant.as_str()).collect(),
            runs: appends.iter().map(|append| append.run.as_bytes().as_slice()).collect(),
            epochs: appends.iter().map(|append| rows::integer(append.epoch)).collect(),
            nexts: appends.iter().map(|append| rows::integer(append.expected.next)).collect(),
            hashes: appends.iter().map(|append| append.expected.hash.as_bytes().as_slice()).collect(),
            end_nexts: appends.iter().map(|append| rows::integer(check::end(append).next)).collect(),
            end_hashes: appends
                .iter()
                .map(|append| last(append).map_or(&append.expected.hash, |record| &record.hash).as_bytes().as_slice())
                .collect(),
            ats: appends.iter().map(|append| last(append).map_or(0, |record| record.at.as_millis())).collect(),
            statuses: appends.iter().map(|append| append.status.as_str()).collect(),
        }
    }
}

/// A column for each thing that is said of a record and not of its head.
#[derive(Default)]
struct Records<'a> {
    places: Vec<i64>,
    seqs: Vec<i64>,
    ats: Vec<i64>,
    kinds: Vec<&'a str>,
    versions: Vec<i32>,
    bodies: Vec<&'a [u8]>,
    commitments: Vec<&'a [u8]>,
    prevs: Vec<&'a [u8]>,
    hashes: Vec<&'a [u8]>,
}

impl<'a> Records<'a> {
    fn of(appends: &[&'a Append]) -> Self {
        let mut out = Self::default();
        for (place, append) in (1..).zip(appends) {
            for record in &append.records {
                out.places.push(place);
                out.seqs.push(rows::integer(record.seq));
                out.ats.push(record.at.as_millis());
                out.kinds.push(&record.kind);
                out.versions.push(i32::from(record.version));
                out.bodies.push(&record.body);
                out.commitments.push(record.commitment.as_bytes());
                out.prevs.push(record.prev.as_bytes());
                out.hashes.push(record.hash.as_bytes());
            }
        }
        out
    }
}

/// What goes with an append besides its records.
#[derive(Default)]
struct Further<'a> {
    consumed_places: Vec<i64>,
    consumed: Vec<&'a str>,
    artifact_places: Vec<i64>,
    artifacts: Vec<&'a [u8]>,
    artifact_bytes: Vec<&'a [u8]>,
    snapshot_places: Vec<i64>,
    snapshot_nexts: Vec<i64>,
    snapshot_hashes: Vec<&'a [u8]>,
    snapshots: Vec<&'a [u8]>,
}

impl<'a> Further<'a> {
    fn of(appends: &[&'a Append]) -> Self {
        let mut out = Self::default();
        for (place, append) in (1..).zip(appends) {
            for command in &append.consumed {
                out.consumed_places.push(place);
                out.consumed.push(command.as_str());
            }
            for artifact in &append.artifacts {
                out.artifact_places.push(place);
                out.artifacts.push(artifact.id.as_bytes());
                out.artifact_bytes.push(&artifact.sealed);
            }
            if let Some(snapshot) = &append.snapshot {
                out.snapshot_places.push(place);
                out.snapshot_nexts.push(rows::integer(snapshot.head.next));
                out.snapshot_hashes.push(snapshot.head.hash.as_bytes());
                out.snapshots.push(&snapshot.sealed);
            }
        }
        out
    }
}
