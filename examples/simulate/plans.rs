//! Plans as the seed draws them: graphs of nodes over the simulated tools, with triggers,
//! tries, lists, branches, waits, runs of their own, compensations and breakpoints. Each node
//! stands after all that it needs, and conditions ask about what the plan is given alone.

use serde_json::{Map, Value, json};

use crate::model;
use crate::node::AGENT;
use crate::random::Random;
use crate::tools::TOOLS;

/// How many nodes a plan has.
const NODES: (u64, u64) = (3, 12);

/// How many nodes a plan within another has.
const INNER: (u64, u64) = (1, 4);

/// The most waits of a plan.
const WAITS: usize = 2;

/// How what a node needs must have ended, more often than not by success.
const TRIGGERS: [&str; 8] = [
    "all_succeeded",
    "all_succeeded",
    "all_succeeded",
    "all_succeeded",
    "none_failed",
    "any_succeeded",
    "any_failed",
    "all_done",
];

/// When a breakpoint stops a plan.
const MOMENTS: [&str; 3] = ["before", "after", "on_error"];

/// A plan, and what it is given.
pub(crate) fn draw(random: &mut Random) -> (Value, Value) {
    let list: Vec<u64> = (0..random.below(5)).collect();
    (plan(random, NODES, true), json!({"n": random.below(9), "list": list}))
}

fn plan(random: &mut Random, (least, most): (u64, u64), outer: bool) -> Value {
    let count = random.between(least, most);
    let mut nodes: Vec<Value> = Vec::new();
    for number in 0..count {
        let waits = nodes.iter().filter(|node| node.get("wait").is_some()).count();
        nodes.push(node(random, number, count, outer, waits < WAITS));
    }
    let mut plan = json!({
        "plan": if outer { "outer" } else { "inner" },
        "parallel": random.between(1, 5),
        "on_failure": *random.pick(&["keep", "compensate"]),
        "nodes": nodes,
    });
    if outer && random.chance(100) {
        plan["deadline_seconds"] = json!(random.between(2, 30));
    }
    if outer && random.chance(250) {
        plan["breakpoints"] = json!([breakpoint(random, count)]);
    }
    if random.chance(300) {
        plan["output"] = json!({"first": "${n0}"});
    }
    plan
}

fn breakpoint(random: &mut Random, count: u64) -> Value {
    let node = if random.chance(150) { "*".to_owned() } else { id(random.below(count)) };
    json!({"node": node, "at": random.pick(&MOMENTS), "mode": *random.pick(&["drain", "freeze"])})
}

fn id(number: u64) -> String {
    format!("n{number}")
}

fn condition(random: &mut Random) -> String {
    format!("${{input.n}} < {}", random.below(10))
}

fn node(random: &mut Random, number: u64, count: u64, outer: bool, may_wait: bool) -> Value {
    let mut needs: Vec<u64> = Vec::new();
    if number > 0 {
        needs = (0..random.below(4)).map(|_| random.below(number)).collect();
        needs.sort_unstable();
        needs.dedup();
    }
    let mut node = match random.below(100) {
        0..10 if may_wait => json!({"wait": wait(random)}),
        10..18 if number + 2 < count => branch(random, number, count),
        18..23 if outer => json!({"plan": plan(random, INNER, false), "input": {"n": random.below(9), "list": [1, 2]}}),
        23..26 if outer => json!({"agent": AGENT, "input": format!("part {number} of {}", random.below(1_000))}),
        kind => call(random, kind < 42, &needs),
    };
    node["id"] = json!(id(number));
    node["needs"] = json!(needs.iter().copied().map(id).collect::<Vec<_>>());
    node["trigger"] = json!(random.pick(&TRIGGERS));
    node["optional"] = json!(random.chance(300));
    if random.chance(400) {
        node["retry"] = json!({"attempts": random.between(1, 3), "backoff_seconds": random.below(3)});
    }
    if random.chance(60) {
        node["when"] = json!(condition(random));
    }
    if outer && random.chance(60) {
        node["break"] = json!(random.pick(&MOMENTS));
    }
    node
}

fn wait(random: &mut Random) -> Value {
    serde_json::from_str(&model::wait(random)).unwrap_or_default()
}

/// One of two that follow, or the one and nothing.
fn branch(random: &mut Random, number: u64, count: u64) -> Value {
    let (one, other) = (random.between(number + 1, count - 1), random.between(number + 1, count - 1));
    let mut ways = vec![json!({"when": condition(random), "then": [id(one)]})];
    if random.chance(700) {
        ways.push(json!({"then": [id(other)]}));
    }
    json!({"branch": ways})
}

/// A call of a tool, for each element of a list if `each`, with what undoes it in half of them.
fn call(random: &mut Random, each: bool, needs: &[u64]) -> Value {
    let (tool, ..) = *random.pick(&TOOLS);
    let mut arguments = Map::from_iter([("n".to_owned(), json!(random.below(9)))]);
    if !needs.is_empty() && random.chance(500) {
        arguments.insert("from".to_owned(), json!(format!("${{{}}}", id(*random.pick(needs)))));
    }
    let mut node = json!({"tool": tool, "arguments": arguments});
    if each {
        let list: Vec<u64> = (0..random.below(5)).collect();
        let over = if random.chance(500) { json!("${input.list}") } else { json!(list) };
        node["map"] = json!({"over": over, "parallel": random.between(1, 4)});
    }
    if random.chance(500) {
        let (undo, ..) = *random.pick(&TOOLS[2..]);
        node["compensate"] = json!({"tool": undo, "arguments": {"undo": "${input.n}"}});
    }
    if random.chance(100) {
        node["timeout_seconds"] = json!(random.between(1, 20));
    }
    node
}
