//! A plan is made ready node by node, and everything that is wrong with its own form is told.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use l9_core::run::{APPROVE, Breakpoint, DELEGATE, Moment, PLAN, WAIT};
use l9_core::tool::ToolName;
use l9_core::{Error, Result};
use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use serde_json::{Value, json};
use strsim::levenshtein;

use super::compiled::{Compiled, Effect, Kind, Node, RESTORE, SNAPSHOT, Stop};
use super::condition::Condition;
use super::document::{NodeDoc, Plan};
use super::faults::Faults;
use super::template::{Ref, Root, Template, is_name};

/// The most nodes of a plan.
const NODES: usize = 200_000;

/// What makes a plan ready.
pub(super) struct Builder<'a> {
    plan: &'a Plan,
    numbers: HashMap<Box<str>, u32>,
    faults: Faults,
    present: HashSet<&'a str>,
    tools: HashSet<Arc<ToolName>>,
}

impl<'a> Builder<'a> {
    /// One of a plan whose ids have these numbers.
    pub(super) fn new(plan: &'a Plan, numbers: HashMap<Box<str>, u32>) -> Self {
        Self { plan, numbers, faults: Faults::default(), present: HashSet::new(), tools: HashSet::new() }
    }

    pub(super) fn build(mut self) -> Result<Compiled> {
        let plan = self.plan;
        self.whole();
        if plan.nodes.len() > NODES || self.numbers.len() > NODES * 2 {
            return self.faults.into_result(&plan.name).and(Err(Error::invalid("it has too many nodes")));
        }
        let mut nodes: Vec<Option<Node>> = vec![None; self.numbers.len()];
        for doc in &plan.nodes {
            if !is_name(&doc.id) || ["input", "item", "index"].contains(&doc.id.as_str()) {
                let what = "an id has 1 to 100 letters, digits, - and _, and is not input, item or index";
                self.faults.add(&doc.id, what);
            }
            if !self.present.insert(&doc.id) {
                self.faults.add(&doc.id, "there are two of this id");
            }
        }
        for doc in &plan.nodes {
            if let (Some(node), Some(number)) = (self.node(doc), self.numbers.get(doc.id.as_str())) {
                nodes[*number as usize] = Some(node);
            }
        }
        self.choices(&mut nodes);
        for number in 0..nodes.len() {
            let needs = nodes[number].as_ref().map(|node| node.needs.clone()).unwrap_or_default();
            for need in needs {
                if let Some(node) = &mut nodes[need as usize] {
                    node.needed_by.push(u32::try_from(number).unwrap_or(u32::MAX));
                }
            }
        }
        let output = match (&plan.output, Template::parse(&plan.output)) {
            (Value::Null, _) => None,
            (_, Ok(output)) => {
                output.refs().iter().for_each(|(_, one)| self.refer("", one, false));
                Some(output)
            }
            (_, Err(error)) => {
                self.faults.add("", format!("output: {}", error.message()));
                None
            }
        };
        let stops = plan.stops().filter_map(|stop| self.stop(stop)).collect();
        let order = self.order(&nodes);
        self.faults.into_result(&plan.name)?;
        Ok(Compiled {
            name: plan.name.clone(),
            parallel: plan.parallel as usize,
            on_failure: plan.on_failure,
            output,
            nodes,
            numbers: self.numbers,
            order,
            stops,
        })
    }

    fn whole(&mut self) {
        let plan = self.plan;
        if !is_name(&plan.name) {
            self.faults.add("", "its name has 1 to 100 letters, digits, - and _");
        }
        if plan.nodes.is_empty() {
            self.faults.add("", "it has no nodes: write at least one under `nodes`");
        }
        if plan.nodes.len() > NODES || self.numbers.len() > NODES * 2 {
            self.faults.add("", format!("it has {} nodes: at most {NODES} are carried out", plan.nodes.len()));
        }
        if !(1..=1024).contains(&plan.parallel) {
            self.faults.add("", format!("parallel is {}: use 1 to 1024", plan.parallel));
        }
        if plan.deadline_seconds.is_some_and(|seconds| !(1..=315_360_000).contains(&seconds)) {
            self.faults.add("", "deadline_seconds is not within a second and ten years");
        }
    }

