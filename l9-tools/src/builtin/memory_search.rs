//! `memory/search`: what the tenant's memory holds on a question, with where it stands.

use std::sync::Arc;

use l9_core::memory::{Entry, Hit, MemoryStore, Query, Scope};
use l9_core::tool::{EffectClass, Limits};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::native::{self, NativeTool};

/// Bytes of text in one answer; a passage that does not fit is cut, later ones left out.
const TEXT_BYTES: usize = 512 << 10;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Search {
    /// What to look for, in words.
    #[schemars(length(min = 1, max = 2000))]
    query: String,
    /// The most passages to return.
    #[serde(default = "eight")]
    #[schemars(range(min = 1, max = 50))]
    k: u32,
}

fn eight() -> u32 {
    8
}

#[derive(Debug, Serialize, JsonSchema)]
struct Found {
    /// Best first.
    passages: Vec<Passage>,
}

/// A passage as it was kept, word for word.
#[derive(Debug, Serialize, JsonSchema)]
struct Passage {
    /// The file or address it came from, or `memory:` and its key.
    source: String,
    /// Where within the source, such as `lines 3-9`; empty if unknown.
    position: String,
    /// Its words.
    text: String,
    /// How well it matches; comparable within this answer only.
    score: f64,
}

/// The `memory/search` tool over a store, scoped to the tenant of the calling run. Every
/// passage carries the label of its entry.
pub fn memory_search(store: Arc<dyn MemoryStore>) -> NativeTool {
    native::tool(
        "memory/search",
        "1.0.0",
        "Searches what was remembered or ingested and returns the best passages word for word, each with its source. \
         Use it before answering from documents or past conversations; quote the passages and name their sources.",
    )
    .title("Search memory")
    .effect(EffectClass::Read)
    .limits(Limits { output_bytes: 4 << 20, wall_ms: 10_000, ..Limits::default() })
    .handler(move |context: native::Context, search: Search| {
        let store = Arc::clone(&store);
        async move {
            // The permit names no agent, so the scope is the tenant's.
            let scope = Scope::tenant(context.tenant().clone());
            let hits = store.search(&scope, &Query::new(search.query, search.k as usize)).await?;
            for (at, hit) in hits.iter().enumerate() {
                context.label_output(format!("/passages/{at}"), hit.entry.entry.label.clone());
            }
            Ok(Found { passages: passages(hits) })
        }
    })
}

fn passages(hits: Vec<Hit>) -> Vec<Passage> {
    let mut left = TEXT_BYTES;
    hits.into_iter()
        .map_while(|hit| {
            let text = fit(&hit.entry.entry.text, left);
            left -= text.len();
            (!text.is_empty()).then(|| Passage {
                source: source_of(&hit.entry),
                position: hit.entry.entry.position.clone().unwrap_or_default(),
                text: text.to_owned(),
                score: hit.score,
            })
        })
        .collect()
}

/// Sourced entries show no id: ids of entries that were ingested twice differ, and a
/// seeded run must not.
fn source_of(entry: &Entry) -> String {
    match (&entry.entry.source, &entry.entry.key) {
        (Some(source), _) => source.clone(),
        (None, Some(key)) => format!("memory:{key}"),
        (None, None) => format!("memory:{}", entry.id),
    }
}

/// The longest beginning of at most so many bytes.
fn fit(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}
