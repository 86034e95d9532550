//! What every memory backend agrees on before it stores anything: the bounds of an
//! entry, what makes two entries the same, and the ids of new ones.

use l9_core::digest::{Digest, sha256};
use l9_core::entropy::Entropy;
use l9_core::id::{TenantId, uuid_v7};
use l9_core::memory::{Layer, NewEntry, NewQuarantine, Query, Suspect};
use l9_core::time::Timestamp;
use l9_core::{Error, ErrorKind, Result};
use uuid::Uuid;

/// The longest text of an entry, in bytes.
pub(crate) const MAX_TEXT: usize = 1 << 20;
/// The longest key, session, source, position or subject, in bytes.
const MAX_FIELD: usize = 4096;
/// The longest name in a relation, in bytes.
const MAX_NAME: usize = 512;
/// The largest metadata, in bytes of JSON.
const MAX_METADATA: usize = 1 << 18;
/// The longest query, in bytes.
const MAX_QUERY: usize = 10_000;
/// The most entries that one derives from.
const MAX_ORIGINS: usize = 256;
/// The longest name of a snapshot, reason, or name of a person, in bytes.
const MAX_WORDS: usize = 1024;

/// The name in metadata under which it is kept what was written another way before it was
/// stored; nobody else may use it.
pub(crate) const SAID: &str = "l9.said";

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
    if let (Some(from), Some(to)) = (entry.valid_from, entry.valid_to)
        && to <= from
    {
        return Err(format!("it is valid from {from} to {to}: valid_to must be later"));
    }
    for (part, name) in entry
        .relation
        .iter()
        .flat_map(|stated| [("subject", &stated.subject), ("predicate", &stated.predicate), ("object", &stated.object)])
    {
        if name.trim().is_empty() || name.len() > MAX_NAME {
            return Err(format!(
                "its relation's {part} has {} bytes: give 1 to {MAX_NAME} that are not all spaces",
                name.len()
            ));
        }
    }
    if entry.derived_from.len() > MAX_ORIGINS {
        return Err(format!("its derived_from has {} ids, the limit is {MAX_ORIGINS}", entry.derived_from.len()));
    }
    let own = entry.metadata.get(SAID).map_or(0, |said| said.to_string().len() + SAID.len());
    let metadata = serde_json::to_string(&entry.metadata).map_err(|error| error.to_string())?.len();
    let metadata = metadata.saturating_sub(own);
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

/// Checks how far a look at the graph goes.
pub(crate) fn check_hops(hops: u8, most: u8) -> Result<()> {
    if !(1..=most).contains(&hops) {
        return Err(Error::invalid(format!("hops is {hops}: use 1 to {most}")));
    }
    Ok(())
}

/// What supersedes another entry, with what it has from it and does not name itself. That one
/// entry is another agent's or nobody's would show it to others; that it has no subject would
/// keep it when the subject is erased.
pub(crate) fn superseding(old: &NewEntry, mut new: NewEntry, now: Timestamp) -> NewEntry {
    new.agent = new.agent.or_else(|| old.agent.clone());
    new.subject = new.subject.or_else(|| old.subject.clone());
    new.label.subjects.extend(&old.label.subjects);
    // The key of a piece of a document stays with the piece.
    let key = old.key.as_ref().filter(|_| old.source.is_none() && old.agent == new.agent);
    new.key = new.key.or_else(|| key.cloned());
    let at = *new.at.get_or_insert(now);
    new.valid_from.get_or_insert(at);
    new
}

/// The keyed name of a data subject.
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "redis"))]
pub(crate) fn subject(vault: &dyn l9_core::vault::Vault, tenant: &TenantId, name: &str) -> Digest {
    vault.token(tenant, "memory.subject", name.as_bytes())
}

/// Has the label of each name whom it is about, by the keyed name of its subject.
pub(crate) fn about(entries: &mut [NewEntry], keyed: impl Fn(&str) -> Digest) {
    for entry in entries {
        if let Some(subject) = &entry.subject {
            entry.label.subjects.insert(keyed(subject));
        }
    }
}

/// Checks that no entry is about too many data subjects, those of what it derives from included.
pub(crate) fn check_subjects(entry: &NewEntry) -> Result<()> {
    let named = |error: Error| Error::invalid(format!("an entry cannot be kept: {}", error.message()));
    entry.label.check_subjects().map_err(named)
}

/// The sources of its label, but for its own.
pub(crate) fn label_sources(entry: &NewEntry) -> impl Iterator<Item = &str> {
    let own = entry.source.as_deref();
    entry.label.untrusted.iter().map(String::as_str).filter(move |source| Some(*source) != own)
}

/// The refusal of an entry that derives from one that is not there.
pub(crate) fn unknown_origin(origin: Uuid) -> Error {
    Error::invalid(format!("there is no memory {origin} to derive from: name entries that are kept"))
}

/// The refusal of a change to an entry that is not there.
pub(crate) fn unknown(id: Uuid) -> Error {
    Error::not_found(format!("there is no memory {id}"))
}

/// The refusal to supersede what is not current.
pub(crate) fn not_current(old: Uuid, superseded_by: Option<Uuid>) -> Error {
    let message = match superseded_by {
        Some(by) => format!("memory {old} is superseded by {by} already: supersede that one"),
        None => format!("memory {old} is in quarantine: release it first"),
    };
    Error::new(ErrorKind::Conflict, message)
}