    fn node(&mut self, doc: &NodeDoc) -> Option<Node> {
        let id = doc.id.as_str();
        let kind = self.kind(doc)?;
        if !(1..=100).contains(&doc.retry.attempts) || doc.retry.backoff_seconds > 86_400 {
            self.faults.add(id, "retry: use 1 to 100 attempts and a backoff_seconds of at most a day");
        }
        if doc.timeout_seconds == Some(0) {
            self.faults.add(id, "timeout_seconds is 0: leave it out, or give it a second");
        }
        let mut needs = BTreeSet::new();
        for need in &doc.needs {
            self.need(id, need, &mut needs);
        }
        let map = match &doc.map {
            None => None,
            Some(map) => {
                if !(1..=256).contains(&map.parallel) {
                    self.faults.add(id, format!("map.parallel is {}: use 1 to 256", map.parallel));
                }
                let over = self.template(id, "map.over", &map.over);
                over.as_ref().into_iter().flat_map(Template::refs).for_each(|(_, one)| self.refer(id, one, false));
                over.map(|over| Box::new((over, map.parallel as usize)))
            }
        };
        let when = match doc.when.as_deref().map(Condition::parse) {
            Some(Err(error)) => {
                self.faults.add(id, format!("when: {}", error.message()));
                None
            }
            Some(Ok(when)) => Some(when),
            None => None,
        };
        let mut refs: Vec<&Ref> = when.iter().flat_map(Condition::refs).collect();
        refs.iter().for_each(|one| self.refer(id, one, false));
        refs.extend(map.iter().flat_map(|map| map.0.refs()).map(|(_, one)| one));
        match &kind {
            Kind::Call(effect) => {
                let own = effect.arguments.refs();
                own.iter().for_each(|(_, one)| self.refer(id, one, map.is_some()));
                refs.extend(own.into_iter().map(|(_, one)| one));
            }
            Kind::Branch(ways) => {
                let own: Vec<&Ref> =
                    ways.iter().filter_map(|(when, _)| when.as_ref()).flat_map(Condition::refs).collect();
                own.iter().for_each(|one| self.refer(id, one, false));
                refs.extend(own);
            }
        }
        for one in refs {
            if let Root::Node(other) = &one.root
                && let Some(number) = self.numbers.get(other)
            {
                if **other == *id {
                    self.faults.add(id, format!("{one} refers to the node itself"));
                }
                needs.insert(*number);
            }
        }
        let undo = doc.compensate.as_ref().and_then(|undo| {
            let arguments = self.template(id, "compensate.arguments", &or_empty(&undo.arguments))?;
            arguments.refs().iter().for_each(|(_, one)| self.refer(id, one, map.is_some()));
            Some(Box::new(Effect { tool: self.tool(&undo.tool), arguments }))
        });
        // A checkpoint is undone by going back to it.
        let undo = undo.or_else(|| {
            doc.checkpoint.as_ref()?;
            let arguments = Template::parse(&json!({"snapshot": format!("${{{id}.snapshot_id}}")})).ok()?;
            Some(Box::new(Effect { tool: self.tool(&RESTORE.parse().ok()?), arguments }))
        });
        Some(Node {
            id: id.into(),
            kind,
            needs: needs.into_iter().collect(),
            needed_by: Vec::new(),
            trigger: doc.trigger,
            when,
            retry: doc.retry,
            within: doc.timeout_seconds,
            optional: doc.optional,
            undo,
            map,
            waits_for_time: doc
                .wait
                .as_ref()
                .and_then(|wait| wait.seconds)
                .is_some_and(|seconds| doc.timeout_seconds.is_none_or(|within| seconds <= within)),
        })
    }

