//! What was said before and after: the documents of a session in the order of their times.

use std::collections::HashMap;

use l9_core::time::Timestamp;

/// No document.
const NONE: u32 = u32::MAX;
/// What a word counts for the documents one and two places from where it stands.
const NEAR: [f64; 2] = [0.5, 0.25];

/// The order within every session.
#[derive(Debug, Default)]
pub(super) struct Conversations {
    /// The documents of a session, by time and then in the order they came.
    sessions: HashMap<u32, Vec<(Timestamp, u32)>>,
    links: Vec<Links>,
}

#[derive(Debug, Clone, Copy)]
struct Links {
    before: u32,
    after: u32,
}

impl Default for Links {
    fn default() -> Self {
        Self { before: NONE, after: NONE }
    }
}

impl Conversations {
    /// Adds the next place; one without a session stands alone.
    pub(super) fn add(&mut self, place: u32, session: Option<u32>, at: Timestamp) {
        self.links.resize(place as usize + 1, Links::default());
        let Some(session) = session else { return };
        let order = self.sessions.entry(session).or_default();
        let here = order.partition_point(|other| *other <= (at, place));
        order.insert(here, (at, place));
        let other = |at: Option<usize>| at.and_then(|at| order.get(at)).map_or(NONE, |(_, place)| *place);
        let (before, after) = (other(here.checked_sub(1)), other(Some(here + 1)));
        self.link(before, place);
        self.link(place, after);
    }

    /// Takes a place out of its session.
    pub(super) fn remove(&mut self, place: u32, session: Option<u32>, at: Timestamp) {
        let Some(order) = session.and_then(|session| self.sessions.get_mut(&session)) else { return };
        if let Ok(here) = order.binary_search(&(at, place)) {
            order.remove(here);
        }
        let Links { before, after } = self.links.get(place as usize).copied().unwrap_or_default();
        self.link(before, after);
    }

    fn link(&mut self, one: u32, other: u32) {
        if let Some(links) = self.links.get_mut(one as usize) {
            links.after = other;
        }
        if let Some(links) = self.links.get_mut(other as usize) {
            links.before = one;
        }
    }

    /// The places near one, and what a word here counts there.
    pub(super) fn near(&self, place: u32) -> impl Iterator<Item = (u32, f64)> {
        let step = |from: u32, next: fn(&Links) -> u32| self.links.get(from as usize).map_or(NONE, next);
        let walk = move |next: fn(&Links) -> u32| {
            let first = step(place, next);
            [(first, NEAR[0]), (step(first, next), NEAR[1])]
        };
        walk(|links| links.before).into_iter().chain(walk(|links| links.after)).filter(|(place, _)| *place != NONE)
    }

    /// Renumbers every place; those that became none are gone already.
    pub(super) fn renumber(&mut self, moved: &[u32], count: usize) {
        let to = |place: u32| moved.get(place as usize).copied().unwrap_or(NONE);
        let mut links = vec![Links::default(); count];
        for (place, old) in self.links.iter().enumerate() {
            if let Some(slot) = moved.get(place).and_then(|place| links.get_mut(*place as usize)) {
                *slot = Links { before: to(old.before), after: to(old.after) };
            }
        }
        self.links = links;
        self.sessions.values_mut().flatten().for_each(|(_, place)| *place = to(*place));
        self.sessions.retain(|_, order| !order.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(conversations: &Conversations, place: u32) -> Vec<(u32, f64)> {
        let mut near: Vec<_> = conversations.near(place).collect();
        near.sort_by_key(|(place, _)| *place);
        near
    }

    #[test]
    fn neighbours_are_those_by_time_and_of_the_session() {
        let mut all = Conversations::default();
        let times = [(Some(1), 10), (Some(1), 30), (Some(2), 15), (None, 16), (Some(1), 20), (Some(1), 30)];
        for (place, (session, at)) in (0..).zip(times) {
            all.add(place, session, Timestamp::from_millis(at));
        }
        // Session 1: 0, 4, 1, 5.
        assert_eq!(near(&all, 0), [(1, 0.25), (4, 0.5)]);
        assert_eq!(near(&all, 4), [(0, 0.5), (1, 0.5), (5, 0.25)]);
        assert_eq!(near(&all, 2), []);
        assert_eq!(near(&all, 3), []);
        all.remove(1, Some(1), Timestamp::from_millis(30));
        assert_eq!(near(&all, 4), [(0, 0.5), (5, 0.5)]);
        all.renumber(&[0, NONE, 1, 2, 3, 4], 5);
        assert_eq!(near(&all, 3), [(0, 0.5), (4, 0.5)]);
        all.add(5, Some(1), Timestamp::from_millis(12));
        assert_eq!(near(&all, 0), [(3, 0.25), (5, 0.5)]);
    }
}
