//! What a schedule is: when it is due, what it starts, and what becomes of ticks that came too
//! late or while the run of the last one was not over.

use std::time::Duration;

use l9_core::budget::Budget;
use l9_core::id::AgentId;
use l9_core::schedule::SeriesId;
use l9_core::time::Timestamp;
use l9_core::tool::ToolName;
use l9_core::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::ticks::{Due, Ticks};
use crate::plan::Plan;

/// The shortest time between two ticks of an interval.
const SHORTEST_MS: u64 = 1_000;

/// The longest interval: ten years.
const LONGEST_MS: u64 = 315_360_000_000;

/// The most that a tick is put off by jitter: a day.
const JITTER_MS: u64 = 86_400_000;

/// The most ticks that are made up for at once.
const CATCH_UP: u32 = 1_000;

/// A schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// When it is due.
    pub when: When,
    /// What each tick starts.
    pub starts: Target,
    /// What becomes of ticks that came more than a minute ago, because nothing looked or the
    /// schedule was paused.
    #[serde(default)]
    pub catch_up: CatchUp,
    /// How many ticks `catch_up: all` makes up for, the newest ones: 1 to 1000.
    #[serde(default = "usual_catch_up")]
    pub catch_up_limit: u32,
    /// What becomes of a tick while the run of the last one is not over.
    #[serde(default)]
    pub overlap: Overlap,
    /// Ticks are put off by up to so many milliseconds, each by as much as its own time says and
    /// never as far as the next; at most a day.
    #[serde(default)]
    pub jitter_ms: u64,
    /// No tick is before this time; an interval begins with it.
    #[serde(default)]
    pub start: Option<Timestamp>,
    /// No tick is after this time.
    #[serde(default)]
    pub end: Option<Timestamp>,
    /// The most that each run may use.
    #[serde(default)]
    pub budget: Budget,
    /// Each run is stopped if it has not ended after so many milliseconds.
    #[serde(default)]
    pub deadline_ms: Option<u64>,
}

fn usual_catch_up() -> u32 {
    100
}

/// When a schedule is due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum When {
    /// Whenever the clock of a time zone shows a time of the line.
    Cron(CronLine),
    /// Every so many milliseconds from `start`, or from when it was made.
    EveryMs(u64),
    /// Once.
    At(Timestamp),
}

/// A cron line and where it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CronLine {
    /// Minute, hour, day of the month, month and day of the week, with the second before them
    /// if there are six; or a name such as `@daily`.
    pub line: String,
    /// The IANA name of the time zone; UTC if absent.
    #[serde(default = "utc")]
    pub zone: String,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// What a tick starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Target {
    /// A run of an agent.
    Agent {
        /// Which.
        id: AgentId,
        /// What it should do, in words.
        input: String,
        /// The conversation that the runs belong to.
        #[serde(default)]
        session: Option<String>,
    },
    /// One governed call of a tool.
    Tool {
        /// Which, such as `notes/add`, or `notes/add@1.2.3` for one version.
        id: ToolName,
        /// The arguments.
        #[serde(default)]
        arguments: Map<String, Value>,
    },
    /// A run of a plan.
    Plan {
        /// The plan: an object, or its YAML as a text.
        plan: Value,
        /// What it is given.
        #[serde(default)]
        input: Value,
    },
}

impl Target {
    /// The agent, the tool or the plan.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Agent { id, .. } => id.to_string(),
            Self::Tool { id, .. } => id.to_string(),
            Self::Plan { plan, .. } => Plan::read(plan).map_or_else(|_| "plan".to_owned(), |plan| plan.name),
        }
    }
}

/// What becomes of ticks that came too late.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// Nothing.
    Skip,
    /// The newest of them is carried out, for all.
    #[default]
    One,
    /// Each is carried out, up to a bound.
    All,
}

/// What becomes of a tick while the run of the last one is not over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// Nothing.
    #[default]
    Skip,
    /// It waits for the end of that run; ticks after it are not looked at meanwhile, so that
    /// they may come too late.
    Queue,
    /// That run is cancelled, and the tick's begins once it has ended.
    Replace,
}

impl std::fmt::Display for When {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cron(CronLine { line, zone }) => write!(f, "{line} ({zone})"),
            Self::EveryMs(millis) => write!(f, "every {:?}", Duration::from_millis(*millis)),
            Self::At(time) => write!(f, "once at {time}"),
        }
    }
}

impl Definition {
    /// A schedule with the usual rules.
    #[must_use]
    pub fn new(when: When, starts: Target) -> Self {
        Self {
            when,
            starts,
            catch_up: CatchUp::default(),
            catch_up_limit: usual_catch_up(),
            overlap: Overlap::default(),
            jitter_ms: 0,
            start: None,
            end: None,
            budget: Budget::default(),
            deadline_ms: None,
        }
    }

    /// Checks all that can be known without the system.
    ///
    /// # Errors
    /// `Invalid`, naming what is wrong and how to mend it.
    pub fn check(&self, now: Timestamp) -> Result<()> {
        if let When::EveryMs(millis) = self.when
            && !(SHORTEST_MS..=LONGEST_MS).contains(&millis)
        {
            return Err(Error::invalid(format!(
                "every_ms is {millis}: use {SHORTEST_MS} to {LONGEST_MS} milliseconds"
            )));
        }
        if !(1..=CATCH_UP).contains(&self.catch_up_limit) {
            return Err(Error::invalid(format!("catch_up_limit is {}: use 1 to {CATCH_UP}", self.catch_up_limit)));
        }
        if self.jitter_ms > JITTER_MS {
            return Err(Error::invalid(format!("jitter_ms is {}: use at most {JITTER_MS}, a day", self.jitter_ms)));
        }
        if let (Some(start), Some(end)) = (self.start, self.end)
            && end < start
        {
            return Err(Error::invalid(format!("the end {end} is before the start {start}")));
        }
        let ticks = Ticks::of(self, now, SeriesId::default())?;
        match ticks.next(now) {
            Some(_) => Ok(()),
            None => Err(Error::invalid(format!("{} never comes after {now}: use a time to come", self.when))),
        }
    }

    /// What is due at `now` of a schedule that was made at `made`, if all up to `decided` was
    /// decided.
    ///
    /// # Errors
    /// `Invalid` for a definition that [`Definition::check`] refuses.
    pub fn due(&self, (made, series): (Timestamp, SeriesId), decided: Timestamp, now: Timestamp) -> Result<Due> {
        Ok(Ticks::of(self, made, series)?.due(decided, now))
    }

    /// The next ticks after a time, each with the time that it comes at, which jitter makes
    /// later.
    ///
    /// # Errors
    /// `Invalid` for a definition that [`Definition::check`] refuses.
    pub fn preview(
        &self,
        (made, series): (Timestamp, SeriesId),
        after: Timestamp,
        count: usize,
    ) -> Result<Vec<(Timestamp, Timestamp)>> {
        Ok(Ticks::of(self, made, series)?.preview(after, count))
    }
}
