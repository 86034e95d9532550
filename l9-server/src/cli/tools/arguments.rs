//! What can be said after `tools`. The comments are the help texts.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use l9::Budget;
use l9::tool::ToolName;

/// What can be done with tools.
#[derive(Debug, Subcommand)]
pub(crate) enum Tools {
    /// The tools there are, every version with its state
    List,
    /// A tool's whole contract, what it may do in words, and what was decided about it
    Inspect(ToolsInspect),
    /// Make manifests of what describes a service
    Import {
        #[command(subcommand)]
        command: super::import::Import,
    },
    /// Call a tool, as a run of its own
    Call {
        /// The tool, such as calc/evaluate or calc/evaluate@1.0.2
        tool: ToolName,
        /// The arguments as JSON; `-` reads them from standard input
        arguments: String,
        /// The most the call may use, such as time_ms=2000,egress_bytes=65536
        #[arg(long, value_name = "AMOUNT=N,…")]
        budget: Option<Budget>,
    },
    /// Sign a manifest; the signature stands in MANIFEST.sig beside it
    #[command(after_help = "\
The key's file has 64 hex digits and is its owner's alone. Whoever runs the tool lists the
verifying key that is printed in tools.trusted_keys.

Examples:
  l9-server tools sign tools/notes.yaml --key release.key --create
  l9-server tools sign tools/notes.yaml --key release.key")]
    Sign(ToolsSign),
    /// Let a version be called: one that waits, or one that was disabled
    #[command(after_help = "\
Examples:
  l9-server tools accept files/read --reason \"read the new description\"
  l9-server tools accept notes/add@1.2.0 --reason \"back to the version before\"")]
    Accept(ToolsDecide),
    /// Let nothing call a tool until it is accepted again; running runs are refused too
    Disable(ToolsDecide),
    /// Let nothing call a version ever again
    Revoke(ToolsDecide),
}

/// Which contract to show.
#[derive(Debug, Args)]
pub(crate) struct ToolsInspect {
    /// The tool, such as calc/evaluate or calc/evaluate@1.0.2
    #[arg(required_unless_present = "schema")]
    pub(crate) tool: Option<ToolName>,
    /// The JSON Schema of manifests instead
    #[arg(long, conflicts_with = "tool")]
    pub(crate) schema: bool,
}

/// What to sign, and with which key.
#[derive(Debug, Args)]
pub(crate) struct ToolsSign {
    /// The manifest, in YAML or JSON
    pub(crate) manifest: PathBuf,
    /// The file of the key that signs
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// Make the key if the file is not there
    #[arg(long)]
    pub(crate) create: bool,
    /// Where to write the signature [default: MANIFEST.sig]
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// What to decide about, and why.
#[derive(Debug, Args)]
pub(crate) struct ToolsDecide {
    /// The tool, such as notes/add, or one version of it, such as notes/add@1.2.0
    pub(crate) tool: ToolName,
    /// The contract's hash in hex, or its beginning, to name one exactly
    #[arg(long, value_name = "HASH")]
    pub(crate) contract: Option<String>,
    /// Why; kept and stated under the audit log's signature
    #[arg(long)]
    pub(crate) reason: String,
}
