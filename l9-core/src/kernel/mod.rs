//! The kernel: accepts runs of agents, tools and plans, advances them, and lets others follow;
//! and what is done with runs that were: replay, fork, diff, expiry, erasure; the dead letters; and the emergency stop.

mod advance;
mod approvals;
mod archive;
mod commands;
mod dead;
mod diff;
mod ending;
mod engine;
mod erasure;
mod expiry;
mod forecast;
mod fork;
mod handle;
mod plans;
mod replay;
mod stop;
mod what_if;

pub use advance::{Advance, Advanced, MENDABLE};
pub use approvals::OpenQuestion;
pub use archive::Archive;
pub use dead::Dead;
pub(crate) use dead::place as dead_place;
pub use diff::{Diff, Difference};
pub use engine::{Components, Engine, Settings, StartOptions, Started};
pub use erasure::Mentions;
pub use expiry::Expired;
pub use forecast::{Expected, Forecast, Foreseen, Level, Remark};
pub use fork::Changes;
pub use handle::{Ended, Kernel, RunHandle};
pub use replay::{Divergence, Replayed};
pub use stop::Stopped;
pub use what_if::{Changed, WhatIf};
