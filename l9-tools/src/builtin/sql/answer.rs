//! Rows within bounds: what an answer holds, and what becomes of values that JSON has no
//! exact form for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use l9_core::json::SAFE_INTEGER;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

/// Bytes of all values of an answer.
const BYTES: usize = 512 << 10;
/// Values in an answer.
const CELLS: usize = 50_000;
/// Bytes of one value; less where there are many columns, so that a row always fits.
const VALUE_BYTES: usize = 64 << 10;
/// Bytes of a cell beside its value.
const AROUND: usize = 4;

/// A column of an answer.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Column {
    /// Its name.
    pub(super) name: String,
    /// The database's name of its type, in lowercase; empty if it has none
    /// that is known.
    #[serde(rename = "type")]
    pub(super) kind: String,
}

/// What a query gave.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Answer {
    /// The columns, in order.
    columns: Vec<Column>,
    /// The rows; each has one value for each column. Integers of 2^53 and beyond, decimals, dates
    /// and all other types are texts, bytes are base64.
    #[schemars(schema_with = "rows")]
    rows: Vec<Vec<Value>>,
    /// How many rows these are.
    row_count: usize,
    /// Whether there were more rows than these.
    truncated: bool,
    /// How many values were cut because they were too long.
    cut_values: usize,
    #[serde(skip)]
    most: usize,
    #[serde(skip)]
    bytes: usize,
}

fn rows(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "array",
        "items": {"type": "array", "items": {"type": ["null", "boolean", "number", "string"]}}
    })
}

impl Answer {
    /// An answer of at most so many rows.
    pub(super) fn new(columns: Vec<Column>, most: usize) -> Self {
        let most = most.min(CELLS / columns.len().max(1)).max(1);
        Self { columns, rows: Vec::new(), row_count: 0, truncated: false, cut_values: 0, most, bytes: 0 }
    }

    /// The most rows.
    #[cfg(any(test, feature = "postgres"))]
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// The most bytes of one value.
    pub(super) fn value_bytes(&self) -> usize {
        VALUE_BYTES.min(BYTES / self.columns.len().max(1))
    }

    /// Adds a row; says whether more may come.
    pub(super) fn add(&mut self, cells: Vec<Cell>) -> bool {
        let size: usize = cells.iter().map(|cell| cell.size() + AROUND).sum();
        if self.rows.len() == self.most || (self.bytes + size > BYTES && !self.rows.is_empty()) {
            self.truncated = true;
            return false;
        }
        self.bytes += size;
        let most = self.value_bytes();
        let row = cells.into_iter().map(|cell| {
            let (value, cut) = cell.fit(most);
            self.cut_values += usize::from(cut);
            value
        });
        self.rows.push(row.collect());
        self.row_count = self.rows.len();
        true
    }
}

/// A value as the database gave it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Null,
    #[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "SQLite has none"))]
    Flag(bool),
    Integer(i64),
    Real(f64),
    Text(String),
    Bytes(Vec<u8>),
}

impl Cell {
    fn size(&self) -> usize {
        match self {
            Self::Null | Self::Flag(_) => 5,
            Self::Integer(_) | Self::Real(_) => 20,
            Self::Text(text) => text.len().min(VALUE_BYTES),
            Self::Bytes(bytes) => bytes.len().saturating_mul(4) / 3,
        }
        .min(VALUE_BYTES)
    }

    /// As JSON of at most so many bytes, and whether it was cut for that.
    fn fit(self, most: usize) -> (Value, bool) {
        match self {
            Self::Null => (Value::Null, false),
            Self::Flag(flag) => (flag.into(), false),
            Self::Integer(integer) if integer.unsigned_abs() <= SAFE_INTEGER => (integer.into(), false),
            Self::Integer(integer) => (integer.to_string().into(), false),
            Self::Real(real) if real.is_finite() => (real.into(), false),
            Self::Real(real) if real.is_nan() => (json!("NaN"), false),
            Self::Real(real) => (json!(if real > 0.0 { "Infinity" } else { "-Infinity" }), false),
            Self::Text(mut text) => {
                let end = text.floor_char_boundary(most);
                let cut = end < text.len();
                text.truncate(end);
                (text.into(), cut)
            }
            Self::Bytes(bytes) => {
                let end = bytes.len().min(most / 4 * 3);
                (STANDARD.encode(&bytes[..end]).into(), end < bytes.len())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(columns: usize, most: usize) -> Answer {
        let column = || Column { name: "c".into(), kind: String::new() };
        Answer::new(std::iter::repeat_with(column).take(columns).collect(), most)
    }

    #[test]
    fn what_json_cannot_hold_exactly_is_text() {
        let whole = |cell: Cell| cell.fit(100).0;
        assert_eq!(whole(Cell::Integer((1 << 53) - 1)), json!(9_007_199_254_740_991_i64));
        assert_eq!(whole(Cell::Integer(1 << 53)), json!("9007199254740992"));
        assert_eq!(whole(Cell::Integer(i64::MIN)), json!("-9223372036854775808"));
        assert_eq!(whole(Cell::Real(f64::NEG_INFINITY)), json!("-Infinity"));
        assert_eq!(whole(Cell::Real(f64::NAN)), json!("NaN"));
        assert_eq!(whole(Cell::Bytes(vec![0, 255])), json!("AP8="));
    }

    #[test]
    fn long_values_are_cut_between_characters_and_counted() {
        let mut answer = answer(1, 10);
        assert!(answer.add(vec![Cell::Text("ä".repeat(VALUE_BYTES))]));
        assert!(answer.add(vec![Cell::Bytes(vec![7; VALUE_BYTES])]));
        assert_eq!((answer.cut_values, answer.truncated), (2, false));
        let text = answer.rows[0][0].as_str().unwrap();
        assert!(text.len() <= VALUE_BYTES && text.ends_with('ä'), "{}", text.len());
        assert!(answer.rows[1][0].as_str().unwrap().len() <= VALUE_BYTES);
    }

    #[test]
    fn rows_bytes_and_values_have_bounds() {
        let row = || vec![Cell::Integer(1)];
        let mut few = answer(1, 2);
        assert!(few.add(row()) && few.add(row()) && !few.add(row()));
        assert_eq!((few.row_count, few.truncated), (2, true));
        assert_eq!(answer(1_000, 10_000).most(), 50);
        let mut large = answer(1, 10_000);
        while large.add(vec![Cell::Text("x".repeat(50_000))]) {}
        assert!(large.truncated && large.row_count == 10, "{}", large.row_count);
        // One row fits whatever its width.
        let mut wide = answer(1_600, 10);
        assert!(wide.add(vec![Cell::Text("x".repeat(VALUE_BYTES)); 1_600]));
        assert!(serde_json::to_vec(&wide).unwrap().len() < (1 << 20));
    }
}
