//! What is asked of the policy.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::span;

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
