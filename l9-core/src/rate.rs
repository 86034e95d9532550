//! How often something may happen: what each of many did within the last minute.
//!
//! Counts are of one process and gone with it. They are of whole seconds, so that nobody does
//! more than a limit says in any sixty seconds, and what was done counts for 61 seconds at most.
//! Whoever did nothing for a minute is forgotten, and beyond [`APART`] at once whoever comes new
//! is counted together with all others that found no room: memory is bounded, and no limit is
//! ever exceeded. Nothing here waits or refuses.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, Hash};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long what was done counts, in seconds after its own.
const MINUTE: u64 = 60;

/// The most that are counted apart from each other.
pub const APART: usize = 1 << 17;

/// So many a minute, for one of those that a kind of limit holds for.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    kind: &'static str,
    most: u32,
    own: u64,
    /// Where those are counted that found no room.
    shared: u64,
}

/// A limit that is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Over {
    /// The kind of limit.
    pub kind: &'static str,
    /// How many a minute it allows.
    pub most: u32,
    /// How long until one more is allowed.
    pub after: Duration,
}

/// Counts what each of many does.
#[derive(Debug, Default)]
pub struct Meter {
    /// Keyed by chance, so that nobody can choose whom they are counted with.
    hasher: RandomState,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    minutes: HashMap<u64, Minute>,
    /// The second in which the idle were last forgotten.
    swept: u64,
}

/// What one of them did, second by second, the oldest first.
#[derive(Debug, Default)]
struct Minute {
    seconds: VecDeque<(u64, u32)>,
    count: u32,
}

impl Meter {
    /// The limit of one, whoever that is.
    #[must_use]
    pub fn limit(&self, kind: &'static str, one: impl Hash, most: u32) -> Limit {
        let (own, shared) = (self.hasher.hash_one((true, kind, one)), self.hasher.hash_one((false, kind, most)));
        Limit { kind, most, own, shared }
    }

    /// Counts one more under each of the limits, or under none of them. `now` is of a
    /// monotonic clock.
    ///
    /// # Errors
    /// The limit that is reached; of several, the one that lasts longest.
    pub fn take(&self, now: Duration, limits: &[Limit]) -> Result<(), Over> {
        let second = now.as_secs();
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.sweep(second);
        let places = counts.within(now, limits)?;
        places.into_iter().for_each(|place| counts.minutes.entry(place).or_default().add(second));
        Ok(())
    }

    /// Whether one more would be allowed. Counts nothing.
    ///
    /// # Errors
    /// As [`Meter::take`].
    pub fn check(&self, now: Duration, limits: &[Limit]) -> Result<(), Over> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).within(now, limits).map(drop)
    }

    /// How many are counted apart.
    #[must_use]
    pub fn counted(&self) -> usize {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).minutes.len()
    }
}

impl Counts {
    /// Forgets the idle once a minute, and once a second where there is no room.
    fn sweep(&mut self, second: u64) {
        let rest = if self.minutes.len() < APART { MINUTE } else { 1 };
        if second >= self.swept + rest {
            self.swept = second;
            self.minutes.retain(|_, minute| minute.is_live(second));
        }
    }

    /// Where one more would be counted under each of the limits.
    fn within(&mut self, now: Duration, limits: &[Limit]) -> Result<Vec<u64>, Over> {
        let mut room = APART.saturating_sub(self.minutes.len());
        let mut places = Vec::with_capacity(limits.len());
        for limit in limits {
            let known = self.minutes.contains_key(&limit.own);
            places.push(if known || room > 0 { limit.own } else { limit.shared });
            room = room.saturating_sub(usize::from(!known));
        }
        let over = limits.iter().zip(&places).filter_map(|(limit, place)| {
            let after = self.minutes.get_mut(place)?.wait(limit.most, now)?;
            Some(Over { kind: limit.kind, most: limit.most, after })
        });
        match over.max_by_key(|over| over.after) {
            Some(over) => Err(over),
            None => Ok(places),
        }
    }
}

impl Minute {
    fn is_live(&self, second: u64) -> bool {
        self.seconds.back().is_some_and(|(then, _)| then + MINUTE >= second)
    }

    fn add(&mut self, second: u64) {
        match self.seconds.back_mut() {
            // A clock never goes back, but callers may read it in one order and come in another.
            Some((newest, count)) if *newest >= second => *count += 1,
            _ => self.seconds.push_back((second, 1)),
        }
        self.count += 1;
    }

