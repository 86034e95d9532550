//! A plan made ready to be carried out: nodes by number, what each waits for, and every template
//! and condition read.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use l9_core::Result;
use l9_core::run::{APPROVE, Breakpoint, DELEGATE, PLAN, WAIT};
use l9_core::tool::ToolName;

use super::build::Builder;
use super::condition::Condition;
use super::document::{OnFailure, Patch, Plan, Retry, Trigger};
use super::template::Template;

/// The tools by which a checkpoint marks memory, and goes back to it.
pub(super) const SNAPSHOT: &str = "memory/snapshot";
pub(super) const RESTORE: &str = "memory/restore";

/// A plan made ready.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Compiled {
    pub(super) name: String,
    pub(super) parallel: usize,
    pub(super) on_failure: OnFailure,
    pub(super) output: Option<Template>,
    /// By number; those that an edit removed are absent.
    pub(super) nodes: Vec<Option<Node>>,
    pub(super) numbers: HashMap<Box<str>, u32>,
    /// The numbers in an order in which each stands after all that it needs.
    pub(super) order: Vec<u32>,
    pub(super) stops: Vec<Stop>,
}

/// A node made ready.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) id: Box<str>,
    pub(super) kind: Kind,
    pub(super) needs: Box<[u32]>,
    /// What needs it.
    pub(super) needed_by: Vec<u32>,
    pub(super) trigger: Trigger,
    pub(super) when: Option<Condition>,
    pub(super) retry: Retry,
    pub(super) within: Option<u64>,
    pub(super) optional: bool,
    pub(super) undo: Option<Box<Effect>>,
    pub(super) map: Option<Box<(Template, usize)>>,
    /// Whether it waits for a time that passes well within what it may take.
    pub(super) waits_for_time: bool,
}

/// What a node does.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// Calls a tool.
    Call(Effect),
    /// Chooses: the first way whose condition is true, and the nodes of each.
    Branch(Vec<(Option<Condition>, Vec<u32>)>),
}

/// A call.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Effect {
    /// The same of all that call it.
    pub(super) tool: Arc<ToolName>,
    pub(super) arguments: Template,
}

/// A breakpoint made ready.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stop {
    pub(super) breakpoint: Breakpoint,
    pub(super) when: Option<Condition>,
}

impl Stop {
    pub(super) fn of(breakpoint: Breakpoint) -> Result<Self> {
        let when = breakpoint.when.as_deref().map(Condition::parse).transpose()?;
        Ok(Self { breakpoint, when })
    }
}

impl Effect {
    /// Whether it is a run of its own.
    pub(super) fn is_child(&self) -> bool {
        [DELEGATE, PLAN].contains(&self.tool.id.as_str())
    }
}

impl Node {
    pub(super) fn effect(&self) -> Option<&Effect> {
        match &self.kind {
            Kind::Call(effect) => Some(effect),
            Kind::Branch(_) => None,
        }
    }

    /// What it is, for people.
    pub(super) fn kind(&self) -> &'static str {
        match &self.kind {
            Kind::Branch(_) => "branch",
            Kind::Call(effect) => match effect.tool.id.as_str() {
                DELEGATE => "agent",
                APPROVE => "approval",
                WAIT => "wait",
                PLAN => "plan",
                SNAPSHOT => "checkpoint",
                _ => "tool",
            },
        }
    }

    pub(super) fn is_checkpoint(&self) -> bool {
        self.kind() == "checkpoint"
    }
}

impl Compiled {
    /// Makes a plan ready, with the edits that were made of it.
    pub(super) fn new(plan: &Plan, patches: &[Patch]) -> Result<Self> {
        let first = plan.nodes.iter();
        let ids = first.chain(patches.iter().flat_map(|patch| &patch.put)).map(|node| node.id.as_str());
        let mut numbers: HashMap<Box<str>, u32> = HashMap::new();
        for id in ids {
            let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
            numbers.entry(id.into()).or_insert(next);
        }
        let edited;
        let plan = if patches.is_empty() {
            plan
        } else {
            edited = patches.iter().fold(plan.clone(), Plan::patched);
            &edited
        };
        Builder::new(plan, numbers).build()
    }

    pub(super) fn node(&self, number: u32) -> Option<&Node> {
        self.nodes.get(number as usize)?.as_ref()
    }

    /// The nodes that it has, with their numbers, in the order of the document.
    pub(super) fn present(&self) -> impl Iterator<Item = (u32, &Node)> {
        (0_u32..).zip(&self.nodes).filter_map(|(number, node)| Some((number, node.as_ref()?)))
    }

    /// A node and everything that needs it, however far.
    pub(super) fn after(&self, number: u32) -> BTreeSet<u32> {
        self.reach(number, |node| &node.needed_by)
    }

    /// A node and everything that it needs, however far.
    pub(super) fn before(&self, number: u32) -> BTreeSet<u32> {
        self.reach(number, |node| &node.needs)
    }

    fn reach<'a>(&'a self, number: u32, next: impl Fn(&'a Node) -> &'a [u32]) -> BTreeSet<u32> {
        let mut found = BTreeSet::from([number]);
        let mut open = vec![number];
        while let Some(node) = open.pop().and_then(|number| self.node(number)) {
            open.extend(next(node).iter().copied().filter(|number| found.insert(*number)));
        }
        found
    }
}
