//! The stems that a tenant's documents use, and those that look alike: words written
//! otherwise, misspelt or derived are found by the trigrams they share (Dice's
//! coefficient; Dice 1945).

use std::collections::HashMap;

/// The least and the most characters of a stem that is compared.
const LENGTHS: std::ops::RangeInclusive<usize> = 4..=24;
/// The least likeness that counts.
const LEAST: f64 = 0.6;

/// Every stem once, by the trigrams in it.
#[derive(Debug, Default)]
pub(super) struct Vocabulary {
    stems: Vec<Known>,
    by_gram: HashMap<[char; 3], Vec<u32>>,
}

#[derive(Debug)]
struct Known {
    stem: Box<str>,
    grams: u32,
}

impl Vocabulary {
    /// Adds a stem that is new.
    pub(super) fn add(&mut self, stem: &str) {
        if !fits(stem) {
            return;
        }
        let number = u32::try_from(self.stems.len()).unwrap_or(u32::MAX);
        let grams = grams(stem);
        self.stems.push(Known { stem: stem.into(), grams: u32::try_from(grams.len()).unwrap_or(u32::MAX) });
        for gram in grams {
            self.by_gram.entry(gram).or_default().push(number);
        }
    }

    /// Keeps those stems only.
    pub(super) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        let kept = std::mem::take(self).stems;
        kept.iter().filter(|known| keep(&known.stem)).for_each(|known| self.add(&known.stem));
    }

    /// The stems that look like one, itself left out, with their likeness from 0 to 1; the most
    /// alike first.
    pub(super) fn alike(&self, stem: &str) -> Vec<(&str, f64)> {
        if !fits(stem) {
            return Vec::new();
        }
        let own = grams(stem);
        let mut shared: HashMap<u32, u32> = HashMap::new();
        for number in own.iter().filter_map(|gram| self.by_gram.get(gram)).flatten() {
            *shared.entry(*number).or_default() += 1;
        }
        let mut alike: Vec<(&str, f64)> = shared
            .into_iter()
            .filter_map(|(number, shared)| {
                let known = self.stems.get(number as usize)?;
                let likeness = 2.0 * f64::from(shared) / (own.len() as f64 + f64::from(known.grams));
                (likeness >= LEAST && &*known.stem != stem).then_some((&*known.stem, likeness))
            })
            .collect();
        alike.sort_unstable_by(|one, other| other.1.total_cmp(&one.1).then_with(|| one.0.cmp(other.0)));
        alike
    }
}

/// Words, not numbers: 1987 is not like 1988.
fn fits(stem: &str) -> bool {
    LENGTHS.contains(&stem.chars().count()) && !stem.contains(|char: char| char.is_numeric())
}

/// The different runs of three characters, with the ends of the word marked.
fn grams(stem: &str) -> Vec<[char; 3]> {
    let chars: Vec<char> = std::iter::once('^').chain(stem.chars()).chain(std::iter::once('$')).collect();
    let mut grams: Vec<[char; 3]> = chars.windows(3).filter_map(|three| three.try_into().ok()).collect();
    grams.sort_unstable();
    grams.dedup();
    grams
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alike_are_misspelt_and_derived_words_and_no_numbers() {
        let mut all = Vocabulary::default();
        for stem in ["postgresql", "counsel", "research", "1987", "cat", "restaur"] {
            all.add(stem);
        }
        let alike = |stem| all.alike(stem).into_iter().map(|(stem, _)| stem).collect::<Vec<_>>();
        assert_eq!(alike("postgresq"), ["postgresql"]);
        assert_eq!(alike("counselor"), ["counsel"]);
        assert_eq!(alike("reserch"), ["research"]);
        assert!(alike("research").is_empty() && alike("1988").is_empty() && alike("cats").is_empty());
        assert!(alike("").is_empty() && alike(&"x".repeat(10_000)).is_empty());
    }
}
