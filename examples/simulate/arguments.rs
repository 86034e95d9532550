//! What the command line says.

use std::str::FromStr;

use crate::database::Plant;

/// How the program is called.
pub(crate) const USAGE: &str =
    "usage: simulate [--seeds N] [--from SEED] [--nodes N] [--plant epoch|intent|head] [--trace]";

/// The most nodes of a world.
const NODES: u64 = 100_000;

/// What to simulate.
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) seeds: u64,
    /// The first seed; drawn if not given.
    pub(crate) from: Option<u64>,
    /// How many nodes a world has; drawn from the seed if not given.
    pub(crate) nodes: Option<u64>,
    pub(crate) plant: Option<Plant>,
    /// Whether everything that happens is printed.
    pub(crate) trace: bool,
}

impl Arguments {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut arguments = Self { seeds: 100, from: None, nodes: None, plant: None, trace: false };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--seeds" => arguments.seeds = value(&word, words.next())?,
                "--from" => arguments.from = Some(value(&word, words.next())?),
                "--nodes" => arguments.nodes = Some(value(&word, words.next())?),
                "--plant" => arguments.plant = Some(value(&word, words.next())?),
                "--trace" => arguments.trace = true,
                other => return Err(format!("{other:?} is not known; {USAGE}")),
            }
        }
        match arguments.nodes.filter(|nodes| !(1..=NODES).contains(nodes)) {
            Some(nodes) => Err(format!("--nodes {nodes}: use 1 to {NODES}")),
            None => Ok(arguments),
        }
    }
}

fn value<T: FromStr<Err: std::fmt::Display>>(name: &str, word: Option<String>) -> Result<T, String> {
    let word = word.ok_or_else(|| format!("{name} wants a value; {USAGE}"))?;
    word.parse().map_err(|error| format!("{name} {word}: {error}"))
}
