//! JSON at the border: bounded parsing of foreign text, and the canonical form.
//!
//! Foreign text is measured before it is understood: bytes, depth, values,
//! duplicate keys, numbers that other readers would round. The canonical form is
//! RFC 8785, over which every hash and commitment is taken.

use std::fmt;

use serde::Serialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::{Error, Result};

/// The largest integer every JSON reader keeps exact (2^53 - 1, RFC 8259 section 6).
pub const SAFE_INTEGER: u64 = (1 << 53) - 1;

/// What foreign JSON may at most be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of text.
    pub bytes: usize,
    /// Nested arrays and objects.
    pub depth: usize,
    /// Values in all, keys not counted.
    pub values: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { bytes: 1 << 20, depth: 32, values: 100_000 }
    }
}

/// Parses foreign JSON within bounds.
///
/// # Errors
/// `Invalid` for text that is no JSON, is not UTF-8, exceeds a bound, repeats a key
/// in one object, or has an integer beyond 2^53 - 1 or a number out of range.
pub fn parse(text: &[u8], bounds: &Bounds) -> Result<Value> {
    read(text, bounds, false)
}

/// As [`parse`], with integers beyond 2^53 - 1 as texts of their digits: what a foreign service
/// answers is told whole.
///
/// # Errors
/// As [`parse`], but for those.
pub fn parse_answer(text: &[u8], bounds: &Bounds) -> Result<Value> {
    read(text, bounds, true)
}

fn read(text: &[u8], bounds: &Bounds, tells: bool) -> Result<Value> {
    if text.len() > bounds.bytes {
        return Err(Error::invalid(format!("{} bytes of JSON are over the limit of {}", text.len(), bounds.bytes)));
    }
    let text = std::str::from_utf8(text).map_err(|error| {
        Error::invalid(format!("the JSON is not UTF-8: bad byte at offset {}", error.valid_up_to()))
    })?;
    let mut left = bounds.values;
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Bounded { depth: bounds.depth, bounds, tells, left: &mut left }.deserialize(&mut reader);
    value
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|error| Error::invalid(format!("malformed JSON: {error}")))
}

/// Parses foreign JSON within bounds into a type.
///
/// # Errors
/// As [`parse`], and `Invalid` when the value is not of the type's form.
pub fn parse_as<T: serde::de::DeserializeOwned>(text: &[u8], bounds: &Bounds) -> Result<T> {
    let value = parse(text, bounds)?;
    serde_json::from_value(value).map_err(|error| Error::invalid(error.to_string()))
}

/// The deepest nesting of a value within a journaled payload. What wraps it stays well
/// below the 128 levels that every reader of the payload allows.
pub const PAYLOAD_DEPTH: usize = 64;

/// The largest amount a payload may hold.
pub const PAYLOAD_INTEGER: u64 = SAFE_INTEGER;

/// What keys begin with that mean to `serde_json` that a value is not what stands there.
const RESERVED: &str = "$serde_json::private::";

fn reserved(key: &str) -> Option<String> {
    key.starts_with(RESERVED).then(|| format!("key {key:?} does not read back as what it is: rename it"))
}

/// Says why a value cannot be journaled and read back as it is: an integer beyond
/// 2^53 - 1, which RFC 8785 would round, nesting beyond [`PAYLOAD_DEPTH`], or a key that the
/// reader keeps for itself.
#[must_use]
pub fn unjournalable(value: &Value) -> Option<String> {
    let magnitude = |number: &Number| number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
    unfit(value, 0, &magnitude)
}

/// Says why what is read of a value's canonical form cannot be journaled in turn: as
/// [`unjournalable`], but RFC 8785 writes a number such as `1e16` as an integer.
#[must_use]
pub fn unjournalable_again(value: &Value) -> Option<String> {
    /// From here on it writes an exponent.
    const EXPONENT: f64 = 1e21;
    let magnitude = |number: &Number| {
        let magnitude = number.as_f64()?.abs();
        (magnitude.fract() == 0.0 && magnitude < EXPONENT).then_some(magnitude as u64)
    };
    unfit(value, 0, &magnitude)
}

/// Why a value of which numbers have these magnitudes, if they are integers, cannot be kept.
fn unfit(value: &Value, depth: usize, magnitude: &dyn Fn(&Number) -> Option<u64>) -> Option<String> {
    if depth > PAYLOAD_DEPTH {
        return Some(format!("nested deeper than {PAYLOAD_DEPTH} levels"));
    }
    match value {
        Value::Number(number) => magnitude(number)
            .filter(|magnitude| *magnitude > SAFE_INTEGER)
            .map(|_| format!("integer {number} is beyond 2^53 - 1: send it as a string")),
        Value::Array(items) => items.iter().find_map(|item| unfit(item, depth + 1, magnitude)),
        Value::Object(fields) => {
            fields.iter().find_map(|(key, item)| reserved(key).or_else(|| unfit(item, depth + 1, magnitude)))
        }
        _ => None,
    }
}

