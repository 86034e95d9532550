//! Tools of MCP servers, through the front door, against a server without manners: what a
//! call comes to, what a server is granted, and what it may change.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod calls;
mod drift;
mod foreign;
mod http;
mod judged;
mod process;
mod support;
