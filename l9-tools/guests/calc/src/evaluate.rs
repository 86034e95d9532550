//! The tool's border: JSON in, one evaluation, JSON out.

use serde::{Deserialize, Serialize};
use serde_json::Number as JsonNumber;

use crate::error::Error;
use crate::format;
use crate::lexer;
use crate::number::Number;
use crate::parser::Parser;

/// Longest expression that is read, in bytes.
pub(crate) const MAX_EXPRESSION: usize = 4096;
const MAX_SAFE_INTEGER: f64 = 9_007_199_254_740_991.0;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    expression: String,
}

/// The value of an expression.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// The expression as it was read, without surrounding space.
    pub expression: String,
    /// The form for people: `409.5`, `8.0467 km`.
    pub result: String,
    /// The unit of `value`; none for a plain number.
    pub unit: Option<String>,
    /// The number, to the precision of a double.
    pub value: JsonNumber,
}

/// Runs the tool on its JSON input.
///
/// # Errors
/// A sentence for the caller when the input is not the tool's or the expression has no value.
pub fn invoke(tool: &str, input: &str) -> Result<String, String> {
    if tool != "calc/evaluate" {
        return Err(format!("no tool named {tool:?} in this component: it holds calc/evaluate"));
    }
    let input: Input =
        serde_json::from_str(input).map_err(|error| format!("expected {{\"expression\": string}}: {error}"))?;
    let evaluation = evaluate(&input.expression).map_err(|error| error.to_string())?;
    serde_json::to_string(&evaluation).map_err(|error| error.to_string())
}

/// Evaluates one expression.
///
/// # Errors
/// [`Error`] names the character at fault and what was expected there.
pub fn evaluate(expression: &str) -> Result<Evaluation, Error> {
    let text = expression.trim();
    if text.len() > MAX_EXPRESSION {
        let message = format!("the expression is {} bytes long, at most {MAX_EXPRESSION} are read", text.len());
        return Err(Error::at(1, message));
    }
    let tokens = lexer::tokens(text)?;
    let quantity = Parser::new(&tokens).parse()?.for_display();
    let number = format::number(&quantity.value, quantity.converted);
    let unit = quantity.unit_symbol();
    let result = match &unit {
        Some(symbol) if symbol == "%" || symbol == "°" => format!("{number}{symbol}"),
        Some(symbol) => format!("{number} {symbol}"),
        None => number,
    };
    let value = json_number(&quantity.value).ok_or_else(|| Error::at(1, "the result is too large for a number"))?;
    Ok(Evaluation { expression: text.to_owned(), result, unit, value })
}

/// Whole numbers stay whole in JSON as far as a double holds them exactly.
fn json_number(value: &Number) -> Option<JsonNumber> {
    let float = format::to_f64(value);
    if float.fract() == 0.0 && float.abs() <= MAX_SAFE_INTEGER {
        return Some(JsonNumber::from(float as i64));
    }
    JsonNumber::from_f64(float)
}
