//! `plans`: check, carry out, show, edit, roll back and draw long plans.

use std::path::Path;

use l9::budget::Budget;
use l9::plan::{NodeState, Patch, Plan, PlanView, Target};
use l9::run::{Breakpoint, Command, Mode, Moment};
use l9::{RunId, Runtime, StartOptions};
use serde_json::{Value, json};

use super::arguments::{At, Drawing, Plans, PlansBreak, PlansPatch, PlansRun};
use super::context::Context;
use super::failure::{Exit, Failure};
use super::forecast;
use super::lifecycle::{drive, go_on, json_of, row_of, tell};
use crate::terminal::{Screen, Table, clip};

/// The most bytes of a plan's file.
const FILE_BYTES: u64 = 64 << 20;

/// Does what was asked with plans.
pub(super) async fn plans(context: &Context, command: Plans) -> Result<Exit, Failure> {
    let screen = context.screen;
    match command {
        Plans::Schema => {
            screen.object(&Plan::schema());
            Ok(Exit::Done)
        }
        Plans::Draw { file, format } => {
            let plan = Plan::parse(&text(&file)?)?;
            let drawn = match format {
                Drawing::Mermaid => plan.mermaid()?,
                Drawing::Dot => plan.dot()?,
            };
            screen.line(drawn.trim_end());
            Ok(Exit::Done)
        }
        Plans::Validate { file } => {
            let plan = Plan::parse(&text(&file)?)?;
            let runtime = context.open().await?;
            runtime.meet_servers().await;
            let forecast = runtime.engine().forecast(&runtime.principal(), &plan.value()?, Budget::default());
            let done = forecast.map(|forecast| forecast::show(screen, &forecast));
            runtime.shutdown().await;
            Ok(done?)
        }
        Plans::Run(asked) => {
            let plan = Plan::parse(&text(&asked.file)?)?;
            let runtime = context.open().await?;
            let done = Box::pin(run(&runtime, screen, &plan, &asked)).await;
            runtime.shutdown().await;
            done
        }
        other => {
            let runtime = context.open_existing().await?;
            let done = Box::pin(existing(&runtime, screen, other)).await;
            runtime.shutdown().await;
            done
        }
    }
}

async fn existing(runtime: &Runtime, screen: Screen, command: Plans) -> Result<Exit, Failure> {
    match command {
        Plans::Show { run } => show(runtime, screen, run).await,
        Plans::Patch(PlansPatch { run, file, expect, reason }) => {
            let patch: Patch = serde_saphyr::from_str(&text(&file)?)
                .map_err(|error| Failure::usage(format!("{} is no edit: {error}", file.display())))?;
            let patch = serde_json::to_value(patch).map_err(|error| Failure::failed(error.to_string()))?;
            let done = tell(runtime, run, Command::Patch { expected: expect, patch, reason }).await?;
            said(screen, run, done, "edited")
        }
        Plans::Break(PlansBreak { run, node, at, when, freeze, clear }) => {
            let at = match at {
                At::Before => Moment::Before,
                At::After => Moment::After,
                At::OnError => Moment::OnError,
            };
            let mode = if freeze { Mode::Freeze } else { Mode::Drain };
            let breakpoint = Breakpoint { node, at, when, mode };
            let done = tell(runtime, run, Command::Break { breakpoint, clear }).await?;
            said(screen, run, done, if clear { "without that breakpoint" } else { "given a breakpoint" })
        }
        Plans::Rollback(asked) => {
            let target = asked.to.map_or(Target::Start, Target::Node);
            Box::pin(roll_back(runtime, screen, asked.run, target, asked.reason)).await
        }
        Plans::Retry { run, reason } => Box::pin(roll_back(runtime, screen, run, Target::Failed, reason)).await,
        Plans::Validate { .. } | Plans::Run(_) | Plans::Draw { .. } | Plans::Schema => Ok(Exit::Done),
    }
}

