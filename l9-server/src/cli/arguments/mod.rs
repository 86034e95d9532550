//! What can be said on the command line. The comments are the help texts.

mod approvals;
mod audit;
mod memory;
mod plans;
mod policy;
mod runs;
mod schedules;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use l9::id::TenantId;
use l9::node::{self, Roles};
use l9::{AgentId, Budget};
use serde_json::{Value, json};

use super::tools::Tools;

pub(crate) use approvals::{Approvals, Approve, Reject};
pub(crate) use audit::{Audit, AuditExport};
pub(crate) use memory::{Memory, MemorySearch};
pub(crate) use plans::{At, Drawing, Plans, PlansBreak, PlansPatch, PlansRun};
pub(crate) use policy::{Policy, PolicyCheck, PolicyDefaults, PolicyDiff, PolicySimulate};
pub(crate) use runs::{
    Resolved, Retention, Runs, RunsDiff, RunsEvents, RunsFork, RunsList, RunsReplay, RunsResolve, RunsSignal,
};
pub(crate) use schedules::{Schedules, SchedulesAdd};

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
  l9-server plans run examples/plans/release.yaml
  l9-server approvals list
  l9-server tools call calc/evaluate '{\"expression\": \"2 + 2\"}'
  l9-server audit verify
  l9-server audit export RUN --output run.evidence
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
    /// The tenant to work for [default: default]
    #[arg(long, global = true, value_name = "TENANT")]
    pub(crate) tenant: Option<TenantId>,
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
    /// Take files and folders into memory, or only what of them has changed
    #[command(after_help = "\
Text, Markdown, JSON lines, HTML, PDF and source code are taken from folders, without what
their .gitignore names; any other UTF-8 text if its file is named. The same again takes in
what changed and removes what came from files that are gone.

Examples:
  l9-server ingest docs/ report.pdf
  l9-server ingest docs/ --dry-run
  l9-server ingest src/ --agent reviewer --json")]
    Ingest(Ingest),
    /// List, show, follow, hold, fork and replay runs
    Runs {
        #[command(subcommand)]
        command: Runs,
    },
    /// Check, carry out, show, edit and roll back long plans
    Plans {
        #[command(subcommand)]
        command: Plans,
    },
    /// Start runs by the clock: make, look at, pause, resume and remove schedules
    Schedules {
        #[command(subcommand)]
        command: Schedules,
    },
    /// List and decide the questions that wait for a person
    Approvals {
        #[command(subcommand)]
        command: Approvals,
    },
    /// See what waits to be advanced, and what was given up
    Queue {
        #[command(subcommand)]
        command: super::queue::Queue,
    },
    /// Stop everything at once, for one tenant with --tenant, else for all
    #[command(after_help = "\
Nothing starts any more, on any node; what is under way is stopped. What may be repeated
begins anew after `unstop`; of a write that may not, the run's journal says what is known.
The signed statement says when all was quiet; `l9-verify` and `audit verify` check it.

Examples:
  l9-server stop --reason \"it mails everybody\"
  l9-server --tenant acme stop --reason \"acme asked for it\"")]
    Stop(Stop),
    /// Let what was stopped go on
    Unstop(Unstop),
    /// Drop what was kept long enough
    Retention {
        #[command(subcommand)]
        command: Retention,
    },
    /// List, inspect, call, sign, accept, disable and revoke tools
    Tools {
        #[command(subcommand)]
        command: Tools,
    },
    /// See what the policy decides
    Policy {
        #[command(subcommand)]
        command: Policy,
    },
    /// Check the journal, and take evidence out of it
    Audit {
        #[command(subcommand)]
        command: Audit,
    },
    /// Search memory, look at it, and put it right
    Memory {
        #[command(subcommand)]
        command: Memory,
    },
    /// Keep the secrets that tools may use
    Secrets {
        #[command(subcommand)]
        command: super::secrets::Secrets,
    },
    /// Show and rotate the root keys that everything stored is sealed under
    Keys {
        #[command(subcommand)]
        command: super::keys::Keys,
    },
    /// See which processes serve this database
    Nodes {
        #[command(subcommand)]
        command: super::nodes::Nodes,
    },
    /// Make tokens for those who ask over HTTP and WebSocket
    Token {
        #[command(subcommand)]
        command: Token,
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
    /// What this process does: answer requests, work on runs, start runs by schedule; without
    /// `api` it answers only for its health and its metrics [default: all]
    #[arg(long, value_delimiter = ',', value_enum)]
    pub(crate) role: Vec<Role>,
}

impl Serve {
    /// What the process does.
    pub(crate) fn roles(&self) -> Roles {
        match self.role.as_slice() {
            [] => Roles::all(),
            said => said.iter().map(|role| node::Role::from(*role)).collect(),
        }
    }

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

impl From<Role> for node::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Api => Self::Api,
            Role::Worker => Self::Worker,
            Role::Scheduler => Self::Scheduler,
        }
    }
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
    /// Stop it if it has not ended after this time, such as 30s or 5m
    #[arg(long, value_parser = span)]
    pub(crate) deadline: Option<Duration>,
    /// The most it may use, such as calls=20,micro_usd=500000; the stricter of this and the agent's
    #[arg(long, value_name = "AMOUNT=N,…")]
    pub(crate) budget: Option<Budget>,
}

/// Files and folders to take in.
#[derive(Debug, Args)]
pub(crate) struct Ingest {
    /// Files, or folders of them
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Only this agent will find them [default: every agent]
    #[arg(long)]
    pub(crate) agent: Option<AgentId>,
    /// Only show what would be new, changed and removed
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Keep what came from files of a folder that are gone
    #[arg(long)]
    pub(crate) keep_missing: bool,
    /// Take in what .gitignore and .ignore leave out too
    #[arg(long)]
    pub(crate) no_ignore: bool,
}

/// An emergency stop.
#[derive(Debug, Args)]
pub(crate) struct Stop {
    /// Why; kept
    #[arg(long)]
    pub(crate) reason: String,
    /// How long to wait until all is quiet, in seconds
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(0..=600))]
    pub(crate) within: u64,
}

/// The end of a stop.
#[derive(Debug, Args)]
pub(crate) struct Unstop {
    /// Why; kept
    #[arg(long)]
    pub(crate) reason: String,
}

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Sign a token with JWT_SECRET and print it
    #[command(after_help = "\
Roles: viewer looks; operator also starts and steers runs, calls tools and writes memory;
approver looks and decides on approvals; admin does all of that, and changes agents and tools.

Example:
  curl -H \"Authorization: Bearer $(l9-server token mint --subject person:ada --role operator)\" \\
    http://127.0.0.1:8000/runs")]
    Mint(TokenMint),
}

/// A token to make. Its tenant is the one of `--tenant`.
#[derive(Debug, Args)]
pub(crate) struct TokenMint {
    /// Whom it names, such as person:ada or service:ci
    #[arg(long)]
    pub(crate) subject: String,
    /// What they may do: viewer, operator, approver or admin; may be given again
    #[arg(long, required = true, value_delimiter = ',', value_name = "ROLE")]
    pub(crate) role: Vec<l9::principal::Role>,
    /// How long it is valid, such as 15m, 8h or 30d; at most 366d
    #[arg(long, default_value = "1h", value_parser = span)]
    pub(crate) ttl: Duration,
}

/// What can be done with the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Say whether it is sound
    Check,
    /// Every setting with its source; secrets redacted
    Show,
}

/// A span such as `90d`, `12h`, `30m` or `20s`.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no span: use 90d, 12h, 30m or 20s");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
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
