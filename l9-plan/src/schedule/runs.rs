//! What a scheduler needs of runs: to start one once, to know whether it is over, to stop it.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use l9_core::digest::Digest;
use l9_core::id::{CommandId, RunId, TenantId};
use l9_core::kernel::{Engine, StartOptions};
use l9_core::principal::Principal;
use l9_core::run::{Command, CommandRequest};
use l9_core::{Error, ErrorKind, Result};
use serde_json::Value;

use super::definition::{Definition, Target};

/// Starts and stops the runs of schedules.
#[async_trait]
pub trait Runs: fmt::Debug + Send + Sync {
    /// Refuses what could not be started as things are.
    ///
    /// # Errors
    /// `NotFound` for an unknown agent or tool, `Invalid` for bad input.
    fn check(&self, by: &Principal, target: &Target) -> Result<()>;

    /// Starts the run of a tick, durable when it returns; a second one under the same key is
    /// the first.
    ///
    /// # Errors
    /// `NotFound`, `Denied` or `Invalid` for a target that is gone or refused.
    async fn start(&self, by: &Principal, definition: &Definition, key: &str) -> Result<RunId>;

    /// Whether a run has not ended.
    ///
    /// # Errors
    /// From the backend only.
    async fn is_open(&self, tenant: &TenantId, run: RunId) -> Result<bool>;

    /// Asks a run to stop, once however often it is asked under that id.
    ///
    /// # Errors
    /// From the backend only.
    async fn cancel(&self, tenant: &TenantId, run: RunId, command: CommandId, reason: String) -> Result<()>;
}

#[async_trait]
impl Runs for Engine {
    fn check(&self, by: &Principal, target: &Target) -> Result<()> {
        let parts = self.parts();
        match target {
            Target::Agent { id, input, .. } => {
                if input.trim().is_empty() {
                    return Err(Error::invalid("the input is empty: say what the agent should do"));
                }
                parts.governor.without_secrets("the input holds", input)?;
                parts.profiles.get(id).map(drop)
            }
            Target::Tool { id, arguments } => {
                let arguments = Value::Object(arguments.clone()).to_string();
                parts.governor.without_secrets("the call's arguments hold", &arguments)?;
                let tool = parts.governor.registry().find(&by.tenant, id)?;
                let named = parts.governor.named_as_written(&by.tenant, &tool.manifest, &arguments);
                nobody_named(&named)
            }
            Target::Plan { plan, input } => {
                let checked = self.check_plan(by, plan)?;
                parts.governor.without_secrets("the plan holds", &checked.plan)?;
                parts.governor.without_secrets("the plan's input holds", &input.to_string())?;
                nobody_named(&self.named_in_plan(by, &checked.plan)?)
            }
        }
    }

    async fn start(&self, by: &Principal, definition: &Definition, key: &str) -> Result<RunId> {
        let options = StartOptions {
            budget: definition.budget,
            deadline: definition.deadline_ms.map(Duration::from_millis),
            idempotency_key: Some(key.to_owned()),
            ..StartOptions::default()
        };
        let started = match &definition.starts {
            Target::Agent { id, input, session } => {
                self.start_agent(by, id, input, StartOptions { session: session.clone(), ..options }).await?
            }
            Target::Tool { id, arguments } => {
                self.start_tool(by, id, &Value::Object(arguments.clone()).to_string(), options).await?
            }
            Target::Plan { plan, input } => self.start_plan(by, plan, input, options).await?,
        };
        Ok(started.run)
    }

    async fn is_open(&self, tenant: &TenantId, run: RunId) -> Result<bool> {
        Ok(self.parts().store.run(tenant, run).await?.is_some_and(|row| !row.status.is_closed()))
    }

    async fn cancel(&self, tenant: &TenantId, run: RunId, command: CommandId, reason: String) -> Result<()> {
        let request = CommandRequest { id: command, by: "schedule".to_owned(), command: Command::Cancel { reason } };
        match self.command(tenant, run, &request).await {
            // It has ended meanwhile, or is gone.
            Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::NotFound) => Ok(()),
            sent => sent.map(drop),
        }
    }
}

/// An erasure does not reach schedules: their arguments name no data subject.
fn nobody_named(named: &BTreeSet<Digest>) -> Result<()> {
    if named.is_empty() {
        return Ok(());
    }
    Err(Error::invalid(
        "the arguments name a data subject, of whom all that is kept must be erasable, and an erasure does not reach \
         schedules: have an agent make the call",
    ))
}
