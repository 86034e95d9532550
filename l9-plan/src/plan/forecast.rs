//! The calls that a plan would make, told before anything runs. It must not judge them: what policy
//! says and what they cost is the kernel's to tell.

use l9_core::Result;
use l9_core::plan::{PlannedCall, Unknown};
use l9_core::run::PLAN;
use l9_core::tool::ToolName;
use serde_json::Value;

use super::compiled::{Compiled, Effect, Kind, Node};
use super::document::{OnFailure, Plan, Trigger};
use super::template::Template;

/// The calls of a plan and of those within it, in an order in which each stands after all that it
/// needs.
pub(super) fn calls(plan: &Value) -> Result<Vec<PlannedCall>> {
    let compiled = Compiled::new(&Plan::read(plan)?, &[])?;
    let begins = begins(&compiled);
    let mut calls = Vec::new();
    for number in &compiled.order {
        let Some(node) = compiled.node(*number) else { continue };
        let Some(effect) = node.effect() else { continue };
        let elements = node.map.as_ref().map_or(Some(1), |map| elements(&map.0));
        let least = if begins[*number as usize] { elements.unwrap_or(0) } else { 0 };
        let work = PlannedCall { least, ..planned(node, effect, elements) };
        let within = within(effect, &work)?;
        calls.push(work);
        calls.extend(within);
        if let Some(undo) = &node.undo {
            // Of a checkpoint the state of memory stays.
            let compensates = compiled.on_failure == OnFailure::Compensate && !node.is_checkpoint();
            let most = if compensates { elements } else { Some(0) };
            calls.push(PlannedCall { compensates: true, tries: 1, pauses: false, ..planned(node, undo, most) });
        }
    }
    Ok(calls)
}

/// A call that is made for so many elements at most, and perhaps for none.
fn planned(node: &Node, effect: &Effect, most: Option<u64>) -> PlannedCall {
    let unknown = effect.arguments.refs().into_iter();
    PlannedCall {
        node: node.id.to_string(),
        kind: node.kind().to_owned(),
        tool: ToolName::clone(&effect.tool),
        arguments: effect.arguments.hollow(),
        unknown: unknown.map(|(at, one)| Unknown { at, reference: one.to_string() }).collect(),
        compensates: false,
        least: 0,
        most,
        tries: node.retry.attempts,
        pauses: node.retry.backoff_seconds > 0,
    }
}

/// The calls of the plan that a call has carried out, if it is one.
fn within(effect: &Effect, outer: &PlannedCall) -> Result<Vec<PlannedCall>> {
    let (PLAN, Some(plan)) = (effect.tool.id.as_str(), outer.arguments.get("plan")) else { return Ok(Vec::new()) };
    let runs = outer.most.map(|most| most.saturating_mul(u64::from(outer.tries)));
    let inner = calls(plan)?.into_iter().map(|call| PlannedCall {
        node: format!("{}/{}", outer.node, call.node),
        least: call.least.saturating_mul(outer.least),
        most: call.most.zip(runs).map(|(most, runs)| most.saturating_mul(runs)),
        ..call
    });
    Ok(inner.collect())
}

/// How many elements a list has, if it is written out.
fn elements(over: &Template) -> Option<u64> {
    match over {
        Template::Plain(Value::Array(values)) => Some(values.len() as u64),
        Template::List(parts) => Some(parts.len() as u64),
        _ => None,
    }
}

/// Of each node by its number, whether it begins for certain where everything succeeds.
fn begins(compiled: &Compiled) -> Vec<bool> {
    let mut begins = vec![false; compiled.nodes.len()];
    for (number, node) in compiled.present() {
        begins[number as usize] = node.when.is_none();
    }
    for (_, node) in compiled.present() {
        if let Kind::Branch(ways) = &node.kind {
            ways.iter().flat_map(|(_, chosen)| chosen).for_each(|chosen| begins[*chosen as usize] = false);
        }
    }
    for number in &compiled.order {
        let Some(node) = compiled.node(*number) else { continue };
        let mut needs = node.needs.iter().map(|need| begins[*need as usize]);
        let triggered = match node.trigger {
            Trigger::AllSucceeded => needs.all(|begins| begins),
            Trigger::NoneFailed => node.needs.is_empty() || needs.any(|begins| begins),
            Trigger::AnySucceeded => needs.any(|begins| begins),
            Trigger::AnyFailed => false,
            Trigger::AllDone => true,
        };
        begins[*number as usize] &= triggered;
    }
    begins
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn bounds(plan: &Value) -> Vec<(String, u64, Option<u64>)> {
        calls(plan).unwrap().into_iter().map(|call| (call.node, call.least, call.most)).collect()
    }

    #[test]
    fn what_is_chosen_conditional_or_for_failures_is_not_certain_nor_what_needs_it() {
        let plan = json!({"plan": "p", "nodes": [
            {"id": "a", "tool": "time/now"},
            {"id": "choose", "needs": ["a"], "branch": [{"then": ["b"]}]},
            {"id": "b", "tool": "time/now"},
            {"id": "c", "tool": "time/now", "when": "${a.x} == 1"},
            {"id": "d", "tool": "time/now", "needs": ["c"]},
            {"id": "e", "tool": "time/now", "needs": ["a"], "trigger": "any_failed"},
            {"id": "f", "tool": "time/now", "needs": ["a", "b"], "trigger": "none_failed"},
            {"id": "g", "tool": "time/now", "needs": ["b", "c", "e"], "trigger": "all_done"},
            {"id": "h", "tool": "time/now", "trigger": "none_failed"},
        ]});
        let certain: Vec<String> = bounds(&plan).into_iter().filter(|one| one.1 == 1).map(|one| one.0).collect();
        assert_eq!(certain.len(), 4, "{certain:?}");
        assert!(["a", "f", "g", "h"].iter().all(|id| certain.iter().any(|one| one == id)), "{certain:?}");
    }

    #[test]
    fn a_written_list_is_counted_and_another_is_unbounded_within_plans_too() {
        let inner = json!({"plan": "inner", "nodes": [{"id": "one", "tool": "time/now"}]});
        let plan = json!({"plan": "p", "nodes": [
            {"id": "two", "plan": inner, "map": {"over": [1, 2]}, "retry": {"attempts": 3}},
            {"id": "many", "plan": inner, "map": {"over": "${input.list}"}},
        ]});
        let mut found = bounds(&plan);
        found.sort();
        let named = |node: &str, least, most| (node.to_owned(), least, most);
        assert_eq!(
            found,
            [
                named("many", 0, None),
                named("many/one", 0, None),
                named("two", 2, Some(2)),
                named("two/one", 2, Some(6)),
            ]
        );
    }
}
