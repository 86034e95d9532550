//! What happened in a seed: a line for everything that matters, and a hash over all of
//! them, by which two histories are compared.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use l9::RunId;

/// How many of the last lines of a run are shown with a violation.
const SHOWN: usize = 40;

/// The lines of a seed.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    lines: Vec<Line>,
    hash: DefaultHasher,
}

#[derive(Debug)]
struct Line {
    at: Duration,
    /// The run it concerns; whatever concerns none concerns all.
    run: Option<RunId>,
    text: String,
}

impl Trace {
    pub(crate) fn add(&mut self, at: Duration, run: Option<RunId>, text: String) {
        (at.as_nanos(), &text).hash(&mut self.hash);
        self.lines.push(Line { at, run, text });
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash.finish()
    }

    /// Every line.
    pub(crate) fn all(&self) -> Vec<String> {
        self.lines.iter().map(Line::shown).collect()
    }

    /// The last lines that concern a run.
    pub(crate) fn of(&self, run: Option<RunId>) -> Vec<String> {
        let concerns = |line: &&Line| run.is_none() || line.run.is_none() || line.run == run;
        let mut last: Vec<String> = self.lines.iter().rev().filter(concerns).take(SHOWN).map(Line::shown).collect();
        last.reverse();
        last
    }
}

impl Line {
    fn shown(&self) -> String {
        let run = self.run.map(|run| format!(" {run}")).unwrap_or_default();
        format!("{:>12.6}{run} {}", self.at.as_secs_f64(), self.text)
    }
}
