//! The tool's border, and the order of a question: read, keep, group, order, cut.

use std::collections::HashMap;

use serde::Deserialize;

use crate::aggregate::{Asked, Figure};
use crate::answer::Answer;
use crate::filter::{Condition, Filter};
use crate::table::{Format, Table};
use crate::value::Cell;

/// A question about rows.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    text: String,
    format: Format,
    #[serde(default = "comma")]
    delimiter: char,
    #[serde(default)]
    select: Vec<String>,
    #[serde(default, rename = "where")]
    conditions: Vec<Condition>,
    #[serde(default)]
    group: Vec<String>,
    #[serde(default)]
    aggregate: Vec<Asked>,
    #[serde(default)]
    order: Vec<Order>,
    #[serde(default = "hundred")]
    limit: usize,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    column: String,
    #[serde(default)]
    descending: bool,
}

fn comma() -> char {
    ','
}

fn hundred() -> usize {
    100
}

/// Answers a question in JSON with JSON.
///
/// # Errors
/// A sentence for the caller when there is no such tool, or the input cannot be answered.
pub fn invoke(tool: &str, input: &str) -> Result<String, String> {
    if tool != "data/query" {
        return Err(format!("no tool named {tool:?} in this component: it holds data/query"));
    }
    let query = serde_json::from_str(input).map_err(|error| format!("the input does not fit the tool: {error}"))?;
    serde_json::to_string(&answer(query)?).map_err(|error| error.to_string())
}

fn answer(query: Query) -> Result<Answer, String> {
    let Query { text, format, delimiter, select, conditions, group, aggregate, order, limit } = query;
    let Some(delimiter) = u8::try_from(delimiter).ok().filter(u8::is_ascii) else {
        return Err(format!("delimiter {delimiter:?} is not one ASCII character"));
    };
    let table = Table::read(&text, format, delimiter)?;
    let filters = conditions.into_iter().map(|condition| Filter::new(condition, &table));
    let filters: Vec<Filter> = filters.collect::<Result<_, _>>()?;
    let kept: Vec<(usize, &Vec<Cell>)> =
        (1..).zip(&table.rows).filter(|(_, row)| filters.iter().all(|filter| filter.keeps(row))).collect();
    let counts = (table.rows.len(), kept.len());
    let mut found = if group.is_empty() && aggregate.is_empty() {
        let rows = kept.into_iter().map(|(_, row)| row.clone()).collect();
        Table { columns: table.columns.clone(), rows }
    } else {
        grouped(&table, &kept, &group, aggregate)?
    };
    arrange(&mut found, &order)?;
    let found = chosen(found, &select)?;
    Ok(Answer::new(found.columns, found.rows, limit, counts))
}

/// One row for each group, in the order in which groups first occur; all rows are one group
/// if none are asked for.
fn grouped(table: &Table, kept: &[(usize, &Vec<Cell>)], by: &[String], asked: Vec<Asked>) -> Result<Table, String> {
    let keys: Vec<usize> = by.iter().map(|name| table.column(name)).collect::<Result<_, _>>()?;
    let figures = asked.into_iter().map(|asked| Figure::new(asked, table)).collect::<Result<Vec<_>, _>>()?;
    let mut places: HashMap<Vec<String>, usize> = HashMap::new();
    let mut groups: Vec<Vec<(usize, &Vec<Cell>)>> = Vec::new();
    if keys.is_empty() {
        groups.push(kept.to_vec());
    } else {
        for (at, row) in kept {
            let key = keys.iter().map(|key| row[*key].key()).collect();
            let place = *places.entry(key).or_insert_with(|| {
                groups.push(Vec::new());
                groups.len() - 1
            });
            groups[place].push((*at, row));
        }
    }
    let rows = groups.iter().map(|rows| {
        let first = rows.first().map(|(_, row)| *row);
        let keys = keys.iter().map(|key| Ok(first.map_or(Cell::Empty, |row| row[*key].clone())));
        keys.chain(figures.iter().map(|figure| figure.of(rows, table))).collect()
    });
    let rows = rows.collect::<Result<Vec<Vec<Cell>>, String>>()?;
    let columns: Vec<String> = by.iter().cloned().chain(figures.into_iter().map(|figure| figure.name)).collect();
    match columns.iter().enumerate().find(|(at, name)| columns[..*at].contains(name)) {
        Some((_, name)) => Err(format!("two columns of the answer are named {name:?}: give one another name with as")),
        None => Ok(Table { columns, rows }),
    }
}

fn arrange(found: &mut Table, order: &[Order]) -> Result<(), String> {
    let places = order.iter().map(|by| Ok((found.column(&by.column)?, by.descending)));
    let places: Vec<(usize, bool)> = places.collect::<Result<_, String>>()?;
    found.rows.sort_by(|a, b| {
        let by = |(at, descending): &(usize, bool)| {
            let order = a[*at].ranked().cmp(&b[*at].ranked());
            if *descending { order.reverse() } else { order }
        };
        places.iter().map(by).find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
    });
    Ok(())
}

/// The columns that were asked for; all of them if none were.
fn chosen(found: Table, select: &[String]) -> Result<Table, String> {
    if select.is_empty() {
        return Ok(found);
    }
    let places: Vec<usize> = select.iter().map(|name| found.column(name)).collect::<Result<_, _>>()?;
    let pick = |row: Vec<Cell>| places.iter().map(|at| row[*at].clone()).collect();
    Ok(Table { columns: select.to_vec(), rows: found.rows.into_iter().map(pick).collect() })
}
