//! `schedules`: add, list, show, preview, pause, resume and remove.

use std::time::Duration;

use l9::Runtime;
use l9::id::ScheduleId;
use l9::plan::Plan;
use l9::schedule::{CronLine, Definition, Schedule, Target, When};
use serde_json::json;

use super::arguments::{Schedules, SchedulesAdd};
use super::context::Context;
use super::failure::{Exit, Failure};
use crate::http::schedules::{Shown, Ticks};
use crate::terminal::{Screen, Table, clip};

/// How many schedules are read at a time.
const PAGE: usize = 200;

/// Does what was asked with schedules.
pub(super) async fn schedules(context: &Context, command: Schedules) -> Result<Exit, Failure> {
    let screen = context.screen;
    let runtime = match &command {
        // Whoever makes the first one need not have a database yet; and agents are named.
        Schedules::Add(_) => context.open().await?,
        _ => context.open_existing().await?,
    };
    let done = match command {
        Schedules::Add(asked) => add(&runtime, screen, *asked).await,
        Schedules::List => list(&runtime, screen).await,
        Schedules::Show { id } => show(&runtime, screen, &id).await,
        Schedules::Preview { id, n } => preview(&runtime, screen, &id, n.into()).await,
        Schedules::Pause { id } => match runtime.schedules().pause(&runtime.principal(), &id).await {
            Ok(schedule) => changed(screen, schedule, "is paused"),
            Err(error) => Err(error.into()),
        },
        Schedules::Resume { id } => match runtime.schedules().resume(&runtime.principal(), &id).await {
            Ok(schedule) => changed(screen, schedule, "goes on"),
            Err(error) => Err(error.into()),
        },
        Schedules::Remove { id } => remove(&runtime, screen, &id).await,
    };
    runtime.shutdown().await;
    done
}

async fn add(runtime: &Runtime, screen: Screen, asked: SchedulesAdd) -> Result<Exit, Failure> {
    let id = asked.id.clone();
    if asked.tool.is_some() {
        runtime.meet_servers().await;
    }
    let made = runtime.schedules().add(&runtime.principal(), &id, definition(asked)?).await?;
    changed(screen, made, "is made")
}

