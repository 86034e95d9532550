//! Memories as rows: what of them is sealed, what is a token, and the statements.
//!
//! An entry is sealed whole; its terms are sealed apart, so that an index can be built
//! without opening the texts. Agent, session, source, key and content are keyed tokens.

use std::collections::HashMap;

use l9_core::digest::Digest;
use l9_core::entropy::Entropy;
use l9_core::id::TenantId;
use l9_core::memory::{Entry, Layer, NewEntry};
use l9_core::time::Timestamp;
use l9_core::vault::{Place, Vault};
use l9_core::{Error, ErrorKind, Result};
use sqlx::error::BoxDynError;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Row, SqliteConnection};
use uuid::Uuid;

use super::appends::values;
use super::rows::{self, decode};
use crate::entry;
use crate::retrieval::Terms;

/// The form of a sealed entry: this byte, then JSON.
const VERSION: u8 = 1;
const COLUMNS: usize = 12;
/// The numbers of rows for which statements exist.
const SIZES: [usize; 3] = [32, 8, 1];

/// A new entry, ready to be inserted.
pub(super) struct Prepared {
    pub(super) id: Uuid,
    layer: i64,
    at: i64,
    recorded_at: i64,
    agent: Option<Digest>,
    session: Option<Digest>,
    source: Option<Digest>,
    key: Option<Digest>,
    content: Digest,
    terms: Vec<u8>,
    sealed: Vec<u8>,
}

/// What finds equal entries.
#[derive(Debug, Clone, Copy)]
pub(super) struct Marks {
    pub(super) content: Digest,
    pub(super) key: Option<Digest>,
}

impl Marks {
    pub(super) fn of(vault: &dyn Vault, tenant: &TenantId, new: &NewEntry) -> Self {
        let content = vault.token(tenant, "memory.content", entry::content(new).as_bytes());
        Self { content, key: entry::key(new).map(|key| vault.token(tenant, "memory.key", &key)) }
    }

    /// The one that decides whether the entry is known.
    pub(super) fn main(&self) -> Digest {
        self.key.unwrap_or(self.content)
    }
}

/// Seals an entry and its terms.
pub(super) fn prepare(
    vault: &dyn Vault,
    entropy: &dyn Entropy,
    tenant: &TenantId,
    marks: Marks,
    mut new: NewEntry,
    now: Timestamp,
) -> Result<Prepared> {
    let at = *new.at.get_or_insert(now);
    let id = entry::id(tenant, &new, &entry::content(&new), now, entropy);
    let mut plain = vec![VERSION];
    serde_json::to_writer(&mut plain, &new)
        .map_err(|error| Error::internal("an entry has no JSON form").caused_by(error))?;
    Ok(Prepared {
        id,
        layer: layer_number(new.layer),
        at: at.as_millis(),
        recorded_at: now.as_millis(),
        agent: new.agent.as_ref().map(|agent| agent_token(vault, tenant, agent.as_str())),
        session: new.session.as_ref().map(|session| session_token(vault, tenant, session)),
        source: new.source.as_ref().map(|source| source_token(vault, tenant, source)),
        key: marks.key,
        content: marks.content,
        terms: vault.seal(tenant, &place(&id, "terms"), &Terms::of(&new.text).pack())?,
        sealed: vault.seal(tenant, &place(&id, "entry"), &plain)?,
    })
}

pub(super) fn agent_token(vault: &dyn Vault, tenant: &TenantId, agent: &str) -> Digest {
    vault.token(tenant, "memory.agent", agent.as_bytes())
}

pub(super) fn session_token(vault: &dyn Vault, tenant: &TenantId, session: &str) -> Digest {
    vault.token(tenant, "memory.session", session.as_bytes())
}

pub(super) fn source_token(vault: &dyn Vault, tenant: &TenantId, source: &str) -> Digest {
    vault.token(tenant, "memory.source", source.as_bytes())
}

/// Opens a stored entry.
pub(super) fn open(vault: &dyn Vault, tenant: &TenantId, id: Uuid, recorded_at: i64, sealed: &[u8]) -> Result<Entry> {
    let named = |error: Error| Error::new(error.kind(), format!("memory {id} does not open")).caused_by(error);
    let plain = vault.open(tenant, &place(&id, "entry"), sealed).map_err(named)?;
    match plain.split_first() {
        Some((&VERSION, json)) => {
            let entry = serde_json::from_slice(json).map_err(|error| named(Error::corrupt(error.to_string())))?;
            Ok(Entry { id, entry, recorded_at: Timestamp::from_millis(recorded_at) })
        }
        Some((version, _)) => Err(named(Error::new(
            ErrorKind::Newer,
            format!("its form is {version}, this L9 knows {VERSION}: upgrade it"),
        ))),
        None => Err(named(Error::corrupt("it is empty"))),
    }
}

/// Opens stored terms; `None` if they are of another version.
pub(super) fn open_terms(vault: &dyn Vault, tenant: &TenantId, id: Uuid, sealed: &[u8]) -> Result<Option<Terms>> {
    let named =
        |error: Error| Error::new(error.kind(), format!("the terms of memory {id} do not open")).caused_by(error);
    let plain = vault.open(tenant, &place(&id, "terms"), sealed).map_err(named)?;
    Terms::unpack(&plain).map_err(named)
}

