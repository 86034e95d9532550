//! What can be said on the command line. The comments are the help texts.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use l9::journal::Status;
use l9::{AgentId, RunId, ToolId};
use serde_json::{Value, json};

/// A governed runtime for AI agents: every effect is authorised, sandboxed and leaves a
/// receipt.
#[derive(Debug, Parser)]
#[command(name = "l9-server", version, max_term_width = 100, after_help = EXAMPLES, after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(flatten)]
    pub(crate) serve: Serve,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

const EXAMPLES: &str = "\
Examples:
  l9-server run researcher \"How does L9 resume a run?\" --ingest docs/
  l9-server run researcher \"What is 17.5% of 2,340?\" --json
  l9-server runs list --status failed
  l9-server runs events RUN --follow
  l9-server tools call calc/evaluate '{\"expression\": \"2 + 2\"}'
  l9-server audit verify
  l9-server serve --port 8000

Without a command it serves. Without OPENAI_API_KEY or ANTHROPIC_API_KEY agents answer offline,
with quotes from what was ingested.

Exit codes: 0 done, 1 failed, 2 bad usage or configuration, 3 waiting for a person, 4 denied;
130 after Ctrl-C.";

/// What every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Global {
    /// Answer in JSON on standard output; everything else goes to standard error
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// The folder of the database, the root key and the caches [env: L9_DATA_DIR] [default: .l9]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Make the run reproducible: its clock, ids and entropy become a function of this number
    #[arg(long, global = true, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// The configuration file [default: config.yaml, if there]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// What to log to standard error: error, warn, info, debug, trace or directives [env: LOG_LEVEL]
    #[arg(long, global = true, value_name = "LEVEL")]
    pub(crate) log_level: Option<String>,
}

impl Global {
    /// These flags as settings.
    pub(crate) fn settings(&self) -> Vec<(&'static str, Value, &'static str)> {
        let mut settings = Vec::new();
        if let Some(folder) = &self.data_dir {
            settings.push(("storage.data_dir", json!(folder), "--data-dir"));
        }
        if let Some(seed) = self.seed {
            settings.push(("workers.seed", json!(seed), "--seed"));
        }
        if let Some(level) = &self.log_level {
            settings.push(("log.level", json!(level), "--log-level"));
        }
        settings
    }
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve HTTP and WebSocket, and work on runs (this is the default)
    Serve(Serve),
    /// Run an agent and show its steps, its answer with sources, and the receipt
    #[command(after_help = "\
Examples:
  l9-server run researcher \"How does L9 resume a run?\" --ingest docs/
  l9-server run researcher \"What is 17.5% of 2,340?\" --json | jq .answer

Ctrl-C asks the run to stop; a second Ctrl-C leaves it to whoever works next.")]
    Run(Run),
    /// Take files and folders into memory
    Ingest(Ingest),
    /// List, show, follow and cancel runs
    Runs {
        #[command(subcommand)]
        command: Runs,
    },
    /// List, inspect and call tools
    Tools {
        #[command(subcommand)]
        command: Tools,
    },
    /// Check the journal
    Audit {
        #[command(subcommand)]
        command: Audit,
    },
    /// Search memory
    Memory {
        #[command(subcommand)]
        command: Memory,
    },
    /// Check and show the configuration
    Config {
        #[command(subcommand)]
        command: Config,
    },
    /// Check this machine and this installation, and say how to mend what is wrong
    Doctor,
}

/// How to serve.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Serving")]
pub(crate) struct Serve {
    /// The address to listen on [default: 127.0.0.1]
    #[arg(long)]
    pub(crate) host: Option<IpAddr>,
    /// The port to listen on; 0 takes any free one [default: 8000]
    #[arg(long)]
    pub(crate) port: Option<u16>,
    /// What this process does [default: all]
    #[arg(long, value_delimiter = ',', value_enum)]
    pub(crate) role: Vec<Role>,
}

impl Serve {
    /// Whether nothing was said.
    pub(crate) fn is_empty(&self) -> bool {
        self.host.is_none() && self.port.is_none() && self.role.is_empty()
    }

    /// These flags as settings.
    pub(crate) fn settings(&self) -> Vec<(&'static str, Value, &'static str)> {
        let host = self.host.map(|host| ("server.host", json!(host), "--host"));
        let port = self.port.map(|port| ("server.port", json!(port), "--port"));
        host.into_iter().chain(port).collect()
    }
}

/// What a serving process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Answer requests
    Api,
    /// Work on runs
    Worker,
    /// Start runs by schedule
    Scheduler,
}

/// A run of an agent.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The agent, such as researcher
    pub(crate) agent: String,
    /// The task in words; `-` reads it from standard input
    pub(crate) input: String,
    /// Take a file or folder into memory first; may be given again
    #[arg(long, value_name = "PATH")]
    pub(crate) ingest: Vec<PathBuf>,
    /// The conversation it belongs to
    #[arg(long)]
    pub(crate) session: Option<String>,
}

/// Files and folders to take in.
#[derive(Debug, Args)]
pub(crate) struct Ingest {
    /// Text files, or folders of them
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Only this agent will find them [default: every agent]
    #[arg(long)]
    pub(crate) agent: Option<AgentId>,
}

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

/// What can be done with tools.
#[derive(Debug, Subcommand)]
pub(crate) enum Tools {
    /// The tools there are
    List,
    /// A tool's whole contract
    Inspect(ToolsInspect),
    /// Call a tool, as a run of its own
    Call {
        /// The tool, such as calc/evaluate
        tool: ToolId,
        /// The arguments as JSON; `-` reads them from standard input
        arguments: String,
    },
}

/// Which contract to show.
#[derive(Debug, Args)]
pub(crate) struct ToolsInspect {
    /// The tool, such as calc/evaluate
    #[arg(required_unless_present = "schema")]
    pub(crate) tool: Option<ToolId>,
    /// The JSON Schema of manifests instead
    #[arg(long, conflicts_with = "tool")]
    pub(crate) schema: bool,
}

/// What can be checked.
#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Re-hash and open every record of every run; exit code 1 if anything does not verify
    Verify,
}

/// What can be asked of memory.
#[derive(Debug, Subcommand)]
pub(crate) enum Memory {
    /// The entries that answer a question best
    Search(MemorySearch),
}

/// What to search for.
#[derive(Debug, Args)]
pub(crate) struct MemorySearch {
    /// What to look for, in words
    pub(crate) query: String,
    /// How many
    #[arg(short, long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=200))]
    pub(crate) k: u16,
    /// Only entries of this agent and those of no agent
    #[arg(long)]
    pub(crate) agent: Option<AgentId>,
    /// Only entries of this conversation
    #[arg(long)]
    pub(crate) session: Option<String>,
}

/// What can be done with the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Say whether it is sound
    Check,
    /// Every setting with its source; secrets redacted
    Show,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
