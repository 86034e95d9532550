//! A plan as the judge reads it: the words are the product's, what they mean is not. The
//! plans of a simulation name their nodes in an order in which each stands after all that it
//! needs, and their conditions ask about what the plan was given alone.

use std::collections::BTreeSet;

use l9::plan::{self, NodeDoc, OnFailure, Retry, Trigger};
use l9::run::{Breakpoint, Mode, Moment, Stored, Subject};
use serde_json::Value;

/// What a plan says.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) nodes: Vec<Node>,
    pub(super) parallel: usize,
    /// Whether what was done is compensated once a node has failed.
    pub(super) compensates: bool,
    /// Whether it says what it answers.
    pub(super) answers: bool,
    stops: Vec<Breakpoint>,
}

/// What a plan says of a node.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) id: String,
    pub(super) needs: BTreeSet<usize>,
    pub(super) trigger: Trigger,
    /// Whether its condition is true.
    pub(super) wanted: bool,
    /// The branches that name it, and go another way once they choose.
    pub(super) left_out_by: BTreeSet<usize>,
    /// Nothing of its own happens: it chooses among others.
    pub(super) branch: bool,
    /// How many elements it goes through, and how many at once.
    pub(super) elements: Option<(u32, usize)>,
    pub(super) retry: Retry,
    pub(super) optional: bool,
    pub(super) undo: bool,
}

impl Plan {
    /// What the plan of a run says; nothing if the run is no plan's.
    pub(super) fn of(subject: &Subject) -> Option<Self> {
        match subject {
            Subject::Plan { plan: Stored::Inline(plan), input: Stored::Inline(input), .. } => {
                Some(Self::read(&plan::Plan::read(plan).ok()?, input))
            }
            _ => None,
        }
    }

    fn read(plan: &plan::Plan, input: &Value) -> Self {
        let own = plan.nodes.iter().filter_map(|node| {
            let (node, at) = (node.id.clone(), node.stop?);
            Some(Breakpoint { node, at, when: None, mode: Mode::Drain })
        });
        Self {
            nodes: plan.nodes.iter().map(|node| Node::read(node, plan, input)).collect(),
            parallel: plan.parallel as usize,
            compensates: plan.on_failure == OnFailure::Compensate,
            answers: !plan.output.is_null(),
            stops: own.chain(plan.breakpoints.iter().cloned()).collect(),
        }
    }

    /// Whether a breakpoint stands at a node.
    pub(super) fn stops(&self, node: usize, at: Moment) -> bool {
        let here = |stop: &Breakpoint| stop.at == at && (stop.node == "*" || stop.node == self.nodes[node].id);
        self.stops.iter().any(here)
    }

    /// A node and everything that needs it, however far.
    pub(super) fn after(&self, node: usize) -> BTreeSet<usize> {
        let mut after = BTreeSet::from([node]);
        for (number, other) in self.nodes.iter().enumerate() {
            if !other.needs.is_disjoint(&after) {
                after.insert(number);
            }
        }
        after
    }

    pub(super) fn number(&self, id: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.id == id)
    }
}

impl Node {
    fn read(node: &NodeDoc, plan: &plan::Plan, input: &Value) -> Self {
        let number = |id: &str| plan.nodes.iter().position(|other| other.id == id);
        let mut referred = Vec::new();
        references(&node.arguments, &mut referred);
        references(&node.input, &mut referred);
        let mut needs: BTreeSet<usize> =
            node.needs.iter().map(String::as_str).chain(referred).filter_map(number).collect();
        let mut left_out_by = BTreeSet::new();
        for (branch, other) in plan.nodes.iter().enumerate() {
            let ways = other.branch.iter().flatten();
            if ways.clone().any(|way| way.then.contains(&node.id)) {
                needs.insert(branch);
                let taken = ways.clone().find(|way| way.when.as_ref().is_none_or(|when| holds(when, input)));
                left_out_by.extend(taken.is_none_or(|way| !way.then.contains(&node.id)).then_some(branch));
            }
        }
        let elements = node.map.as_ref().map(|map| {
            let list = if map.over.is_string() { &input["list"] } else { &map.over };
            let count = list.as_array().map_or(0, Vec::len);
            (u32::try_from(count).unwrap_or(u32::MAX), map.parallel as usize)
        });
        Self {
            id: node.id.clone(),
            needs,
            trigger: node.trigger,
            wanted: node.when.as_ref().is_none_or(|when| holds(when, input)),
            left_out_by,
            branch: node.branch.is_some(),
            elements,
            retry: node.retry,
            optional: node.optional,
            undo: node.compensate.is_some(),
        }
    }
}

/// The nodes that a value refers to.
fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => found.extend(text.strip_prefix("${").and_then(|text| text.strip_suffix('}'))),
        Value::Array(values) => values.iter().for_each(|value| references(value, found)),
        Value::Object(fields) => fields.values().for_each(|value| references(value, found)),
        _ => {}
    }
}

/// Whether a condition such as `${input.n} < 4` is true.
fn holds(when: &str, input: &Value) -> bool {
    let bound = when.strip_prefix("${input.n} < ").and_then(|bound| bound.parse().ok());
    input["n"].as_u64() < bound
}
