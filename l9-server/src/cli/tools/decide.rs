//! `tools accept|disable|revoke`: what somebody at this machine decides about a tool.

use l9::tool::ToolState;
use l9::tools::{Decided, Decision};
use serde_json::json;

use super::arguments::ToolsDecide;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};

/// Decides, for every process of the database.
pub(super) async fn decide(context: &Context, asked: ToolsDecide, state: ToolState) -> Result<Exit, Failure> {
    let runtime = context.open_to_stop().await?;
    let ToolsDecide { tool, contract, reason } = asked;
    let decision = Decision { name: tool.clone(), contract, state, reason };
    let decided = runtime.decide_tool(&runtime.principal().subject, &decision).await;
    runtime.shutdown().await;
    let decided = decided?;
    let screen = context.screen;
    if screen.is_json() {
        screen.object(&json!({"decided": decided}));
        return Ok(Exit::Done);
    }
    if decided.is_empty() {
        screen.line(&format!("{tool} is {state} already: nothing changed"));
    }
    for Decided { tool, contract, state, statement } in decided {
        screen.line(&format!("{tool} is {state}, within a second in every process of this database"));
        screen.line(&format!("contract {contract}"));
        screen.line(statement.trim_end());
    }
    Ok(Exit::Done)
}
