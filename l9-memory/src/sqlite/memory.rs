//! Memories in a SQLite file. What is stored is sealed; what is searched is an index in
//! this process, built from the sealed terms and kept up with the file before every
//! search, so that all processes of one file find the same.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use l9_core::digest::Digest;
use l9_core::entropy::Entropy;
use l9_core::id::TenantId;
use l9_core::memory::{Entry, Hit, MemoryStore, NewEntry, Query, Remembered, Scope};
use l9_core::time::Clock;
use l9_core::vault::Vault;
use l9_core::{Error, Result};
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Row, SqliteConnection};
use uuid::Uuid;

use super::database::Database;
use super::entries::{self, Marks, Prepared};
use super::indexed::{Loaded, Slot};
use super::writer::Answer;
use crate::entry;
use crate::retrieval::{self, Filter, Found, Index, Terms};

/// How many entries are read at once while an index is built.
const LOAD: i64 = 4096;
/// How many entries are fetched at once.
const FETCH: usize = 32;

/// Keeps memories in a SQLite file; clones share it.
#[derive(Clone)]
pub struct Memory {
    database: Database,
    keeper: Arc<Keeper>,
    indexes: Arc<Mutex<HashMap<TenantId, Arc<Slot>>>>,
}

/// What entries are made and opened with.
struct Keeper {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    vault: Arc<dyn Vault>,
}

impl Memory {
    /// Over a database whose key is bound.
    #[must_use]
    pub fn new(database: &Database, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>, vault: Arc<dyn Vault>) -> Self {
        Self { database: database.clone(), keeper: Arc::new(Keeper { clock, entropy, vault }), indexes: Arc::default() }
    }

    fn slot(&self, tenant: &TenantId) -> Arc<Slot> {
        let mut indexes = self.indexes.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(indexes.entry(tenant.clone()).or_default())
    }

    fn vault(&self) -> &dyn Vault {
        &*self.keeper.vault
    }

    /// The tenant's index, brought up with the file.
    async fn synced(&self, tenant: &TenantId) -> Result<Arc<Slot>> {
        let slot = self.slot(tenant);
        if self.is_current(tenant, &slot).await? {
            return Ok(slot);
        }
        {
            let _loading = slot.loading.lock().await;
            while !self.is_current(tenant, &slot).await? {
                self.load(tenant, &slot).await?;
            }
        }
        Ok(slot)
    }

    async fn is_current(&self, tenant: &TenantId, slot: &Slot) -> Result<bool> {
        let row = sqlx::query(
            "SELECT (SELECT max(position) FROM entries WHERE tenant = $1), (SELECT max(position) FROM forgotten WHERE tenant = $1)",
        )
        .bind(tenant.as_str())
        .fetch_one(self.database.readers())
        .await;
        let newest = |row: SqliteRow| Ok((row.try_get::<Option<i64>, _>(0)?, row.try_get::<Option<i64>, _>(1)?));
        let (entries, forgotten) = row.and_then(newest).map_err(|error| self.database.fault(error))?;
        let indexed = slot.indexed.read().unwrap_or_else(PoisonError::into_inner);
        Ok(entries.unwrap_or(0) <= indexed.entries && forgotten.unwrap_or(0) <= indexed.forgotten)
    }

