//! The labels of one result, field by field, as its tool's manifest declares them.
//!
//! What is resolved here is journaled with the result, so that nothing later needs the
//! manifest or the principal's identities to know what each field is to be believed.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::identities::Identities;
use crate::label::Label;
use crate::pointer::{self, each, segments};
use crate::tool::{EffectClass, Integrity, Manifest, OutputIntegrity, OutputLabel};

/// The most fields that are labelled one by one; those beyond are not trusted.
const FIELDS: usize = 4096;

/// The labels of one result.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FieldLabels {
    /// The label of what no pattern covers.
    pub rest: Label,
    /// JSON-pointer pattern to label; `*` is one segment, a pattern covers what is below it,
    /// and the longest that matches wins.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, FieldLabel>,
}

/// The label of one field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FieldLabel {
    /// Where it came from and who may see it.
    #[serde(default)]
    pub label: Label,
    /// Whether it holds one value and no prose: it vouches for that value whole, and for
    /// nothing that stands within it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub typed: bool,
    /// Whether somebody else made the record it stands in: it tells a fact about a stranger's
    /// thing, and brings nobody in.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub foreign: bool,
}

/// An argument that may come from an untrusted source; a result that repeats it is not more
/// to be believed than it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taint {
    /// The argument's text.
    pub text: String,
    /// Its label.
    pub label: Label,
}

impl FieldLabels {
    /// One label for all of a result.
    #[must_use]
    pub fn whole(label: Label) -> Self {
        Self { rest: label, fields: BTreeMap::new() }
    }

    /// The labels of what a call gave. `taints` are the call's own untrusted arguments.
    #[must_use]
    pub fn resolve(manifest: &Manifest, own: &Identities, taints: &[Taint], value: &Value) -> Self {
        let mut labels = match manifest.labels.output_integrity {
            OutputIntegrity::Trusted => Self::default(),
            OutputIntegrity::Untrusted => Self::whole(Label::untrusted(manifest.id.as_str())),
            OutputIntegrity::Mixed => Self::mixed(manifest, own, value),
        };
        if manifest.effect == EffectClass::Pure {
            // It computed all it gave from what it was given.
            labels.taint_all(taints);
        } else {
            labels.taint_echoes(taints, value);
        }
        labels
    }

    /// The labels of how a call failed: a fault's words may repeat what the far side said.
    #[must_use]
    pub fn of_fault(manifest: &Manifest, taints: &[Taint]) -> Self {
        let mut labels = match manifest.labels.output_integrity {
            OutputIntegrity::Trusted => Self::default(),
            _ => Self::whole(Label::untrusted(manifest.id.as_str())),
        };
        labels.taint_all(taints);
        labels
    }

    /// Puts the labels that a tool gave of its own fields in place of its manifest's.
    pub(crate) fn refine(&mut self, given: &BTreeMap<String, Label>) {
        if given.is_empty() {
            return;
        }
        self.spread();
        for (pointer, label) in given {
            self.add(pointer.clone(), FieldLabel { label: label.clone(), ..FieldLabel::default() });
        }
    }

    /// Gives what no pattern covers a pattern of its own, so that the fields tell all.
    fn spread(&mut self) {
        let rest = FieldLabel { label: self.rest.clone(), ..FieldLabel::default() };
        self.fields.entry(String::new()).or_insert(rest);
    }

    fn mixed(manifest: &Manifest, own: &Identities, value: &Value) -> Self {
        let stranger = Label::untrusted(manifest.id.as_str());
        let mut labels = Self::whole(stranger.clone());
        for (pattern, declared) in &manifest.labels.output {
            let confidentiality = declared.confidentiality.unwrap_or_default();
            let with = |label: &Label, typed| {
                let label = Label { confidentiality, ..label.clone() };
                FieldLabel { label, typed, foreign: false }
            };
            let base = if trusts(declared) { with(&Label::trusted(), true) } else { with(&stranger, false) };
            labels.fields.insert(pattern.clone(), base);
            let Some(when) = &declared.trusted_when else { continue };
            let (author, pattern) = (segments(&when.field), segments(pattern));
            for (record, rest) in authored(&pattern, &author, own, value, true) {
                labels.add(pointer::of(record.iter().chain(rest).map(String::as_str)), with(&Label::trusted(), false));
            }
        }
        labels.estrange(manifest, own, value);
        labels.spread();
        labels
    }

