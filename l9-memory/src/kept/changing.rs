//! What is done with single entries: keeping, superseding, reinstating and forgetting them.

use std::collections::BTreeSet;

use l9_core::id::TenantId;
use l9_core::memory::Remembered;
use l9_core::time::Timestamp;
use uuid::Uuid;

use super::connection::{Answer, Connection, Value};
use super::plan::{Addition, Decided, Plan};
use super::readings::taken_from;
use super::restoring::VALID_FROM;
use super::rows::{FORGOTTEN, QUARANTINED, SUPERSEDED};
use super::sealing::Prepared;
use super::{quotas, subjects};
use crate::entry;

/// How many derivations one statement writes.
const EDGES: usize = 100;

/// Which entries to forget.
#[derive(Debug, Clone)]
pub(super) enum Forgotten {
    /// The one of this id.
    Id(Uuid),
    /// Those of this source's token.
    Source(Value),
}

/// A superseding.
pub(super) struct Superseding {
    pub(super) old: Uuid,
    pub(super) valid_from: Timestamp,
    pub(super) now: Timestamp,
}

/// Carries a plan out; `None` if something is new that was not prepared, or an id is taken.
pub(super) async fn keep(c: &mut dyn Connection, plan: Plan) -> Answer<Option<Vec<Remembered>>> {
    let tenant = plan.tenant().clone();
    let Decided { added, remembered } = match decide(c, plan).await? {
        Ok(Some(decided)) => decided,
        undecided => return Ok(undecided.map(|_| None)),
    };
    insert(c, &tenant, &added).await?;
    Ok(Ok(Some(remembered)))
}

/// What is new of a plan and what is known; `None` as for [`keep`].
async fn decide(c: &mut dyn Connection, plan: Plan) -> Answer<Option<Decided>> {
    let tenant = plan.tenant().clone();
    let (seeded, quota, origins) = (plan.is_seeded(), plan.quota(), plan.origins().collect());
    if let Some(origin) = missing(c, &tenant, origins).await? {
        return Ok(Err(entry::unknown_origin(origin)));
    }
    let kept = c.find(&tenant, &plan.marks()).await?;
    let sealed = kept.keys.values().map(|known| known.sealed.as_slice());
    let decided = match subjects::keys_in(c, plan.vault(), &tenant, sealed).await? {
        Ok(keys) => plan.decide(kept, &keys),
        Err(error) => Err(error),
    };
    let decided = match decided {
        Ok(Some(decided)) => decided,
        undecided => return Ok(undecided),
    };
    let free = (!seeded || !is_taken(c, &tenant, &decided.added).await?)
        && subjects::are_there(c, &tenant, &decided.added).await?;
    if !free {
        return Ok(Ok(None));
    }
    Ok(quotas::hold(c, &quota, &tenant, &decided.added).await?.map(|()| Some(decided)))
}

/// Writes prepared entries in a transaction that is open; tells whether they were all still
/// new and there is room for them, and writes none otherwise.
pub(crate) async fn add(c: &mut dyn Connection, addition: &Addition) -> Result<bool, sqlx::Error> {
    let tenant = &addition.tenant;
    let kept = c.find(tenant, &addition.marks()).await?;
    let origins = addition.added.iter().flat_map(|new| new.derived_from.iter().copied()).collect();
    let fits = addition.fits(&kept)
        && missing(c, tenant, origins).await?.is_none()
        && !is_taken(c, tenant, &addition.added).await?
        && subjects::are_there(c, tenant, &addition.added).await?
        && quotas::hold(c, &addition.quota, tenant, &addition.added).await?.is_ok();
    if fits {
        insert(c, tenant, &addition.added).await?;
    }
    Ok(fits)
}

