//! Reading a budget that somebody wrote. What does not fit is told with the value, the
//! unit and the mend, and never rounded or guessed at.

use std::fmt::{self, Display};
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::amounts::{Budget, UNITS};
use crate::json::PAYLOAD_INTEGER;
use crate::{Error, Result};

/// The most characters of a foreign name or value that are shown.
const SHOWN: usize = 40;

/// Why a value is no amount.
pub(super) fn unfit(name: &str, value: impl Display) -> String {
    let unit = UNITS.iter().find_map(|(known, unit)| (*known == name).then_some(*unit)).unwrap_or("units");
    format!(
        "{name} is {value}: write a whole number of {unit}, at most 2^53 - 1 and without quotes, or leave it out for \
         no limit"
    )
}

fn unknown(name: &str, value: impl Display) -> String {
    let units = UNITS.map(|(name, unit)| format!("{name} in {unit}")).join(", ");
    format!("unknown field `{}` with the value {value}: a budget counts {units}", short(name))
}

fn twice(name: &str) -> String {
    format!("{name} stands twice: write it once")
}

fn short(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

impl Budget {
    /// Sets an amount, as it was given under a name.
    fn put(&mut self, name: &str, given: Given) -> Result<(), String> {
        let Some(amount) = self.amount(name) else { return Err(unknown(name, given)) };
        if amount.is_some() {
            return Err(twice(name));
        }
        *amount = match given {
            Given::Nothing => None,
            Given::Whole(whole) => Some(whole),
            other => return Err(unfit(name, other)),
        };
        Ok(())
    }
}

/// `calls=20,micro_usd=50000`, as on a command line.
impl FromStr for Budget {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let mut budget = Self::default();
        for part in text.split(',') {
            let Some((name, value)) = part.split_once('=') else {
                let shown = short(part);
                return Err(Error::invalid(format!(
                    "\"{shown}\" is no amount: write its name and a whole number, such as calls=20"
                )));
            };
            let given = value.trim().parse().map_or_else(|_| Given::Other(short(value)), Given::whole);
            budget.put(name.trim(), given).map_err(Error::invalid)?;
        }
        Ok(budget)
    }
}

/// As it is read; nothing where nothing is limited.
impl Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limited = self.amounts().into_iter().filter_map(|(name, limit)| Some(format!("{name}={}", limit?)));
        f.write_str(&limited.collect::<Vec<_>>().join(","))
    }
}

impl<'de> Deserialize<'de> for Budget {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Amounts)
    }
}

struct Amounts;

impl<'de> Visitor<'de> for Amounts {
    type Value = Budget;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a budget, which is an object such as {\"calls\": 20}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Budget, A::Error> {
        let mut budget = Budget::default();
        while let Some(name) = map.next_key::<String>()? {
            budget.put(&name, map.next_value()?).map_err(A::Error::custom)?;
        }
        Ok(budget)
    }
}

/// What stands where an amount should.
enum Given {
    Nothing,
    Whole(u64),
    /// Anything else, as it is shown.
    Other(String),
}

impl Given {
    fn whole(number: u64) -> Self {
        if number <= PAYLOAD_INTEGER { Self::Whole(number) } else { Self::Other(number.to_string()) }
    }
}

impl Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("null"),
            Self::Whole(number) => number.fmt(f),
            Self::Other(shown) => f.write_str(shown),
        }
    }
}

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Anything)
    }
}

struct Anything;

impl<'de> Visitor<'de> for Anything {
    type Value = Given;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_u64<E>(self, number: u64) -> Result<Given, E> {
        Ok(Given::whole(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Given, E> {
        Ok(u64::try_from(number).map_or_else(|_| Given::Other(number.to_string()), Given::whole))
    }

    fn visit_u128<E>(self, number: u128) -> Result<Given, E> {
        Ok(Given::Other(number.to_string()))
    }

    fn visit_i128<E>(self, number: i128) -> Result<Given, E> {
        Ok(Given::Other(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Given, E> {
        let whole = number.fract() == 0.0 && (0.0..=PAYLOAD_INTEGER as f64).contains(&number);
        Ok(if whole { Given::Whole(number as u64) } else { Given::Other(number.to_string()) })
    }

    fn visit_bool<E>(self, value: bool) -> Result<Given, E> {
        Ok(Given::Other(value.to_string()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Given, E> {
        Ok(Given::Other(format!("\"{}\"", short(text))))
    }

    fn visit_unit<E>(self) -> Result<Given, E> {
        Ok(Given::Nothing)
    }

    fn visit_none<E>(self) -> Result<Given, E> {
        Ok(Given::Nothing)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Given, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Given, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Given::Other("a list".to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Given, A::Error> {
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Given::Other("an object".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_that_does_not_fit_is_told_with_its_value_its_unit_and_the_mend() {
        for (text, parts) in [
            (r#"{"usd":5}"#, ["unknown field `usd` with the value 5", "micro_usd in millionths of a US dollar"]),
            (r#"{"tokens":"5"}"#, ["tokens is \"5\"", "whole number of model tokens"]),
            (r#"{"calls":-1}"#, ["calls is -1", "whole number of calls"]),
            (r#"{"micro_usd":0.5}"#, ["micro_usd is 0.5", "5 dollars are 5000000"]),
            (r#"{"fuel":9007199254740992}"#, ["fuel is 9007199254740992", "at most 2^53 - 1"]),
            (r#"{"calls":[1]}"#, ["calls is a list", "whole number"]),
            (r#"{"calls":{"a":[]}}"#, ["calls is an object", "whole number"]),
            (r#"{"calls":true}"#, ["calls is true", "leave it out for no limit"]),
            (r#"{"calls":1,"calls":2}"#, ["calls stands twice", "once"]),
            ("5", ["expected a budget", "\"calls\": 20"]),
        ] {
            let error = serde_json::from_str::<Budget>(text).unwrap_err().to_string();
            assert!(parts.iter().all(|part| error.contains(part)), "{text}: {error}");
        }
        for (text, parts) in [
            ("usd=5", "unknown field `usd` with the value 5"),
            ("calls=5s", "calls is 5s: write a whole number of calls"),
            ("calls", "\"calls\" is no amount"),
            ("", "is no amount"),
            ("calls=1,calls=1", "stands twice"),
            ("calls=", "calls is : write"),
        ] {
            let error = text.parse::<Budget>().unwrap_err().to_string();
            assert!(error.contains(parts), "{text}: {error}");
        }
    }

    #[test]
    fn every_amount_is_read_under_its_name_and_absent_or_null_is_no_limit() {
        for (name, _) in UNITS {
            let read: Budget = serde_json::from_str(&format!(r#"{{"{name}":7}}"#)).unwrap();
            assert_eq!(read, format!("{name}=7").parse().unwrap());
            assert_eq!(read.to_string(), format!("{name}=7"));
            let limited: Vec<_> = read.amounts().into_iter().filter_map(|(name, limit)| Some((name, limit?))).collect();
            assert_eq!(limited, [(name, 7)]);
            assert_eq!(serde_json::to_string(&read).unwrap(), format!(r#"{{"{name}":7}}"#));
        }
        for text in ["{}", r#"{"calls":null}"#] {
            assert_eq!(serde_json::from_str::<Budget>(text).unwrap(), Budget::default());
        }
        assert_eq!(serde_json::from_str::<Budget>(r#"{"calls":1e3}"#).unwrap().calls, Some(1000));
    }
}
