//! Memories as they are stored: what of them is sealed and what is a token.
//!
//! An entry is sealed whole; its terms are sealed apart, so that an index can be built
//! without opening the texts. Agent, session, source, key and content are keyed tokens.

use std::collections::HashMap;

use l9_core::digest::Digest;
use l9_core::entropy::Entropy;
use l9_core::id::{AgentId, TenantId};
use l9_core::memory::{Entry, Layer, NewEntry, Standing};
use l9_core::time::Timestamp;
use l9_core::vault::{Place, Vault};
use l9_core::{Error, ErrorKind, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::subjects::Subjects;
use crate::entry;
use crate::retrieval::Terms;
use crate::vault::{SubjectKeys, vector_place};
use crate::vectors::Code;

/// The form of a sealed entry: this byte, then JSON.
const VERSION: u8 = 1;

/// A new entry, ready to be inserted.
#[derive(Debug)]
pub struct Prepared {
    pub(crate) id: Uuid,
    pub(crate) layer: i64,
    pub(crate) at: i64,
    pub(crate) recorded_at: i64,
    pub(crate) valid_from: Option<i64>,
    pub(crate) valid_to: Option<i64>,
    pub(crate) agent: Option<Digest>,
    /// The agent by its name, for who is refused.
    pub(crate) owner: Option<AgentId>,
    pub(crate) session: Option<Digest>,
    pub(crate) source: Option<Digest>,
    pub(crate) key: Option<Digest>,
    pub(crate) content: Digest,
    pub(crate) terms: Vec<u8>,
    pub(crate) sealed: Vec<u8>,
    pub(crate) derived_from: Vec<Uuid>,
    /// The sources of its label, but for its own.
    pub(crate) label_sources: Vec<Digest>,
    /// Whom it is about.
    pub(crate) subjects: Vec<Digest>,
}

/// What finds equal entries.
#[derive(Debug, Clone, Copy)]
pub struct Marks {
    pub(crate) content: Digest,
    pub(crate) key: Option<Digest>,
}

impl Marks {
    pub(crate) fn of(vault: &dyn Vault, tenant: &TenantId, new: &NewEntry) -> Self {
        let content = vault.token(tenant, "memory.content", entry::content(new).as_bytes());
        Self { content, key: entry::key(new).map(|key| vault.token(tenant, "memory.key", &key)) }
    }

    /// The one that decides whether the entry is known.
    pub(crate) fn main(&self) -> Digest {
        self.key.unwrap_or(self.content)
    }
}

/// Seals an entry and its terms, under the keys of whom it is about.
pub(super) fn prepare(
    (vault, entropy): (&dyn Vault, &dyn Entropy),
    tenant: &TenantId,
    subjects: &Subjects,
    marks: Marks,
    mut new: NewEntry,
    (now, attempt): (Timestamp, u32),
) -> Result<Prepared> {
    let at = *new.at.get_or_insert(now);
    let id = entry::id(tenant, &new, &entry::content(&new), now, attempt, entropy);
    let mut plain = vec![VERSION];
    serde_json::to_writer(&mut plain, &new)
        .map_err(|error| Error::internal("an entry has no JSON form").caused_by(error))?;
    let keys = subjects.of(&new.label.subjects)?;
    let seal = |column, plain: &[u8]| subjects.keys.seal(vault, tenant, &keys, &place(&id, column), plain);
    Ok(Prepared {
        id,
        layer: layer_number(new.layer),
        at: at.as_millis(),
        recorded_at: now.as_millis(),
        valid_from: new.valid_from.map(Timestamp::as_millis),
        valid_to: new.valid_to.map(Timestamp::as_millis),
        agent: new.agent.as_ref().map(|agent| agent_token(vault, tenant, agent.as_str())),
        session: new.session.as_ref().map(|session| session_token(vault, tenant, session)),
        source: new.source.as_ref().map(|source| source_token(vault, tenant, source)),
        key: marks.key,
        content: marks.content,
        owner: new.agent.clone(),
        terms: seal("terms", &Terms::of(&new).pack())?,
        sealed: seal("entry", &plain)?,
        label_sources: entry::label_sources(&new).map(|source| source_token(vault, tenant, source)).collect(),
        derived_from: new.derived_from,
        subjects: new.label.subjects.into_iter().collect(),
    })
}

pub(crate) fn agent_token(vault: &dyn Vault, tenant: &TenantId, agent: &str) -> Digest {
    vault.token(tenant, "memory.agent", agent.as_bytes())
}

pub(crate) fn session_token(vault: &dyn Vault, tenant: &TenantId, session: &str) -> Digest {
    vault.token(tenant, "memory.session", session.as_bytes())
}

pub(crate) fn source_token(vault: &dyn Vault, tenant: &TenantId, source: &str) -> Digest {
    vault.token(tenant, "memory.source", source.as_bytes())
}

/// Opens a stored entry; what it is taken for stands in its row. `None` if whom it is about was
/// erased.
pub(crate) fn open(
    vault: &dyn Vault,
    keys: &SubjectKeys,
    tenant: &TenantId,
    (id, recorded_at): (Uuid, i64),
    sealed: &[u8],
) -> Result<Option<Entry>> {
    let named = |error: Error| Error::new(error.kind(), format!("memory {id} does not open")).caused_by(error);
    let Some(plain) = keys.open(vault, tenant, &place(&id, "entry"), sealed).map_err(named)? else { return Ok(None) };
    match plain.split_first() {
        Some((&VERSION, json)) => {
            let entry = serde_json::from_slice(json).map_err(|error| named(Error::corrupt(error.to_string())))?;
            let recorded_at = Timestamp::from_millis(recorded_at);
            Ok(Some(Entry { id, entry, recorded_at, standing: Standing::Current, superseded_by: None }))
        }
        Some((version, _)) => Err(named(Error::new(
            ErrorKind::Newer,
            format!("its form is {version}, this L9 knows {VERSION}: upgrade it"),
        ))),
        None => Err(named(Error::corrupt("it is empty"))),
    }
}

/// Opens stored terms; `None` if whom they are about was erased, and within that `None` if they
/// are of another version.
pub(crate) fn open_terms(
    vault: &dyn Vault,
    keys: &SubjectKeys,
    tenant: &TenantId,
    id: Uuid,
    sealed: &[u8],
) -> Result<Option<Option<Terms>>> {
    let named =
        |error: Error| Error::new(error.kind(), format!("the terms of memory {id} do not open")).caused_by(error);
    let plain = keys.open(vault, tenant, &place(&id, "terms"), sealed).map_err(named)?;
    plain.map(|plain| Terms::unpack(&plain)).transpose().map_err(named)
}

/// Seals the vector of an entry, under the keys that the entry is sealed under; nothing else does.
pub(crate) fn seal_vector(
    vault: &dyn Vault,
    (keys, about): (&SubjectKeys, &[Uuid]),
    tenant: &TenantId,
    (id, space): (Uuid, &str),
    code: &Code,
) -> Result<Vec<u8>> {
    keys.seal(vault, tenant, about, &vector_place(id.as_bytes(), space).get(), &code.pack())
}

/// Opens the vector of an entry; `None` if whom it is about was erased. Nothing else does.
pub(crate) fn open_vector(
    vault: &dyn Vault,
    keys: &SubjectKeys,
    tenant: &TenantId,
    (id, space): (Uuid, &str),
    sealed: &[u8],
) -> Result<Option<Code>> {
    let named =
        |error: Error| Error::new(error.kind(), format!("the vector of memory {id} does not open")).caused_by(error);
    let plain = keys.open(vault, tenant, &vector_place(id.as_bytes(), space).get(), sealed).map_err(named)?;
    plain.map(|plain| Code::unpack(&plain)).transpose().map_err(named)
}

/// Equal entries that are kept: neither forgotten nor, unless they come from a source,
/// superseded. What a document says at a place it said before; what a person says again is
/// said anew.
#[derive(Debug, Default)]
pub struct Kept {
    /// Those of each content, oldest first.
    pub(crate) contents: HashMap<Digest, Vec<Uuid>>,
    /// The one of each key.
    pub(crate) keys: HashMap<Digest, Known>,
}

/// The entry of a key, as it is sealed.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) id: Uuid,
    /// If so, another text may have its key.
    pub(crate) superseded: bool,
    pub(crate) sealed: Vec<u8>,
}

