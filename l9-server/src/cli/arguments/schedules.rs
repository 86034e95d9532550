//! What is asked of schedules.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use l9::id::ScheduleId;
use l9::schedule::{CatchUp, Overlap};
use l9::time::Timestamp;
use l9::tool::ToolName;
use l9::{AgentId, Budget};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::span;

/// What can be done with schedules.
#[derive(Debug, Subcommand)]
pub(crate) enum Schedules {
    /// Make a schedule
    #[command(after_help = "\
A line has minute, hour, day of the month, month and day of the week, or the second before them,
or is a name such as @daily. On nights in which the clock is set, a fixed time that is left out
comes once right after the gap, and one that comes twice comes the first time only; lines with *
or / in second, minute or hour go by elapsed time.

Examples:
  l9-server schedules add report --cron \"0 8 * * MON-FRI\" --zone Europe/Berlin \\
    --agent researcher --input \"What is new in the notes?\"
  l9-server schedules add sums --every 1h --tool calc/evaluate --arguments '{\"expression\": \"2 + 2\"}'
  l9-server schedules add digest --cron \"0 7 * * *\" --plan examples/plans/digest.yaml \\
    --given '{\"topic\": \"release\"}'
  l9-server schedules add once --at 2030-01-31T12:00:00Z --agent researcher --input \"Sum up the month\"")]
    Add(Box<SchedulesAdd>),
    /// All schedules
    List,
    /// One schedule: what it is, when it is due, what became of its last ticks
    Show {
        /// The schedule
        #[arg(value_name = "SCHEDULE")]
        id: ScheduleId,
    },
    /// When a schedule is due next
    Preview {
        /// The schedule
        #[arg(value_name = "SCHEDULE")]
        id: ScheduleId,
        /// How many ticks to show
        #[arg(short, long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1_000))]
        n: u16,
    },
    /// Start nothing more of a schedule; what runs goes on
    Pause {
        /// The schedule
        #[arg(value_name = "SCHEDULE")]
        id: ScheduleId,
    },
    /// Let a paused schedule go on; its ticks of the pause count as missed
    Resume {
        /// The schedule
        #[arg(value_name = "SCHEDULE")]
        id: ScheduleId,
    },
    /// Remove a schedule; what runs goes on
    Remove {
        /// The schedule
        #[arg(value_name = "SCHEDULE")]
        id: ScheduleId,
    },
}

/// A schedule to make.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("when").required(true)), group(clap::ArgGroup::new("starts").required(true)))]
pub(crate) struct SchedulesAdd {
    /// Its name: 1 to 64 of a-z 0-9 - _ .
    #[arg(value_name = "SCHEDULE")]
    pub(crate) id: ScheduleId,
    /// Whenever the clock shows a time of this line
    #[arg(long, group = "when", value_name = "LINE")]
    pub(crate) cron: Option<String>,
    /// Whose clock [default: UTC]
    #[arg(long, requires = "cron", value_name = "ZONE")]
    pub(crate) zone: Option<String>,
    /// Every so often, such as 90s, 30m, 12h or 7d
    #[arg(long, group = "when", value_name = "SPAN", value_parser = span)]
    pub(crate) every: Option<Duration>,
    /// Once, at this time
    #[arg(long, group = "when", value_name = "TIME")]
    pub(crate) at: Option<Timestamp>,
    /// Run this agent
    #[arg(long, group = "starts", requires = "input")]
    pub(crate) agent: Option<AgentId>,
    /// The agent's task in words
    #[arg(long, requires = "agent")]
    pub(crate) input: Option<String>,
    /// The conversation that the agent's runs belong to
    #[arg(long, requires = "agent")]
    pub(crate) session: Option<String>,
    /// Call this tool, such as notes/add or notes/add@1.2.3
    #[arg(long, group = "starts")]
    pub(crate) tool: Option<ToolName>,
    /// The tool's arguments, an object in JSON [default: {}]
    #[arg(long, requires = "tool", value_name = "JSON", value_parser = object)]
    pub(crate) arguments: Option<Map<String, Value>>,
    /// Carry out this plan, in YAML or JSON
    #[arg(long, group = "starts", value_name = "FILE")]
    pub(crate) plan: Option<PathBuf>,
    /// What the plan is given, as JSON
    #[arg(long, requires = "plan", value_name = "JSON", value_parser = value)]
    pub(crate) given: Option<Value>,
    /// Of ticks that came more than a minute ago, carry out none (skip), the newest (one) or all
    #[arg(long, default_value = "one", value_name = "RULE", value_parser = rule::<CatchUp>)]
    pub(crate) catch_up: CatchUp,
    /// How many ticks `--catch-up all` makes up for: 1 to 1000
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub(crate) catch_up_limit: u32,
    /// While the run of the last tick is not over: skip the next, queue it, or replace that run
    #[arg(long, default_value = "skip", value_name = "RULE", value_parser = rule::<Overlap>)]
    pub(crate) overlap: Overlap,
    /// Put ticks off by up to this span, each by another part of it
    #[arg(long, value_name = "SPAN", value_parser = span)]
    pub(crate) jitter: Option<Duration>,
    /// No tick before this time; an interval begins with it
    #[arg(long, value_name = "TIME")]
    pub(crate) start: Option<Timestamp>,
    /// No tick after this time
    #[arg(long, value_name = "TIME")]
    pub(crate) end: Option<Timestamp>,
    /// The most that each run may use, such as calls=20,micro_usd=500000
    #[arg(long, value_name = "AMOUNT=N,…")]
    pub(crate) budget: Option<Budget>,
    /// Stop each run that has not ended after this time, such as 30s or 5m
    #[arg(long, value_name = "SPAN", value_parser = span)]
    pub(crate) deadline: Option<Duration>,
}

/// A rule by its name; the error lists those there are.
fn rule<T: DeserializeOwned>(name: &str) -> Result<T, String> {
    serde_json::from_value(Value::String(name.to_owned())).map_err(|error| error.to_string())
}

fn value(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))
}

fn object(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|error| format!("it is no object in JSON: {error}"))
}
