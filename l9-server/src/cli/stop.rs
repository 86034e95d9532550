//! `stop|unstop`: the emergency stop.

use std::time::Duration;

use l9::Runtime;
use l9::governor::Operation;
use l9::kernel::Stopped;
use l9::stop::Scope;
use serde_json::json;

use super::arguments::{Stop, Unstop};
use super::context::Context;
use super::failure::{Exit, Failure};
use crate::terminal::count;

/// Stops a tenant, or all of them.
pub(super) async fn stop(context: &Context, scope: Scope, asked: Stop) -> Result<Exit, Failure> {
    let runtime = context.open_to_stop().await?;
    let screen = context.screen;
    let stopped = match permitted(&runtime, Operation::Stop) {
        Ok(by) => runtime.audit().stop(scope, &by, &asked.reason, Duration::from_secs(asked.within)).await,
        Err(refused) => Err(refused),
    };
    runtime.shutdown().await;
    let (Stopped { stop, quiet_at, held }, statement) = stopped?;
    let whom = whom(&stop.scope);
    if screen.is_json() {
        screen.object(&json!({"stop": stop, "quiet_at": quiet_at, "held": held, "statement": statement}));
    } else if let Some(quiet_at) = quiet_at {
        screen.line(&format!("{whom}: all was quiet at {quiet_at}, and nothing starts until `l9-server unstop`"));
        screen.line(statement.as_deref().unwrap_or_default().trim_end());
    } else {
        screen.line(&format!(
            "{whom}: nothing new starts, and {} runs still have an owner, whose leases run out by themselves; \
             stop again for the signed statement",
            count(held)
        ));
    }
    Ok(if quiet_at.is_some() { Exit::Done } else { Exit::Failed })
}

/// Lets what was stopped go on.
pub(super) async fn unstop(context: &Context, scope: Scope, asked: Unstop) -> Result<Exit, Failure> {
    let runtime = context.open_existing().await?;
    let lifted = match permitted(&runtime, Operation::Unstop) {
        Ok(by) => runtime.audit().unstop(&scope, &by, &asked.reason).await,
        Err(refused) => Err(refused),
    };
    runtime.shutdown().await;
    let (stop, statement) = lifted?;
    if context.screen.is_json() {
        context.screen.object(&json!({"lifted": stop, "statement": statement}));
    } else {
        context.screen.line(&format!("{}: what was stopped at {} goes on", whom(&scope), stop.at));
        context.screen.line(statement.trim_end());
    }
    Ok(Exit::Done)
}

/// Who carries out an operation here, if policy lets them.
fn permitted(runtime: &Runtime, operation: Operation) -> l9::Result<String> {
    let principal = runtime.principal();
    runtime.engine().parts().governor.may_administer(&principal, operation)?;
    Ok(principal.subject)
}

fn whom(scope: &Scope) -> String {
    match scope {
        Scope::All => "all tenants".to_owned(),
        Scope::Tenant(tenant) => format!("tenant {tenant}"),
    }
}
