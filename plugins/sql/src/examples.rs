//! Requests and the statements that are right for them, made for the database that there is: a small model that is shown
//! a few statements over the real tables writes the next one alike, and calls rather than answers from its fancy.
//!
//! They are made by code from the references, types and names of the tables: one request for each pattern that models get
//! wrong (a join, a filter, a share, a count of groups, what has none of another).
//!
//! Invariant: every statement runs on the database as it is; an example whose tables or columns there are not is left out.

use crate::bindings::exports::pawl::sql::sql::Example;
use crate::definition::{Column, Definition};
use crate::graph::{Graph, Join};
use crate::schema::{is_text, plain};
use crate::{Database, HostError, schema};

/// The most examples; each costs every prompt its length.
const MAX_EXAMPLES: usize = 8;

/// Examples for this database.
///
/// # Errors
/// What the host says where the tables cannot be listed.
pub fn examples(database: &impl Database) -> Result<Vec<Example>, HostError> {
    let infos = database.tables()?;
    let tables: Vec<(String, Definition)> =
        infos.iter().map(|info| (info.name.clone(), schema::columns(database, info))).collect();
    let rows: Vec<u64> = infos.iter().map(|info| info.row_count.unwrap_or_default()).collect();
    let made = made(&Graph::new(&tables), &rows);
    Ok(made
        .into_iter()
        .filter(|example| database.query(&example.sql, 1).is_ok())
        .take(MAX_EXAMPLES)
        .collect())
}

/// A table of facts, and one that it points to.
struct Pair<'a> {
    /// How the fact is joined to `parent`.
    join: Join<'a>,
    fact: usize,
    parent: usize,
    /// The parent's name.
    name: &'a str,
    /// What can be added up of the fact.
    amount: Option<&'a str>,
    /// When it happened.
    day: Option<&'a str>,
}

fn made(graph: &Graph<'_>, rows: &[u64]) -> Vec<Example> {
    let pairs = pairs(graph, rows);
    let mut made = Vec::new();
    if let Some(pair) = pairs.first() {
        made.extend(of_pair(graph, pair));
    }
    // Another pair, so that not one table alone is known.
    let other = pairs.iter().find(|pair| {
        pairs.first().is_some_and(|first| first.fact != pair.fact && first.parent != pair.parent)
    });
    made.extend(other.into_iter().flat_map(|pair| of_groups(graph, pair)));
    if made.is_empty() {
        made.extend(graph.tables.first().map(|(name, _)| {
            example(
                format!("How many {} are there?", words(name)),
                format!("SELECT COUNT(*) AS n FROM {}", plain(name)),
            )
        }));
    }
    made
}

/// Facts with an amount or a day that point to a table with a name; the largest first.
fn pairs<'a>(graph: &Graph<'a>, rows: &[u64]) -> Vec<Pair<'a>> {
    let mut pairs = Vec::new();
    for (fact, (_, definition)) in graph.tables.iter().enumerate() {
        let numbers = ["real", "double", "float", "decimal", "numeric", "money"];
        let amount = first(definition, |column| numbers.iter().any(|word| column.declared.contains(word)));
        let days = ["_at", "_on", "date", "day"];
        let day = first(definition, |column| {
            is_text(&column.declared) && days.iter().any(|word| column.name.contains(word))
        });
        for join in graph.parents(fact) {
            let parent = &graph.tables[join.table].1;
            let name = first(parent, |column| is_text(&column.declared) && column.name.contains("name"));
            if let Some(name) = name
                && (amount.is_some() || day.is_some())
            {
                pairs.push(Pair { join, fact, parent: join.table, name, amount, day });
            }
        }
    }
    let worth = |pair: &Pair<'_>| {
        let facts = usize::from(pair.amount.is_some()) + usize::from(pair.day.is_some());
        (facts, rows.get(pair.fact).copied().unwrap_or_default())
    };
    pairs.sort_by_key(|pair| std::cmp::Reverse(worth(pair)));
    pairs
}

fn first(definition: &Definition, is: impl Fn(&Column) -> bool) -> Option<&str> {
    definition
        .columns
        .iter()
        .find(|column| column.references.is_none() && is(column))
        .map(|column| column.name.as_str())
}