/// Keeps the one entry of a plan in the place of another; `None` as for [`keep`].
pub(super) async fn supersede(
    c: &mut dyn Connection,
    plan: Plan,
    Superseding { old, valid_from, now }: Superseding,
) -> Answer<Option<Remembered>> {
    let tenant = plan.tenant().clone();
    let named = [Value::from(&tenant), old.into()];
    let found = c.rows("SELECT standing, superseded_by FROM entries WHERE tenant = $1 AND id = $2", &named).await?;
    let Some(row) = found.first() else { return Ok(Err(entry::unknown(old))) };
    match row.number(0)? {
        0 => {}
        standing if standing & FORGOTTEN != 0 => return Ok(Err(entry::unknown(old))),
        _ => return Ok(Err(entry::not_current(old, row.optional_id(1)?))),
    }
    let Decided { added, mut remembered } = match decide(c, plan).await? {
        Ok(Some(decided)) => decided,
        undecided => return Ok(undecided.map(|_| None)),
    };
    let Some(remembered) = remembered.pop() else { return Ok(Ok(None)) };
    if remembered.duplicate && standing(c, &tenant, remembered.id).await? != Some(0) {
        return Ok(Err(entry::hidden_equal(old, remembered.id)));
    }
    // First the old one lets go of its key; what was taken from it goes with it.
    let mut replaced = vec![old];
    for taken in taken_from(c, &tenant, old).await? {
        replaced.extend(standing(c, &tenant, taken).await?.filter(|standing| standing & 3 == 0).map(|_| taken));
    }
    for id in replaced {
        c.execute(
            "UPDATE entries SET standing = standing | 2, superseded_by = $3 WHERE tenant = $1 AND id = $2",
            &[(&tenant).into(), id.into(), remembered.id.into()],
        )
        .await?;
        c.execute(
            "INSERT INTO memory_changes (tenant, id, change, at, cause, valid_from) VALUES ($1, $2, 4, $3, $4, $5)",
            &[(&tenant).into(), id.into(), now.as_millis().into(), remembered.id.into(), valid_from.as_millis().into()],
        )
        .await?;
    }
    insert(c, &tenant, &added).await?;
    Ok(Ok(Some(remembered)))
}

/// Makes a superseded entry current again.
pub(super) async fn reinstate(c: &mut dyn Connection, tenant: &TenantId, old: Uuid, now: Timestamp) -> Answer<()> {
    let named = [Value::from(tenant), old.into()];
    match standing(c, tenant, old).await?.filter(|standing| standing & FORGOTTEN == 0) {
        None => return Ok(Err(entry::unknown(old))),
        Some(standing) if standing & SUPERSEDED == 0 => return Ok(Err(entry::not_superseded(old))),
        Some(_) => {}
    }
    let holders = c
        .rows(
            "SELECT h.id FROM entries o JOIN entries h ON h.tenant = o.tenant AND h.key = o.key \
             WHERE o.tenant = $1 AND o.id = $2 AND h.standing & 3 = 0",
            &named,
        )
        .await?;
    if let Some(holder) = holders.first() {
        return Ok(Err(entry::key_taken(old, holder.id(0)?)));
    }
    // What was taken from it and went with it comes with it.
    let together = "SELECT t.id FROM readings r JOIN entries t ON t.tenant = r.tenant AND t.id = r.id \
                    JOIN entries o ON o.tenant = r.tenant AND o.id = r.origin \
                    WHERE r.tenant = $1 AND r.origin = $2 AND t.superseded_by = o.superseded_by";
    let taken = c.rows(together, &named).await?;
    for id in taken.iter().map(|row| row.id(0)).chain([Ok(old)]) {
        let named = [Value::from(tenant), id?.into(), now.as_millis().into()];
        c.execute(
            &format!(
                "INSERT INTO memory_changes (tenant, id, change, at, cause, valid_from) \
                 SELECT e.tenant, e.id, 5, $3, e.superseded_by, {VALID_FROM} FROM entries e WHERE e.tenant = $1 AND e.id = $2"
            ),
            &named,
        )
        .await?;
        let sql = "UPDATE entries SET standing = standing & 5, superseded_by = NULL WHERE tenant = $1 AND id = $2";
        c.execute(sql, &named[..2]).await?;
    }
    Ok(Ok(()))
}

/// Whether going back to a snapshot would show the entry `e`. `none` is what it is taken for
/// if nothing became of it since: 2 if it is not forgotten now, 3 if it is.
pub(super) fn covered(none: i64, further: &str) -> String {
    format!(
        "EXISTS (SELECT 1 FROM memory_snapshots s WHERE s.tenant = e.tenant AND s.entries >= e.position \
         AND (s.agent IS NULL OR s.agent = e.agent) {further} \
         AND coalesce((SELECT c.change FROM memory_changes c WHERE c.tenant = e.tenant AND c.id = e.id \
         AND c.change IN (2, 3) AND c.position > s.changes ORDER BY c.position LIMIT 1), {none}) = 2)"
    )
}

