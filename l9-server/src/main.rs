//! The L9 server binary: a thin command line and server over the `l9` runtime.
//!
//! Nothing here performs an effect: every one goes through the runtime's engine.

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

/// An effect allocates some hundred small pieces: the system's allocator takes a fifth of its time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    keep_to_itself();
    cli::main()
}

/// Closes the environment and memory of this process, which hold secrets, to other processes of
/// the same user, such as MCP servers, and keeps them out of core dumps. One that may trace any
/// process, as root may, still reads them.
fn keep_to_itself() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        // No system refuses it.
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}
