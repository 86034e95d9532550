//! A set of places: a bit for each.

use l9_core::{Error, Result};

use super::kernel::Run;
use super::rows::RUN;

/// The most places of an index.
pub const MAX_PLACES: u32 = 1 << 28;

/// A set of places, such as those a filter lets pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    words: Vec<u64>,
}

impl Places {
    /// An empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a place.
    ///
    /// # Errors
    /// `Invalid` from [`MAX_PLACES`] on: a set has room for every place below its greatest.
    pub fn insert(&mut self, place: u32) -> Result<()> {
        if place >= MAX_PLACES {
            return Err(Error::invalid(format!(
                "place {place} is beyond the last, {}: number what is kept from 0",
                MAX_PLACES - 1
            )));
        }
        let at = place as usize / 64;
        if at >= self.words.len() {
            self.words.resize(at + 1, 0);
        }
        self.words[at] |= 1 << (place % 64);
        Ok(())
    }

    /// Takes a place out; tells whether it was there.
    pub fn remove(&mut self, place: u32) -> bool {
        let Some(word) = self.words.get_mut(place as usize / 64) else { return false };
        let bit = 1 << (place % 64);
        let was = *word & bit != 0;
        *word &= !bit;
        was
    }

    /// Whether it has a place.
    #[must_use]
    pub fn contains(&self, place: u32) -> bool {
        self.words.get(place as usize / 64).is_some_and(|word| word & (1 << (place % 64)) != 0)
    }

    /// How many places it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// Its places, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().enumerate().flat_map(|(at, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = (rest != 0).then(|| rest.trailing_zeros())?;
                rest &= rest - 1;
                Some(at as u32 * 64 + bit)
            })
        })
    }

    /// The places that both have.
    #[must_use]
    pub fn both(&self, other: &Self) -> Self {
        Self { words: self.words.iter().zip(&other.words).map(|(one, other)| one & other).collect() }
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.words)
    }

    /// Its places, ascending, [`RUN`] at a time, and those of the next time; the last time
    /// fewer.
    pub(super) fn runs(&self, mut look: impl FnMut(Run<'_>)) {
        let (mut waiting, mut count) = ([0; 2 * RUN + 64], 0);
        for (word, first) in self.words.iter().zip((0..).step_by(64)) {
            if *word == u64::MAX {
                waiting[count..count + 64].iter_mut().zip(first..).for_each(|(place, next)| *place = next);
                count += 64;
            } else {
                let mut rest = *word;
                while rest != 0 {
                    waiting[count] = first + rest.trailing_zeros();
                    count += 1;
                    rest &= rest - 1;
                }
            }
            if count >= 2 * RUN {
                look(Run { places: &waiting[..RUN], ahead: &waiting[RUN..2 * RUN] });
                waiting.copy_within(RUN..count, 0);
                count -= RUN;
            }
        }
        let (run, last) = waiting[..count].split_at(count.min(RUN));
        if !run.is_empty() {
            look(Run { places: run, ahead: last });
        }
        if !last.is_empty() {
            look(Run { places: last, ahead: &[] });
        }
    }
}

impl FromIterator<u32> for Places {
    /// Places from [`MAX_PLACES`] on are left out: no index has them.
    fn from_iter<I: IntoIterator<Item = u32>>(places: I) -> Self {
        let mut set = Self::new();
        places.into_iter().for_each(|place| drop(set.insert(place)));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn a_set_is_a_set(one in proptest::collection::btree_set(0_u32..500, 0..490), other in proptest::collection::btree_set(0_u32..900, 0..80)) {
            let (mut set, others): (Places, Places) = (one.iter().copied().collect(), other.iter().copied().collect());
            prop_assert_eq!(set.len(), one.len());
            prop_assert_eq!(set.is_empty(), one.is_empty());
            prop_assert!((0..1000).all(|place| set.contains(place) == one.contains(&place)));
            prop_assert_eq!(set.iter().collect::<BTreeSet<_>>(), one.clone());
            let mut runs = Vec::new();
            let mut next = Vec::new();
            set.runs(|run| {
                runs.push(run.places.to_vec());
                next.push(run.ahead.to_vec());
            });
            prop_assert!(runs.iter().rev().skip(1).all(|run| run.len() == RUN));
            prop_assert_eq!(runs.concat(), set.iter().collect::<Vec<_>>());
            next.pop();
            prop_assert_eq!(next, runs.split_off(runs.len().min(1)));
            prop_assert_eq!(set.both(&others).iter().collect::<BTreeSet<_>>(), one.intersection(&other).copied().collect());
            prop_assert!(other.iter().all(|place| set.remove(*place) == one.contains(place)));
            prop_assert_eq!(set.iter().collect::<BTreeSet<_>>(), one.difference(&other).copied().collect());
        }
    }

    #[test]
    fn a_place_beyond_the_last_is_refused() {
        let error = Places::new().insert(MAX_PLACES).unwrap_err();
        assert!(error.to_string().contains("268435456"), "{error}");
    }
}
