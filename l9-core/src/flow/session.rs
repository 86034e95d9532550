//! The flow of one run: an index of everything it was told and has read, by value.
//!
//! What is added is indexed once, so that the cost is linear in the length of the run; a call
//! is then judged by lookups. The order in which results are added changes nothing. Nothing
//! here reads a result for what it says.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;

use super::fields::{FieldLabels, Leaf, Lookup};
use super::identities::Identities;
use super::naming::{Choice, Names};
use super::said::Said;
use super::words::{ByKey, Growing, Keys, is_address, link_key, links, number, plain, strong, weak, weak_pair, words};
use crate::id::ToolId;
use crate::label::{Confidentiality, Label};

/// The most words of what was read that are indexed. A run beyond takes every value for one
/// that an untrusted source may have named.
const INDEXED: usize = 1 << 20;

/// The most untrusted sources that are named to people.
const NAMED: usize = 6;

/// The most numbers from which others may be derived.
pub(super) const NUMBERS: usize = 24;

/// The longest run of words within trusted prose that stands for itself.
pub(super) const PHRASE: usize = 4;

/// Something that was read.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a> {
    /// Which step of the run it was, for people.
    pub step: u32,
    /// The tool.
    pub tool: &'a ToolId,
    /// What it was called with.
    pub arguments: &'a Value,
    /// The labels of what it gave.
    pub labels: &'a FieldLabels,
    /// What it gave.
    pub value: &'a Value,
}

/// Where something was read.
#[derive(Debug, Clone)]
pub(super) struct Source {
    step: u32,
    /// What people are shown.
    pub(super) name: String,
    pub(super) label: Arc<Label>,
}

/// How a trusted source vouches for a value.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Voucher {
    pub(super) selected: bool,
    pub(super) open: bool,
    pub(super) contested: bool,
    pub(super) passed: bool,
    /// It is somebody else's: it brings nobody in.
    pub(super) foreign: bool,
    /// It is somebody else's, and the principal's words choose it.
    pub(super) found: bool,
    /// Where it stands, the first of several.
    pub(super) source: u32,
}

/// Everything a run was told and has read.
#[derive(Debug, Clone, Default)]
pub struct Flow {
    pub(super) said: Said,
    pub(super) own: Identities,
    /// The join of the labels of all of it.
    pub(super) label: Label,
    /// Untrusted sources, for people.
    pub(super) untrusted: BTreeSet<String>,
    /// Sources by number.
    pub(super) sources: Vec<Source>,
    /// Whole trusted values.
    pub(super) vouched: ByKey<u128, Voucher>,
    /// What stands within trusted prose.
    pub(super) prose: Keys,
    /// Addresses that stand within a typed value and are not that value.
    pub(super) within: ByKey<u64, u32>,
    /// Words, and pairs of words side by side, of untrusted sources.
    pub(super) seen: ByKey<u64, u32>,
    /// Links, letter by letter, of any source.
    pub(super) shown: Keys<u64>,
    /// The confidentiality of words that are not the tenant's.
    pub(super) confidential: ByKey<u64, Confidentiality>,
    /// Numbers of records that the principal's words name.
    pub(super) numbers: BTreeSet<u64>,
    pub(super) full: bool,
}

impl Flow {
    /// A run that was told a request, and has read nothing yet.
    #[must_use]
    pub fn new(request: &str, label: &Label, own: Identities) -> Self {
        let mut flow = Self { own, ..Self::default() };
        flow.label.join(label);
        for (link, _) in links(request) {
            flow.shown.insert(link_key(link));
        }
        if label.is_trusted() {
            flow.said = Said::new(request);
        } else {
            let source = flow.source(0, origin(label, "", "the request".to_owned()), Arc::new(label.clone()));
            flow.distrust(label, "the request", None);
            flow.see(request, source);
        }
        flow
    }

    /// Adds standing instructions: what stands in them exists, and is not chosen by anybody.
    pub fn instruct(&mut self, instructions: &str) {
        self.trust_prose(instructions);
    }

    /// The join of the labels of everything the run was told and has read.
    #[must_use]
    pub fn label(&self) -> &Label {
        &self.label
    }

    /// What the principal goes by.
    #[must_use]
    pub fn identities(&self) -> &Identities {
        &self.own
    }

    /// Adds words that are no value of a tool, such as a fault's.
    pub fn hear(&mut self, step: u32, tool: &ToolId, label: &Label, text: &str) {
        let value = Value::String(text.to_owned());
        let labels = FieldLabels::whole(label.clone());
        self.read(&Reading { step, tool, arguments: &Value::Null, labels: &labels, value: &value });
    }

