//! Who may ask for what, against the served binary: tokens, roles, tenants, origins.

mod border;
mod callers;
mod routes;
mod sockets;
#[path = "../support/mod.rs"]
mod support;
mod tenants;
