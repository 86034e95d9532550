//! What is checked of a plan beside its own form: its tools, and whether what its nodes give fits
//! where it goes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use l9_core::id::{AgentId, ToolId};
use l9_core::plan::Checked;
use l9_core::pointer::segments;
use l9_core::run::{DELEGATE, PLAN, Tools, WAIT};
use l9_core::tool::{ContractHash, Tool, ToolName};
use l9_core::{Error, Result, json};
use serde_json::Value;

use super::compiled::{Compiled, Effect, Node};
use super::document::Plan;
use super::faults::Faults;
use super::template::{Into, Ref, Root, Template};

/// How many plans may lie within each other.
const DEPTH: u32 = 4;

/// The tools that a plan and the plans within it call, and the agents that they delegate to.
type Found = (BTreeMap<ToolId, ContractHash>, BTreeSet<AgentId>);

/// Checks a plan whole.
pub(super) fn check(plan: &Value, tools: Tools<'_>) -> Result<Checked> {
    let plan = read(plan)?;
    let compiled = Compiled::new(&plan, &[])?;
    let (contracts, agents) = found(&compiled, tools, 1)?;
    drop(compiled);
    Ok(Checked {
        plan: String::from_utf8(json::canonical(&plan)?).map_err(|error| Error::internal(error.to_string()))?,
        nodes: plan.nodes.len(),
        name: plan.name,
        contracts,
        agents,
        budget: plan.budget,
        deadline_seconds: plan.deadline_seconds,
    })
}

/// Reads a plan that can be kept, and what it says journaled once more where it is used.
fn read(given: &Value) -> Result<Plan> {
    let plan = Plan::read(given)?;
    let unfit = match given {
        // What was written as text is looked at as what it says.
        Value::String(_) => json::unjournalable_again(&plan.value()?),
        given => json::unjournalable_again(given),
    };
    match unfit {
        None => Ok(plan),
        Some(why) => Err(Error::invalid(format!("the plan cannot be kept: {why}"))),
    }
}

/// The tools and agents of a plan, once everything about them is right.
pub(super) fn found(compiled: &Compiled, tools: Tools<'_>, depth: u32) -> Result<Found> {
    if depth > DEPTH {
        return Err(Error::invalid(format!("{depth} plans lie within each other: at most {DEPTH} may")));
    }
    let mut checker = Checker {
        compiled,
        tools,
        depth,
        known: BTreeMap::new(),
        contracts: BTreeMap::new(),
        agents: BTreeSet::new(),
        faults: Faults::default(),
    };
    for (_, node) in compiled.present() {
        if node.retry.attempts > 1 && node.retry.backoff_seconds > 0 {
            // The wait between two tries is an effect as well.
            checker.tool(&node.id, &WAIT.parse()?);
        }
        for (effect, field) in node
            .effect()
            .map(|effect| (effect, ""))
            .into_iter()
            .chain(node.undo.as_deref().map(|undo| (undo, "compensate.")))
        {
            checker.effect(node, effect, field);
        }
    }
    let Checker { contracts, agents, faults, .. } = checker;
    faults.into_result(&compiled.name)?;
    Ok((contracts, agents))
}

struct Checker<'a> {
    compiled: &'a Compiled,
    tools: Tools<'a>,
    depth: u32,
    known: BTreeMap<String, Option<Arc<Tool>>>,
    contracts: BTreeMap<ToolId, ContractHash>,
    agents: BTreeSet<AgentId>,
    faults: Faults,
}

