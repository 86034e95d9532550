//! The embeddings wire of `OpenAI` and of the many servers that speak it: texts become
//! vectors. It is no effect of a run: memory asks by itself, under the settings of the
//! operator.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use l9_core::digest::sha256;
use l9_core::egress::{EgressRequest, Injection};
use l9_core::memory::{Embedder, Space};
use l9_core::model::ModelFault;
use l9_core::redact::{KnownSecrets, Redactor as _};
use l9_core::time::Clock;
use l9_core::tool::Inject;
use l9_core::{Error, ErrorKind, Result};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::egress::{Direct, Gateway, Origin, Settings as Ways, USER_AGENT};
use crate::models::refusal::{self, Provider};

/// How often one batch is asked for while failures may pass.
const ATTEMPTS: u32 = 4;
/// The wait before the second attempt unless the far side says another; it doubles.
const WAIT: Duration = Duration::from_millis(500);
/// The longest wait that is worth it here; whoever asks tries again later anyway.
const LONGEST: Duration = Duration::from_secs(30);
/// The longest wait for an answer to begin, and between two pieces of it.
const IDLE: Duration = Duration::from_secs(60);
/// The most texts of one request.
const BATCH: usize = 64;

/// Settings of the embeddings client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Everything before `/embeddings`.
    pub base_url: String,
    /// The model.
    pub model: String,
    /// How many numbers its vectors have; other answers are refused.
    pub dimensions: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            base_url: "https://api.openai.com/v1".to_owned(),
            model: "text-embedding-3-small".to_owned(),
            dimensions: 1536,
        }
    }
}

/// Asks for vectors over HTTP.
pub struct Embeddings {
    settings: Settings,
    space: Space,
    egress: Direct,
    clock: Arc<dyn Clock>,
    provider: Provider,
    injected: Vec<Injection>,
    secrets: KnownSecrets,
}

/// Why there are no vectors.
struct Failed {
    fault: ModelFault,
    /// Whether it may be the texts.
    texts: bool,
}

impl From<ModelFault> for Failed {
    fn from(fault: ModelFault) -> Self {
        Self { fault, texts: false }
    }
}

/// An answer of the wire.
#[derive(Deserialize)]
struct Answer {
    data: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    index: usize,
    embedding: Vec<f32>,
}

impl Embeddings {
    /// A client; nothing is connected to yet. A server of one's own may need no key.
    ///
    /// # Errors
    /// `Invalid` when the base URL is not an absolute address, or the model has no name.
    pub fn new(
        settings: Settings,
        key: Option<&SecretString>,
        gateway: &Gateway,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let origin = Origin::of(&settings.base_url)?;
        if settings.model.is_empty() {
            return Err(Error::invalid("the model of embeddings is empty: name the one that makes vectors"));
        }
        let injection = |key: &SecretString| Injection {
            place: Inject::Header("authorization".to_owned()),
            value: SecretString::from(format!("Bearer {}", key.expose_secret())),
            audience: origin.host().to_owned(),
        };
        let place = format!("{}\n{}", settings.base_url.trim_end_matches('/'), settings.model);
        Ok(Self {
            space: Space::new(&settings.model, settings.dimensions, &sha256(&[b"openai", place.as_bytes()])),
            injected: key.map(injection).into_iter().collect(),
            secrets: KnownSecrets::new(key),
            provider: Provider {
                key_variable: "OPENAI_API_KEY",
                has_key: key.is_some(),
                base_url: settings.base_url.clone(),
            },
            egress: Direct::new(&Ways::to([origin]), gateway, Arc::clone(&clock))?,
            clock,
            settings,
        })
    }

    fn request(&self, texts: &[&str]) -> EgressRequest {
        // An empty text is refused by many; a blank is not.
        let input: Vec<&str> = texts.iter().map(|text| if text.is_empty() { " " } else { text }).collect();
        let mut body = json!({"model": self.settings.model, "input": input, "encoding_format": "float"});
        // Only models that can be cut to a length know the field, and others refuse it.
        if self.settings.model.starts_with("text-embedding-3") {
            body["dimensions"] = json!(self.settings.dimensions);
        }
        let headers =
            [("content-type", "application/json"), ("accept", "application/json"), ("user-agent", USER_AGENT)];
        EgressRequest {
            method: "POST".to_owned(),
            url: format!("{}/embeddings", self.settings.base_url.trim_end_matches('/')),
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            secrets: self.injected.clone(),
            body: Bytes::from(body.to_string()),
            idle: IDLE,
            // A number takes some twenty characters.
            max_response_bytes: (64 << 10) + (texts.len() * self.settings.dimensions * 32) as u64,
        }
    }

