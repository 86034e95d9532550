//! What a plan would do: policy's verdict on each of its calls as it is written, and what they
//! cost at least and at most. No run begins, nothing is performed and nothing is journaled.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::engine::Engine;
use crate::Result;
use crate::budget::{Budget, Cost};
use crate::digest::Digest;
use crate::flow::weighs;
use crate::governor::{Decision, Verdict, cost_of_call};
use crate::id::{AgentId, CallId, ToolId};
use crate::json::PAYLOAD_INTEGER;
use crate::label::Label;
use crate::plan::{Checked, PlannedCall, Unknown};
use crate::principal::Principal;
use crate::run::{APPROVE, Call, DELEGATE, Event, PLAN, RunCreated, RunState, Subject, WAIT, Wanted};
use crate::tool::{ContractHash, EffectClass, Tool};

/// What a plan would do.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Forecast {
    /// What the plan is called.
    pub plan: String,
    /// Always true: of a plan that cannot run there is no forecast.
    pub valid: bool,
    /// How many nodes it has.
    pub nodes: usize,
    /// The contracts of the tools that it calls.
    pub tools: BTreeMap<ToolId, ContractHash>,
    /// The agents that it delegates to.
    pub agents: BTreeSet<AgentId>,
    /// Its calls and those of the plans within it, each after what it needs.
    pub calls: Vec<Foreseen>,
    /// What they cost together.
    pub cost: Expected,
    /// What of the cost does not fit the budget, the worst first.
    pub remarks: Vec<Remark>,
}

/// A call that a plan would make.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Foreseen {
    /// The node; of a plan within, after the node that has that carried out and a `/`.
    pub node: String,
    /// What the node is: `tool`, `agent`, `approval`, `wait`, `plan` or `checkpoint`.
    pub kind: String,
    /// The tool.
    pub tool: ToolId,
    /// Whether the call undoes what the node did.
    pub compensates: bool,
    /// What it does to the world.
    pub effect: EffectClass,
    /// Whether it is made again by itself after a crash that leaves its end unknown.
    pub repeats: bool,
    /// What policy says of it as it is written, in a run that has read nothing yet: `allow`, `ask` or
    /// `deny`.
    #[schemars(with = "String")]
    pub verdict: Decision,
    /// Why.
    pub reasons: Vec<String>,
    /// What of its arguments policy may look at and is not known yet: the verdict may be another once
    /// it is.
    pub depends: Vec<Unknown>,
    /// How often it is made at least, if everything succeeds at the first try.
    pub least: u64,
    /// How often it is made at most, every try counted; null where a list is not known.
    pub most: Option<u64>,
}

/// What a plan's calls cost together. Amounts are those of a budget.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Expected {
    /// At least, if everything succeeds at the first try.
    pub least: Cost,
    /// At most, every try counted; without what nobody can tell.
    pub most: Budget,
    /// The most that the plan may use.
    pub budget: Budget,
}

/// Something that is to be known of a plan's cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Remark {
    /// How bad it is.
    pub level: Level,
    /// What it is, with the numbers.
    pub message: String,
}

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// The plan cannot succeed.
    Error,
    /// The plan may fail.
    Warning,
}

impl Forecast {
    /// Whether a call is denied as it is written, or the budget does not suffice.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.calls.iter().any(|call| call.verdict == Decision::Deny)
            || self.remarks.iter().any(|remark| remark.level == Level::Error)
    }
}

impl Engine {
    /// Tells what a plan would do within its budget and another; nothing runs.
    ///
    /// # Errors
    /// `Invalid` with everything that is wrong with the plan.
    pub fn forecast(&self, principal: &Principal, plan: &Value, budget: Budget) -> Result<Forecast> {
        let parts = &self.inner.parts;
        let checked = self.check_plan(principal, plan)?;
        let budget = budget.within(checked.budget);
        let planned = parts.governor.plans().calls(plan)?;
        let state = self.imagined(principal, &checked, budget)?;
        let flow = state.flow();
        let (mut calls, mut remarks) = (Vec::new(), Vec::new());
        let mut cost = Expected { least: Cost::default(), most: Budget::of(Cost::default()), budget };
        for call in &planned {
            let tool = parts.governor.registry().find(&principal.tenant, &call.tool)?;
            let verdict = parts.governor.foresee((&state, &flow), &as_wanted(call), parts.clock.now());
            let (once, tries) = (self.once(call, &tool)?, self.tries(call));
            if call.least > 0 && call.tool.id.as_str() != DELEGATE {
                remarks.extend(exceeded(&call.node, &once, &budget));
            }
            cost.least = cost.least.plus(Cost { calls: call.least, ..Cost::default() });
            cost.most = cost.most.plus(once.times(call.most.map(|most| most.saturating_mul(tries))));
            cost.most = cost.most.plus(one().times(pauses(call)));
            calls.push(foreseen(call, &tool, verdict, tries));
        }
        remarks.extend(unfit(&cost));
        remarks.sort_by_key(|remark| remark.level);
        let Checked { name, nodes, contracts: tools, agents, .. } = checked;
        Ok(Forecast { plan: name, valid: true, nodes, tools, agents, calls, cost, remarks })
    }