    /// What a node does; exactly one thing.
    fn kind(&mut self, doc: &NodeDoc) -> Option<Kind> {
        let id = doc.id.as_str();
        let said = [
            ("tool", doc.tool.is_some()),
            ("agent", doc.agent.is_some()),
            ("approval", doc.approval.is_some()),
            ("wait", doc.wait.is_some()),
            ("branch", doc.branch.is_some()),
            ("plan", doc.plan.is_some()),
            ("checkpoint", doc.checkpoint.is_some()),
        ];
        let kinds: Vec<&str> = said.iter().filter(|(_, said)| *said).map(|(kind, _)| *kind).collect();
        let kind = match kinds.as_slice() {
            [kind] => *kind,
            [] => {
                self.faults.add(
                    id,
                    "it says nothing to do: give it one of tool, agent, approval, wait, branch, plan or checkpoint",
                );
                return None;
            }
            several => {
                self.faults.add(id, format!("it says {} at once: make a node of each", several.join(" and ")));
                return None;
            }
        };
        if !doc.arguments.is_null() && kind != "tool" {
            self.faults.add(id, format!("arguments belong to a tool, and it is a {kind}"));
        }
        if !doc.input.is_null() && !["agent", "plan"].contains(&kind) {
            self.faults.add(id, format!("input belongs to an agent or a plan, and it is a {kind}"));
        }
        if doc.map.is_some() && !["tool", "agent", "plan"].contains(&kind) {
            self.faults.add(id, format!("map belongs to a tool, an agent or a plan, and it is a {kind}"));
        }
        if let Some(ways) = &doc.branch {
            let mut read = Vec::new();
            for way in ways {
                match way.when.as_deref().map(Condition::parse).transpose() {
                    Ok(when) => {
                        let nodes = way.then.iter().filter_map(|then| {
                            if !self.present.contains(then.as_str()) {
                                self.faults.add(id, format!("branch: there is no node {then:?}"));
                            } else if then == id {
                                self.faults.add(id, "branch: it chooses itself");
                            }
                            self.numbers.get(then.as_str()).copied()
                        });
                        read.push((when, nodes.collect()));
                    }
                    Err(error) => self.faults.add(id, format!("branch: {}", error.message())),
                }
            }
            return Some(Kind::Branch(read));
        }
        let (tool, arguments) = match (&doc.tool, &doc.agent, &doc.approval, &doc.wait, &doc.plan, &doc.checkpoint) {
            (Some(tool), ..) => (tool.clone(), self.template(id, "arguments", &or_empty(&doc.arguments))?),
            (_, Some(agent), ..) => {
                let arguments = json!({"agent": agent.as_str(), "input": doc.input});
                (DELEGATE.parse().ok()?, self.template(id, "input", &arguments)?)
            }
            (_, _, Some(approval), ..) => {
                let arguments = json!({"question": approval.question, "data": approval.data});
                (APPROVE.parse().ok()?, self.template(id, "approval", &arguments)?)
            }
            (_, _, _, Some(wait), ..) => {
                if wait.signal.is_none() && wait.seconds.is_none() {
                    self.faults.add(id, "wait: name a signal, or seconds, or both");
                }
                (WAIT.parse().ok()?, Template::Plain(serde_json::to_value(wait).ok()?))
            }
            (_, _, _, _, Some(plan), _) => {
                // What stands in the other plan are its own references.
                let input = self.template(id, "input", &doc.input)?;
                let fields = [("plan".into(), Template::Plain(Value::clone(plan))), ("input".into(), input)];
                (PLAN.parse().ok()?, Template::Object(fields.into()))
            }
            (_, _, _, _, _, Some(checkpoint)) => {
                let mut arguments = json!({"name": id});
                if let Some(agent) = &checkpoint.agent {
                    arguments["agent"] = json!(agent);
                }
                (SNAPSHOT.parse().ok()?, Template::Plain(arguments))
            }
            _ => return None,
        };
        Some(Kind::Call(Effect { tool: self.tool(&tool), arguments }))
    }

    fn tool(&mut self, name: &ToolName) -> Arc<ToolName> {
        if let Some(known) = self.tools.get(name) {
            return Arc::clone(known);
        }
        let tool = Arc::new(name.clone());
        self.tools.insert(Arc::clone(&tool));
        tool
    }

    fn template(&mut self, id: &str, field: &str, value: &Value) -> Option<Template> {
        match Template::parse(value) {
            Ok(template) => Some(template),
            Err(error) => {
                self.faults.add(id, format!("{field}: {}", error.message()));
                None
            }
        }
    }

