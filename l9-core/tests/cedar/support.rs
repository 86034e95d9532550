//! Requests to policy, made up.

use std::collections::BTreeSet;

use l9_core::agent::AgentProfile;
use l9_core::budget::{Budget, Cost};
use l9_core::governor::{ArgumentFact, Facts, Policy, PolicyAction, PolicyRequest, Standing, Verdict};
use l9_core::label::Label;
use l9_core::principal::{Principal, Role};
use l9_core::time::Timestamp;
use l9_core::tool::{ArgRole, Manifest};
use serde_json::{Value, json};

/// A request in parts that can be changed.
#[derive(Debug, Clone)]
pub(crate) struct Asking {
    pub(crate) principal: Principal,
    pub(crate) agent: Option<AgentProfile>,
    pub(crate) manifest: Manifest,
    pub(crate) arguments: Value,
    pub(crate) label: Label,
    pub(crate) facts: Facts,
    pub(crate) budget: Budget,
    pub(crate) used: Cost,
    pub(crate) approved: bool,
}

impl Asking {
    /// Somebody at this machine calls a tool; nothing untrusted was read.
    pub(crate) fn of(tool: &str, effect: &str) -> Self {
        Self {
            principal: Principal::local(),
            agent: None,
            manifest: manifest(tool, effect),
            arguments: json!({}),
            label: Label::trusted(),
            facts: Facts { grounded: true, ..Facts::default() },
            budget: Budget::default(),
            used: Cost::default(),
            approved: false,
        }
    }

    pub(crate) fn by_agent(mut self, tools: &[&str]) -> Self {
        let agent =
            tools.iter().fold(AgentProfile::new("helper").unwrap(), |agent, tool| agent.with_tool(tool).unwrap());
        self.agent = Some(agent);
        self
    }

    pub(crate) fn with(mut self, role: ArgRole, standing: Standing) -> Self {
        self.facts.arguments.push(fact(role, standing));
        self
    }

    pub(crate) fn request(&self) -> PolicyRequest<'_> {
        self.of_action(PolicyAction::InvokeTool { manifest: &self.manifest, arguments: &self.arguments })
    }

    pub(crate) fn of_action<'a>(&'a self, action: PolicyAction<'a>) -> PolicyRequest<'a> {
        PolicyRequest {
            principal: &self.principal,
            agent: self.agent.as_ref(),
            action,
            label: &self.label,
            facts: &self.facts,
            budget: &self.budget,
            used: self.used,
            now: Timestamp::from_millis(1_800_000_000_000),
            approved: self.approved,
            timed_out: false,
        }
    }

    pub(crate) fn decided_by(&self, policy: &dyn Policy) -> Verdict {
        policy.decide(&self.request())
    }
}

pub(crate) fn manifest(id: &str, effect: &str) -> Manifest {
    serde_json::from_value(json!({
        "schema_version": 1, "id": id, "version": "1.0.0", "title": id, "description": id,
        "runtime": {"kind": "native"}, "input_schema": {"type": "object"}, "effect": effect,
    }))
    .unwrap()
}

pub(crate) fn fact(role: ArgRole, standing: Standing) -> ArgumentFact {
    ArgumentFact {
        pointer: "/x".into(),
        role,
        required: None,
        standing,
        sources: BTreeSet::from(["web/read in step 1".to_owned()]),
        value: "it".into(),
        written: false,
        shown: false,
        embedded: false,
    }
}

pub(crate) fn person(subject: &str, roles: &[Role]) -> Principal {
    Principal { subject: subject.into(), roles: roles.iter().copied().collect(), ..Principal::local() }
}
