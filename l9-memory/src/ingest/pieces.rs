//! One file, cut into the entries it becomes.
//!
//! One piece of a file stands for the whole of it: it is written last, and its metadata has
//! the file's hash and the number of its pieces. While it is there with all the others, the
//! file is kept as it is and need not be cut again.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use l9_core::Result;
use l9_core::digest::sha256;
use l9_core::id::AgentId;
use l9_core::label::Label;
use l9_core::memory::NewEntry;
use serde::{Deserialize, Serialize};

use super::differ::Identity;
use super::extract::Part;
use super::files::Format;
use super::{lines, slices};

/// The metadata of the piece that stands for its file.
const MARK: &str = "ingested";

/// What the piece that stands for its file says of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// The hash of the file's bytes.
    pub(super) sha256: String,
    /// How many pieces it has.
    pub(super) pieces: u64,
    /// The beginning of the hash of where the file really stands.
    pub(super) place: String,
    /// The agents that lines of the file name themselves.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) agents: BTreeSet<AgentId>,
}

impl Mark {
    /// What an entry says of its file, if it stands for it.
    pub(super) fn of(entry: &NewEntry) -> Option<Self> {
        let mark = Self::deserialize(entry.metadata.get(MARK)?).ok()?;
        (entry.key == Some(mark.key(entry.source.as_deref()?))).then_some(mark)
    }

    /// Another for each state of a file, so that a new one is kept beside that of the state before.
    fn key(&self, source: &str) -> String {
        format!("{source}#{}", &self.sha256[..self.sha256.len().min(16)])
    }

    /// What stands for a place.
    pub(super) fn place(real: &Path) -> String {
        sha256(&[real.as_os_str().as_encoded_bytes()]).to_string()[..16].to_owned()
    }
}

/// Whose pieces they are, and where they come from.
#[derive(Debug, Clone)]
pub(super) struct Whose {
    pub(super) path: PathBuf,
    pub(super) real: PathBuf,
    pub(super) sha256: String,
    pub(super) agent: Option<AgentId>,
    pub(super) label: Label,
}

/// A file, cut.
#[derive(Debug)]
pub(super) struct Pieces {
    pub(super) path: PathBuf,
    pub(super) source: String,
    pub(super) sha256: String,
    /// Each once; the one that stands for the file comes last.
    pub(super) entries: Vec<NewEntry>,
    /// The agents that lines of it name themselves.
    pub(super) agents: BTreeSet<AgentId>,
    /// Whether some have keys of their own, which other sources may have taken.
    pub(super) keyed: bool,
}

/// Cuts a text.
pub(super) fn of_text(whose: Whose, text: &str, format: Format) -> Result<Pieces> {
    let entries = match format {
        Format::JsonLines => lines::read(&whose.path, text)?,
        _ => cut(text, format, |slice, _| format!("lines {}-{}", slice.lines.0, slice.lines.1)),
    };
    Ok(gather(whose, entries))
}

/// Cuts what was read of a document.
pub(super) fn of_parts(whose: Whose, parts: &[Part]) -> Pieces {
    let mut entries = Vec::new();
    for part in parts {
        entries.extend(match part.page {
            None => cut(&part.text, Format::Markdown, |slice, _| {
                format!("lines {}-{} of its text", slice.lines.0, slice.lines.1)
            }),
            Some(page) => cut(&part.text, Format::Text, |_, at| match at {
                0 => format!("page {page}"),
                at => format!("page {page}, part {}", at + 1),
            }),
        });
    }
    gather(whose, entries)
}

fn cut(text: &str, format: Format, position: impl Fn(&slices::Slice, usize) -> String) -> Vec<NewEntry> {
    let entry = |(at, slice): (usize, slices::Slice)| {
        let position = position(&slice, at);
        let mut entry =
            NewEntry { text: text[slice.bytes].to_owned(), position: Some(position), ..NewEntry::default() };
        if !slice.headings.is_empty() {
            entry.metadata.insert("heading".into(), slice.headings.join(" > ").into());
        }
        entry
    };
    slices::cut(text, format).into_iter().enumerate().map(entry).collect()
}

fn gather(whose: Whose, entries: Vec<NewEntry>) -> Pieces {
    let Whose { path, real, sha256, agent, label } = whose;
    let source = path.to_string_lossy().into_owned();
    let keyed = entries.iter().any(|entry| entry.key.is_some());
    let agents: BTreeSet<AgentId> = entries.iter().filter_map(|entry| entry.agent.clone()).collect();
    let standing = entries
        .iter()
        .position(|entry| entry.key.is_none() && entry.agent.is_none() && !entry.metadata.contains_key(MARK));
    let mut seen = HashSet::new();
    let mut pieces = Pieces { path, source, sha256, entries: Vec::new(), agents, keyed };
    let mut last = None;
    for (at, mut entry) in entries.into_iter().enumerate() {
        entry.source = Some(pieces.source.clone());
        entry.agent = entry.agent.take().or_else(|| agent.clone());
        entry.label.join(&label);
        if standing == Some(at) {
            last = Some(entry);
        } else if entry.key.is_some() || seen.insert(Identity::of(&entry)) {
            pieces.entries.push(entry);
        }
    }
    if let Some(mut entry) = last {
        let mark = Mark {
            sha256: pieces.sha256.clone(),
            pieces: pieces.entries.len() as u64 + 1,
            place: Mark::place(&real),
            agents: pieces.agents.clone(),
        };
        entry.key = Some(mark.key(&pieces.source));
        entry.metadata.extend(serde_json::to_value(&mark).map(|mark| (MARK.to_owned(), mark)));
        pieces.entries.push(entry);
    }
    pieces
}
