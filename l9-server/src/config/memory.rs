//! The sections about what is remembered: memory, and what becomes of personal data.

use std::path::PathBuf;

use l9::memory::{Layer, Quota};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How memories are kept.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Memory {
    /// How long a short-term memory is kept, in milliseconds.
    pub(crate) short_term_ttl_ms: u64,
    /// Whether entries whose words look like orders to a model get the untrusted label
    /// `injection-scan`.
    pub(crate) injection_scan: bool,
    /// How much memory a tenant and an agent may have; no bound where none is set.
    pub(crate) quota: Quota,
    /// Whether memories are found by their meaning at all: `false` is as no embedder.
    pub(crate) semantic: bool,
    /// What finds memories by their meaning, beside their words.
    pub(crate) embedder: Embedder,
    /// The folder of the local model.
    pub(crate) model_dir: Option<PathBuf>,
    /// The address of the server that makes vectors; that of `models.openai` if absent.
    pub(crate) embedding_base_url: Option<String>,
    /// The model of that server.
    pub(crate) embedding_model: String,
    /// How many numbers its vectors have.
    pub(crate) embedding_dimensions: usize,
    /// How long a search waits for the vector of its query, in milliseconds.
    pub(crate) embedding_query_ms: u64,
    /// What takes relations from the texts of entries, for the graph.
    pub(crate) relations: Relations,
    /// The agent that does, if an agent does.
    pub(crate) relations_agent: Option<String>,
    /// The layers whose vectors lie open in the database and are searched there, by pgvector.
    pub(crate) unsealed_layers: Vec<Layer>,
}

impl Default for Memory {
    fn default() -> Self {
        let l9::embedding::Settings { model, dimensions, query_timeout_ms, .. } = l9::embedding::Settings::default();
        Self {
            short_term_ttl_ms: 86_400_000,
            injection_scan: true,
            quota: Quota::default(),
            semantic: true,
            embedder: Embedder::None,
            model_dir: None,
            embedding_base_url: None,
            embedding_model: model,
            embedding_dimensions: dimensions,
            embedding_query_ms: query_timeout_ms,
            relations: Relations::None,
            relations_agent: None,
            unsealed_layers: Vec::new(),
        }
    }
}

/// What becomes of personal data.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Privacy {
    /// In what memory keeps and what models beyond this process are asked; logs never have any.
    pub(crate) pii: Pii,
}

/// What stands where personal data stood.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Pii {
    /// The data.
    #[default]
    Off,
    /// A keyed token for it.
    Tokens,
}

impl<'de> Deserialize<'de> for Pii {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            // What YAML takes the word off for.
            Value::Bool(false) => Ok(Self::Off),
            Value::String(word) if word == "off" => Ok(Self::Off),
            Value::String(word) if word == "tokens" => Ok(Self::Tokens),
            other => Err(serde::de::Error::custom(format!("{other} is neither off nor tokens"))),
        }
    }
}

/// What finds memories by their meaning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Embedder {
    /// Nothing: their words alone.
    #[default]
    None,
    /// Words and parts of words as vectors, without a model.
    Hashing,
    /// The model in `model_dir`.
    Local,
    /// A server that speaks `OpenAI`'s embeddings wire.
    Openai,
}

/// What takes relations from the texts of entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Relations {
    /// Nothing.
    #[default]
    None,
    /// Rules for English sentences.
    Rules,
    /// The agent in `relations_agent`.
    Agent,
}
