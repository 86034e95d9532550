//! What is asked of approvals.

use clap::{Args, Subcommand, ValueEnum};
use l9::id::ApprovalId;
use l9::run::Remember;

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
