//! A layer drafted from a database's tables, to be edited by a person.
//!
//! Invariant: what is drafted is a layer that [`crate::layer`] takes and whose keys are keys in the data. A join is
//! drafted only from a declared reference to a table's declared key; every guess is marked with a `?`.

use std::fmt::Write as _;

use crate::fragment::{is_name, quoted};
use crate::layer::Layer;
use crate::schema::{self, Column};
use crate::{Created, Database, Error, Value, failed};

/// Rows that are looked at to tell what a column holds.
const ROWS: u32 = 50;

/// What a column is for, by its first values and its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Date,
    /// Adds up, it seems.
    Amount,
    /// A price, a rate, a percentage: means something only on average.
    Rate,
    /// Splits figures.
    Name,
    Other,
}

struct Table {
    name: String,
    /// Where the declared key is one column.
    key: Option<String>,
    columns: Vec<(Column, Kind)>,
}

impl Table {
    fn date(&self) -> Option<&str> {
        self.columns.iter().find(|(_, kind)| *kind == Kind::Date).map(|(column, _)| column.name.as_str())
    }

    /// Its columns that refer to the key of one of the tables.
    fn joins<'a>(&'a self, tables: &'a [Table]) -> Vec<(&'a Column, &'a Table)> {
        let joined = |(column, _): &'a (Column, Kind)| {
            let to = column.references.as_ref()?;
            tables.iter().find(|table| table.name == *to && table.key.is_some()).map(|table| (column, table))
        };
        self.columns.iter().filter_map(joined).collect()
    }
}

/// Drafts a layer.
///
/// # Errors
/// Where the database does not answer, or has no table with a plain name.
pub fn draft(database: &impl Database, logical: &str) -> Result<String, Error> {
    let found = database.tables().map_err(failed)?;
    let found = found.iter().filter(|table| is_name(&table.name));
    let tables = found.map(|table| read(database, table)).collect::<Result<Vec<_>, _>>()?;
    if tables.is_empty() {
        let why = format!("`{logical}` has no table with a plain name; write the layer by hand");
        return Err(Error::Layer(why));
    }
    let mut out = format!(
        "# Drafted from the tables of `{logical}`. It works as it is, and says too much: delete what nobody asks for,\n# give the rest the names and synonyms that people use, and check the guesses, marked with a ?.\ndatabase: {}\n\nentities:\n",
        text(logical)
    );
    for table in &tables {
        entity(&mut out, table, &tables);
    }
    out.push_str("\nmeasures:\n");
    for table in &tables {
        measures(&mut out, table);
    }
    let mut dimensions = String::new();
    for table in &tables {
        names(&mut dimensions, table);
    }
    if !dimensions.is_empty() {
        let _ = write!(out, "\ndimensions:\n{dimensions}");
    }
    Layer::read(&out).map_err(|error| Error::Layer(format!("the draft itself is wrong: {error}\n{out}")))?;
    Ok(out)
}

fn entity(out: &mut String, table: &Table, tables: &[Table]) {
    let _ = writeln!(out, "  {0}:\n    table: {0}", table.name);
    match &table.key {
        Some(key) => {
            let _ = writeln!(out, "    key: {key}");
        }
        None => out.push_str("    # no key of one column: no other table can be joined to it\n"),
    }
    let joins = table.joins(tables);
    let dated: Vec<_> = joins.iter().filter(|(column, to)| column.required && to.date().is_some()).collect();
    match (table.date(), dated.as_slice()) {
        (Some(date), _) => {
            let _ = writeln!(out, "    time: {date}");
        }
        // the day of the order is the day of its lines
        (None, [(_, to)]) if joins.iter().filter(|(_, other)| other.name == to.name).count() == 1 => {
            let _ = writeln!(out, "    time: {}.{}    # ?", to.name, to.date().unwrap_or_default());
        }
        _ => {}
    }
    for (index, (column, to)) in joins.iter().enumerate() {
        if index == 0 {
            out.push_str("    joins:\n");
        }
        let several =
            joins.iter().filter(|(_, other)| other.name == to.name).count() > 1 || to.name == table.name;
        if several {
            let _ = writeln!(
                out,
                "      {0}_by_{1}: {{to: {0}, on: {1}, cardinality: many-to-one}}",
                to.name, column.name
            );
        } else {
            let _ = writeln!(out, "      {}: {{on: {}, cardinality: many-to-one}}", to.name, column.name);
        }
    }
}

fn measures(out: &mut String, table: &Table) {
    let plain = words(&table.name);
    let _ = writeln!(out, "  number of {plain}: {{entity: {}, aggregate: count}}", table.name);
    for (column, kind) in &table.columns {
        let (aggregate, before) = match kind {
            Kind::Amount => ("sum", ""),
            Kind::Rate => ("avg", "mean "),
            _ => continue,
        };
        let said =
            column.comment.as_deref().map_or(String::new(), |said| format!("description: {}, ", text(said)));
        let _ = writeln!(
            out,
            "  {before}{plain} {}: {{{said}entity: {}, aggregate: {aggregate}, expression: {}}}    # ? {aggregate}",
            words(&column.name),
            table.name,
            column.name
        );
    }
}

/// Dimensions: the table's own name for what has one, otherwise the table and the column.
fn names(out: &mut String, table: &Table) {
    let one = singular(&words(&table.name));
    let naming =
        |column: &Column| ["name", "full_name", "title"].contains(&column.name.to_lowercase().as_str());
    for (column, _) in table.columns.iter().filter(|(_, kind)| *kind == Kind::Name) {
        if column.unique && !naming(column) {
            continue; // numbers and codes of single rows
        }
        let name = if naming(column) { one.clone() } else { format!("{one} {}", words(&column.name)) };
        let said =
            column.comment.as_deref().map_or(String::new(), |said| format!(", description: {}", text(said)));
        let _ = writeln!(out, "  {name}: {{entity: {}, expression: {}{said}}}", table.name, column.name);
    }
}

