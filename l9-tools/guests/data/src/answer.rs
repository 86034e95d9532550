//! What comes out, within bounds.

use serde::Serialize;
use serde_json::Value;

use crate::value::Cell;

/// Bytes of all values of an answer.
const BYTES: usize = 512 << 10;
/// Values in an answer.
const CELLS: usize = 50_000;
/// Bytes of a value beside its text.
const AROUND: usize = 4;

/// The rows that were asked for.
#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    columns: Vec<String>,
    rows: Vec<Vec<Value>>,
    /// Rows of the answer.
    row_count: usize,
    /// Rows that the conditions kept.
    matched: usize,
    /// Rows that were read.
    read: usize,
    /// Whether there are more rows than these.
    truncated: bool,
}

impl Answer {
    pub(crate) fn new(
        columns: Vec<String>,
        rows: Vec<Vec<Cell>>,
        limit: usize,
        (read, matched): (usize, usize),
    ) -> Self {
        let most = limit.min(CELLS / columns.len().max(1));
        let (all, mut bytes) = (rows.len(), 0);
        let shown = rows.into_iter().take(most).map(|row| row.into_iter().map(Cell::shown).collect::<Vec<Value>>());
        let rows: Vec<Vec<Value>> = shown
            .take_while(|row| {
                bytes += row.iter().map(size).sum::<usize>();
                bytes <= BYTES
            })
            .collect();
        Self { columns, row_count: rows.len(), truncated: rows.len() < all, rows, matched, read }
    }
}

fn size(value: &Value) -> usize {
    AROUND + value.as_str().map_or(20, str::len)
}
