//! The graph over an index: which documents state what of which things.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use l9_core::memory::{Entity, Relation, SAME_AS};
use unicode_normalization::UnicodeNormalization;
use uuid::Uuid;

use super::index::{Filter, Index};

/// Things and the documents that state something of them.
#[derive(Debug, Default)]
pub(super) struct Graph {
    things: HashMap<String, u32>,
    names: Vec<String>,
    edges: HashMap<u32, Edge>,
    /// The documents that state something of a thing, in the order of their places.
    of: Vec<Vec<u32>>,
}

#[derive(Debug, Clone)]
struct Edge {
    subject: u32,
    object: u32,
    predicate: String,
}

impl Edge {
    fn other(&self, than: u32) -> u32 {
        if self.subject == than { self.object } else { self.subject }
    }
}

impl Graph {
    pub(super) fn add(&mut self, place: u32, relation: &Relation) {
        let (subject, object) = (self.thing(&relation.subject), self.thing(&relation.object));
        let edge = Edge { subject, object, predicate: folded(&relation.predicate) };
        for thing in HashSet::from([subject, object]) {
            if let Some(of) = self.of.get_mut(thing as usize) {
                of.push(place);
            }
        }
        self.edges.insert(place, edge);
    }

    fn thing(&mut self, name: &str) -> u32 {
        let key = folded(name);
        if let Some(thing) = self.things.get(&key) {
            return *thing;
        }
        let thing = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.things.insert(key, thing);
        self.names.push(name.to_owned());
        self.of.push(Vec::new());
        thing
    }

    /// Forgets what a place stated.
    pub(super) fn remove(&mut self, place: u32) {
        let Some(edge) = self.edges.remove(&place) else { return };
        for thing in [edge.subject, edge.object] {
            if let Some(of) = self.of.get_mut(thing as usize) {
                of.retain(|other| *other != place);
            }
        }
    }

    /// Renumbers every place; names of which nothing is stated any more go.
    pub(super) fn renumber(&mut self, moved: &[u32]) {
        let old = std::mem::take(self);
        let mut edges: Vec<(u32, Edge)> =
            old.edges.into_iter().filter_map(|(place, edge)| Some((*moved.get(place as usize)?, edge))).collect();
        edges.sort_unstable_by_key(|(place, _)| *place);
        let name = |thing: u32| old.names.get(thing as usize).cloned().unwrap_or_default();
        for (place, Edge { subject, object, predicate }) in edges {
            self.add(place, &Relation { subject: name(subject), predicate, object: name(object) });
        }
    }
}

impl Index {
    /// The relations around a thing, with how far away each is; nearest first.
    pub(crate) fn around(&self, from: &str, hops: u8, predicate: Option<&str>, filter: &Filter) -> Vec<(Uuid, u8)> {
        let Some(start) = self.graph.things.get(&folded(from)).copied() else { return Vec::new() };
        let predicate = predicate.map(folded);
        let wanted = |edge: &Edge| predicate.as_ref().is_none_or(|predicate| edge.predicate == *predicate);
        let (mut seen, mut stated) = (HashSet::new(), HashSet::new());
        let mut found = Vec::new();
        let mut frontier = self.one_thing(start, filter);
        seen.extend(frontier.iter().copied());
        for hop in 1..=hops {
            let mut level: BTreeMap<u32, &Edge> = BTreeMap::new();
            for thing in &frontier {
                level.extend(self.stated_of(*thing, filter).filter(|(_, edge)| wanted(edge)));
            }
            level.retain(|place, _| stated.insert(*place));
            found.extend(level.keys().filter_map(|place| Some((self.id_at(*place)?, hop))));
            frontier.clear();
            for end in level.values().flat_map(|edge| [edge.subject, edge.object]) {
                if !seen.contains(&end) {
                    frontier.extend(self.one_thing(end, filter).into_iter().filter(|thing| seen.insert(*thing)));
                }
            }
        }
        found
    }