    /// Reads the next removals and entries. One statement, and so one state of the
    /// file: an entry never comes without the removals before it.
    async fn load(&self, tenant: &TenantId, slot: &Arc<Slot>) -> Result<()> {
        let (entries, forgotten) = {
            let indexed = slot.indexed.read().unwrap_or_else(PoisonError::into_inner);
            (indexed.entries, indexed.forgotten)
        };
        let found = sqlx::query(
            "SELECT position, id, NULL, NULL, NULL, NULL, NULL, NULL FROM forgotten WHERE tenant = $1 AND position > $2 \
             UNION ALL SELECT * FROM (SELECT position, id, layer, at, recorded_at, agent, session, terms \
             FROM entries WHERE tenant = $1 AND position > $3 ORDER BY position LIMIT $4)",
        )
        .bind(tenant.as_str())
        .bind(forgotten)
        .bind(entries)
        .bind(LOAD)
        .fetch_all(self.database.readers())
        .await;
        let read = |found: Vec<_>| found.iter().map(Loaded::read).collect::<Result<Vec<_>, _>>();
        let loaded = found.and_then(read).map_err(|error| self.database.fault(error))?;
        let (whose, vault) = (tenant.clone(), Arc::clone(&self.keeper.vault));
        let mut opened =
            blocking(move || loaded.into_iter().map(|row| row.open(&*vault, &whose)).collect::<Result<Vec<_>>>())
                .await?;
        for document in opened.iter_mut().filter(|document| document.is_stale()) {
            if let Some(entry) = self.get(tenant, document.id).await? {
                document.terms = Some(Terms::of(&entry.entry.text));
            }
        }
        let slot = Arc::clone(slot);
        blocking(move || {
            slot.indexed.write().unwrap_or_else(PoisonError::into_inner).take_in(opened);
            Ok(())
        })
        .await
    }

    /// What is found and kept, in the order it was found.
    async fn fetch(&self, tenant: &TenantId, found: &[Found]) -> Result<Vec<Hit>> {
        let mut entries = HashMap::with_capacity(found.len());
        for part in found.chunks(FETCH) {
            let mut arguments = SqliteArguments::default();
            let mut add = || -> Result<(), sqlx::error::BoxDynError> {
                arguments.add(tenant.as_str())?;
                part.iter().try_for_each(|found| arguments.add(found.id.as_bytes().as_slice()))
            };
            add().map_err(|error| self.database.fault(sqlx::Error::Encode(error)))?;
            let sql = format!(
                "SELECT id, recorded_at, entry FROM entries WHERE tenant = ? AND id IN ({})",
                vec!["?"; FETCH].join(",")
            );
            let rows = sqlx::query_with(AssertSqlSafe(sql), arguments).fetch_all(self.database.readers()).await;
            for row in rows.map_err(|error| self.database.fault(error))? {
                let entry = self.open(tenant, &row)?;
                entries.insert(entry.id, entry);
            }
        }
        // One that was forgotten meanwhile is left out.
        Ok(found
            .iter()
            .filter_map(|found| Some(Hit { entry: entries.remove(&found.id)?, score: found.score }))
            .collect())
    }

    /// Opens a row of id, time and sealed entry.
    fn open(&self, tenant: &TenantId, row: &SqliteRow) -> Result<Entry> {
        let read = || Ok((entries::uuid(row, 0)?, row.try_get(1)?, row.try_get::<&[u8], _>(2)?));
        let (id, recorded_at, sealed) = read().map_err(|error| self.database.fault(error))?;
        entries::open(self.vault(), tenant, id, recorded_at, sealed)
    }

    fn filter(&self, index: &Index, scope: &Scope, query: &Query) -> Filter {
        let (vault, tenant) = (self.vault(), &scope.tenant);
        let agent = scope.agent.as_ref().map(|agent| entries::agent_token(vault, tenant, agent.as_str()));
        let session = scope.session.as_ref().map(|session| entries::session_token(vault, tenant, session));
        Filter {
            agent: agent.map(|token| index.find_name(token.as_bytes())),
            session: session.map(|token| index.find_name(token.as_bytes())),
            layer: query.layer,
            as_of: query.as_of,
        }
    }

    /// The marks of entries that seem to be kept already.
    async fn known(&self, tenant: &TenantId, new: &[NewEntry]) -> Result<HashSet<Digest>> {
        let marks: Vec<Marks> = new.iter().map(|new| Marks::of(self.vault(), tenant, new)).collect();
        let find = async {
            let mut connection = self.database.readers().acquire().await?;
            entries::find(&mut connection, tenant, &marks).await
        };
        let kept = find.await.map_err(|error| self.database.fault(error))?;
        Ok(kept.contents.into_keys().chain(kept.keys.into_keys()).collect())
    }

