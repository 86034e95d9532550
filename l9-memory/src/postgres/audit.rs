//! The tree over all records.
//!
//! Positions are not committed in their order here, so what has no leaf is known by its
//! row in the outbox, which an append writes in its own statement: a row that cannot be
//! seen yet is taken the next time. An order by transaction ids would do as well, but
//! would wait for the oldest transaction of the whole server.

use std::time::Duration;

use async_trait::async_trait;
use l9_core::digest::Digest;
use l9_core::evidence::{AuditLog, Entry, Extension, Lead, SignedCheckpoint, SignedHorizon, Tile, TileId};
use l9_core::id::{RunId, TenantId};
use l9_core::time::Timestamp;
use l9_core::{Error, Result};
use sqlx::postgres::PgRow;
use sqlx::{Connection, PgConnection, Row};

use super::rows::{self, integer, limited};
use super::store::Store;
use crate::{check, tile};

/// A lease of one's own keeps its epoch when it is renewed.
const LEAD: &str = "UPDATE audit_log SET epoch = epoch + (owner IS DISTINCT FROM $1)::int, owner = $1, signer = $2, \
     lease_until = clock_timestamp() + $3::bigint * interval '1 millisecond' \
     WHERE (signer IS NULL OR signer = $2) AND (owner IS NULL OR owner = $1 OR lease_until <= clock_timestamp()) \
     RETURNING epoch, size";

/// Whole appends, oldest first; each one's records in their order.
const PENDING: &str = "SELECT o.position, r.tenant, r.run, r.seq, r.hash \
     FROM (SELECT * FROM audit_outbox ORDER BY position LIMIT $1) o \
     JOIN records r ON r.tenant = o.tenant AND r.run = o.run AND r.seq >= o.seq AND r.seq < o.seq + o.records \
     ORDER BY o.position, r.seq";

/// The span that a seq lies in, and those after it.
const LEAVES: &str = "SELECT leaf, seq, records FROM audit_spans WHERE tenant = $1 AND run = $2 AND seq >= \
     coalesce((SELECT max(seq) FROM audit_spans WHERE tenant = $1 AND run = $2 AND seq <= $3), 0) \
     ORDER BY seq LIMIT $4";

const ENTRIES: &str = "SELECT s.leaf + (r.seq - s.seq), r.tenant, r.run, r.seq, r.hash \
     FROM (SELECT * FROM audit_spans WHERE leaf < $1 + $2 \
     AND leaf >= coalesce((SELECT max(leaf) FROM audit_spans WHERE leaf <= $1), 0)) s \
     JOIN records r ON r.tenant = s.tenant AND r.run = s.run AND r.seq >= s.seq AND r.seq < s.seq + s.records \
     WHERE s.leaf + (r.seq - s.seq) >= $1 AND s.leaf + (r.seq - s.seq) < $1 + $2 ORDER BY 1";

#[async_trait]
impl AuditLog for Store {
    async fn lead(&self, owner: &str, signer: &str, ttl: Duration) -> Result<Option<Lead>> {
        if ttl.is_zero() {
            let resign = sqlx::query("UPDATE audit_log SET owner = NULL, lease_until = NULL WHERE owner = $1")
                .bind(owner)
                .execute(self.database.pool());
            return self.database.within(resign).await.map(|_| None);
        }
        let lead =
            sqlx::query(LEAD).bind(owner).bind(signer).bind(rows::millis(ttl)).fetch_optional(self.database.pool());
        if let Some(row) = self.database.within(lead).await? {
            let read = || Ok(Lead { epoch: rows::number(&row, 0)?, size: rows::number(&row, 1)? });
            return read().map(Some).map_err(|error| self.database.fault(error));
        }
        let look = sqlx::query_scalar("SELECT signer FROM audit_log").fetch_optional(self.database.pool());
        let bound: Option<String> = self.database.within(look).await?.ok_or_else(missing)?;
        match bound.filter(|bound| bound != signer) {
            Some(bound) => Err(check::other_signer(&bound, signer)),
            None => Ok(None),
        }
    }

    async fn pending(&self, limit: usize) -> Result<Vec<Entry>> {
        let read = sqlx::query(PENDING).bind(limited(limit)).fetch_all(self.database.pool());
        let found = self.database.within(read).await?;
        let mut entries: Vec<Entry> =
            found.iter().map(entry).collect::<Result<_, _>>().map_err(|error| self.database.fault(error))?;
        // Whole appends only: their rows go from the outbox as they came.
        let last = entries.get(limit).map_or(0, |over| over.position);
        if last > 0 && entries.first().is_some_and(|first| first.position < last) {
            entries.retain(|entry| entry.position < last);
        }
        Ok(entries)
    }

