//! Values with references in them: `${node.field[0]}` stands for what a node gave, `${input}` for
//! what the plan was given, `${item}` and `${index}` for an element of a list.

use std::borrow::Cow;
use std::fmt;

use l9_core::pointer::segment;
use l9_core::{Error, Result};
use serde_json::{Map, Value};

/// Where a reference begins.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Root {
    /// What the plan was given.
    Input,
    /// The element.
    Item,
    /// The element's place.
    Index,
    /// What a node gave.
    Node(Box<str>),
}

/// A step into a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Into {
    Key(Box<str>),
    Place(usize),
}

/// A reference.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ref {
    pub(super) root: Root,
    pub(super) path: Box<[Into]>,
}

/// A value with references in it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Template {
    /// No reference in it.
    Plain(Value),
    /// A reference alone: the value itself.
    Ref(Ref),
    /// Text around references.
    Text(Box<[Part]>),
    /// A list.
    List(Box<[Template]>),
    /// An object.
    Object(Box<[(Box<str>, Template)]>),
}

/// A part of a text.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Part {
    Plain(Box<str>),
    Ref(Ref),
}

/// Gives the values that references stand for.
pub(super) trait Source {
    /// What a root stands for; null for a node that gave nothing.
    fn root(&self, root: &Root) -> Cow<'_, Value>;
}

impl fmt::Display for Ref {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.root {
            Root::Input => f.write_str("${input")?,
            Root::Item => f.write_str("${item")?,
            Root::Index => f.write_str("${index")?,
            Root::Node(id) => write!(f, "${{{id}")?,
        }
        for step in &self.path {
            match step {
                Into::Key(key) => write!(f, ".{key}")?,
                Into::Place(place) => write!(f, "[{place}]")?,
            }
        }
        f.write_str("}")
    }
}

impl Ref {
    /// Reads what stands between `${` and `}`.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let wrong = |why: &str| Error::invalid(format!("${{{text}}} is no reference: {why}"));
        let end = text.find(['.', '[']).unwrap_or(text.len());
        let (root, mut rest) = text.split_at(end);
        if !is_name(root) {
            return Err(wrong("write ${node}, ${node.field}, ${node.list[0]}, ${input}, ${item} or ${index}"));
        }
        let root = match root {
            "input" => Root::Input,
            "item" => Root::Item,
            "index" => Root::Index,
            id => Root::Node(id.into()),
        };
        let mut path = Vec::new();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('.') {
                let end = after.find(['.', '[']).unwrap_or(after.len());
                if end == 0 {
                    return Err(wrong("a field has no name"));
                }
                path.push(Into::Key(after[..end].into()));
                rest = &after[end..];
            } else {
                let (place, after) = rest[1..].split_once(']').ok_or_else(|| wrong("a [ has no ]"))?;
                path.push(Into::Place(place.parse().map_err(|_| wrong("a place within a list is a number from 0"))?));
                rest = after;
            }
        }
        Ok(Self { root, path: path.into() })
    }

    /// What it stands for.
    pub(super) fn resolve(&self, source: &dyn Source) -> Result<Value> {
        let root = source.root(&self.root);
        let mut at = &*root;
        for step in &self.path {
            let next = match step {
                Into::Key(key) => at.get(&**key),
                Into::Place(place) => at.get(*place),
            };
            at = next.ok_or_else(|| Error::invalid(format!("{self} is not there")))?;
        }
        Ok(at.clone())
    }
}

