//! The terms of a text and of a query: stems as 64-bit hashes.

use std::collections::HashMap;

use super::words;

/// The terms of one text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    /// How many words the text has, those that tell nothing left out.
    pub(crate) length: u32,
    /// Every term's hash and how often it occurs, ascending.
    pub(crate) counts: Vec<(u64, u32)>,
}

impl Terms {
    /// The terms of a text.
    pub(crate) fn of(text: &str) -> Self {
        let mut length = 0_u32;
        let mut hashes = Vec::with_capacity(text.len() / 5);
        words::each(text, |stem, stopword| {
            length = length.saturating_add(u32::from(!stopword));
            hashes.push(hash(stem));
        });
        hashes.sort_unstable();
        let mut counts: Vec<(u64, u32)> = Vec::with_capacity(hashes.len());
        for hash in hashes {
            match counts.last_mut() {
                Some((last, count)) if *last == hash => *count = count.saturating_add(1),
                _ => counts.push((hash, 1)),
            }
        }
        Self { length, counts }
    }
}

/// The terms of a query.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Query {
    /// Every term's hash and how often it was asked for, in the order of the words.
    pub(crate) counts: Vec<(u64, u32)>,
}

impl Query {
    /// The terms of a query. Words that tell nothing count only if there are no others.
    pub(crate) fn of(text: &str) -> Self {
        let mut told = Vec::new();
        let mut rest = Vec::new();
        words::each(text, |stem, stopword| if stopword { &mut rest } else { &mut told }.push(hash(stem)));
        let hashes = if told.is_empty() { rest } else { told };
        let mut places = HashMap::new();
        let mut counts: Vec<(u64, u32)> = Vec::new();
        for hash in hashes {
            let place = *places.entry(hash).or_insert(counts.len());
            match counts.get_mut(place) {
                Some((_, count)) => *count += 1,
                None => counts.push((hash, 1)),
            }
        }
        Self { counts }
    }
}

/// FNV-1a, 64 bits, then the finaliser of MurmurHash3: the same on every machine and in
/// every version, since hashes are stored.
fn hash(stem: &str) -> u64 {
    let mut hash = stem
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_of_stopwords_still_asks_for_something() {
        assert_eq!(Query::of("the run").counts.len(), 1);
        assert_eq!(Query::of("who is he").counts.len(), 3);
        assert_eq!(Query::of("run runs").counts, [(hash("run"), 2)]);
    }
}
