//! The chat completions wire of `OpenAI` and of the many servers that speak it.

mod settings;
mod request;
mod response;
mod client;

pub use client::Client;
pub use settings::Settings;
