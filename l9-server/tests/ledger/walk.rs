//! One door with every case: as an agent's run, and as a tool's call alone.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::cases::{CASES, Case, LETTERS, input};
use crate::count::{Counts, Row};
use crate::doors::{Door, Stand};
use crate::outside::Outside;

/// Walks through a door with every case that it lets in, and checks that in the end nothing
/// arrived of which the journals know nothing.
pub(crate) async fn all(door: &mut dyn Door, outside: &Outside) {
    let (mut rows, has_native) = (Vec::new(), door.has_native());
    for case in CASES.iter().filter(|case| case.name != "native" || has_native) {
        rows.push(one(door, outside, case, false).await);
        if door.lets_in(case.alone) {
            rows.push(one(door, outside, case, true).await);
        }
    }
    let mut keys: BTreeMap<String, u32> = BTreeMap::new();
    for (key, attempts) in rows.iter().flat_map(|row| &row.counts.sent) {
        *keys.entry(key.clone()).or_default() += attempts;
    }
    let arrived = outside.ledger.lines().into_iter().map(|(key, line)| (key, line.requests)).collect();
    assert_eq!(keys, arrived, "requests by their keys are intents by theirs");
    let intended: u32 = rows.iter().map(|row| row.counts.model + row.counts.tools()).sum();
    let (model, tools) = outside.requests();
    assert_eq!(model + tools, intended);
    println!("{}", Row::head());
    rows.iter().for_each(|row| println!("{row}"));
    println!("{} requests arrived, {intended} intents left", model + tools);
}

/// One case.
async fn one(door: &mut dyn Door, outside: &Outside, case: &'static Case, alone: bool) -> Row {
    let cell = format!("{}-{}", case.name.replace([' ', ','], "-"), if alone { "alone" } else { "agent" });
    let before = outside.requests();
    outside.prepare_for(case.trouble);
    let mut stand = if alone {
        let (tool, arguments) = case.call(&cell);
        door.call(tool, &arguments, case.alone).await
    } else {
        door.run(case.agent, &input(case, &cell)).await
    };
    let (mut edited, mut decided) = (None, false);
    while let Some(question) = stand.question.take() {
        look_at(case, &question);
        assert!(decided || outside.requests().1 == before.1, "{}: what is asked about sends nothing", case.name);
        let decision = case.decision.unwrap_or_else(|| panic!("nobody is to be asked: {question}"));
        edited = decision.text.map(|text| json!({"text": text}));
        stand = door.decide(&question, decision, edited.clone()).await;
        decided = true;
    }
    if let Some(edited) = edited {
        let edited = edited.to_string();
        let written = outside.ledger.lines().into_values().filter(|line| line.item == edited);
        assert!(written.count() > 0, "{}: what was put in place is what is sent", case.name);
    }
    let row = receipt(door, outside, case, (alone, before), &stand).await;
    if case.name == "memory write" {
        let kept = door.memory(&format!("kept by {cell}")).await;
        let mine = kept.iter().filter(|entry| entry["key"] == cell.as_str());
        assert_eq!(mine.count(), 1, "{kept:?}");
    }
    row
}

/// A question about somebody whom the request does not name says in which letter they stand.
fn look_at(case: &Case, question: &Value) {
    let reasons = question["reasons"].to_string();
    for (letter, text) in LETTERS {
        let stands = question["arguments"]["to"].as_str().is_some_and(|to| text.contains(to));
        assert_eq!(reasons.contains(letter), stands, "{}: {question}", case.name);
    }
}

async fn receipt(
    door: &mut dyn Door,
    outside: &Outside,
    case: &'static Case,
    (alone, before): (bool, (u32, u32)),
    stand: &Stand,
) -> Row {
    let outcome = if case.fails(alone) { "failed" } else { "succeeded" };
    assert_eq!(stand.outcome, outcome, "{}: {stand:?}", case.name);
    let (mut counts, mut runs) = (Counts::default(), vec![stand.run.clone()]);
    while let Some(run) = runs.pop() {
        let events = door.journal(&run).await;
        counts.add(&events);
        let spawned = events.iter().filter(|event| event["kind"] == "child.spawned");
        runs.extend(spawned.map(|event| event["data"]["run"].as_str().unwrap().to_owned()));
    }
    let after = outside.requests();
    let requests = (after.0 - before.0, after.1 - before.1);
    let entry = format!("{} {}", door.name(), if alone { "tool" } else { "agent" });
    assert_eq!(requests, (counts.model, counts.tools()), "{entry}, {}: requests and intents", case.name);
    assert_eq!(
        counts.intents(),
        counts.results + counts.retries + counts.unknowns,
        "{entry}, {}: intents and their ends",
        case.name
    );
    assert_eq!(counts.as_expected(), case.counts(alone), "{entry}, {}: {:?}", case.name, counts.troubles);
    Row { entry, case: case.name, requests, counts }
}
