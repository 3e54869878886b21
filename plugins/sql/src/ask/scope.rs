//! The tables that bear on a question, with what a statement over them may compare: the values of each column, as they are in
//! the database now.
//!
//! Invariant: a text is compared only with values that its column holds, a flag with its numbers, a day with days.

use std::collections::BTreeSet;

use crate::definition::{Column, Definition};
use crate::graph::Graph;
use crate::relate::Mention;
use crate::schema::{is_date, is_text, quoted};
use crate::{Database, Value};

/// A column with at most so many texts has all of them.
const FEW: u32 = 8;
/// The longest of such texts, in bytes.
const MAX_VALUE: usize = 24;
/// A column with at most so many whole numbers is a flag or a grade.
const FLAGS: u32 = 4;
/// Rows that are looked at.
const LOOKED_AT: usize = 20_000;

/// What the cells of a column are to a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cells {
    /// An id, here or in another table.
    Key,
    /// ISO days, or moments that begin with one.
    Day {
        /// Whether a time of day follows.
        moment: bool,
        /// The first and the last.
        ends: (String, String),
    },
    /// Texts; all where they are few, and those that the question mentions.
    Text(Vec<String>),
    /// A few whole numbers.
    Flag(Vec<i64>),
    /// Other numbers.
    Number,
}

/// A column, as the question sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen<'a> {
    /// As it is declared.
    pub column: &'a Column,
    /// What is in it.
    pub cells: Cells,
    /// Whether the texts are all that there are.
    pub whole: bool,
    /// Whether a cell is NULL.
    pub null: bool,
}

/// A table, as the question sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table<'a> {
    /// Its place in the graph.
    pub place: usize,
    /// Its name.
    pub name: &'a str,
    /// What it is for.
    pub comment: &'a str,
    /// In order.
    pub columns: Vec<Seen<'a>>,
}

/// Looks at the tables of these places.
pub fn look<'a>(
    database: &impl Database,
    graph: &Graph<'a>,
    places: &[usize],
    mentions: &[Mention],
) -> Vec<Table<'a>> {
    let seen = places.iter().filter_map(|place| {
        let (name, definition) = graph.tables.get(*place)?;
        let nulls = nulls(database, name, definition);
        let columns = definition.columns.iter().zip(nulls).map(|(column, null)| {
            let own = mentions.iter().filter(|one| one.table == *place && one.column == column.name);
            let said = own.map(|one| one.value.clone()).collect();
            let key = column.references.is_some() || graph.is_key(*place, &column.name);
            Seen { null, ..see(database, name, column, key, said) }
        });
        Some(Table { place: *place, name, comment: &definition.comment, columns: columns.collect() })
    });
    seen.collect()
}

fn see<'a>(
    database: &impl Database,
    table: &str,
    column: &'a Column,
    key: bool,
    said: Vec<String>,
) -> Seen<'a> {
    let seen = |cells, whole| Seen { column, cells, whole, null: false };
    if is_text(&column.declared) || column.declared.is_empty() {
        return match texts(database, table, column) {
            Some(Texts::Days { moment, ends }) => seen(Cells::Day { moment, ends }, false),
            Some(Texts::Few(all)) if !key => seen(Cells::Text(all), true),
            _ if key => seen(Cells::Key, false),
            _ => seen(Cells::Text(said), false),
        };
    }
    if key {
        return seen(Cells::Key, false);
    }
    let numbers = distinct(database, table, column, FLAGS + 1).unwrap_or_default();
    let flags: Option<Vec<i64>> = numbers
        .iter()
        .map(|value| match value {
            Value::Integer(number) => Some(*number),
            _ => None,
        })
        .collect();
    match flags {
        Some(flags) if !flags.is_empty() && flags.len() <= FLAGS as usize => seen(Cells::Flag(flags), true),
        _ => seen(Cells::Number, false),
    }
}

/// Of each column whether a cell is NULL; where that cannot be seen, it may be.
fn nulls(database: &impl Database, table: &str, definition: &Definition) -> Vec<bool> {
    let sums: Vec<String> = definition
        .columns
        .iter()
        .map(|column| format!("SUM(CASE WHEN s.{} IS NULL THEN 1 ELSE 0 END)", quoted(&column.name)))
        .collect();
    let from = format!("(SELECT * FROM {} LIMIT {LOOKED_AT}) AS s", quoted(table));
    let row = database.query(&format!("SELECT {} FROM {from}", sums.join(", ")), 1).ok();
    let row = row.and_then(|rows| rows.rows.into_iter().next()).unwrap_or_default();
    let none = |value: &Value| match value {
        Value::Integer(0) => true,
        Value::Text(count) => count == "0",
        _ => false,
    };
    (0..definition.columns.len()).map(|place| !row.get(place).is_some_and(none)).collect()
}

enum Texts {
    Days { moment: bool, ends: (String, String) },
    Few(Vec<String>),
}

fn texts(database: &impl Database, table: &str, column: &Column) -> Option<Texts> {
    let (own, from) = (quoted(&column.name), quoted(table));
    let ends = database.query(&format!("SELECT MIN({own}), MAX({own}) FROM {from}"), 1).ok()?;
    if let [Value::Text(first), Value::Text(last)] = ends.rows.first()?.as_slice()
        && is_date(first)
        && is_date(last)
    {
        return Some(Texts::Days { moment: first.len() > 10, ends: (first.clone(), last.clone()) });
    }
    let few: Option<Vec<String>> = distinct(database, table, column, FEW + 1)?
        .into_iter()
        .map(|value| match value {
            Value::Text(text) if text.len() <= MAX_VALUE => Some(text),
            _ => None,
        })
        .collect();
    few.filter(|few| !few.is_empty() && few.len() <= FEW as usize).map(Texts::Few)
}

fn distinct(database: &impl Database, table: &str, column: &Column, most: u32) -> Option<Vec<Value>> {
    let (own, from) = (quoted(&column.name), quoted(table));
    let seen = format!("(SELECT {own} AS v FROM {from} WHERE {own} IS NOT NULL LIMIT {LOOKED_AT}) AS s");
    let rows = database.query(&format!("SELECT DISTINCT v FROM {seen} ORDER BY v"), most).ok()?;
    Some(rows.rows.into_iter().flatten().collect())
}

/// The places of these tables and of those between them, each once; the first stays first.
#[must_use]
pub fn connected(graph: &Graph<'_>, wanted: &[usize], most: usize) -> Vec<usize> {
    let mut there: Vec<usize> = wanted.first().copied().into_iter().collect();
    for table in wanted.iter().skip(1) {
        let way = graph.way(&there, *table).unwrap_or_default();
        if way.is_empty() && !there.contains(table) {
            there.push(*table);
        }
        there.extend(way.iter().map(|join| join.table));
    }
    let mut once = BTreeSet::new();
    there.retain(|table| once.insert(*table));
    there.truncate(most);
    there
}

/// Every table's definition, for what is not looked at.
#[must_use]
pub fn summary(name: &str, definition: &Definition) -> String {
    let columns: Vec<&str> = definition
        .columns
        .iter()
        .filter(|column| column.references.is_none() && column.name != "id")
        .map(|column| column.name.as_str())
        .collect();
    let comment =
        if definition.comment.is_empty() { String::new() } else { format!(" {}", definition.comment) };
    format!("{name}:{comment} ({})", columns.join(", "))
}
