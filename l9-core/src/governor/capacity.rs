//! How many effects may be under way at once in this process, by what they do to the world.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::turns::Turns;
use crate::tool::EffectClass;

/// A class of tools; none for models.
type Class = Option<EffectClass>;

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
    /// Each class by its name, with its bound; calls of models are the class `model`.
    pub fn by_class(self) -> impl Iterator<Item = (&'static str, Option<u32>)> {
        classes().map(move |class| (name(class), self.of(class)))
    }

    fn of(self, class: Class) -> Option<u32> {
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

fn classes() -> impl Iterator<Item = Class> {
    std::iter::once(None).chain(EffectClass::ALL.map(Some))
}

fn name(class: Class) -> &'static str {
    class.map_or("model", EffectClass::as_str)
}

/// The turns of the classes that have a bound.
#[derive(Debug, Default)]
pub(super) struct Places(Vec<(Class, Arc<Turns>)>);

impl Places {
    pub(super) fn new(capacity: Capacity) -> Self {
        let bounded = classes().filter_map(|class| Some((class, Arc::new(Turns::new(capacity.of(class)?)))));
        Self(bounded.collect())
    }

    /// The turns of a class of tools, or of models, if they are bounded.
    pub(super) fn of(&self, wanted: Class) -> Option<&Arc<Turns>> {
        self.0.iter().find(|(class, _)| *class == wanted).map(|(_, turns)| turns)
    }

    /// Of each class that has a bound: how many are under way, and the bound.
    pub(super) fn taken(&self) -> impl Iterator<Item = (&'static str, u32, u32)> {
        self.0.iter().map(|(class, turns)| (name(*class), turns.taken(), turns.most()))
    }
}
