//! What is asked of plans.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use l9::RunId;

/// What can be done with plans.
#[derive(Debug, Subcommand)]
pub(crate) enum Plans {
    /// Check a plan whole, and say what it would call, what policy says of it, and what it costs;
    /// nothing runs
    #[command(after_help = "\
Exit code 4 if policy denies a call as it is written, or the budget cannot suffice.")]
    Validate {
        /// The plan, in YAML or JSON
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Carry a plan out, to its end or its next stop
    #[command(after_help = "\
Examples:
  l9-server plans run examples/plans/release.yaml
  l9-server plans run research.yaml --input '{\"topic\": \"tides\"}' --json

Exit code 3 if it waits for a person: at a breakpoint, an approval or a signal.
`l9-server runs resume RUN --reason \"…\"` lets it go on from a breakpoint.")]
    Run(PlansRun),
    /// How a plan stands, node by node
    Show {
        /// The plan's run
        #[arg(value_name = "RUN")]
        run: RunId,
    },
    /// Edit the nodes of a running plan that have not begun
    #[command(after_help = "\
The file has nodes under `put`, which are added or take the place of those of their ids, and
ids under `remove`.

Example:
  l9-server plans patch RUN edit.yaml --expect 1 --reason \"one more check\"")]
    Patch(PlansPatch),
    /// Compensate what a plan did, the last first, and go back
    #[command(after_help = "\
Without --to everything is compensated, and memory goes back to the first checkpoint. To a
node: it and all that needs it begin anew. To a checkpoint: everything that does not lie before
it begins anew, with the memory of that time. The plan then waits for `runs resume`.
What has ended is not touched: another run that shares its events is rolled back.

Examples:
  l9-server plans rollback RUN --reason \"wrong version\"
  l9-server plans rollback RUN --to build --reason \"wrong version\"")]
    Rollback(PlansRollback),
    /// Try what failed in a plan again, with all that was skipped for it
    Retry {
        /// The plan's run
        #[arg(value_name = "RUN")]
        run: RunId,
        /// Why: journaled if the plan goes on, told if it has ended
        #[arg(long)]
        reason: String,
    },
    /// Set or clear a breakpoint
    Break(PlansBreak),
    /// Draw a plan
    Draw {
        /// The plan, in YAML or JSON
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// For which program
        #[arg(long, value_enum, default_value_t = Drawing::Mermaid)]
        format: Drawing,
    },
    /// The JSON Schema of plans
    Schema,
}

/// A plan to carry out.
#[derive(Debug, Args)]
pub(crate) struct PlansRun {
    /// The plan, in YAML or JSON
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// What it is given, as JSON: `${input.field}` within it
    #[arg(long, value_name = "JSON")]
    pub(crate) input: Option<String>,
    /// Leave it to whoever works next
    #[arg(long)]
    pub(crate) detach: bool,
}

/// An edit.
#[derive(Debug, Args)]
pub(crate) struct PlansPatch {
    /// The plan's run
    #[arg(value_name = "RUN")]
    pub(crate) run: RunId,
    /// The edit, in YAML or JSON
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The version that is edited, from `plans show`
    #[arg(long, value_name = "VERSION")]
    pub(crate) expect: u64,
    /// Why, for the journal
    #[arg(long)]
    pub(crate) reason: String,
}

/// A rollback.
#[derive(Debug, Args)]
pub(crate) struct PlansRollback {
    /// The plan's run
    #[arg(value_name = "RUN")]
    pub(crate) run: RunId,
    /// The node or checkpoint to go back to
    #[arg(long, value_name = "NODE")]
    pub(crate) to: Option<String>,
    /// Why: journaled if the plan goes on, told if it has ended
    #[arg(long)]
    pub(crate) reason: String,
}

/// A breakpoint.
#[derive(Debug, Args)]
pub(crate) struct PlansBreak {
    /// The plan's run
    #[arg(value_name = "RUN")]
    pub(crate) run: RunId,
    /// The node, or * for every node
    #[arg(value_name = "NODE")]
    pub(crate) node: String,
    /// When it stops
    #[arg(long, value_enum, default_value_t = At::Before)]
    pub(crate) at: At,
    /// Only if this is true then, such as '${test.failed} > 0'
    #[arg(long, value_name = "CONDITION")]
    pub(crate) when: Option<String>,
    /// Stop at once what may be repeated, rather than let it end
    #[arg(long)]
    pub(crate) freeze: bool,
    /// Clear it instead
    #[arg(long)]
    pub(crate) clear: bool,
}

/// When a breakpoint stops.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum At {
    /// Before the node begins
    Before,
    /// After it succeeded
    After,
    /// After it failed for good
    OnError,
}

/// For which program a plan is drawn.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Drawing {
    /// Mermaid's flowchart
    Mermaid,
    /// Graphviz's DOT
    Dot,
}
