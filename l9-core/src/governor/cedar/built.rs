//! Contexts and pairs of entities that were built before. Everything here can be built again,
//! so that what is full is emptied.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{PoisonError, RwLock};

use crate::Result;

/// The most that is kept of one kind, unless it is said otherwise.
const KEPT: usize = 4096;

/// What was built, by what it was built from.
#[derive(Debug)]
pub(super) struct Built<K, V> {
    known: RwLock<HashMap<K, V>>,
    most: usize,
}

impl<K, V> Default for Built<K, V> {
    fn default() -> Self {
        Self::of_at_most(KEPT)
    }
}

impl<K, V> Built<K, V> {
    /// Keeps no more than that.
    pub(super) fn of_at_most(most: usize) -> Self {
        Self { known: RwLock::default(), most }
    }
}

impl<K: Eq + Hash, V: Clone> Built<K, V> {
    /// What was built from this and still holds, or what is built now.
    ///
    /// # Errors
    /// Those of building.
    pub(super) fn get(&self, key: K, holds: impl Fn(&V) -> bool, build: impl FnOnce(&K) -> Result<V>) -> Result<V> {
        if let Some(found) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(&key)
            && holds(found)
        {
            return Ok(found.clone());
        }
        let built = build(&key)?;
        let mut kept = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= self.most {
            kept.clear();
        }
        kept.insert(key, built.clone());
        Ok(built)
    }
}
