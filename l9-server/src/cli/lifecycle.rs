//! `runs pause|resume|signal|resolve|fork|replay|diff` and `retention`: what is done with
//! a run besides starting and stopping it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use l9::archive::Folder;
use l9::entropy::SystemEntropy;
use l9::governor::Operation;
use l9::id::{CallId, CommandId};
use l9::journal::RunRow;
use l9::kernel::{Advance as _, Archive, Changes, Divergence, Started};
use l9::queue::Task;
use l9::run::{Command, CommandRequest, Resolution};
use l9::{RunId, Runtime};
use serde_json::{Value, json};

use super::arguments::{Resolved, Retention, RunsDiff, RunsFork, RunsReplay, RunsResolve, RunsSignal};
use super::failure::{Exit, Failure};
use super::follow::{Shown, follow_from, words_of};
use super::run::report;
use crate::terminal::{Screen, clip, count};

/// How long to wait for the run's owner to answer a command.
const PATIENCE: Duration = Duration::from_secs(5);

/// Holds a run; what it is doing ends first.
pub(super) async fn pause(runtime: &Runtime, screen: Screen, run: RunId, reason: String) -> Result<Exit, Failure> {
    let carried_out = tell(runtime, run, Command::Pause { reason }).await?;
    if screen.is_json() {
        screen.object(&json!({"run_id": run, "paused": carried_out}));
    } else if carried_out {
        screen.line(&format!("run {run} is paused; `l9-server runs resume {run} --reason \"…\"` lets it go on"));
    } else {
        screen.line(&format!("run {run} was asked to pause; whoever has it has not answered yet"));
    }
    Ok(Exit::Done)
}

/// Lets a paused run go on, to its end or its next stop.
pub(super) async fn resume(
    runtime: &Runtime,
    screen: Screen,
    run: RunId,
    reason: String,
    detach: bool,
) -> Result<Exit, Failure> {
    drive(runtime, screen, run, Command::Resume { reason }, detach).await
}

/// Sends what a wait waits for.
pub(super) async fn signal(runtime: &Runtime, screen: Screen, asked: RunsSignal) -> Result<Exit, Failure> {
    let RunsSignal { run, name, value, detach } = asked;
    let value = value.map_or(Ok(Value::Null), |text| json_of("--value", &text))?;
    drive(runtime, screen, run, Command::Signal { name, value }, detach).await
}

/// Decides what a write whose end nobody knows is taken for.
pub(super) async fn resolve(runtime: &Runtime, screen: Screen, asked: RunsResolve) -> Result<Exit, Failure> {
    let RunsResolve { run, call, verdict, value, reason, detach } = asked;
    if value.is_some() && verdict != Resolved::Happened {
        return Err(Failure::usage("--value says what an effect gave that happened")
            .with_help("leave it out, or say --as happened"));
    }
    let value = value.map_or(Ok(Value::Null), |text| json_of("--value", &text))?;
    let verdict = match verdict {
        Resolved::Happened => Resolution::Happened { value },
        Resolved::NotHappened => Resolution::NotHappened,
        Resolved::Unknown => Resolution::Unknown,
    };
    drive(runtime, screen, run, Command::Resolve { call, verdict, reason }, detach).await
}

/// Starts a run that shares another's past.
pub(super) async fn fork(runtime: &Runtime, screen: Screen, asked: RunsFork) -> Result<Exit, Failure> {
    let RunsFork { run: parent, at, model, instructions, tools, policy, result, detach } = asked;
    let policy = policy.map(|file| {
        let text = std::fs::read_to_string(&file);
        text.map_err(|error| Failure::usage(format!("{} cannot be read: {error}", file.display())))
    });
    let (tools, policy, results) = ((!tools.is_empty()).then_some(tools), policy.transpose()?, results(&result)?);
    let changes = Changes { model, instructions, tools, policy, results };
    let principal = runtime.principal();
    let started = runtime.engine().fork(&principal, parent, at, &changes, None).await?;
    if !screen.is_json() {
        screen.note(&format!("run {} shares the first {} events of {parent}", started.run, count(at)));
    }
    if detach {
        if screen.is_json() {
            screen.object(&json!({"run_id": started.run, "parent": parent, "at": at}));
        } else {
            screen.line(&started.run.to_string());
        }
        return Ok(Exit::Done);
    }
    go_on(runtime, screen, started, at).await
}

