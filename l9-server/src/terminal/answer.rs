//! What a run ended with: the answer with its sources, and the receipt.

use l9::digest::Digest;
use l9::journal::Status;
use std::time::Duration;

use l9::{Cost, Ended, RunId};
use serde::Serialize;

use super::quantity::{count, duration, money, one_line};
use super::screen::Screen;

/// Proof of what a run did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Receipt {
    /// How many records its journal has.
    pub(crate) events: u64,
    /// The hash of the last record, which covers all before it.
    pub(crate) head_hash: Digest,
    /// The newest lease's number.
    pub(crate) epoch: u64,
    /// The database: its file, or its address.
    pub(crate) database: Option<String>,
    /// Whether every record was read again, opened and re-hashed just now.
    pub(crate) verified: bool,
    /// The signed checkpoint that covers the last record; null if none came in time.
    pub(crate) checkpoint: Option<Covered>,
}

/// A checkpoint, as a receipt names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Covered {
    /// The log.
    pub(crate) origin: String,
    /// How many records the tree had.
    pub(crate) size: u64,
    /// Its root.
    pub(crate) root: Digest,
}

/// Shows how a run ended. With `streamed` its words stand on the screen already.
pub(crate) fn show_answer(screen: Screen, ended: &Ended, streamed: bool) {
    let paint = screen.paint();
    if ended.status != Status::Succeeded {
        let code = ended.code.as_deref().unwrap_or("failed");
        screen.line(&format!("\n{} {}", paint.bad(&format!("{} ({code}):", ended.status)), screen.safe(&ended.text())));
        return;
    }
    if !streamed {
        screen.line(&format!("\n{}", screen.safe(&ended.text())));
    }
    if ended.citations.is_empty() {
        return;
    }
    screen.line(&format!("\n{}", paint.strong("Sources")));
    for (at, citation) in ended.citations.iter().enumerate() {
        let position = if citation.position.is_empty() { String::new() } else { format!(", {}", citation.position) };
        let place = one_line(&format!("{}{position}", citation.source));
        screen.line(&format!("  [{}] {}", at + 1, paint.name(&place)));
        screen.line(&format!("      {}", paint.faint(&format!("“{}”", one_line(&citation.quote)))));
    }
}

/// Shows the receipt.
pub(crate) fn show_receipt(screen: Screen, run: RunId, receipt: &Receipt, spent: &Cost) {
    let paint = screen.paint();
    let row = |name: &str, value: &str| screen.line(&format!("  {} {value}", paint.faint(&format!("{name:<10}"))));
    let state =
        if receipt.verified { paint.good("verified") } else { paint.bad("NOT verified: see `l9-server audit verify`") };
    screen.line(&format!("\n{}", paint.strong("Receipt")));
    row("run", &run.to_string());
    row("events", &format!("{}, {state}", count(receipt.events)));
    row("head", &receipt.head_hash.to_string());
    match &receipt.checkpoint {
        Some(Covered { origin, size, root }) => {
            row("checkpoint", &format!("{origin}, {} records, {root}", count(*size)))
        }
        None => row("checkpoint", &paint.warn("none yet: see `l9-server audit checkpoint`")),
    }
    if let Some(database) = &receipt.database {
        row("database", database);
    }
    row("spent", &spending(spent));
    row("look", &format!("l9-server runs show {run}"));
}

/// What a run used, in words.
pub(crate) fn spending(spent: &Cost) -> String {
    let mut parts = vec![if spent.calls == 1 { "1 call".to_owned() } else { format!("{} calls", count(spent.calls)) }];
    if spent.fuel > 0 {
        parts.push(format!("{} fuel", count(spent.fuel)));
    }
    if spent.tokens > 0 {
        parts.push(format!("{} tokens", count(spent.tokens)));
    }
    if spent.micro_usd > 0 {
        parts.push(money(spent.micro_usd));
    }
    if spent.time_ms > 0 {
        parts.push(duration(Duration::from_millis(spent.time_ms)));
    }
    if spent.egress_bytes > 0 {
        parts.push(format!("{} bytes sent", count(spent.egress_bytes)));
    }
    parts.join(", ")
}