    /// The fewest relations from one thing to another, in their order.
    pub(crate) fn path(&self, from: &str, to: &str, hops: u8, filter: &Filter) -> Option<Vec<Uuid>> {
        let thing = |name: &str| self.graph.things.get(&folded(name)).copied();
        let (start, end) = (thing(from)?, thing(to)?);
        let ends: HashSet<u32> = self.one_thing(end, filter).into_iter().collect();
        // How each thing was come to: from which, and by which place if not by another name.
        let mut reached: HashMap<u32, Option<(u32, u32)>> = HashMap::new();
        let mut waiting = VecDeque::new();
        for alias in self.one_thing(start, filter) {
            reached.insert(alias, None);
            waiting.push_back((alias, 0_u8));
        }
        while let Some((at, away)) = waiting.pop_front() {
            if ends.contains(&at) {
                let mut places = Vec::new();
                let mut at = at;
                while let Some((before, place)) = reached.get(&at).copied().flatten() {
                    places.push(place);
                    at = before;
                }
                return places.into_iter().rev().map(|place| self.id_at(place)).collect();
            }
            if away == hops {
                continue;
            }
            for (place, edge) in self.stated_of(at, filter) {
                if reached.contains_key(&edge.other(at)) {
                    continue;
                }
                for alias in self.one_thing(edge.other(at), filter) {
                    reached.entry(alias).or_insert_with(|| {
                        waiting.push_back((alias, away + 1));
                        Some((at, place))
                    });
                }
            }
        }
        None
    }

    /// The things whose folded names begin with some letters, by name.
    pub(crate) fn entities(&self, begins: &str, limit: usize, filter: &Filter) -> Vec<Entity> {
        let begins = folded(begins);
        let mut wanted: Vec<(&String, u32)> =
            self.graph.things.iter().filter(|(key, _)| key.starts_with(&begins)).map(|(key, at)| (key, *at)).collect();
        wanted.sort_unstable();
        let mut told = HashSet::new();
        let mut entities = Vec::new();
        for (_, thing) in wanted {
            if entities.len() == limit {
                break;
            }
            if told.contains(&thing) {
                continue;
            }
            let names = self.one_thing(thing, filter);
            let places: HashSet<u32> =
                names.iter().flat_map(|name| self.stated_of(*name, filter)).map(|(place, _)| place).collect();
            if places.is_empty() {
                continue;
            }
            told.extend(names.iter().copied());
            let name = |thing: &u32| self.graph.names.get(*thing as usize).cloned().unwrap_or_default();
            let mut also: Vec<String> = names.iter().filter(|other| **other != thing).map(name).collect();
            also.sort_unstable();
            entities.push(Entity { name: name(&thing), also, relations: places.len() });
        }
        entities
    }

    /// A thing under all of its names.
    fn one_thing(&self, thing: u32, filter: &Filter) -> Vec<u32> {
        let (mut names, mut known) = (vec![thing], HashSet::from([thing]));
        let mut at = 0;
        while let Some(name) = names.get(at).copied() {
            at += 1;
            for (_, edge) in self.stated_of(name, filter).filter(|(_, edge)| edge.predicate == SAME_AS) {
                let other = edge.other(name);
                if known.insert(other) {
                    names.push(other);
                }
            }
        }
        names
    }

    fn stated_of<'a>(&'a self, thing: u32, filter: &'a Filter) -> impl Iterator<Item = (u32, &'a Edge)> {
        let of = self.graph.of.get(thing as usize).map(Vec::as_slice).unwrap_or_default();
        let passes = |place: &u32| {
            self.documents.get(*place as usize).and_then(Option::as_ref).is_some_and(|header| filter.passes(header))
        };
        of.iter().copied().filter(passes).filter_map(|place| Some((place, self.graph.edges.get(&place)?)))
    }

    fn id_at(&self, place: u32) -> Option<Uuid> {
        Some(self.documents.get(place as usize)?.as_ref()?.document.id)
    }
}

/// A name as names are compared.
pub(crate) fn folded(name: &str) -> String {
    let plain: String = name.nfkc().flat_map(char::to_lowercase).collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}
