//! `tools`: list, inspect and call.

use l9::id::ToolId;
use l9::tool::{Manifest, Runtime as ToolRuntime, Tool, ToolRegistry as _};
use l9::{Runtime, StartOptions, TenantId};
use serde_json::{Value, json};

use super::arguments::{Tools, ToolsInspect};
use super::context::Context;
use super::failure::{Exit, Failure};
use super::follow::{Shown, follow};
use super::run::{report, words_or_stdin};
use crate::config::closest;
use crate::terminal::{Screen, Table};

/// Does what was asked with tools.
pub(super) async fn tools(context: &Context, command: Tools) -> Result<Exit, Failure> {
    match command {
        Tools::List => {
            let runtime = looked_at(context).await?;
            list(&runtime, context.screen);
            runtime.shutdown().await;
            Ok(Exit::Done)
        }
        Tools::Inspect(ToolsInspect { tool, .. }) => {
            let runtime = looked_at(context).await?;
            let done = tool.map_or(Ok(()), |tool| inspect(&runtime, context.screen, &tool));
            runtime.shutdown().await;
            done.map(|()| Exit::Done)
        }
        Tools::Call { tool, arguments, budget } => {
            let options = StartOptions { budget: budget.unwrap_or_default(), ..StartOptions::default() };
            call(context, &tool, words_or_stdin(arguments)?, options).await
        }
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

/// The JSON Schema of manifests.
pub(super) fn schema() -> Exit {
    Screen::new(true).object(&schemars::schema_for!(Manifest));
    Exit::Done
}

fn list(runtime: &Runtime, screen: Screen) {
    let tools = runtime.registry().list(&TenantId::default_tenant());
    if screen.is_json() {
        return screen.object(&tools.iter().map(|tool| describe(tool)).collect::<Vec<_>>());
    }
    let mut table = Table::new(&["TOOL", "VERSION", "RUNTIME", "EFFECT", "CONTRACT", "TITLE"]);
    for tool in tools {
        let manifest = &tool.manifest;
        let contract: String = tool.contract.to_string().chars().take(12).collect();
        table.row([
            manifest.id.to_string(),
            manifest.version.to_string(),
            runtime_name(&manifest.runtime).to_owned(),
            json!(manifest.effect).as_str().unwrap_or_default().to_owned(),
            contract,
            manifest.title.clone(),
        ]);
    }
    table.lines(screen.paint()).iter().for_each(|line| screen.line(line));
}

fn runtime_name(runtime: &ToolRuntime) -> &'static str {
    match runtime {
        ToolRuntime::Wasm { .. } => "wasm",
        ToolRuntime::Native => "native",
        ToolRuntime::Http(_) => "http",
        ToolRuntime::Mcp { .. } => "mcp",
        _ => "other",
    }
}

fn describe(tool: &Tool) -> Value {
    json!({"id": tool.manifest.id, "contract_hash": tool.contract, "manifest": tool.manifest})
}

fn find(runtime: &Runtime, id: &ToolId) -> Result<std::sync::Arc<Tool>, Failure> {
    let tenant = TenantId::default_tenant();
    runtime.registry().resolve(&tenant, id).ok_or_else(|| {
        let tools = runtime.registry().list(&tenant);
        let names: Vec<&str> = tools.iter().map(|tool| tool.manifest.id.as_str()).collect();
        let help = match closest(id.as_str(), names.iter().copied()) {
            Some(meant) => format!("did you mean {meant}?"),
            None => format!("there are {}", names.join(", ")),
        };
        Failure::usage(format!("there is no tool {id}")).with_help(help)
    })
}

fn inspect(runtime: &Runtime, screen: Screen, id: &ToolId) -> Result<(), Failure> {
    let tool = find(runtime, id)?;
    if screen.is_json() {
        screen.object(&describe(&tool));
        return Ok(());
    }
    let manifest = serde_json::to_string_pretty(&tool.manifest).map_err(|error| Failure::failed(error.to_string()))?;
    let paint = screen.paint();
    screen.line(&format!("{}  {}", paint.strong(id.as_str()), tool.manifest.description));
    screen.line(&format!("{} {}", paint.faint("contract"), tool.contract));
    screen.line(&manifest);
    Ok(())
}

async fn call(context: &Context, id: &ToolId, arguments: String, options: StartOptions) -> Result<Exit, Failure> {
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(&arguments) {
        return Err(Failure::usage(format!("the arguments are not JSON: {error}"))
            .with_help(format!("quote them for the shell: l9-server tools call {id} '{{\"name\": \"value\"}}'")));
    }
    let screen = context.screen;
    let runtime = context.open_with(context.config.settings()?).await?;
    find(&runtime, id)?;
    let words = runtime.engine().parts().governor.deltas().subscribe();
    let started = runtime.engine().start_tool(&runtime.principal(), id, &arguments, options).await?;
    if started.existing {
        screen.note(&format!("run {} was recorded before under this seed: it is shown, not run again", started.run));
    }
    runtime.start().await;
    let shown = follow(&runtime, screen, started, words).await?;
    let exit = report(screen, started.run, &shown);
    if !matches!(shown, Shown::Left) {
        runtime.shutdown().await;
    }
    Ok(exit)
}
