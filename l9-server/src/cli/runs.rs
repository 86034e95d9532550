//! `runs`: list, show, follow and cancel.

use std::time::Duration;

use l9::journal::{RunFilter, RunRow};
use l9::kernel::Advance as _;
use l9::queue::Task;
use l9::run::{EventView, RunOutcome, RunState, Subject};
use l9::{RunId, Runtime};
use serde_json::{Value, json};

use super::arguments::{Retention, Runs, RunsEvents, RunsList};
use super::context::Context;
use super::failure::{Exit, Failure};
use super::follow::cancel;
use super::lifecycle;
use super::run::{citations, usage};
use crate::standing::Standing;
use crate::terminal::{Screen, Table, clip, count, spending};

/// How long `cancel` waits for the run to close before it says that it will.
const PATIENCE: Duration = Duration::from_secs(5);

/// Does what was asked with runs.
pub(super) async fn runs(context: &Context, command: Runs) -> Result<Exit, Failure> {
    let runtime = context.open_existing().await?;
    let screen = context.screen;
    let done = match command {
        Runs::List(which) => list(&runtime, screen, &which).await,
        Runs::Show { run } => show(&runtime, screen, run).await,
        Runs::Events(which) => events(&runtime, screen, &which).await,
        Runs::Cancel { run, reason } => stop(&runtime, screen, run, &reason).await,
        Runs::Pause { run, reason } => lifecycle::pause(&runtime, screen, run, reason).await,
        Runs::Resume { run, reason, detach } => lifecycle::resume(&runtime, screen, run, reason, detach).await,
        Runs::Signal(asked) => lifecycle::signal(&runtime, screen, asked).await,
        Runs::Resolve(asked) => lifecycle::resolve(&runtime, screen, asked).await,
        Runs::Fork(asked) => lifecycle::fork(&runtime, screen, asked).await,
        Runs::Replay(asked) => lifecycle::replay(&runtime, screen, &asked).await,
        Runs::Restore { run, from } => lifecycle::restore(&runtime, screen, run, &from).await,
        Runs::Diff(asked) => lifecycle::diff(&runtime, screen, &asked).await,
    };
    runtime.shutdown().await;
    done
}

/// Drops what was kept long enough.
pub(super) async fn retention(context: &Context, command: &Retention) -> Result<Exit, Failure> {
    let runtime = context.open_existing().await?;
    let done = lifecycle::retention(&runtime, context.screen, command).await;
    runtime.shutdown().await;
    done
}

async fn list(runtime: &Runtime, screen: Screen, which: &RunsList) -> Result<Exit, Failure> {
    let filter = RunFilter { status: which.status, name: which.agent.clone(), ..RunFilter::default() };
    let rows = runtime.store().runs(&runtime.principal().tenant, &filter, which.limit.into()).await?;
    if screen.is_json() {
        screen.object(&rows.iter().map(summary).collect::<Vec<_>>());
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["RUN", "STATE", "KIND", "NAME", "EVENTS", "CREATED"]);
    for row in rows {
        table.row([
            row.run.to_string(),
            row.status.to_string(),
            row.kind,
            row.name,
            count(row.head.next),
            row.created_at.to_string(),
        ]);
    }
    if table.is_empty() {
        screen.line("no runs");
    } else {
        table.lines(screen.paint()).iter().for_each(|line| screen.line(line));
    }
    Ok(Exit::Done)
}

/// What an index row tells.
fn summary(row: &RunRow) -> Value {
    let agent = (row.kind == "agent").then_some(&row.name);
    let tool = (row.kind == "tool").then_some(&row.name);
    json!({
        "run_id": row.run,
        "state": row.status,
        "kind": row.kind,
        "agent": agent,
        "tool": tool,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "events": row.head.next,
        "head_hash": row.head.hash,
        "epoch": row.epoch,
    })
}

async fn show(runtime: &Runtime, screen: Screen, run: RunId) -> Result<Exit, Failure> {
    let (row, state) = runtime.engine().show(&runtime.principal().tenant, run).await?;
    let details = details(&row, &state);
    if screen.is_json() {
        screen.object(&details);
        return Ok(Exit::Done);
    }
    let paint = screen.paint();
    let line = |name: &str, value: &str| {
        screen.line(&format!("{} {}", paint.faint(&format!("{name:<9}")), screen.safe(value)))
    };
    line("run", &run.to_string());
    line("state", row.status.as_str());
    line(&row.kind, &row.name);
    line("created", &row.created_at.to_string());
    line("updated", &row.updated_at.to_string());
    line("events", &format!("{}, verified", count(row.head.next)));
    line("head", &row.head.hash.to_string());
    line("epoch", &row.epoch.to_string());
    line("spent", &spending(&state.spent));
    if let Some(limits) =
        state.created.as_ref().map(|created| created.budget.to_string()).filter(|text| !text.is_empty())
    {
        line("budget", &limits);
    }
    line("input", &clip(details["input"].as_str().unwrap_or_default(), 500));
    if let Some(cancel) = &state.cancel {
        line("stopped", &format!("{}: {}", cancel.by, clip(&cancel.reason, 200)));
    }
    let standing = Standing::of(&row, &state);
    if let Some(parent) = standing.parent {
        line("fork of", &parent.to_string());
    }
    for (what, mend) in standing.lines(run) {
        line("waits", &what);
        if !mend.is_empty() {
            line("", &mend);
        }
    }
    if let Some(code) = details["code"].as_str() {
        line("code", code);
        line("message", &clip(details["message"].as_str().unwrap_or_default(), 500));
    }
    let answer = &details["answer"];
    if !answer.is_null() {
        let text = answer.as_str().map_or_else(|| answer.to_string(), str::to_owned);
        screen.line(&format!("\n{}", screen.safe(&text)));
    }
    if let Some(RunOutcome::Succeeded { citations, .. }) = &state.closed {
        for citation in citations {
            let position =
                if citation.position.is_empty() { String::new() } else { format!(", {}", citation.position) };
            screen.line(&format!("  — {}", paint.name(&clip(&format!("{}{position}", citation.source), 200))));
        }
    }
    screen.line(&format!("\n{}", paint.faint(&format!("every event: l9-server runs events {run}"))));
    Ok(Exit::Done)
}

