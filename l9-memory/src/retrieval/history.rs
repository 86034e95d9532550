//! What hid an entry, from when and until when: so every time can be asked about.

use l9_core::time::Timestamp;
use uuid::Uuid;

/// What hides an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It was forgotten, and its bytes are kept.
    Forgotten,
    /// Another says what is true from a time on.
    Superseded { by: Uuid, valid_from: Timestamp },
    /// A quarantine.
    Quarantined(Uuid),
}

/// What hid an entry so far. Nothing hid most of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct History(Vec<Hidden>);

#[derive(Debug, Clone)]
struct Hidden {
    cause: Cause,
    from: Timestamp,
    until: Option<Timestamp>,
}

impl Cause {
    /// Whether the one undoes the other.
    fn is(self, other: Self) -> bool {
        match (self, other) {
            (Self::Superseded { by: one, .. }, Self::Superseded { by: other, .. }) => one == other,
            (one, other) => one == other,
        }
    }
}

impl History {
    /// Something hides it from now on; what does so already goes on.
    pub(super) fn hide(&mut self, cause: Cause, from: Timestamp) {
        if self.open(cause).is_none() {
            self.0.push(Hidden { cause, from, until: None });
        }
    }

    /// Something hides it no longer.
    pub(super) fn show(&mut self, cause: Cause, until: Timestamp) {
        if let Some(hidden) = self.open(cause) {
            hidden.until = Some(until);
        }
    }

    fn open(&mut self, cause: Cause) -> Option<&mut Hidden> {
        self.0.iter_mut().find(|hidden| hidden.until.is_none() && hidden.cause.is(cause))
    }

    /// Whether anything hides it, by what is known now or was at a time. What is superseded
    /// still says what was true before.
    pub(super) fn hides(&self, as_of: Option<Timestamp>, valid_at: Option<Timestamp>) -> bool {
        self.0.iter().any(|hidden| {
            let known = match as_of {
                None => hidden.until.is_none(),
                Some(time) => hidden.from <= time && hidden.until.is_none_or(|until| time < until),
            };
            let concerned = match hidden.cause {
                Cause::Superseded { valid_from, .. } => valid_at.is_none_or(|time| valid_from <= time),
                Cause::Forgotten | Cause::Quarantined(_) => true,
            };
            known && concerned
        })
    }
}
