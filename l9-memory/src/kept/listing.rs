//! Pages of entries and conversations, as rows give them.

use std::collections::HashMap;

use l9_core::Result;
use l9_core::id::TenantId;
use l9_core::memory::{Cursor, Entry, Listing, Order, Page, Scope, Session, Shown, Stored};
use l9_core::time::Timestamp;
use uuid::Uuid;

use super::connection::{Row, Value};
use super::curation::unreadable;
use super::memory::{Memory, blocking};
use super::rows::SealedEntry;
use super::sealing;
use super::subjects::bytes_of;

/// A statement that grows by its conditions.
struct Select {
    which: String,
    values: Vec<Value>,
}

impl Select {
    fn of(memory: &Memory, scope: &Scope, which: &str) -> Self {
        let mut select = Self { which: format!("tenant = $1 AND {which}"), values: vec![(&scope.tenant).into()] };
        let (agent, session) = memory.tokens(scope);
        if let Some(agent) = agent {
            select.and("(agent IS NULL OR agent = ?)", Value::from(&agent));
        }
        if let Some(session) = session {
            select.and("session = ?", Value::from(&session));
        }
        select
    }

    /// Adds a condition; `?` stands for the value.
    fn and(&mut self, condition: &str, value: impl Into<Value>) {
        let place = self.place(value);
        self.which.push_str(&format!(" AND {}", condition.replace('?', &place)));
    }

    fn place(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }

    /// What comes after a cursor.
    fn after(&mut self, after: Option<Cursor>, order: Order) -> String {
        let Some(Cursor { at, position }) = after else { return String::new() };
        let (at, position) = (self.place(at), self.place(position));
        let sign = if order == Order::Newest { "<" } else { ">" };
        format!(" AND (at {sign} {at} OR (at = {at} AND position {sign} {position}))")
    }
}

/// One more than a page has, to see whether there is more.
fn beyond(limit: usize) -> i64 {
    i64::try_from(limit.saturating_add(1)).unwrap_or(i64::MAX)
}

impl Memory {
    pub(super) async fn counted(&self, scope: &Scope) -> Result<u64> {
        let Select { which, values } = Select::of(self, scope, "standing = 0");
        Ok(self.number(&format!("SELECT count(*) FROM entries WHERE {which}"), &values).await?.unsigned_abs())
    }

    pub(super) async fn listed(&self, scope: &Scope, listing: &Listing) -> Result<Page<Entry>> {
        let shown = match listing.shown {
            Shown::Current => "standing = 0",
            Shown::Hidden => "standing & 1 = 0 AND standing <> 0",
            Shown::All => "standing & 1 = 0",
        };
        let mut select = Select::of(self, scope, shown);
        if let Some(layer) = listing.layer {
            select.and("layer = ?", sealing::layer_number(layer));
        }
        if let Some(source) = &listing.source {
            select.and("source = ?", Value::from(&sealing::source_token(self.vault(), &scope.tenant, source)));
        }
        let after = select.after(listing.after, listing.order);
        let limit = select.place(beyond(listing.limit));
        let order = if listing.order == Order::Newest { "at DESC, position DESC" } else { "at, position" };
        let sql = format!(
            "SELECT id, recorded_at, standing, superseded_by, entry, at, position FROM entries WHERE {}{after} \
             ORDER BY {order} LIMIT {limit}",
            select.which
        );
        let found = self.rows.read(&sql, &select.values).await?;
        let (cursors, mut entries) = self.opened_at(&scope.tenant, &found).await?;
        let entries = cursors.into_iter().filter_map(|(id, cursor)| Some((cursor, entries.remove(&id)?))).collect();
        Ok(Page::cut(entries, listing.limit))
    }

