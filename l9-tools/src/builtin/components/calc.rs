//! `calc/evaluate`: arithmetic and units.

use l9_core::tool::Limits;
use semver::Version;
use serde_json::json;

use super::embedded::{Asks, Embedded, small};

/// 1.0.1 took `7 % -3` for 7 percent less 3, without a word.
const VERSION: Version = Version::new(1, 0, 2);

pub(super) const CALC: &[u8] = include_bytes!("../../../guests/dist/calc.wasm");

pub(super) fn evaluate() -> Embedded {
    Embedded {
        id: "calc/evaluate",
        version: VERSION,
        title: "Calculate",
        description: "Evaluates one arithmetic expression, exactly up to 38 digits: + - * / ^ %, parentheses, functions such as sqrt, \
                      round, min and max, percentages (15% of 2730, 200 + 10%), and units with conversion \
                      (5 mi in km, 20 °C in °F). Use it for every calculation instead of computing in your head. \
                      Returns the result for people and the number.",
        component: CALC,
        input: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["expression"],
            "properties": {
                "expression": {
                    "type": "string", "minLength": 1, "maxLength": 4096,
                    "description": "the expression, such as 15% of 2730 or (3 + 4)^2 / 7 or 5 mi in km"
                }
            }
        }),
        output: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["expression", "result", "unit", "value"],
            "properties": {
                "expression": {"type": "string", "description": "the expression as it was read"},
                "result": {"type": "string", "description": "for people, such as 409.5 or 8.0467 km"},
                "unit": {"type": ["string", "null"], "description": "the unit of value"},
                "value": {"type": "number"}
            }
        }),
        limits: Limits {
            memory_bytes: 16 << 20,
            fuel: 200_000_000,
            input_bytes: 32 << 10,
            depth: 4,
            output_bytes: 64 << 10,
            ..small()
        },
        asks: Asks::Nothing,
        args: &[],
    }
}
