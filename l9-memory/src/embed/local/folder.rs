//! A model's folder, read and checked, and the embedder of it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use l9_core::digest::sha256;
use l9_core::memory::{Embedder, Space};
use l9_core::{Error, Result};
use serde::Deserialize;
use serde_json::Value;

use super::bert::{Bert, Config, Pooling};
use super::weights::Weights;
use super::wordpiece::WordPiece;

/// How many tokens go through the layers at once: what they take in memory grows with it.
const TOKENS: usize = 2048;
/// The version of the arithmetic and of the rules for tokens.
const RULES: &[u8] = b"l9 bert 1";

/// An embedder of a model in a folder.
pub struct Local {
    space: Space,
    model: Arc<Model>,
}

struct Model {
    bert: Bert,
    words: WordPiece,
    pooling: Pooling,
    most: usize,
}

#[derive(Deserialize)]
struct Lengths {
    max_seq_length: Option<usize>,
}

impl Local {
    /// Reads a folder as sentence-transformers publishes it. It takes a second, and room for all
    /// the weights.
    ///
    /// # Errors
    /// `NotFound` without one of the files, `Invalid` for a model that is not of the BERT
    /// family, or files that do not fit each other.
    pub fn open(folder: &Path) -> Result<Self> {
        let (config, tokenizer, weights) =
            (needed(folder, "config.json")?, needed(folder, "tokenizer.json")?, needed(folder, "model.safetensors")?);
        let pooling_file = optional(folder, "1_Pooling/config.json")?;
        let lengths_file = optional(folder, "sentence_bert_config.json")?;
        let model = || {
            let config: Config = serde_json::from_slice(&config).map_err(|error| format!("config.json: {error}"))?;
            let (width, positions) = (config.hidden_size, config.max_position_embeddings);
            let words = WordPiece::read(&tokenizer).map_err(|why| format!("tokenizer.json: {why}"))?;
            let bert = Weights::read(&weights)
                .and_then(|weights| Bert::new(config, &weights))
                .map_err(|why| format!("model.safetensors: {why}"))?;
            if words.greatest() as usize >= bert.vocabulary() {
                return Err(format!("tokenizer.json has tokens beyond the {} of the model", bert.vocabulary()));
            }
            let pooling = pooling_file.as_deref().map_or(Ok(Pooling::Mean), pooling)?;
            let lengths = lengths_file.as_deref().and_then(|bytes| serde_json::from_slice::<Lengths>(bytes).ok());
            let most = lengths.and_then(|lengths| lengths.max_seq_length).unwrap_or(positions).clamp(3, positions);
            Ok((width, Model { bert, words, pooling, most }))
        };
        let (width, model) = model().map_err(|why: String| {
            let shown = folder.display();
            Error::invalid(format!("the model in {shown} cannot be used: {why}"))
        })?;
        let rules = format!("{:?} {}", model.pooling, model.most);
        let fingerprint = sha256(&[RULES, rules.as_bytes(), &config, &tokenizer, &weights]);
        let name = folder.file_name().map_or_else(|| "local".into(), |name| name.to_string_lossy());
        Ok(Self { space: Space::new(&name, width, &fingerprint), model: Arc::new(model) })
    }
}

fn needed(folder: &Path, name: &str) -> Result<Vec<u8>> {
    optional(folder, name)?.ok_or_else(|| {
        let shown = folder.display();
        Error::not_found(format!(
            "there is no {name} in {shown}: name a folder of a sentence-transformers model with its model.safetensors"
        ))
    })
}

fn optional(folder: &Path, name: &str) -> Result<Option<Vec<u8>>> {
    let path = folder.join(name);
    match std::fs::read(&path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::invalid(format!("{} cannot be read: {error}", path.display()))),
    }
}

fn pooling(bytes: &[u8]) -> std::result::Result<Pooling, String> {
    let rules: Value = serde_json::from_slice(bytes).map_err(|error| format!("1_Pooling/config.json: {error}"))?;
    let on = |name: &str| rules.get(name).and_then(Value::as_bool).unwrap_or(false);
    let others = ["pooling_mode_max_tokens", "pooling_mode_mean_sqrt_len_tokens"].into_iter().any(on);
    match (on("pooling_mode_mean_tokens"), on("pooling_mode_cls_token"), others) {
        (true, false, false) => Ok(Pooling::Mean),
        (false, true, false) => Ok(Pooling::First),
        _ => Err("1_Pooling/config.json asks for another pooling than mean or cls".into()),
    }
}

impl Model {
    fn embed(&self, texts: &[String]) -> Vec<Vec<f32>> {
        let tokens: Vec<Vec<u32>> = texts.iter().map(|text| self.words.tokens(text, self.most)).collect();
        let mut vectors = Vec::with_capacity(texts.len());
        let mut rest = &tokens[..];
        while !rest.is_empty() {
            let mut total = 0;
            let fits = rest.iter().take_while(|tokens| {
                total += tokens.len();
                total <= TOKENS
            });
            let (part, after) = rest.split_at(fits.count().max(1));
            vectors.extend(self.bert.embed(part, self.pooling));
            rest = after;
        }
        vectors
    }
}

#[async_trait]
impl Embedder for Local {
    fn space(&self) -> &Space {
        &self.space
    }

    fn batch(&self) -> usize {
        32
    }

    async fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        let model = Arc::clone(&self.model);
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        tokio::task::spawn_blocking(move || model.embed(&texts))
            .await
            .map_err(|error| Error::internal("the model broke off").caused_by(error))
    }
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local").field("space", &self.space.name()).finish_non_exhaustive()
    }
}