/// The statement that notes a change at `$3` of the entries of a condition.
pub(super) fn note(change: i64, which: &str) -> String {
    format!(
        "INSERT INTO memory_changes (tenant, id, change, at) SELECT e.tenant, e.id, {change}, $3 FROM entries e WHERE {which}"
    )
}

/// The standing of an entry whose row is there.
pub(super) async fn standing(c: &mut dyn Connection, tenant: &TenantId, id: Uuid) -> Result<Option<i64>, sqlx::Error> {
    let sql = "SELECT standing FROM entries WHERE tenant = $1 AND id = $2";
    c.rows(sql, &[tenant.into(), id.into()]).await?.first().map(|row| row.number(0)).transpose()
}

/// Forgets entries, with what was taken from them; tells how many, without the latter.
pub(super) async fn forget(c: &mut dyn Connection, tenant: &TenantId, what: Forgotten, now: Timestamp) -> Answer<u64> {
    let (column, value) = match what {
        Forgotten::Id(id) => ("id", id.into()),
        Forgotten::Source(token) => ("source", token),
    };
    // In a few statements, however many there are: a source may have tens of thousands.
    let taken = format!(
        "e.id IN (SELECT r.id FROM entries o JOIN readings r ON r.tenant = o.tenant AND r.origin = o.id \
         WHERE o.tenant = $1 AND o.{column} = $2)"
    );
    forget_those(c, tenant, (&taken, value.clone()), now).await?;
    forget_only(c, tenant, (column, value), now).await.map(Ok)
}

/// Forgets the entries that have a value in a column, and nothing with them; tells how many.
pub(super) async fn forget_only(
    c: &mut dyn Connection,
    tenant: &TenantId,
    (column, value): (&str, Value),
    now: Timestamp,
) -> Result<u64, sqlx::Error> {
    forget_those(c, tenant, (&format!("e.{column} = $2"), value), now).await
}

/// Forgets the entries `e` of a condition on a value `$2`: hides those that a snapshot covers, and
/// removes the others; tells how many.
async fn forget_those(
    c: &mut dyn Connection,
    tenant: &TenantId,
    (those, value): (&str, Value),
    now: Timestamp,
) -> Result<u64, sqlx::Error> {
    let values = [Value::from(tenant), value, now.as_millis().into()];
    let which = format!("e.tenant = $1 AND {those} AND e.standing & 1 = 0");
    let snapshots = c.rows("SELECT 1 FROM memory_snapshots WHERE tenant = $1 LIMIT 1", &values[..1]).await?;
    let mut forgotten = 0;
    if !snapshots.is_empty() {
        let which = format!("{which} AND {}", covered(2, ""));
        c.execute(&note(2, &which), &values).await?;
        let hide = format!("UPDATE entries AS e SET standing = standing | 1 WHERE {which}");
        forgotten += c.execute(&hide, &values[..2]).await?;
    }
    c.execute(&note(1, &which), &values).await?;
    forgotten += c.execute(&format!("DELETE FROM entries AS e WHERE {which}"), &values[..2]).await?;
    Ok(forgotten)
}

/// The first of these entries that is not there.
async fn missing(c: &mut dyn Connection, tenant: &TenantId, origins: Vec<Uuid>) -> Result<Option<Uuid>, sqlx::Error> {
    let mut seen = BTreeSet::new();
    for origin in origins {
        if !seen.insert(origin) {
            continue;
        }
        let sql = "SELECT 1 FROM entries WHERE tenant = $1 AND id = $2 AND standing & 1 = 0";
        if c.rows(sql, &[tenant.into(), origin.into()]).await?.is_empty() {
            return Ok(Some(origin));
        }
    }
    Ok(None)
}

