//! `tools list|inspect`: every version of every tool, and all that is known of one.

use std::collections::BTreeMap;

use l9::registry::{Happened, Recorded, Shelved, grants, recorded};
use l9::tool::{ContractHash, Entry, Manifest, Runtime as ToolRuntime, ToolName, ToolState};
use l9::{Runtime, ToolId};
use serde_json::{Value, json};

use crate::cli::failure::{Exit, Failure};
use crate::terminal::{Screen, Table};

/// Characters of a contract's hash in a table.
const SHORT: usize = 12;

/// One version of a tool: as it is here, as it was recorded, or both.
struct Row {
    id: ToolId,
    version: String,
    contract: ContractHash,
    state: ToolState,
    signer: Option<String>,
    here: Option<Shelved>,
}

/// The JSON Schema of manifests.
pub(in crate::cli) fn schema() -> Exit {
    Screen::new(true).object(&l9::registry::manifest_schema());
    Exit::Done
}

/// Every version that is here or was ever recorded, by id and version.
fn rows(runtime: &Runtime) -> Vec<Row> {
    let standings = runtime.registry().standings();
    let mut rows = BTreeMap::new();
    for (id, version, entry) in standings.all() {
        let Entry { contract, state, signer, .. } = entry;
        let (contract, state, signer) = (*contract, *state, signer.clone());
        let row = Row { id: id.clone(), version: version.to_string(), contract, state, signer, here: None };
        rows.insert((id.clone(), version.clone(), contract), row);
    }
    for here in runtime.registry().shelved() {
        let Manifest { id, version, .. } = here.tool.manifest.clone();
        let (contract, state) = (here.tool.contract, here.state);
        let key = (id.clone(), version.clone(), contract);
        let new = || Row { id, version: version.to_string(), contract, state, signer: None, here: None };
        rows.entry(key).or_insert_with(new).here = Some(here);
    }
    rows.into_values().collect()
}

/// Shows every tool in a line.
pub(super) fn list(runtime: &Runtime, screen: Screen) {
    let rows = rows(runtime);
    if screen.is_json() {
        return screen.object(&rows.iter().map(describe).collect::<Vec<_>>());
    }
    let mut table = Table::new(&["TOOL", "VERSION", "STATE", "RUNTIME", "EFFECT", "CONTRACT", "SIGNER", "TITLE"]);
    for row in &rows {
        let manifest = row.here.as_ref().map(|here| &here.tool.manifest);
        let of = |what: &dyn Fn(&Manifest) -> String| manifest.map_or_else(|| "-".to_owned(), what);
        let in_use = row.here.as_ref().is_some_and(|here| here.in_use);
        table.row([
            row.id.to_string(),
            row.version.clone(),
            if in_use { format!("{}, in use", row.state) } else { row.state.to_string() },
            of(&|manifest| runtime_name(&manifest.runtime).to_owned()),
            of(&|manifest| manifest.effect.as_str().to_owned()),
            row.contract.to_string().chars().take(SHORT).collect(),
            row.signer.clone().unwrap_or_else(|| "-".to_owned()),
            of(&|manifest| manifest.title.clone()),
        ]);
    }
    table.lines(screen.paint()).iter().for_each(|line| screen.line(line));
    for (place, why) in runtime.tools().faults() {
        screen.line(&format!("{place} cannot be used: {why}"));
    }
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

fn describe(row: &Row) -> Value {
    json!({
        "id": row.id,
        "version": row.version,
        "contract_hash": row.contract,
        "state": row.state,
        "in_use": row.here.as_ref().is_some_and(|here| here.in_use),
        "source": row.here.as_ref().map(|here| here.source),
        "signer": row.signer,
        "manifest": row.here.as_ref().map(|here| &here.tool.manifest),
    })
}

/// Shows all that is known of a tool.
pub(super) fn inspect(runtime: &Runtime, screen: Screen, name: &ToolName) -> Result<(), Failure> {
    let mut rows: Vec<Row> = rows(runtime).into_iter().filter(|row| row.id == name.id).collect();
    let named = |row: &Row| name.version.as_ref().is_none_or(|version| version.to_string() == row.version);
    let in_use = |row: &Row| row.here.as_ref().is_some_and(|here| here.in_use);
    // The version that is named, else the one in use, else the newest.
    let best = rows.iter().rposition(|row| named(row) && in_use(row)).or_else(|| rows.iter().rposition(named));
    let shown = rows.remove(best.ok_or_else(|| super::unknown(runtime, name))?);
    let lines = shown.here.as_ref().map(|here| grants(&here.tool.manifest)).unwrap_or_default();
    let versions = recorded(&runtime.registry().standings(), &name.id);
    if screen.is_json() {
        let mut object = describe(&shown);
        object["grants"] = json!(lines);
        object["versions"] = json!(versions);
        screen.object(&object);
        return Ok(());
    }
    let paint = screen.paint();
    let described = shown.here.as_ref().map(|here| here.tool.manifest.description.clone()).unwrap_or_default();
    screen.line(&format!("{} {}  {described}", paint.strong(name.id.as_str()), shown.version));
    screen.line(&format!("{} {}", paint.faint("contract"), shown.contract));
    screen.line(&format!("{}    {}", paint.faint("state"), shown.state));
    screen.line(&format!("{}   {}", paint.faint("signer"), shown.signer.as_deref().unwrap_or("-")));
    lines.iter().for_each(|line| screen.line(&format!("  - {line}")));
    for Recorded { version, history, changes, .. } in &versions {
        for Happened { state, at, by, reason, .. } in history {
            screen.line(&format!("  {at} {version} {state} by {}: {}", screen.safe(by), screen.safe(reason)));
        }
        changes
            .iter()
            .flat_map(|changes| changes.lines())
            .for_each(|line| screen.line(&format!("    {}", screen.safe(line))));
    }
    if let Some(here) = &shown.here {
        let manifest = serde_json::to_string_pretty(&here.tool.manifest);
        screen.line(&manifest.map_err(|error| Failure::failed(error.to_string()))?);
    }
    Ok(())
}