/// The refusal to supersede by an entry that is kept already and hidden: none would be current.
pub(crate) fn hidden_equal(old: Uuid, equal: Uuid) -> Error {
    Error::new(
        ErrorKind::Conflict,
        format!(
            "what would supersede memory {old} is kept already as {equal}, which is superseded or in quarantine: \
             reinstate or release that one"
        ),
    )
}

/// The refusal to reinstate what nothing superseded.
pub(crate) fn not_superseded(old: Uuid) -> Error {
    Error::new(ErrorKind::Conflict, format!("memory {old} is not superseded: it is current, or in quarantine"))
}

/// The refusal to reinstate an entry whose key another has.
pub(crate) fn key_taken(old: Uuid, holder: Uuid) -> Error {
    Error::new(
        ErrorKind::Conflict,
        format!("the key of memory {old} is that of memory {holder} now: forget that first"),
    )
}

/// Checks a text that people give: a name or a reason.
pub(crate) fn check_words(what: &str, words: &str) -> Result<()> {
    if words.trim().is_empty() {
        return Err(Error::invalid(format!("the {what} is empty: give one")));
    }
    if words.len() > MAX_WORDS {
        return Err(Error::invalid(format!("the {what} has {} bytes, the limit is {MAX_WORDS}", words.len())));
    }
    Ok(())
}

/// Checks a quarantine before anything is looked up.
pub(crate) fn check_quarantine(new: &NewQuarantine) -> Result<()> {
    check_words("reason", &new.reason)?;
    match &new.suspect {
        Suspect::Source(source) if source.is_empty() => {
            Err(Error::invalid("the source is empty: name a file or address"))
        }
        _ => Ok(()),
    }
}

/// The refusal of a quarantine that is not there.
pub(crate) fn unknown_quarantine(id: Uuid) -> Error {
    Error::not_found(format!("there is no quarantine {id}"))
}

/// The refusal to release a quarantine again.
pub(crate) fn released_already(id: Uuid, at: Timestamp) -> Error {
    Error::new(ErrorKind::Conflict, format!("quarantine {id} was released at {at}"))
}

/// The refusal of a snapshot that is not there.
pub(crate) fn unknown_snapshot(id: Uuid) -> Error {
    Error::not_found(format!("there is no snapshot {id}: it is kept for a time only"))
}

/// What the state before going back to a snapshot is called.
pub(crate) fn before(name: &str) -> String {
    let name = &name[..name.floor_char_boundary(MAX_WORDS / 2)];
    format!("before the restore of {name}")
}

/// The id of a new quarantine or snapshot.
pub(crate) fn curation_id(tenant: &TenantId, what: &str, now: Timestamp, entropy: &dyn Entropy) -> Uuid {
    uuid_v7(now, entropy, &format!("memory/{tenant}/{what}"))
}

/// Equal for entries of one tenant that have the same text at the same place: agent,
/// session, source and position, in the same layer, state the same of the same span of time, and are
/// about the same data subjects: one entry for two of them would go with the one and stay with the
/// other. Its label must name them.
pub(crate) fn content(entry: &NewEntry) -> Digest {
    let agent = entry.agent.as_ref().map(|agent| agent.as_str());
    let mut hashed = Vec::with_capacity(entry.text.len() + 128);
    for field in
        [agent, entry.session.as_deref(), entry.source.as_deref(), entry.position.as_deref(), Some(&entry.text)]
    {
        push(&mut hashed, field);
    }
    for part in entry.relation.iter().flat_map(|stated| [&stated.subject, &stated.predicate, &stated.object]) {
        push(&mut hashed, Some(part));
    }
    for subject in &entry.label.subjects {
        hashed.push(2);
        hashed.extend_from_slice(subject.as_bytes());
    }
    if entry.layer == Layer::ShortTerm {
        hashed.push(3);
    }
    if let Some((from, to)) = span(entry) {
        for time in [from.unwrap_or(Timestamp::EPOCH), to] {
            hashed.extend_from_slice(&time.as_millis().to_be_bytes());
        }
    }
    sha256(&[b"l9.memory.content.1\0", &hashed])
}

/// The span of time that an entry holds for, if that ends. Since when it holds that does not is known
/// of one that supersedes another, and makes it no other; relations have spans of their own.
fn span(entry: &NewEntry) -> Option<(Option<Timestamp>, Timestamp)> {
    entry.valid_to.filter(|_| entry.relation.is_none()).map(|to| (entry.valid_from, to))
}

/// Whether an entry of a key is what another one of that key would be.
pub(crate) fn says(kept: &NewEntry, new: &NewEntry) -> bool {
    let part = |entry: &NewEntry| (entry.layer, span(entry));
    kept.text == new.text
        && kept.label.subjects == new.label.subjects
        && kept.session == new.session
        && part(kept) == part(new)
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
/// entropy gives the same id for the same entry in any database; `attempt` tells those apart
/// that are kept beside an equal one, such as a superseded one that is said again.
pub(crate) fn id(
    tenant: &TenantId,
    entry: &NewEntry,
    content: &Digest,
    now: Timestamp,
    attempt: u32,
    entropy: &dyn Entropy,
) -> Uuid {
    let key = key(entry).map(hex::encode).unwrap_or_default();
    let again = if attempt == 0 { String::new() } else { format!("/{attempt}") };
    uuid_v7(now, entropy, &format!("memory/{tenant}/{content}/{key}{again}"))
}

/// The refusal of a key that is taken.
pub(crate) fn key_conflict(at: usize, entry: &NewEntry) -> Error {
    Error::new(
        ErrorKind::Conflict,
        format!(
            "entry {at}: key {:?} is kept already with another text, session, layer or time, or about others: forget \
             that entry first, or use another key",
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
