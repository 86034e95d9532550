//! The run that rolls a plan back whose own run ends or has ended: it shares that one's records
//! and compensates. There is one at most for each run that ended.

use std::collections::BTreeMap;
use std::time::Duration;

use super::decide::{Decider, Tools};
use super::driver::Drive;
use super::event::{Event, RunForked};
use super::log::RunLog;
use super::subject::Subject;
use crate::digest::{Digest, sha256};
use crate::journal::{Along, ForkPoint, NewRun};
use crate::plan::{PlanAsk, PlanChange, Target};
use crate::principal::Principal;
use crate::tool::ToolName;
use crate::{Error, ErrorKind, Result, json};

/// Such a run, and what was asked for, of the log of a run as it stands before its end.
///
/// # Errors
/// `Invalid` when nothing is to be rolled back.
pub(crate) fn begin(
    log: &RunLog,
    decider: &dyn Decider,
    principal: &Principal,
    ask: &PlanAsk<'_>,
    tools: Tools<'_>,
    priority: i32,
) -> Result<(NewRun, Digest)> {
    let parent = log.run;
    let created = log.state.created()?;
    let subject = created.subject.clone();
    let (kind, name) = (subject.kind().to_owned(), subject.name().to_owned());
    let leaves = RunForked {
        parent,
        principal: principal.clone(),
        request: Digest::ZERO,
        subject,
        decider: decider.version(),
        edits: BTreeMap::new(),
        policy: None,
        rollback: None,
    };
    // What the run still waited for when it ended is nobody's any more.
    let mut left = log.state.clone();
    left.leave_parent(leaves.clone())?;
    left.settle_unknowns();
    let PlanChange::RolledBack(rollback) = decider.consider(&left, ask, tools)? else {
        return Err(Error::internal("a rollback that is none"));
    };
    drop(left);
    // Under one key, which nobody else can name: what a node did is compensated once.
    let key = format!("rollback of {parent}");
    let target = match ask {
        PlanAsk::RollBack { target } => target,
        _ => &Target::Start,
    };
    let request = json::canonical(&(principal.identity(), "rollback", parent, target))?;
    let request = sha256(&[b"l9.request.1\0", &request]);
    let mut log = log.fork(log.fresh(&format!("rollback/{request}")));
    log.push(Event::RunForked(Box::new(RunForked { request, rollback: Some(rollback), ..leaves })))?;
    let (record, artifacts, about) =
        log.into_first().ok_or_else(|| Error::internal("a fork without a first record"))?;
    let (fork, idempotency_key) = (Some(ForkPoint { parent, at: record.seq }), Some(key));
    Ok((NewRun { kind, name, priority, idempotency_key, fork, record, artifacts, about }, request))
}

impl<L: Fn() -> Duration + Sync> Drive<'_, L> {
    /// Has a plan that is stopped compensate what it did, if it was told to: nothing begins in a
    /// run that is being stopped, so another does it, which begins with the end of this one.
    pub(super) async fn compensate(&mut self) -> Result<()> {
        let Some(created) = &self.log.state.created else { return Ok(()) };
        if !matches!(created.subject, Subject::Plan { .. }) {
            return Ok(());
        }
        let (governor, tenant, run) = (&self.driver.governor, &self.log.tenant, self.log.run);
        let priority = self.driver.backing.store.run(tenant, run).await?.map_or(0, |row| row.priority);
        let find = |name: &ToolName| governor.registry().find(tenant, name);
        // One that has not seen this run keeps nothing of the other.
        let decider = governor.plans().decider();
        match begin(&self.log, &*decider, &created.principal, &PlanAsk::Compensate, &find, priority) {
            Ok((new, _)) => self.log.bring_along(Along::Begin(Box::new(new))),
            Err(error) if error.kind() == ErrorKind::Invalid => {
                tracing::debug!(%run, %error, "nothing is compensated");
            }
            Err(error) if error.is_retryable() => return Err(error),
            // What stays wrong must not keep a run from ending.
            Err(error) => tracing::warn!(%run, %error, "a plan that was stopped is not compensated"),
        }
        Ok(())
    }
}
