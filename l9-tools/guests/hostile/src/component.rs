//! The component's export: misdeeds by name, echo first because benchmarks time it.

mod bindings {
    //! Generated from the WIT world.
    wit_bindgen::generate!({ path: "../../wit", world: "tool" });
}

use std::hint::black_box;

use bindings::l9::tool::host::{self, Level};
use bindings::{Call, Fault, Guest};

use crate::input::{number_field, text_field};

/// 64 KiB, the unit in which wasm memories grow.
const PAGE: usize = 64 * 1024;
const DEFAULT_FLOOD: u64 = 256 * 1024 * 1024;

struct Hostile;

impl Guest for Hostile {
    fn invoke(call: Call) -> Result<String, Fault> {
        match call.tool.as_str() {
            "hostile/echo" => Ok(call.input),
            "hostile/loop" => spin(),
            "hostile/allocate" => allocate(),
            "hostile/flood" => Ok(flood(number_field(&call.input, "bytes").unwrap_or(DEFAULT_FLOOD))),
            "hostile/logflood" => log_flood(),
            "hostile/recurse" => Ok(recurse(black_box(1)).to_string()),
            "hostile/trap" => core::arch::wasm32::unreachable(),
            "hostile/badjson" => Ok("{\"open\": [1, 2,, nan".to_owned()),
            "hostile/fault" => {
                Err(Fault::Failed(text_field(&call.input, "message").unwrap_or_else(|| "asked to fail".to_owned())))
            }
            "hostile/random" => Ok(random(number_field(&call.input, "len").unwrap_or(16))),
            other => Err(Fault::InvalidInput(format!("no tool named {other:?} in this component"))),
        }
    }
}

bindings::export!(Hostile with_types_in bindings);

/// Never returns and calls nothing: only fuel or an epoch ends it.
fn spin() -> ! {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

/// Takes memory and writes to every page, so that it is really used.
fn allocate() -> ! {
    let mut hoard: Vec<Vec<u8>> = Vec::new();
    loop {
        let mut block = vec![0_u8; 16 * PAGE];
        for page in block.chunks_mut(PAGE) {
            page[0] = 1;
        }
        hoard.push(black_box(block));
    }
}

/// A JSON string of `bytes` bytes, quotes included, grown piece by piece.
fn flood(bytes: u64) -> String {
    let wanted = usize::try_from(bytes).unwrap_or(usize::MAX).max(2);
    let mut text = String::from("\"");
    while text.len() < wanted - 1 {
        let piece = (wanted - 1 - text.len()).min(PAGE);
        text.extend(std::iter::repeat_n('x', piece));
    }
    text.push('"');
    text
}

fn log_flood() -> ! {
    let line = "flood\r\n\u{1b}[31m{\"level\":\"forged\"}".repeat(64);
    loop {
        host::log(Level::Error, &line);
    }
}

/// Runs down the stack: the frame is too large and too used to be optimised away.
#[expect(unconditional_recursion, reason = "running out of stack is this tool's purpose")]
fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 32]);
    recurse(black_box(depth + 1)).wrapping_add(frame[(depth % 32) as usize])
}

/// Random bytes as hex with two readings of the clock, to show both imports at work.
fn random(len: u64) -> String {
    let before = host::now_ms();
    let bytes = host::random(u32::try_from(len).unwrap_or(u32::MAX));
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{{\"after_ms\":{},\"before_ms\":{before},\"random\":\"{hex}\"}}", host::now_ms())
}
