//! A statement drafted from the words of a request, for the model to copy: a linker of words to the schema.
//!
//! It knows the questions that a business asks most (a count, a sum, an average, the first few, a share, a split, what has
//! none of another) and is silent where a word is left that it did not understand, so that it misleads as seldom as it can.
//!
//! Invariant: what is drafted ran on this database a moment before, and sums nothing twice ([`crate::fanout`]).

mod ask;
mod link;
mod plan;
#[cfg(test)]
mod tests;
mod words;

use jiff::civil::Date;
use pawl_request::Text;

use crate::definition::Definition;
use crate::graph::Graph;
use crate::{Database, Value, fanout};

/// The draft for a request; `values` are (table, column, value) that it mentions.
pub fn draft(
    database: &impl Database,
    tables: &[(String, Definition)],
    values: &[(usize, String, String)],
    request: &str,
) -> Option<String> {
    let graph = Graph::new(tables);
    let mut text = Text::new(&words::english(request));
    let sql = ask::Ask::read(&graph, values, &mut text, today(database)?, &|table, column| {
        is_day(database, tables, table, column)
    })?
    .statement()?;
    fanout::check(tables, &sql).ok()?;
    database.query(&sql, 1).ok()?;
    Some(sql)
}

/// The database's day: the plugin has no clock of its own.
fn today(database: &impl Database) -> Option<Date> {
    let rows = database.query("SELECT current_date AS today", 1).ok()?;
    match rows.rows.first()?.first()? {
        Value::Text(day) => day.get(..10)?.parse().ok(),
        _ => None,
    }
}

/// Whether a column holds days or moments.
fn is_day(database: &impl Database, tables: &[(String, Definition)], table: usize, column: usize) -> bool {
    let Some((name, definition)) = tables.get(table) else { return false };
    let Some(column) = definition.columns.get(column) else { return false };
    let own = crate::schema::quoted(&column.name);
    let sql = format!("SELECT min({own}) AS first FROM {}", crate::schema::quoted(name));
    crate::schema::is_text(&column.declared)
        && column.references.is_none()
        && database.query(&sql, 1).is_ok_and(|rows| {
            matches!(rows.rows.first().and_then(|row| row.first()), Some(Value::Text(day)) if crate::schema::is_date(day))
        })
}