/// Whether a text can be the id of a node.
pub(super) fn is_name(text: &str) -> bool {
    (1..=100).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

impl Template {
    /// Reads a value. `$${` stands for `${` itself.
    pub(super) fn parse(value: &Value) -> Result<Self> {
        Ok(match value {
            Value::String(text) => Self::text(text)?,
            Value::Array(values) => {
                let parts: Vec<Self> = values.iter().map(Self::parse).collect::<Result<_>>()?;
                if parts.iter().all(|part| matches!(part, Self::Plain(_))) {
                    return Ok(Self::Plain(unescaped(value)));
                }
                Self::List(parts.into())
            }
            Value::Object(fields) => {
                let field = |(key, value): (&String, &Value)| Ok((key.as_str().into(), Self::parse(value)?));
                let parts: Vec<(Box<str>, Self)> = fields.iter().map(field).collect::<Result<_>>()?;
                if parts.iter().all(|(_, part)| matches!(part, Self::Plain(_))) {
                    return Ok(Self::Plain(unescaped(value)));
                }
                Self::Object(parts.into())
            }
            other => Self::Plain(other.clone()),
        })
    }

    fn text(text: &str) -> Result<Self> {
        let parts = parts(text)?;
        Ok(match parts.as_slice() {
            [] => Self::Plain(Value::String(String::new())),
            [Part::Ref(one)] => Self::Ref(one.clone()),
            [Part::Plain(plain)] => Self::Plain(Value::String(plain.to_string())),
            _ => Self::Text(parts.into()),
        })
    }

    /// Every reference in it, with the JSON pointer of the value that it stands in.
    pub(super) fn refs(&self) -> Vec<(String, &Ref)> {
        let mut found = Vec::new();
        self.collect("", &mut found);
        found
    }

    fn collect<'a>(&'a self, at: &str, found: &mut Vec<(String, &'a Ref)>) {
        match self {
            Self::Plain(_) => {}
            Self::Ref(one) => found.push((at.to_owned(), one)),
            Self::Text(parts) => found.extend(parts.iter().filter_map(|part| match part {
                Part::Ref(one) => Some((at.to_owned(), one)),
                Part::Plain(_) => None,
            })),
            Self::List(parts) => {
                parts.iter().enumerate().for_each(|(place, part)| part.collect(&format!("{at}/{place}"), found));
            }
            Self::Object(parts) => {
                parts.iter().for_each(|(key, part)| part.collect(&format!("{at}/{}", segment(key)), found));
            }
        }
    }

    /// The value as far as it is written: null where a reference stands, and no text around one.
    pub(super) fn hollow(&self) -> Value {
        match self {
            Self::Plain(value) => value.clone(),
            Self::Ref(_) => Value::Null,
            Self::Text(_) => Value::String(String::new()),
            Self::List(parts) => parts.iter().map(Self::hollow).collect(),
            Self::Object(fields) => fields.iter().map(|(key, part)| (key.to_string(), part.hollow())).collect(),
        }
    }

    /// The value, each reference replaced by what it stands for.
    pub(super) fn fill(&self, source: &dyn Source) -> Result<Value> {
        Ok(match self {
            Self::Plain(value) => value.clone(),
            Self::Ref(one) => one.resolve(source)?,
            Self::Text(parts) => {
                let mut text = String::new();
                for part in parts {
                    match part {
                        Part::Plain(plain) => text += plain,
                        Part::Ref(one) => match one.resolve(source)? {
                            Value::String(value) => text += &value,
                            value => text += &value.to_string(),
                        },
                    }
                }
                Value::String(text)
            }
            Self::List(parts) => Value::Array(parts.iter().map(|part| part.fill(source)).collect::<Result<_>>()?),
            Self::Object(parts) => {
                let field = |(key, part): &(Box<str>, Self)| Ok((key.to_string(), part.fill(source)?));
                Value::Object(parts.iter().map(field).collect::<Result<Map<_, _>>>()?)
            }
        })
    }
}

/// Splits a text into plain parts and references.
fn parts(text: &str) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    let (mut plain, mut rest) = (String::new(), text);
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            plain += &rest[..at];
            plain.push('{');
            rest = &rest[at + 2..];
            continue;
        }
        plain += &rest[..at];
        let (inner, after) = rest[at + 2..].split_once('}').ok_or_else(|| {
            Error::invalid(format!("a ${{ has no }} in {:?}: write $${{ for the characters", clip(text)))
        })?;
        if !plain.is_empty() {
            parts.push(Part::Plain(std::mem::take(&mut plain).into()));
        }
        parts.push(Part::Ref(Ref::parse(inner.trim())?));
        rest = after;
    }
    plain += rest;
    if !plain.is_empty() {
        parts.push(Part::Plain(plain.into()));
    }
    Ok(parts)
}

fn unescaped(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace("$${", "${")),
        Value::Array(values) => values.iter().map(unescaped).collect(),
        Value::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), unescaped(value))).collect(),
        other => other.clone(),
    }
}

/// What a value is, in words.
pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn clip(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    struct Fixed;

    impl Source for Fixed {
        fn root(&self, root: &Root) -> Cow<'_, Value> {
            Cow::Owned(match root {
                Root::Input => json!({"topic": "tides"}),
                Root::Node(id) if **id == *"fetch" => json!({"items": [{"n": 7}], "title": "Moon"}),
                _ => Value::Null,
            })
        }
    }

    fn fill(value: &Value) -> Value {
        Template::parse(value).unwrap().fill(&Fixed).unwrap()
    }

    #[test]
    fn a_reference_alone_is_the_value_and_within_text_its_words() {
        assert_eq!(fill(&json!("${fetch.items}")), json!([{"n": 7}]));
        assert_eq!(fill(&json!("On ${input.topic}: ${fetch.title}, ${fetch.items[0].n}")), json!("On tides: Moon, 7"));
        assert_eq!(fill(&json!({"a": ["${fetch.items[0].n}", 2], "b": "x"})), json!({"a": [7, 2], "b": "x"}));
    }

    #[test]
    fn two_dollars_stand_for_the_characters() {
        assert_eq!(fill(&json!("$${fetch} costs $5")), json!("${fetch} costs $5"));
        assert_eq!(fill(&json!(["$${x}"])), json!(["${x}"]));
        assert_eq!(fill(&json!({"a": "$${x}"})), json!({"a": "${x}"}));
    }

    #[test]
    fn what_is_no_reference_is_refused_with_the_mend() {
        for bad in ["${", "${}", "${a b}", "${a..b}", "${a[x]}", "${a[0}", "${a.b"] {
            assert!(Template::parse(&json!(bad)).is_err(), "{bad}");
        }
        let missing = Template::parse(&json!("${fetch.none}")).unwrap().fill(&Fixed).unwrap_err();
        assert_eq!(missing.message(), "${fetch.none} is not there");
    }
}
