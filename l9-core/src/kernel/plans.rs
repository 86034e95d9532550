//! Plans: how their runs begin, and how one that has ended is rolled back.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::engine::{Engine, StartOptions, Started};
use crate::digest::Digest;
use crate::id::RunId;
use crate::json;
use crate::plan::{Checked, PlanAsk, Target};
use crate::principal::Principal;
use crate::run::{RunLog, Subject, rollback};
use crate::tool::ToolName;
use crate::{Error, ErrorKind, Result};

/// The most bytes of a plan with its input.
const PLAN_BYTES: usize = 64 << 20;

impl Engine {
    /// Checks a plan whole against the tenant's tools; nothing runs.
    ///
    /// # Errors
    /// `Invalid` with everything that is wrong with it.
    pub fn check_plan(&self, principal: &Principal, plan: &Value) -> Result<Checked> {
        let governor = &self.inner.parts.governor;
        let find = |name: &ToolName| governor.registry().find(&principal.tenant, name);
        let checked = governor.plans().check(plan, &find)?;
        for agent in &checked.agents {
            self.inner.parts.profiles.get(agent).map_err(|error| Error::invalid(error.message().to_owned()))?;
        }
        Ok(checked)
    }

    /// Accepts a run of a plan; durable when it returns.
    ///
    /// # Errors
    /// `Invalid` with everything that is wrong with the plan; as [`Engine::start_agent`].
    pub async fn start_plan(
        &self,
        principal: &Principal,
        plan: &Value,
        input: &Value,
        mut options: StartOptions,
    ) -> Result<Started> {
        if let Some(why) = json::unjournalable(input) {
            return Err(Error::invalid(format!("the plan's input cannot be kept: {why}")));
        }
        let Checked { name, plan, contracts, agents, budget, deadline_seconds, .. } =
            self.check_plan(principal, plan)?;
        let text = format!(r#"{{"input":{input},"plan":{plan}}}"#);
        if text.len() > PLAN_BYTES {
            return Err(Error::invalid(format!("the plan has {} bytes: use at most {PLAN_BYTES}", text.len())));
        }
        options.label.subjects.extend(self.named_in_plan(principal, &plan)?);
        let budget = options.budget.within(budget);
        options.deadline = options.deadline.into_iter().chain(deadline_seconds.map(Duration::from_secs)).min();
        let plans = self.inner.parts.governor.plans().version();
        let called = name.clone();
        let make = |log: &mut RunLog| {
            let (plan, input) = (log.keep_document(plan)?, log.keep(input.clone())?);
            Ok(Subject::Plan { name, plan, contracts, agents, ceiling: None, input })
        };
        self.start(principal, ("plan", &called, &text), make, (plans, budget), options).await
    }

    /// Whom the arguments name that stand in a checked plan and in those within it, so that its run
    /// is about them from the first.
    ///
    /// # Errors
    /// `Invalid` for a text that no check gave.
    pub fn named_in_plan(&self, principal: &Principal, plan: &str) -> Result<BTreeSet<Digest>> {
        let governor = &self.inner.parts.governor;
        let Written { nodes } = read(plan)?;
        let named = |(name, arguments): (&ToolName, &RawValue)| {
            let tool = governor.registry().find(&principal.tenant, name).ok()?;
            Some(governor.named_as_written(&principal.tenant, &tool.manifest, arguments.get()))
        };
        let mut all: BTreeSet<Digest> = nodes.iter().flat_map(WrittenNode::calls).filter_map(named).flatten().collect();
        for plan in nodes.iter().filter_map(|node| node.plan) {
            let within = self.check_plan(principal, &read(plan.get())?)?;
            all.extend(self.named_in_plan(principal, &within.plan)?);
        }
        Ok(all)
    }

    /// Rolls a plan back that has ended: its run stays as it is, and another that shares its
    /// records compensates and goes on. A run is rolled back so once; what goes on is rolled back
    /// itself. One that has not ended is sent [`Command::RollBack`](crate::run::Command::RollBack).
    ///
    /// # Errors
    /// `NotFound` for an unknown run, `Conflict` for one that goes on, `Invalid` for a target that
    /// the plan does not have.
    pub async fn roll_back(&self, principal: &Principal, run: RunId, target: &Target) -> Result<Started> {
        let parts = &self.inner.parts;
        let tenant = &principal.tenant;
        let row = self.row(tenant, run).await?;
        if !row.status.is_closed() {
            let message = format!("run {run} goes on: it is asked by a command, not forked");
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        let at = row.head.next - 1;
        let log = RunLog::load_before(self.inner.backing.clone(), tenant.clone(), run, row.fork, at).await?;
        let decider = self.decider(&log.state)?;
        let find = |name: &ToolName| parts.governor.registry().find(tenant, name);
        let ask = PlanAsk::RollBack { target };
        let (new, request) = rollback::begin(&log, &*decider, principal, &ask, &find, row.priority)?;
        self.accept(new, request).await.map_err(|error| match error.kind() {
            // Nobody gave the key that says so.
            ErrorKind::Conflict => {
                let message =
                    format!("run {run} was rolled back already, otherwise: roll back the run that it went on in");
                Error::new(ErrorKind::Conflict, message).caused_by(error)
            }
            _ => error,
        })
    }
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| Error::invalid(format!("a checked plan does not read: {error}")))
}

/// A plan's calls as they are written, of which no more is read than is asked for.
#[derive(Deserialize)]
struct Written<'a> {
    #[serde(borrow)]
    nodes: Vec<WrittenNode<'a>>,
}

#[derive(Deserialize)]
struct WrittenNode<'a> {
    tool: Option<ToolName>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    compensate: Option<WrittenCall<'a>>,
    #[serde(borrow)]
    plan: Option<&'a RawValue>,
}

impl WrittenNode<'_> {
    fn calls(&self) -> impl Iterator<Item = (&ToolName, &RawValue)> {
        let own = self.tool.as_ref().zip(self.arguments);
        let undo = self.compensate.as_ref().and_then(|call| Some((&call.tool, call.arguments?)));
        own.into_iter().chain(undo)
    }
}

#[derive(Deserialize)]
struct WrittenCall<'a> {
    tool: ToolName,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}
