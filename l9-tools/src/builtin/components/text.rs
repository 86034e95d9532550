//! `text/extract`, `text/split` and `text/diff`.

use l9_core::tool::Limits;
use semver::Version;
use serde_json::json;

use super::embedded::{Asks, Embedded, small};

/// 1.0.1 ran out of fuel over two texts with many different lines.
const VERSION: Version = Version::new(1, 0, 2);

pub(super) const TEXT: &[u8] = include_bytes!("../../../guests/dist/text.wasm");

pub(super) fn extract() -> Embedded {
    let (source, position) = (json!({"type": "string"}), json!({"type": "string"}));
    Embedded {
        id: "text/extract",
        version: VERSION,
        title: "Extract answers",
        description: "Picks the sentences of some passages that best answer a question, as exact quotes with their \
                      source. Use it on the passages that memory/search returned. Deterministic; quotes nothing \
                      when nothing fits.",
        component: TEXT,
        input: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["query", "passages"],
            "properties": {
                "query": {"type": "string", "minLength": 1, "maxLength": 10_000, "description": "the question"},
                "passages": {
                    "type": "array", "maxItems": 1_000,
                    "items": {
                        "type": "object",
                        "additionalProperties": false,
                        "required": ["source", "position", "text"],
                        "properties": {"source": source, "position": position, "text": {"type": "string"}}
                    }
                },
                "max": {"type": "integer", "minimum": 1, "maximum": 50, "default": 3, "description": "the most quotes"}
            }
        }),
        output: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["quotes"],
            "properties": {
                "quotes": {
                    "type": "array", "maxItems": 50,
                    "items": {
                        "type": "object",
                        "additionalProperties": false,
                        "required": ["position", "quote", "score", "source"],
                        "properties": {
                            "source": source,
                            "position": position,
                            "quote": {"type": "string", "description": "word for word from the passage"},
                            "score": {"type": "number", "minimum": 0, "maximum": 1}
                        }
                    }
                }
            }
        }),
        limits: Limits { fuel: 5_000_000_000, wall_ms: 10_000, input_bytes: 2 << 20, depth: 6, ..small() },
        asks: Asks::Nothing,
        args: &[],
    }
}

pub(super) fn split() -> Embedded {
    Embedded {
        id: "text/split",
        version: VERSION,
        title: "Split text",
        description: "Cuts a text into parts of at most so many characters at the best places: between paragraphs, \
                      else sentences, else words. Every part is an exact slice, with its byte offsets.",
        component: TEXT,
        input: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["text", "max_chars"],
            "properties": {
                "text": {"type": "string"},
                "max_chars": {"type": "integer", "minimum": 1, "maximum": 1_000_000, "description": "characters of a part"}
            }
        }),
        output: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["parts"],
            "properties": {
                "parts": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "additionalProperties": false,
                        "required": ["end", "start", "text"],
                        "properties": {
                            "start": {"type": "integer", "minimum": 0},
                            "end": {"type": "integer", "minimum": 0},
                            "text": {"type": "string"}
                        }
                    }
                }
            }
        }),
        limits: Limits { fuel: 5_000_000_000, wall_ms: 10_000, depth: 4, output_bytes: 4 << 20, ..small() },
        asks: Asks::Nothing,
        args: &[],
    }
}

pub(super) fn diff() -> Embedded {
    Embedded {
        id: "text/diff",
        version: VERSION,
        title: "Compare texts",
        description: "Compares two texts line by line and returns the difference in unified format, with the numbers \
                      of added and removed lines: the fewest there can be where few lines differ. Empty when the texts \
                      are equal.",
        component: TEXT,
        input: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["before", "after"],
            "properties": {
                "before": {"type": "string"},
                "after": {"type": "string"},
                "context": {
                    "type": "integer", "minimum": 0, "maximum": 1_000, "default": 3,
                    "description": "unchanged lines around a change"
                }
            }
        }),
        output: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["added", "removed", "unified"],
            "properties": {
                "added": {"type": "integer", "minimum": 0},
                "removed": {"type": "integer", "minimum": 0},
                "unified": {"type": "string"}
            }
        }),
        limits: Limits { fuel: 5_000_000_000, wall_ms: 10_000, depth: 2, output_bytes: 4 << 20, ..small() },
        asks: Asks::Nothing,
        args: &[],
    }
}