/// The canonical form of a value, RFC 8785. Integers must be at most 2^53 - 1.
///
/// # Errors
/// `Internal` for a value that JSON cannot express (a map with keys that are not strings).
pub fn canonical(value: &impl Serialize) -> Result<Vec<u8>> {
    let plain = crate::canonical::to_vec(value);
    plain
        .and_then(|plain| plain.map_or_else(|| serde_json_canonicalizer::to_vec(value), Ok))
        .map_err(|error| Error::internal(format!("a value has no canonical JSON: {error}")))
}

/// Whether the canonical form of a value has at most this many bytes.
#[must_use]
pub fn fits(value: &Value, bytes: usize) -> bool {
    /// What is left after a bound on the value's bytes that is quick to know.
    fn left(value: &Value, bytes: usize) -> Option<usize> {
        // An escaped character has at most six bytes; a number at most twenty-five.
        let text = |text: &str, bytes: usize| bytes.checked_sub(6 * text.len() + 2);
        match value {
            Value::Null | Value::Bool(_) => bytes.checked_sub(5),
            Value::Number(_) => bytes.checked_sub(25),
            Value::String(string) => text(string, bytes),
            Value::Array(items) => {
                items.iter().try_fold(bytes.checked_sub(2)?, |bytes, item| left(item, bytes.checked_sub(1)?))
            }
            Value::Object(fields) => fields
                .iter()
                .try_fold(bytes.checked_sub(2)?, |bytes, (key, item)| left(item, text(key, bytes.checked_sub(2)?)?)),
        }
    }
    left(value, bytes).is_some() || canonical(value).is_ok_and(|text| text.len() <= bytes)
}

/// The value that its canonical form reads back as: RFC 8785 knows only doubles, so `1.0`
/// and `1` are one number, and integers beyond 2^53 are rounded.
#[must_use]
pub fn normal(mut value: Value) -> Value {
    fn each(value: &mut Value) {
        match value {
            Value::Number(number) if !is_small(number) => {
                if let Ok(read) = canonical(number)
                    .and_then(|text| serde_json::from_slice(&text).map_err(|error| Error::internal(error.to_string())))
                {
                    *number = read;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(each),
            Value::Object(fields) => fields.values_mut().for_each(each),
            _ => {}
        }
    }
    fn is_small(number: &Number) -> bool {
        number.as_i64().is_some_and(|number| number.unsigned_abs() <= crate::canonical::EXACT)
    }
    each(&mut value);
    value
}

/// What kinds of values stand where, without the values: `{"to": ["a@b.example"], "cc": null}` becomes
/// `{"to": ["string"], "cc": "null"}`. The names of members stay. Text that holds JSON, as a model
/// writes arguments, has the shape of what it holds.
#[must_use]
pub fn shape(value: &Value) -> Value {
    fn each(value: &Value) -> Value {
        match value {
            Value::Null => "null".into(),
            Value::Bool(_) => "boolean".into(),
            Value::Number(_) => "number".into(),
            Value::String(_) => "string".into(),
            Value::Array(items) => items.iter().map(each).collect(),
            Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), each(value))).collect(),
        }
    }
    let written = value.as_str().and_then(|text| parse(text.as_bytes(), &Bounds::default()).ok());
    each(written.as_ref().unwrap_or(value))
}

/// Nested arrays and objects of a value that is in memory already.
#[must_use]
pub fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

struct Bounded<'a> {
    depth: usize,
    bounds: &'a Bounds,
    /// Whether integers beyond 2^53 - 1 become texts.
    tells: bool,
    left: &'a mut usize,
}

