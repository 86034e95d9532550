//! A plan as people are shown it: how each node stands, and its drawing.

use std::fmt::Write as _;
use std::sync::Arc;

use l9_core::id::{CallId, NodeCall, NodePart, RunId};
use l9_core::run::{CallState, Hit, Moment, RunState};
use l9_core::{Result, id::ToolId};
use schemars::JsonSchema;
use serde::Serialize;

use super::compiled::{Compiled, Kind, Node};
use super::decider::compiled;
use super::document::Plan;
use super::progress::{Progress, Stand};

/// How a plan stands.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct PlanView {
    /// What it is called.
    pub name: String,
    /// Its version, from 1; each edit makes it greater.
    pub version: u64,
    /// Its nodes, in the order of the document.
    pub nodes: Vec<NodeView>,
    /// The breakpoints that it stands at.
    pub hits: Vec<Hit>,
}

/// How a node stands.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct NodeView {
    /// Its id.
    pub id: String,
    /// What it is: tool, agent, approval, wait, branch, plan or checkpoint.
    pub kind: String,
    /// The tool that it calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub tool: Option<ToolId>,
    /// How it stands.
    pub state: NodeState,
    /// What it needs.
    pub needs: Vec<String>,
    /// How often it was reset.
    pub generation: u32,
    /// How often it was tried.
    pub attempts: u32,
    /// How many elements of its list have ended, and how many there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elements: Option<(u32, u32)>,
    /// The runs of its own that are under way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub runs: Vec<RunId>,
    /// Why it failed, or what it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// How a node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// It waits for what it needs.
    Pending,
    /// It may begin.
    Ready,
    /// It is under way.
    Running,
    /// It waits for a person, a time, a signal, a run of its own, or a breakpoint's release.
    Waiting,
    /// It failed, and is tried again.
    Retrying,
    /// It succeeded.
    Succeeded,
    /// It failed for good.
    Failed,
    /// It did not begin, and will not.
    Skipped,
    /// It had succeeded, and was undone.
    Compensated,
}

impl NodeState {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Retrying => "retrying",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Compensated => "compensated",
        }
    }
}

impl PlanView {
    /// How the plan of a run stands.
    ///
    /// # Errors
    /// `Invalid` for a run that is no plan's, or whose plan cannot be read any more.
    pub fn of(state: &RunState) -> Result<Self> {
        let progress = Progress::new(Arc::new(compiled(state)?), state);
        let nodes = progress.compiled.present().map(|(number, node)| view(state, &progress, number, node)).collect();
        let (name, version) = (progress.compiled.name.clone(), state.plan.version());
        Ok(Self { name, version, nodes, hits: state.plan.hits.iter().cloned().collect() })
    }
}

