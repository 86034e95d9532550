//! `ingest`: files and folders into memory.

use std::path::PathBuf;
use std::sync::Arc;

use l9::ingest::{Ingest, Report};
use l9::{AgentId, Runtime};
use serde_json::json;

use super::arguments;
use super::context::Context;
use super::failure::{Exit, Failure};
use crate::terminal::{IngestProgress, Screen, count};

/// Takes files and folders in.
pub(super) async fn ingest(context: &Context, arguments: &arguments::Ingest) -> Result<Exit, Failure> {
    let runtime = context.open_with(context.config.settings()?).await?;
    let reports = take_in(&runtime, context.screen, &arguments.paths, arguments.agent.as_ref()).await;
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
pub(super) async fn take_in(
    runtime: &Runtime,
    screen: Screen,
    paths: &[PathBuf],
    agent: Option<&AgentId>,
) -> Result<Vec<Report>, Failure> {
    let intake = Ingest::new(Arc::clone(runtime.memory()), runtime.principal().tenant).with_agent(agent.cloned());
    let mut reports = Vec::new();
    for path in paths {
        let progress = IngestProgress::new();
        let report = intake.path(path, &progress).await;
        progress.clear();
        let report = report?;
        screen.line(&format!("ingested {}: {}", path.display(), summary(&report)));
        for skipped in &report.skipped {
            screen.note(&format!("left out {}: {}", skipped.path.display(), skipped.reason));
        }
        reports.push(report);
    }
    Ok(reports)
}

fn summary(report: &Report) -> String {
    let plural = |number: u64, one: &str| format!("{} {one}{}", count(number), if number == 1 { "" } else { "s" });
    let mut parts = vec![plural(report.files as u64, "file"), plural(report.stored as u64, "new passage")];
    if report.unchanged > 0 {
        parts.push(format!("{} unchanged", plural(report.unchanged as u64, "file")));
    }
    if report.replaced > 0 {
        parts.push(format!("{} replaced", plural(report.replaced, "old passage")));
    }
    parts.join(", ")
}