/// Derives a run again from its journal.
pub(super) async fn replay(runtime: &Runtime, screen: Screen, asked: &RunsReplay) -> Result<Exit, Failure> {
    let edits = results(&asked.result)?;
    let replayed = runtime.engine().replay(&runtime.principal().tenant, asked.run, &edits).await?;
    if screen.is_json() {
        screen.object(&replayed);
    } else {
        let so_far = format!("{} records, {} effects derived again", count(replayed.records), count(replayed.effects));
        match &replayed.divergence {
            None => screen.line(&format!("{so_far}: no divergence")),
            Some(Divergence { seq, call, recorded, derived }) => {
                let what = call.map(|call| format!(", effect {call}")).unwrap_or_default();
                screen.line(&format!("{so_far}, then the first divergence: record {seq}{what}"));
                screen.line(&format!("  recorded  {}", screen.safe(&clip(recorded, 400))));
                screen.line(&format!("  derived   {}", screen.safe(&clip(derived, 400))));
            }
        }
    }
    Ok(if replayed.divergence.is_none() { Exit::Done } else { Exit::Failed })
}

/// Says where two runs differ.
pub(super) async fn diff(runtime: &Runtime, screen: Screen, asked: &RunsDiff) -> Result<Exit, Failure> {
    let diff = runtime.engine().diff(&runtime.principal().tenant, asked.one, asked.other).await?;
    if screen.is_json() {
        screen.object(&diff);
        return Ok(Exit::Done);
    }
    screen.line(&format!("they share {} records and differ in {}", count(diff.shared), diff.differences.len()));
    let shown =
        |value: &Value| if value.is_null() { "—".to_owned() } else { screen.safe(&clip(&value.to_string(), 160)) };
    for difference in &diff.differences {
        screen.line(&screen.paint().name(&difference.what));
        screen.line(&format!("  - {}", shown(&difference.one)));
        screen.line(&format!("  + {}", shown(&difference.other)));
    }
    Ok(Exit::Done)
}

/// Empties the bodies of old runs.
pub(super) async fn retention(runtime: &Runtime, screen: Screen, asked: &Retention) -> Result<Exit, Failure> {
    let Retention::Run { older_than, archive, snapshots, dry_run } = asked;
    let folder = archive.as_ref().map(Folder::at);
    let archive = folder.as_ref().map(|folder| folder as &dyn Archive);
    if !dry_run {
        runtime.engine().parts().governor.may_administer(&runtime.principal(), Operation::Retention)?;
    }
    let tenant = runtime.principal().tenant;
    let done = runtime.audit().expire(&tenant, *older_than, *dry_run, archive).await?;
    let memory = runtime.memory().expire_snapshots(&tenant, *snapshots, *dry_run).await?;
    if screen.is_json() {
        screen.object(&json!({"dry_run": dry_run, "expired": done, "memory": memory}));
        return Ok(Exit::Done);
    }
    let (would, runs, records) = (if *dry_run { "would go" } else { "went" }, count(done.runs), count(done.records));
    screen.line(&format!("the bodies of {records} events of {runs} runs {would}; their chains and last states stay"));
    let (snapshots, entries, over) = (count(memory.snapshots), count(memory.entries), count(memory.short_term));
    screen.line(&format!("{snapshots} snapshots of memory {would}, and {entries} forgotten entries with them"));
    screen.line(&format!("{over} short-term entries {would}, whose time is over"));
    for (run, why) in &done.kept {
        screen.line(&format!("  kept {run}: {}", screen.safe(why)));
    }
    Ok(Exit::Done)
}

/// Brings an archived run back.
pub(super) async fn restore(runtime: &Runtime, screen: Screen, run: RunId, from: &Path) -> Result<Exit, Failure> {
    let records = runtime.engine().restore(&runtime.principal().tenant, run, &Folder::at(from)).await?;
    if screen.is_json() {
        screen.object(&json!({"run_id": run, "restored": records}));
    } else {
        screen.line(&format!("{} events of run {run} are back, each as its chain commits to it", count(records)));
    }
    Ok(Exit::Done)
}

/// Sends a command and follows the run to its end or its next stop.
pub(super) async fn drive(
    runtime: &Runtime,
    screen: Screen,
    run: RunId,
    command: Command,
    detach: bool,
) -> Result<Exit, Failure> {
    let (row, id) = post(runtime, run, command).await?;
    if detach {
        if screen.is_json() {
            screen.object(&json!({"run_id": run, "command_id": id}));
        } else {
            screen.line(&format!("run {run} goes on with whoever works next"));
        }
        return Ok(Exit::Done);
    }
    let exit = go_on_with(runtime, screen, &row).await?;
    match runtime.engine().verdict(&row.tenant, run, &id).await? {
        Some(Err(reason)) => Err(not_taken(run, &reason)),
        _ => Ok(exit),
    }
}

