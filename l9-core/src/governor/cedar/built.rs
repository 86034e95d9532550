//! Contexts and pairs of entities that were built before. Everything here can be built again,
//! so that what is full is emptied.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{PoisonError, RwLock};

use crate::Result;

/// The most that is kept of one kind.
const KEPT: usize = 4096;

/// What was built, by what it was built from.
#[derive(Debug)]
pub(super) struct Built<K, V>(RwLock<HashMap<K, V>>);

impl<K, V> Default for Built<K, V> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<K: Eq + Hash, V: Clone> Built<K, V> {
    /// What was built from this and still holds, or what is built now.
    ///
    /// # Errors
    /// Those of building.
    pub(super) fn get(&self, key: K, holds: impl Fn(&V) -> bool, build: impl FnOnce(&K) -> Result<V>) -> Result<V> {
        if let Some(found) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&key)
            && holds(found)
        {
            return Ok(found.clone());
        }
        let built = build(&key)?;
        let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(key, built.clone());
        Ok(built)
    }
}
