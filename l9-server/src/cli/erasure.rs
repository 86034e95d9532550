//! `memory erase`: everything that is kept of a data subject, for good.

use clap::Args;
use l9::erasure::{Erased, Erasing};
use l9::governor::Operation;
use serde_json::json;

use super::context::Context;
use super::failure::{Exit, Failure};
use crate::terminal::{Screen, count};

/// How many ids are shown.
const SHOWN: usize = 20;

/// Whom to erase.
#[derive(Debug, Args)]
pub(crate) struct Erase {
    /// The data subject, as entries name it in `subject`
    #[arg(value_name = "SUBJECT")]
    subject: String,
    /// Why, in words; the signed statements commit to it
    #[arg(long)]
    reason: String,
    /// Also the runs and entries that only mention the name, as whole words in any case
    #[arg(long)]
    mentions: bool,
    /// Only tell what would go
    #[arg(long)]
    dry_run: bool,
}

/// Erases a data subject.
pub(super) async fn erase(context: &Context, asked: Erase) -> Result<Exit, Failure> {
    let runtime = context.open_existing().await?;
    let principal = runtime.principal();
    let Erase { subject, reason, mentions, dry_run } = asked;
    let allowed = runtime.engine().parts().governor.may_administer(&principal, Operation::Erase);
    let asked = Erasing { subject, by: principal.subject, reason, mentions, dry: dry_run };
    let done = match allowed {
        Ok(()) => runtime.erase(&principal.tenant, &asked).await,
        Err(refused) => Err(refused),
    };
    runtime.shutdown().await;
    show(context.screen, &done?, dry_run);
    Ok(Exit::Done)
}

fn show(screen: Screen, erased: &Erased, dry: bool) {
    if screen.is_json() {
        screen.object(&json!({"dry_run": dry, "erased": erased}));
        return;
    }
    let would = if dry { "would be erased" } else { "are erased" };
    let (memories, runs) = (count(erased.memories), count(erased.runs.len() as u64));
    screen.line(&format!("{memories} memories {would}, and the records of {runs} runs; their chains stay"));
    for statement in &erased.statements {
        screen.line(statement.trim_end());
    }
    let residue = &erased.residue;
    if residue.is_clean() {
        screen.line("the name stands nowhere else in what is kept");
        return;
    }
    let runs = residue.runs.iter().map(|run| format!("run {run}"));
    let memories = residue.memories.iter().map(|id| format!("memory {id}"));
    let quarantines = residue.quarantines.iter().map(|id| format!("quarantine {id}"));
    let snapshots = residue.snapshots.iter().map(|id| format!("snapshot {id} of memory"));
    let places: Vec<String> = runs.chain(memories).chain(quarantines).chain(snapshots).collect();
    list(screen, "the name still stands in:", &places);
    list(screen, "what could not be read, and nobody knows of:", &residue.unread);
    if !(residue.runs.is_empty() && residue.memories.is_empty()) {
        screen.note("--mentions erases the runs and memories too");
    }
}

fn list(screen: Screen, title: &str, places: &[String]) {
    if places.is_empty() {
        return;
    }
    screen.line(title);
    places.iter().take(SHOWN).for_each(|place| screen.line(&format!("  {place}")));
    if places.len() > SHOWN {
        screen.line(&format!("  and {} more: --json shows all", count((places.len() - SHOWN) as u64)));
    }
}
