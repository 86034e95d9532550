//! The terms of a text and of a query: stems as 64-bit hashes, and their packed form.
//!
//! Packed, version 1: `1 ‖ length (varint) ‖ per term, ascending: hash (8, big endian)
//! ‖ frequency (varint)`. Backends seal these bytes; they are never stored in the clear.

use std::collections::HashMap;

use l9_core::{Error, Result};

use super::words;

/// The version of the words' rules and of the packed form: another one is computed
/// again from the text.
const VERSION: u8 = 1;

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

    /// The packed form.
    pub(crate) fn pack(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(6 + self.counts.len() * 9);
        out.push(VERSION);
        push_varint(&mut out, self.length);
        for (hash, count) in &self.counts {
            out.extend_from_slice(&hash.to_be_bytes());
            push_varint(&mut out, *count);
        }
        out
    }

    /// Reads the packed form; `None` if it has another version.
    pub(crate) fn unpack(bytes: &[u8]) -> Result<Option<Self>> {
        let damaged = || Error::corrupt("the terms of a memory do not parse");
        let (version, mut rest) = bytes.split_first().ok_or_else(damaged)?;
        if *version != VERSION {
            return Ok(None);
        }
        let length = take_varint(&mut rest).ok_or_else(damaged)?;
        let mut counts = Vec::with_capacity(rest.len() / 9);
        while !rest.is_empty() {
            let (hash, tail) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
            rest = tail;
            counts.push((u64::from_be_bytes(*hash), take_varint(&mut rest).ok_or_else(damaged)?));
        }
        Ok(Some(Self { length, counts }))
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

fn push_varint(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn take_varint(bytes: &mut &[u8]) -> Option<u32> {
    let mut value = 0_u32;
    for shift in (0..35).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u32::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Stored hashes must be found by every later version, or computed anew under another.
    #[test]
    fn bytes_of_version_one_are_still_read() {
        let frozen = hex::decode("010213df1aae72a7e7a2017ef4efedc8aabe9d01").unwrap();
        assert_eq!(Terms::unpack(&frozen).unwrap().unwrap(), Terms::of("runs resume"));
        assert_eq!(Terms::of("the run resumes").pack()[..2], [1, 2]);
        assert_eq!(Terms::unpack(&[2, 0, 0]).unwrap(), None);
    }

    #[test]
    fn a_query_of_stopwords_still_asks_for_something() {
        assert_eq!(Query::of("the run").counts.len(), 1);
        assert_eq!(Query::of("who is he").counts.len(), 3);
        assert_eq!(Query::of("run runs").counts, [(hash("run"), 2)]);
    }

    proptest! {
        #[test]
        fn packing_round_trips_and_unpacking_never_panics(text in ".{0,300}", bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let terms = Terms::of(&text);
            prop_assert_eq!(Terms::unpack(&terms.pack()).unwrap().unwrap(), terms);
            let _ = Terms::unpack(&bytes);
        }
    }
}
