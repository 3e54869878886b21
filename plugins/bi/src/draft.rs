//! A layer drafted from a database's tables, to be edited by a person.
//!
//! Invariant: what is drafted is a layer that [`crate::layer`] takes. A join is drafted only from a declared reference
//! to a table's key, and the guess that a number adds up is marked as one.

use std::fmt::Write as _;

use crate::fragment::{is_name, quoted};
use crate::layer::Layer;
use crate::{Created, Database, Error, Value, failed};

struct Table {
    name: String,
    columns: Vec<String>,
    key: String,
    /// Our column, their table.
    references: Vec<(String, String)>,
    /// Dates, numbers, texts, by their first values.
    dates: Vec<String>,
    numbers: Vec<String>,
    texts: Vec<String>,
}

/// Drafts a layer.
///
/// # Errors
/// Where the database does not answer, or has no table with a key.
pub fn draft(database: &impl Database, logical: &str) -> Result<String, Error> {
    let tables: Vec<Table> = database
        .tables()
        .map_err(failed)?
        .iter()
        .map(|info| read(database, info))
        .collect::<Result<Vec<_>, _>>()?;
    let tables: Vec<Table> =
        tables.into_iter().filter(|table| is_name(&table.name) && is_name(&table.key)).collect();
    if tables.is_empty() {
        return Err(Error::Layer(format!(
            "`{logical}` has no table with a plain name and columns; write the layer by hand"
        )));
    }
    let mut out = format!(
        "# Drafted from the tables of `{logical}`. Check every line marked with ?; delete what means nothing.\ndatabase: {logical:?}\n\nentities:\n"
    );
    for table in &tables {
        let _ = writeln!(out, "  {0}:\n    table: {0}\n    key: {1}", table.name, table.key);
        if let Some(date) = table.dates.first() {
            let _ = writeln!(out, "    time: {date}");
        }
        let joins: Vec<_> =
            table.references.iter().filter(|(_, to)| tables.iter().any(|t| t.name == *to)).collect();
        if !joins.is_empty() {
            out.push_str("    joins:\n");
        }
        for (ours, to) in joins {
            let _ = writeln!(out, "      {to}_by_{ours}: {{to: {to}, on: {ours}, cardinality: many-to-one}}");
        }
    }
    out.push_str("\nmeasures:\n");
    for table in &tables {
        let _ = writeln!(out, "  number of {0}:\n    entity: {0}\n    aggregate: count", table.name);
        for column in &table.numbers {
            let _ = writeln!(
                out,
                "  {0} {column}:    # ? sum, avg or neither\n    entity: {0}\n    aggregate: sum\n    expression: {column}",
                table.name
            );
        }
    }
    out.push_str("\ndimensions:\n");
    for table in &tables {
        for column in &table.texts {
            let _ = writeln!(out, "  {0}.{column}: {{entity: {0}, expression: {column}}}", table.name);
        }
    }
    if !tables.iter().any(|table| !table.texts.is_empty()) {
        out.push_str("  {}\n");
    }
    Layer::read(&out).map_err(|error| Error::Layer(format!("the draft itself is wrong: {error}\n{out}")))?;
    Ok(out)
}

fn read(database: &impl Database, info: &Created) -> Result<Table, Error> {
    let rows = database.query(&format!("SELECT * FROM {}", quoted(&info.name)), 20).map_err(failed)?;
    let references = references(&info.sql);
    let columns: Vec<String> = rows.columns.iter().filter(|name| is_name(name)).cloned().collect();
    let is_key = |name: &&String| {
        let name = name.to_lowercase();
        name == "id" || name == format!("{}_id", info.name.to_lowercase().trim_end_matches('s'))
    };
    let key = columns.iter().find(is_key).or(columns.first()).cloned().unwrap_or_default();
    let mut table = Table {
        name: info.name.clone(),
        columns: columns.clone(),
        key,
        references,
        dates: Vec::new(),
        numbers: Vec::new(),
        texts: Vec::new(),
    };
    table.references.retain(|(ours, _)| table.columns.contains(ours));
    for (place, name) in rows.columns.iter().enumerate() {
        let linked = table.references.iter().any(|(ours, _)| ours == name);
        if !columns.contains(name) || *name == table.key || linked {
            continue;
        }
        let values: Vec<&Value> = rows
            .rows
            .iter()
            .filter_map(|row| row.get(place))
            .filter(|value| !matches!(value, Value::Null))
            .collect();
        let all = |test: fn(&Value) -> bool| !values.is_empty() && values.iter().all(|value| test(value));
        let date = |value: &Value| matches!(value, Value::Text(text) if text.get(..10).is_some_and(|day| day.parse::<jiff::civil::Date>().is_ok()));
        if all(date) {
            table.dates.push(name.clone());
        } else if all(|value| matches!(value, Value::Integer(_) | Value::Real(_))) {
            table.numbers.push(name.clone());
        } else if all(|value| matches!(value, Value::Text(_))) {
            table.texts.push(name.clone());
        }
    }
    Ok(table)
}

/// `column … REFERENCES table` and `FOREIGN KEY (column) REFERENCES table` of a CREATE statement.
fn references(sql: &str) -> Vec<(String, String)> {
    let mut words = Vec::new();
    for line in sql.lines() {
        let line = line.split("--").next().unwrap_or_default();
        let mut word = String::new();
        for c in line.chars().chain([' ']) {
            if c.is_alphanumeric() || c == '_' {
                word.push(c);
            } else {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                if c == ',' || c == '(' {
                    words.push(c.to_string());
                }
            }
        }
    }
    let (mut found, mut column, mut fresh) = (Vec::new(), String::new(), false);
    let mut rest = words.iter().peekable();
    while let Some(word) = rest.next() {
        if word == "," || word == "(" {
            fresh = true;
        } else if word.eq_ignore_ascii_case("references") {
            found.extend(rest.peek().map(|table| (column.clone(), (*table).clone())));
        } else if std::mem::take(&mut fresh) && !word.eq_ignore_ascii_case("foreign") {
            column.clone_from(word);
        }
    }
    found
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "the databases of these tests are their own")]
mod tests {
    use super::*;
    use crate::testing::Memory;

    #[test]
    fn a_draft_is_a_layer_with_the_declared_joins() {
        let database = Memory::new(
            "CREATE TABLE shops (id INTEGER PRIMARY KEY, city TEXT);
             CREATE TABLE sales (id INTEGER PRIMARY KEY, shop_id INTEGER NOT NULL REFERENCES shops(id), -- where
               sold_on TEXT, amount REAL, twin INTEGER, FOREIGN KEY (twin) REFERENCES sales(id));
             INSERT INTO shops VALUES (1, 'Graz'); INSERT INTO sales VALUES (1, 1, '2026-01-02', 3.5, NULL);",
        );
        let text = draft(&database, "main").unwrap();
        let layer = Layer::read(&text).unwrap();
        let sales = &layer.entities["sales"].value;
        assert_eq!(sales.time.as_deref(), Some("sold_on"));
        assert_eq!(sales.joins["shops_by_shop_id"].on, "shop_id");
        assert_eq!(sales.joins["sales_by_twin"].on, "twin");
        assert!(
            layer.measures.contains_key("sales amount") && layer.dimensions.contains_key("shops.city"),
            "{text}"
        );
        assert!(draft(&Memory::new(""), "main").is_err());
    }
}
