//! Figures over groups of rows, exactly.

use std::num::NonZeroU64;

use bigdecimal::{BigDecimal, RoundingMode};
use serde::Deserialize;

use crate::table::Table;
use crate::value::{Cell, Ranked, plain};

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
    /// Of values of one kind.
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
            Kind::Min | Kind::Max => self.outermost(there, &table.columns[column])?,
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

    /// The least or the greatest. Numbers are not compared with texts: whichever were to come
    /// first, a word such as `n/a` among numbers would be an answer. Of two that are written
    /// differently and are equal, it is by how they are written, and not by their rows.
    fn outermost<'a>(&self, there: impl Iterator<Item = (usize, &'a Cell)>, column: &str) -> Result<Cell, String> {
        let mut best: Option<(usize, &Cell, Ranked<'_>)> = None;
        for (at, cell) in there {
            let Some(ranked) = cell.ranked() else { continue };
            let better = match &best {
                None => true,
                Some((other, its, by)) if ranked.kind() != by.kind() => {
                    return Err(self.unlike((*other, its, by.kind()), (at, cell, ranked.kind()), column));
                }
                Some((_, its, by)) => {
                    let order = ranked.cmp(by).then_with(|| cell.text().cmp(&its.text()));
                    if self.kind == Kind::Min { order.is_lt() } else { order.is_gt() }
                }
            };
            if better {
                best = Some((at, cell, ranked));
            }
        }
        Ok(best.map_or(Cell::Empty, |(_, cell, _)| cell.clone()))
    }

    fn no_number(&self, at: usize, cell: &Cell, column: &str) -> String {
        format!(
            "{}({column}): row {at} has {}, which is no number: leave such rows out with where",
            self.kind.as_str(),
            shown(cell)
        )
    }

    fn unlike(&self, a: (usize, &Cell, &str), b: (usize, &Cell, &str), column: &str) -> String {
        let has = |(at, cell, kind): (usize, &Cell, &str)| format!("row {at} has {}, {kind}", shown(cell));
        let name = self.kind.as_str();
        format!("{name}({column}): {}, and {}: leave rows of one kind out with where", has(a), has(b))
    }
}

/// A value in a fault: the beginning of a long one.
fn shown(cell: &Cell) -> String {
    const CHARACTERS: usize = 40;
    let cut = |text: &str| text.chars().take(CHARACTERS).collect::<String>();
    match cell {
        Cell::Empty => "nothing".to_owned(),
        Cell::Flag(flag) => flag.to_string(),
        Cell::Number(number) => cut(&plain(number)),
        Cell::Text(text) => format!("{:?}", cut(text)),
    }
}

fn mean(sum: &BigDecimal, count: u64) -> BigDecimal {
    (sum / BigDecimal::from(count)).with_precision_round(MEAN_DIGITS, RoundingMode::HalfEven)
}