    /// Marks what is trusted of records that somebody else made.
    fn estrange(&mut self, manifest: &Manifest, own: &Identities, value: &Value) {
        let declared = &manifest.labels.output;
        let authors: BTreeSet<(Vec<String>, Vec<String>)> = declared
            .iter()
            .filter_map(|(pattern, label)| Some((segments(pattern), segments(&label.trusted_when.as_ref()?.field))))
            .map(|(pattern, author)| {
                let shared = shared(&pattern, &author);
                (author[..shared].to_vec(), author)
            })
            .collect();
        let plain: Vec<(Vec<String>, FieldLabel)> = declared
            .iter()
            .filter(|(_, label)| trusts(label))
            .filter_map(|(pattern, _)| Some((segments(pattern), self.fields.get(pattern)?.clone())))
            .collect();
        for (prefix, author) in &authors {
            for (record, _) in authored(prefix, author, own, value, false) {
                for (pattern, label) in plain.iter().filter(|(pattern, _)| pattern.starts_with(prefix)) {
                    let at = record.iter().chain(&pattern[prefix.len()..]).map(String::as_str);
                    self.add(pointer::of(at), FieldLabel { foreign: true, ..label.clone() });
                }
            }
        }
    }

    fn add(&mut self, pointer: String, label: FieldLabel) {
        if self.fields.len() < FIELDS {
            self.fields.insert(pointer, label);
        }
    }

    fn taint_all(&mut self, taints: &[Taint]) {
        for taint in taints {
            self.rest.join(&taint.label);
            self.fields.values_mut().for_each(|field| field.label.join(&taint.label));
        }
    }

    fn taint_echoes(&mut self, taints: &[Taint], value: &Value) {
        if taints.is_empty() {
            return;
        }
        let mut echoes = Vec::new();
        let lookup = Lookup::new(self);
        lookup.walk(value, &mut |leaf| {
            let Some(text) = leaf.value.as_str() else { return };
            let repeated = taints.iter().filter(|taint| text.contains(taint.text.as_str()));
            let mut label = leaf.label.label.clone();
            let before = label.clone();
            repeated.for_each(|taint| label.join(&taint.label));
            if label != before {
                echoes.push((leaf.pointer(), FieldLabel { label, ..FieldLabel::default() }));
            }
        });
        if echoes.is_empty() {
            return;
        }
        if echoes.len() + self.fields.len() > FIELDS {
            return self.taint_all(taints);
        }
        self.spread();
        self.fields.extend(echoes);
    }

    /// Whether any of it may be trusted.
    pub(super) fn trust_any(&self) -> bool {
        self.rest.is_trusted() || self.fields.values().any(|field| field.label.is_trusted())
    }

    /// The join of the labels of everything in a result.
    #[must_use]
    pub fn joined(&self, value: &Value) -> Label {
        if self.fields.is_empty() {
            return self.rest.clone();
        }
        let mut joined: Option<Label> = None;
        Lookup::new(self).walk(value, &mut |leaf| match &mut joined {
            Some(label) => label.join(&leaf.label.label),
            None => joined = Some(leaf.label.label.clone()),
        });
        joined.unwrap_or_default()
    }
}

fn trusts(declared: &OutputLabel) -> bool {
    declared.integrity == Integrity::Trusted && declared.trusted_when.is_none()
}

/// As far as two patterns go the same way, they lead to the same record.
fn shared(pattern: &[String], author: &[String]) -> usize {
    pattern.iter().zip(author).take_while(|(one, other)| one == other).count()
}

/// The records that the principal made, or that somebody else did, and how a pattern goes on
/// from there.
fn authored<'p>(
    pattern: &'p [String],
    author: &[String],
    own: &Identities,
    value: &Value,
    by_principal: bool,
) -> Vec<(Vec<String>, &'p [String])> {
    let shared = shared(pattern, author);
    let mut records = Vec::new();
    each(value, &pattern[..shared], &mut Vec::new(), &mut |record, path| {
        let mut all = None;
        each(record, &author[shared..], &mut Vec::new(), &mut |named, _| {
            let is_own = named.as_str().is_some_and(|name| own.is(name));
            all = Some(all.unwrap_or(true) && is_own);
        });
        if (all == Some(true)) == by_principal && records.len() < FIELDS {
            records.push((path.to_vec(), &pattern[shared..]));
        }
    });
    records
}

