//! Packs a core module as a component of the world `l9:tool/tool` and prints what it imports and exports.
//!
//! `componentize WIT_DIR CORE OUT`, where CORE is a `.wasm` built with wit-bindgen or a `.wat`
//! written by hand against the canonical ABI. Build-time only: nothing of L9 links to it.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use wasm_encoder::Encode;
use wasmparser::{Parser, Payload, Validator, WasmFeatures};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const WORLD: &str = "tool";

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [wit, core, out] = arguments.as_slice() else {
        eprintln!("usage: componentize WIT_DIR CORE.(wasm|wat) OUT.wasm");
        return ExitCode::from(2);
    };
    match pack(wit, core, out) {
        Ok(report) => {
            print!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("componentize: {}: {error}", core.display());
            ExitCode::FAILURE
        }
    }
}

/// Writes the component and returns a report of its size, imports and exports.
fn pack(wit: &Path, core: &Path, out: &Path) -> Result<String, Box<dyn Error>> {
    let mut module = wat::parse_file(core)?;
    if core.extension().is_some_and(|extension| extension == "wat") {
        let mut resolve = Resolve::default();
        let (package, _) = resolve.push_path(wit)?;
        let world = resolve.select_world(&[package], Some(WORLD))?;
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    }
    let component = ComponentEncoder::default().module(&module)?.validate(true).encode()?;
    let component = without_custom_sections(&component)?;
    Validator::new_with_features(WasmFeatures::default()).validate_all(&component)?;
    std::fs::write(out, &component)?;
    describe(out, &component)
}

/// Drops names and producer notes: they say which machine built the file, not what it does.
/// Only the outermost component is rewritten; core modules are stripped by the linker.
fn without_custom_sections(component: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut kept = component.get(..8).ok_or("shorter than a header")?.to_vec();
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload?;
        let whole = match &payload {
            Payload::ModuleSection { unchecked_range, .. } | Payload::ComponentSection { unchecked_range, .. } => {
                if depth == 0 {
                    append(&mut kept, payload.as_section().ok_or("no section id")?.0, component, unchecked_range);
                }
                depth += 1;
                continue;
            }
            Payload::End(_) if depth > 0 => {
                depth -= 1;
                continue;
            }
            other => other,
        };
        if depth > 0 || matches!(whole, Payload::CustomSection(_)) {
            continue;
        }
        if let Some((id, range)) = whole.as_section() {
            append(&mut kept, id, component, &range);
        }
    }
    Ok(kept)
}

fn append(out: &mut Vec<u8>, id: u8, component: &[u8], range: &std::ops::Range<usize>) {
    out.push(id);
    component[range.clone()].encode(out);
}

/// The lines a person wants after packing: what goes in, what comes out, how big.
fn describe(out: &Path, component: &[u8]) -> Result<String, Box<dyn Error>> {
    use std::fmt::Write;
    let mut report = String::new();
    writeln!(report, "{}: {} bytes", out.display(), component.len())?;
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(component) {
        match payload? {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(imports) if depth == 1 => {
                for import in imports {
                    writeln!(report, "  import {}", import?.name.name)?;
                }
            }
            Payload::ComponentExportSection(exports) if depth == 1 => {
                for export in exports {
                    writeln!(report, "  export {}", export?.name.name)?;
                }
            }
            _ => {}
        }
    }
    Ok(report)
}
