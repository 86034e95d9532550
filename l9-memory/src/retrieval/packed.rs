//! The stored form of terms.
//!
//! Version 2: `2 ‖ length ‖ speaker ‖ 0, or 1 ‖ subject ‖ predicate ‖ object ‖ per stem,
//! ascending: stem ‖ frequency`, numbers as varints, texts as their length in bytes and the
//! bytes. Backends seal these bytes; they
//! are never stored in the clear. Version 1 had hashes for stems.

use l9_core::memory::Relation;
use l9_core::{Error, Result};

use super::terms::Terms;

/// The version of the words' rules and of the packed form: another one is computed
/// again from the text.
const VERSION: u8 = 2;

impl Terms {
    /// The packed form.
    pub(crate) fn pack(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        push_varint(&mut out, self.length);
        push_text(&mut out, &self.speaker);
        push_varint(&mut out, u32::from(self.relation.is_some()));
        for part in self.relation.iter().flat_map(|stated| [&stated.subject, &stated.predicate, &stated.object]) {
            push_text(&mut out, part);
        }
        for (stem, count) in self.each() {
            push_text(&mut out, stem);
            push_varint(&mut out, count);
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
        let speaker = take_text(&mut rest).ok_or_else(damaged)?;
        let relation = match take_varint(&mut rest) {
            Some(0) => None,
            Some(1) => Some(take_relation(&mut rest).ok_or_else(damaged)?),
            _ => return Err(damaged()),
        };
        let mut terms = Self::empty(length, speaker, relation);
        terms.reserve(rest.len());
        while !rest.is_empty() {
            let stem = take_text(&mut rest).ok_or_else(damaged)?;
            terms.push(stem, take_varint(&mut rest).ok_or_else(damaged)?);
        }
        Ok(Some(terms))
    }
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    push_varint(out, u32::try_from(text.len()).unwrap_or(u32::MAX));
    out.extend_from_slice(text.as_bytes());
}

fn push_varint(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn take_text<'a>(bytes: &mut &'a [u8]) -> Option<&'a str> {
    let length = take_varint(bytes)? as usize;
    let (text, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    std::str::from_utf8(text).ok()
}

fn take_relation(bytes: &mut &[u8]) -> Option<Relation> {
    let mut part = || take_text(bytes).map(str::to_owned);
    Some(Relation { subject: part()?, predicate: part()?, object: part()? })
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
    use l9_core::memory::NewEntry;
    use proptest::prelude::*;

    fn said(text: &str) -> Terms {
        Terms::of(&NewEntry { text: text.into(), ..NewEntry::default() })
    }

    /// Stored stems must be found by every later version, or computed anew under another.
    #[test]
    fn bytes_of_version_two_are_still_read() {
        let frozen = hex::decode("0203046164612000036164610105726573756d010372756e01").unwrap();
        let terms = said("Ada: runs resume");
        assert_eq!(hex::encode(terms.pack()), hex::encode(&frozen));
        assert_eq!(Terms::unpack(&frozen).unwrap().unwrap(), terms);
        assert_eq!(Terms::unpack(&[1, 0, 0]).unwrap(), None);
    }

    proptest! {
        #[test]
        fn packing_round_trips_and_unpacking_never_panics(text in ".{0,300}", stated in proptest::option::of(".{0,9}"), bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let relation = stated.map(|name| Relation { subject: name.clone(), predicate: "is".into(), object: name });
            let terms = Terms::of(&NewEntry { text, relation, ..NewEntry::default() });
            prop_assert_eq!(Terms::unpack(&terms.pack()).unwrap().unwrap(), terms);
            let _ = Terms::unpack(&bytes);
            let _ = Terms::unpack(&[&[VERSION], &bytes[..]].concat());
        }
    }
}
