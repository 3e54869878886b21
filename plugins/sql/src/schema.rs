//! The database in a few lines for a prompt: one line per table, with what a model needs to write right SQL the
//! first time: names, types, references, the values of columns that have few, the first and last date.
//!
//! ```text
//! regions(id integer, name text: 'Central'|'East'|'North') -- sales regions, 3 rows
//! orders(id integer, region_id integer -> regions.id, ordered_at text: 2025-01-01..2026-11-22, total real /* EUR */) -- 1500 rows
//! ```
//!
//! Invariant: at most about [`MAX_TEXT`] bytes, whatever the database; what does not fit is named, not dropped.

use crate::definition::{self, Column, Definition};
use crate::{Database, HostError, TableInfo, Value};

/// The most bytes of the description, but for the names of the tables that did not fit.
pub const MAX_TEXT: usize = 12 * 1024;
/// A column with at most so many values has them listed.
const FEW: usize = 8;
/// The longest value that is listed, in bytes.
const MAX_VALUE: usize = 24;
/// Values are looked for in so many rows at most.
const LOOKED_AT: usize = 20_000;

/// Databases with more columns are described by the names of their tables only.
const MANY_COLUMNS: usize = 80;

/// Whether the whole description stands in every prompt.
pub fn fits(database: &impl Database, tables: &[TableInfo]) -> bool {
    tables.iter().map(|table| columns(database, table).columns.len()).sum::<usize>() <= MANY_COLUMNS
}

/// Describes each table in a line; of a large database only what it is for.
///
/// # Errors
/// What the host says where the tables cannot be listed.
pub fn describe(database: &impl Database) -> Result<String, HostError> {
    let mut text = String::new();
    let mut left_out = Vec::new();
    let tables = database.tables()?;
    let whole = fits(database, &tables);
    if !whole {
        text.push_str("Many tables; their names:\n");
    }
    for table in tables {
        let line = if whole { line(database, &table) } else { short(database, &table) };
        if text.len() + line.len() > MAX_TEXT {
            left_out.push(table.name);
        } else {
            text.push_str(&line);
            text.push('\n');
        }
    }
    if !left_out.is_empty() {
        text.push_str(&format!("and {} more tables: {}\n", left_out.len(), left_out.join(", ")));
    }
    Ok(text)
}

/// A line for each table; of very many only their names.
///
/// # Errors
/// What the host says where the tables cannot be listed.
pub fn contents(database: &impl Database) -> Result<String, HostError> {
    let mut text = String::new();
    for table in database.tables()? {
        let line = short(database, &table);
        let line = if text.len() + line.len() > MAX_TEXT / 2 { plain(&table.name) } else { line };
        text.push_str(&line);
        text.push('\n');
    }
    text.truncate(text.floor_char_boundary(MAX_TEXT));
    Ok(text)
}

/// Every table with its columns.
///
/// # Errors
/// What the host says where the tables cannot be listed.
pub fn definitions(database: &impl Database) -> Result<Vec<(String, Definition)>, HostError> {
    let tables = database.tables()?;
    Ok(tables.iter().map(|table| (table.name.clone(), columns(database, table))).collect())
}

/// The columns of a table: as its definition names them, or as the database does where that says nothing.
#[must_use]
pub fn columns(database: &impl Database, table: &TableInfo) -> Definition {
    let mut definition = definition::read(&table.sql);
    if definition.columns.is_empty()
        && let Ok(rows) = database.query(&format!("SELECT * FROM {} LIMIT 1", quoted(&table.name)), 1)
    {
        let column = |name| Column { name, ..Column::default() };
        definition.columns = rows.columns.into_iter().map(column).collect();
    }
    definition
}

/// The table's name and what it is for.
fn short(database: &impl Database, table: &TableInfo) -> String {
    let comment = columns(database, table).comment;
    if comment.is_empty() { plain(&table.name) } else { format!("{} -- {comment}", plain(&table.name)) }
}

/// A table in a line: columns, types, references, values, rows.
#[must_use]
pub fn line(database: &impl Database, table: &TableInfo) -> String {
    let definition = columns(database, table);
    let columns: Vec<String> = definition.columns.iter().map(|each| column(database, table, each)).collect();
    let rows =
        table.row_count.map(|rows| if rows == 1 { "1 row".to_owned() } else { format!("{rows} rows") });
    let comment = Some(definition.comment).filter(|comment| !comment.is_empty());
    let said: Vec<String> = comment.into_iter().chain(rows).collect();
    let said = if said.is_empty() { String::new() } else { format!(" -- {}", said.join(", ")) };
    format!("{}({}){said}", plain(&table.name), columns.join(", "))
}

fn column(database: &impl Database, table: &TableInfo, column: &Column) -> String {
    let mut text = plain(&column.name);
    if !column.declared.is_empty() {
        text.push_str(&format!(" {}", column.declared));
    }
    if let Some(reference) = &column.references {
        text.push_str(&format!(" -> {reference}"));
    } else if is_text(&column.declared)
        && let Some(values) = values(database, table, column)
    {
        text.push_str(&format!(": {values}"));
    }
    if !column.comment.is_empty() {
        text.push_str(&format!(" /* {} */", column.comment.replace("*/", "")));
    }
    text
}

