//! The stored form of terms.
//!
//! Version 1: `1 ‖ length (varint) ‖ per term, ascending: hash (8, big endian) ‖
//! frequency (varint)`. Backends seal these bytes; they are never stored in the clear.

use l9_core::{Error, Result};

use super::terms::Terms;

/// The version of the words' rules and of the packed form: another one is computed
/// again from the text.
const VERSION: u8 = 1;

impl Terms {
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

    proptest! {
        #[test]
        fn packing_round_trips_and_unpacking_never_panics(text in ".{0,300}", bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let terms = Terms::of(&text);
            prop_assert_eq!(Terms::unpack(&terms.pack()).unwrap().unwrap(), terms);
            let _ = Terms::unpack(&bytes);
        }
    }
}
