//! How the tables hang together: who references whom, and the joins that lead from one to another.
//!
//! Invariant: a join that is written here follows a reference that the database declares; where none leads from one table
//! to another, they are not connected, and nothing is guessed.

use std::collections::VecDeque;

use crate::definition::Definition;
use crate::grammar::aliases;
use crate::schema::plain;

/// The longest way that connects two tables, in joins.
const MAX_WAY: usize = 4;

/// Tables and the references between them.
pub struct Graph<'a> {
    /// Each with its columns.
    pub tables: &'a [(String, Definition)],
    /// The names that each table has besides its own, as the grammar knows them.
    pub aliases: Vec<Vec<String>>,
    references: Vec<Reference<'a>>,
}

/// `from.column` holds values of `to.key`.
#[derive(Clone, Copy)]
struct Reference<'a> {
    from: usize,
    column: &'a str,
    to: usize,
    key: &'a str,
}

/// A table that is joined to one that is there already.
#[derive(Clone, Copy)]
pub struct Join<'a> {
    /// The new one.
    pub table: usize,
    /// Its column.
    pub column: &'a str,
    /// The one that is there.
    pub with: usize,
    /// That one's column.
    pub other: &'a str,
}

impl<'a> Graph<'a> {
    /// Reads the references of all tables.
    #[must_use]
    pub fn new(tables: &'a [(String, Definition)]) -> Graph<'a> {
        let names: Vec<&str> = tables.iter().map(|(name, _)| name.as_str()).collect();
        let mut references = Vec::new();
        for (from, (_, definition)) in tables.iter().enumerate() {
            for column in &definition.columns {
                let Some(reference) = &column.references else { continue };
                let (table, key) = reference.split_once('.').unwrap_or((reference, ""));
                let Some(to) = names.iter().position(|name| name.eq_ignore_ascii_case(table)) else {
                    continue;
                };
                let first = tables[to].1.columns.first().map_or("id", |column| column.name.as_str());
                let key = if key.is_empty() { first } else { key };
                references.push(Reference { from, column: &column.name, to, key });
            }
        }
        Graph { tables, aliases: aliases(&names), references }
    }

    /// The table of a name or of one of the short names.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<usize> {
        let own = self.tables.iter().position(|(table, _)| table.eq_ignore_ascii_case(name));
        let short = |names: &Vec<String>| names.iter().any(|alias| alias.eq_ignore_ascii_case(name));
        own.or_else(|| self.aliases.iter().position(short))
    }

    /// The short name of a table in a statement.
    #[must_use]
    pub fn alias(&self, table: usize) -> &str {
        self.aliases.get(table).and_then(|names| names.first()).map_or("x", String::as_str)
    }

    /// The tables that a table references.
    pub fn parents(&self, table: usize) -> impl Iterator<Item = Join<'a>> {
        self.joins(table).filter(move |join| {
            self.references
                .iter()
                .any(|one| one.from == table && one.to == join.table && one.column == join.other)
        })
    }

    /// Whether a column identifies rows: it is called `id`, or another table references it.
    #[must_use]
    pub fn is_key(&self, table: usize, column: &str) -> bool {
        let referenced = |one: &Reference<'_>| one.to == table && one.key.eq_ignore_ascii_case(column);
        column.eq_ignore_ascii_case("id") || self.references.iter().any(referenced)
    }

    /// What can be joined to a table.
    pub fn joins(&self, with: usize) -> impl Iterator<Item = Join<'a>> {
        self.references.iter().filter_map(move |one| match () {
            () if one.from == one.to => None,
            () if one.from == with => Some(Join { table: one.to, column: one.key, with, other: one.column }),
            () if one.to == with => Some(Join { table: one.from, column: one.column, with, other: one.key }),
            () => None,
        })
    }

    /// The joins that lead from one of `there` to `wanted`, the shortest way.
    #[must_use]
    pub fn way(&self, there: &[usize], wanted: usize) -> Option<Vec<Join<'a>>> {
        let mut came: Vec<Option<Option<Join<'a>>>> = vec![None; self.tables.len()];
        let mut queue: VecDeque<(usize, usize)> = VecDeque::new();
        for start in there {
            *came.get_mut(*start)? = Some(None);
            queue.push_back((*start, 0));
        }
        while let Some((at, far)) = queue.pop_front() {
            if at == wanted {
                break;
            }
            for join in self.joins(at).filter(|_| far < MAX_WAY) {
                if came[join.table].is_none() {
                    came[join.table] = Some(Some(join));
                    queue.push_back((join.table, far + 1));
                }
            }
        }
        let mut way = Vec::new();
        let mut at = wanted;
        while let Some(join) = *came.get(at)?.as_ref()? {
            way.push(join);
            at = join.with;
        }
        way.reverse();
        Some(way)
    }

    /// A join as it is written behind a FROM; `alias` gives each table's name in the statement.
    #[must_use]
    pub fn written(&self, join: &Join<'_>, alias: impl Fn(usize) -> String) -> String {
        let (table, with) = (alias(join.table), alias(join.with));
        format!(
            "JOIN {} {table} ON {table}.{} = {with}.{}",
            plain(&self.tables[join.table].0),
            plain(join.column),
            plain(join.other)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition;

    fn shop() -> Vec<(String, Definition)> {
        [
            ("regions", "CREATE TABLE regions(id INTEGER, name TEXT)"),
            (
                "customers",
                "CREATE TABLE customers(id INTEGER, name TEXT, region_id INTEGER REFERENCES regions)",
            ),
            (
                "orders",
                "CREATE TABLE orders(id INTEGER, customer_id INTEGER REFERENCES customers(id), total REAL)",
            ),
            ("notes", "CREATE TABLE notes(id INTEGER, text TEXT)"),
        ]
        .map(|(name, sql)| (name.to_owned(), definition::read(sql)))
        .into()
    }

    #[test]
    fn tables_are_connected_along_their_references() {
        let tables = shop();
        let graph = Graph::new(&tables);
        let way = graph.way(&[2], 0).expect("orders lead to regions");
        let written: Vec<String> =
            way.iter().map(|join| graph.written(join, |table| graph.alias(table).to_owned())).collect();
        assert_eq!(
            written,
            ["JOIN customers c ON c.id = o.customer_id", "JOIN regions r ON r.id = c.region_id"]
        );
        assert!(graph.way(&[0], 3).is_none());
        assert_eq!(graph.named("c"), Some(1));
        assert_eq!(graph.named("ORDERS"), Some(2));
        let parents: Vec<usize> = graph.parents(2).map(|join| join.table).collect();
        assert_eq!(parents, [1]);
    }
}