impl Checker<'_> {
    fn tool(&mut self, node: &str, name: &ToolName) -> Option<Arc<Tool>> {
        let text = name.to_string();
        if let Some(known) = self.known.get(&text) {
            return known.clone();
        }
        let found = match (self.tools)(name) {
            Ok(tool) => {
                let id = tool.manifest.id.clone();
                if self.contracts.insert(id, tool.contract).is_some_and(|other| other != tool.contract) {
                    self.faults.add(node, format!("{name} and another version of it are called in one plan: use one"));
                }
                Some(tool)
            }
            Err(error) => {
                self.faults.add(node, error.message());
                None
            }
        };
        self.known.insert(text, found.clone());
        found
    }

    fn effect(&mut self, node: &Node, effect: &Effect, field: &str) {
        let known = self.known.get(&effect.tool.to_string()).is_some_and(Option::is_none);
        let Some(tool) = self.tool(&node.id, &effect.tool) else {
            if known {
                self.faults.add(&node.id, format!("{} cannot be called either", effect.tool));
            }
            return;
        };
        let plain = |field: &str| match &effect.arguments {
            Template::Plain(value) => value.get(field).cloned(),
            Template::Object(fields) => {
                fields.iter().find(|(key, _)| **key == *field).and_then(|(_, part)| match part {
                    Template::Plain(value) => Some(value.clone()),
                    _ => None,
                })
            }
            _ => None,
        };
        match effect.tool.id.as_str() {
            DELEGATE => match plain("agent").and_then(|agent| AgentId::new(agent.as_str()?).ok()) {
                Some(agent) => _ = self.agents.insert(agent),
                None => self.faults.add(&node.id, "its agent must be named, not referred to"),
            },
            PLAN => {
                let inner = plain("plan").ok_or_else(|| Error::invalid("its plan must be written out"));
                let inner = inner.and_then(|plan| Compiled::new(&read(&plan)?, &[]));
                match inner.and_then(|inner| found(&inner, self.tools, self.depth + 1)) {
                    Ok((contracts, agents)) => {
                        for (tool, contract) in contracts {
                            if self.contracts.insert(tool.clone(), contract).is_some_and(|other| other != contract) {
                                let what = format!("its plan calls another version of {tool} than this one: use one");
                                self.faults.add(&node.id, what);
                            }
                        }
                        self.agents.extend(agents);
                    }
                    Err(error) => self.faults.add(&node.id, error.message()),
                }
            }
            _ => self.arguments(node, effect, &tool, field),
        }
        for (pointer, one) in effect.arguments.refs() {
            self.reference(node, (effect, &tool), (&pointer, one), field);
        }
    }

    /// Whether what is written out of a call's arguments is what the tool takes.
    fn arguments(&mut self, node: &Node, effect: &Effect, tool: &Tool, field: &str) {
        let holes: Vec<String> = effect.arguments.refs().into_iter().map(|(pointer, _)| pointer).collect();
        if holes.iter().any(String::is_empty) {
            return;
        }
        for violation in tool.input.violations(&effect.arguments.hollow()) {
            let pointer = violation.split_once(": ").map_or("", |(pointer, _)| pointer);
            let hole =
                holes.iter().any(|hole| pointer == hole || hole.starts_with(&format!("{pointer}/")) && pointer != "/");
            let open = !holes.is_empty() && pointer == "/";
            let certain = violation.contains("required property") || violation.contains("Additional properties");
            if !hole && (!open || certain) {
                self.faults.add(&node.id, format!("{field}arguments of {}: {violation}", effect.tool));
            }
        }
    }

    /// Whether a reference of a call goes to something that is there, and fits where it stands.
    fn reference(&mut self, node: &Node, (effect, tool): (&Effect, &Tool), (pointer, one): (&str, &Ref), field: &str) {
        let Root::Node(id) = &one.root else { return };
        let Some(other) = self.compiled.numbers.get(id).and_then(|number| self.compiled.node(*number)) else { return };
        // How a node failed can be read of any.
        if matches!(one.path.first(), Some(Into::Key(key)) if **key == *"error") {
            return;
        }
        let Some(gives) = other.effect() else { return };
        let name = Arc::clone(&gives.tool);
        let Some(given) = self.tool(&other.id, &name) else { return };
        let Some(schema) = &given.manifest.output_schema else { return };
        let path: &[Into] = if other.map.is_none() {
            &one.path
        } else {
            match one.path.first() {
                None => return,
                Some(Into::Place(_)) => &one.path[1..],
                Some(Into::Key(key)) => {
                    let what = format!(
                        "{field}{one}: node {id} gives a list, which has no field {key:?}: write ${{{id}[0].{key}}}"
                    );
                    return self.faults.add(&node.id, what);
                }
            }
        };
        let found = match at(schema, schema, path) {
            At::Schema(found) => found,
            At::Unknown => return,
            At::Missing(why) => return self.faults.add(&node.id, format!("{field}{one}: {name} gives {why}")),
        };
        let steps: Vec<Into> = segments(pointer).into_iter().map(|name| Into::Key(name.into())).collect();
        if let At::Schema(wanted) = at(&tool.manifest.input_schema, &tool.manifest.input_schema, &steps)
            && let (Some(given), Some(wanted)) = (types(found), types(wanted))
            && !given.iter().any(|given| wanted.iter().any(|wanted| fits(given, wanted)))
            && is_whole(&effect.arguments, pointer, one)
        {
            let what = format!(
                "{field}{one} is {}, where {} takes {}",
                given.join(" or "),
                tool.manifest.id,
                wanted.join(" or ")
            );
            self.faults.add(&node.id, what);
        }
    }
}