/// Seals what people said of a quarantine or a snapshot.
pub(crate) fn seal_detail<T: Serialize>(
    vault: &dyn Vault,
    tenant: &TenantId,
    (table, id): (&'static str, Uuid),
    detail: &T,
) -> Result<Vec<u8>> {
    let mut plain = vec![VERSION];
    serde_json::to_writer(&mut plain, detail)
        .map_err(|error| Error::internal("a detail has no JSON form").caused_by(error))?;
    vault.seal(tenant, &Place { table, row: id.as_bytes(), column: "detail" }, &plain)
}

/// Opens what people said of a quarantine or a snapshot.
pub(crate) fn open_detail<T: DeserializeOwned>(
    vault: &dyn Vault,
    tenant: &TenantId,
    (table, id): (&'static str, Uuid),
    sealed: &[u8],
) -> Result<T> {
    let named = |error: Error| Error::new(error.kind(), format!("{table} {id} does not open")).caused_by(error);
    let plain = vault.open(tenant, &Place { table, row: id.as_bytes(), column: "detail" }, sealed).map_err(named)?;
    match plain.split_first() {
        Some((&VERSION, json)) => {
            serde_json::from_slice(json).map_err(|error| named(Error::corrupt(error.to_string())))
        }
        _ => Err(named(Error::new(ErrorKind::Newer, "its form is not known: upgrade it"))),
    }
}

/// The stored number of a layer.
pub(crate) fn layer_number(layer: Layer) -> i64 {
    match layer {
        Layer::ShortTerm => 1,
        // Every other layer keeps its entries until they are forgotten.
        _ => 2,
    }
}

/// The layer of a stored number.
pub(crate) fn layer(number: i64) -> Result<Layer, String> {
    match number {
        1 => Ok(Layer::ShortTerm),
        2 => Ok(Layer::LongTerm),
        other => Err(format!("{other} is not a layer")),
    }
}

fn place<'a>(id: &'a Uuid, column: &'static str) -> Place<'a> {
    Place { table: "memory", row: id.as_bytes(), column }
}
