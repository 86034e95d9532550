//! What was read of entries in a database, and what was taken from them so, which goes where its
//! origin goes.

use std::collections::HashSet;

use async_trait::async_trait;
use l9_core::Result;
use l9_core::id::{RunId, TenantId};
use l9_core::memory::NewEntry;
use l9_core::time::Timestamp;
use uuid::Uuid;

use super::changing;
use super::connection::{Answer, Connection, Row, Value};
use super::curation::unreadable;
use super::memory::Memory;
use super::plan::Plan;
use super::restoring::Place;
use crate::entry;
use crate::relations::{Progress, Readable, Reading, Unread};

/// Whether an entry `e` is still to be read by `$1`: neither short-term, nor forgotten, superseded or
/// in quarantine, nor taken from another itself.
const UNREAD: &str = "e.layer <> 1 AND e.standing & 7 = 0 AND NOT EXISTS (SELECT 1 FROM readings r \
     WHERE r.tenant = e.tenant AND r.id = e.id AND (r.origin IS NOT NULL OR r.reader = $1))";

/// Whether run `$2` has records that were not erased.
const IS_WHOLE: &str = "SELECT 1 WHERE EXISTS (SELECT 1 FROM records WHERE tenant = $1 AND run = $2 AND length(body) > 0) \
     OR EXISTS (SELECT 1 FROM snapshots WHERE tenant = $1 AND run = $2)";

/// A reading that is to be noted.
struct Noted {
    origin: Uuid,
    taken: usize,
    run: Option<RunId>,
    failure: Option<String>,
}

#[async_trait]
impl Readable for Memory {
    async fn unread(&self, tenant: &TenantId, reader: &str, after: i64, limit: usize) -> Result<Vec<Unread>> {
        let sql = format!(
            "SELECT e.id, e.recorded_at, e.standing, e.superseded_by, e.entry, e.position FROM entries e \
             WHERE e.tenant = $2 AND e.position > $3 AND {UNREAD} ORDER BY e.position LIMIT $4"
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let found = self.rows.read(&sql, &[reader.into(), tenant.into(), after.into(), limit.into()]).await?;
        let entries = self.opened_with_number(tenant, &found).await?.into_iter();
        Ok(entries.map(|(entry, position)| Unread { position, entry }).collect())
    }

    async fn keep_readings(&self, tenant: &TenantId, reader: &str, mut readings: Vec<Reading>) -> Result<u64> {
        for reading in &mut readings {
            entry::check(&reading.taken)?;
            entry::about(&mut reading.taken, |subject| entry::subject(self.vault(), tenant, subject));
        }
        let (now, mut attempt) = (self.keeper.clock.now(), 0);
        loop {
            let standing = self.standing_of(tenant, &readings).await?;
            readings.retain(|reading| standing.contains(&reading.origin));
            let gone = self.gone(tenant, &readings).await?;
            readings.iter_mut().for_each(|reading| reading.without(&gone));
            let noted = |Reading { origin, taken, run, failure }: &Reading| Noted {
                origin: *origin,
                taken: taken.len(),
                run: *run,
                failure: failure.clone(),
            };
            let noted: Vec<Noted> = readings.iter().map(noted).collect();
            let new: Vec<NewEntry> = readings.iter().flat_map(|reading| reading.taken.iter().cloned()).collect();
            let plan = self.plan(tenant, new, HashSet::new(), (now, attempt)).await?.unbounded();
            let (reader, rows) = (reader.to_owned(), plan.len() + noted.len());
            let kept = self.write(tenant, rows, move |c| Box::pin(note(c, plan, reader, noted, now))).await?;
            match kept {
                Some(kept) => return Ok(kept),
                None => attempt += 1,
            }
        }
    }

    async fn readings(&self, reader: &str, viewer: &TenantId) -> Result<Progress> {
        let sql = format!(
            "SELECT (SELECT count(*) FROM readings WHERE origin IS NULL AND reader = $1), \
             (SELECT count(*) FROM entries e WHERE {UNREAD}), \
             (SELECT count(*) FROM readings WHERE origin IS NOT NULL AND reader = $1), \
             (SELECT count(*) FROM readings WHERE failure <> '' AND reader = $1)"
        );
        let found = self.rows.read(&sql, &[reader.into()]).await?;
        let number = |row: &Row, at| row.number(at).map(i64::unsigned_abs);
        let read = |row: &Row| {
            let (read, pending) = (number(row, 0)?, number(row, 1)?);
            let (relations, failed) = (number(row, 2)?, number(row, 3)?);
            Ok(Progress { read, pending, relations, failed, ..Progress::default() })
        };
        let mut progress = found.first().map_or_else(|| Ok(Progress::default()), read).map_err(unreadable)?;
        if progress.failed > 0 {
            let sql = "SELECT id, failure FROM readings WHERE tenant = $2 AND failure <> '' AND reader = $1 LIMIT 1";
            let found = self.rows.read(sql, &[reader.into(), viewer.into()]).await?;
            let told = |row: &Row| Ok(format!("memory {}: {}", row.id(0)?, row.text(1)?));
            progress.such_as = found.first().map(told).transpose().map_err(unreadable)?;
        }
        Ok(progress)
    }
}

impl Memory {
    /// Those of the entries that were read that still stand.
    async fn standing_of(&self, tenant: &TenantId, readings: &[Reading]) -> Result<Vec<Uuid>> {
        let ids: Vec<Uuid> = readings.iter().map(|reading| reading.origin).collect();
        let rows = self.rows.fetch(tenant, &ids).await?;
        Ok(rows.iter().filter(|row| row.stands()).map(|row| row.id).collect())
    }

