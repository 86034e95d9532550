//! The web origins whose pages may ask, as `CORS_ORIGINS` lists them.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize};

use crate::config::Problem;

/// Origins, each as browsers send it: `https://console.example.org`; or `*` for any.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Origins(Vec<String>);

impl Origins {
    /// Whether a page of this origin may ask.
    pub(crate) fn allow(&self, origin: &str) -> bool {
        self.is_any() || self.0.iter().any(|listed| listed == origin)
    }

    /// Whether pages of any origin may ask.
    pub(crate) fn is_any(&self) -> bool {
        self.0.iter().any(|listed| listed == "*")
    }

    /// What is no origin.
    pub(crate) fn faults(&self) -> Vec<Problem> {
        let faulty = self.0.iter().filter(|origin| *origin != "*" && !is_origin(origin));
        faulty
            .map(|origin| {
                Problem::new(
                    format!("server.cors_origins names {origin:?}, which is no origin"),
                    "write scheme, host and port only, such as https://console.example.org",
                )
            })
            .collect()
    }
}

fn is_origin(text: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(text) else { return false };
    matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization() == text
}

impl<'de> Deserialize<'de> for Origins {
    /// A list, or one text with commas between.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "origins are a list, or a text with commas between them")]
        enum Form {
            Text(String),
            List(Vec<String>),
        }
        let listed = match Form::deserialize(deserializer)? {
            Form::Text(text) => text.split(',').map(str::to_owned).collect(),
            Form::List(listed) => listed,
        };
        let listed = listed.iter().map(|origin| origin.trim().to_owned());
        Ok(Self(listed.filter(|origin| !origin.is_empty()).collect()))
    }
}

impl JsonSchema for Origins {
    fn schema_name() -> Cow<'static, str> {
        "Origins".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn origins_are_exact_and_come_as_text_or_list() {
        let read = |value: serde_json::Value| serde_json::from_value::<Origins>(value).unwrap();
        let origins = read(json!("https://a.example, http://localhost:3000,"));
        assert_eq!(origins, read(json!(["https://a.example", "http://localhost:3000"])));
        assert!(origins.faults().is_empty() && !origins.is_any());
        assert!(origins.allow("https://a.example"));
        for origin in ["https://a.example:444", "http://a.example", "https://b.a.example", "null", ""] {
            assert!(!origins.allow(origin), "{origin}");
        }
        for origin in
            ["https://a.example/", "a.example", "https://A.example", "https://a.example:443", "ftp://a", "null"]
        {
            assert_eq!(read(json!([origin])).faults().len(), 1, "{origin}");
        }
        assert!(read(json!("*")).allow("https://any.example"));
        assert!(!Origins::default().allow("https://any.example"));
    }
}