    /// What there is, also what is forgotten, in the order of ids.
    pub(super) async fn all_stored(&self, tenant: &TenantId, after: Option<Uuid>, limit: usize) -> Result<Vec<Stored>> {
        let mut select = Select { which: "tenant = $1".to_owned(), values: vec![tenant.into()] };
        if let Some(after) = after {
            select.and("id > ?", after);
        }
        let most = select.place(i64::try_from(limit).unwrap_or(i64::MAX));
        let sql = format!(
            "SELECT id, recorded_at, standing, superseded_by, entry FROM entries WHERE {} ORDER BY id LIMIT {most}",
            select.which
        );
        let rows = self.rows.read(&sql, &select.values).await?;
        let rows = rows.iter().map(|row| sealed(row).map_err(unreadable)).collect::<Result<Vec<_>>>()?;
        let keys = self.keys_of(tenant, bytes_of(&rows)).await?;
        let (memory, whose) = (self.clone(), tenant.clone());
        let open = move |row: SealedEntry| Stored { id: row.id, entry: memory.open(&whose, &keys, &row) };
        blocking(move || Ok(rows.into_iter().map(open).collect())).await
    }

    pub(super) async fn conversations(
        &self,
        scope: &Scope,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<Session>> {
        let mut select = Select::of(self, scope, "standing = 0 AND session IS NOT NULL");
        let after = select.after(after, Order::Newest);
        let most = select.place(beyond(limit));
        // The entry that was said last stands for its conversation.
        let sql = format!(
            "WITH said AS (SELECT id, recorded_at, standing, superseded_by, entry, at, position, \
             row_number() OVER (PARTITION BY session ORDER BY at DESC, position DESC) AS place, \
             min(at) OVER (PARTITION BY session) AS begun, count(*) OVER (PARTITION BY session) AS entries \
             FROM entries WHERE {}) \
             SELECT id, recorded_at, standing, superseded_by, entry, at, position, begun, entries FROM said \
             WHERE place = 1{after} ORDER BY at DESC, position DESC LIMIT {most}",
            select.which
        );
        let found = self.rows.read(&sql, &select.values).await?;
        let (cursors, mut entries) = self.opened_at(&scope.tenant, &found).await?;
        let mut sessions = Vec::with_capacity(found.len());
        for (row, (id, cursor)) in found.iter().zip(cursors) {
            let Some(entry) = entries.remove(&id) else { continue };
            let session = entry.entry.session.unwrap_or_default();
            let read = || Ok((row.number(7)?, row.number(8)?));
            let (first, entries) = read().map_err(unreadable)?;
            let (first, last) = (Timestamp::from_millis(first), Timestamp::from_millis(cursor.at));
            sessions.push((cursor, Session { session, first, last, entries: entries.unsigned_abs() }));
        }
        Ok(Page::cut(sessions, limit))
    }
}

impl Memory {
    /// The entries in rows that are not erased, each with the number after its columns.
    pub(super) async fn opened_with_number(&self, tenant: &TenantId, rows: &[Row]) -> Result<Vec<(Entry, i64)>> {
        let read = |row: &Row| Ok((sealed(row)?, row.number(5)?));
        let rows = rows.iter().map(|row| read(row).map_err(unreadable)).collect::<Result<Vec<_>>>()?;
        let numbers: HashMap<Uuid, i64> = rows.iter().map(|(row, number)| (row.id, *number)).collect();
        let entries = self.opened(tenant, rows.into_iter().map(|(row, _)| row).collect()).await?;
        let numbered = |entry: Entry| numbers.get(&entry.id).map(|number| (entry, *number));
        Ok(entries.into_iter().filter_map(numbered).collect())
    }

    /// The places of rows, and the entries in them that are not erased.
    async fn opened_at(&self, tenant: &TenantId, rows: &[Row]) -> Result<(Vec<(Uuid, Cursor)>, HashMap<Uuid, Entry>)> {
        let cursor = |row: &Row| Ok((row.id(0)?, Cursor { at: row.number(5)?, position: row.number(6)? }));
        let cursors = rows.iter().map(|row| cursor(row).map_err(unreadable)).collect::<Result<_>>()?;
        let sealed = rows.iter().map(|row| sealed(row).map_err(unreadable)).collect::<Result<_>>()?;
        let entries = self.opened(tenant, sealed).await?;
        Ok((cursors, entries.into_iter().map(|entry| (entry.id, entry)).collect()))
    }
}

/// An entry whose columns come first in a row.
pub(super) fn sealed(row: &Row) -> Result<SealedEntry, sqlx::Error> {
    Ok(SealedEntry {
        id: row.id(0)?,
        recorded_at: row.number(1)?,
        standing: row.number(2)?,
        superseded_by: row.optional_id(3)?,
        sealed: row.bytes(4)?.to_vec(),
    })
}
