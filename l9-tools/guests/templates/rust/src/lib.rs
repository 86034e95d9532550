//! A tool for L9: the logic is plain Rust with tests, `component` is the thin shell around it.

#[cfg(target_arch = "wasm32")]
mod component;

use serde::{Deserialize, Serialize};

/// What the tool takes. The manifest's `input_schema` says the same.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Who is greeted.
    pub name: String,
}

/// What the tool gives. The manifest's `output_schema` says the same.
#[derive(Debug, Serialize)]
pub struct Output {
    /// The greeting.
    pub greeting: String,
}

/// The work itself.
///
/// # Errors
/// A sentence for the caller when the name is empty.
pub fn greet(input: &Input) -> Result<Output, String> {
    match input.name.trim_matches(' ') {
        "" => Err("name is empty: give at least one character".to_owned()),
        name => Ok(Output { greeting: format!("Hello, {name}.") }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greets_by_name() {
        let input = Input { name: " Ada ".to_owned() };
        assert_eq!(greet(&input).map(|output| output.greeting).as_deref(), Ok("Hello, Ada."));
        assert!(greet(&Input { name: String::new() }).is_err());
    }
}
