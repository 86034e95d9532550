//! Which rows are meant. A condition's value says what it compares: a number with numbers,
//! a text with texts, character by character.

use std::cmp::Ordering;

use serde::Deserialize;
use serde_json::Value;

use crate::table::Table;
use crate::value::Cell;

/// How a value is compared.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) enum Comparison {
    #[serde(rename = "=")]
    Equal,
    #[serde(rename = "!=")]
    Different,
    #[serde(rename = "<")]
    Less,
    #[serde(rename = "<=")]
    AtMost,
    #[serde(rename = ">")]
    Greater,
    #[serde(rename = ">=")]
    AtLeast,
    #[serde(rename = "contains")]
    Contains,
    #[serde(rename = "empty")]
    Empty,
    #[serde(rename = "not empty")]
    NotEmpty,
}

/// One condition of a row.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Condition {
    column: String,
    is: Comparison,
    #[serde(default)]
    value: Value,
}

/// A condition with its place in the table.
#[derive(Debug)]
pub(crate) struct Filter {
    column: usize,
    is: Comparison,
    value: Cell,
}

impl Filter {
    pub(crate) fn new(condition: Condition, table: &Table) -> Result<Self, String> {
        let Condition { column, is, value } = condition;
        let name = column;
        let column = table.column(&name)?;
        let value = Cell::of(value);
        let fits = match is {
            Comparison::Empty | Comparison::NotEmpty => value.is_empty(),
            Comparison::Contains => value.text().is_some(),
            _ => !value.is_empty(),
        };
        if fits {
            return Ok(Self { column, is, value });
        }
        Err(match is {
            Comparison::Empty | Comparison::NotEmpty => format!("where {name}: leave value out"),
            Comparison::Contains => format!("where {name}: give a text as value"),
            _ => format!("where {name}: give a value, or ask for empty"),
        })
    }

    pub(crate) fn keeps(&self, row: &[Cell]) -> bool {
        let cell = &row[self.column];
        match self.is {
            Comparison::Empty => cell.is_empty(),
            Comparison::NotEmpty => !cell.is_empty(),
            Comparison::Contains => {
                matches!((cell.text(), self.value.text()), (Some(own), Some(part)) if own.contains(part))
            }
            Comparison::Different => self.compared(cell) != Some(Ordering::Equal),
            Comparison::Equal => self.compared(cell) == Some(Ordering::Equal),
            Comparison::Less => self.compared(cell) == Some(Ordering::Less),
            Comparison::Greater => self.compared(cell) == Some(Ordering::Greater),
            Comparison::AtMost => matches!(self.compared(cell), Some(Ordering::Less | Ordering::Equal)),
            Comparison::AtLeast => matches!(self.compared(cell), Some(Ordering::Greater | Ordering::Equal)),
        }
    }

    /// Nothing for values that do not compare: a text with a number, and nothing with anything.
    fn compared(&self, cell: &Cell) -> Option<Ordering> {
        match &self.value {
            Cell::Number(number) => cell.number().map(|own| own.cmp(number)),
            Cell::Text(text) => cell.text().map(|own| own.cmp(text)),
            Cell::Flag(flag) => match cell {
                Cell::Flag(own) => Some(own.cmp(flag)),
                // As CSV has it: true, and True or TRUE as other programs write it.
                _ => cell.text().filter(|own| own.eq_ignore_ascii_case(word(*flag))).map(|_| Ordering::Equal),
            },
            Cell::Empty => None,
        }
    }
}

fn word(flag: bool) -> &'static str {
    if flag { "true" } else { "false" }
}
