//! A unified diff of two texts, line by line (Myers).

use serde::Serialize;
use similar::{Algorithm, ChangeTag, TextDiff};

/// The difference between two texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diff {
    /// Lines only `after` has.
    pub added: usize,
    /// Lines only `before` has.
    pub removed: usize,
    /// The hunks in unified format, headed `--- before` and `+++ after`; empty when equal.
    pub unified: String,
}

/// Compares two texts; each hunk shows `context` unchanged lines around its changes.
pub fn diff(before: &str, after: &str, context: usize) -> Diff {
    // A line ends where `patch` has it end, and at no lone carriage return.
    let split = |text| str::split_inclusive(text, '\n').collect::<Vec<&str>>();
    let (before, after) = (split(before), split(after));
    let lines = TextDiff::configure().algorithm(Algorithm::Myers).newline_terminated(true).diff_slices(&before, &after);
    let count = |tag| lines.iter_all_changes().filter(|change| change.tag() == tag).count();
    Diff {
        added: count(ChangeTag::Insert),
        removed: count(ChangeTag::Delete),
        unified: lines.unified_diff().context_radius(context).header("before", "after").to_string(),
    }
}