/// One value within a result that holds no others.
pub(super) struct Leaf<'a, 'p> {
    pub(super) value: &'a Value,
    pub(super) label: &'p FieldLabel,
    /// The list of records it stands in, and its record there; both 0 outside any list.
    pub(super) record: (u32, u32),
    path: &'p [Segment<'a>],
}

#[derive(Debug, Clone, Copy)]
enum Segment<'a> {
    Name(&'a str),
    At(usize),
}

impl<'a> Leaf<'a, '_> {
    pub(super) fn pointer(&self) -> String {
        let names: Vec<String> = self
            .path
            .iter()
            .map(|segment| match segment {
                Segment::Name(name) => (*name).to_owned(),
                Segment::At(at) => at.to_string(),
            })
            .collect();
        pointer::of(names.iter().map(String::as_str))
    }

    /// The names of the fields that lead to it.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> + '_ {
        self.path.iter().filter_map(|segment| match segment {
            Segment::Name(name) => Some(*name),
            Segment::At(_) => None,
        })
    }
}

/// The patterns, ready to be walked along a result.
pub(super) struct Lookup<'l> {
    rest: FieldLabel,
    root: Node<'l>,
}

#[derive(Default)]
struct Node<'l> {
    label: Option<&'l FieldLabel>,
    named: BTreeMap<String, Node<'l>>,
    any: Option<Box<Node<'l>>>,
}

impl<'l> Lookup<'l> {
    pub(super) fn new(labels: &'l FieldLabels) -> Self {
        let mut root = Node::default();
        for (pattern, label) in &labels.fields {
            let mut node = &mut root;
            for segment in segments(pattern) {
                node = if segment == "*" {
                    node.any.get_or_insert_default()
                } else {
                    node.named.entry(segment).or_default()
                };
            }
            node.label = Some(label);
        }
        Self { rest: FieldLabel { label: labels.rest.clone(), ..FieldLabel::default() }, root }
    }

    /// Shows every leaf of a value with its label.
    pub(super) fn walk<'a>(&self, value: &'a Value, visit: &mut dyn FnMut(&Leaf<'a, '_>)) {
        let mut walk = Walk { visit, path: Vec::new(), lists: 0 };
        let label = self.root.label.unwrap_or(&self.rest);
        walk.value(value, &[&self.root], label, (0, 0));
    }
}

struct Walk<'a, 'v> {
    visit: &'v mut dyn FnMut(&Leaf<'a, '_>),
    path: Vec<Segment<'a>>,
    lists: u32,
}

impl<'a> Walk<'a, '_> {
    fn value(&mut self, value: &'a Value, nodes: &[&Node<'_>], label: &FieldLabel, record: (u32, u32)) {
        match value {
            Value::Array(items) => {
                let list = items.iter().any(Value::is_object).then(|| {
                    self.lists += 1;
                    self.lists
                });
                for (at, item) in items.iter().enumerate() {
                    let inner = list.map_or(record, |list| (list, u32::try_from(at).unwrap_or(u32::MAX)));
                    self.below(Segment::At(at), item, nodes, label, inner);
                }
            }
            Value::Object(fields) => {
                for (name, field) in fields {
                    self.below(Segment::Name(name), field, nodes, label, record);
                }
            }
            leaf => (self.visit)(&Leaf { value: leaf, label, record, path: &self.path }),
        }
    }

    fn below(
        &mut self,
        at: Segment<'a>,
        value: &'a Value,
        nodes: &[&Node<'_>],
        label: &FieldLabel,
        record: (u32, u32),
    ) {
        let index;
        let name = match at {
            Segment::Name(name) => name,
            Segment::At(at) if nodes.iter().any(|node| !node.named.is_empty()) => {
                index = at.to_string();
                index.as_str()
            }
            Segment::At(_) => "",
        };
        // A named segment beats `*`, so it comes last.
        let any = nodes.iter().filter_map(|node| node.any.as_deref());
        let named = nodes.iter().filter_map(|node| node.named.get(name));
        let next: Vec<&Node<'_>> = any.chain(named).collect();
        let label = next.iter().rev().find_map(|node| node.label).unwrap_or(label);
        self.path.push(at);
        self.value(value, &next, label, record);
        self.path.pop();
    }
}
