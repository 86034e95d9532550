//! What is known of one call: where each of its arguments comes from, by lookups in the flow.

use std::collections::BTreeSet;

use serde_json::Value;

use super::fields::Taint;
use super::session::{Flow, PHRASE, every, thing};
use super::words::{link_key, links, number, plain, strong, weak, weak_pair, weakened, words};
use crate::governor::{ArgumentFact, Facts, Standing};
use crate::label::{Confidentiality, Label};
use crate::pointer::{self, each, segments};
use crate::tool::{ArgRole, Manifest};

/// The most of a value that people are shown, in characters.
const SHOWN: usize = 80;

/// The most links of one call that are judged one by one.
const LINKS: usize = 64;

/// The most taints that are handed on, and the shortest text of one.
const TAINTS: usize = 64;
const TAINT: usize = 3;

/// What a call is to be judged by, and what its result will have to carry.
#[derive(Debug, Clone, Default)]
pub struct Judged {
    /// The facts.
    pub facts: Facts,
    /// The join of the labels of the arguments.
    pub label: Label,
    /// The arguments that an untrusted source may have written.
    pub taints: Vec<Taint>,
}

/// How far one value is to be believed.
#[derive(Debug, Clone, Copy)]
struct Stand {
    standing: Standing,
    /// The source that it comes from, if it is one.
    source: Option<u32>,
    written: bool,
}

impl Stand {
    fn of(standing: Standing) -> Self {
        Self { standing, source: None, written: false }
    }

    fn from(source: u32) -> Self {
        Self { standing: Standing::Untrusted, source: Some(source), written: false }
    }

    fn written() -> Self {
        Self { standing: Standing::Untrusted, source: None, written: true }
    }
}

impl Flow {
    /// Judges a call. Its cost depends on the call alone, not on what was read before.
    #[must_use]
    pub fn judge(&self, manifest: &Manifest, arguments: &Value) -> Judged {
        let mut facts = Facts {
            untrusted: self.untrusted.clone(),
            confidentiality: self.confidentiality(arguments),
            grounded: self.untrusted.is_empty() || manifest.args.is_empty() || self.is_grounded(arguments),
            ..Facts::default()
        };
        for (pattern, rule) in &manifest.args {
            if let Some(fact) = self.argument(manifest, pattern, rule.role, arguments) {
                facts.arguments.push(ArgumentFact { required: rule.required_integrity, ..fact });
            }
        }
        if manifest.effect.writes() {
            self.embedded(manifest, arguments, &mut facts.arguments);
        }
        let (label, taints) = self.taints(arguments, facts.confidentiality);
        Judged { facts, label, taints }
    }

    /// The worst of the values that stand at one place; the empty pattern is every place that
    /// no other covers.
    fn argument(&self, manifest: &Manifest, pattern: &str, role: ArgRole, arguments: &Value) -> Option<ArgumentFact> {
        let mut worst: Option<(Stand, &Value, String)> = None;
        let mut shown = true;
        let others: Vec<Vec<String>> = match pattern {
            "" => manifest.args.keys().filter(|other| !other.is_empty()).map(|other| segments(other)).collect(),
            _ => Vec::new(),
        };
        each(arguments, &segments(pattern), &mut Vec::new(), &mut |at, path| {
            leaves(at, &mut path.to_vec(), &mut |leaf, path| {
                if leaf.is_null() || others.iter().any(|other| covers(other, path)) {
                    return;
                }
                let stand = self.stand(leaf, role);
                shown &= leaf.as_str().is_some_and(|text| self.shown.contains(&link_key(text)));
                let worse = |(worst, ..): &(Stand, &Value, String)| {
                    (stand.standing, !stand.written) > (worst.standing, !worst.written)
                };
                if worst.as_ref().is_none_or(worse) {
                    let place = if pattern.is_empty() {
                        pointer::of(path.iter().map(String::as_str))
                    } else {
                        pattern.to_owned()
                    };
                    worst = Some((stand, leaf, place));
                }
            });
        });
        let (stand, value, place) = worst?;
        let value = match (role, value) {
            (ArgRole::Secret, _) => "a secret".to_owned(),
            (_, Value::String(text)) => excerpt(text),
            (_, other) => other.to_string(),
        };
        Some(self.fact(place, role, stand, value, shown))
    }

    fn fact(&self, pointer: String, role: ArgRole, stand: Stand, value: String, shown: bool) -> ArgumentFact {
        let Stand { standing, source, written } = stand;
        let sources = match source.and_then(|source| self.sources.get(source as usize)) {
            Some(source) => BTreeSet::from([source.name.clone()]),
            None if standing == Standing::Untrusted => self.untrusted.clone(),
            None => BTreeSet::new(),
        };
        ArgumentFact { pointer, role, required: None, standing, sources, value, written, shown, embedded: false }
    }