    /// Removes what a condition on one token selects; tells how many there were.
    async fn remove(&self, tenant: &TenantId, what: &'static Removal, token: Vec<u8>) -> Result<u64> {
        let tenant = tenant.clone();
        let remove = self.database.writer().grouped(None, 2, move |connection| {
            Box::pin(async move {
                let mut removed = 0;
                for sql in [what.note, what.delete] {
                    let done =
                        sqlx::query(sql).bind(tenant.as_str()).bind(token.as_slice()).execute(&mut *connection).await?;
                    removed = done.rows_affected();
                }
                Ok(Ok(removed))
            })
        });
        remove.await
    }
}

/// The statements of a removal.
struct Removal {
    note: &'static str,
    delete: &'static str,
}

const BY_ID: Removal = Removal {
    note: "INSERT INTO forgotten (tenant, id) SELECT tenant, id FROM entries WHERE tenant = ? AND id = ?",
    delete: "DELETE FROM entries WHERE tenant = ? AND id = ?",
};
const BY_SOURCE: Removal = Removal {
    note: "INSERT INTO forgotten (tenant, id) SELECT tenant, id FROM entries WHERE tenant = ? AND source = ?",
    delete: "DELETE FROM entries WHERE tenant = ? AND source = ?",
};

#[async_trait]
impl MemoryStore for Memory {
    async fn remember(&self, tenant: &TenantId, new: Vec<NewEntry>) -> Result<Vec<Remembered>> {
        entry::check(&new)?;
        if new.is_empty() {
            return Ok(Vec::new());
        }
        // What is known already need not be sealed; one entry alone is not worth a look.
        let mut known = if new.len() > 1 { self.known(tenant, &new).await? } else { HashSet::new() };
        loop {
            let (keeper, whose, entries) = (Arc::clone(&self.keeper), tenant.clone(), new.clone());
            let plan = blocking(move || Plan::new(keeper, whose, entries, &known)).await?;
            let rows = plan.entries.len();
            let kept =
                self.database.writer().grouped(None, rows, move |connection| Box::pin(remember(connection, plan)));
            match kept.await? {
                Some(kept) => return Ok(kept),
                // Something was forgotten since the look: now everything is sealed.
                None => known = HashSet::new(),
            }
        }
    }

    async fn search(&self, scope: &Scope, query: &Query) -> Result<Vec<Hit>> {
        entry::check_query(query)?;
        let start = self.keeper.clock.monotonic();
        let slot = self.synced(&scope.tenant).await?;
        let found = {
            let indexed = slot.indexed.read().unwrap_or_else(PoisonError::into_inner);
            let filter = self.filter(&indexed.index, scope, query);
            indexed.index.search(&retrieval::Query::of(&query.text), &filter, query.k)
        };
        let hits = self.fetch(&scope.tenant, &found).await;
        let took = self.keeper.clock.monotonic().saturating_sub(start);
        metrics::histogram!("memory_retrieval_latency_ms").record(took.as_secs_f64() * 1000.0);
        hits
    }

    async fn get(&self, tenant: &TenantId, id: Uuid) -> Result<Option<Entry>> {
        let row = sqlx::query("SELECT id, recorded_at, entry FROM entries WHERE tenant = ? AND id = ?")
            .bind(tenant.as_str())
            .bind(id.as_bytes().as_slice())
            .fetch_optional(self.database.readers())
            .await
            .map_err(|error| self.database.fault(error))?;
        row.map(|row| self.open(tenant, &row)).transpose()
    }

    async fn forget(&self, tenant: &TenantId, id: Uuid) -> Result<bool> {
        Ok(self.remove(tenant, &BY_ID, id.as_bytes().to_vec()).await? > 0)
    }

    async fn forget_source(&self, tenant: &TenantId, source: &str) -> Result<u64> {
        let token = entries::source_token(self.vault(), tenant, source);
        self.remove(tenant, &BY_SOURCE, token.as_bytes().to_vec()).await
    }