/// Follows a run that is there to its end or its next stop; if it was delegated, the run
/// that somebody began, which waits for it.
pub(super) async fn go_on_with(runtime: &Runtime, screen: Screen, row: &RunRow) -> Result<Exit, Failure> {
    let (mut first, mut state) = runtime.engine().show(&row.tenant, row.run).await?;
    while let Some(parent) = state.created.as_ref().and_then(|created| created.parent.as_ref()) {
        (first, state) = runtime.engine().show(&row.tenant, parent.run).await?;
    }
    // What came of the command is news, for the run that took it.
    let from = if first.run == row.run { row.head.next } else { first.head.next };
    go_on(runtime, screen, Started { run: first.run, existing: true }, from).await
}

pub(super) async fn go_on(runtime: &Runtime, screen: Screen, started: Started, from: u64) -> Result<Exit, Failure> {
    let words = words_of(runtime, started.run);
    runtime.start().await;
    Ok(match follow_from(runtime, screen, started, words, from).await? {
        Shown::Left => Exit::Interrupted,
        shown => report(screen, started.run, &shown),
    })
}

/// Puts a command into the inbox of a run; gives the run as it was before, and the
/// command's id.
async fn post(runtime: &Runtime, run: RunId, command: Command) -> Result<(RunRow, CommandId), Failure> {
    let principal = runtime.principal();
    let row = row_of(runtime, run).await?;
    let fresh = RunId::generate(runtime.clock().now(), &SystemEntropy, "");
    let id = CommandId::new(format!("command/{fresh}"))?;
    let request = CommandRequest { id: id.clone(), by: principal.subject, command };
    runtime.listen().await;
    runtime.engine().command(&principal.tenant, run, &request).await?;
    Ok((row, id))
}

/// Has a run take the commands that wait for it: whoever has the run does, and if nobody has,
/// this process.
pub(super) async fn take_commands(runtime: &Runtime, row: &RunRow) {
    // The one that has it hears of them at once.
    runtime.listen().await;
    let task = Task { tenant: row.tenant.clone(), run: row.run, priority: row.priority };
    if let Err(error) = Box::pin(runtime.engine().advance(&task)).await {
        tracing::warn!(run = %row.run, %error, "the run was not advanced here");
    }
}

/// Sends a command, has it carried out, and tells whether it was within a while.
pub(super) async fn tell(runtime: &Runtime, run: RunId, command: Command) -> Result<bool, Failure> {
    let (row, id) = post(runtime, run, command).await?;
    take_commands(runtime, &row).await;
    tokio::select! {
        answer = runtime.engine().answer(&row.tenant, run, &id) => match answer? {
            Ok(()) => Ok(true),
            Err(reason) => Err(not_taken(run, &reason)),
        },
        () = runtime.clock().sleep(PATIENCE) => Ok(false),
    }
}

fn not_taken(run: RunId, reason: &str) -> Failure {
    Failure::failed(format!("run {run} did not take the command: {reason}"))
}

/// The index row of a run that somebody named.
pub(super) async fn row_of(runtime: &Runtime, run: RunId) -> Result<RunRow, Failure> {
    let row = runtime.store().run(&runtime.principal().tenant, run).await?;
    row.ok_or_else(|| {
        Failure::usage(format!("run {run} does not exist")).with_help("`l9-server runs list` shows those there are")
    })
}

pub(super) fn json_of(name: &str, text: &str) -> Result<Value, Failure> {
    serde_json::from_str(text).map_err(|error| {
        Failure::usage(format!("{name} is not JSON: {error}"))
            .with_help("quote words for JSON and for the shell: '\"yes\"'")
    })
}

fn results(given: &[String]) -> Result<BTreeMap<CallId, Value>, Failure> {
    let one = |given: &String| {
        let (call, value) = given.split_once('=').ok_or_else(|| {
            Failure::usage(format!("--result {given:?} names no effect"))
                .with_help("write CALL=JSON, such as turn/1/tool/0={\"result\":\"42\"}")
        })?;
        Ok((call.parse::<CallId>()?, json_of("--result", value)?))
    };
    given.iter().map(one).collect()
}