    fn need(&mut self, id: &str, need: &str, needs: &mut BTreeSet<u32>) {
        if need == id {
            return self.faults.add(id, "it needs itself");
        }
        match self.numbers.get(need).filter(|_| self.present.contains(need)) {
            Some(number) => _ = needs.insert(*number),
            None => {
                let near = self.near(need);
                self.faults.add(id, format!("it needs {need:?}, which is no node{near}"));
            }
        }
    }

    fn refer(&mut self, id: &str, one: &Ref, within_map: bool) {
        match &one.root {
            Root::Node(other) if !self.present.contains(&**other) => {
                let near = self.near(other);
                self.faults.add(id, format!("{one} refers to a node that is not there{near}"));
            }
            Root::Item | Root::Index if !within_map => {
                self.faults.add(id, format!("{one} stands outside of a node with `map`"));
            }
            _ => {}
        }
    }

    fn near(&self, name: &str) -> String {
        // Each look goes through all ids.
        if self.faults.is_full() {
            return String::new();
        }
        let near = self.present.iter().map(|known| (levenshtein(known, name), known)).min();
        near.filter(|(apart, _)| *apart <= 3).map(|(_, near)| format!(": did you mean {near:?}?")).unwrap_or_default()
    }

    /// What a branch chooses among needs the branch.
    fn choices(&mut self, nodes: &mut [Option<Node>]) {
        for branch in 0..nodes.len() {
            let Some(Node { kind: Kind::Branch(ways), .. }) = &nodes[branch] else { continue };
            let chosen: BTreeSet<u32> = ways.iter().flat_map(|(_, nodes)| nodes).copied().collect();
            for number in chosen {
                if let Some(node) = &mut nodes[number as usize] {
                    let mut needs: BTreeSet<u32> = node.needs.iter().copied().collect();
                    needs.insert(u32::try_from(branch).unwrap_or(u32::MAX));
                    node.needs = needs.into_iter().collect();
                }
            }
        }
    }

    fn stop(&mut self, breakpoint: Breakpoint) -> Option<Stop> {
        let id = breakpoint.node.clone();
        if id != "*" && !self.present.contains(id.as_str()) {
            let near = self.near(&id);
            self.faults.add("", format!("a breakpoint stands at {id:?}, which is no node{near}"));
        }
        if breakpoint.at == Moment::RolledBack {
            self.faults.add(&id, "a breakpoint stands before, after or on_error");
        }
        match Stop::of(breakpoint) {
            Ok(stop) => Some(stop),
            Err(error) => {
                self.faults.add(&id, format!("breakpoint: {}", error.message()));
                None
            }
        }
    }

    /// An order in which each node stands after all that it needs.
    fn order(&mut self, nodes: &[Option<Node>]) -> Vec<u32> {
        let mut graph = DiGraph::<(), ()>::with_capacity(nodes.len(), nodes.len());
        for _ in nodes {
            graph.add_node(());
        }
        for (number, node) in nodes.iter().enumerate() {
            for need in node.iter().flat_map(|node| &node.needs) {
                graph.add_edge(NodeIndex::new(*need as usize), NodeIndex::new(number), ());
            }
        }
        // Components come in reverse topological order; one of several nodes is a circle.
        let components = kosaraju_scc(&graph);
        let id = |index: &NodeIndex| nodes[index.index()].as_ref().map_or("", |node| &node.id);
        for circle in components.iter().filter(|component| component.len() > 1) {
            let mut ids: Vec<&str> = circle.iter().take(10).map(id).collect();
            ids.sort_unstable();
            let more = if circle.len() > 10 { ", …" } else { "" };
            self.faults.add("", format!("nodes need each other in a circle: {}{more}", ids.join(", ")));
        }
        let mut order: Vec<u32> =
            components.iter().flatten().map(|index| u32::try_from(index.index()).unwrap_or(u32::MAX)).collect();
        order.reverse();
        order.retain(|number| nodes[*number as usize].is_some());
        order
    }
}

fn or_empty(arguments: &Value) -> Value {
    if arguments.is_null() { json!({}) } else { arguments.clone() }
}
