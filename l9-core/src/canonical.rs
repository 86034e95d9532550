//! The canonical form of RFC 8785, fast where it is plain.
//!
//! `serde_json` writes compact text whose strings are escaped as the RFC wants; numbers
//! are written here as it wants, and the members of each object are then brought into
//! order in place. Keys that are not plain ASCII, or repeat, are left to the library that
//! knows the whole RFC: `None` means that it must be asked.

use std::io::{self, Write};
use std::ops::Range;

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

/// Up to this magnitude a double holds every integer, and is written with its digits.
pub(crate) const EXACT: u64 = 1 << 53;

/// The canonical form; `None` when a key is not plain.
pub(crate) fn to_vec(value: &impl Serialize) -> serde_json::Result<Option<Vec<u8>>> {
    let mut text = Vec::with_capacity(256);
    value.serialize(&mut Serializer::with_formatter(&mut text, Numbers))?;
    let mut sorter = Sorter { text, members: Vec::new(), scratch: Vec::new() };
    Ok(sorter.value(0).map(|_| sorter.text))
}

/// Writes numbers as ECMAScript does (RFC 8785 section 3.2.2.3).
struct Numbers;

impl Formatter for Numbers {
    fn write_i64<W: ?Sized + Write>(&mut self, writer: &mut W, value: i64) -> io::Result<()> {
        if value < 0 {
            writer.write_all(b"-")?;
        }
        self.write_u64(writer, value.unsigned_abs())
    }

    fn write_u64<W: ?Sized + Write>(&mut self, writer: &mut W, value: u64) -> io::Result<()> {
        if value > EXACT {
            #[expect(clippy::cast_precision_loss, reason = "RFC 8785 knows only doubles")]
            return self.write_f64(writer, value as f64);
        }
        CompactFormatter.write_u64(writer, value)
    }

    fn write_f32<W: ?Sized + Write>(&mut self, writer: &mut W, value: f32) -> io::Result<()> {
        self.write_f64(writer, f64::from(value))
    }

    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(ryu_js::Buffer::new().format_finite(value).as_bytes())
    }
}

/// Brings the members of the objects in compact JSON text into order.
struct Sorter {
    text: Vec<u8>,
    /// The members of the objects that are open, outermost first.
    members: Vec<Member>,
    scratch: Vec<u8>,
}

/// One member: from the quote before its key to the end of its value.
struct Member {
    whole: Range<usize>,
    key_end: usize,
}

impl Sorter {
    /// Orders the value that begins at `at`; gives its end.
    fn value(&mut self, at: usize) -> Option<usize> {
        match self.text.get(at)? {
            b'{' => self.object(at + 1),
            b'[' => self.array(at + 1),
            b'"' => self.string(at + 1),
            _ => {
                let rest = self.text.get(at..)?;
                let end = rest.iter().position(|byte| matches!(byte, b',' | b']' | b'}'));
                Some(end.map_or(self.text.len(), |end| at + end))
            }
        }
    }

    fn array(&mut self, mut at: usize) -> Option<usize> {
        if self.text.get(at)? == &b']' {
            return Some(at + 1);
        }
        loop {
            at = self.value(at)? + 1;
            if self.text.get(at - 1)? == &b']' {
                return Some(at);
            }
        }
    }

    /// The end of the string whose first character is at `at`.
    fn string(&self, mut at: usize) -> Option<usize> {
        loop {
            at += memchr::memchr2(b'"', b'\\', self.text.get(at..)?)?;
            if self.text.get(at)? == &b'"' {
                return Some(at + 1);
            }
            at += 2;
        }
    }

    fn object(&mut self, mut at: usize) -> Option<usize> {
        if self.text.get(at)? == &b'}' {
            return Some(at + 1);
        }
        let base = self.members.len();
        let mut ordered = true;
        loop {
            let key_end = self.string(at + 1)?;
            let end = self.value(key_end + 1)?;
            let member = Member { whole: at..end, key_end };
            let key = self.key(&member)?;
            if !key.iter().all(|byte| byte.is_ascii() && *byte != b'\\') {
                return None;
            }
            ordered &= self.members[base..].last().is_none_or(|last| self.key(last) < Some(key));
            self.members.push(member);
            at = end + 1;
            if self.text.get(end)? == &b'}' {
                break;
            }
        }
        if !ordered {
            self.reorder(base)?;
        }
        self.members.truncate(base);
        Some(at)
    }

    /// Writes the members from `base` on again, in the order of their keys.
    fn reorder(&mut self, base: usize) -> Option<()> {
        let Self { text, members, scratch } = self;
        let members = members.get_mut(base..)?;
        let whole = members.first()?.whole.start..members.last()?.whole.end;
        let key = |member: &Member| text.get(member.whole.start + 1..member.key_end - 1);
        members.sort_unstable_by(|one, other| key(one).cmp(&key(other)));
        if members.windows(2).any(|pair| key(&pair[0]) == key(&pair[1])) {
            return None;
        }
        scratch.clear();
        for member in members.iter() {
            if !scratch.is_empty() {
                scratch.push(b',');
            }
            scratch.extend_from_slice(text.get(member.whole.clone())?);
        }
        text.get_mut(whole)?.copy_from_slice(scratch);
        Some(())
    }

    /// A member's key, without its quotes.
    fn key(&self, member: &Member) -> Option<&[u8]> {
        self.text.get(member.whole.start + 1..member.key_end - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn library(value: &Value) -> Vec<u8> {
        serde_json_canonicalizer::to_vec(value).unwrap()
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let number = prop_oneof![
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            (-9_007_199_254_740_994_i64..=9_007_199_254_740_994).prop_map(Value::from),
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            number,
            ".{0,12}".prop_map(Value::from)
        ];
        let key = prop_oneof![8 => "[ -~]{0,4}", 1 => ".{0,3}"];
        leaf.prop_recursive(4, 48, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(key.clone(), inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// Members in any order, as a struct's fields are.
    struct Reversed<'a>(&'a Value);

    impl Serialize for Reversed<'_> {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            match self.0 {
                Value::Object(map) => {
                    serializer.collect_map(map.iter().rev().map(|(key, value)| (key, Reversed(value))))
                }
                Value::Array(items) => serializer.collect_seq(items.iter().map(Reversed)),
                other => other.serialize(serializer),
            }
        }
    }

    #[test]
    fn keys_that_begin_alike_and_keys_beside_the_quote_are_in_order() {
        let value = json!({"a": 1, "a!": 2, "a ": 3, "": 4, "a#": {"z": [], "b": {}}, "Z": "},{"});
        assert_eq!(to_vec(&Reversed(&value)).unwrap().unwrap(), library(&value));
    }

    #[test]
    fn what_is_not_plain_is_left_to_the_library() {
        for key in ["é", "a\"b", "\n"] {
            assert_eq!(to_vec(&json!({ key: 1 })).unwrap(), None, "{key}");
        }
    }

    proptest! {
        #[test]
        fn the_form_is_that_of_the_library(value in any_json()) {
            if let Some(text) = to_vec(&Reversed(&value)).unwrap() {
                prop_assert_eq!(String::from_utf8(text).unwrap(), String::from_utf8(library(&value)).unwrap());
            }
        }
    }
}
