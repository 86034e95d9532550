//! What a policy looks at, read from its JSON form: so that only what is looked at is told,
//! and so that requests can be thought of on which it might decide.

use std::collections::BTreeSet;

use serde_json::Value;

/// The parts of a context that differ from call to call, and cost something to tell.
pub(super) const DYNAMIC: [&str; 6] = ["values", "sources", "used", "left", "now", "requester"];

/// Attributes of a context that are looked at.
#[derive(Debug, Clone, Default)]
pub(super) struct Looks(BTreeSet<String>);

impl Looks {
    /// Every attribute.
    pub(super) fn everywhere() -> Self {
        Self(BTreeSet::from(["*".to_owned()]))
    }

    pub(super) fn at(&self, name: &str) -> bool {
        self.0.contains(name) || self.0.contains("*")
    }

    pub(super) fn extend(&mut self, others: &Self) {
        self.0.extend(others.0.iter().cloned());
    }
}

/// What a policy looks at.
#[derive(Debug, Clone, Default)]
pub(super) struct Usage {
    /// Attributes of the context.
    pub(super) context: Looks,
    /// The words that it compares with.
    pub(super) words: BTreeSet<String>,
    /// The numbers that it compares with.
    pub(super) numbers: BTreeSet<i64>,
    /// The times that it compares with, as they are written.
    pub(super) times: BTreeSet<String>,
    /// The entities that it names: type and id.
    pub(super) entities: BTreeSet<(String, String)>,
}

impl Usage {
    /// Reads a policy's JSON form.
    pub(super) fn of(policy: &Value) -> Self {
        let mut usage = Self::default();
        for part in ["principal", "action", "resource"] {
            usage.entities_of(&policy[part]);
        }
        usage.walk(&policy["conditions"]);
        usage
    }

    /// Whether it may decide otherwise once somebody has approved. A policy that looks at the
    /// context as a whole may as well.
    pub(super) fn sees_approval(&self) -> bool {
        self.context.at("approved")
    }

    /// Whether it looks at what differs from call to call.
    pub(super) fn varies(&self) -> bool {
        DYNAMIC.iter().any(|name| self.context.at(name))
    }

    fn walk(&mut self, value: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.walk(item)),
            Value::Object(fields) => {
                for (name, inner) in fields {
                    match name.as_str() {
                        "." | "has" if is_context(&inner["left"]) => {
                            self.context.0.insert(inner["attr"].as_str().unwrap_or("*").to_owned());
                        }
                        "Var" if inner == "context" => self.context.extend(&Looks::everywhere()),
                        "Value" => self.literal(inner),
                        "datetime" | "duration" => self.time(inner),
                        "like" => {
                            self.walk(&inner["left"]);
                            self.pattern(&inner["pattern"]);
                        }
                        _ => self.walk(inner),
                    }
                }
            }
            _ => {}
        }
    }

    fn literal(&mut self, value: &Value) {
        match value {
            Value::String(text) => drop(self.words.insert(text.clone())),
            Value::Number(number) => self.numbers.extend(number.as_i64()),
            Value::Object(_) => self.entities_of(value),
            _ => {}
        }
    }

    fn time(&mut self, arguments: &Value) {
        let written = arguments.as_array().into_iter().flatten().filter_map(|argument| argument["Value"].as_str());
        self.times.extend(written.map(str::to_owned));
    }

    /// A word that a pattern takes: its letters as they stand.
    fn pattern(&mut self, pattern: &Value) {
        let parts = pattern.as_array().into_iter().flatten();
        let word: String = parts.filter_map(|part| part["Literal"].as_str()).collect();
        self.words.insert(word);
    }

    fn entities_of(&mut self, value: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.entities_of(item)),
            Value::Object(fields) => match (value["type"].as_str(), value["id"].as_str()) {
                (Some(kind), Some(id)) => drop(self.entities.insert((kind.to_owned(), id.to_owned()))),
                _ => fields.values().for_each(|inner| self.entities_of(inner)),
            },
            _ => {}
        }
    }
}

fn is_context(value: &Value) -> bool {
    value["Var"] == "context"
}
