//! The tool's border: JSON in, JSON out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::document::{Wanted, read};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    pdf: String,
    #[serde(default = "one")]
    first: usize,
    #[serde(default = "hundred")]
    most: usize,
    #[serde(default)]
    whole: bool,
}

fn one() -> usize {
    1
}

fn hundred() -> usize {
    100
}

/// Runs the named tool on its JSON input.
///
/// # Errors
/// A sentence for the caller when there is no such tool, the input is not the tool's, or the
/// bytes are no PDF that can be read.
pub fn invoke(tool: &str, input: &str) -> Result<String, String> {
    if tool != "pdf/extract" {
        return Err(format!("no tool named {tool:?} in this component: it holds pdf/extract"));
    }
    let Input { mut pdf, first, most, whole } =
        serde_json::from_str(input).map_err(|error| format!("the input does not fit the tool: {error}"))?;
    pdf.retain(|character| !character.is_ascii_whitespace());
    let bytes = STANDARD
        .decode(pdf)
        .map_err(|error| format!("pdf is not base64 ({error}): give the file's bytes in standard base64"))?;
    let document = read(bytes, Wanted { first, most, whole })?;
    serde_json::to_string(&document).map_err(|error| error.to_string())
}
