//! `policy check`: what is wrong or idle in policies. Exit code 1 if anything is found, 2 if
//! they cannot be used or read.

use l9::governor::cedar::{self, Report, defaults, source};
use l9::tool::{Manifest, ToolRegistry as _};

use crate::cli::arguments::{Global, PolicyCheck};
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};
use crate::terminal::{Screen, count};

/// Checks files and folders, or what is configured if none is named.
pub(super) async fn check(global: &Global, asked: &PolicyCheck) -> Result<Exit, Failure> {
    let context = Context::load(global, &[], "warn")?;
    let mut settings = context.config.settings()?;
    let sources = match (asked.paths.as_slice(), settings.policy_dir.take()) {
        ([], None) => defaults::sources(&settings.policy_profile)?,
        ([], Some(configured)) => source::read(&configured)?,
        (paths, _) => source::read_all(paths)?,
    };
    // The tools are those of this configuration; its database is left alone.
    settings.storage = l9::Storage::InMemory;
    let runtime = context.open_with(settings).await?;
    let tools: Vec<Manifest> =
        runtime.registry().list(&context.tenant).iter().map(|tool| tool.manifest.clone()).collect();
    runtime.shutdown().await;
    let report = cedar::check(sources, &tools)?;
    show(context.screen, &report);
    Ok(match (report.is_broken(), report.problems.is_empty()) {
        (true, _) => Exit::Usage,
        (false, false) => Exit::Failed,
        (false, true) => Exit::Done,
    })
}

fn show(screen: Screen, report: &Report) {
    if screen.is_json() {
        return screen.object(report);
    }
    let Report { policies, requests, problems } = report;
    for problem in problems {
        let mend = problem.mend.as_deref().map(|mend| format!("\n  {mend}")).unwrap_or_default();
        let place = format!("{}:{}:{}", problem.file, problem.line, problem.column);
        screen.line(&format!("{place}: {}{mend}", screen.safe(&problem.message)));
    }
    let (policies, requests) = (count(*policies as u64), count(*requests as u64));
    let found = match problems.len() {
        0 => "nothing found".to_owned(),
        found => format!("{} found", count(found as u64)),
    };
    screen.line(&format!("{policies} policies, {requests} requests asked, {found}"));
}
