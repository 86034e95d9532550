//! The Messages wire of Anthropic.

mod settings;
mod request;
mod response;
mod client;

pub use client::Client;
pub use settings::Settings;
