//! What can be said on the command line. The comments are the help texts.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use l9::id::{ApprovalId, CallId, TenantId};
use l9::journal::Status;
use l9::model::ModelName;
use l9::run::Remember;
use l9::time::Timestamp;
use l9::tool::ToolName;
use l9::{AgentId, Budget, RunId};
use serde_json::{Value, json};

use super::curation::Curation;
use super::tools::Tools;

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
    /// List and decide the questions that wait for a person
    Approvals {
        #[command(subcommand)]
        command: Approvals,
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

/// What can be done with approvals.
#[derive(Debug, Subcommand)]
pub(crate) enum Approvals {
    /// The questions that wait for a decision, and why each is asked
    List,
    /// Let an effect happen, as it was asked for or with other arguments
    #[command(after_help = "\
Examples:
  l9-server approvals approve RUN.1 --reason \"the address is right\"
  l9-server approvals approve RUN.1 --args '{\"to\": \"ada@orchard.example\"}' --reason \"the right one\"
  l9-server approvals approve RUN.1 --remember run --reason \"all of them\"")]
    Approve(Approve),
    /// Do not let an effect happen; the agent is told
    Reject(Reject),
}

/// An approval.
#[derive(Debug, Args)]
pub(crate) struct Approve {
    /// The question, as `approvals list` names it
    #[arg(value_name = "ID")]
    pub(crate) id: ApprovalId,
    /// The whole arguments to execute instead, as JSON
    #[arg(long, value_name = "JSON")]
    pub(crate) args: Option<String>,
    /// Why, for the journal
    #[arg(long)]
    pub(crate) reason: String,
    /// What else it holds for in the same run
    #[arg(long, value_enum, default_value_t = Reach::Once)]
    pub(crate) remember: Reach,
    /// Leave the run to whoever works next
    #[arg(long)]
    pub(crate) detach: bool,
}

/// What an approval holds for besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Reach {
    /// Nothing else
    Once,
    /// Calls of the same tool with the same consequential arguments
    Class,
    /// Calls of the same tool that no further source has a part in
    Provenance,
    /// Calls of the same tool
    Run,
}

impl From<Reach> for Remember {
    fn from(reach: Reach) -> Self {
        match reach {
            Reach::Once => Self::Once,
            Reach::Class => Self::Class,
            Reach::Provenance => Self::Provenance,
            Reach::Run => Self::Run,
        }
    }
}

/// A rejection.
#[derive(Debug, Args)]
pub(crate) struct Reject {
    /// The question, as `approvals list` names it
    #[arg(value_name = "ID")]
    pub(crate) id: ApprovalId,
    /// Why, for the journal and the agent
    #[arg(long)]
    pub(crate) reason: String,
    /// Leave the run to whoever works next
    #[arg(long)]
    pub(crate) detach: bool,
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
    /// old snapshots of memory with what only they kept
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

/// A span such as `90d`, `12h`, `30m` or `20s`.
fn span(text: &str) -> Result<Duration, String> {
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

/// What can be asked of the policy.
#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// Judge the calls of a trace, with the labels that its results bring
    #[command(after_help = "\
A trace has JSON lines: a session with its prompt, principal and tools, then calls and results.
With --json there is one line a call: session, call, decision and reasons.

Example:
  l9-server policy simulate trace.jsonl --json | jq -c 'select(.decision != \"allow\")'")]
    Simulate(PolicySimulate),
    /// Find what is wrong or idle in policies: exit code 0 if nothing is found, 1 if something
    /// is, 2 if they cannot be used
    #[command(after_help = "\
Without a path it checks the configured policies, or those that come with L9.

Examples:
  l9-server policy check policies/
  l9-server policy check --json | jq '.problems[] | {kind, file, line, message}'")]
    Check(PolicyCheck),
    /// Ask a candidate about every recorded decision: exit code 1 if it allows what was denied
    /// and nobody explained why
    #[command(after_help = "\
A change is explained by a line `TOOL why` of the file given with --explain (a tool may end
with `*`), or by the annotation @explains(\"why\") of the policy that decides.

Example:
  l9-server policy diff --candidate policies/ --since 30d --json | jq '.changes[]'")]
    Diff(PolicyDiff),
    /// What policies may speak of, in Cedar's schema language
    Schema,
    /// The policies that come with L9
    Defaults(PolicyDefaults),
}

/// What to check.
#[derive(Debug, Args)]
pub(crate) struct PolicyCheck {
    /// Files, or folders of files that end with .cedar
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
}

/// What to ask again.
#[derive(Debug, Args)]
pub(crate) struct PolicyDiff {
    /// The policies that might decide from now on: a file, or a folder
    #[arg(long, value_name = "PATH")]
    pub(crate) candidate: PathBuf,
    /// Only what was decided within this time, such as 30d, 12h or 90m
    #[arg(long, value_name = "TIME", value_parser = span)]
    pub(crate) since: Option<Duration>,
    /// Lines of a tool or model and why it is allowed from now on
    #[arg(long, value_name = "FILE")]
    pub(crate) explain: Option<PathBuf>,
}

/// Which policies to show.
#[derive(Debug, Args)]
pub(crate) struct PolicyDefaults {
    /// Of which deployment: local, staging or production
    #[arg(long, default_value = "local")]
    pub(crate) profile: String,
}

/// What to judge.
#[derive(Debug, Args)]
pub(crate) struct PolicySimulate {
    /// The trace; `-` reads it from standard input
    #[arg(value_name = "TRACE")]
    pub(crate) trace: PathBuf,
    /// Policies to judge by instead of the default: a file, or a folder
    #[arg(long, value_name = "PATH")]
    pub(crate) policy: Option<PathBuf>,
}

/// What can be checked, and handed to others to check.
#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Re-hash and open every record of every run, and rebuild the tree over them; exit
    /// code 1 if anything does not verify
    Verify,
    /// The newest signed checkpoint of the tree over all records
    #[command(after_help = "\
Keep one where nobody who can write the database can change it: what was recorded up to then
cannot be altered or cut unnoticed any more.

Examples:
  l9-server audit checkpoint > head.note
  l9-server audit checkpoint --vkey")]
    Checkpoint {
        /// The key that verifies checkpoints, instead
        #[arg(long)]
        vkey: bool,
    },
    /// Write the evidence of a run, for `l9-verify` and others to check without this database
    #[command(after_help = "\
The file holds the run's words in clear.

Examples:
  l9-server audit export RUN --output run.evidence
  l9-verify run.evidence --vkey \"$(l9-server audit checkpoint --vkey)\" --trusted-head head.note")]
    Export(AuditExport),
}

/// Which evidence.
#[derive(Debug, Args)]
pub(crate) struct AuditExport {
    /// The run
    #[arg(value_name = "RUN")]
    pub(crate) run: RunId,
    /// The file to write; `-` writes to standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Prove that the log continues this checkpoint; may be given again [default: the newest
    /// ones]
    #[arg(long, value_name = "FILE")]
    pub(crate) from_head: Vec<PathBuf>,
}

/// What can be asked of memory.
#[derive(Debug, Subcommand)]
pub(crate) enum Memory {
    /// The entries that answer a question best
    Search(MemorySearch),
    #[command(flatten)]
    Curate(Curation),
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
    /// Say of each entry why it was found
    #[arg(long)]
    pub(crate) explain: bool,
    /// Only what was known at that time, such as 2026-05-01T00:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) as_of: Option<Timestamp>,
    /// Only what was true then, as far as it is known
    #[arg(long, value_name = "TIME")]
    pub(crate) valid_at: Option<Timestamp>,
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
