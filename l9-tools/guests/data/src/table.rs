//! Reading rows: every fault names the row and the mend.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::value::Cell;

/// Columns of a table.
const COLUMNS: usize = 1_000;

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    /// Comma-separated values with a header (RFC 4180).
    Csv,
    /// One JSON object a line.
    Jsonl,
    /// A JSON array of objects.
    Json,
}

/// Rows under named columns; every row has a value for each.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(crate) fn read(text: &str, format: Format, delimiter: u8) -> Result<Self, String> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        match format {
            Format::Csv => Self::csv(text, delimiter),
            Format::Jsonl => {
                let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
                let objects = lines.map(|(at, line)| {
                    serde_json::from_str(line).map_err(|error| format!("line {at} is no JSON object: {error}"))
                });
                Self::objects(objects)
            }
            Format::Json => {
                let objects: Vec<Map<String, Value>> =
                    serde_json::from_str(text).map_err(|error| format!("text is no JSON array of objects: {error}"))?;
                Self::objects(objects.into_iter().map(Ok))
            }
        }
    }

    /// Where a column stands.
    pub(crate) fn column(&self, name: &str) -> Result<usize, String> {
        self.columns.iter().position(|column| column == name).ok_or_else(|| {
            // With quotes, for a name may begin with a space or hold a comma.
            let known: Vec<String> = self.columns.iter().take(50).map(|name| format!("{name:?}")).collect();
            format!("there is no column {name:?}: there are {}", known.join(", "))
        })
    }

    fn csv(text: &str, delimiter: u8) -> Result<Self, String> {
        if let Some(line) = open_quote(text, delimiter) {
            return Err(format!("the quote that opens in line {line} is never closed: close it, or double it"));
        }
        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(text.as_bytes());
        let header = reader.headers().map_err(|error| format!("the header cannot be read: {error}"))?.clone();
        if header.len() > COLUMNS {
            return Err(too_many());
        }
        let mut table = Self::default();
        for name in named(&header) {
            table.add_column(&name)?;
        }
        for (at, record) in (1..).zip(reader.records()) {
            let record = record.map_err(|error| unreadable(at, &error))?;
            table.rows.push(record.iter().map(Cell::field).collect());
        }
        Ok(table)
    }

    /// Columns are those of all objects, in the order in which they first occur.
    fn objects(objects: impl Iterator<Item = Result<Map<String, Value>, String>>) -> Result<Self, String> {
        let mut table = Self::default();
        for object in objects {
            let mut row = vec![Cell::Empty; table.columns.len()];
            for (name, value) in object? {
                let at = match table.columns.iter().position(|column| *column == name) {
                    Some(at) => at,
                    None => {
                        table.add_column(&name)?;
                        row.push(Cell::Empty);
                        table.columns.len() - 1
                    }
                };
                row[at] = Cell::of(value);
            }
            table.rows.push(row);
        }
        let width = table.columns.len();
        table.rows.iter_mut().for_each(|row| row.resize(width, Cell::Empty));
        Ok(table)
    }

    fn add_column(&mut self, name: &str) -> Result<(), String> {
        if let Some(first) = self.columns.iter().position(|column| column == name) {
            let (first, second) = (first + 1, self.columns.len() + 1);
            return Err(format!("columns {first} and {second} are both named {name:?}: give each a name of its own"));
        }
        if self.columns.len() == COLUMNS {
            return Err(too_many());
        }
        self.columns.push(name.to_owned());
        Ok(())
    }
}

fn unreadable(row: usize, error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let line = pos.as_ref().map_or(0, csv::Position::line);
            format!(
                "row {row}, in line {line}, has {len} fields, and the header {expected_len}: quote a field that holds a delimiter"
            )
        }
        _ => format!("row {row} cannot be read: {error}"),
    }
}

fn too_many() -> String {
    format!("there are more than {COLUMNS} columns: leave some out")
}

/// The names of a header of CSV. A column without one is named by its place, from 1: `column_3`,
/// or `column_3_` where another column has that name.
fn named(header: &csv::StringRecord) -> Vec<String> {
    let by_place = |place: usize| {
        let mut name = format!("column_{place}");
        while header.iter().any(|other| other == name) {
            name.push('_');
        }
        name
    };
    (1..).zip(header).map(|(at, name)| if name.trim().is_empty() { by_place(at) } else { name.to_owned() }).collect()
}

/// The line, from 1, of a quote that begins a field and is never closed; all behind it would be
/// taken for that field.
fn open_quote(text: &str, delimiter: u8) -> Option<usize> {
    let (mut line, mut begins, mut open) = (1, true, None);
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        match (byte, open) {
            (b'"', Some(_)) if bytes.peek() == Some(&b'"') => drop(bytes.next()),
            (b'"', Some(_)) => open = None,
            (b'"', None) if begins => open = Some(line),
            _ => {}
        }
        begins = open.is_none() && (byte == delimiter || byte == b'\n' || byte == b'\r');
        line += usize::from(byte == b'\n');
    }
    open
}