    /// How far one value is to be believed as an argument of a role.
    fn stand(&self, value: &Value, role: ArgRole) -> Stand {
        match value {
            Value::String(text) if role == ArgRole::Body => self.stand_of_prose(text),
            Value::String(text) => {
                let day = role == ArgRole::Time && self.said.has_day(text);
                let own = day || self.own.is(text) || (role == ArgRole::Url && self.own.owns(text));
                if own { Stand::of(Standing::Trusted) } else { self.stand_of(&words(text), role) }
            }
            Value::Number(number) => {
                let number = number.as_f64().unwrap_or_default();
                if self.said.has_number(number) {
                    return Stand::of(Standing::Trusted);
                }
                self.stand_of(&[plain(number)], role)
            }
            _ => Stand::of(Standing::Trusted),
        }
    }

    fn stand_of(&self, words: &[String], role: ArgRole) -> Stand {
        if words.is_empty() {
            return Stand::of(Standing::Trusted);
        }
        let text = words.join(" ");
        let key = strong(&text);
        if self.said.has_text(words.len(), &text, key) {
            return Stand::of(Standing::Trusted);
        }
        let mut voucher = self.vouched.get(&key);
        if role != ArgRole::Amount && number(&text).is_some() {
            voucher = self.vouched.get(&strong(&thing(&text))).or(voucher);
        }
        if voucher.is_some_and(|voucher| voucher.selected || (voucher.found && role == ArgRole::Target)) {
            return Stand::of(Standing::Trusted);
        }
        if self.untrusted.is_empty() {
            // Nobody but whoever typed a value could have chosen one that stands within it.
            let within = self.within.get(&weakened(key)).filter(|_| voucher.is_none() && !self.in_prose(words, key));
            return within.map_or_else(|| Stand::of(Standing::Trusted), |source| Stand::from(*source));
        }
        if let Some(voucher) = voucher {
            // Which of several records is meant decides who, but hardly how much or when.
            let doubtful = match role {
                ArgRole::Time => false,
                ArgRole::Amount => voucher.passed,
                ArgRole::Target => voucher.passed || voucher.contested,
                _ => voucher.passed || voucher.contested || voucher.foreign,
            };
            return if doubtful { Stand::from(voucher.source) } else { Stand::of(Standing::Identity) };
        }
        if self.in_prose(words, key) {
            return Stand::of(Standing::Identity);
        }
        if let Some(source) = self.within.get(&weakened(key)).or_else(|| self.seen_in(words, key)) {
            return Stand::from(*source);
        }
        match number(&text) {
            Some(amount) if role == ArgRole::Amount && self.derives(amount) => Stand::of(Standing::Identity),
            // What is not indexed any more may hold it.
            _ if self.full => Stand { written: false, ..Stand::written() },
            _ => Stand::written(),
        }
    }

    /// Words that are passed on are not believed for themselves.
    fn stand_of_prose(&self, text: &str) -> Stand {
        if self.untrusted.is_empty() || self.said.has(&words(text)) {
            return Stand::of(Standing::Trusted);
        }
        Stand::written()
    }

    fn in_prose(&self, words: &[String], key: u128) -> bool {
        words.len() <= PHRASE && self.prose.contains(&key)
    }

    /// The untrusted source in which words stand side by side; `key` is that of all of them.
    fn seen_in(&self, words: &[String], key: u128) -> Option<&u32> {
        let first = match words {
            [_] => weakened(key),
            words => weak(words.first()?),
        };
        let first = self.seen.get(&first)?;
        let pairs = |pair: &[String]| self.seen.contains_key(&weak_pair(&pair[0], &pair[1]));
        words.windows(2).all(pairs).then_some(first)
    }

    /// The links within the words of a call, but where they are arguments of their own.
    fn embedded(&self, manifest: &Manifest, arguments: &Value, facts: &mut Vec<ArgumentFact>) {
        let is_own = |at: &[String]| {
            let named =
                manifest.args.iter().filter(|(pattern, _)| !pattern.is_empty() && covers(&segments(pattern), at));
            let roles: Vec<ArgRole> = named.map(|(_, rule)| rule.role).collect();
            let rest = manifest.args.get("").filter(|_| roles.is_empty()).map(|rule| rule.role);
            roles.into_iter().chain(rest).any(|role| role != ArgRole::Body)
        };
        leaves(arguments, &mut Vec::new(), &mut |leaf, at| {
            let Value::String(text) = leaf else { return };
            if facts.len() >= LINKS || is_own(at) {
                return;
            }
            for (link, certain) in links(text) {
                let stand = if self.own.owns(link) {
                    Stand::of(Standing::Trusted)
                } else {
                    self.stand_of(&words(link), ArgRole::Url)
                };
                // A bare name that nobody wrote before is a slip of the pen.
                if stand.standing != Standing::Untrusted || (stand.written && !certain) || facts.len() >= LINKS {
                    continue;
                }
                let shown = self.shown.contains(&link_key(link));
                let at = pointer::of(at.iter().map(String::as_str));
                let fact = self.fact(at, ArgRole::Url, stand, excerpt(link), shown);
                facts.push(ArgumentFact { embedded: true, ..fact });
            }
        });
    }

