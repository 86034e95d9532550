//! `tools`: list, inspect, import and call; sign, accept, disable and revoke.

mod arguments;
mod decide;
mod import;
mod show;
mod sign;

use l9::tool::{ToolName, ToolState};
use l9::{Runtime, StartOptions};

pub(crate) use arguments::{Tools, ToolsInspect};
pub(super) use show::schema;

use super::context::Context;
use super::failure::{Exit, Failure};
use super::follow::{Shown, follow, words_of};
use super::run::{report, words_or_stdin};
use crate::config::closest;

/// Does what was asked with tools.
pub(super) async fn tools(context: &Context, command: Tools) -> Result<Exit, Failure> {
    match command {
        Tools::List => {
            let runtime = looked_at(context).await?;
            runtime.connect_servers().await;
            show::list(&runtime, context.screen);
            runtime.shutdown().await;
            Ok(Exit::Done)
        }
        Tools::Inspect(ToolsInspect { tool, .. }) => {
            let runtime = looked_at(context).await?;
            runtime.meet_servers().await;
            let done = tool.map_or(Ok(()), |tool| show::inspect(&runtime, context.screen, &tool));
            runtime.shutdown().await;
            done.map(|()| Exit::Done)
        }
        Tools::Call { tool, arguments, budget } => {
            let options = StartOptions { budget: budget.unwrap_or_default(), ..StartOptions::default() };
            call(context, &tool, words_or_stdin(arguments)?, options).await
        }
        Tools::Import { command } => import::import(context, command),
        Tools::Sign(asked) => sign::sign(context.screen, &asked),
        Tools::Accept(asked) => decide::decide(context, asked, ToolState::Accepted).await,
        Tools::Disable(asked) => decide::decide(context, asked, ToolState::Disabled).await,
        Tools::Revoke(asked) => decide::decide(context, asked, ToolState::Revoked).await,
    }
}

/// A runtime to look at: over the database if there is one, else without leaving one.
async fn looked_at(context: &Context) -> Result<Runtime, Failure> {
    if context.existing_database().is_ok() {
        return context.open_with(context.config.settings()?).await;
    }
    let mut settings = context.config.settings()?;
    settings.storage = l9::Storage::InMemory;
    context.open_with(settings).await
}

/// That there is no such tool, with the one that may be meant.
fn unknown(runtime: &Runtime, name: &ToolName) -> Failure {
    let shelved = runtime.registry().shelved();
    let names: std::collections::BTreeSet<&str> =
        shelved.iter().map(|shelved| shelved.tool.manifest.id.as_str()).collect();
    let help = match closest(name.id.as_str(), names.iter().copied()) {
        Some(meant) if meant != name.id.as_str() => format!("did you mean {meant}?"),
        Some(_) => format!("`l9-server tools inspect {}` shows its versions", name.id),
        None => format!("there are {}", names.into_iter().collect::<Vec<_>>().join(", ")),
    };
    Failure::usage(format!("there is no tool {name}")).with_help(help)
}

async fn call(context: &Context, name: &ToolName, arguments: String, options: StartOptions) -> Result<Exit, Failure> {
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(&arguments) {
        return Err(Failure::usage(format!("the arguments are not JSON: {error}"))
            .with_help(format!("quote them for the shell: l9-server tools call {name} '{{\"name\": \"value\"}}'")));
    }
    let screen = context.screen;
    let runtime = context.open_with(context.config.settings()?).await?;
    runtime.meet_servers().await;
    let started = runtime.engine().start_tool(&runtime.principal(), name, &arguments, options).await;
    let started = started.map_err(|error| match error.kind() {
        l9::ErrorKind::NotFound => unknown(&runtime, name),
        _ => Failure::from(error),
    })?;
    if started.existing {
        screen.note(&format!("run {} was recorded before under this seed: it is shown, not run again", started.run));
    }
    let words = words_of(&runtime, started.run);
    runtime.start().await;
    let shown = follow(&runtime, screen, started, words).await?;
    let exit = report(screen, started.run, &shown);
    if !matches!(shown, Shown::Left) {
        runtime.shutdown().await;
    }
    Ok(exit)
}
