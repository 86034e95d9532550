//! Configuration: `config.yaml` < `.env` < environment < flags, each value with its source.

mod absent;
mod agents;
mod database;
mod environment;
mod file;
mod known;
mod loader;
mod mcp;
mod memory;
mod problem;
mod reading;
mod running;
mod sections;
mod serving;
mod settings;
mod source;

pub(crate) use agents::load_agents;
pub(crate) use database::Database;
pub(crate) use loader::{Loaded, Loader};
pub(crate) use problem::{Problem, Problems, closest};
pub(crate) use sections::{Config, LogFormat};
pub(crate) use serving::refuse_serving;
pub(crate) use source::Source;
