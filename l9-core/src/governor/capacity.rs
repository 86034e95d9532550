//! How many effects may be under way at once in this process, by what they do to the world.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::turns::Turns;
use crate::tool::EffectClass;

/// What calls of models are named among the classes.
const MODEL: &str = "model";

/// How many effects of a class this process has under way at once; `None` is no bound. Each is at
/// least 1. What a run only waits for counts for none of them: a time, a signal, another run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Capacity {
    /// Calls of models, which count for no other class.
    pub model: Option<u32>,
    /// Calls of tools that touch nothing.
    pub pure: Option<u32>,
    /// Of those that read the world.
    pub read: Option<u32>,
    /// Of those that write under an idempotency key.
    pub keyed_write: Option<u32>,
    /// Of those that write, and can be asked whether they did.
    pub queryable_write: Option<u32>,
    /// Of those that write into L9's own database.
    pub same_db_write: Option<u32>,
    /// Of those that write, and nobody can tell afterwards.
    pub opaque_write: Option<u32>,
}

impl Capacity {
    /// Each class with its bound.
    #[must_use]
    pub fn by_class(&self) -> [(&'static str, Option<u32>); 7] {
        let of_tools = EffectClass::ALL.map(|class| (class.as_str(), self.of(Some(class))));
        let [pure, read, keyed, queryable, same_db, opaque] = of_tools;
        [(MODEL, self.of(None)), pure, read, keyed, queryable, same_db, opaque]
    }

    /// The bound of a class of tools, or of models.
    fn of(&self, class: Option<EffectClass>) -> Option<u32> {
        match class {
            None => self.model,
            Some(EffectClass::Pure) => self.pure,
            Some(EffectClass::Read) => self.read,
            Some(EffectClass::KeyedWrite) => self.keyed_write,
            Some(EffectClass::QueryableWrite) => self.queryable_write,
            Some(EffectClass::SameDbWrite) => self.same_db_write,
            Some(EffectClass::OpaqueWrite) => self.opaque_write,
        }
    }
}

/// The places of the classes that have a bound.
#[derive(Debug, Default)]
pub(super) struct Places {
    capacity: Capacity,
    /// By the names of the classes.
    places: Vec<(&'static str, Arc<Turns>)>,
}

impl Places {
    pub(super) fn new(capacity: Capacity) -> Self {
        let bounded = capacity.by_class().into_iter().filter_map(|(class, most)| Some((class, most?)));
        let places = bounded.map(|(class, most)| (class, Arc::new(Turns::new(most)))).collect();
        Self { capacity, places }
    }

    /// The places of a class of tools, or of models, if they are bounded.
    pub(super) fn of(&self, class: Option<EffectClass>) -> Option<&Arc<Turns>> {
        self.capacity.of(class)?;
        let name = class.map_or(MODEL, EffectClass::as_str);
        self.places.iter().find(|(class, _)| *class == name).map(|(_, places)| places)
    }

    /// Of each class that has a bound: how many are under way, and the bound.
    pub(super) fn taken(&self) -> impl Iterator<Item = (&'static str, u32, u32)> {
        self.places.iter().map(|(class, places)| (*class, places.taken(), places.most()))
    }
}