/// Text affinity, or a date type, by SQLite's rules.
#[must_use]
pub fn is_text(declared: &str) -> bool {
    ["char", "clob", "text", "date", "time"].iter().any(|part| declared.contains(part))
}

/// The values of a column that has few, or the first and last of a column of dates.
fn values(database: &impl Database, table: &TableInfo, column: &Column) -> Option<String> {
    let (name, from) = (quoted(&column.name), quoted(&table.name));
    let seen = format!("(SELECT {name} AS v FROM {from} WHERE {name} IS NOT NULL LIMIT {LOOKED_AT})");
    let few = database.query(&format!("SELECT DISTINCT v FROM {seen} ORDER BY v"), FEW as u32 + 1).ok()?;
    let texts = |row: &Vec<Value>| {
        row.iter()
            .map(|value| match value {
                Value::Text(text) if text.len() <= MAX_VALUE => Some(text.clone()),
                _ => None,
            })
            .collect::<Option<Vec<String>>>()
    };
    if few.rows.is_empty() {
        return None;
    }
    if few.rows.len() <= FEW && !few.truncated {
        let values = few.rows.iter().map(texts).collect::<Option<Vec<_>>>()?.concat();
        if !values.iter().all(|value| is_date(value)) {
            let literals: Vec<String> =
                values.iter().map(|v| format!("'{}'", v.replace('\'', "''"))).collect();
            return Some(literals.join("|"));
        }
    }
    let ends = database.query(&format!("SELECT min({name}), max({name}) FROM {from}"), 1).ok()?;
    match texts(ends.rows.first()?)?.as_slice() {
        [first, last] if is_date(first) && is_date(last) => Some(format!("{first}..{last}")),
        _ => None,
    }
}

/// Begins as `YYYY-MM-DD`.
#[must_use]
pub fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 10
        && bytes[..10].iter().enumerate().all(|(index, byte)| match index {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

/// A name in double quotes, for SQL.
#[must_use]
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A name as a statement may hold it: quoted only where it must be.
#[must_use]
pub fn plain(name: &str) -> String {
    let ordinary = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !KEYWORDS.iter().any(|word| name.eq_ignore_ascii_case(word));
    if ordinary { name.to_owned() } else { quoted(name) }
}

/// Keywords that are likely names and do not stand unquoted.
const KEYWORDS: [&str; 12] = [
    "order",
    "group",
    "table",
    "index",
    "values",
    "select",
    "from",
    "to",
    "where",
    "limit",
    "transaction",
    "references",
];

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "the databases of these tests are their own")]
mod tests {
    use super::*;
    use crate::testing::Memory;

    #[test]
    fn a_table_is_a_line_with_what_a_query_needs() {
        let database = Memory::new(
            "CREATE TABLE regions ( -- sales regions
               id INTEGER PRIMARY KEY, name TEXT NOT NULL);
             CREATE TABLE \"order\" (
               id INTEGER PRIMARY KEY,
               region_id INTEGER REFERENCES regions(id),
               placed_on TEXT,
               note TEXT, -- free
               total REAL -- in EUR
             );
             CREATE VIEW big AS SELECT id, total FROM \"order\" WHERE total > 10;
             INSERT INTO regions(name) VALUES ('North'), ('O''Hara');
             INSERT INTO \"order\"(placed_on, note, total) VALUES ('2025-01-02', NULL, 10.5), ('2026-03-04', NULL, 2);",
        );
        assert_eq!(
            describe(&database).unwrap(),
            "big(id, total) -- 1 row\n\
             \"order\"(id integer, region_id integer -> regions.id, placed_on text: 2025-01-02..2026-03-04, \
             note text /* free */, total real /* in EUR */) -- 2 rows\n\
             regions(id integer, name text: 'North'|'O''Hara') -- sales regions, 2 rows\n"
        );
    }

    #[test]
    fn many_or_long_or_odd_values_are_not_listed() {
        let database = Memory::new(
            "CREATE TABLE t(many TEXT, long TEXT, odd TEXT, blob BLOB);
             WITH n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 9)
             INSERT INTO t SELECT 'v' || i, 'a text that is longer than a value', x'00ff', x'00' FROM n;",
        );
        assert_eq!(describe(&database).unwrap(), "t(many text, long text, odd text, blob blob) -- 9 rows\n");
        assert_eq!(describe(&Memory::new("")).unwrap(), "");
    }

    #[test]
    fn of_a_large_schema_the_tables_are_named_and_what_does_not_fit_too() {
        let tables = |count: usize| -> String {
            (0..count)
                .map(|i| {
                    format!("CREATE TABLE table_number_{i:04}( -- kept\na_rather_long_column_name INTEGER);")
                })
                .collect()
        };
        let text = describe(&Memory::new(&tables(100))).unwrap();
        assert!(text.contains("table_number_0099 -- kept\n") && !text.contains("a_rather_long"), "{text}");
        let text = describe(&Memory::new(&tables(900))).unwrap();
        assert!(text.len() < MAX_TEXT + 10_000, "{}", text.len());
        assert!(text.contains("more tables: ") && text.contains("table_number_0899"));
    }
}