/// Equal entries that are kept.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// The oldest of each content.
    pub(super) contents: HashMap<Digest, Uuid>,
    /// The one of each key, as it is sealed.
    pub(super) keys: HashMap<Digest, (Uuid, Vec<u8>)>,
}

/// Finds equal entries.
pub(super) async fn find(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    marks: &[Marks],
) -> Result<Kept, sqlx::Error> {
    let mut kept = Kept::default();
    let contents: Vec<Digest> = marks.iter().map(|marks| marks.content).collect();
    for part in contents.chunks(SIZES[0]) {
        let sql = "SELECT id, v.column1 FROM (VALUES {values}) AS v CROSS JOIN entries AS e \
                   WHERE e.content = v.column1 AND e.tenant = ? ORDER BY position DESC";
        for row in find_by(connection, sql, tenant, part).await? {
            kept.contents.insert(rows::digest(&row, 1)?, uuid(&row, 0)?);
        }
    }
    let keys: Vec<Digest> = marks.iter().filter_map(|marks| marks.key).collect();
    for part in keys.chunks(SIZES[0]) {
        let sql = "SELECT id, v.column1, entry FROM (VALUES {values}) AS v CROSS JOIN entries AS e \
                   WHERE e.key = v.column1 AND e.tenant = ?";
        for row in find_by(connection, sql, tenant, part).await? {
            kept.keys.insert(rows::digest(&row, 1)?, (uuid(&row, 0)?, row.try_get(2)?));
        }
    }
    Ok(kept)
}

async fn find_by(
    connection: &mut SqliteConnection,
    sql: &str,
    tenant: &TenantId,
    tokens: &[Digest],
) -> Result<Vec<SqliteRow>, sqlx::Error> {
    let size = SIZES.iter().copied().filter(|size| *size >= tokens.len()).min().unwrap_or(tokens.len());
    let mut arguments = SqliteArguments::default();
    for at in 0..size {
        arguments.add(tokens.get(at).map(|token| token.as_bytes().as_slice())).map_err(sqlx::Error::Encode)?;
    }
    arguments.add(tenant.as_str()).map_err(sqlx::Error::Encode)?;
    let sql = sql.replace("{values}", &values(size, 1));
    sqlx::query_with(AssertSqlSafe(sql), arguments).fetch_all(connection).await
}

/// Inserts new entries.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    mut entries: &[Prepared],
) -> Result<(), sqlx::Error> {
    while !entries.is_empty() {
        let size = SIZES.iter().copied().find(|size| *size <= entries.len()).unwrap_or(1);
        let (part, rest) = entries.split_at(size);
        entries = rest;
        let mut arguments = SqliteArguments::default();
        arguments.reserve(size * COLUMNS, 0);
        part.iter().try_for_each(|entry| add(&mut arguments, tenant, entry)).map_err(sqlx::Error::Encode)?;
        let sql = format!(
            "INSERT INTO entries (tenant, id, layer, at, recorded_at, agent, session, source, key, content, terms, entry) VALUES {}",
            values(size, COLUMNS)
        );
        sqlx::query_with(AssertSqlSafe(sql), arguments).execute(&mut *connection).await?;
    }
    Ok(())
}

fn add(out: &mut SqliteArguments, tenant: &TenantId, entry: &Prepared) -> Result<(), BoxDynError> {
    let token = |token: &Option<Digest>| token.as_ref().map(|token| token.as_bytes().to_vec());
    out.add(tenant.as_str())?;
    out.add(entry.id.as_bytes().as_slice())?;
    out.add(entry.layer)?;
    out.add(entry.at)?;
    out.add(entry.recorded_at)?;
    out.add(token(&entry.agent))?;
    out.add(token(&entry.session))?;
    out.add(token(&entry.source))?;
    out.add(token(&entry.key))?;
    out.add(entry.content.as_bytes().as_slice())?;
    out.add(entry.terms.as_slice())?;
    out.add(entry.sealed.as_slice())
}

pub(super) fn uuid(row: &SqliteRow, at: usize) -> Result<Uuid, sqlx::Error> {
    Uuid::from_slice(row.try_get(at)?).map_err(|error| decode(at, error))
}

fn layer_number(layer: Layer) -> i64 {
    match layer {
        Layer::ShortTerm => 1,
        // Every other layer keeps its entries until they are forgotten.
        _ => 2,
    }
}

/// A stored layer.
pub(super) fn layer(row: &SqliteRow, at: usize) -> Result<Layer, sqlx::Error> {
    match row.try_get::<i64, _>(at)? {
        1 => Ok(Layer::ShortTerm),
        2 => Ok(Layer::LongTerm),
        other => Err(decode(at, format!("{other} is not a layer"))),
    }
}

fn place<'a>(id: &'a Uuid, column: &'static str) -> Place<'a> {
    Place { table: "memory", row: id.as_bytes(), column }
}