    /// A run of a plan as it would begin.
    fn imagined(&self, principal: &Principal, checked: &Checked, budget: Budget) -> Result<RunState> {
        let parts = &self.inner.parts;
        let Checked { name, plan, contracts, agents, .. } = checked.clone();
        let (plan, input) = (plan.as_str().into(), Value::Null.into());
        let created = RunCreated {
            subject: Subject::Plan { name, plan, contracts, agents, ceiling: None, input },
            principal: principal.clone(),
            session: None,
            budget,
            label: Label::trusted(),
            request: Digest::ZERO,
            decider: parts.governor.plans().version(),
            deadline: None,
            parent: None,
            seed: None,
        };
        let mut state = RunState::default();
        state.apply(0, parts.clock.now(), Event::RunCreated(Box::new(created)))?;
        Ok(state)
    }

    /// The most that one try at a call costs, without what nobody can tell.
    fn once(&self, call: &PlannedCall, tool: &Tool) -> Result<Budget> {
        let manifest = &tool.manifest;
        Ok(match manifest.id.as_str() {
            // An agent's own budget is the most that it uses.
            DELEGATE => {
                let agent = call.arguments.get("agent").and_then(Value::as_str).unwrap_or_default();
                self.inner.parts.profiles.get(&AgentId::new(agent)?)?.budget.plus(one())
            }
            // The calls of the plan stand for themselves, and waiting takes no time of anybody's.
            PLAN | WAIT => one(),
            _ => {
                let time_ms = u64::try_from(manifest.limits.wall().as_millis()).unwrap_or(u64::MAX);
                let most = Budget::of(Cost { time_ms, ..cost_of_call(tool, &call.arguments) });
                let sends = !call.unknown.is_empty() && !manifest.net.is_empty();
                Budget { egress_bytes: most.egress_bytes.filter(|_| !sends), ..most }
            }
        })
    }

    /// How often a call is tried at most: as often as its node says, and each time as often as the
    /// governor tries what fails for now.
    fn tries(&self, call: &PlannedCall) -> u64 {
        let by_governor = match call.tool.id.as_str() {
            DELEGATE | PLAN | WAIT | APPROVE => 1,
            _ => self.inner.parts.governor.attempts(),
        };
        u64::from(call.tries) * u64::from(by_governor)
    }
}

/// What any call costs.
fn one() -> Budget {
    Budget::of(Cost { calls: 1, ..Cost::default() })
}

/// A call as a run of its plan would want it.
fn as_wanted(call: &PlannedCall) -> Call {
    let wanted = Wanted::Tool { name: call.tool.id.to_string(), arguments: call.arguments.to_string() };
    Call { id: CallId::Single, wanted, within: None }
}

fn foreseen(call: &PlannedCall, tool: &Tool, verdict: Verdict, tries: u64) -> Foreseen {
    let weighed = call.unknown.iter().filter(|unknown| weighs(&tool.manifest, &unknown.at));
    let effect = tool.manifest.effect;
    Foreseen {
        node: call.node.clone(),
        kind: call.kind.clone(),
        tool: tool.manifest.id.clone(),
        compensates: call.compensates,
        effect,
        repeats: effect.may_repeat(),
        verdict: verdict.decision,
        reasons: verdict.reasons,
        depends: weighed.cloned().collect(),
        least: call.least.min(PAYLOAD_INTEGER),
        most: call.most.map(|most| most.saturating_mul(tries).min(PAYLOAD_INTEGER)),
    }
}

/// How many waits lie between the tries at a call at most.
fn pauses(call: &PlannedCall) -> Option<u64> {
    let between = if call.pauses { u64::from(call.tries.saturating_sub(1)) } else { 0 };
    if between == 0 { Some(0) } else { Some(call.most?.saturating_mul(between)) }
}

/// What one call reserves beyond the budget, so that it is always refused. Of time it takes what is
/// left, and so does an agent of everything.
fn exceeded(node: &str, once: &Budget, budget: &Budget) -> Option<Remark> {
    let Cost { fuel, egress_bytes, .. } = once.most();
    let reserved = Cost { fuel, egress_bytes, ..Cost::default() };
    let amount = budget.exceeded_by(&reserved)?;
    Some(Remark { level: Level::Error, message: format!("one call of node {node} reserves {amount} in the budget") })
}

/// What of the cost does not fit the budget, or may not.
fn unfit(cost: &Expected) -> impl Iterator<Item = Remark> {
    let amounts = cost.budget.amounts().into_iter().zip(cost.least.amounts()).zip(cost.most.amounts());
    amounts.filter_map(|(((name, limit), (_, least)), (_, most))| {
        let limit = limit?;
        let (level, used) = match most {
            _ if least > limit => (Level::Error, format!("at least {least}")),
            None => (Level::Warning, "nobody can tell how many at most".to_owned()),
            Some(most) if most > limit => (Level::Warning, format!("at most {most}")),
            Some(_) => return None,
        };
        Some(Remark { level, message: format!("{name}: {used}, and the budget allows {limit}") })
    })
}
