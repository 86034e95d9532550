//! Conditions: comparisons of references and values, joined by `and` and `or`.
//!
//! `and` binds closer than `or`; `not` stands before one comparison or reference. A reference
//! alone is true unless it is null, false, 0, or an empty text, list or object.

use std::cmp::Ordering;

use l9_core::{Error, Result};
use serde_json::Value;

use super::template::{Ref, Source};

/// A condition: one of the rows must be true in all of its parts.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Condition(Vec<Vec<Test>>);

#[derive(Debug, Clone, PartialEq)]
struct Test {
    not: bool,
    left: Term,
    right: Option<(Comparison, Term)>,
}

#[derive(Debug, Clone, PartialEq)]
enum Term {
    Ref(Ref),
    Value(Value),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    Unequal,
    Less,
    AtMost,
    Greater,
    AtLeast,
    Contains,
}

const COMPARISONS: [(&str, Comparison); 7] = [
    ("==", Comparison::Equal),
    ("!=", Comparison::Unequal),
    ("<=", Comparison::AtMost),
    (">=", Comparison::AtLeast),
    ("<", Comparison::Less),
    (">", Comparison::Greater),
    ("contains", Comparison::Contains),
];

impl Condition {
    /// Reads a condition.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let wrong = |why: String| Error::invalid(format!("{text:?} is no condition: {why}"));
        let tokens = tokens(text).map_err(&wrong)?;
        let mut rows = vec![Vec::new()];
        let mut rest = tokens.as_slice();
        loop {
            let (test, after) = Test::parse(rest).map_err(&wrong)?;
            if let Some(row) = rows.last_mut() {
                row.push(test);
            }
            rest = match after {
                [] => {
                    // Large plans have many of one test each.
                    rows.iter_mut().for_each(Vec::shrink_to_fit);
                    return Ok(Self(rows));
                }
                [Token::Word(word), after @ ..] if word == "and" => after,
                [Token::Word(word), after @ ..] if word == "or" => {
                    rows.push(Vec::new());
                    after
                }
                [other, ..] => return Err(wrong(format!("{} stands where `and` or `or` should", other.shown()))),
            };
        }
    }

    /// Every reference in it.
    pub(super) fn refs(&self) -> impl Iterator<Item = &Ref> {
        self.0
            .iter()
            .flatten()
            .flat_map(|test| [Some(&test.left), test.right.as_ref().map(|(_, term)| term)])
            .flatten()
            .filter_map(|term| match term {
                Term::Ref(one) => Some(one),
                Term::Value(_) => None,
            })
    }

    /// Whether it is true.
    ///
    /// # Errors
    /// `Invalid` for a reference to what is not there, or values that have no order.
    pub(super) fn holds(&self, source: &dyn Source) -> Result<bool> {
        for row in &self.0 {
            let mut all = true;
            for test in row {
                all = all && test.holds(source)?;
            }
            if all {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Test {
    fn parse(tokens: &[Token]) -> Result<(Self, &[Token]), String> {
        let (not, tokens) = match tokens {
            [Token::Word(word), rest @ ..] if word == "not" => (true, rest),
            all => (false, all),
        };
        let (left, rest) = term(tokens)?;
        match rest {
            [Token::Comparison(comparison), rest @ ..] => {
                let (right, rest) = term(rest)?;
                Ok((Self { not, left, right: Some((*comparison, right)) }, rest))
            }
            rest => Ok((Self { not, left, right: None }, rest)),
        }
    }

    fn holds(&self, source: &dyn Source) -> Result<bool> {
        let left = self.left.value(source)?;
        let holds = match &self.right {
            None => is_true(&left),
            Some((comparison, right)) => compare(&left, *comparison, &right.value(source)?)?,
        };
        Ok(holds != self.not)
    }
}

impl Term {
    fn value(&self, source: &dyn Source) -> Result<Value> {
        match self {
            Self::Ref(one) => one.resolve(source),
            Self::Value(value) => Ok(value.clone()),
        }
    }
}

fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(values) => !values.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

fn compare(left: &Value, comparison: Comparison, right: &Value) -> Result<bool> {
    let same = || match (left.as_f64(), right.as_f64()) {
        (Some(left), Some(right)) => left.total_cmp(&right) == Ordering::Equal || left == right,
        _ => left == right,
    };
    let order = || match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.as_f64().partial_cmp(&right.as_f64()),
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        _ => None,
    };
    let ordered = |holds: fn(Ordering) -> bool| {
        order().map(holds).ok_or_else(|| {
            Error::invalid(format!("{left} and {right} have no order: compare two numbers or two texts"))
        })
    };
    match comparison {
        Comparison::Equal => Ok(same()),
        Comparison::Unequal => Ok(!same()),
        Comparison::Less => ordered(Ordering::is_lt),
        Comparison::AtMost => ordered(Ordering::is_le),
        Comparison::Greater => ordered(Ordering::is_gt),
        Comparison::AtLeast => ordered(Ordering::is_ge),
        Comparison::Contains => match (left, right) {
            (Value::String(text), Value::String(part)) => Ok(text.contains(part.as_str())),
            (Value::Array(values), value) => Ok(values.contains(value)),
            _ => Err(Error::invalid(format!("{left} contains nothing: it is no text and no list"))),
        },
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Ref(Ref),
    Value(Value),
    Comparison(Comparison),
    Word(String),
}

impl Token {
    fn shown(&self) -> String {
        match self {
            Self::Ref(one) => one.to_string(),
            Self::Value(value) => value.to_string(),
            Self::Comparison(comparison) => {
                COMPARISONS.iter().find(|(_, known)| known == comparison).map_or("", |(text, _)| text).to_owned()
            }
            Self::Word(word) => word.clone(),
        }
    }
}

fn term(tokens: &[Token]) -> Result<(Term, &[Token]), String> {
    match tokens {
        [Token::Ref(one), rest @ ..] => Ok((Term::Ref(one.clone()), rest)),
        [Token::Value(value), rest @ ..] => Ok((Term::Value(value.clone()), rest)),
        [other, ..] => Err(format!("{} stands where a value should: texts stand in quotes", other.shown())),
        [] => Err("a value is missing".to_owned()),
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let after = if let Some(inner) = rest.strip_prefix("${") {
            let (inner, after) = inner.split_once('}').ok_or("a ${ has no }")?;
            tokens.push(Token::Ref(Ref::parse(inner.trim()).map_err(|error| error.message().to_owned())?));
            after
        } else if let Some((sign, comparison)) = COMPARISONS.iter().find(|(sign, _)| rest.starts_with(sign)) {
            tokens.push(Token::Comparison(*comparison));
            &rest[sign.len()..]
        } else if rest.starts_with(['"', '\'']) {
            let quote = &rest[..1];
            let (inner, after) = rest[1..].split_once(quote).ok_or("a quote is not closed")?;
            tokens.push(Token::Value(Value::String(inner.to_owned())));
            after
        } else {
            let end = rest.find(|c: char| c.is_whitespace() || "=!<>".contains(c)).unwrap_or(rest.len());
            if end == 0 {
                return Err(format!("{:?} is no comparison", &rest[..1]));
            }
            let word = &rest[..end];
            tokens.push(match word {
                "and" | "or" | "not" => Token::Word(word.to_owned()),
                "true" | "false" | "null" => Token::Value(serde_json::from_str(word).unwrap_or(Value::Null)),
                word => match serde_json::from_str(word) {
                    Ok(value @ Value::Number(_)) => Token::Value(value),
                    _ => {
                        return Err(format!(
                            "{word:?} is no value: write texts in quotes and references as ${{node.field}}"
                        ));
                    }
                },
            });
            &rest[end..]
        };
        rest = after.trim_start();
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use serde_json::json;

    use super::super::template::Root;
    use super::*;

    struct Fixed;

    impl Source for Fixed {
        fn root(&self, _: &Root) -> Cow<'_, Value> {
            Cow::Owned(json!({"n": 3, "word": "ready", "list": ["a", 2], "none": null, "deep": [{"x": 1.5}]}))
        }
    }

    #[test]
    fn conditions_hold_as_written() {
        for (text, holds) in [
            ("${t.n} == 3", true),
            ("${t.n} == 3.0", true),
            ("${t.n}>=4", false),
            ("${t.word} == 'ready' and ${t.n} < 4", true),
            ("${t.word} == \"done\" or ${t.n} < 4", true),
            ("${t.n} < 2 and ${t.n} > 0 or ${t.deep[0].x} == 1.5", true),
            ("not ${t.none}", true),
            ("not ${t.n} != 3", true),
            ("${t.list} contains 2", true),
            ("${t.word} contains 'ead'", true),
            ("true", true),
            ("${t.none} == null", true),
        ] {
            assert_eq!(Condition::parse(text).unwrap().holds(&Fixed).unwrap(), holds, "{text}");
        }
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for bad in ["", "${t.n} ==", "== 3", "${t.n} = 3", "${t.n} 3", "ready", "'open", "${t.n} == 3 and", "${t"] {
            assert!(Condition::parse(bad).is_err(), "{bad}");
        }
        assert!(Condition::parse("${t.word} < 3").unwrap().holds(&Fixed).is_err());
    }
}
