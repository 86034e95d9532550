//! Seeded simulation: many nodes of the real engine, worker and governor over one
//! simulated database, network, clock and outside, through crashes, freezes, partitions,
//! lost acknowledgements and clocks that jump, while people pause, signal, decide, fork, roll
//! back and replay. Runs are of agents, of single calls and of long plans. After every step
//! that changes the database the invariants are checked; a seed that breaks one is printed and
//! replays exactly.
//!
//! `cargo run --release --example simulate -- --seeds 2000 --from 1`; see
//! `docs/reliability.md`.
#![expect(
    clippy::panic,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a simulation may fail, tools in it panic on purpose, and its own duration is real"
)]

mod arguments;
mod chaos;
mod clients;
mod clock;
mod cluster;
mod connection;
mod database;
mod entropy;
mod gate;
mod judge;
mod model;
mod node;
mod people;
mod plans;
mod queue;
mod random;
mod report;
mod scenario;
mod sim;
mod size;
mod timeline;
mod tools;
mod trace;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use arguments::Arguments;
use l9::entropy::{Entropy as _, SystemEntropy};
use l9::vault::Vault;
use l9_memory::vault::Keyring;
use report::Counts;

/// What a tool says that panics as the seed wants it.
pub(crate) const PLANNED_PANIC: &str = "this tool panics as it was told to";

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(message) => {
            println!("{message}");
            return ExitCode::from(2);
        }
    };
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload_as_str() != Some(PLANNED_PANIC) {
            usual(panic);
        }
    }));
    let from = arguments.from.unwrap_or_else(anywhere);
    println!("seeds from {from}");
    let (began, vault): (_, Arc<dyn Vault>) = (Instant::now(), Arc::new(Keyring::ephemeral()));
    let (mut sum, mut hash) = (Counts::default(), 0_u64);
    for seed in (0..arguments.seeds).map(|n| from.wrapping_add(n)) {
        let outcome = scenario::run(seed, &arguments, &vault);
        if let Some(broken) = &outcome.broken {
            println!("seed {seed} breaks {broken}");
        }
        for line in &outcome.lines {
            println!("  {line}");
        }
        sum += &outcome.counts;
        hash = hash.rotate_left(1) ^ outcome.hash;
    }
    println!("{sum}");
    println!("trace hash {hash:016x}");
    println!("{:.1} seconds", began.elapsed().as_secs_f64());
    if sum.violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A start that nobody chose, small enough to be typed.
fn anywhere() -> u64 {
    let mut bytes = [0; 4];
    SystemEntropy.fill(format_args!("simulate"), &mut bytes);
    u64::from(u32::from_be_bytes(bytes))
}