    /// Those of the runs that said what was read that have no records any more.
    async fn gone(&self, tenant: &TenantId, readings: &[Reading]) -> Result<Vec<RunId>> {
        let mut gone = Vec::new();
        for run in readings.iter().filter_map(|reading| reading.run) {
            if self.rows.read(IS_WHOLE, &[tenant.into(), bytes(run)]).await?.is_empty() {
                gone.push(run);
            }
        }
        Ok(gone)
    }
}

fn bytes(run: RunId) -> Value {
    Value::Bytes(run.as_bytes().to_vec())
}

/// Keeps what was taken, in the place of what was taken before, and notes what was read; `None`
/// if an origin stands no more, what said it was erased, or the plan has to be made again. An
/// erasure empties runs first, and then takes from the memories what there is by then.
async fn note(
    c: &mut dyn Connection,
    plan: Plan,
    reader: String,
    noted: Vec<Noted>,
    now: Timestamp,
) -> Answer<Option<u64>> {
    let tenant = plan.tenant().clone();
    for Noted { origin, run, .. } in &noted {
        if changing::standing(c, &tenant, *origin).await?.is_none_or(|standing| standing & 3 != 0) {
            return Ok(Ok(None));
        }
        if let Some(run) = run
            && c.rows(IS_WHOLE, &[(&tenant).into(), bytes(*run)]).await?.is_empty()
        {
            return Ok(Ok(None));
        }
    }
    let kept = match changing::keep(c, plan).await? {
        Ok(Some(kept)) => kept,
        undecided => return Ok(undecided.map(|_| None)),
    };
    let mut kept = kept.iter().map(|kept| kept.id);
    let mut count = 0;
    for Noted { origin, taken, failure, .. } in noted {
        let ids: Vec<Uuid> = kept.by_ref().take(taken).collect();
        for before in taken_from(c, &tenant, origin).await? {
            if !ids.contains(&before) {
                changing::forget_only(c, &tenant, ("id", before.into()), now).await?;
            }
        }
        let failure = failure.unwrap_or_default();
        row(c, [(&tenant).into(), origin.into(), reader.as_str().into(), Value::Null, failure.as_str().into()]).await?;
        for id in &ids {
            row(c, [(&tenant).into(), (*id).into(), reader.as_str().into(), origin.into(), "".into()]).await?;
        }
        count += ids.len() as u64;
    }
    Ok(Ok(Some(count)))
}

async fn row(c: &mut dyn Connection, values: [Value; 5]) -> Result<(), sqlx::Error> {
    let sql = "INSERT INTO readings (tenant, id, reader, origin, failure) VALUES ($1, $2, $3, $4, $5) \
               ON CONFLICT (tenant, id) DO UPDATE SET reader = excluded.reader, origin = excluded.origin, \
               failure = excluded.failure";
    c.execute(sql, &values).await.map(drop)
}

/// What was taken from an entry.
pub(super) async fn taken_from(
    c: &mut dyn Connection,
    tenant: &TenantId,
    origin: Uuid,
) -> Result<Vec<Uuid>, sqlx::Error> {
    let sql = "SELECT id FROM readings WHERE tenant = $1 AND origin = $2";
    c.rows(sql, &[tenant.into(), origin.into()]).await?.iter().map(|row| row.id(0)).collect()
}

/// Has entries be read again from which something was taken that going back to a snapshot hides.
pub(super) async fn read_again(c: &mut dyn Connection, tenant: &TenantId, place: &Place) -> Result<(), sqlx::Error> {
    let mut values = vec![Value::from(tenant), place.entries.into()];
    let own = if place.agent == Value::Null { "" } else { "AND e.agent = $3" };
    values.extend((place.agent != Value::Null).then(|| place.agent.clone()));
    let sql = format!(
        "DELETE FROM readings WHERE tenant = $1 AND origin IS NULL AND id IN (SELECT r.origin FROM readings r \
         JOIN entries e ON e.tenant = r.tenant AND e.id = r.id WHERE r.tenant = $1 AND r.origin IS NOT NULL \
         AND e.position > $2 {own})"
    );
    c.execute(&sql, &values).await.map(drop)
}
