//! What is asked of memory.

use clap::{Args, Subcommand};
use l9::AgentId;
use l9::time::Timestamp;

use crate::cli::curation::Curation;
use crate::cli::erasure::Erase;

/// What can be asked of memory.
#[derive(Debug, Subcommand)]
pub(crate) enum Memory {
    /// The entries that answer a question best
    Search(MemorySearch),
    #[command(flatten)]
    Curate(Curation),
    /// Erase a data subject: memories about it, its key, and what runs recorded of them
    #[command(after_help = "\
What is about a subject is what names it: `subject` of an entry, and of memory/remember. Whatever
was derived from that goes too, whatever snapshots stand, and the records of every run that read
or wrote it are emptied. Chains and checkpoints stay, and say under the log's signature what went.

Example:
  l9-server memory erase \"ada@example.org\" --reason \"she asked for it\" --dry-run")]
    Erase(Erase),
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
    /// List near duplicates by themselves, and not with the best of them
    #[arg(long)]
    pub(crate) duplicates: bool,
    /// Only what was known at that time, such as 2026-05-01T00:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) as_of: Option<Timestamp>,
    /// Only what was true then, as far as it is known
    #[arg(long, value_name = "TIME")]
    pub(crate) valid_at: Option<Timestamp>,
}
