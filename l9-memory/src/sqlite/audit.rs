//! The tree over all records.
//!
//! One writer at a time gives records their positions, in the order of commits, so a
//! record's leaf is its position less one and needs no row of its own. Extensions are
//! transactions of their own: what fails here takes no append back.

use std::time::Duration;

use async_trait::async_trait;
use l9_core::evidence::{AuditLog, Entry, Extension, Lead, SignedCheckpoint, SignedHorizon, Tile, TileId};
use l9_core::id::{RunId, TenantId};
use l9_core::time::Timestamp;
use l9_core::{Error, Result};
use sqlx::sqlite::SqliteRow;
use sqlx::{Connection, Row, SqliteConnection};

use super::appends::now;
use super::error::fault;
use super::rows;
use super::store::Store;
use super::writer::Answer;
use crate::{check, tile};

/// What an attempt to take the lease found.
enum Attempt {
    Taken(Lead),
    HeldBy(String),
}

#[async_trait]
impl AuditLog for Store {
    async fn lead(&self, owner: &str, signer: &str, ttl: Duration) -> Result<Option<Lead>> {
        self.hold(owner).await?;
        if ttl.is_zero() {
            return self.resign(owner).await.map(|()| None);
        }
        let mut dead: Option<String> = None;
        loop {
            let (former, owner, signer) = (dead.clone(), owner.to_owned(), signer.to_owned());
            let attempt = self.database.writer().grouped(None, 1, move |connection| {
                Box::pin(lead(connection, owner, signer, rows::millis(ttl), former))
            });
            match attempt.await? {
                Attempt::Taken(lead) => return Ok(Some(lead)),
                Attempt::HeldBy(holder) if dead.as_ref() != Some(&holder) && self.nodes.is_dead(&holder) => {
                    dead = Some(holder);
                }
                Attempt::HeldBy(_) => return Ok(None),
            }
        }
    }

    async fn pending(&self, limit: usize) -> Result<Vec<Entry>> {
        let found = sqlx::query(
            "SELECT position, tenant, run, seq, hash FROM records WHERE position > (SELECT size FROM audit_log) \
             ORDER BY position LIMIT ?",
        )
        .bind(rows::limited(limit))
        .fetch_all(self.database.readers())
        .await;
        found
            .and_then(|found| found.iter().map(|row| entry(row, 0)).collect())
            .map_err(|error| self.database.fault(error))
    }

    async fn extend(&self, extension: Extension) -> Result<()> {
        let path = self.database.path().to_owned();
        let extend = self.database.writer().alone(move |connection| {
            Box::pin(async move {
                match extend(connection, &extension).await {
                    Ok(done) => done,
                    Err(error) => Err(fault(&path, error)),
                }
            })
        });
        extend.await
    }

    async fn tiles(&self, ids: &[TileId]) -> Result<Vec<Tile>> {
        let mut tiles = Vec::with_capacity(ids.len());
        for id in ids {
            let found: Option<Vec<u8>> =
                sqlx::query_scalar("SELECT hashes FROM audit_tiles WHERE level = ? AND tile = ?")
                    .bind(i64::from(id.level))
                    .bind(rows::integer(id.index))
                    .fetch_optional(self.database.readers())
                    .await
                    .map_err(|error| self.database.fault(error))?;
            if let Some(bytes) = found {
                tiles.push(tile::unpacked(*id, &bytes)?);
            }
        }
        Ok(tiles)
    }

    async fn covering(&self, size: u64) -> Result<Option<SignedCheckpoint>> {
        let found = sqlx::query_scalar("SELECT note FROM audit_checkpoints WHERE size >= ? ORDER BY size LIMIT 1")
            .bind(rows::integer(size))
            .fetch_optional(self.database.readers())
            .await
            .map_err(|error| self.database.fault(error))?;
        found.map(SignedCheckpoint::stored).transpose()
    }

    async fn newest(&self, limit: usize) -> Result<Vec<SignedCheckpoint>> {
        let found: Vec<String> = sqlx::query_scalar("SELECT note FROM audit_checkpoints ORDER BY size DESC LIMIT ?")
            .bind(rows::limited(limit))
            .fetch_all(self.database.readers())
            .await
            .map_err(|error| self.database.fault(error))?;
        found.into_iter().map(SignedCheckpoint::stored).collect()
    }

    async fn leaves_of(&self, tenant: &TenantId, run: RunId, from: u64, limit: usize) -> Result<Vec<u64>> {
        let found = sqlx::query(
            "SELECT position - 1 FROM records INDEXED BY records_by_seq WHERE tenant = ? AND run = ? AND seq >= ? \
             AND position <= (SELECT size FROM audit_log) ORDER BY seq LIMIT ?",
        )
        .bind(tenant.as_str())
        .bind(run.as_bytes().as_slice())
        .bind(rows::integer(from))
        .bind(rows::limited(limit))
        .fetch_all(self.database.readers())
        .await;
        found
            .and_then(|found| found.iter().map(|row| rows::number(row, 0)).collect())
            .map_err(|error| self.database.fault(error).with("run", run))
    }

    async fn entries(&self, from: u64, limit: usize) -> Result<Vec<Entry>> {
        let found = sqlx::query(
            "SELECT position - 1, tenant, run, seq, hash FROM records NOT INDEXED WHERE position > $1 \
             AND position <= min($1 + $2, (SELECT size FROM audit_log)) ORDER BY position",
        )
        .bind(rows::integer(from))
        .bind(rows::limited(limit))
        .fetch_all(self.database.readers())
        .await
        .map_err(|error| self.database.fault(error))?;
        let read = |row| entry(row, 0);
        found.iter().map(read).collect::<Result<_, sqlx::Error>>().map_err(|error| {
            Error::corrupt(format!("a record of the leaves from {from} on cannot be read: restore it from a backup"))
                .caused_by(error)
        })
    }

