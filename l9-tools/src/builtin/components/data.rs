//! `data/query`: rows of CSV and JSON.

use l9_core::tool::Limits;
use semver::Version;
use serde_json::json;

use super::embedded::{Asks, Embedded, small};

/// 1.0.1 refused tables in which two columns have no name, and told a word among numbers as
/// the greatest of them.
const VERSION: Version = Version::new(1, 0, 2);

pub(super) const DATA: &[u8] = include_bytes!("../../../guests/dist/data.wasm");

pub(super) fn query() -> Embedded {
    let column = json!({"type": "string", "minLength": 1, "maxLength": 1_000});
    let columns = json!({"type": "array", "maxItems": 1_000, "items": column});
    let value = json!({"type": ["null", "boolean", "number", "string"]});
    Embedded {
        id: "data/query",
        version: VERSION,
        title: "Query data",
        description: "Answers a question about rows of CSV, JSON lines or a JSON array of objects: keeps rows by conditions, \
                      groups them, counts, adds up and averages exactly, orders them, and returns the first ones. Use it \
                      instead of reading tables and adding up yourself. A number as a condition's value compares numbers, \
                      a text compares texts. Sums and means are of numbers, min and max of numbers or of texts, not of both; \
                      what is empty does not count. Returns columns and rows; truncated says that there were more.",
        component: DATA,
        input: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["text", "format"],
            "properties": {
                "text": {"type": "string", "description": "the data itself"},
                "format": {"enum": ["csv", "jsonl", "json"], "description": "csv begins with a header; a column without a name is column_3 by its place"},
                "delimiter": {"type": "string", "minLength": 1, "maxLength": 1, "default": ",", "description": "of csv"},
                "select": {"description": "the columns to return; all if absent", "type": "array", "maxItems": 1_000, "items": column},
                "where": {
                    "type": "array", "maxItems": 50, "description": "conditions, all of which must hold",
                    "items": {
                        "type": "object", "additionalProperties": false, "required": ["column", "is"],
                        "properties": {
                            "column": column,
                            "is": {"enum": ["=", "!=", "<", "<=", ">", ">=", "contains", "empty", "not empty"]},
                            "value": value
                        }
                    }
                },
                "group": {"description": "one row for each of these columns' values", "type": "array", "maxItems": 20, "items": column},
                "aggregate": {
                    "type": "array", "maxItems": 50, "description": "figures of each group, or of all rows",
                    "items": {
                        "type": "object", "additionalProperties": false, "required": ["of"],
                        "properties": {
                            "of": {"enum": ["count", "sum", "min", "max", "mean"]},
                            "column": column,
                            "as": {"type": "string", "minLength": 1, "maxLength": 1_000, "description": "its name in the answer"}
                        }
                    }
                },
                "order": {
                    "type": "array", "maxItems": 20, "description": "by columns of the answer",
                    "items": {
                        "type": "object", "additionalProperties": false, "required": ["column"],
                        "properties": {"column": column, "descending": {"type": "boolean", "default": false}}
                    }
                },
                "limit": {"type": "integer", "minimum": 1, "maximum": 10_000, "default": 100, "description": "the most rows"}
            }
        }),
        output: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["columns", "matched", "read", "row_count", "rows", "truncated"],
            "properties": {
                "columns": columns,
                "rows": {
                    "type": "array",
                    "description": "numbers that are no integers below 2^53 are texts, exactly",
                    "items": {"type": "array", "items": value}
                },
                "row_count": {"type": "integer", "minimum": 0, "description": "rows of the answer"},
                "matched": {"type": "integer", "minimum": 0, "description": "rows that the conditions kept"},
                "read": {"type": "integer", "minimum": 0, "description": "rows of the data"},
                "truncated": {"type": "boolean", "description": "whether there are more rows than these"}
            }
        }),
        limits: Limits {
            fuel: 20_000_000_000,
            wall_ms: 30_000,
            input_bytes: 8 << 20,
            depth: 8,
            output_bytes: 4 << 20,
            ..small()
        },
        asks: Asks::Nothing,
        args: &[],
    }
}
