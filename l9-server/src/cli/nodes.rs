//! `nodes list`: which processes serve the store.

use clap::Subcommand;
use serde_json::json;

use super::context::Context;
use super::failure::{Exit, Failure};
use crate::nodes::NodeShown;
use crate::terminal::Table;

/// What can be done with nodes.
#[derive(Debug, Subcommand)]
pub(crate) enum Nodes {
    /// List the processes that serve this database, and those of the last day that are away
    List,
}

/// Does what was asked with nodes.
pub(super) async fn nodes(context: &Context, asked: &Nodes) -> Result<Exit, Failure> {
    let Nodes::List = asked;
    let runtime = context.open_existing().await?;
    let found = runtime.nodes().await;
    runtime.shutdown().await;
    let (screen, found) = (context.screen, found?);
    let found: Vec<NodeShown> = found.into_iter().map(NodeShown::from).collect();
    if screen.is_json() {
        screen.object(&json!({ "nodes": found }));
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["NAME", "STATE", "ROLES", "ADDRESS", "RUNS", "VERSION", "STARTED", "SEEN"]);
    for node in found {
        table.row([
            node.name,
            node.state.to_owned(),
            node.roles.to_string(),
            node.address.unwrap_or_default(),
            node.runs.to_string(),
            node.version,
            node.started_at.to_string(),
            node.seen_at.to_string(),
        ]);
    }
    if table.is_empty() {
        screen.line("no process serves this database");
    } else {
        table.lines(screen.paint()).iter().for_each(|line| screen.line(line));
    }
    Ok(Exit::Done)
}