    /// How long until fewer than `most` count; nothing if fewer do.
    fn wait(&mut self, most: u32, now: Duration) -> Option<Duration> {
        while let Some((then, count)) = self.seconds.front().copied()
            && then + MINUTE < now.as_secs()
        {
            self.seconds.pop_front();
            self.count -= count;
        }
        let mut left = self.count;
        let mut next = self.seconds.iter();
        let mut free = now;
        while left >= most
            && let Some((then, count)) = next.next()
        {
            left -= count;
            free = Duration::from_secs(then + MINUTE + 1);
        }
        (free > now).then(|| free - now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn allowed(meter: &Meter, now: Duration, who: &str, most: u32, tries: usize) -> usize {
        (0..tries).filter(|_| meter.take(now, &[meter.limit("test", who, most)]).is_ok()).count()
    }

    #[test]
    fn a_burst_gets_what_the_limit_says_and_is_told_when_there_is_more() {
        let meter = Meter::default();
        let start = Duration::from_millis(10_900);
        assert_eq!(allowed(&meter, start, "ada", 5, 100), 5);
        assert_eq!(allowed(&meter, start, "bob", 5, 100), 5, "another has a limit of their own");
        let over = meter.take(start, &[meter.limit("test", "ada", 5)]).unwrap_err();
        assert_eq!(over, Over { kind: "test", most: 5, after: Duration::from_millis(60_100) });
        let early = start + over.after - Duration::from_millis(1);
        assert_eq!(allowed(&meter, early, "ada", 5, 100), 0);
        assert_eq!(allowed(&meter, start + over.after, "ada", 5, 100), 5);
    }

    #[test]
    fn one_more_counts_under_each_limit_or_under_none() {
        let meter = Meter::default();
        let both = |who: &str| [meter.limit("one", who, 9), meter.limit("all", "everybody", 3)];
        let taken = (0..20).filter(|_| meter.take(SECOND, &both("ada")).is_ok()).count();
        assert_eq!(taken, 3);
        let over = meter.take(SECOND, &both("bob")).unwrap_err();
        assert_eq!((over.kind, over.most), ("all", 3));
        // What was refused was not counted under the limit that was not reached.
        assert_eq!(allowed(&meter, SECOND, "nobody", 1, 1), 1);
        let left = (0..20).filter(|_| meter.take(SECOND, &both("ada")[..1]).is_ok()).count();
        assert_eq!(left, 6);
        assert!(meter.check(SECOND, &both("ada")[..1]).is_err());
    }

    #[test]
    fn a_lower_limit_waits_for_more_to_be_forgotten() {
        let meter = Meter::default();
        for second in 0..10 {
            assert_eq!(allowed(&meter, SECOND * second, "ada", 100, 1), 1);
        }
        let over = meter.take(SECOND * 9, &[meter.limit("test", "ada", 4)]).unwrap_err();
        assert_eq!(over.after, SECOND * (6 + 61 - 9), "the seventh oldest must go");
    }

    /// So many, as an attacker might make them up.
    const MANY: u32 = 1_000_000;

    #[test]
    fn a_million_strangers_at_once_take_no_more_room_than_there_is_and_lift_no_limit() {
        let meter = Meter::default();
        let mut mine = 0;
        for stranger in 0..MANY {
            let _ = meter.take(SECOND, &[meter.limit("test", stranger, 10)]);
            if stranger % 1_000 == 0 {
                mine += allowed(&meter, SECOND, "ada", 10, 1);
            }
        }
        assert_eq!(mine, 10, "whoever is known stays known");
        // One place more, for all who found none.
        assert_eq!(meter.counted(), APART + 1);
        let newcomers = (MANY..MANY + 1_000).filter(|one| meter.take(SECOND, &[meter.limit("test", one, 10)]).is_ok());
        assert_eq!(newcomers.count(), 0, "they share one limit, and it is reached");
        // A minute later nobody is known any more, and there is room.
        assert_eq!(allowed(&meter, SECOND * 62, "eve", 10, 20), 10);
        assert_eq!(meter.counted(), 1);
    }

    #[test]
    fn strangers_that_come_one_after_another_are_forgotten() {
        let meter = Meter::default();
        let mut most = 0;
        for stranger in 0..MANY {
            // A thousand a second.
            let now = Duration::from_millis(stranger.into());
            assert!(meter.take(now, &[meter.limit("test", stranger, 1)]).is_ok(), "{stranger}");
            most = most.max(meter.counted());
        }
        assert!(most <= APART, "{most}");
    }

    proptest! {
        #[test]
        fn no_minute_holds_more_than_the_limit(most in 1_u32..6, steps in proptest::collection::vec(0_u64..9_000, 1..200)) {
            let meter = Meter::default();
            let (mut now, mut taken, mut told) = (Duration::ZERO, Vec::new(), Duration::ZERO);
            for step in steps {
                now += Duration::from_millis(step);
                match meter.take(now, &[meter.limit("test", "ada", most)]) {
                    Ok(()) => {
                        prop_assert!(now >= told, "allowed before it was said to be");
                        taken.push(now);
                    }
                    Err(over) => {
                        prop_assert!(over.after <= SECOND * 61);
                        told = now + over.after;
                    }
                }
                let within = taken.iter().filter(|then| now - **then < SECOND * 60).count();
                prop_assert!(within <= most as usize, "{} in one minute", within);
            }
        }
    }
}