    async fn publish(&self, horizon: SignedHorizon) -> Result<()> {
        let publish = self.database.writer().grouped(None, 1, move |connection| {
            Box::pin(async move {
                sqlx::query("INSERT OR IGNORE INTO audit_horizons (tenant, before, note) VALUES (?, ?, ?)")
                    .bind(horizon.tenant.as_str())
                    .bind(horizon.before.as_millis())
                    .bind(horizon.note.as_str())
                    .execute(connection)
                    .await?;
                Ok(Ok(()))
            })
        });
        publish.await
    }

    async fn horizon(&self, tenant: &TenantId) -> Result<Option<SignedHorizon>> {
        let found =
            sqlx::query("SELECT before, note FROM audit_horizons WHERE tenant = ? ORDER BY before DESC LIMIT 1")
                .bind(tenant.as_str())
                .fetch_optional(self.database.readers())
                .await;
        let read = |row: SqliteRow| {
            let before = Timestamp::from_millis(row.try_get(0)?);
            Ok(SignedHorizon { tenant: tenant.clone(), before, note: row.try_get(1)? })
        };
        found.and_then(|row| row.map(read).transpose()).map_err(|error| self.database.fault(error))
    }

    async fn attest(&self, note: &str) -> Result<()> {
        let note = note.to_owned();
        let keep = self.database.writer().grouped(None, 1, move |connection| {
            Box::pin(async move {
                sqlx::query("INSERT INTO audit_statements (note) VALUES (?)").bind(note).execute(connection).await?;
                Ok(Ok(()))
            })
        });
        keep.await
    }

    async fn statements(&self) -> Result<Vec<String>> {
        let found = sqlx::query_scalar("SELECT note FROM audit_statements ORDER BY position")
            .fetch_all(self.database.readers())
            .await;
        found.map_err(|error| self.database.fault(error))
    }
}

impl Store {
    async fn resign(&self, owner: &str) -> Result<()> {
        let owner = owner.to_owned();
        let resign = self.database.writer().grouped(None, 1, move |connection| {
            Box::pin(async move {
                sqlx::query("UPDATE audit_log SET owner = NULL, lease_until = NULL WHERE owner = ?")
                    .bind(owner)
                    .execute(connection)
                    .await?;
                Ok(Ok(()))
            })
        });
        resign.await
    }
}

async fn lead(
    connection: &mut SqliteConnection,
    owner: String,
    signer: String,
    ttl: i64,
    dead: Option<String>,
) -> Answer<Attempt> {
    let taken = sqlx::query(concat!(
        "UPDATE audit_log SET epoch = epoch + (owner IS NOT $1), owner = $1, lease_until = ",
        now!(),
        " + $3, signer = $2 WHERE (signer IS NULL OR signer = $2) \
         AND (owner IS NULL OR owner IN ($1, $4) OR lease_until <= ",
        now!(),
        ") RETURNING epoch, size"
    ))
    .bind(owner)
    .bind(signer.as_str())
    .bind(ttl)
    .bind(dead)
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(row) = taken {
        return Ok(Ok(Attempt::Taken(Lead { epoch: rows::number(&row, 0)?, size: rows::number(&row, 1)? })));
    }
    let row = sqlx::query("SELECT signer, owner FROM audit_log").fetch_optional(connection).await?;
    let Some(row) = row else { return Ok(Err(missing())) };
    let (bound, holder): (Option<String>, Option<String>) = (row.try_get(0)?, row.try_get(1)?);
    Ok(match bound.filter(|bound| *bound != signer) {
        Some(bound) => Err(check::other_signer(&bound, &signer)),
        None => Ok(Attempt::HeldBy(holder.unwrap_or_default())),
    })
}

async fn extend(connection: &mut SqliteConnection, extension: &Extension) -> Answer<()> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let row = sqlx::query("SELECT epoch, size FROM audit_log").fetch_optional(&mut *transaction).await?;
    let Some(row) = row else { return Ok(Err(missing())) };
    if let Err(refused) = check::extends(extension, rows::number(&row, 0)?, rows::number(&row, 1)?) {
        return Ok(Err(refused));
    }
    let mut due = extension.from + 1..;
    if let Some((wanted, entry)) =
        due.by_ref().zip(&extension.entries).find(|(wanted, entry)| *wanted != entry.position)
    {
        return Ok(Err(Error::corrupt(format!(
            "the record at position {wanted} is missing, and the next is at {}: restore the database from a backup",
            entry.position
        ))));
    }
    for (id, hashes) in &extension.tiles {
        sqlx::query("INSERT OR REPLACE INTO audit_tiles (level, tile, hashes) VALUES (?, ?, ?)")
            .bind(i64::from(id.level))
            .bind(rows::integer(id.index))
            .bind(tile::packed(hashes))
            .execute(&mut *transaction)
            .await?;
    }
    sqlx::query("UPDATE audit_log SET size = $1; INSERT INTO audit_checkpoints (size, note) VALUES ($1, $2)")
        .bind(rows::integer(extension.checkpoint.checkpoint.size))
        .bind(extension.checkpoint.note.as_str())
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(Ok(()))
}

fn entry(row: &SqliteRow, at: usize) -> Result<Entry, sqlx::Error> {
    Ok(Entry {
        position: rows::number(row, at)?,
        tenant: rows::tenant(row, at + 1)?,
        run: rows::run_id(row, at + 2)?,
        seq: rows::number(row, at + 3)?,
        hash: rows::digest(row, at + 4)?,
    })
}

fn missing() -> Error {
    Error::corrupt("the row of the audit log is missing: restore the database from a backup")
}
