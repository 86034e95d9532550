//! What several tests need.
#![allow(dead_code, unused_imports, reason = "every test file uses a part of it")]
#![allow(clippy::allow_attributes, reason = "which part differs, so an expectation cannot hold")]

#[cfg(feature = "postgres")]
pub(crate) mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

#[cfg(feature = "sqlite")]
pub(crate) use sqlite::{Data, open};