/// What was asked for, as a schedule.
fn definition(asked: SchedulesAdd) -> Result<Definition, Failure> {
    let when = match (asked.cron, asked.every, asked.at) {
        (Some(line), _, _) => When::Cron(CronLine { line, zone: asked.zone.unwrap_or_else(|| "UTC".to_owned()) }),
        (_, Some(every), _) => When::EveryMs(millis(every)),
        (_, _, Some(at)) => When::At(at),
        _ => return Err(Failure::usage("say when: --cron, --every or --at")),
    };
    let starts = match (asked.agent, asked.tool, asked.plan) {
        (_, _, Some(file)) => {
            let plan = Plan::parse(&super::plans::text(&file)?)?.value()?;
            Target::Plan { plan, input: asked.given.unwrap_or_default() }
        }
        (Some(id), ..) => Target::Agent { id, input: asked.input.unwrap_or_default(), session: asked.session },
        (_, Some(id), _) => Target::Tool { id, arguments: asked.arguments.unwrap_or_default() },
        _ => return Err(Failure::usage("say what to start: --agent, --tool or --plan")),
    };
    Ok(Definition {
        catch_up: asked.catch_up,
        catch_up_limit: asked.catch_up_limit,
        overlap: asked.overlap,
        jitter_ms: asked.jitter.map(millis).unwrap_or_default(),
        start: asked.start,
        end: asked.end,
        budget: asked.budget.unwrap_or_default(),
        deadline_ms: asked.deadline.map(millis),
        ..Definition::new(when, starts)
    })
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn changed(screen: Screen, schedule: Schedule, what: &str) -> Result<Exit, Failure> {
    if screen.is_json() {
        screen.object(&Shown::of(schedule)?);
        return Ok(Exit::Done);
    }
    let next = match schedule.next()? {
        Some(next) => format!("; it is due at {next}, if somebody serves"),
        None => String::new(),
    };
    screen.line(&format!("schedule {} {what}{next}", schedule.id));
    Ok(Exit::Done)
}

async fn list(runtime: &Runtime, screen: Screen) -> Result<Exit, Failure> {
    let tenant = runtime.principal().tenant;
    let mut all: Vec<Schedule> = Vec::new();
    loop {
        let page = runtime.schedules().list(&tenant, all.last().map(|last| &last.id), PAGE).await?;
        let ended = page.len() < PAGE;
        all.extend(page);
        if ended {
            break;
        }
    }
    if screen.is_json() {
        screen.object(&all.into_iter().map(Shown::of).collect::<l9::Result<Vec<_>>>()?);
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["SCHEDULE", "WHEN", "STARTS", "NEXT", "LAST"]);
    for schedule in all {
        let next = match (&schedule.state.paused, schedule.next()?) {
            (Some(_), _) => "paused".to_owned(),
            (None, Some(next)) => next.to_string(),
            (None, None) => "over".to_owned(),
        };
        let last = schedule.state.recent.first().map_or("-", |tick| tick.outcome.as_str());
        table.row([
            schedule.id.to_string(),
            schedule.definition.when.to_string(),
            schedule.definition.starts.name(),
            next,
            last.to_owned(),
        ]);
    }
    if table.is_empty() {
        screen.line("no schedules");
    } else {
        table.lines(screen.paint()).iter().for_each(|line| screen.line(&screen.safe(line)));
    }
    Ok(Exit::Done)
}

async fn show(runtime: &Runtime, screen: Screen, id: &ScheduleId) -> Result<Exit, Failure> {
    let schedule = runtime.schedules().get(&runtime.principal().tenant, id).await?;
    if screen.is_json() {
        screen.object(&Shown::of(schedule)?);
        return Ok(Exit::Done);
    }
    let paint = screen.paint();
    let line = |name: &str, value: &str| {
        screen.line(&format!("{} {}", paint.faint(&format!("{name:<9}")), screen.safe(value)));
    };
    let Definition { when, starts, catch_up, overlap, .. } = &schedule.definition;
    line("schedule", schedule.id.as_str());
    line("when", &when.to_string());
    line("starts", &starts.name());
    match starts {
        Target::Agent { input, .. } => line("input", &clip(input, 500)),
        Target::Tool { arguments, .. } => line("arguments", &clip(&json!(arguments).to_string(), 500)),
        Target::Plan { input, .. } => line("given", &clip(&input.to_string(), 500)),
        _ => {}
    }
    line("late", json!(catch_up).as_str().unwrap_or_default());
    line("overlap", json!(overlap).as_str().unwrap_or_default());
    line("made", &format!("{} by {}", schedule.created_at, schedule.by.subject));
    match (&schedule.state.paused, schedule.next()?) {
        (Some(paused), _) => line("paused", &format!("since {} by {}", paused.at, paused.by)),
        (None, Some(next)) => line("next", &next.to_string()),
        (None, None) => line("next", "none: it is over"),
    }
    for tick in &schedule.state.pending {
        line("pending", &tick.to_string());
    }
    for tick in &schedule.state.recent {
        let rest = match (&tick.run, &tick.error) {
            (Some(run), _) => format!("run {run}"),
            (None, Some(error)) => clip(error, 200),
            (None, None) => String::new(),
        };
        line("tick", format!("{}  {}  {rest}", tick.tick, tick.outcome.as_str()).trim_end());
    }
    Ok(Exit::Done)
}

async fn preview(runtime: &Runtime, screen: Screen, id: &ScheduleId, count: usize) -> Result<Exit, Failure> {
    let schedule = runtime.schedules().get(&runtime.principal().tenant, id).await?;
    if screen.is_json() {
        screen.object(&Ticks::of(&schedule, count)?);
        return Ok(Exit::Done);
    }
    for (tick, at) in schedule.preview(count)? {
        let late = if at == tick { String::new() } else { format!(", carried out at {at}") };
        screen.line(&format!("{tick}{late}"));
    }
    Ok(Exit::Done)
}

async fn remove(runtime: &Runtime, screen: Screen, id: &ScheduleId) -> Result<Exit, Failure> {
    runtime.schedules().remove(&runtime.principal().tenant, id).await?;
    if screen.is_json() {
        screen.object(&json!({"removed": id}));
    } else {
        screen.line(&format!("schedule {id} is gone; its runs go on"));
    }
    Ok(Exit::Done)
}
