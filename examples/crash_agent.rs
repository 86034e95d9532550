//! The ledger agent in a build with failpoints, under a name of its own, so that no
//! ordinary build takes its place: `cargo build -p l9 --example crash_agent --features failpoints`.

#[path = "ledger_agent.rs"]
mod ledger_agent;

fn main() -> l9::Result<()> {
    ledger_agent::main()
}
