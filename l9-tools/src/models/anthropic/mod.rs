//! The Messages wire of Anthropic.

mod client;
mod request;
mod response;
mod settings;

pub use client::Client;
pub use settings::Settings;
