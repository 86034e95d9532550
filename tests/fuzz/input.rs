//! Arguments of calls, checked against a schema.

use std::sync::{Arc, LazyLock};

use l9::json::{Bounds, canonical, normal, parse};
use l9::registry::Registry;
use l9::tool::{Tool, ToolRegistry as _};
use l9::{TenantId, ToolId, native};
use proptest::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::change::{JSON, changed, changes};

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Mail {
    to: Vec<String>,
    urgent: Option<bool>,
    copies: u8,
    kind: Kind,
    parts: Vec<Part>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Letter,
    Card,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Part {
    name: String,
    size: i32,
}

static TOOL: LazyLock<Arc<Tool>> = LazyLock::new(|| {
    let tool = native::tool("mail/send", "1.0.0", "Sends mail.").handler(|_, _: Mail| async { Ok(json!(null)) });
    let registry = Registry::default();
    registry.register_native(tool).unwrap();
    registry.resolve(&TenantId::default_tenant(), &ToolId::new("mail/send").unwrap()).unwrap()
});

const SOUND: &str = r#"{"to": ["ada@orchard.example", "lin"], "urgent": true, "copies": 2, "kind": "card",
    "parts": [{"name": "a", "size": -3}, {"name": "b", "size": 7}]}"#;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    /// What the schema lets through is what the tool's own type takes, and nothing of it is
    /// lost on the way through the journal's form.
    #[test]
    fn what_the_schema_takes_the_tool_takes(changes in changes()) {
        let text = changed(SOUND.as_bytes(), &changes, &JSON);
        let Ok(value) = parse(&text, &Bounds::default()) else { return Ok(()) };
        let kept = canonical(&value).unwrap();
        let value = normal(value);
        prop_assert_eq!(&parse(&kept, &Bounds::default()).unwrap(), &value);
        let violations = TOOL.input.violations(&value);
        match serde_json::from_value::<Mail>(value.clone()) {
            Ok(_) if violations.is_empty() => {}
            Ok(mail) => {
                // The schema may be stricter than the type, which takes `null` for what is left out.
                prop_assert!(value.get("urgent").is_some_and(serde_json::Value::is_null), "{mail:?}: {violations:?}");
            }
            Err(error) => prop_assert!(!violations.is_empty(), "{error}: {value}"),
        }
        prop_assert!(violations.iter().all(|line| !line.chars().any(char::is_control)), "{:?}", violations);
    }
}

#[test]
fn a_number_beyond_its_type_is_refused_by_the_schema() {
    let mut mail: serde_json::Value = serde_json::from_str(SOUND).unwrap();
    for (size, fits) in [(i64::from(i32::MIN), true), (i64::from(i32::MAX), true), (9_007_199_254_743, false)] {
        mail["parts"][0]["size"] = json!(size);
        assert_eq!(TOOL.input.violations(&mail).is_empty(), fits, "{size}");
    }
}
