//! A unified diff of two texts, line by line.

use std::ops::Range;

use serde::Serialize;

use crate::compare::{Changes, WORK, compare};
use crate::snake::Work;

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

/// Lines of `before`, and the lines of `after` that stand in their place.
type Change = (Range<usize>, Range<usize>);

/// Compares two texts; each hunk shows `context` unchanged lines around its changes.
pub fn diff(before: &str, after: &str, context: usize) -> Diff {
    // A line ends where `patch` has it end, and at no lone carriage return.
    let split = |text| str::split_inclusive(text, '\n').collect::<Vec<&str>>();
    let (before, after) = (split(before), split(after));
    let changes = compare(&before, &after, &mut Work { left: WORK });
    let mut unified = String::new();
    for hunk in changed(&changes).chunk_by(|a, b| b.0.start - a.0.end <= 2 * context) {
        if unified.is_empty() {
            unified.push_str("--- before\n+++ after\n");
        }
        write_hunk(&mut unified, hunk, &before, &after, context);
    }
    let count = |lines: &[bool]| lines.iter().filter(|changed| **changed).count();
    Diff { added: count(&changes.added), removed: count(&changes.removed), unified }
}

/// The changes from the first to the last.
fn changed(changes: &Changes) -> Vec<Change> {
    let Changes { removed, added } = changes;
    let run = |lines: &[bool], from: usize| from + lines[from..].iter().take_while(|changed| **changed).count();
    let (mut found, mut x, mut y) = (Vec::new(), 0, 0);
    while x < removed.len() || y < added.len() {
        let change = (x..run(removed, x), y..run(added, y));
        (x, y) = (change.0.end, change.1.end);
        if change.0.is_empty() && change.1.is_empty() {
            (x, y) = (x + 1, y + 1);
        } else {
            found.push(change);
        }
    }
    found
}

/// Changes that are near each other, and the lines around and between them.
fn write_hunk(unified: &mut String, hunk: &[Change], before: &[&str], after: &[&str], context: usize) {
    let ([(first, first_after), ..], [.., (last, last_after)]) = (hunk, hunk) else { return };
    let lead = context.min(first.start);
    let tail = context.min(before.len() - last.end);
    let (own, its) = (first.start - lead..last.end + tail, first_after.start - lead..last_after.end + tail);
    unified.push_str(&format!("@@ -{} +{} @@\n", place(&own), place(&its)));
    let mut at = own.start;
    for (removed, added) in hunk {
        write_lines(unified, ' ', &before[at..removed.start]);
        write_lines(unified, '-', &before[removed.clone()]);
        write_lines(unified, '+', &after[added.clone()]);
        at = removed.end;
    }
    write_lines(unified, ' ', &before[at..own.end]);
}

fn write_lines(unified: &mut String, sign: char, lines: &[&str]) {
    for line in lines {
        unified.push(sign);
        unified.push_str(line);
        if !line.ends_with('\n') {
            unified.push_str("\n\\ No newline at end of file\n");
        }
    }
}

/// The first line, from 1, and how many; of no lines the one before, and no count of one line.
fn place(lines: &Range<usize>) -> String {
    match lines.len() {
        0 => format!("{},0", lines.start),
        1 => format!("{}", lines.start + 1),
        count => format!("{},{count}", lines.start + 1),
    }
}