/// Everything about a run but its events.
fn details(row: &RunRow, state: &RunState) -> Value {
    let mut details = summary(row);
    let Some(created) = &state.created else { return details };
    let model = match &created.subject {
        Subject::Agent { profile, .. } => Some(&profile.model),
        _ => None,
    };
    details["input"] = state.shown(created.subject.input());
    details["model"] = json!(model);
    details["principal"] = json!(created.principal);
    details["session"] = json!(created.session);
    details["seed"] = json!(created.seed);
    details["label"] = json!(state.label);
    details["turns"] = json!(state.turn);
    details["waiting"] = json!(Standing::of(row, state));
    details["answer"] = Value::Null;
    details["citations"] = json!([]);
    details["budget"] =
        json!({"limit": created.budget, "spent": usage(&state.spent), "reserved": usage(&state.reserved)});
    match &state.closed {
        Some(RunOutcome::Succeeded { answer, citations: cited }) => {
            details["answer"] = json!(state.value(answer));
            details["citations"] = json!(citations(cited));
        }
        Some(RunOutcome::Failed { code, message }) => {
            details["code"] = json!(code);
            details["message"] = json!(message);
        }
        Some(RunOutcome::Cancelled { by, reason }) => {
            details["code"] = json!("cancelled");
            details["message"] = json!(reason);
            details["cancelled_by"] = json!(by);
        }
        _ => {}
    }
    details
}

async fn events(runtime: &Runtime, screen: Screen, which: &RunsEvents) -> Result<Exit, Failure> {
    let mut feed = runtime.engine().feed(&runtime.principal().tenant, which.run, which.from_seq).await?;
    if which.follow {
        // What another node appends is heard of at once.
        runtime.listen().await;
        while let Some((view, _)) = feed.next().await? {
            print(screen, &view);
        }
        return Ok(Exit::Done);
    }
    loop {
        let page = feed.page().await?;
        if page.is_empty() {
            return Ok(Exit::Done);
        }
        page.iter().for_each(|(view, _)| print(screen, view));
    }
}

fn print(screen: Screen, view: &EventView) {
    if screen.is_json() {
        return screen.json_line(view);
    }
    let paint = screen.paint();
    let hash: String = view.hash.to_string().chars().take(12).collect();
    let data = clip(&view.data.to_string(), 200);
    screen.line(&format!(
        "{:>5}  {}  {}  {:<16}  {data}",
        view.seq,
        view.at,
        paint.faint(&hash),
        paint.name(&view.kind)
    ));
}

async fn stop(runtime: &Runtime, screen: Screen, run: RunId, reason: &str) -> Result<Exit, Failure> {
    let tenant = runtime.principal().tenant;
    let row = lifecycle::row_of(runtime, run).await?;
    if row.status.is_closed() {
        return Err(Failure::failed(format!("run {run} has {} already: there is nothing to stop", row.status)));
    }
    runtime.listen().await;
    cancel(runtime, run, reason).await?;
    // Whoever has the run takes the command from its inbox; if nobody has, this process does.
    let task = Task { tenant: tenant.clone(), run, priority: row.priority };
    if let Err(error) = Box::pin(runtime.engine().advance(&task)).await {
        tracing::warn!(%run, %error, "the run was not closed here");
    }
    let deadline = runtime.clock().monotonic() + PATIENCE;
    loop {
        let row = runtime.store().run(&tenant, run).await?.unwrap_or_else(|| row.clone());
        let late = runtime.clock().monotonic() >= deadline;
        if row.status.is_closed() || late {
            if screen.is_json() {
                screen.object(&summary(&row));
            } else if late && !row.status.is_closed() {
                screen.line(&format!("run {run} was asked to stop; it is still {}", row.status));
            } else {
                screen.line(&format!("run {run} is {}", row.status));
            }
            return Ok(Exit::Done);
        }
        runtime.clock().sleep(Duration::from_millis(50)).await;
    }
}
