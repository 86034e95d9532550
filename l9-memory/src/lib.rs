//! What L9 keeps: backends of runs and memories, finding what was kept, taking in
//! files, and the vault that seals it all.
//!
//! This crate knows `l9-core` only. It never decides what a run does, and nothing in
//! it is reachable by an agent except through the governor.
#![cfg_attr(
    not(any(feature = "sqlite", feature = "postgres")),
    allow(dead_code, unused_imports, unreachable_pub, reason = "what databases alone use stands beside what all do")
)]
#![cfg_attr(feature = "sqlite", doc = include_str!("../README.md"))]

pub mod archive;
mod check;
pub mod embed;
mod entry;
pub mod guard;
pub mod in_memory;
pub mod ingest;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod kept;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "redis")]
pub mod redis;
pub mod relations;
mod retrieval;
mod rounds;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod tile;
pub mod vault;
pub mod vectors;
pub mod witness;
