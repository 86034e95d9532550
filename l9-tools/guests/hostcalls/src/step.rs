//! What a test asks for, and what it is told.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The input: what is to be done, in order.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The steps.
    pub steps: Vec<Step>,
    /// What is returned instead of what came of them: the rest of an output that was written.
    #[serde(default)]
    pub last: Option<String>,
}

/// One call of the host, perhaps many times.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The interface and its function: `files.read`.
    pub call: String,
    /// How often; until the first error.
    #[serde(default = "once")]
    pub times: u32,
    /// A mount.
    #[serde(default)]
    pub mount: String,
    /// A path or a key, in which `{n}` stands for the number of the turn.
    #[serde(default)]
    pub path: String,
    /// Where something is renamed to.
    #[serde(default)]
    pub to: String,
    /// What is written.
    #[serde(default)]
    pub text: String,
    /// So many bytes are written instead.
    #[serde(default)]
    pub size: Option<usize>,
    /// Where reading begins.
    #[serde(default)]
    pub offset: u64,
    /// A request: its method; its address is the path.
    #[serde(default)]
    pub method: String,
    /// Its headers.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// The handles of its secrets.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// Whether a body is told letter by letter, as no scanner knows it.
    #[serde(default)]
    pub spelt: bool,
    /// How much is read.
    #[serde(default = "much")]
    pub len: u32,
}

fn once() -> u32 {
    1
}

fn much() -> u32 {
    1 << 20
}

impl Step {
    /// What is written.
    pub fn contents(&self) -> Vec<u8> {
        self.size.map_or_else(|| self.text.clone().into_bytes(), |size| vec![b'x'; size])
    }

    /// The path in a turn.
    pub fn path(&self, turn: u32) -> String {
        self.path.replace("{n}", &turn.to_string())
    }
}

/// What came of a step.
#[derive(Debug, Default, Serialize)]
pub struct Told {
    /// How often it went well.
    pub done: u32,
    /// What the last turn that went well gave.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub gave: Value,
    /// What kind of error ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What it said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_says_what_it_writes_and_where() {
        let input =
            r#"{"steps": [{"call": "files.write", "path": "a{n}", "size": 3}, {"call": "kv.set", "text": "ä"}]}"#;
        let input: Input = serde_json::from_str(input).unwrap();
        assert_eq!((input.steps[0].path(7), input.steps[0].contents()), ("a7".into(), b"xxx".to_vec()));
        assert_eq!((input.steps[1].times, input.steps[1].contents()), (1, "ä".as_bytes().to_vec()));
    }
}
