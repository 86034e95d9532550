//! `config.yaml`, read with the line of every value.

use std::fmt;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::Spanned;

use super::problem::Problem;

/// The most bytes of a configuration or profile file.
pub(super) const MOST_BYTES: u64 = 1 << 20;

/// One value of the file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    /// Its keys from the outermost in.
    pub(super) path: Vec<String>,
    /// The line it stands on, from 1.
    pub(super) line: u64,
    /// The value; never an object with keys in it.
    pub(super) value: Value,
}

/// Reads a YAML file into its values, in the order of the file.
pub(super) fn read(path: &Path) -> Result<Vec<Entry>, Problem> {
    parse(&text(path)?).map_err(|error| {
        Problem::new(
            format!("{} is not valid YAML: {error}", path.display()),
            "indent with spaces, write each key once, and quote values with special characters",
        )
    })
}

/// The text of a small file.
pub(super) fn text(path: &Path) -> Result<String, Problem> {
    let unreadable = |why: String| Problem::plain(format!("{} cannot be read: {why}", path.display()));
    let size = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?.len();
    if size > MOST_BYTES {
        return Err(unreadable(format!("it has {size} bytes, and at most {MOST_BYTES} are read")));
    }
    let bytes = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
    String::from_utf8(bytes).map_err(|_| unreadable("it is not UTF-8 text".to_owned()))
}

fn parse(text: &str) -> Result<Vec<Entry>, String> {
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(Vec::new());
    }
    let options = serde_saphyr::options! { with_snippet: false };
    let root: Spanned<Node> = serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())?;
    let mut entries = Vec::new();
    match root.value {
        Node::Keys(keys) => flatten(&mut Vec::new(), keys, &mut entries),
        Node::Value(Value::Null) => {}
        Node::Value(_) => return Err("it must hold keys and values, such as `server:`".to_owned()),
    }
    Ok(entries)
}

fn flatten(path: &mut Vec<String>, keys: Vec<(String, Spanned<Node>)>, entries: &mut Vec<Entry>) {
    for (key, node) in keys {
        path.push(key);
        let line = node.referenced.line();
        match node.value {
            Node::Keys(keys) => flatten(path, keys, entries),
            // A section whose keys are all commented out.
            Node::Value(value) => entries.push(Entry { path: path.clone(), line, value }),
        }
        path.pop();
    }
}

/// A YAML node: keys with their places, or a plain value.
#[derive(Debug)]
enum Node {
    Keys(Vec<(String, Spanned<Node>)>),
    Value(Value),
}

impl Node {
    fn into_value(self) -> Value {
        match self {
            Self::Keys(keys) => keys.into_iter().map(|(key, node)| (key, node.value.into_value())).collect(),
            Self::Value(value) => value,
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut keys = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            keys.push((key, map.next_value::<Spanned<Node>>()?));
        }
        Ok(Node::Keys(keys))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(node) = seq.next_element::<Node>()? {
            items.push(node.into_value());
        }
        Ok(Node::Value(Value::Array(items)))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Value(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Value(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Value(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Value(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Value(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Value(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Value(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_value_has_its_path_and_line() {
        let entries = parse("# comment\nserver:\n  port: 9000\nmodels:\n  openai:\n    model: 'm'\n").unwrap();
        let found: Vec<(String, u64, Value)> =
            entries.into_iter().map(|entry| (entry.path.join("."), entry.line, entry.value)).collect();
        assert_eq!(found, [("server.port".into(), 3, json!(9000)), ("models.openai.model".into(), 6, json!("m"))]);
        assert!(parse("# nothing\n\n").unwrap().is_empty());
        assert!(parse("a: 1\na: 2\n").is_err());
        assert!(parse("just words").is_err());
    }
}
