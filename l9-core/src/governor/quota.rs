//! How many bytes a tool may pass in a UTC day for one tenant: what is used, and what the
//! calls under way may still use. Counts are of this process and gone with it.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::id::{TenantId, ToolId};
use crate::rate::APART;
use crate::time::Timestamp;

/// A day in milliseconds.
const DAY: i64 = 24 * 3_600_000;

/// The days of all tools that have a quota, one for each tenant. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Days {
    hasher: RandomState,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    days: HashMap<u64, Day>,
    /// The day on which those of other days were last forgotten.
    swept: i64,
}

/// A day of one tool and tenant.
#[derive(Debug, Default)]
struct Day {
    /// Which, in days since the epoch.
    day: i64,
    used: u64,
    /// What the calls under way may still use.
    held: u64,
    /// Told whenever one of them has ended.
    freed: watch::Sender<()>,
}

/// What a call wants of a day.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// The bytes of its arguments.
    pub(super) arguments: u64,
    /// The most bytes of its result.
    pub(super) result: u64,
    /// The quota.
    pub(super) limit: u64,
    /// Whether the effect was let in before: then it is counted, and neither refused nor held up.
    pub(super) again: bool,
    pub(super) now: Timestamp,
}

/// Why there is nothing for a call.
#[derive(Debug)]
pub(super) enum Short {
    /// Too much is used.
    Used {
        /// How many bytes.
        used: u64,
        /// When the next day begins.
        anew: Timestamp,
    },
    /// The calls under way may use what is left; this tells when one of them has ended.
    Held(watch::Receiver<()>),
}

/// A call's share of a day. What it did not use is given back when it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    days: Days,
    key: u64,
    arguments: u64,
    held: u64,
}

impl Days {
    /// Holds what a call may use at most. A call whose arguments fit may use more than what is
    /// left if no other is under way: so each byte of a quota can be used, and the one call that
    /// uses the last may use more.
    ///
    /// # Errors
    /// Why there is nothing for it now.
    pub(super) fn hold(&self, tool: &ToolId, tenant: &TenantId, wanted: Wanted) -> Result<Share, Short> {
        let Wanted { arguments, result, limit, again, now } = wanted;
        let today = now.as_millis().div_euclid(DAY);
        let mut known = self.known();
        let key = known.place(today, self.hasher.hash_one((true, tool, tenant)), self.hasher.hash_one((false, tool)));
        let day = known.days.entry(key).or_default();
        if day.day != today {
            (day.day, day.used) = (today, 0);
        }
        let held = arguments.saturating_add(result);
        if !again {
            if day.used >= limit || day.used.saturating_add(arguments) > limit {
                return Err(Short::Used { used: day.used, anew: Timestamp::from_millis((today + 1) * DAY) });
            }
            if day.held > 0 && day.used.saturating_add(day.held).saturating_add(held) > limit {
                return Err(Short::Held(day.freed.subscribe()));
            }
        }
        day.held = day.held.saturating_add(held);
        Ok(Share { days: self.clone(), key, arguments, held })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Where a day is counted: its own place, or the one that all share who find no room.
    fn place(&mut self, today: i64, own: u64, shared: u64) -> u64 {
        if self.days.len() >= APART && self.swept != today {
            self.swept = today;
            self.days.retain(|_, day| day.day == today || day.held > 0);
        }
        if self.days.len() < APART || self.days.contains_key(&own) { own } else { shared }
    }
}

impl Share {
    /// Counts the arguments as used: they are about to be passed on.
    pub(super) fn begin(&mut self) {
        let arguments = std::mem::take(&mut self.arguments);
        self.count(arguments);
    }

    /// Counts a result as used.
    pub(super) fn end(&mut self, result: u64) {
        self.count(result);
    }

    fn count(&mut self, bytes: u64) {
        let given_back = bytes.min(self.held);
        self.held -= given_back;
        if let Some(day) = self.days.known().days.get_mut(&self.key) {
            day.used = day.used.saturating_add(bytes);
            day.held = day.held.saturating_sub(given_back);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some(day) = self.days.known().days.get_mut(&self.key) {
            day.held = day.held.saturating_sub(self.held);
            day.freed.send_replace(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(arguments: u64, result: u64, limit: u64, now: i64) -> Wanted {
        Wanted { arguments, result, limit, again: false, now: Timestamp::from_millis(now) }
    }

    fn used(short: &Short) -> (u64, i64) {
        match short {
            Short::Used { used, anew } => (*used, anew.as_millis()),
            Short::Held(_) => panic!("held, not used"),
        }
    }

    #[test]
    fn a_day_is_used_up_to_its_end_and_starts_anew_at_midnight() {
        let (days, tool, tenant) = (Days::default(), "web/read".parse().unwrap(), TenantId::default_tenant());
        let hold = |arguments, now| days.hold(&tool, &tenant, wanted(arguments, 50, 100, now));
        let mut share = hold(10, 5).unwrap();
        share.begin();
        share.end(20);
        drop(share);
        drop(hold(70, 5).expect("30 are used, 70 fit, and whatever comes back"));
        assert_eq!(used(&hold(71, 5).unwrap_err()), (30, DAY));
        let mut last = hold(1, 5).unwrap();
        last.begin();
        last.end(1_000);
        drop(last);
        assert_eq!(used(&hold(0, DAY - 1).unwrap_err()), (1_031, DAY));
        assert!(days.hold(&tool, &"other".parse().unwrap(), wanted(10, 50, 100, 5)).is_ok(), "each tenant has its own");
        assert!(hold(10, DAY).is_ok());
        let again = Wanted { again: true, ..wanted(500, 50, 100, DAY) };
        let mut share = days.hold(&tool, &tenant, again).expect("what was let in is not held up");
        share.begin();
        assert_eq!(used(&hold(0, DAY).unwrap_err()), (500, 2 * DAY));
    }

    #[test]
    fn calls_under_way_hold_what_they_may_use_and_give_back_what_they_did_not() {
        let (days, tool, tenant) = (Days::default(), "web/read".parse().unwrap(), TenantId::default_tenant());
        let hold = || days.hold(&tool, &tenant, wanted(10, 40, 120, 0));
        let shares: Vec<Share> = (0..100).map_while(|_| hold().ok()).collect();
        assert_eq!(shares.len(), 2, "a third might use more than there is");
        let Err(Short::Held(mut freed)) = hold() else { panic!("it is held, not used") };
        assert!(!freed.has_changed().unwrap());
        drop(shares);
        assert!(freed.has_changed().unwrap(), "whoever waits is told");
        freed.mark_unchanged();
        assert!(hold().is_ok(), "what never began used nothing");
    }
}
