//! What every memory backend agrees on before it stores anything: the bounds of an
//! entry, what makes two entries the same, and the ids of new ones.

use l9_core::digest::{Digest, sha256};
use l9_core::entropy::Entropy;
use l9_core::id::{TenantId, uuid_v7};
use l9_core::memory::{NewEntry, Query};
use l9_core::time::Timestamp;
use l9_core::{Error, Result};
use uuid::Uuid;

/// The longest text of an entry, in bytes.
pub(crate) const MAX_TEXT: usize = 1 << 20;
/// The longest key, session, source, position or subject, in bytes.
const MAX_FIELD: usize = 4096;
/// The largest metadata, in bytes of JSON.
const MAX_METADATA: usize = 1 << 18;
/// The longest query, in bytes.
const MAX_QUERY: usize = 10_000;

/// Checks every entry of a call before any is stored.
pub(crate) fn check(entries: &[NewEntry]) -> Result<()> {
    entries.iter().enumerate().try_for_each(|(at, entry)| {
        check_one(entry).map_err(|fault| Error::invalid(format!("entry {at} of {}: {fault}", entries.len())))
    })
}

fn check_one(entry: &NewEntry) -> Result<(), String> {
    if entry.text.is_empty() {
        return Err("its text is empty: give 1 byte to 1 MiB".into());
    }
    if entry.text.len() > MAX_TEXT {
        return Err(format!("its text has {} bytes, the limit is {MAX_TEXT}: split it", entry.text.len()));
    }
    for (name, value) in [
        ("key", &entry.key),
        ("session", &entry.session),
        ("source", &entry.source),
        ("position", &entry.position),
        ("subject", &entry.subject),
    ] {
        if let Some(value) = value.as_ref().filter(|value| value.len() > MAX_FIELD) {
            return Err(format!("its {name} has {} bytes, the limit is {MAX_FIELD}", value.len()));
        }
    }
    let metadata = serde_json::to_string(&entry.metadata).map_err(|error| error.to_string())?.len();
    if metadata > MAX_METADATA {
        return Err(format!("its metadata has {metadata} bytes of JSON, the limit is {MAX_METADATA}"));
    }
    Ok(())
}

/// Checks a query.
pub(crate) fn check_query(query: &Query) -> Result<()> {
    if query.text.len() > MAX_QUERY {
        return Err(Error::invalid(format!(
            "the query has {} bytes, the limit is {MAX_QUERY}: ask for its main words",
            query.text.len()
        )));
    }
    Ok(())
}

/// Equal for entries of one tenant that have the same text at the same place: agent,
/// session, source and position.
pub(crate) fn content(entry: &NewEntry) -> Digest {
    let agent = entry.agent.as_ref().map(|agent| agent.as_str());
    let mut hashed = Vec::with_capacity(entry.text.len() + 128);
    for field in
        [agent, entry.session.as_deref(), entry.source.as_deref(), entry.position.as_deref(), Some(&entry.text)]
    {
        push(&mut hashed, field);
    }
    sha256(&[b"l9.memory.content.1\0", &hashed])
}

/// What a caller's key is unique within: the agent. `None` without a key.
pub(crate) fn key(entry: &NewEntry) -> Option<Vec<u8>> {
    let key = entry.key.as_deref()?;
    let mut out = Vec::with_capacity(key.len() + 80);
    push(&mut out, entry.agent.as_ref().map(|agent| agent.as_str()));
    push(&mut out, Some(key));
    Some(out)
}

/// The id of a new entry. Its label is the content and the key, so that a seeded
/// entropy gives the same id for the same entry in any database.
pub(crate) fn id(tenant: &TenantId, entry: &NewEntry, content: &Digest, now: Timestamp, entropy: &dyn Entropy) -> Uuid {
    let key = key(entry).map(hex::encode).unwrap_or_default();
    uuid_v7(now, entropy, &format!("memory/{tenant}/{content}/{key}"))
}

/// The refusal of a key that is taken.
pub(crate) fn key_conflict(at: usize, entry: &NewEntry) -> Error {
    Error::new(
        l9_core::ErrorKind::Conflict,
        format!(
            "entry {at}: key {:?} is kept already with another text: forget that entry first, or use another key",
            entry.key.as_deref().unwrap_or_default()
        ),
    )
}

fn push(out: &mut Vec<u8>, field: Option<&str>) {
    match field {
        None => out.push(0),
        Some(text) => {
            out.push(1);
            out.extend_from_slice(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
            out.extend_from_slice(text.as_bytes());
        }
    }
}
