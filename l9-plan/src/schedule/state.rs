//! How far a schedule came, and what became of its last ticks.

use l9_core::id::RunId;
use l9_core::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ticks::{Due, Ticks};

/// How many of the last ticks are remembered.
const RECENT: usize = 20;

/// How far a schedule came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Who paused it, while it is.
    pub paused: Option<Paused>,
    /// Up to here it is decided what becomes of each tick.
    pub decided: Timestamp,
    /// What was decided to be carried out and is not yet, in its order.
    pub pending: Vec<Timestamp>,
    /// Who decided that, and is at it.
    pub holder: Option<Holder>,
    /// The run of the newest tick that had one.
    pub last_run: Option<LastRun>,
    /// What became of the last ticks, the newest first.
    pub recent: Vec<Tick>,
}

/// A pause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Paused {
    /// Who ordered it.
    pub by: String,
    /// Since when.
    pub at: Timestamp,
}

/// A scheduler that carries ticks out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holder {
    /// Its process.
    pub owner: String,
    /// Since when.
    pub at: Timestamp,
}

/// The run of a tick.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LastRun {
    /// The tick.
    pub tick: Timestamp,
    /// Its run.
    pub run: RunId,
}

/// What became of a tick.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tick {
    /// Its time.
    pub tick: Timestamp,
    /// When it was done with.
    pub at: Timestamp,
    /// What became of it.
    pub outcome: Outcome,
    /// Its run, if one was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// Why no run could be started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What became of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// It has a run.
    Started,
    /// The run of the one before was not over.
    Skipped,
    /// No run could be started.
    Failed,
    /// It came too late, and so did those before it that have no line of their own.
    Missed,
}

impl Outcome {
    /// The name that is stored, shown and counted.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::Missed => "missed",
        }
    }
}

impl State {
    /// Of a schedule that was just made.
    pub(super) fn new(made: Timestamp) -> Self {
        Self { paused: None, decided: made, pending: Vec::new(), holder: None, last_run: None, recent: Vec::new() }
    }

    /// When somebody must look at it.
    pub(super) fn due_at(&self, ticks: &Ticks) -> Option<Timestamp> {
        if self.paused.is_some() {
            return None;
        }
        if !self.pending.is_empty() {
            return Some(Timestamp::EPOCH);
        }
        ticks.next(self.decided).map(|tick| ticks.comes(tick))
    }

    /// Takes down what is due, to be carried out by whoever decides; tells whether anything was.
    pub(super) fn decide(&mut self, due: Due, owner: &str, now: Timestamp) -> bool {
        let Some(decided) = due.decided() else { return false };
        if let Some(missed) = due.missed {
            self.note(Tick { tick: missed, at: now, outcome: Outcome::Missed, run: None, error: None });
        }
        self.decided = decided;
        self.holder = (!due.ticks.is_empty()).then(|| Holder { owner: owner.to_owned(), at: now });
        self.pending = due.ticks;
        true
    }

    /// Takes down what became of a tick; tells whether that is news. A run that was started
    /// counts, whatever somebody else has written of its tick meanwhile.
    pub(super) fn settle(&mut self, tick: Tick) -> bool {
        let known = self.recent.iter().position(|known| known.tick == tick.tick);
        let waits = self.pending.contains(&tick.tick);
        let is_news = match known.map(|known| &self.recent[known]) {
            None => waits || tick.outcome == Outcome::Started,
            Some(known) => tick.outcome == Outcome::Started && known.outcome != Outcome::Started,
        };
        if !is_news {
            return false;
        }
        self.pending.retain(|pending| *pending != tick.tick);
        if self.pending.is_empty() {
            self.holder = None;
        }
        if let Some(run) = tick.run
            && self.last_run.as_ref().is_none_or(|last| last.tick < tick.tick)
        {
            self.last_run = Some(LastRun { tick: tick.tick, run });
        }
        if let Some(known) = known {
            self.recent.remove(known);
        }
        self.note(tick);
        true
    }

    fn note(&mut self, tick: Tick) {
        let place = self.recent.partition_point(|known| known.tick > tick.tick);
        self.recent.insert(place, tick);
        self.recent.truncate(RECENT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use l9_core::entropy::SystemEntropy;

    fn tick(at: i64, outcome: Outcome, run: Option<RunId>) -> Tick {
        let at = Timestamp::from_millis(at);
        Tick { tick: at, at, outcome, run, error: None }
    }

    #[test]
    fn a_run_that_was_started_counts_whatever_was_written_of_its_tick() {
        let at = Timestamp::from_millis;
        let run = |name| Some(RunId::generate(at(1), &SystemEntropy, name));
        let mut state = State::new(at(0));
        assert!(state.decide(Due { ticks: vec![at(1), at(2)], missed: None }, "one", at(2)));
        assert!(state.settle(tick(1, Outcome::Skipped, None)));
        let (first, second) = (run("first"), run("second"));
        assert!(state.settle(tick(1, Outcome::Started, first)), "somebody else has started it");
        assert!(!state.settle(tick(1, Outcome::Skipped, None)), "and nobody takes that back");
        assert!(!state.settle(tick(1, Outcome::Started, first)));
        assert!(state.settle(tick(2, Outcome::Started, second)));
        assert_eq!(state.last_run.as_ref().map(|last| last.run), second);
        assert_eq!((state.pending.len(), &state.holder), (0, &None));
        assert_eq!(state.recent.iter().map(|tick| tick.run).collect::<Vec<_>>(), [second, first]);
        // Too long ago to be remembered: it changes neither the last run nor what is.
        assert!(state.settle(tick(-5, Outcome::Started, first)));
        assert_eq!(state.last_run.as_ref().map(|last| last.run), second);
        assert!(!state.settle(tick(-6, Outcome::Failed, None)));
    }
}
