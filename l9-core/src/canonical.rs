//! The canonical form of RFC 8785, fast where it is plain.
//!
//! `serde_json` writes compact text whose strings are escaped as the RFC wants; numbers
//! are written here as it wants, and the members of each object are brought into order in
//! place when it ends; most are in order as they come. Keys that are not plain ASCII, or
//! repeat, are left to the library that knows the whole RFC: `None` means that it must be
//! asked.

use std::cell::RefCell;
use std::io::{self, Write};
use std::ops::Range;

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

/// Up to this magnitude a double holds every integer, and is written with its digits.
pub(crate) const EXACT: u64 = 1 << 53;

/// Room for the event of a plain call: bytes, objects within each other, and members of those that
/// are open.
const LENGTH: usize = 1024;
const DEPTH: usize = 8;
const MEMBERS: usize = 24;

/// The canonical form; `None` when a key is not plain.
pub(crate) fn to_vec(value: &impl Serialize) -> serde_json::Result<Option<Vec<u8>>> {
    let text = Text(RefCell::new(Vec::with_capacity(LENGTH)));
    let mut plain = true;
    let ordered = Ordered {
        text: &text,
        open: Vec::with_capacity(DEPTH),
        members: Vec::with_capacity(MEMBERS),
        scratch: Vec::new(),
        plain: &mut plain,
    };
    value.serialize(&mut Serializer::with_formatter(&text, ordered))?;
    Ok(plain.then(|| text.0.into_inner()))
}

/// What is written so far: the serializer adds to it, and the formatter orders what is there.
struct Text(RefCell<Vec<u8>>);

impl Write for &Text {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes numbers as ECMAScript does (RFC 8785 section 3.2.2.3), and brings the members of each
/// object into order when it ends.
struct Ordered<'a> {
    text: &'a Text,
    /// The objects that are open, outermost first.
    open: Vec<Open>,
    /// Their members.
    members: Vec<Member>,
    scratch: Vec<u8>,
    /// Whether every key is plain, and none repeats within its object.
    plain: &'a mut bool,
}

/// An object that is being written.
struct Open {
    /// Where its members begin.
    base: usize,
    /// Whether they are in order as they come.
    ordered: bool,
}

/// One member: from the quote before its key to the end of its value.
struct Member {
    whole: Range<usize>,
    key_end: usize,
}

impl Member {
    /// Its key, without the quotes.
    fn key<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        text.get(self.whole.start + 1..self.key_end - 1).unwrap_or_default()
    }
}

impl Ordered<'_> {
    fn length(&self) -> usize {
        self.text.0.borrow().len()
    }

    /// Writes the members from `base` on again, in the order of their keys.
    fn reorder(&mut self, base: usize) {
        let Self { text, members, scratch, plain, .. } = self;
        let text = &mut *text.0.borrow_mut();
        let members = &mut members[base..];
        let (Some(first), Some(last)) = (members.first(), members.last()) else { return };
        let whole = first.whole.start..last.whole.end;
        members.sort_unstable_by(|one, other| one.key(text).cmp(other.key(text)));
        **plain &= members.windows(2).all(|pair| pair[0].key(text) != pair[1].key(text));
        scratch.clear();
        for member in members.iter() {
            if !scratch.is_empty() {
                scratch.push(b',');
            }
            scratch.extend_from_slice(&text[member.whole.clone()]);
        }
        text[whole].copy_from_slice(scratch);
    }
}

impl Formatter for Ordered<'_> {
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

    /// Text that somebody else wrote: nothing here knows its order.
    fn write_raw_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        *self.plain = false;
        writer.write_all(fragment.as_bytes())
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open.push(Open { base: self.members.len(), ordered: true });
        writer.write_all(b"{")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if !first {
            writer.write_all(b",")?;
        }
        let start = self.length();
        self.members.push(Member { whole: start..start, key_end: start });
        Ok(())
    }

    fn end_object_key<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        let text = self.text.0.borrow();
        let (Some(open), [before @ .., member]) = (self.open.last_mut(), &mut *self.members) else { return Ok(()) };
        member.key_end = text.len();
        let key = member.key(&text);
        *self.plain &= key.is_ascii() && !key.contains(&b'\\');
        open.ordered &= before.get(open.base..).and_then(<[_]>::last).is_none_or(|last| last.key(&text) < key);
        Ok(())
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        let end = self.length();
        if let Some(member) = self.members.last_mut() {
            member.whole.end = end;
        }
        Ok(())
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        if let Some(Open { base, ordered }) = self.open.pop() {
            if !ordered {
                self.reorder(base);
            }
            self.members.truncate(base);
        }
        writer.write_all(b"}")
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
