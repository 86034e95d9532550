//! The L9 server binary: a thin command line and server over the `l9` runtime.
//!
//! Nothing here performs an effect: every one goes through the runtime's engine.

mod auth;
mod cli;
mod config;
mod http;
mod logging;
mod metrics;
mod standing;
mod terminal;
mod websocket;
mod witness;

fn main() -> std::process::ExitCode {
    cli::main()
}
