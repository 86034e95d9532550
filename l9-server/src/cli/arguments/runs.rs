//! What is asked of runs, and of what they leave behind.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use l9::RunId;
use l9::id::CallId;
use l9::journal::Status;
use l9::model::ModelName;
use l9::tool::ToolName;

use super::span;

/// What can be done with runs.
#[derive(Debug, Subcommand)]
pub(crate) enum Runs {
    /// The newest runs
    List(RunsList),
    /// One run: its state, answer, sources, budget and the head of its chain
    Show {
        /// The run
        #[arg(value_name = "RUN")]
        run: RunId,
    },
    /// The journal of a run; one JSON object a line with --json
    Events(RunsEvents),
    /// Ask a run to stop, whichever process has it
    Cancel {
        /// The run
        #[arg(value_name = "RUN")]
        run: RunId,
        /// Why, for the journal
        #[arg(long)]
        reason: String,
    },
    /// Let a run end what it is doing and start nothing new
    Pause {
        /// The run
        #[arg(value_name = "RUN")]
        run: RunId,
        /// Why, for the journal
        #[arg(long)]
        reason: String,
    },
    /// Let a paused run go on, to its end or its next stop
    Resume {
        /// The run
        #[arg(value_name = "RUN")]
        run: RunId,
        /// Why, for the journal
        #[arg(long)]
        reason: String,
        /// Leave it to whoever works next
        #[arg(long)]
        detach: bool,
    },
    /// Send a run what it waits for
    Signal(RunsSignal),
    /// Decide what a write whose end nobody knows is taken for
    Resolve(RunsResolve),
    /// Start a run that shares another's past and goes on in its own way
    #[command(after_help = "\
The events before SEQ are the other's, and nothing they did is done again.
`l9-server runs events RUN` shows where its steps stand.

Examples:
  l9-server runs fork RUN --at 12 --model openai/gpt-6.1-terra
  l9-server runs fork RUN --at 12 --result 'turn/1/tool/0={\"result\":\"42\"}'")]
    Fork(RunsFork),
    /// Derive a run again from its journal, without a single effect; exit code 1 if it diverges
    Replay(RunsReplay),
    /// Where two runs differ
    Diff(RunsDiff),
    /// Bring the events of a run back that `retention run --archive` kept
    Restore {
        /// The run
        #[arg(value_name = "RUN")]
        run: RunId,
        /// The folder of the archives
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
    },
}

/// A signal.
#[derive(Debug, Args)]
pub(crate) struct RunsSignal {
    /// The run
    #[arg(value_name = "RUN")]
    pub(crate) run: RunId,
    /// The signal's name
    pub(crate) name: String,
    /// What it says, as JSON
    #[arg(long)]
    pub(crate) value: Option<String>,
    /// Leave the run to whoever works next
    #[arg(long)]
    pub(crate) detach: bool,
}

/// A decision.
#[derive(Debug, Args)]
pub(crate) struct RunsResolve {
    /// The run
    #[arg(value_name = "RUN")]
    pub(crate) run: RunId,
    /// The effect, as `runs show` names it
    pub(crate) call: CallId,
    /// What it is taken for
    #[arg(long = "as", value_enum)]
    pub(crate) verdict: Resolved,
    /// What it gave, as JSON, if it happened
    #[arg(long)]
    pub(crate) value: Option<String>,
    /// Why, for the journal
    #[arg(long)]
    pub(crate) reason: String,
    /// Leave the run to whoever works next
    #[arg(long)]
    pub(crate) detach: bool,
}

/// What an unknown effect is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Resolved {
    /// It happened
    Happened,
    /// It did not happen
    NotHappened,
    /// Nobody will ever know
    Unknown,
}

/// A fork.
#[derive(Debug, Args)]
pub(crate) struct RunsFork {
    /// The run to leave
    #[arg(value_name = "RUN")]
    pub(crate) run: RunId,
    /// The event before which to leave it
    #[arg(long, value_name = "SEQ")]
    pub(crate) at: u64,
    /// Another model
    #[arg(long)]
    pub(crate) model: Option<ModelName>,
    /// Other instructions
    #[arg(long)]
    pub(crate) instructions: Option<String>,
    /// Other tools
    #[arg(long, value_delimiter = ',')]
    pub(crate) tools: Vec<ToolName>,
    /// A file with a policy that must allow as well as the node's
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// What an effect before is taken to have given instead; may be given again
    #[arg(long, value_name = "CALL=JSON")]
    pub(crate) result: Vec<String>,
    /// Leave it to whoever works next
    #[arg(long)]
    pub(crate) detach: bool,
}

/// A replay.
#[derive(Debug, Args)]
pub(crate) struct RunsReplay {
    /// The run
    #[arg(value_name = "RUN")]
    pub(crate) run: RunId,
    /// A result to take in place of the recorded one; may be given again
    #[arg(long, value_name = "CALL=JSON")]
    pub(crate) result: Vec<String>,
}

/// Two runs.
#[derive(Debug, Args)]
pub(crate) struct RunsDiff {
    /// One
    #[arg(value_name = "RUN")]
    pub(crate) one: RunId,
    /// The other
    #[arg(value_name = "OTHER")]
    pub(crate) other: RunId,
}

/// What can be dropped.
#[derive(Debug, Subcommand)]
pub(crate) enum Retention {
    /// Empty the bodies of runs that ended long ago, whose chains and last states stay, and drop
    /// old snapshots of memory with what only they kept, and short-term entries that are over
    Run {
        /// How long ago, such as 90d, 12h or 30m
        #[arg(long, default_value = "90d", value_parser = span)]
        older_than: Duration,
        /// Keep the records in this folder first, each run's under its root; see `runs restore`
        #[arg(long, value_name = "DIR")]
        archive: Option<PathBuf>,
        /// How long ago a snapshot of memory was taken
        #[arg(long, default_value = "30d", value_parser = span, value_name = "TIME")]
        snapshots: Duration,
        /// Only say what would go
        #[arg(long)]
        dry_run: bool,
    },
}

/// Which runs to list.
#[derive(Debug, Args)]
pub(crate) struct RunsList {
    /// Only runs in this state: queued, running, waiting, succeeded, failed or cancelled
    #[arg(long)]
    pub(crate) status: Option<Status>,
    /// Only runs of this agent, or of the tool of this id
    #[arg(long)]
    pub(crate) agent: Option<String>,
    /// How many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) limit: u16,
}

/// Which events to show.
#[derive(Debug, Args)]
pub(crate) struct RunsEvents {
    /// The run
    #[arg(value_name = "RUN")]
    pub(crate) run: RunId,
    /// From this event on
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) from_seq: u64,
    /// Go on until the run ends
    #[arg(long)]
    pub(crate) follow: bool,
}
