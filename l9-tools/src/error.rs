//! What every sandbox says alike: faults with figures, and the border an output passes.
//!
//! Texts are stable: the same misdeed gives the same words in a seeded run.

use std::fmt;
use std::time::Duration;

use l9_core::json::{self, Bounds};
use l9_core::tool::{Limits, ToolFault};
use serde_json::Value;

/// Values in one output.
const OUTPUT_VALUES: usize = 100_000;

/// The call outlived its wall time, or what was left of its permit.
pub(crate) fn late(limits: &Limits, within: Duration) -> ToolFault {
    let wall = limits.wall();
    // A permit is issued with the same wall time and has lost a little of it by now.
    let limit = if within >= wall - wall / 10 { wall } else { within };
    let limit = Grouped(limit.as_millis().try_into().unwrap_or(u64::MAX));
    ToolFault::new("limit.time", format!("took longer than {limit} ms"))
}

/// The run was cancelled, or its lease lost.
pub(crate) fn cancelled() -> ToolFault {
    ToolFault::new("cancelled", "the call was cancelled")
}

/// An output as JSON, through the same bounds as any foreign JSON.
pub(crate) fn read_output(text: &[u8], limits: &Limits) -> Result<Value, ToolFault> {
    let most = usize::try_from(limits.output_bytes).unwrap_or(usize::MAX);
    if text.len() > most {
        let (bytes, most) = (Grouped(text.len() as u64), Grouped(limits.output_bytes));
        return Err(ToolFault::new("limit.output", format!("the output has {bytes} bytes, over the limit of {most}")));
    }
    let bounds = Bounds { bytes: most, depth: limits.depth as usize, values: OUTPUT_VALUES };
    json::parse(text, &bounds)
        .map_err(|error| ToolFault::new("invalid_output", format!("the tool's output cannot be read: {error}")))
}

/// A figure with its thousands apart: 50,000,000.
pub(crate) struct Grouped(pub(crate) u64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_readable() {
        assert_eq!(Grouped(50_000_000).to_string(), "50,000,000");
        assert_eq!(Grouped(999).to_string(), "999");
    }

    #[test]
    fn a_late_call_is_told_its_own_limit_unless_the_permit_was_much_shorter() {
        let limits = Limits { wall_ms: 2_000, ..Limits::default() };
        assert_eq!(late(&limits, Duration::from_millis(1_990)).message, "took longer than 2,000 ms");
        assert_eq!(late(&limits, Duration::from_millis(500)).message, "took longer than 500 ms");
    }
}