/// A text as YAML, which holds JSON's strings.
fn text(words: &str) -> String {
    serde_json::Value::from(words).to_string()
}

fn words(name: &str) -> String {
    name.replace('_', " ").trim().to_owned()
}

fn singular(words: &str) -> String {
    match words.strip_suffix("ies") {
        Some(stem) => format!("{stem}y"),
        None => words.strip_suffix('s').filter(|stem| !stem.ends_with('s')).unwrap_or(words).to_owned(),
    }
}

fn read(database: &impl Database, created: &Created) -> Result<Table, Error> {
    let sql = format!("SELECT * FROM {}", quoted(&created.name));
    let rows = database.query(&sql, ROWS).map_err(failed)?;
    let declared = schema::read(&created.sql);
    let key = match declared.key.as_slice() {
        [key] if is_name(key) => Some(key.clone()),
        _ => None,
    };
    let mut columns = Vec::new();
    for (place, name) in rows.columns.iter().enumerate().filter(|(_, name)| is_name(name)) {
        let column = declared.columns.iter().find(|column| column.name == *name).cloned();
        let column = column.unwrap_or_else(|| Column { name: name.clone(), ..Column::default() });
        let values: Vec<&Value> = rows
            .rows
            .iter()
            .filter_map(|row| row.get(place))
            .filter(|value| !matches!(value, Value::Null))
            .collect();
        let linked = column.references.is_some() || declared.key.contains(name);
        let kind = if linked { Kind::Other } else { kind(name, &values) };
        columns.push((column, kind));
    }
    Ok(Table { name: created.name.clone(), key, columns })
}

fn kind(name: &str, values: &[&Value]) -> Kind {
    let all = |test: fn(&Value) -> bool| !values.is_empty() && values.iter().all(|value| test(value));
    let date = |value: &Value| matches!(value, Value::Text(text) if text.get(..10).is_some_and(|day| day.parse::<jiff::civil::Date>().is_ok()));
    let parts: Vec<String> = name.split('_').map(str::to_lowercase).collect();
    let has = |words: &[&str]| parts.iter().any(|part| words.contains(&part.as_str()));
    if all(date) {
        Kind::Date
    } else if all(|value| matches!(value, Value::Integer(0 | 1)))
        || has(&["year", "month", "week", "no", "number"])
    {
        Kind::Name
    } else if all(|value| matches!(value, Value::Integer(_) | Value::Real(_))) {
        let rate = [
            "pct", "percent", "rate", "ratio", "price", "per", "hourly", "score", "rating", "avg", "unit",
            "limit", "level",
        ];
        if has(&rate) { Kind::Rate } else { Kind::Amount }
    } else if all(|value| matches!(value, Value::Text(_))) {
        Kind::Name
    } else {
        Kind::Other
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "the databases of these tests are their own")]
mod tests {
    use super::*;
    use crate::ground;
    use crate::testing::Memory;

    #[test]
    fn a_draft_is_a_layer_with_the_declared_joins() {
        let database = Memory::new(
            "CREATE TABLE shops (id INTEGER PRIMARY KEY, name TEXT, city TEXT, zip_no TEXT UNIQUE);
             CREATE TABLE sales (id INTEGER PRIMARY KEY, shop_id INTEGER NOT NULL REFERENCES shops(id), -- where
               sold_on TEXT, amount REAL, -- EUR, without tax
               tax_pct REAL, twin INTEGER, FOREIGN KEY (twin) REFERENCES sales(id));
             CREATE TABLE lines (sale_id INTEGER NOT NULL REFERENCES sales(id), no INTEGER, pieces INTEGER,
               PRIMARY KEY (sale_id, no));
             INSERT INTO shops VALUES (1, 'Main', 'Graz', '8010');
             INSERT INTO sales VALUES (1, 1, '2026-01-02', 3.5, 20, NULL);
             INSERT INTO lines VALUES (1, 1, 2), (1, 2, 3);",
        );
        let drafted = draft(&database, "main").unwrap();
        let layer = Layer::read(&drafted).unwrap();
        let sales = &layer.entities["sales"];
        assert_eq!(sales.time.as_deref(), Some("sold_on"));
        assert_eq!(sales.joins["shops"].on, "shop_id");
        assert_eq!(sales.joins["sales_by_twin"].on, "twin");
        let lines = &layer.entities["lines"];
        assert_eq!((lines.key.as_deref(), lines.time.as_deref()), (None, Some("sales.sold_on")));
        let amount = &layer.measures["sales amount"];
        assert_eq!(amount.description.as_deref(), Some("EUR, without tax"));
        assert!(
            layer.measures.contains_key("mean sales tax pct") && layer.measures.contains_key("lines pieces")
        );
        let dimensions: Vec<_> = layer.dimensions.keys().collect();
        assert_eq!(dimensions, ["shop", "shop city"], "{drafted}");
        ground::describe(&layer, &database).unwrap();
        assert!(draft(&Memory::new(""), "main").is_err());
    }

    /// The 40 tables of the SQL plugin's corpus.
    #[test]
    fn a_draft_of_forty_tables_is_loadable_at_once() {
        let database = Memory::new(include_str!("../../../tests/cases/sql/erp.sql"));
        let layer = Layer::read(&draft(&database, "main").unwrap()).unwrap();
        assert_eq!(layer.entities.len(), 40);
        ground::describe(&layer, &database).unwrap();
        ground::refinements(&layer, &database).unwrap();
    }
}
