//! The tools' border: JSON in, one of the three tools, JSON out.

use serde::{Deserialize, Serialize};

use crate::extract::{Passage, Quote, extract};
use crate::split::{Part, split};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExtractInput {
    query: String,
    passages: Vec<Passage>,
    #[serde(default = "default_max")]
    max: usize,
}

#[derive(Debug, Serialize)]
struct ExtractOutput {
    quotes: Vec<Quote>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SplitInput {
    text: String,
    max_chars: usize,
}

#[derive(Debug, Serialize)]
struct SplitOutput<'a> {
    parts: Vec<Part<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DiffInput {
    before: String,
    after: String,
    #[serde(default = "default_context")]
    context: usize,
}

fn default_max() -> usize {
    3
}

fn default_context() -> usize {
    3
}

/// Runs the named tool on its JSON input.
///
/// # Errors
/// A sentence for the caller when there is no such tool or the input is not the tool's.
pub fn invoke(tool: &str, input: &str) -> Result<String, String> {
    match tool {
        "text/extract" => {
            let input: ExtractInput = read(input)?;
            write(&ExtractOutput { quotes: extract(&input.query, &input.passages, input.max) })
        }
        "text/split" => {
            let input: SplitInput = read(input)?;
            if input.max_chars == 0 {
                return Err("max_chars is 0: at least 1 character must fit".to_owned());
            }
            write(&SplitOutput { parts: split(&input.text, input.max_chars) })
        }
        "text/diff" => {
            let input: DiffInput = read(input)?;
            write(&crate::diff(&input.before, &input.after, input.context))
        }
        _ => Err(format!("no tool named {tool:?} in this component: it holds text/extract, text/split and text/diff")),
    }
}

fn read<'a, T: Deserialize<'a>>(input: &'a str) -> Result<T, String> {
    serde_json::from_str(input).map_err(|error| format!("the input does not fit the tool: {error}"))
}

fn write<T: Serialize>(output: &T) -> Result<String, String> {
    serde_json::to_string(output).map_err(|error| error.to_string())
}
