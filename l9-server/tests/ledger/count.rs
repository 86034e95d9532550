//! What a journal says that happened, as numbers, and the table of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use crate::cases::Expected;

/// What is read off the journals of a run and of those it delegated to.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Intents of model calls.
    pub(crate) model: u32,
    /// Intents of tools that send something, by idempotency key.
    pub(crate) sent: BTreeMap<String, u32>,
    /// Intents of everything else.
    pub(crate) inside: u32,
    pub(crate) results: u32,
    pub(crate) retries: u32,
    pub(crate) unknowns: u32,
    pub(crate) denied: u32,
    pub(crate) asked: u32,
    /// Why attempts did not end well, in words.
    pub(crate) troubles: Vec<String>,
}

impl Counts {
    /// Reads a journal, and checks that every intent has one end, and that nothing was intended
    /// of what was refused.
    pub(crate) fn add(&mut self, events: &[Value]) {
        let (mut open, mut intended, mut refused) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let (mut undecided, mut keys) = (BTreeSet::new(), BTreeMap::new());
        for event in events {
            let (kind, data) = (event["kind"].as_str().unwrap(), &event["data"]);
            let call = data["call"].as_str().unwrap_or_default();
            let attempt = (call.to_owned(), data["attempt"].as_u64().unwrap_or_default());
            match kind {
                "effect.intent" => {
                    assert!(!undecided.contains(call), "{event} is intended before somebody has decided");
                    let key = &data["idempotency_key"];
                    assert_eq!(keys.entry(call).or_insert(key), &key, "{event}: attempts at one effect have one key");
                    self.intend(data);
                    assert!(open.insert(attempt), "{event} is intended twice");
                    intended.insert(call);
                }
                "effect.result" | "effect.retry" | "effect.unknown" => {
                    assert!(open.remove(&attempt), "{event} ends what was not intended");
                    if kind != "effect.result" {
                        self.troubles.push(data.to_string());
                    }
                    let count = match kind {
                        "effect.result" => &mut self.results,
                        "effect.retry" => &mut self.retries,
                        _ => &mut self.unknowns,
                    };
                    *count += 1;
                }
                "approval.asked" => {
                    self.asked += 1;
                    undecided.insert(call);
                }
                "approval.decided" if data["answer"]["kind"] != "rejected" => {
                    undecided.remove(call);
                }
                "effect.denied" | "approval.decided" => {
                    self.denied += 1;
                    refused.insert(call);
                }
                _ => {}
            }
        }
        assert_eq!(open, BTreeSet::new(), "what has no end in {events:?}");
        assert!(intended.is_disjoint(&refused), "what was refused is intended in {events:?}");
        assert_eq!(events.last().unwrap()["kind"], "run.closed");
    }

    fn intend(&mut self, data: &Value) {
        let tool = data["action"]["tool"].as_str();
        match tool.map(|tool| tool.split('/').next().unwrap()) {
            None => self.model += 1,
            Some("ledger" | "native") => {
                *self.sent.entry(data["idempotency_key"].as_str().unwrap().to_owned()).or_default() += 1;
            }
            Some(_) => self.inside += 1,
        }
    }

    /// Intents of tools that send something.
    pub(crate) fn tools(&self) -> u32 {
        self.sent.values().sum()
    }

    pub(crate) fn intents(&self) -> u32 {
        self.model + self.tools() + self.inside
    }

    pub(crate) fn as_expected(&self) -> Expected {
        Expected {
            model: self.model,
            tools: self.tools(),
            inside: self.inside,
            retries: self.retries,
            unknowns: self.unknowns,
            denied: self.denied,
            asked: self.asked,
        }
    }
}

/// A line of the table.
pub(crate) struct Row {
    pub(crate) entry: String,
    pub(crate) case: &'static str,
    /// What arrived at the provider and at the tools' server.
    pub(crate) requests: (u32, u32),
    pub(crate) counts: Counts,
}

impl Row {
    /// The names of what stands in a line.
    pub(crate) fn head() -> String {
        format!(
            "{:<22} {:<26} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>7} {:>6}",
            "entry", "effect", "requests", "intents", "inside", "results", "retries", "unknowns", "denied", "asked"
        )
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { entry, case, requests: (model, tools), counts } = self;
        let left = counts.model + counts.tools();
        let Counts { inside, results, retries, unknowns, denied, asked, .. } = counts;
        let requests = model + tools;
        write!(
            f,
            "{entry:<22} {case:<26} {requests:>8} {left:>8} {inside:>8} {results:>8} {retries:>8} {unknowns:>8} {denied:>7} {asked:>6}"
        )
    }
}