impl Bounded<'_> {
    fn descend<E: serde::de::Error>(&mut self) -> Result<Bounded<'_>, E> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Bounded { depth, bounds: self.bounds, tells: self.tells, left: self.left }),
            None => Err(E::custom(format!("nested deeper than {} levels", self.bounds.depth))),
        }
    }

    fn integer<E: serde::de::Error>(&self, size: u64, value: impl Into<Number> + fmt::Display) -> Result<Value, E> {
        match size > SAFE_INTEGER {
            false => Ok(Value::Number(value.into())),
            true if self.tells => Ok(Value::String(value.to_string())),
            true => Err(E::custom(format!("integer {value} is beyond 2^53 - 1: send it as a string"))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        match self.left.checked_sub(1) {
            Some(left) => *self.left = left,
            None => return Err(D::Error::custom(format!("more than {} values", self.bounds.values))),
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        self.integer(value.unsigned_abs(), value)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        self.integer(value, value)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        // Minus zero has no canonical form of its own: RFC 8785 writes it as 0.
        let value = if value == 0.0 { 0.0 } else { value };
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number is out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Value, A::Error> {
        let mut out = Vec::new();
        while let Some(item) = items.next_element_seed(self.descend()?)? {
            out.push(item);
        }
        Ok(Value::Array(out))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut fields: A) -> Result<Value, A::Error> {
        let mut out = Map::new();
        while let Some(key) = fields.next_key::<String>()? {
            if out.contains_key(&key) {
                return Err(A::Error::custom(format!("duplicate key {key:?}")));
            }
            if let Some(why) = reserved(&key) {
                return Err(A::Error::custom(why));
            }
            let value = fields.next_value_seed(self.descend()?)?;
            out.insert(key, value);
        }
        Ok(Value::Object(out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn refused(text: &str) -> String {
        parse(text.as_bytes(), &Bounds::default()).unwrap_err().to_string()
    }

    #[test]
    fn hostile_documents_are_refused_by_name() {
        assert!(refused(r#"{"a":1,"b":{"c":1,"c":2}}"#).contains("duplicate key \"c\""));
        assert!(refused(&"[".repeat(64)).contains("nested deeper than 32"));
        assert!(refused(r#"{"a":1e400}"#).contains("out of range"));
        assert!(refused("9007199254740993").contains("send it as a string"));
        assert!(refused(r#""\ud800""#).contains("malformed JSON"));
        assert!(refused("{} {}").contains("trailing"));
        // To serde_json this says `[1]`, and not what stands there.
        let other = r#"{"a":{"$serde_json::private::RawValue":"[1]"}}"#;
        assert!(refused(other).contains("rename it"));
        let mut value = json!({"a": {"b": 1}});
        assert_eq!(unjournalable(&value), None);
        value["a"] = Value::Object([("$serde_json::private::RawValue".to_owned(), json!("[1]"))].into_iter().collect());
        assert!(unjournalable(&value).is_some_and(|why| why.contains("rename it")));
        assert!(parse(b"\"\xff\"", &Bounds::default()).unwrap_err().to_string().contains("offset 1"));
        let few = Bounds { values: 3, ..Bounds::default() };
        assert!(parse(b"[1,2,3]", &few).unwrap_err().to_string().contains("more than 3 values"));
    }

    #[test]
    fn a_shape_has_names_and_no_values() {
        let value = json!({"to": ["a@b.example", 7], "cc": null, "more": {"urgent": true}, "none": []});
        let told = json!({"to": ["string", "number"], "cc": "null", "more": {"urgent": "boolean"}, "none": []});
        assert_eq!(shape(&value), told);
        assert_eq!(shape(&json!(value.to_string())), told);
        assert_eq!(shape(&json!("4711 and no JSON")), json!("string"));
    }

    proptest! {
        #[test]
        fn a_normal_value_is_what_its_canonical_form_reads_back_as(
            double in any::<f64>().prop_filter("JSON has no others", |double| double.is_finite()),
            whole in any::<i64>(),
            large in any::<u64>(),
        ) {
            let value = json!({"a": [double, double.trunc(), f64::from(whole as i32)], "b": {"c": whole, "d": large}});
            let text = canonical(&value).unwrap();
            let read: Value = serde_json::from_slice(&text).unwrap();
            prop_assert_eq!(&normal(value), &read);
            prop_assert_eq!(canonical(&read).unwrap(), text);
            prop_assert_eq!(normal(read.clone()), read);
        }
    }

    #[test]
    fn canonical_form_follows_rfc_8785() {
        // RFC 8785 section 3.2.2, its own example.
        let value =
            json!({"numbers": [333_333_333.333_333_3_f64, 1e30, 4.50, 2e-3, 1e-27], "literals": [null, true, false]});
        let text = String::from_utf8(canonical(&value).unwrap()).unwrap();
        assert_eq!(text, r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27]}"#);
        assert_eq!(canonical(&parse(b"-0.0", &Bounds::default()).unwrap()).unwrap(), b"0");
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_canonical_text_is_a_fixed_point(text in ".{0,200}") {
            if let Ok(value) = parse(text.as_bytes(), &Bounds::default()) {
                let once = canonical(&value).unwrap();
                let again = parse(&once, &Bounds::default()).unwrap();
                prop_assert_eq!(canonical(&again).unwrap(), once);
            }
        }
    }
}
