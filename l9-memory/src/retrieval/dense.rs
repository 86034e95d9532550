//! Vectors of documents beside the index of their words: each document's slot, and the
//! nearest ones of a set.

use std::collections::HashMap;

use l9_core::Result;
use uuid::Uuid;

use crate::vectors::{Code, Index as Vectors, Places};

/// No document.
const NONE: u32 = u32::MAX;

/// The vectors of one embedder.
#[derive(Debug, Default)]
pub(super) struct Dense {
    /// Made with the first vector, which says how many dimensions there are.
    vectors: Option<Vectors>,
    /// The document of each slot.
    of: Vec<u32>,
    slots: HashMap<u32, u32>,
    free: Vec<u32>,
    /// Vectors that came before their documents.
    awaited: HashMap<Uuid, Code>,
}

impl Dense {
    /// Keeps the vector of a document that is there.
    pub(super) fn put(&mut self, place: u32, code: &Code) -> Result<()> {
        let vectors = match &mut self.vectors {
            Some(vectors) => vectors,
            None => self.vectors.insert(Vectors::new(code.dimensions())?),
        };
        let slot = match self.slots.get(&place) {
            Some(slot) => *slot,
            None => self.free.last().copied().unwrap_or(u32::try_from(self.of.len()).unwrap_or(NONE)),
        };
        vectors.put(slot, code)?;
        self.free.pop_if(|free| *free == slot);
        if slot as usize == self.of.len() {
            self.of.push(NONE);
        }
        self.of[slot as usize] = place;
        self.slots.insert(place, slot);
        Ok(())
    }

    /// Keeps a vector until its document comes.
    pub(super) fn wait(&mut self, id: Uuid, code: Code) {
        self.awaited.insert(id, code);
    }

    /// The vector that waited for a document.
    pub(super) fn arrived(&mut self, id: Uuid) -> Option<Code> {
        self.awaited.remove(&id)
    }

    pub(super) fn remove(&mut self, place: u32) {
        let Some(slot) = self.slots.remove(&place) else { return };
        if let Some(vectors) = &mut self.vectors {
            vectors.remove(slot);
        }
        self.of[slot as usize] = NONE;
        self.free.push(slot);
    }

    /// Whether a document has a vector.
    pub(super) fn has(&self, place: u32) -> bool {
        self.slots.contains_key(&place)
    }

    /// Renumbers every document; those that became none are gone already.
    pub(super) fn renumber(&mut self, moved: &[u32]) {
        let to = |place: u32| moved.get(place as usize).copied().unwrap_or(NONE);
        self.of.iter_mut().for_each(|place| *place = to(*place));
        self.slots = self.slots.drain().map(|(place, slot)| (to(place), slot)).collect();
    }

    /// The `k` nearest documents of a set with their similarities, nearest first; those that
    /// point away are left out.
    pub(super) fn near(&self, query: &[f32], allows: impl Fn(u32) -> bool, k: usize) -> Vec<(u32, f32)> {
        let Some(vectors) = &self.vectors else { return Vec::new() };
        let allowed: Places = self
            .of
            .iter()
            .zip(0..)
            .filter(|(place, _)| **place != NONE && allows(**place))
            .map(|(_, slot)| slot)
            .collect();
        // A query of another length, or without a direction, is near to nothing.
        let found = vectors.search(query, Some(&allowed), k).unwrap_or_default();
        let found = found.into_iter().filter(|near| near.similarity > 0.0);
        found.map(|near| (self.of[near.place as usize], near.similarity)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_used_again_and_follow_their_documents() {
        let mut dense = Dense::default();
        let code = |vector: [f32; 2]| Vectors::new(2).unwrap().encode(&vector).unwrap();
        let near = |dense: &Dense| {
            dense.near(&[1.0, 0.0], |_| true, 9).into_iter().map(|(place, _)| place).collect::<Vec<_>>()
        };
        for (place, vector) in [(4, [1.0, 0.1]), (7, [1.0, 0.5]), (9, [-1.0, 0.0])] {
            dense.put(place, &code(vector)).unwrap();
        }
        assert_eq!(near(&dense), [4, 7]);
        assert_eq!(dense.near(&[1.0, 0.0], |place| place == 7, 1).len(), 1);
        dense.remove(4);
        let longer = Vectors::new(3).unwrap().encode(&[1.0, 0.0, 0.0]).unwrap();
        assert!(dense.put(12, &longer).is_err(), "it takes no slot");
        dense.put(12, &code([1.0, 0.0])).unwrap();
        assert_eq!((dense.of.len(), near(&dense)), (3, vec![12, 7]));
        let mut moved = vec![NONE; 13];
        (moved[7], moved[9], moved[12]) = (0, 1, 2);
        dense.renumber(&moved);
        assert_eq!(near(&dense), [2, 0]);
        dense.put(0, &code([1.0, 0.01])).unwrap();
        assert_eq!((dense.of.len(), dense.has(0), dense.has(7)), (3, true, false));
        assert!(dense.near(&[1.0, 0.0, 0.0], |_| true, 9).is_empty());
    }
}