    async fn extend(&self, extension: Extension) -> Result<()> {
        let extend = async {
            let mut connection = self.database.pool().acquire().await?;
            extend(&mut connection, &extension).await
        };
        self.database.within(extend).await?
    }

    async fn tiles(&self, ids: &[TileId]) -> Result<Vec<Tile>> {
        let (levels, indexes): (Vec<i32>, Vec<i64>) =
            ids.iter().map(|id| (i32::from(id.level), integer(id.index))).unzip();
        let read = sqlx::query(
            "SELECT t.level, t.tile, t.hashes FROM unnest($1::int[], $2::bigint[]) AS a (level, tile) \
             JOIN audit_tiles t ON t.level = a.level AND t.tile = a.tile",
        )
        .bind(levels)
        .bind(indexes)
        .fetch_all(self.database.pool());
        let found = self.database.within(read).await?;
        found.iter().map(|row| self.tile(row)).collect()
    }

    async fn covering(&self, size: u64) -> Result<Option<SignedCheckpoint>> {
        let read = sqlx::query_scalar("SELECT note FROM audit_checkpoints WHERE size >= $1 ORDER BY size LIMIT 1")
            .bind(integer(size))
            .fetch_optional(self.database.pool());
        self.database.within(read).await?.map(SignedCheckpoint::stored).transpose()
    }

    async fn newest(&self, limit: usize) -> Result<Vec<SignedCheckpoint>> {
        let read = sqlx::query_scalar("SELECT note FROM audit_checkpoints ORDER BY size DESC LIMIT $1")
            .bind(limited(limit))
            .fetch_all(self.database.pool());
        let found: Vec<String> = self.database.within(read).await?;
        found.into_iter().map(SignedCheckpoint::stored).collect()
    }

    async fn leaves_of(&self, tenant: &TenantId, run: RunId, from: u64, limit: usize) -> Result<Vec<u64>> {
        let read = sqlx::query(LEAVES)
            .bind(tenant.as_str())
            .bind(run.as_bytes().as_slice())
            .bind(integer(from))
            .bind(limited(limit))
            .fetch_all(self.database.pool());
        let found = self.database.within(read).await?;
        let read = |row: &PgRow| Ok((rows::number(row, 0)?, rows::number(row, 1)?, rows::number(row, 2)?));
        let spans: Vec<(u64, u64, u64)> = found
            .iter()
            .map(read)
            .collect::<Result<_, sqlx::Error>>()
            .map_err(|error| self.database.fault(error).with("run", run))?;
        let leaves = spans.into_iter().flat_map(|(leaf, seq, records)| {
            let skipped = from.saturating_sub(seq).min(records);
            leaf + skipped..leaf + records
        });
        Ok(leaves.take(limit).collect())
    }

    async fn entries(&self, from: u64, limit: usize) -> Result<Vec<Entry>> {
        let read = sqlx::query(ENTRIES).bind(integer(from)).bind(limited(limit)).fetch_all(self.database.pool());
        let found = self.database.within(read).await?;
        found.iter().map(entry).collect::<Result<_, _>>().map_err(|error| {
            Error::corrupt(format!("a record of the leaves from {from} on cannot be read: restore it from a backup"))
                .caused_by(error)
        })
    }

