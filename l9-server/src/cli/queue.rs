//! `queue depth|dead|redrive`: what waits to be advanced, what was given up, and its second
//! chance.

use clap::Subcommand;
use l9::kernel::Dead;
use l9::stop::Scope;
use l9::{QueuePlace, QueueStatus, RunId, Runtime, TenantId};
use serde_json::json;

use super::context::Context;
use super::failure::{Exit, Failure};
use crate::terminal::{Screen, Table, clip, count};

/// What can be asked of the queue.
#[derive(Debug, Subcommand)]
pub(crate) enum Queue {
    /// How many tasks wait and are claimed, and how many runs were given up
    ///
    /// Of all tenants, or of the one of --tenant. Without Redis every process has a queue of its
    /// own: this tells what the database knows.
    Depth,
    /// The runs that were given up, and why
    Dead,
    /// Have runs that were given up advanced again
    Redrive {
        /// The run; all that are dead with --all
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        run: Option<RunId>,
        /// Every run that was given up
        #[arg(long)]
        all: bool,
    },
}

/// Does what was asked, for all tenants or one.
pub(super) async fn queue(context: &Context, scope: &Scope, command: Queue) -> Result<Exit, Failure> {
    let runtime = context.open_existing().await?;
    let tenant = match scope {
        Scope::All => None,
        Scope::Tenant(tenant) => Some(tenant),
    };
    let done = act(&runtime, context.screen, tenant, command).await;
    runtime.shutdown().await;
    done.map(|()| Exit::Done)
}

async fn act(runtime: &Runtime, screen: Screen, tenant: Option<&TenantId>, command: Queue) -> Result<(), Failure> {
    match command {
        Queue::Depth => depth(screen, &runtime.queue_status(tenant).await?),
        Queue::Dead => dead(screen, &runtime.engine().dead(tenant, usize::MAX).await?),
        Queue::Redrive { run, .. } => {
            let dead = runtime.engine().dead(tenant, usize::MAX).await?;
            let wanted: Vec<Dead> = dead.into_iter().filter(|dead| run.is_none_or(|run| dead.run == run)).collect();
            if let Some(run) = run.filter(|_| wanted.is_empty()) {
                return Err(Failure::usage(format!("run {run} is not among the dead"))
                    .with_help("`l9-server queue dead` lists those that are"));
            }
            for Dead { tenant, run, .. } in &wanted {
                runtime.engine().redrive(tenant, *run, &runtime.principal().subject).await?;
            }
            let runs: Vec<RunId> = wanted.iter().map(|dead| dead.run).collect();
            match screen.is_json() {
                true => screen.object(&json!({"redriven": runs})),
                false => screen.line(&format!("{} due again, for whoever works next", runs_are(runs.len() as u64))),
            }
        }
    }
    Ok(())
}

fn depth(screen: Screen, status: &QueueStatus) {
    if screen.is_json() {
        return screen.object(&json!(status));
    }
    let QueueStatus { read_from, ready, delayed, claimed, dead, oldest_ready_ms, paused } = status;
    let mut table = Table::new(&["STATE", "TASKS"]);
    let delayed = delayed.map(|delayed| ("delayed", delayed as u64));
    let there = [("ready", *ready as u64), ("claimed", *claimed as u64), ("dead", *dead)];
    for (state, tasks) in there.into_iter().chain(delayed) {
        table.row([state.to_owned(), count(tasks)]);
    }
    table.lines(screen.paint()).iter().for_each(|line| screen.line(line));
    if let Some(oldest) = oldest_ready_ms {
        screen.line(&format!("the oldest ready task has waited {} ms", count(*oldest)));
    }
    if *paused {
        screen.line("the queue is paused: POST /queue/resume of a server lets workers go on");
    }
    match read_from {
        QueuePlace::Database => screen.note("read from the database: whoever works has a queue of its own"),
        QueuePlace::Redis => screen.note("read from Redis"),
        QueuePlace::InProcess => {}
    }
}

fn dead(screen: Screen, dead: &[Dead]) {
    if screen.is_json() {
        return screen.object(&json!({ "dead": dead }));
    }
    for Dead { tenant, run, at, reason } in dead {
        screen.line(&format!("{run}  {at}  {tenant}"));
        screen.line(&format!("  {}", screen.safe(&clip(reason, 400))));
    }
    match dead.len() as u64 {
        0 => screen.line("nothing was given up"),
        some => screen.note(&format!("{} dead; `l9-server queue redrive RUN` has one tried again", runs_are(some))),
    }
}

fn runs_are(number: u64) -> String {
    if number == 1 { "1 run is".to_owned() } else { format!("{} runs are", count(number)) }
}
