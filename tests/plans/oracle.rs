//! Plans at random against a naive executor: the same nodes succeed, fail and are skipped, and
//! none begins before what it needs has ended.

use std::collections::{BTreeMap, BTreeSet};

use l9::id::{CallId, NodePart};
use l9::run::Event;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use super::office::{Office, plan};

const TRIGGERS: [&str; 5] = ["all_succeeded", "none_failed", "any_succeeded", "any_failed", "all_done"];

/// A node: what it needs of those before it, its trigger, whether it fails, how many elements.
type Made = (Vec<usize>, usize, bool, Option<usize>);

fn made() -> impl Strategy<Value = Vec<Made>> {
    let node = (
        prop::collection::vec(0..64_usize, 0..4),
        0..TRIGGERS.len(),
        prop::bool::weighted(0.2),
        prop::option::weighted(0.2, 0..4_usize),
    );
    prop::collection::vec(node, 1..24)
}

fn nodes(made: &[Made]) -> Vec<Value> {
    let node = |(place, (needs, trigger, fails, elements)): (usize, &Made)| {
        let needs: BTreeSet<String> =
            needs.iter().filter(|_| place > 0).map(|need| format!("n{}", need % place.max(1))).collect();
        let failures = if *fails { 1_000_000 } else { 0 };
        let mut node = json!({
            "id": format!("n{place}"),
            "needs": needs,
            "trigger": TRIGGERS[*trigger],
            "tool": "office/flaky",
            "arguments": {"name": format!("{place}"), "failures": failures},
            "optional": true,
        });
        if let Some(elements) = elements {
            node["map"] = json!({"over": vec![0; *elements], "parallel": 2});
        }
        node
    };
    made.iter().enumerate().map(node).collect()
}

/// How each node ends, worked out one after another.
fn naive(nodes: &[Value]) -> BTreeMap<String, &'static str> {
    let mut ended: BTreeMap<String, &str> = BTreeMap::new();
    for node in nodes {
        let needs: Vec<&str> = node["needs"].as_array().unwrap().iter().map(|id| ended[id.as_str().unwrap()]).collect();
        let of = |state| needs.iter().filter(|other| **other == state).count();
        let begins = match node["trigger"].as_str().unwrap() {
            "all_succeeded" => of("succeeded") == needs.len(),
            "none_failed" => of("failed") == 0 && (of("succeeded") > 0 || of("skipped") == 0),
            "any_succeeded" => of("succeeded") > 0,
            "any_failed" => of("failed") > 0,
            _ => true,
        };
        let empty = node["map"]["over"].as_array().is_some_and(Vec::is_empty);
        let fails = node["arguments"]["failures"] == json!(1_000_000) && !empty;
        let state = if !begins {
            "skipped"
        } else if fails {
            "failed"
        } else {
            "succeeded"
        };
        ended.insert(node["id"].as_str().unwrap().to_owned(), state);
    }
    ended
}

#[test]
fn random_plans_end_as_a_naive_executor_has_them_and_nothing_begins_too_early() {
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let office = threads.block_on(Office::open());
    let mut runner = TestRunner::new(Config { cases: 60, failure_persistence: None, ..Config::default() });
    let checked = runner.run(&made(), |made| {
        let nodes = nodes(&made);
        let run = threads.block_on(async {
            let run = office.try_start(&plan("p", &json!({"parallel": 3}), &nodes), &json!(null)).await.unwrap();
            office.ended(run).await;
            run
        });
        let (view, events) = threads.block_on(async { (office.view(run).await, office.events(run).await) });
        let states: BTreeMap<String, &str> =
            view.nodes.iter().map(|node| (node.id.clone(), node.state.as_str())).collect();
        prop_assert_eq!(&states, &naive(&nodes));
        let number = |id: &str| -> u32 { id[1..].parse().unwrap() };
        let of = |event: &Event| match event {
            Event::EffectIntent(intent) => Some((intent.call, true)),
            Event::EffectResult(result) => Some((result.call, false)),
            _ => None,
        };
        let mut open: BTreeSet<CallId> = BTreeSet::new();
        let mut begun: BTreeSet<CallId> = BTreeSet::new();
        for (call, begins) in events.iter().filter_map(of) {
            if !begins {
                open.remove(&call);
                continue;
            }
            prop_assert!(begun.insert(call), "{} began twice", call);
            open.insert(call);
            prop_assert!(open.len() <= 3, "more under way than the plan says");
            let CallId::Node(this) = call else { panic!("{call}") };
            prop_assert_eq!(this.part, NodePart::Work);
            let node = view.nodes.iter().find(|node| number(&node.id) == this.node).unwrap();
            let early = view.nodes.iter().filter(|other| other.needs.contains(&node.id)).find(|other| {
                begun.iter().any(|call| matches!(call, CallId::Node(call) if call.node == number(&other.id)))
            });
            prop_assert!(early.is_none(), "{} began before {}, which it needs", early.unwrap().id, node.id);
            for need in &node.needs {
                let busy = open.iter().any(|other| matches!(other, CallId::Node(other) if other.node == number(need)));
                prop_assert!(!busy, "{} began while {need} was under way", node.id);
            }
        }
        Ok(())
    });
    checked.unwrap();
    threads.block_on(office.sound());
}
