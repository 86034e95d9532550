//! One value of a table: what it is compared as, and what it is shown as.

use bigdecimal::BigDecimal;
use serde_json::Value;

/// Characters of a number; a longer one is a text.
const DIGITS: usize = 400;
/// The greatest power of ten of a number, either way.
const EXPONENT: i64 = 400;
/// Integers beyond it are not exact in every reader of JSON.
const SAFE_INTEGER: u64 = (1 << 53) - 1;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    /// Nothing: null, absent, or an empty field of CSV.
    Empty,
    /// `true` or `false` of JSON.
    Flag(bool),
    /// A number of JSON, as written.
    Number(BigDecimal),
    /// A text; a field of CSV that is a number counts as one where numbers are asked for.
    Text(String),
}

/// What values are ordered by: flags, then numbers by value, then texts by their characters.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ranked<'a> {
    Flag(bool),
    Number(BigDecimal),
    Text(&'a str),
}

impl Ranked<'_> {
    /// What it is, in words.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Flag(_) => "a flag",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
        }
    }
}

impl Cell {
    /// A value of JSON; arrays and objects are their JSON text.
    pub(crate) fn of(value: Value) -> Self {
        match value {
            Value::Null => Self::Empty,
            Value::Bool(flag) => Self::Flag(flag),
            Value::Number(number) => {
                let text = number.to_string();
                number_of(&text).map_or(Self::Text(text), Self::Number)
            }
            Value::String(text) => Self::Text(text),
            nested => Self::Text(nested.to_string()),
        }
    }

    /// A field of CSV.
    pub(crate) fn field(text: &str) -> Self {
        if text.is_empty() { Self::Empty } else { Self::Text(text.to_owned()) }
    }

    /// Its number, if it is one or is written like one.
    pub(crate) fn number(&self) -> Option<BigDecimal> {
        match self {
            Self::Number(number) => Some(number.clone()),
            Self::Text(text) => number_of(text.trim()),
            _ => None,
        }
    }

    /// Its text, if it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::Empty
    }

    /// As JSON: what no reader of JSON is sure to keep exactly is a text.
    pub(crate) fn shown(self) -> Value {
        match self {
            Self::Empty => Value::Null,
            Self::Flag(flag) => flag.into(),
            Self::Text(text) => text.into(),
            Self::Number(number) => {
                let plain = plain(&number);
                match plain.parse::<i64>() {
                    Ok(integer) if integer.unsigned_abs() <= SAFE_INTEGER => integer.into(),
                    _ => plain.into(),
                }
            }
        }
    }

    /// What it is ordered by; nothing has none, and so comes first.
    pub(crate) fn ranked(&self) -> Option<Ranked<'_>> {
        match self {
            Self::Empty => None,
            Self::Flag(flag) => Some(Ranked::Flag(*flag)),
            Self::Number(number) => Some(Ranked::Number(number.clone())),
            Self::Text(text) => Some(self.number().map_or(Ranked::Text(text), Ranked::Number)),
        }
    }

    /// What makes rows one group.
    pub(crate) fn key(&self) -> String {
        match self {
            Self::Empty => "-".to_owned(),
            Self::Flag(flag) => format!("f{flag}"),
            Self::Number(number) => format!("n{}", plain(number)),
            Self::Text(text) => format!("t{text}"),
        }
    }
}

/// Without an exponent and without zeros at the end of a fraction.
pub(crate) fn plain(number: &BigDecimal) -> String {
    let text = number.to_plain_string();
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// A decimal, if the text is one: `-12`, `0.50`, `.5`, `1e3`; no grouping, no currency.
pub(crate) fn number_of(text: &str) -> Option<BigDecimal> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let unsigned = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let some = !whole.is_empty() || !fraction.is_empty();
    let sound = some && digits(whole) && digits(fraction) && text.len() <= DIGITS;
    let near = exponent.parse::<i64>().is_ok_and(|exponent| exponent.abs() <= EXPONENT);
    if sound && near { text.parse().ok() } else { None }
}