/// A sum by name, and a period.
fn of_pair(graph: &Graph<'_>, pair: &Pair<'_>) -> Vec<Example> {
    let fact = &graph.tables[pair.fact].0;
    let parent = &graph.tables[pair.parent].0;
    let (f, p) = (graph.alias(pair.fact), graph.alias(pair.parent));
    let from =
        format!("{} {f} {}", plain(fact), graph.written(&pair.join, |table| graph.alias(table).to_owned()));
    let key = plain(pair.join.column);
    let name = plain(pair.name);
    let mut made = Vec::new();
    if let (Some(amount), Some(day)) = (pair.amount, pair.day) {
        let (amount_of, day) = (plain(amount), plain(day));
        made.push(example(
            format!("Total {} of {} by {} in May 2030, largest first", words(amount), words(fact), words(parent)),
            format!(
                "SELECT {p}.{name}, SUM({f}.{amount_of}) AS total FROM {from} WHERE {f}.{day} BETWEEN '2030-05-01' AND \
                 '2030-05-31' GROUP BY {p}.{key} ORDER BY total DESC"
            ),
        ));
    }
    if let Some(day) = pair.day {
        made.push(example(
            format!("How many {} were there on 3 March 2031?", words(fact)),
            format!("SELECT COUNT(*) AS n FROM {} {f} WHERE {f}.{} = '2031-03-03'", plain(fact), plain(day)),
        ));
    }
    if let Some(amount) = pair.amount {
        let amount_of = plain(amount);
        made.push(example(
            format!("What percentage of the {} comes from {} number 7?", words(amount), words(parent)),
            format!(
                "SELECT SUM(CASE WHEN {f}.{own} = 7 THEN {f}.{amount_of} ELSE 0 END) * 100.0 / SUM({f}.{amount_of}) AS percentage \
                 FROM {} {f}",
                plain(fact),
                own = plain(pair.join.other),
            ),
        ));
    }
    if let Some(day) = pair.day {
        made.push(example(
            format!("Names of the {} for which there were no {} on 3 March 2031", words(parent), words(fact)),
            format!(
                "SELECT {p}.{name} FROM {} {p} WHERE NOT EXISTS (SELECT 1 FROM {} {f} WHERE {f}.{} = {p}.{key} AND {f}.{} = \
                 '2031-03-03')",
                plain(parent),
                plain(fact),
                plain(pair.join.other),
                plain(day),
            ),
        ));
    }
    made
}

/// A count of groups, and an average over groups.
fn of_groups(graph: &Graph<'_>, pair: &Pair<'_>) -> Vec<Example> {
    let fact = &graph.tables[pair.fact].0;
    let parent = &graph.tables[pair.parent].0;
    let f = graph.alias(pair.fact);
    let own = plain(pair.join.other);
    let from = format!("{} {f}", plain(fact));
    vec![
        example(
            format!("How many {} have more than 40 {}?", words(parent), words(fact)),
            format!(
                "SELECT COUNT(*) AS n FROM (SELECT {f}.{own} FROM {from} GROUP BY {f}.{own} HAVING COUNT(*) > 40) t1"
            ),
        ),
        example(
            format!("On average, how many {} does one of the {} have?", words(fact), words(parent)),
            format!(
                "SELECT AVG(t1.n) AS average FROM (SELECT COUNT(*) AS n FROM {from} GROUP BY {f}.{own}) t1"
            ),
        ),
    ]
}

fn example(request: String, sql: String) -> Example {
    Example { request, sql }
}

/// `order_items` as a person says it.
fn words(name: &str) -> String {
    name.replace('_', " ").to_lowercase()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "the databases of these tests are their own")]
mod tests {
    use super::*;
    use crate::testing::Memory;

    #[test]
    fn they_run_on_the_database_and_join_it_along_its_references() {
        let database = Memory::new(
            "CREATE TABLE makers(id INTEGER PRIMARY KEY, name TEXT);
             CREATE TABLE lamps(id INTEGER PRIMARY KEY, maker_id INTEGER REFERENCES makers(id), name TEXT, made_on TEXT);
             CREATE TABLE repairs(id INTEGER PRIMARY KEY, lamp_id INTEGER REFERENCES lamps(id), done_on TEXT, cost REAL);",
        );
        let all = examples(&database).unwrap();
        assert!(all.len() >= 4, "{all:?}");
        let sums = all.iter().find(|example| example.sql.contains("SUM(r.cost) AS total")).unwrap();
        assert!(sums.sql.contains("FROM repairs r JOIN lamps l ON l.id = r.lamp_id"), "{sums:?}");
        assert_eq!(sums.request, "Total cost of repairs by lamps in May 2030, largest first");
        assert!(
            all.iter().any(|example| example.sql.contains("NOT EXISTS (SELECT 1 FROM repairs")),
            "{all:?}"
        );
        for example in &all {
            database.query(&example.sql, 10).unwrap();
        }
    }

    #[test]
    fn a_database_without_references_has_one_and_an_empty_one_none() {
        let one = examples(&Memory::new("CREATE TABLE \"odd name\"(x TEXT)")).unwrap();
        assert_eq!(
            one.iter().map(|example| example.sql.as_str()).collect::<Vec<_>>(),
            ["SELECT COUNT(*) AS n FROM \"odd name\""]
        );
        assert!(examples(&Memory::new("")).unwrap().is_empty());
    }
}
