//! Clients of model providers, one folder per wire.
//!
//! A client translates a conversation to its provider's wire and back. It must not run
//! tools, keep conversations, ask twice, or open connections: bytes leave through the egress
//! it was given, under the permit of the one call.

pub mod anthropic;
pub mod openai;

mod answer;
mod exchange;
mod limits;
mod names;
mod price;
mod refusal;
pub(crate) mod retry;
mod sse;

pub use limits::Limits;
pub use price::{Price, Prices};
