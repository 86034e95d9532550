//! From what wasmtime reports to the typed fault an agent sees.

use std::fmt;

use l9_core::tool::{Limits, ToolFault};
use wasmtime::Trap;

use crate::error::Grouped;

/// Why the host stopped a guest, carried through wasmtime's own error.
#[derive(Debug)]
pub(super) struct Refusal {
    code: &'static str,
    message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Refusal {}

impl Refusal {
    pub(super) fn memory(wanted: usize, limit: usize) -> Self {
        let message = format!("wanted {} of {}", Bytes(wanted as u64), Bytes(limit as u64));
        Self { code: "limit.memory", message }
    }

    pub(super) fn table(wanted: usize, limit: usize) -> Self {
        let message = format!("wanted {} of {} table elements", Grouped(wanted as u64), Grouped(limit as u64));
        Self { code: "limit.table", message }
    }

    pub(super) fn host_calls(limit: u32) -> Self {
        let message = format!("called the host more than {} times", Grouped(limit.into()));
        Self { code: "limit.host_calls", message }
    }

    pub(super) fn host_call_bytes(limit: u64) -> Self {
        let message = format!("passed more than {} in calls to the host", Bytes(limit));
        Self { code: "limit.host_call_bytes", message }
    }

    pub(super) fn random(wanted: u32, limit: u32) -> Self {
        let (wanted, limit) = (Grouped(wanted.into()), Grouped(limit.into()));
        let message = format!("drew {wanted} random bytes at once, over the limit of {limit}");
        Self { code: "limit.random", message }
    }

    pub(super) fn output(limit: u64) -> Self {
        let message = format!("wrote more than {} of output", Bytes(limit));
        Self { code: "limit.output", message }
    }
}

/// The fault of a call that wasmtime ended.
pub(super) fn of_error(error: &wasmtime::Error, limits: &Limits, fuel: u64) -> ToolFault {
    if let Some(refusal) = error.downcast_ref::<Refusal>() {
        return ToolFault::new(refusal.code, refusal.message.clone());
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => {
            let message = format!("out of fuel: used {} of {}", Grouped(fuel), Grouped(limits.fuel));
            ToolFault::new("limit.fuel", message)
        }
        Some(Trap::StackOverflow) => ToolFault::new("limit.stack", "the call stack is exhausted"),
        Some(trap) => {
            let text = trap.to_string();
            ToolFault::new("trap", text.strip_prefix("wasm trap: ").unwrap_or(&text))
        }
        None => of_message(error, limits),
    }
}

/// Wasmtime's remaining errors have no type of their own.
fn of_message(error: &wasmtime::Error, limits: &Limits) -> ToolFault {
    let text = crate::log::printable(&error.root_cause().to_string(), 400);
    if text.contains("fuel allocated for hostcalls has been exhausted") {
        let message = format!("more than {} crossed to the host at once", Bytes(at_once(limits)));
        return ToolFault::new("limit.output", message);
    }
    if text.contains("resource limit exceeded") {
        return ToolFault::new("limit.instances", text);
    }
    if text.contains("handle limit exceeded") {
        let message = format!("held more than {} handles", Grouped(limits.handles.into()));
        return ToolFault::new("limit.handles", message);
    }
    ToolFault::new("trap", text)
}

/// Bytes that may cross from guest to host in one go: outputs, and what host calls pass.
pub(super) fn at_once(limits: &Limits) -> u64 {
    limits.output_bytes.max(limits.host_call_bytes.min(64 << 10))
}

/// The call never began, so nothing happened.
pub(super) fn not_begun(why: impl fmt::Display) -> ToolFault {
    ToolFault::passing("not_sent", format!("the call never began: {why}"))
}

/// An amount of memory: rounded up to whole MiB or KiB.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes >= 1 << 20 => write!(f, "{} MiB", Grouped(bytes.div_ceil(1 << 20))),
            bytes if bytes >= 1 << 10 => write!(f, "{} KiB", bytes.div_ceil(1 << 10)),
            bytes => write!(f, "{bytes} bytes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_readable() {
        assert_eq!(Refusal::memory((64 << 20) + 65_536, 64 << 20).message, "wanted 65 MiB of 64 MiB");
    }
}
