//! What a chaos run is told: `L9_CHAOS="--kills 500 --nodes 3 --freezes 4 --seed 7"`.

use std::path::PathBuf;

use crate::program;

const BUILD: &str = "cargo build -p l9 --examples";

/// How much is done to whom.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) kills: u32,
    pub(crate) nodes: usize,
    pub(crate) freezes: u32,
    pub(crate) seed: u64,
    /// The node's program and its arguments, with `{folder}`, `{ledger}`, `{runs}` and `{name}`.
    pub(crate) node: String,
    /// Whether nodes leave the fences out: only a build with failpoints can.
    pub(crate) unfenced: bool,
}

impl Settings {
    /// What the ordinary tests do.
    pub(crate) fn bounded(program: &str, build: &str) -> Self {
        let path: PathBuf = program::example(program, build);
        let node = format!("{} {{folder}} {{ledger}} {{runs}} scribe {{name}}", path.display());
        Self { kills: 40, nodes: 3, freezes: 1, seed: 1, node, unfenced: false }
    }

    /// The bounded ones, or those that the environment asks for.
    pub(crate) fn asked() -> Self {
        let mut settings = Self::bounded("ledger_agent", BUILD);
        let asked = std::env::var("L9_CHAOS").unwrap_or_default();
        let mut words = asked.split_whitespace();
        while let Some(name) = words.next() {
            let value = words.next().unwrap_or_else(|| panic!("{name} has no value"));
            let number = || value.parse().unwrap_or_else(|_| panic!("{name} {value}: a number is wanted"));
            match name {
                "--kills" => settings.kills = number(),
                "--nodes" => settings.nodes = number() as usize,
                "--freezes" => settings.freezes = number(),
                "--seed" => settings.seed = number().into(),
                "--store" => assert_eq!(value, "sqlite", "this suite drives nodes on sqlite only"),
                "--program" => settings.node = settings.node.replacen(first(&settings.node), value, 1),
                _ => panic!("{name} is unknown: use --kills, --nodes, --freezes, --seed, --store, --program"),
            }
        }
        settings
    }
}

fn first(command: &str) -> &str {
    command.split(' ').next().unwrap_or_default()
}