/// Whether a reference stands alone at a place, and not within a text.
fn is_whole(arguments: &Template, pointer: &str, one: &Ref) -> bool {
    let mut at = arguments;
    for key in segments(pointer) {
        at = match at {
            Template::Object(fields) => match fields.iter().find(|(known, _)| **known == *key) {
                Some((_, part)) => part,
                None => return false,
            },
            Template::List(parts) => match key.parse().ok().and_then(|place: usize| parts.get(place)) {
                Some(part) => part,
                None => return false,
            },
            _ => return false,
        };
    }
    matches!(at, Template::Ref(here) if here == one)
}

/// What a path leads to within a schema.
enum At<'a> {
    Schema(&'a Value),
    /// The schema does not say.
    Unknown,
    Missing(String),
}

fn at<'a>(root: &'a Value, schema: &'a Value, path: &[Into]) -> At<'a> {
    let schema = match schema.get("$ref").and_then(Value::as_str).map(|to| to.strip_prefix('#')) {
        None => schema,
        Some(Some(to)) => match root.pointer(to) {
            Some(schema) => schema,
            None => return At::Unknown,
        },
        Some(None) => return At::Unknown,
    };
    let Some((step, rest)) = path.split_first() else { return At::Schema(schema) };
    if ["anyOf", "oneOf", "allOf", "if"].iter().any(|word| schema.get(*word).is_some()) {
        return At::Unknown;
    }
    let (properties, items) = (schema.get("properties").and_then(Value::as_object), schema.get("items"));
    match (step, types(schema).as_deref()) {
        (Into::Key(key), _) if let Some(next) = properties.and_then(|properties| properties.get(&**key)) => {
            at(root, next, rest)
        }
        (Into::Key(key), _) if key.parse::<usize>().is_ok() && items.is_some() => {
            items.map_or(At::Unknown, |items| at(root, items, rest))
        }
        (Into::Key(key), Some(["object"])) if schema.get("additionalProperties") == Some(&Value::Bool(false)) => {
            let known: Vec<&str> = properties.into_iter().flat_map(|known| known.keys()).map(String::as_str).collect();
            At::Missing(format!("no {key:?}, only {}", known.join(", ")))
        }
        (Into::Key(key), Some(types)) if !types.contains(&"object") => {
            At::Missing(format!("{}, which has no field {key:?}", types.join(" or ")))
        }
        (Into::Place(place), Some(types)) if !types.contains(&"array") => {
            At::Missing(format!("{}, which has no place {place}", types.join(" or ")))
        }
        (Into::Place(_), _) => items.map_or(At::Unknown, |items| at(root, items, rest)),
        _ => At::Unknown,
    }
}

/// The types that a schema names.
fn types(schema: &Value) -> Option<Vec<&str>> {
    match schema.get("type")? {
        Value::String(one) => Some(vec![one]),
        Value::Array(several) => several.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

fn fits(given: &str, wanted: &str) -> bool {
    given == wanted || (given, wanted) == ("integer", "number") || (given, wanted) == ("number", "integer")
}
