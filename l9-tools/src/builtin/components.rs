//! The built-in wasm tools: their components, embedded, and their manifests.
//!
//! The components are committed with their sources (`guests/`) and hashes; each manifest's
//! hash is taken of the very bytes that are embedded.

use std::sync::Arc;

use l9_core::Result;
use l9_core::digest::sha256;
use l9_core::id::ToolId;
use l9_core::memory::MemoryStore;
use l9_core::tool::{
    Approval, AuditArgs, Determinism, EffectClass, Labels, Limits, Manifest, Module, OutputIntegrity, Runtime,
};
use semver::Version;
use serde_json::{Value, json};

use super::{memory_remember, memory_search, run_delegate, run_wait};
use crate::registry::Registry;
use crate::wasm::{Sandbox, WORLD};

const CALC: &[u8] = include_bytes!("../../guests/dist/calc.wasm");
const TEXT: &[u8] = include_bytes!("../../guests/dist/text.wasm");

/// Registers every built-in tool: `calc/evaluate`, `text/extract`, `text/split`,
/// `text/diff`, `memory/search`, `memory/remember`, `run/wait` and
/// `run/delegate`. Components are compiled at their first call, or come
/// from the sandbox's cache now.
///
/// # Errors
/// `Conflict` when another tool has one of these names, `Exhausted` when the registry is
/// full.
pub fn register_all(registry: &Registry, sandbox: &Sandbox, memory: Arc<dyn MemoryStore>) -> Result<()> {
    for tool in [evaluate(), extract(), split(), diff()] {
        let manifest = tool.manifest()?;
        let guest = sandbox.embed(&manifest, tool.component)?;
        registry.register(manifest, guest)?;
    }
    registry.register_native(memory_search(Arc::clone(&memory)))?;
    registry.register_native(memory_remember(memory))?;
    registry.register_native(run_wait())?;
    registry.register_native(run_delegate())?;
    Ok(())
}

/// What differs between the built-in components' tools; all are pure and deterministic.
struct Embedded {
    id: &'static str,
    title: &'static str,
    description: &'static str,
    component: &'static [u8],
    input: Value,
    output: Value,
    limits: Limits,
}

impl Embedded {
    fn manifest(&self) -> Result<Manifest> {
        Ok(Manifest {
            schema_version: 1,
            id: ToolId::new(self.id)?,
            version: Version::new(1, 0, 0),
            title: self.title.into(),
            description: self.description.into(),
            runtime: Runtime::Wasm {
                module: Module {
                    sha256: sha256(&[self.component]),
                    size: self.component.len() as u64,
                    world: WORLD.into(),
                },
            },
            input_schema: self.input.clone(),
            output_schema: Some(self.output.clone()),
            effect: EffectClass::Pure,
            destructive: false,
            args: Default::default(),
            limits: self.limits.clone(),
            net: Vec::new(),
            fs: Vec::new(),
            kv: None,
            secrets: Vec::new(),
            rate: None,
            // Such an output is made of its input alone, so it is as trusted as that.
            labels: Labels { output_integrity: OutputIntegrity::Trusted, ..Labels::default() },
            approval: Approval::default(),
            determinism: Determinism::Deterministic,
            audit: AuditArgs::default(),
            expires: None,
        })
    }
}

fn evaluate() -> Embedded {
    Embedded {
        id: "calc/evaluate",
        title: "Calculate",
        description: "Evaluates one arithmetic expression exactly: + - * / ^ %, parentheses, functions such as sqrt, \
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
    }
}

fn extract() -> Embedded {
    let (source, position) = (json!({"type": "string"}), json!({"type": "string"}));
    Embedded {
        id: "text/extract",
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
    }
}

fn split() -> Embedded {
    Embedded {
        id: "text/split",
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
    }
}

fn diff() -> Embedded {
    Embedded {
        id: "text/diff",
        title: "Compare texts",
        description: "Compares two texts line by line and returns the difference in unified format, with the numbers \
                      of added and removed lines. Empty when the texts are equal.",
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
    }
}

/// These components call no host function and hold no handles.
fn small() -> Limits {
    Limits { log_bytes: 0, host_calls: 0, host_call_bytes: 0, handles: 0, ..Limits::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_components_are_the_published_ones() {
        let sums = include_str!("../../guests/dist/SHA256SUMS");
        for (name, bytes) in [("calc.wasm", CALC), ("text.wasm", TEXT)] {
            let line = format!("{}  {name}", sha256(&[bytes]));
            assert!(sums.lines().any(|known| known == line), "{name} is not what SHA256SUMS says: {line}");
        }
    }
}
