//! `audit`: everything in the journal, checked again.
//!
//! A damaged or locked SQLite file, or one on a disk that cannot be written, is verified
//! over a copy: evidence is looked at, never touched.

use std::path::{Path, PathBuf};

use l9::evidence::Report;
use serde_json::json;

use super::arguments::Audit;
use super::context::Context;
use super::failure::{Exit, Failure};
use crate::config::Database;
use crate::terminal::{Screen, count};

/// Verifies the journal.
pub(super) async fn audit(context: &Context, command: &Audit) -> Result<Exit, Failure> {
    let Audit::Verify = command;
    let database = context.existing_database()?;
    let report = verify(context, &database).await?;
    show(context.screen, &report, &context.config.database_shown());
    Ok(if report.faults.is_empty() { Exit::Done } else { Exit::Failed })
}

async fn verify(context: &Context, database: &Database) -> Result<Report, Failure> {
    let first = match context.open_existing().await {
        Ok(runtime) => {
            let report = runtime.verify().await.map_err(Failure::from);
            runtime.shutdown().await;
            match report {
                Ok(report) => return Ok(report),
                Err(failure) => failure,
            }
        }
        Err(failure) => failure,
    };
    // A server's database is not for copying.
    let Database::File(file) = database else { return Err(first.during("the journal cannot be verified")) };
    tracing::info!("the database cannot be verified in place: {first}; trying a copy");
    match Box::pin(verify_copy(context, file)).await {
        Ok(report) => Ok(report),
        // What was wrong at first says more than what was wrong with the copy.
        Err(second) => {
            tracing::info!("the copy cannot be verified either: {second}");
            Err(first.during("the journal cannot be verified"))
        }
    }
}

async fn verify_copy(context: &Context, database: &Path) -> Result<Report, Failure> {
    let failed = |error: std::io::Error| Failure::failed(format!("{} cannot be copied: {error}", database.display()));
    let folder = tempfile::tempdir().map_err(failed)?;
    let copy = folder.path().join("l9.db");
    for suffix in ["", "-wal"] {
        let from = beside(database, suffix);
        if from.exists() {
            std::fs::copy(&from, beside(&copy, suffix)).map_err(failed)?;
        }
    }
    let writable = std::fs::metadata(&copy).map_err(failed)?.permissions();
    make_writable(&copy, writable).map_err(failed)?;
    let mut settings = context.config.settings()?;
    settings.database = Some(copy);
    settings.wasm.cache = Some(folder.path().join("compiled"));
    let runtime = context.open_with(settings).await?;
    let report = runtime.verify().await.map_err(Failure::from);
    runtime.shutdown().await;
    report
}

#[cfg(unix)]
fn make_writable(path: &Path, mut permissions: std::fs::Permissions) -> std::io::Result<()> {
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o600);
    std::fs::set_permissions(path, permissions)
}

#[cfg(not(unix))]
fn make_writable(path: &Path, mut permissions: std::fs::Permissions) -> std::io::Result<()> {
    permissions.set_readonly(false);
    std::fs::set_permissions(path, permissions)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn show(screen: Screen, report: &Report, database: &str) {
    if screen.is_json() {
        return screen.object(&json!({
            "ok": report.faults.is_empty(),
            "database": database,
            "runs": report.runs,
            "records": report.records,
            "faults": report.faults,
        }));
    }
    let paint = screen.paint();
    for fault in &report.faults {
        let place = fault.seq.map_or_else(|| "its row".to_owned(), |seq| format!("record {seq}"));
        screen.line(&format!(
            "{} tenant {}, run {}, {place}: {}",
            paint.bad("✗"),
            fault.tenant,
            fault.run_id,
            screen.safe(&fault.what)
        ));
    }
    let (runs, records) = (count(report.runs), count(report.records));
    if report.faults.is_empty() {
        screen.line(&format!("{} {records} records of {runs} runs verify in {database}", paint.good("✓")));
    } else {
        let faults = count(report.faults.len() as u64);
        screen.line(&format!(
            "{} {faults} faults beside {records} records of {runs} runs that verify, in {database}",
            paint.bad("✗")
        ));
        screen.line("restore the damaged runs from a backup; the other runs stand by themselves");
    }
}
