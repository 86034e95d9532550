//! The server in a build with failpoints, under a name of its own, so that no ordinary
//! build takes its place: `cargo build -p l9-server --bin crash_server --features failpoints`.
//! It must do no real work: it knows how to leave the fences out.

mod auth;
mod cli;
mod config;
mod http;
mod logging;
mod metrics;
mod nodes;
mod standing;
mod terminal;
mod websocket;
mod witness;

fn main() -> std::process::ExitCode {
    cli::main()
}
