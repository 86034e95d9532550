//! `ingest`: files and folders into memory.

use std::path::PathBuf;

use l9::ingest::{Change, FileChange, Ingest, Options, Report};
use serde_json::json;

use super::arguments;
use super::context::Context;
use super::failure::{Exit, Failure};
use crate::terminal::{IngestProgress, Screen, count};

/// How many files that changed or were left out are named.
const NAMED: usize = 40;

/// Takes files and folders in.
pub(super) async fn ingest(context: &Context, arguments: &arguments::Ingest) -> Result<Exit, Failure> {
    let runtime = context.open_with(context.config.settings()?).await?;
    let options =
        Options { dry_run: arguments.dry_run, keep_missing: arguments.keep_missing, ignores: !arguments.no_ignore };
    let intake = runtime.intake().with_agent(arguments.agent.clone()).with_options(options);
    let reports = take_in(&intake, context.screen, &arguments.paths).await;
    runtime.shutdown().await;
    let reports = reports?;
    if context.screen.is_json() {
        let reports: Vec<_> = arguments
            .paths
            .iter()
            .zip(&reports)
            .map(|(path, report)| json!({"path": path, "report": report}))
            .collect();
        context.screen.object(&json!({"ingested": reports}));
    }
    Ok(Exit::Done)
}

/// Takes paths in, one after another, and says what came of each.
pub(super) async fn take_in(intake: &Ingest, screen: Screen, paths: &[PathBuf]) -> Result<Vec<Report>, Failure> {
    let mut reports = Vec::new();
    for path in paths {
        let progress = IngestProgress::new();
        let report = intake.path(path, &progress).await;
        progress.clear();
        let report = report?;
        let done = if report.dry_run { "would ingest" } else { "ingested" };
        screen.line(&format!("{done} {}: {}", path.display(), summary(&report)));
        if report.dry_run {
            let shown = report.changes.iter().map(change).collect::<Vec<_>>();
            named(&shown, |line| screen.line(&format!("  {}", screen.safe(line))));
        }
        let skipped = report.skipped.iter().map(|one| format!("left out {}: {}", one.path.display(), one.reason));
        named(&skipped.collect::<Vec<_>>(), |line| screen.note(&screen.safe(line)));
        reports.push(report);
    }
    Ok(reports)
}

fn named(lines: &[String], mut tell: impl FnMut(&str)) {
    lines.iter().take(NAMED).for_each(|line| tell(line));
    if lines.len() > NAMED {
        tell(&format!("and {} more: --json names them all", count((lines.len() - NAMED) as u64)));
    }
}

fn change(file: &FileChange) -> String {
    let word = match file.change {
        Change::New => "new",
        Change::Changed => "changed",
        Change::Renamed => "renamed",
        Change::Removed => "removed",
        _ => "other",
    };
    let from = file.from.as_ref().map(|from| format!(", before {}", from.display())).unwrap_or_default();
    format!("{word:<8} {}{from}", file.path.display())
}

fn summary(report: &Report) -> String {
    let plural = |number: u64, one: &str| format!("{} {one}{}", count(number), if number == 1 { "" } else { "s" });
    let mut parts = vec![plural(report.files as u64, "file"), plural(report.stored as u64, "new passage")];
    if report.unchanged > 0 {
        parts.push(format!("{} unchanged", plural(report.unchanged as u64, "file")));
    }
    for (change, word) in [(Change::Changed, "changed"), (Change::Renamed, "renamed"), (Change::Removed, "removed")] {
        let files = report.count(change) as u64;
        if files > 0 {
            parts.push(format!("{} {word}", plural(files, "file")));
        }
    }
    let old = report.replaced + report.removed;
    if old > 0 {
        parts.push(format!("{} gone", plural(old, "old passage")));
    }
    if report.ignored > 0 {
        parts.push(format!("{} ignored", count(report.ignored as u64)));
    }
    parts.join(", ")
}
