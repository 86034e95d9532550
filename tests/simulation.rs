//! A bounded number of seeds of `examples/simulate`, one of them with many nodes: none breaks
//! an invariant, a planted bug is found, and a seed replays exactly.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

use std::path::PathBuf;
use std::process::Command;

/// Seeds that must hold; `cargo run --release --example simulate` goes through any number.
const SEEDS: u32 = 300;

/// The nodes of the world that has many.
const NODES: u32 = 100;

/// Within how many seeds a planted bug must be found.
const PLANTED_SEEDS: u32 = 120;

/// What the program printed, and whether it found nothing.
fn simulate(arguments: &str) -> (String, bool) {
    let mut program: PathBuf = std::env::current_exe().unwrap();
    program.pop();
    program.pop();
    program.push("examples/simulate");
    let output = Command::new(&program).args(arguments.split(' ')).output().unwrap_or_else(|error| {
        panic!("{} does not start: {error}; `cargo build --examples` makes it", program.display())
    });
    (String::from_utf8(output.stdout).unwrap(), output.status.success())
}

fn trace_hash(printed: &str) -> &str {
    printed.lines().find(|line| line.starts_with("trace hash ")).unwrap()
}

#[test]
fn no_seed_breaks_an_invariant() {
    let (printed, held) = simulate(&format!("--seeds {SEEDS} --from 1"));
    assert!(held, "{printed}");
    for none in [", 0 breakpoints reached", ", 0 rolled back", ", 0 compensations", ", 0 runs for another"] {
        assert!(!printed.contains(none), "no plan was put to the test: {printed}");
    }
    println!("{printed}");
}

#[test]
fn many_nodes_break_no_invariant() {
    let (printed, held) = simulate(&format!("--seeds 1 --from 2 --nodes {NODES}"));
    assert!(held, "{printed}");
    assert!(printed.contains(&format!("1 seeds, {NODES} nodes in ")), "{printed}");
    println!("{printed}");
}

#[test]
fn planted_bugs_are_found_and_replay() {
    for (plant, invariants) in [("epoch", &["4 "][..]), ("intent", &["8 ", "28 "]), ("head", &["1 "])] {
        let (printed, held) = simulate(&format!("--seeds {PLANTED_SEEDS} --from 1 --plant {plant}"));
        assert!(!held, "the bug {plant} was not found: {printed}");
        let found = printed.lines().find_map(|line| line.strip_prefix("seed ")).unwrap();
        let (seed, what) = found.split_once(" breaks ").unwrap();
        assert!(invariants.iter().any(|invariant| what.starts_with(invariant)), "{plant} is found as {what}");
        let (again, _) = simulate(&format!("--seeds 1 --from {seed} --plant {plant}"));
        assert!(again.contains(what), "seed {seed} does not replay: {again}");
    }
}

#[test]
fn the_same_seed_is_the_same_history() {
    let (once, _) = simulate("--seeds 5 --from 7");
    let (again, _) = simulate("--seeds 5 --from 7");
    assert_eq!(trace_hash(&once), trace_hash(&again), "in two processes");
}
