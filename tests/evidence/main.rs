//! Evidence from real runs, and everything that must not pass for it. Each bundle and each
//! forgery is shown to two verifiers that share no code: `l9_core::evidence` and
//! `scripts/verify_evidence.py`, which was written from the document alone.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may fail, and waits for real")]

mod bundle;
mod forgeries;
mod frozen;
mod operator;
#[path = "../support/questions.rs"]
mod questions;
mod statements;
mod system;
mod withheld;
