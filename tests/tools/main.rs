//! The life of tools: they arrive, are signed, stand side by side, are disabled and revoked
//! in every process of a store, and change while the system runs.

mod arriving;
mod deciding;

#[path = "../support/words.rs"]
mod words;
