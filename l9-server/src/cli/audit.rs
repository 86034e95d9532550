//! `audit`: everything in the journal, checked again, and taken out as evidence.
//!
//! A damaged or locked SQLite file, or one on a disk that cannot be written, is verified
//! over a copy: evidence is looked at, never touched.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use l9::Runtime;
use l9::evidence::{Checkpoint, Report, SignedCheckpoint};
use serde_json::json;

use super::arguments::{Audit, AuditExport};
use super::context::Context;
use super::failure::{Exit, Failure};
use crate::config::Database;
use crate::terminal::{Screen, count};

/// Does what was asked with the audit log.
pub(super) async fn audit(context: &Context, command: &Audit) -> Result<Exit, Failure> {
    match command {
        Audit::Verify => {
            let database = context.existing_database()?;
            let report = verify(context, &database).await?;
            show(context.screen, &report, &context.config.database_shown());
            Ok(if report.is_whole() { Exit::Done } else { Exit::Failed })
        }
        Audit::Checkpoint { vkey } => {
            let runtime = context.open_existing().await?;
            let done = checkpoint(&runtime, context.screen, *vkey).await;
            runtime.shutdown().await;
            done
        }
        Audit::Export(asked) => {
            let runtime = context.open_existing().await?;
            let done = Box::pin(export(&runtime, context.screen, asked)).await;
            runtime.shutdown().await;
            done
        }
    }
}

/// Shows the newest checkpoint, or the key that verifies it.
async fn checkpoint(runtime: &Runtime, screen: Screen, vkey: bool) -> Result<Exit, Failure> {
    let key = runtime.audit().key().await?;
    if vkey {
        if screen.is_json() {
            screen.object(&json!({"vkey": key.to_string()}));
        } else {
            screen.line(&key.to_string());
        }
        return Ok(Exit::Done);
    }
    let Some(SignedCheckpoint { checkpoint, note }) = runtime.audit().checkpoint().await? else {
        return Err(Failure::failed("there is no checkpoint yet").with_help("the first run brings one"));
    };
    if screen.is_json() {
        let Checkpoint { origin, size, root, at, .. } = checkpoint;
        let object =
            json!({"origin": origin, "size": size, "root": root, "at": at, "note": note, "vkey": key.to_string()});
        screen.object(&object);
    } else {
        screen.words(&note);
    }
    Ok(Exit::Done)
}

/// Writes the evidence of a run.
async fn export(runtime: &Runtime, screen: Screen, asked: &AuditExport) -> Result<Exit, Failure> {
    let key = runtime.audit().key().await?;
    let mut from = Vec::new();
    for path in &asked.from_head {
        let note = std::fs::read_to_string(path)
            .map_err(|error| Failure::usage(format!("{} cannot be read: {error}", path.display())))?;
        let head = SignedCheckpoint::open(key, &note).map_err(|error| {
            Failure::usage(format!("{} is no checkpoint of this log: {error}", path.display()))
                .with_help("`l9-server audit checkpoint` prints one")
        })?;
        from.push(head.checkpoint.size);
    }
    let bundle = runtime.audit().export(&runtime.principal().tenant, asked.run, &from).await?;
    let to_stream = asked.output.as_os_str() == "-";
    let written = if to_stream {
        std::io::stdout().lock().write_all(&bundle.bytes)
    } else {
        private(&asked.output).and_then(|mut file| file.write_all(&bundle.bytes))
    };
    written.map_err(|error| Failure::failed(format!("{} cannot be written: {error}", asked.output.display())))?;
    let Checkpoint { origin, size, root, at, .. } = bundle.checkpoint.checkpoint;
    if to_stream {
        return Ok(Exit::Done);
    }
    if screen.is_json() {
        screen.object(&json!({
            "run_id": asked.run,
            "output": asked.output,
            "bytes": bundle.bytes.len(),
            "records": bundle.records,
            "expired": bundle.expired,
            "checkpoint": {"origin": origin, "size": size, "root": root, "at": at},
        }));
    } else {
        let (records, size) = (count(bundle.records), count(size));
        let file = asked.output.display();
        screen.line(&format!(
            "{records} records of run {}, proved against the checkpoint over {size}, in {file}",
            asked.run
        ));
        screen.line(&screen.paint().faint(&format!("l9-verify {file} --vkey '{key}'")));
    }
    Ok(Exit::Done)
}

/// A file that only its owner reads: it holds the run's words.
fn private(path: &Path) -> std::io::Result<std::fs::File> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
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
            "ok": report.is_whole(),
            "database": database,
            "runs": report.runs,
            "records": report.records,
            "faults": report.faults,
            "tree": report.tree,
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
    let tree = report.tree.clone().unwrap_or_default();
    for fault in &tree.faults {
        screen.line(&format!("{} tree: {}", paint.bad("✗"), screen.safe(fault)));
    }
    if let (Some(root), Some(at), true) = (tree.root, tree.at, tree.faults.is_empty()) {
        let size = count(tree.size);
        screen.line(&format!(
            "{} the tree over {size} records has the root of the checkpoint of {at}: {root}",
            paint.good("✓")
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
