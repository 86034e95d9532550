//! The chat completions wire of `OpenAI` and of the many servers that speak it.

mod client;
mod embeddings;
mod request;
mod response;
mod settings;

pub use client::Client;
pub use embeddings::{Embeddings, Settings as EmbeddingsSettings};
pub use settings::Settings;
