//! The tool's border: JSON in, JSON out.

use serde::Deserialize;

use crate::reader::read;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    html: String,
    #[serde(default)]
    whole: bool,
}

/// Runs the named tool on its JSON input.
///
/// # Errors
/// A sentence for the caller when there is no such tool or the input is not the tool's.
pub fn invoke(tool: &str, input: &str) -> Result<String, String> {
    if tool != "web/extract" {
        return Err(format!("no tool named {tool:?} in this component: it holds web/extract"));
    }
    let Input { html, whole } =
        serde_json::from_str(input).map_err(|error| format!("the input does not fit the tool: {error}"))?;
    serde_json::to_string(&read(&html, whole)).map_err(|error| error.to_string())
}