/// Whether an entry is there under one of these ids.
async fn is_taken(c: &mut dyn Connection, tenant: &TenantId, added: &[Prepared]) -> Result<bool, sqlx::Error> {
    for new in added {
        let sql = "SELECT 1 FROM entries WHERE tenant = $1 AND id = $2";
        if !c.rows(sql, &[tenant.into(), new.id.into()]).await?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Inserts new entries with what they derive from, in the quarantines that concern them.
async fn insert(c: &mut dyn Connection, tenant: &TenantId, added: &[Prepared]) -> Result<(), sqlx::Error> {
    let concerns =
        |new: &Prepared| new.source.is_some() || !new.derived_from.is_empty() || !new.label_sources.is_empty();
    let before = if added.iter().any(concerns) { last_before_quarantine(c, tenant).await? } else { None };
    c.insert(tenant, added).await?;
    let edges: Vec<[Value; 2]> = added
        .iter()
        .flat_map(|new| {
            let entries = new.derived_from.iter().map(|origin| Value::from(*origin));
            let sources = new.label_sources.iter().map(Value::from);
            entries.chain(sources).map(|origin| [origin, new.id.into()])
        })
        .collect();
    for part in edges.chunks(EDGES) {
        let mut values = vec![Value::from(tenant)];
        values.extend(part.iter().flatten().cloned());
        let rows: Vec<String> = (0..part.len()).map(|at| format!("($1, ${}, ${})", 2 * at + 2, 2 * at + 3)).collect();
        let rows = rows.join(", ");
        c.execute(
            &format!("INSERT INTO derivations (tenant, origin, id) VALUES {rows} ON CONFLICT DO NOTHING"),
            &values,
        )
        .await?;
    }
    for new in added {
        for origin in &new.derived_from {
            let sql = "INSERT INTO derivations (tenant, origin, id) SELECT tenant, source, $3 FROM entries \
                       WHERE tenant = $1 AND id = $2 AND source IS NOT NULL ON CONFLICT DO NOTHING";
            c.execute(sql, &[tenant.into(), (*origin).into(), new.id.into()]).await?;
        }
    }
    subjects::note(c, tenant, added).await?;
    match before {
        Some(before) => quarantine_new(c, tenant, before).await,
        None => Ok(()),
    }
}

/// The position of the last entry, if there is a quarantine that holds.
async fn last_before_quarantine(c: &mut dyn Connection, tenant: &TenantId) -> Result<Option<i64>, sqlx::Error> {
    let sql = "SELECT (SELECT coalesce(max(position), 0) FROM entries WHERE tenant = $1) FROM quarantines \
               WHERE tenant = $1 AND released_at IS NULL LIMIT 1";
    c.rows(sql, &[tenant.into()]).await?.first().map(|row| row.number(0)).transpose()
}

/// Puts those of the new entries into quarantine that come from a source or derive from an entry
/// that is in one.
async fn quarantine_new(c: &mut dyn Connection, tenant: &TenantId, before: i64) -> Result<(), sqlx::Error> {
    let values = [Value::from(tenant), before.into()];
    let hidden = c
        .execute(
            "INSERT INTO quarantined (tenant, id, quarantine) SELECT e.tenant, e.id, q.id FROM entries e \
             JOIN quarantines q ON q.tenant = e.tenant AND q.released_at IS NULL WHERE e.tenant = $1 AND e.position > $2 \
             AND (e.source = q.origin OR EXISTS (SELECT 1 FROM derivations d WHERE d.tenant = e.tenant AND d.id = e.id \
             AND (d.origin = q.origin OR EXISTS (SELECT 1 FROM quarantined x WHERE x.tenant = e.tenant AND x.id = d.origin \
             AND x.quarantine = q.id))))",
            &values,
        )
        .await?;
    if hidden == 0 {
        return Ok(());
    }
    c.execute(
        "INSERT INTO memory_changes (tenant, id, change, at, cause) SELECT e.tenant, e.id, 6, e.recorded_at, x.quarantine \
         FROM entries e JOIN quarantined x ON x.tenant = e.tenant AND x.id = e.id WHERE e.tenant = $1 AND e.position > $2",
        &values,
    )
    .await?;
    c.execute(
        &format!(
            "UPDATE entries SET standing = standing | {QUARANTINED} WHERE tenant = $1 AND position > $2 \
             AND id IN (SELECT x.id FROM quarantined x WHERE x.tenant = $1)"
        ),
        &values,
    )
    .await
    .map(drop)
}
