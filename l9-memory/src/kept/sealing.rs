//! Memories as they are stored: what of them is sealed and what is a token.
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
use uuid::Uuid;

use crate::entry;
use crate::retrieval::Terms;

/// The form of a sealed entry: this byte, then JSON.
const VERSION: u8 = 1;

/// A new entry, ready to be inserted.
pub(crate) struct Prepared {
    pub(crate) id: Uuid,
    pub(crate) layer: i64,
    pub(crate) at: i64,
    pub(crate) recorded_at: i64,
    pub(crate) agent: Option<Digest>,
    pub(crate) session: Option<Digest>,
    pub(crate) source: Option<Digest>,
    pub(crate) key: Option<Digest>,
    pub(crate) content: Digest,
    pub(crate) terms: Vec<u8>,
    pub(crate) sealed: Vec<u8>,
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

/// Seals an entry and its terms.
pub(crate) fn prepare(
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
        terms: vault.seal(tenant, &place(&id, "terms"), &Terms::of(&new).pack())?,
        sealed: vault.seal(tenant, &place(&id, "entry"), &plain)?,
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

/// Opens a stored entry.
pub(crate) fn open(vault: &dyn Vault, tenant: &TenantId, id: Uuid, recorded_at: i64, sealed: &[u8]) -> Result<Entry> {
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
pub(crate) fn open_terms(vault: &dyn Vault, tenant: &TenantId, id: Uuid, sealed: &[u8]) -> Result<Option<Terms>> {
    let named =
        |error: Error| Error::new(error.kind(), format!("the terms of memory {id} do not open")).caused_by(error);
    let plain = vault.open(tenant, &place(&id, "terms"), sealed).map_err(named)?;
    Terms::unpack(&plain).map_err(named)
}

/// Equal entries that are kept.
#[derive(Debug, Default)]
pub struct Kept {
    /// The oldest of each content.
    pub(crate) contents: HashMap<Digest, Uuid>,
    /// The one of each key, as it is sealed.
    pub(crate) keys: HashMap<Digest, (Uuid, Vec<u8>)>,
}

fn layer_number(layer: Layer) -> i64 {
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
