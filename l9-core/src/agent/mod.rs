//! Agents: profiles, the decider that advances a run of one, and citations.

mod citations;
mod decider;
mod profile;
mod profiles;

pub use citations::cite;
pub use decider::{AgentDecider, ToolDecider};
pub use profile::{AgentProfile, Limits, MemoryUse};
pub use profiles::Profiles;