    /// Asks once.
    async fn ask(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, Failed> {
        let sent = self.egress.errand(&CancellationToken::new(), self.request(texts)).await;
        let response = sent.map_err(|error| self.broken(&error))?;
        if response.status != 200 {
            let texts = matches!(response.status, 400 | 413 | 422);
            let fault = refusal::read(response, self.clock.now(), &self.provider, &self.settings.model).await;
            return Err(Failed { fault, texts });
        }
        let (mut body, mut pieces) = (Vec::new(), response.body);
        while let Some(piece) = pieces.next().await {
            body.extend_from_slice(&piece.map_err(|error| self.broken(&error))?);
        }
        let base = &self.settings.base_url;
        self.read(&body, texts.len()).map_err(|what| {
            let mend = "check the base URL, the model and its dimensions";
            ModelFault::passing("malformed", format!("{base} gave {what}: {mend}")).into()
        })
    }

    fn broken(&self, error: &Error) -> ModelFault {
        let message = format!("{} cannot be asked: {error}", self.settings.base_url);
        match error.kind() {
            ErrorKind::Invalid | ErrorKind::Denied => ModelFault::new("bad_request", message),
            _ => ModelFault::passing("unavailable", message),
        }
    }

    /// The vectors of an answer in the order of the texts, or what is wrong with it.
    fn read(&self, body: &[u8], texts: usize) -> Result<Vec<Vec<f32>>, String> {
        let answer: Answer =
            serde_json::from_slice(body).map_err(|error| format!("no answer of the embeddings wire ({error})"))?;
        let mut vectors = vec![Vec::new(); texts];
        if answer.data.len() != texts {
            return Err(format!("{} vectors for {texts} texts", answer.data.len()));
        }
        for Item { index, embedding } in answer.data {
            let wanted = self.settings.dimensions;
            if embedding.len() != wanted {
                return Err(format!("a vector of {} dimensions instead of {wanted}", embedding.len()));
            }
            match vectors.get_mut(index) {
                Some(vector) if vector.is_empty() => *vector = embedding,
                _ => return Err(format!("a vector of text {index} that was not asked for, or two of it")),
            }
        }
        Ok(vectors)
    }

    /// A fault as an error: `Invalid` only where the texts may be what is wrong.
    fn error(&self, Failed { fault, texts }: &Failed) -> Error {
        let message = self.secrets.redact(&fault.message).into_owned();
        let kind = match fault.code.as_str() {
            "bad_request" if *texts => ErrorKind::Invalid,
            "unauthenticated" | "refused" => ErrorKind::Denied,
            "rate_limited" => ErrorKind::Exhausted,
            _ => ErrorKind::Unavailable,
        };
        Error::new(kind, message)
    }
}

#[async_trait]
impl Embedder for Embeddings {
    fn space(&self) -> &Space {
        &self.space
    }

    fn batch(&self) -> usize {
        BATCH
    }

    async fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        if texts.len() > BATCH {
            let mut vectors = Vec::with_capacity(texts.len());
            for part in texts.chunks(BATCH) {
                vectors.extend(self.embed(part).await?);
            }
            return Ok(vectors);
        }
        let mut wait = WAIT;
        for attempt in 1.. {
            let failed = match self.ask(texts).await {
                Ok(vectors) => return Ok(vectors),
                Err(failed) => failed,
            };
            let asked = failed.fault.retry_after.unwrap_or(wait);
            if !failed.fault.retryable || attempt >= ATTEMPTS || asked > LONGEST {
                return Err(self.error(&failed));
            }
            self.clock.sleep(asked).await;
            wait *= 2;
        }
        Err(Error::internal("no attempt was made"))
    }
}

impl fmt::Debug for Embeddings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embeddings").field("settings", &self.settings).finish_non_exhaustive()
    }
}
