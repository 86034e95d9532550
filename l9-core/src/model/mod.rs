//! Models: what is asked of them, what they answer, and the trait behind which
//! they are. Two clients need no network: `extractive` and `scripted`.

mod client;
mod dates;
mod deltas;
mod discreet;
mod documents;
pub mod extractive;
mod message;
pub mod scripted;

pub use client::{Estimate, ModelClient, ModelClients, ModelFault, ModelName};
pub use deltas::{DeltaSink, Deltas, Words};
pub use discreet::Discreet;
pub use message::{Message, ModelRequest, ModelResponse, Passage, StopReason, ToolRequest, ToolSpec, Usage};