    async fn count(&self, scope: &Scope) -> Result<u64> {
        let (vault, tenant) = (self.vault(), &scope.tenant);
        let agent = scope.agent.as_ref().map(|agent| entries::agent_token(vault, tenant, agent.as_str()));
        let session = scope.session.as_ref().map(|session| entries::session_token(vault, tenant, session));
        let count: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM entries WHERE tenant = $1 AND ($2 IS NULL OR agent IS NULL OR agent = $2) \
             AND ($3 IS NULL OR session = $3)",
        )
        .bind(tenant.as_str())
        .bind(agent.map(|token| token.as_bytes().to_vec()))
        .bind(session.map(|token| token.as_bytes().to_vec()))
        .fetch_one(self.database.readers())
        .await
        .map_err(|error| self.database.fault(error))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }
}

/// Entries ready to be kept, sealed already unless they are known.
struct Plan {
    keeper: Arc<Keeper>,
    tenant: TenantId,
    entries: Vec<Planned>,
}

struct Planned {
    new: NewEntry,
    marks: Marks,
    prepared: Option<Prepared>,
}

impl Plan {
    fn new(keeper: Arc<Keeper>, tenant: TenantId, new: Vec<NewEntry>, known: &HashSet<Digest>) -> Result<Self> {
        let plan = |new: NewEntry| {
            let marks = Marks::of(&*keeper.vault, &tenant, &new);
            let prepared = if known.contains(&marks.main()) {
                None
            } else {
                let now = keeper.clock.now();
                Some(entries::prepare(&*keeper.vault, &*keeper.entropy, &tenant, marks, new.clone(), now)?)
            };
            Ok(Planned { new, marks, prepared })
        };
        let entries = new.into_iter().map(plan).collect::<Result<_>>()?;
        Ok(Self { keeper, tenant, entries })
    }

    /// Whether the entry of a key has these words.
    fn is_same(&self, id: Uuid, sealed: &[u8], new: &NewEntry) -> Result<bool> {
        Ok(entries::open(&*self.keeper.vault, &self.tenant, id, 0, sealed)?.entry.text == new.text)
    }
}

/// Keeps what is new; `None` if something is new that was not prepared.
async fn remember(connection: &mut SqliteConnection, mut plan: Plan) -> Answer<Option<Vec<Remembered>>> {
    let marks: Vec<Marks> = plan.entries.iter().map(|planned| planned.marks).collect();
    let mut kept = entries::find(connection, &plan.tenant, &marks).await?;
    // The words of this call's own new keys.
    let mut keyed: HashMap<Digest, (Uuid, usize)> = HashMap::new();
    let mut out = Vec::with_capacity(marks.len());
    let mut added = Vec::new();
    for at in 0..marks.len() {
        let (planned, marks) = (&plan.entries[at], marks[at]);
        let known = match marks.key {
            None => kept.contents.get(&marks.content).copied(),
            Some(key) => {
                let found = match (keyed.get(&key), kept.keys.get(&key)) {
                    (Some((id, first)), _) => Some((*id, plan.entries[*first].new.text == planned.new.text)),
                    (None, Some((id, sealed))) => match plan.is_same(*id, sealed, &planned.new) {
                        Ok(same) => Some((*id, same)),
                        Err(error) => return Ok(Err(error)),
                    },
                    (None, None) => None,
                };
                if found.is_some_and(|(_, same)| !same) {
                    return Ok(Err(entry::key_conflict(at, &planned.new)));
                }
                found.map(|(id, _)| id)
            }
        };
        if let Some(id) = known {
            out.push(Remembered { id, duplicate: true });
            continue;
        }
        let Some(prepared) = plan.entries[at].prepared.take() else { return Ok(Ok(None)) };
        kept.contents.entry(marks.content).or_insert(prepared.id);
        keyed.extend(marks.key.map(|key| (key, (prepared.id, at))));
        out.push(Remembered { id: prepared.id, duplicate: false });
        added.push(prepared);
    }
    entries::insert(connection, &plan.tenant, &added).await?;
    Ok(Ok(Some(out)))
}

/// Runs what takes the processor for a while where it holds up nobody.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::internal("a memory task ended").caused_by(error))?
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("database", &self.database).finish_non_exhaustive()
    }
}
