//! The words of JSON: every text and number within it, a line each, however it is held.

use std::fmt::{self, Display, Write as _};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};

/// Adds the words of a value.
pub(super) fn of(value: &Value, said: &mut String) {
    // A value reads as what it is.
    _ = Words(said).deserialize(value);
}

/// Adds the words of a plan. One that is large is kept as its text, of which no value is made.
pub(super) fn of_plan(plan: &Value, said: &mut String) {
    match plan {
        // What does not read has no words after that.
        Value::String(text) => _ = Words(said).deserialize(&mut serde_json::Deserializer::from_str(text)),
        plan => of(plan, said),
    }
}

struct Words<'a>(&'a mut String);

impl Words<'_> {
    fn line<E>(self, word: impl Display) -> Result<(), E> {
        // A string takes everything.
        _ = writeln!(self.0, "{word}");
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Words<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Words<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.line(number)
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.line(number)
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        Number::from_f64(number).map_or(Ok(()), |number| self.line(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.line(text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Words(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while fields.next_key::<IgnoredAny>()?.is_some() {
            fields.next_value_seed(Words(self.0))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_plan_has_the_same_words_as_a_value_and_as_its_text() {
        let plan = json!({"a": ["one", 2, -3, 0.5, 1e30, true, null], "key": {"b": "of \"two\"\nlines"}});
        let (mut value, mut text) = (String::new(), String::new());
        of_plan(&plan, &mut value);
        of_plan(&Value::String(plan.to_string()), &mut text);
        assert_eq!(value, "one\n2\n-3\n0.5\n1e+30\nof \"two\"\nlines\n");
        assert_eq!(text, value);
    }
}