    /// Adds what a call gave.
    pub fn read(&mut self, reading: &Reading<'_>) {
        let Reading { step, tool, labels, value, .. } = *reading;
        let joined = Arc::new(labels.joined(value));
        let mut names = BTreeSet::new();
        let lookup = Lookup::new(labels);
        let choices = self.choices(reading, &lookup);
        // What one result holds of several sources is told apart.
        let mut parts: BTreeMap<BTreeSet<String>, u32> = BTreeMap::new();
        lookup.walk(value, &mut |leaf| {
            let choice = choices.get(&leaf.record).copied().unwrap_or_default();
            let label = &leaf.label.label;
            let source = parts.get(&label.untrusted).copied().unwrap_or_else(|| {
                let result = format!("{tool} in step {step}");
                let source = self.source(step, origin(label, tool.as_str(), result), Arc::clone(&joined));
                self.distrust(label, tool.as_str(), Some(step));
                parts.insert(label.untrusted.clone(), source);
                source
            });
            let trusted = label.is_trusted();
            for name in leaf.names().filter(|name| names.insert((*name, trusted))) {
                self.name(name, trusted, source);
            }
            self.leaf(leaf, choice, source);
        });
    }

    fn source(&mut self, step: u32, name: String, label: Arc<Label>) -> u32 {
        self.sources.push(Source { step, name, label });
        u32::try_from(self.sources.len() - 1).unwrap_or(u32::MAX)
    }

    fn distrust(&mut self, label: &Label, tool: &str, step: Option<u32>) {
        for source in &label.untrusted {
            let shown = match step {
                Some(step) if source == tool => format!("{tool} in step {step}"),
                Some(step) => format!("{source}, through {tool} in step {step}"),
                None => source.clone(),
            };
            // The smallest stay, so that the order of reading does not matter.
            if self.untrusted.insert(shown) && self.untrusted.len() > NAMED {
                self.untrusted.pop_last();
            }
        }
    }

    /// Which records of which lists the principal's words name.
    fn choices(&self, reading: &Reading<'_>, lookup: &Lookup<'_>) -> HashMap<(u32, u32), Choice> {
        if !reading.labels.trust_any() {
            // What is not trusted is believed no more for being chosen.
            return HashMap::new();
        }
        let mut lists: HashMap<u32, Names> = HashMap::new();
        lookup.walk(reading.value, &mut |leaf| {
            let (list, record) = leaf.record;
            let names = lists.entry(list).or_default();
            names.record(record);
            if !leaf.label.label.is_trusted() {
                return;
            }
            match leaf.value {
                Value::String(text) => {
                    let is_field = |word: &str| {
                        leaf.names().any(|name| name.eq_ignore_ascii_case(word)) || reading.tool.as_str().contains(word)
                    };
                    names.text(record, &words(text), &self.said, is_field);
                }
                Value::Number(number) => {
                    if let Some(number) = number.as_f64() {
                        names.number(record, number, &self.said);
                    }
                }
                _ => {}
            }
        });
        let looked_up = self.asked_in_own_words(reading.arguments);
        let chosen = |(list, names): (u32, Names)| {
            names
                .choose(looked_up)
                .into_iter()
                .map(move |(record, choice)| ((list, record), choice))
                .collect::<Vec<_>>()
        };
        lists.into_iter().flat_map(chosen).collect()
    }

    /// Whether a call's words all stand in the request, so that what it found was asked for.
    fn asked_in_own_words(&self, arguments: &Value) -> bool {
        let mut any = false;
        let mut all = true;
        every(arguments, &mut |leaf| {
            if let Value::String(text) = leaf {
                any = true;
                all &= self.said.has(&words(text));
            }
        });
        any && all
    }

    /// The earlier of two sources, so that the order of reading does not matter.
    fn earlier(&self, one: u32, other: u32) -> u32 {
        let at = |source: u32| self.sources.get(source as usize).map(|source| (source.step, &source.name));
        if at(one) <= at(other) { one } else { other }
    }

    fn leaf(&mut self, leaf: &Leaf<'_, '_>, choice: Choice, source: u32) {
        let label = &leaf.label.label;
        self.label.join(label);
        let trusted = label.is_trusted();
        let source = (source, leaf.label.foreign);
        let numbers_things = leaf.names().last().is_some_and(is_identifier);
        match leaf.value {
            Value::String(text) => {
                for (link, _) in links(text) {
                    self.shown.insert(link_key(link));
                }
                self.confide(text, label.confidentiality);
                match (trusted, leaf.label.typed) {
                    (true, true) => self.trust_value(text, choice, source),
                    (true, false) => {
                        self.trust_value(text, choice, source);
                        self.trust_prose(text);
                    }
                    (false, _) => self.see(text, source.0),
                }
            }
            Value::Number(number) => {
                let Some(number) = number.as_f64() else { return };
                match (trusted, numbers_things) {
                    (true, true) => self.vouch(&thing(&plain(number)), choice, source),
                    (true, false) => {
                        self.vouch(&plain(number), choice, source);
                        self.count(number, choice);
                    }
                    (false, _) => self.see(&plain(number), source.0),
                }
            }
            _ => {}
        }
    }