/// The text of a plan's file; `-` stands for standard input.
pub(super) fn text(file: &Path) -> Result<String, Failure> {
    let unreadable = |why: String| Failure::usage(format!("{} cannot be read: {why}", file.display()));
    if file == Path::new("-") {
        return std::io::read_to_string(std::io::stdin().lock()).map_err(|error| unreadable(error.to_string()));
    }
    let size = std::fs::metadata(file).map_err(|error| unreadable(error.to_string()))?.len();
    if size > FILE_BYTES {
        return Err(unreadable(format!("it has {size} bytes, and at most {FILE_BYTES} are read")));
    }
    std::fs::read_to_string(file).map_err(|error| unreadable(error.to_string()))
}

async fn run(runtime: &Runtime, screen: Screen, plan: &Plan, asked: &PlansRun) -> Result<Exit, Failure> {
    let input = asked.input.as_ref().map_or(Ok(Value::Null), |text| json_of("--input", text))?;
    runtime.meet_servers().await;
    let principal = runtime.principal();
    let started = runtime.engine().start_plan(&principal, &plan.value()?, &input, StartOptions::default()).await?;
    if asked.detach {
        if screen.is_json() {
            screen.object(&json!({"run_id": started.run}));
        } else {
            screen.line(&started.run.to_string());
        }
        return Ok(Exit::Done);
    }
    go_on(runtime, screen, started, 0).await
}

async fn show(runtime: &Runtime, screen: Screen, run: RunId) -> Result<Exit, Failure> {
    let (row, state) = runtime.engine().show(&runtime.principal().tenant, run).await?;
    let view = PlanView::of(&state)?;
    if screen.is_json() {
        let mut object = json!(view);
        object["run_id"] = json!(run);
        object["state"] = json!(row.status);
        object["events"] = json!(row.head.next);
        object["head_hash"] = json!(row.head.hash);
        screen.object(&object);
        return Ok(Exit::Done);
    }
    let paint = screen.paint();
    screen.line(&format!("{}  {}, version {}", paint.strong(&format!("plan {}", view.name)), row.status, view.version));
    let mut table = Table::new(&["NODE", "KIND", "STATE", "TRIES", "WHY"]);
    for node in &view.nodes {
        let elements = node.elements.map(|(done, all)| format!(" {done}/{all}")).unwrap_or_default();
        table.row([
            screen.safe(&node.id),
            node.kind.clone(),
            format!("{}{elements}", node.state.as_str()),
            node.attempts.to_string(),
            screen.safe(&clip(node.why.as_deref().unwrap_or_default(), 100)),
        ]);
    }
    table.lines(paint).iter().for_each(|line| screen.line(line));
    let done = view.nodes.iter().filter(|node| node.state == NodeState::Succeeded).count();
    screen.line(&paint.faint(&format!("{done} of {} nodes succeeded", view.nodes.len())));
    Ok(Exit::Done)
}

/// Rolls a plan back: by a command while it goes on, by a run of its own once it has ended.
async fn roll_back(
    runtime: &Runtime,
    screen: Screen,
    run: RunId,
    target: Target,
    reason: String,
) -> Result<Exit, Failure> {
    let row = row_of(runtime, run).await?;
    if !row.status.is_closed() {
        return drive(runtime, screen, run, Command::RollBack { target, reason }, false).await;
    }
    let started = runtime.engine().roll_back(&runtime.principal(), run, &target).await?;
    if !screen.is_json() {
        screen.note(&format!("run {} shares the events of {run} and goes back from there: {reason}", started.run));
    }
    go_on(runtime, screen, started, row.head.next - 1).await
}

fn said(screen: Screen, run: RunId, done: bool, what: &str) -> Result<Exit, Failure> {
    if screen.is_json() {
        screen.object(&json!({"run_id": run, "done": done}));
    } else if done {
        screen.line(&format!("the plan of run {run} is {what}"));
    } else {
        screen.line(&format!("the plan of run {run} was asked to be {what}; whoever has it has not answered yet"));
    }
    Ok(Exit::Done)
}
