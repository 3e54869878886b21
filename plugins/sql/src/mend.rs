//! From the host's refusal to an error that tells a model what to write instead.
//!
//! Invariant: every message names what was wrong and something that exists: the nearest name, the table that has
//! the column, SQLite's way to say what another dialect says.

use crate::definition::Column;
use crate::schema::{columns, plain};
use crate::statement::{Token, tokens};
use crate::{Database, Error, HostError, SqlDialect};

/// The most names that a message lists.
const MAX_NAMES: usize = 40;

/// What to change in `statement`, which the host answered with `error`.
pub fn explain(database: &impl Database, statement: &str, error: HostError) -> Error {
    match error {
        HostError::NotGranted(name) => Error::Unavailable(format!(
            "the database `{name}` is not granted to this plugin; the operator can grant it in pawl.toml"
        )),
        HostError::Missing(name) => {
            Error::Unavailable(format!("the file of the database `{name}` is missing; tell the user"))
        }
        HostError::NotReadOnly(what) => {
            Error::NotASelect(format!("{what}; only SELECT can run, the database is read-only"))
        }
        HostError::Limit(limit) => {
            Error::Limit(format!("{limit}; ask for less: aggregate, add a WHERE or a LIMIT"))
        }
        HostError::Sql(message) => sql(database, statement, &message),
        HostError::NotAllowed(why) => Error::NotAllowed(why),
        HostError::NoTrial(why) => {
            Error::NotAllowed(format!("{why}; a person has to run it with the database's own tools"))
        }
        HostError::NeedsApproval => Error::NotAllowed("a person must approve it first".to_owned()),
        HostError::Unavailable(why) => {
            Error::Unavailable(format!("the database cannot be reached: {why}; tell the user"))
        }
    }
}

fn sql(database: &impl Database, statement: &str, message: &str) -> Error {
    let named = |prefix: &str| {
        let start = message.find(prefix)? + prefix.len();
        let rest = &message[start..];
        // The host may add where in the statement it was.
        let end = rest.find([' ', '\n', ',']).unwrap_or(rest.len());
        Some(rest[..end].trim_end_matches(':').to_owned())
    };
    if let Some(name) = named("no such column: ") {
        return Error::UnknownName(unknown_column(&Known::new(database), statement, &name));
    }
    if let Some(name) = named("no such table: ") {
        let known = Known::new(database);
        let list = list(known.0.iter().map(|(table, _)| table.as_str()));
        let names = known.0.iter().map(|(table, _)| (table.as_str(), table.as_str()));
        let hint = nearest(&name, names).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        return Error::UnknownName(format!("no table `{name}`{hint}; tables: {list}"));
    }
    if let Some(name) = named("no such function: ") {
        return Error::WrongSql(format!("SQLite has no function {name}{}", substitute(&name)));
    }
    if let Some(name) = named("ambiguous column name: ") {
        return Error::WrongSql(format!(
            "the column `{name}` is in several of the tables; write table.{name}"
        ));
    }
    let message: String = message.chars().take(300).collect();
    if message.contains("misuse of aggregate") {
        return Error::WrongSql(format!(
            "{message}; conditions on aggregates belong in HAVING, after GROUP BY"
        ));
    }
    let dialect = match database.dialect() {
        SqlDialect::Sqlite => "SQLite",
        SqlDialect::Postgres => "PostgreSQL",
        SqlDialect::Mysql => "MySQL",
    };
    Error::WrongSql(format!("{message}; this is {dialect}'s dialect, correct the statement"))
}

/// Tables with their columns.
struct Known(Vec<(String, Vec<Column>)>);

impl Known {
    fn new(database: &impl Database) -> Known {
        let tables = database.tables().unwrap_or_default();
        Known(
            tables.into_iter().map(|table| (plain(&table.name), columns(database, &table).columns)).collect(),
        )
    }
}

fn unknown_column(known: &Known, statement: &str, name: &str) -> String {
    let column = name.rsplit('.').next().unwrap_or(name);
    let used: Vec<String> = tokens(statement).filter_map(|token| Token::name(&token)).collect();
    let is_used =
        |table: &str| used.iter().any(|word| word.eq_ignore_ascii_case(table) || plain(word) == table);
    let having: Vec<&str> = known
        .0
        .iter()
        .filter(|(_, columns)| columns.iter().any(|each| each.name.eq_ignore_ascii_case(column)))
        .map(|(table, _)| table.as_str())
        .collect();
    let mut message = format!("no column `{name}` in the tables used");
    if having.is_empty() {
        let all = known.0.iter().flat_map(|(table, columns)| {
            columns.iter().map(move |each| (each.name.as_str(), table.as_str()))
        });
        if let Some(near) = nearest(column, all.clone().map(|(name, _)| (name, name))) {
            let tables = all.filter(|(name, _)| *name == near).map(|(_, table)| table);
            message.push_str(&format!("; did you mean `{near}` of {}?", list(tables)));
        }
    } else {
        let (table, rest) = (having[0], &having[1..]);
        let others =
            if rest.is_empty() { String::new() } else { format!(" and {}", list(rest.iter().copied())) };
        let join = if is_used(table) { "check the alias before it" } else { "join it" };
        message.push_str(&format!("; `{column}` is in {table}{others}: {join}"));
    }
    for (table, columns) in known.0.iter().filter(|(table, _)| is_used(table)) {
        let names: Vec<String> = columns.iter().map(|each| plain(&each.name)).collect();
        message.push_str(&format!("; {table} has {}", list(names.iter().map(String::as_str))));
    }
    message
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = names.take(MAX_NAMES + 1).collect();
    if names.len() > MAX_NAMES {
        names[MAX_NAMES] = "…";
    }
    names.join(", ")
}

