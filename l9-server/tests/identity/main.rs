//! Who may ask for what, against the served binary: tokens, roles, tenants, origins.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test's helpers, whose failure is the test's")]

mod approvals;
mod border;
mod callers;
mod queue;
mod rates;
mod routes;
mod sockets;
mod stop;
#[path = "../support/mod.rs"]
mod support;
mod tenants;
mod tools;
