//! The command line through the real binary: what it answers, how it ends, and what it
//! says when something is wrong.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test's helpers, whose failure is the test's")]

mod support;

mod approvals;
mod configuration;
mod damage;
mod downgrade;
mod evidence;
mod forecast;
mod ingesting;
mod interrupting;
mod keys;
mod looking;
mod mcp;
mod memory;
mod plans;
mod policy;
mod queue;
mod running;
mod schedules;
mod secrets;
mod stop;
mod tokens;
mod tools;
mod usage;
