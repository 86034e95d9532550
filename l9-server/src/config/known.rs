//! The keys there are, read from the schema of [`Config`], so that the struct stays the
//! one place where a setting is declared.

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::problem::closest;
use super::sections::Config;

/// The tree of keys.
#[derive(Debug)]
pub(crate) enum Known {
    /// A section with named keys.
    Section(BTreeMap<String, Known>),
    /// A table whose keys are the operator's own.
    Table(Box<Known>),
    /// A value.
    Leaf(Leaf),
}

/// What a value may be.
#[derive(Debug, Clone, Default)]
pub(crate) struct Leaf {
    /// A number.
    pub(crate) number: bool,
    /// `true` or `false`.
    pub(crate) flag: bool,
    /// What it is for.
    pub(crate) description: String,
    /// Whether it is never shown.
    pub(crate) secret: bool,
}

/// Why a path leads nowhere.
#[derive(Debug)]
pub(crate) struct Unknown {
    /// The path up to and including the key that is not known, dotted.
    pub(crate) path: String,
    /// The key that was probably meant, its whole path dotted.
    pub(crate) meant: Option<String>,
}

impl Known {
    /// The keys of [`Config`].
    pub(crate) fn config() -> Self {
        let settings =
            SchemaSettings::draft2020_12().for_deserialize().with(|settings| settings.inline_subschemas = true);
        Self::read(settings.into_generator().into_root_schema_for::<Config>().as_value())
    }

    fn read(schema: &Value) -> Self {
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            return Self::Section(properties.iter().map(|(key, schema)| (key.clone(), Self::read(schema))).collect());
        }
        match schema.get("additionalProperties") {
            Some(inner) if inner.is_object() => Self::Table(Box::new(Self::read(inner))),
            _ => Self::Leaf(Leaf {
                number: allows(schema, "integer") || allows(schema, "number"),
                flag: allows(schema, "boolean"),
                description: schema.get("description").and_then(Value::as_str).unwrap_or_default().to_owned(),
                secret: schema.get("writeOnly") == Some(&Value::Bool(true)),
            }),
        }
    }

    /// What a path leads to. With `fold`, keys of sections match in any case, and what an operator
    /// named is meant in lowercase where it stands in capitals.
    pub(crate) fn find(&self, path: &[String], fold: bool) -> Result<(Vec<String>, &Self), Unknown> {
        let mut at = self;
        let mut exact: Vec<String> = Vec::new();
        for key in path {
            let dotted = |key: &str| exact.iter().map(String::as_str).chain([key]).collect::<Vec<_>>().join(".");
            at = match at {
                Self::Section(keys) => {
                    let found = keys.iter().find(|(name, _)| *name == key || (fold && name.eq_ignore_ascii_case(key)));
                    let Some((name, inner)) = found else {
                        let meant =
                            closest(key, keys.keys().map(String::as_str)).map(dotted).or_else(|| self.elsewhere(key));
                        return Err(Unknown { path: dotted(key), meant });
                    };
                    exact.push(name.clone());
                    inner
                }
                Self::Table(inner) => {
                    let capitals = !key.bytes().any(|byte| byte.is_ascii_lowercase());
                    let names = fold && capitals && matches!(**inner, Self::Section(_));
                    exact.push(if names { key.to_ascii_lowercase() } else { key.clone() });
                    inner
                }
                Self::Leaf(_) => return Err(Unknown { path: dotted(key), meant: None }),
            };
        }
        Ok((exact, at))
    }

    /// The path of a key of that very name somewhere else in the tree.
    fn elsewhere(&self, key: &str) -> Option<String> {
        self.leaves()
            .into_iter()
            .find(|(path, _)| path.last().is_some_and(|last| last == key))
            .map(|(path, _)| path.join("."))
    }

    /// Every value that is not within a table, with its path.
    pub(crate) fn leaves<'a>(&'a self) -> Vec<(Vec<String>, &'a Leaf)> {
        match self {
            Self::Leaf(leaf) => vec![(Vec::new(), leaf)],
            Self::Table(_) => Vec::new(),
            Self::Section(keys) => {
                let below = |(key, inner): (&'a String, &'a Self)| {
                    let key = key.clone();
                    inner.leaves().into_iter().map(move |(path, leaf)| ([vec![key.clone()], path].concat(), leaf))
                };
                keys.iter().flat_map(below).collect()
            }
        }
    }
}

/// Whether a schema, or one of its alternatives, is of a JSON type.
fn allows(schema: &Value, kind: &str) -> bool {
    let named = match schema.get("type") {
        Some(Value::String(name)) => name == kind,
        Some(Value::Array(names)) => names.iter().any(|name| name == kind),
        _ => false,
    };
    let within = |field: &str| {
        schema
            .get(field)
            .and_then(Value::as_array)
            .is_some_and(|schemas| schemas.iter().any(|schema| allows(schema, kind)))
    };
    named || within("anyOf") || within("oneOf")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(dotted: &str) -> Vec<String> {
        dotted.split('.').map(str::to_owned).collect()
    }

    #[test]
    fn the_schema_tells_types_secrets_and_tables() {
        let known = Known::config();
        let leaf = |dotted: &str| match known.find(&path(dotted), false).unwrap().1 {
            Known::Leaf(leaf) => leaf.clone(),
            other => panic!("{dotted} is {other:?}"),
        };
        assert!(leaf("server.port").number);
        assert!(!leaf("server.host").number);
        assert!(leaf("models.openai.api_key").secret);
        assert!(!leaf("models.openai.base_url").secret);
        assert!(leaf("workers.seed").number);
        assert!(leaf("models.openai.prices.any-model.input").number);
        assert!(!leaf("server.port").description.is_empty());
    }

    #[test]
    fn an_unknown_key_comes_with_the_one_that_was_meant() {
        let known = Known::config();
        assert_eq!(known.find(&path("server.prot"), false).unwrap_err().meant.as_deref(), Some("server.port"));
        assert_eq!(known.find(&path("data_dir"), false).unwrap_err().meant.as_deref(), Some("storage.data_dir"));
        assert!(known.find(&path("server.port.x"), false).is_err());
        assert!(known.find(&path("SERVER.PORT"), true).is_ok());
        let found = |dotted: &str| known.find(&path(dotted), true).unwrap().0.join(".");
        assert_eq!(found("MCP.SERVERS.NOTES.COMMAND"), "mcp.servers.notes.command");
        assert_eq!(found("MCP.SERVERS.NOTES.ENV.LANG"), "mcp.servers.notes.env.LANG", "a variable is no name");
    }
}
