//! What is asked of the audit log.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use l9::RunId;

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