fn view(state: &RunState, progress: &Progress, number: u32, node: &Node) -> NodeView {
    let generation = state.plan.generation(number);
    let at = |part, item, attempt| CallId::Node(NodeCall { node: number, generation, part, item, attempt });
    let calls = || state.calls.range(at(NodePart::Work, 0, 0)..=at(NodePart::Undo, u32::MAX, u32::MAX));
    let of = |call: &CallId| match call {
        CallId::Node(call) => (call.part, call.attempt),
        _ => (NodePart::Work, 1),
    };
    let undone = calls().any(|(call, _)| of(call).0 == NodePart::Undo && state.output(*call).is_some());
    let open = || calls().filter(|(_, known)| !known.is_settled());
    let mut why = None;
    let stand = match &progress.stands[number as usize] {
        _ if undone => NodeState::Compensated,
        Stand::Pending(_) => NodeState::Pending,
        Stand::Succeeded => NodeState::Succeeded,
        Stand::Skipped => NodeState::Skipped,
        Stand::Failed(reason) => {
            why = Some(format!("{}: {}", reason.0, reason.1));
            NodeState::Failed
        }
        Stand::Stopped(_) => {
            let hit = state.plan.hits.iter().find(|hit| (hit.node, hit.generation) == (number, generation));
            why = hit.map(|hit| match hit.at {
                Moment::Before => "it stands before it, at a breakpoint".to_owned(),
                Moment::After => "it succeeded, and stands after it at a breakpoint".to_owned(),
                Moment::OnError => "it failed, and stands at a breakpoint".to_owned(),
                Moment::RolledBack => "it was rolled back".to_owned(),
            });
            NodeState::Waiting
        }
        Stand::Open => {
            let delayed = |call: &CallId| of(call).0 == NodePart::Delay;
            let again =
                |(call, known): (&CallId, &CallState)| delayed(call) || matches!(known, CallState::Retrying { .. });
            let idle = |(call, known): (&CallId, &CallState)| {
                state.is_elsewhere(*call) || matches!(known, CallState::Asked(_))
            };
            match open().next() {
                None if calls().next().is_none() => NodeState::Ready,
                None => NodeState::Running,
                Some(_) if open().any(|(call, _)| delayed(call)) || open().all(again) => NodeState::Retrying,
                Some(_) if open().all(idle) => NodeState::Waiting,
                Some(_) => NodeState::Running,
            }
        }
    };
    let runs: Vec<RunId> = open().filter_map(|(call, _)| state.children.get(call).copied()).collect();
    if why.is_none() && stand == NodeState::Waiting {
        why = open().find_map(|(call, known)| match known {
            CallState::Asked(question) => Some(format!("a person is asked, question {}", question.ask)),
            _ => match state.waits.get(call) {
                Some(wait) => Some(match (&wait.signal, wait.until) {
                    (Some(signal), None) => format!("it waits for signal {signal:?}"),
                    (Some(signal), Some(until)) => format!("it waits for signal {signal:?}, until {until} at most"),
                    (None, Some(until)) => format!("it waits until {until}"),
                    (None, None) => "it waits".to_owned(),
                }),
                None => state.children.get(call).map(|run| format!("run {run} works for it")),
            },
        });
    }
    let name = |number: &u32| progress.compiled.node(*number).map(|node| node.id.to_string());
    NodeView {
        id: node.id.to_string(),
        kind: node.kind().to_owned(),
        tool: node.effect().map(|effect| effect.tool.id.clone()),
        state: stand,
        needs: node.needs.iter().filter_map(name).collect(),
        generation,
        attempts: calls()
            .filter(|(call, _)| of(call).0 == NodePart::Work)
            .map(|(call, _)| of(call).1)
            .max()
            .unwrap_or(0),
        elements: progress.ended_elements(number),
        runs,
        why,
    }
}

impl Plan {
    /// The plan as a Mermaid flowchart.
    ///
    /// # Errors
    /// `Invalid` for a plan that cannot run.
    pub fn mermaid(&self) -> Result<String> {
        let compiled = Compiled::new(self, &[])?;
        let mut text = String::from("flowchart TD\n");
        for (number, node) in compiled.present() {
            let (open, close) = match node.kind() {
                "branch" => ("{", "}"),
                "approval" | "wait" => ("([", "])"),
                "agent" | "plan" => ("[[", "]]"),
                _ => ("[", "]"),
            };
            let _ = writeln!(text, "    n{number}{open}\"{}\"{close}", label(node));
        }
        for (from, to, chosen) in edges(&compiled) {
            let _ = writeln!(text, "    n{from} {} n{to}", if chosen { "-.->" } else { "-->" });
        }
        Ok(text)
    }

    /// The plan in Graphviz's DOT.
    ///
    /// # Errors
    /// `Invalid` for a plan that cannot run.
    pub fn dot(&self) -> Result<String> {
        let compiled = Compiled::new(self, &[])?;
        let mut text = format!("digraph \"{}\" {{\n    rankdir=TB;\n    node [shape=box];\n", compiled.name);
        for (number, node) in compiled.present() {
            let shape = match node.kind() {
                "branch" => " shape=diamond",
                "approval" | "wait" => " shape=oval",
                "agent" | "plan" => " shape=box peripheries=2",
                _ => "",
            };
            let _ = writeln!(text, "    n{number} [label=\"{}\"{shape}];", label(node));
        }
        for (from, to, chosen) in edges(&compiled) {
            let _ = writeln!(text, "    n{from} -> n{to}{};", if chosen { " [style=dashed]" } else { "" });
        }
        text.push_str("}\n");
        Ok(text)
    }
}

fn label(node: &Node) -> String {
    match node.effect() {
        Some(effect) if node.kind() == "tool" => format!("{}: {}", node.id, effect.tool),
        _ => format!("{}: {}", node.id, node.kind()),
    }
}

/// What needs what, and whether a branch chooses it.
fn edges(compiled: &Compiled) -> impl Iterator<Item = (u32, u32, bool)> {
    compiled.present().flat_map(move |(number, node)| {
        node.needs.iter().map(move |need| {
            let chosen = compiled.node(*need).is_some_and(|other| match &other.kind {
                Kind::Branch(ways) => ways.iter().any(|(_, nodes)| nodes.contains(&number)),
                Kind::Call(_) => false,
            });
            (*need, number, chosen)
        })
    })
}