    /// Whether something of a call stands in the principal's words, or in a record they name.
    fn is_grounded(&self, arguments: &Value) -> bool {
        let mut grounded = false;
        every(arguments, &mut |leaf| {
            grounded = grounded
                || match leaf {
                    Value::String(text) => {
                        let words = words(text);
                        let said = words.iter().map(String::len).sum::<usize>() > 1 && self.said.has(&words);
                        said || self.said.has_day(text) || self.selects(&words.join(" ")) || self.said.echoes(&words)
                    }
                    Value::Number(number) => number.as_f64().is_some_and(|number| {
                        let key = plain(number);
                        self.said.has_number(number) || self.selects(&key) || self.selects(&thing(&key))
                    }),
                    _ => false,
                };
        });
        grounded
    }

    fn selects(&self, key: &str) -> bool {
        self.vouched.get(&strong(key)).is_some_and(|voucher| voucher.selected)
    }

    /// The most confidential of what the arguments pass on. Words that occur nowhere may tell
    /// of anything that was read.
    fn confidentiality(&self, arguments: &Value) -> Confidentiality {
        let mut most = Confidentiality::Public;
        // Unless more was read than is simply the tenant's, it does not matter where words are from.
        let plain = self.confidential.is_empty() && self.label.confidentiality <= Confidentiality::Tenant;
        every(arguments, &mut |leaf| {
            let Value::String(text) = leaf else { return };
            if plain {
                most = most.max(self.label.confidentiality);
                return;
            }
            let words = words(text);
            let held = words.iter().filter_map(|word| self.confidential.get(&weak(word))).max().copied();
            let known = self.said.has(&words) || self.vouched.contains_key(&strong(&words.join(" ")));
            let otherwise = match known {
                true => self.label.confidentiality.min(Confidentiality::Tenant),
                false => self.label.confidentiality,
            };
            most = most.max(held.unwrap_or(otherwise));
        });
        most
    }

    /// The label of the arguments, and those of them that are not to be believed.
    fn taints(&self, arguments: &Value, confidentiality: Confidentiality) -> (Label, Vec<Taint>) {
        let mut taints: Vec<Taint> = Vec::new();
        let mut joined = Label { confidentiality, ..Label::trusted() };
        if self.label.is_trusted() {
            return (joined, taints);
        }
        every(arguments, &mut |leaf| {
            let (stand, text) = match leaf {
                Value::String(text) => (self.stand(leaf, ArgRole::Recipient), text.clone()),
                Value::Number(number) => (self.stand(leaf, ArgRole::Amount), number.to_string()),
                _ => return,
            };
            if stand.standing != Standing::Untrusted {
                return;
            }
            let source = stand.source.and_then(|source| self.sources.get(source as usize)).map(|source| &*source.label);
            let source = source.filter(|label| !label.is_trusted()).unwrap_or(&self.label);
            let label = Label { untrusted: source.untrusted.clone(), ..Label::trusted() };
            joined.join(&label);
            if text.len() >= TAINT && taints.len() < TAINTS {
                taints.push(Taint { text, label });
            }
        });
        (joined, taints)
    }
}

/// Whether policy may look at what stands at a place of a call's arguments: a role covers it or
/// something within it, it may hold a link, or it counts how confidential it is.
pub(crate) fn weighs(manifest: &Manifest, place: &str) -> bool {
    let place = segments(place);
    let named = |pattern: &String| {
        let pattern = segments(pattern);
        covers(&pattern, &place) || covers(&place, &pattern)
    };
    manifest.effect.writes() || manifest.labels.max_confidentiality_out.is_some() || manifest.args.keys().any(named)
}

fn excerpt(text: &str) -> String {
    let shown: String = text.chars().filter(|character| !character.is_control()).take(SHOWN).collect();
    if shown.len() < text.len() { format!("{shown}…") } else { shown }
}

/// Whether a pattern names a place or one above it.
fn covers(pattern: &[String], place: &[String]) -> bool {
    pattern.len() <= place.len() && pattern.iter().zip(place).all(|(one, other)| one == "*" || one == other)
}

/// Every value within another that holds no more, with its place.
fn leaves<'a>(value: &'a Value, place: &mut Vec<String>, visit: &mut dyn FnMut(&'a Value, &[String])) {
    let mut descend = |name: String, below: &'a Value| {
        place.push(name);
        leaves(below, place, visit);
        place.pop();
    };
    match value {
        Value::Array(items) => items.iter().enumerate().for_each(|(at, item)| descend(at.to_string(), item)),
        Value::Object(fields) => fields.iter().for_each(|(name, field)| descend(name.clone(), field)),
        leaf => visit(leaf, place),
    }
}