/// What SQLite has in place of other dialects' functions.
fn substitute(function: &str) -> &'static str {
    match function.to_ascii_lowercase().as_str() {
        "year" => "; write strftime('%Y', column)",
        "month" => "; write strftime('%m', column)",
        "day" | "dayofmonth" => "; write strftime('%d', column)",
        "dayofweek" | "weekday" => "; write strftime('%w', column), 0 is Sunday",
        "quarter" => "; write (strftime('%m', column) + 2) / 3",
        "extract" | "date_part" | "datepart" | "date_trunc" | "to_char" | "date_format" => {
            "; write strftime('%Y-%m', column) or another format of strftime"
        }
        "now" | "curdate" | "getdate" | "sysdate" => "; write date('now')",
        "datediff" => "; write julianday(a) - julianday(b)",
        "dateadd" | "date_add" | "date_sub" | "adddate" => "; write date(column, '+7 days')",
        "isnull" | "nvl" => "; write coalesce(column, 0)",
        "left" => "; write substr(column, 1, n)",
        "right" => "; write substr(column, -n)",
        "if" | "decode" => "; write CASE WHEN … THEN … ELSE … END",
        "stddev" | "median" | "percentile_cont" | "var_pop" => "; give the rows or the average instead",
        _ => "; use another",
    }
}

/// The name (with what it stands for) that a slip of the pen would turn into `wanted`.
fn nearest<'a>(wanted: &str, names: impl Iterator<Item = (&'a str, &'a str)>) -> Option<&'a str> {
    let wanted = wanted.to_lowercase();
    names
        .map(|(name, meant)| (distance(&wanted, &name.to_lowercase()), name.len(), meant))
        .filter(|(distance, length, _)| *distance * 3 <= wanted.len().max(*length) && *distance > 0)
        .min_by_key(|(distance, _, _)| *distance)
        .map(|(_, _, meant)| meant)
}

/// Edit distance by characters (Levenshtein); names longer than 64 are far from everything.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    if a.len() > 64 || b.len() > 64 {
        return usize::MAX / 4;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let changed = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Memory;

    fn refused(sql: &str) -> Error {
        let database = Memory::new(
            "CREATE TABLE customers(id INTEGER PRIMARY KEY, name TEXT, region_id INTEGER);
             CREATE TABLE orders(id INTEGER PRIMARY KEY, customer_id INTEGER, ordered_at TEXT, total REAL);",
        );
        crate::run(&database, sql).expect_err(sql)
    }

    #[test]
    fn an_unknown_column_is_answered_with_one_that_exists() {
        for (sql, parts) in [
            ("SELECT totl FROM orders", &["`total` of orders", "orders has id, customer_id"][..]),
            (
                "SELECT ordered_at FROM customers",
                &["`ordered_at` is in orders: join it", "customers has id, name"],
            ),
            ("SELECT c.total FROM customers c JOIN orders o ON o.customer_id = c.id", &["alias"]),
            ("SELECT id, frobnication FROM orders", &["orders has id, customer_id, ordered_at, total"]),
        ] {
            match refused(sql) {
                Error::UnknownName(message) => {
                    assert!(parts.iter().all(|part| message.contains(part)), "{sql}: {message}");
                }
                other => panic!("{sql}: {other:?}"),
            }
        }
    }

    #[test]
    fn an_unknown_table_is_answered_with_those_that_exist() {
        match refused("SELECT * FROM order_") {
            Error::UnknownName(message) => {
                assert_eq!(message, "no table `order_`; did you mean orders?; tables: customers, orders");
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn other_dialects_are_translated() {
        for (sql, part) in [
            ("SELECT year(ordered_at) FROM orders", "strftime('%Y', column)"),
            ("SELECT QUARTER(ordered_at) FROM orders", "+ 2) / 3"),
            ("SELECT c.id FROM customers c JOIN orders o WHERE id = 1", "write table.id"),
            ("SELECT name FROM customers WHERE count(*) > 1", "HAVING"),
            ("SELECT FROM orders", "SQLite"),
        ] {
            match refused(sql) {
                Error::WrongSql(message) => assert!(message.contains(part), "{sql}: {message}"),
                other => panic!("{sql}: {other:?}"),
            }
        }
    }

    #[test]
    fn the_distance_of_names_is_that_of_levenshtein() {
        for (a, b, expected) in [("", "abc", 3), ("kitten", "sitting", 3), ("same", "same", 0), ("é", "e", 1)]
        {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }
}
