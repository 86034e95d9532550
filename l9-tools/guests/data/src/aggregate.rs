//! Figures over groups of rows, exactly.

use std::num::NonZeroU64;

use bigdecimal::{BigDecimal, RoundingMode};
use serde::Deserialize;

use crate::table::Table;
use crate::value::Cell;

/// Digits of a mean.
const MEAN_DIGITS: NonZeroU64 = match NonZeroU64::new(28) {
    Some(digits) => digits,
    None => NonZeroU64::MIN,
};

/// What is asked of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// How many rows, or how many values of a column are there.
    Count,
    Sum,
    Min,
    Max,
    /// Rounded half to even.
    Mean,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Min => "min",
            Self::Max => "max",
            Self::Mean => "mean",
        }
    }
}

/// One figure that is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    of: Kind,
    #[serde(default)]
    column: Option<String>,
    #[serde(default, rename = "as")]
    name: Option<String>,
}

/// A figure with its place in the table.
#[derive(Debug)]
pub(crate) struct Figure {
    kind: Kind,
    column: Option<usize>,
    /// What it is called in the answer.
    pub(crate) name: String,
}

impl Figure {
    pub(crate) fn new(asked: Asked, table: &Table) -> Result<Self, String> {
        let Asked { of: kind, column, name } = asked;
        let Some(column) = column else {
            return match kind {
                Kind::Count => Ok(Self { kind, column: None, name: name.unwrap_or_else(|| "count".to_owned()) }),
                _ => Err(format!("aggregate {}: name a column", kind.as_str())),
            };
        };
        let name = name.unwrap_or_else(|| format!("{}({column})", kind.as_str()));
        Ok(Self { kind, column: Some(table.column(&column)?), name })
    }

    /// The figure of these rows, given with their numbers from 1. What is empty does not count.
    pub(crate) fn of(&self, rows: &[(usize, &Vec<Cell>)], table: &Table) -> Result<Cell, String> {
        let Some(column) = self.column else { return Ok(Cell::Number(BigDecimal::from(rows.len() as u64))) };
        let mut there = rows.iter().map(|(at, row)| (*at, &row[column])).filter(|(_, cell)| !cell.is_empty());
        Ok(match self.kind {
            Kind::Count => Cell::Number(BigDecimal::from(there.count() as u64)),
            Kind::Min => there.map(|(_, cell)| cell).min_by(|a, b| a.order(b)).cloned().unwrap_or(Cell::Empty),
            Kind::Max => there.map(|(_, cell)| cell).max_by(|a, b| a.order(b)).cloned().unwrap_or(Cell::Empty),
            Kind::Sum | Kind::Mean => {
                let (sum, count) = there.try_fold((BigDecimal::from(0), 0_u64), |(sum, count), (at, cell)| {
                    let number = cell.number().ok_or_else(|| self.no_number(at, cell, &table.columns[column]))?;
                    Ok::<_, String>((sum + number, count + 1))
                })?;
                match (self.kind, count) {
                    (Kind::Sum, _) => Cell::Number(sum),
                    (_, 0) => Cell::Empty,
                    (_, count) => Cell::Number(mean(&sum, count)),
                }
            }
        })
    }

    fn no_number(&self, at: usize, cell: &Cell, column: &str) -> String {
        let shown: String = cell.text().unwrap_or("a flag").chars().take(40).collect();
        format!(
            "{}({column}): row {at} has {shown:?}, which is no number: leave such rows out with where",
            self.kind.as_str()
        )
    }
}

fn mean(sum: &BigDecimal, count: u64) -> BigDecimal {
    (sum / BigDecimal::from(count)).with_precision_round(MEAN_DIGITS, RoundingMode::HalfEven)
}