    /// The name of a field. Where it is a value, it is believed as what it leads to is.
    fn name(&mut self, name: &str, trusted: bool, source: u32) {
        let key = words(name).join(" ");
        if trusted {
            self.vouched.entry(strong(&key)).or_insert(Voucher { open: true, source, ..Voucher::default() });
        } else if !self.seen.contains_key(&weak(&key)) {
            self.see(name, source);
        }
    }

    fn trust_value(&mut self, text: &str, choice: Choice, source: (u32, bool)) {
        let words = words(text);
        if words.len() > 1 {
            for word in words.iter().filter(|word| is_address(word)) {
                let key = weak(word);
                let first = self.within.get(&key).map_or(source.0, |first| self.earlier(*first, source.0));
                self.within.insert(key, first);
            }
        }
        if let [word] = words.as_slice()
            && let Some(number) = number(word)
        {
            self.count(number, choice);
        }
        self.vouch(&words.join(" "), choice, source);
    }

    /// Keeps a number that others may be derived from.
    fn count(&mut self, number: f64, choice: Choice) {
        // The bits of positive numbers stand in their order; the smallest stay.
        if number > 0.0
            && matches!(choice, Choice::Selected | Choice::Contested)
            && self.numbers.insert(number.to_bits())
            && self.numbers.len() > NUMBERS
        {
            self.numbers.pop_last();
        }
    }

    fn vouch(&mut self, key: &str, choice: Choice, (source, foreign): (u32, bool)) {
        if self.is_full() {
            return;
        }
        let key = strong(key);
        let first = self.vouched.get(&key).map_or(source, |voucher| self.earlier(voucher.source, source));
        let voucher = self.vouched.entry(key).or_default();
        voucher.foreign |= foreign;
        match choice {
            Choice::Selected if foreign => voucher.found = true,
            Choice::Selected => voucher.selected = true,
            Choice::Open => voucher.open = true,
            Choice::Contested => voucher.contested = true,
            Choice::Passed => voucher.passed = true,
        }
        voucher.source = first;
    }

    /// What stands in trusted prose exists.
    fn trust_prose(&mut self, text: &str) {
        let words = words(text);
        for start in 0..words.len() {
            let mut run = Growing::default();
            for word in words[start..].iter().take(PHRASE) {
                if self.is_full() {
                    return;
                }
                run.add(word);
                self.prose.insert(run.key());
            }
        }
    }

    /// Indexes untrusted words.
    fn see(&mut self, text: &str, source: u32) {
        let words = words(text);
        let mut last: Option<&str> = None;
        for word in &words {
            if self.is_full() {
                return;
            }
            let pair = last.map(|last| weak_pair(last, word));
            for key in [Some(weak(word)), pair].into_iter().flatten() {
                let first = self.seen.get(&key).map_or(source, |first| self.earlier(*first, source));
                self.seen.insert(key, first);
            }
            last = Some(word);
        }
    }

    fn confide(&mut self, text: &str, confidentiality: Confidentiality) {
        if confidentiality == Confidentiality::Tenant || self.is_full() {
            return;
        }
        for word in words(text) {
            let held = self.confidential.entry(weak(&word)).or_insert(confidentiality);
            *held = confidentiality.max(*held);
        }
    }

    fn is_full(&mut self) -> bool {
        let held = self.seen.len() + self.prose.len() + self.vouched.len() + self.confidential.len();
        self.full |= held >= INDEXED;
        self.full
    }
}

/// What people are shown of where something was read: the sources behind a result as well,
/// but for the tool that gave it.
fn origin(label: &Label, tool: &str, result: String) -> String {
    let behind: Vec<&str> = label.untrusted.iter().map(String::as_str).filter(|source| *source != tool).collect();
    match behind.as_slice() {
        [] => result,
        shown => format!("{}, through {result}", shown[..shown.len().min(NAMED)].join(" and ")),
    }
}

/// Whether a field of that name numbers things, and tells no quantity.
fn is_identifier(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == "id" || name.ends_with("_id") || name.ends_with("number")
}

/// The key of a number that numbers a thing, so that no amount is taken for it.
pub(super) fn thing(number: &str) -> String {
    format!("#{number}")
}

/// Every value within another that holds no others.
pub(super) fn every<'a>(value: &'a Value, visit: &mut dyn FnMut(&'a Value)) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| every(item, visit)),
        Value::Object(fields) => fields.values().for_each(|field| every(field, visit)),
        leaf => visit(leaf),
    }
}