    async fn publish(&self, horizon: SignedHorizon) -> Result<()> {
        let publish =
            sqlx::query("INSERT INTO audit_horizons (tenant, before, note) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
                .bind(horizon.tenant.as_str())
                .bind(horizon.before.as_millis())
                .bind(horizon.note.as_str())
                .execute(self.database.pool());
        self.database.within(publish).await.map(drop)
    }

    async fn horizon(&self, tenant: &TenantId) -> Result<Option<SignedHorizon>> {
        let read =
            sqlx::query_as("SELECT before, note FROM audit_horizons WHERE tenant = $1 ORDER BY before DESC LIMIT 1")
                .bind(tenant.as_str())
                .fetch_optional(self.database.pool());
        let found: Option<(i64, String)> = self.database.within(read).await?;
        Ok(found.map(|(before, note)| SignedHorizon {
            tenant: tenant.clone(),
            before: Timestamp::from_millis(before),
            note,
        }))
    }

    async fn attest(&self, note: &str) -> Result<()> {
        let keep = sqlx::query("INSERT INTO audit_statements (note) VALUES ($1)").bind(note);
        self.database.within(keep.execute(self.database.pool())).await.map(drop)
    }

    async fn statements(&self) -> Result<Vec<String>> {
        let read = sqlx::query_scalar("SELECT note FROM audit_statements ORDER BY position");
        self.database.within(read.fetch_all(self.database.pool())).await
    }
}

impl Store {
    fn tile(&self, row: &PgRow) -> Result<Tile> {
        let read = || {
            let level = u8::try_from(row.try_get::<i32, _>(0)?).map_err(|error| rows::decode(0, error))?;
            Ok((TileId { level, index: rows::number(row, 1)? }, row.try_get::<&[u8], _>(2)?))
        };
        let (id, bytes) = read().map_err(|error: sqlx::Error| self.database.fault(error))?;
        tile::unpacked(id, bytes)
    }
}

/// One transaction; the log's row is locked first, so two never meet in it.
async fn extend(connection: &mut PgConnection, extension: &Extension) -> Result<Result<()>, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let row = sqlx::query("SELECT epoch, size FROM audit_log FOR UPDATE").fetch_optional(&mut *transaction).await?;
    let Some(row) = row else { return Ok(Err(missing())) };
    if let Err(refused) = check::extends(extension, rows::number(&row, 0)?, rows::number(&row, 1)?) {
        return Ok(Err(refused));
    }
    let spans = Spans::of(extension);
    let taken = sqlx::query("DELETE FROM audit_outbox WHERE position = ANY($1)")
        .bind(&spans.positions)
        .execute(&mut *transaction)
        .await?;
    if taken.rows_affected() != spans.positions.len() as u64 {
        let message = "records that were to get a leaf have one: read again";
        return Ok(Err(Error::new(l9_core::ErrorKind::Conflict, message)));
    }
    sqlx::query(
        "INSERT INTO audit_spans (leaf, tenant, run, seq, records) \
         SELECT * FROM unnest($1::bigint[], $2::text[], $3::bytea[], $4::bigint[], $5::bigint[])",
    )
    .bind(spans.leaves)
    .bind(spans.tenants)
    .bind(spans.runs)
    .bind(spans.seqs)
    .bind(spans.records)
    .execute(&mut *transaction)
    .await?;
    let tiles = extension.tiles.iter();
    sqlx::query(
        "INSERT INTO audit_tiles (level, tile, hashes) SELECT * FROM unnest($1::int[], $2::bigint[], $3::bytea[]) \
         ON CONFLICT (level, tile) DO UPDATE SET hashes = excluded.hashes",
    )
    .bind(tiles.clone().map(|(id, _)| i32::from(id.level)).collect::<Vec<_>>())
    .bind(tiles.clone().map(|(id, _)| integer(id.index)).collect::<Vec<_>>())
    .bind(tiles.map(|(_, hashes): &(TileId, Vec<Digest>)| tile::packed(hashes)).collect::<Vec<_>>())
    .execute(&mut *transaction)
    .await?;
    sqlx::query(
        "WITH grown AS (UPDATE audit_log SET size = $1) INSERT INTO audit_checkpoints (size, note) VALUES ($1, $2)",
    )
    .bind(integer(extension.checkpoint.checkpoint.size))
    .bind(extension.checkpoint.note.as_str())
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(Ok(()))
}

/// What an extension says, as the columns that its statements take: one row for each
/// append, as in the outbox.
#[derive(Default)]
struct Spans<'a> {
    positions: Vec<i64>,
    leaves: Vec<i64>,
    tenants: Vec<&'a str>,
    runs: Vec<&'a [u8]>,
    seqs: Vec<i64>,
    records: Vec<i64>,
}

impl<'a> Spans<'a> {
    fn of(extension: &'a Extension) -> Self {
        let mut out = Self::default();
        let mut leaf = extension.from;
        for span in extension.entries.chunk_by(|one, next| one.position == next.position) {
            let Some(first) = span.first() else { continue };
            out.positions.push(integer(first.position));
            out.leaves.push(integer(leaf));
            out.tenants.push(first.tenant.as_str());
            out.runs.push(first.run.as_bytes());
            out.seqs.push(integer(first.seq));
            out.records.push(integer(span.len() as u64));
            leaf += span.len() as u64;
        }
        out
    }
}

fn entry(row: &PgRow) -> Result<Entry, sqlx::Error> {
    Ok(Entry {
        position: rows::number(row, 0)?,
        tenant: rows::tenant(row, 1)?,
        run: rows::run_id(row, 2)?,
        seq: rows::number(row, 3)?,
        hash: rows::digest(row, 4)?,
    })
}

fn missing() -> Error {
    Error::corrupt("the row of the audit log is missing: restore the database from a backup")
}
