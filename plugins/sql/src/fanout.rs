//! Refuses a sum or an average that counts rows twice: a column of one table, summed while a table that points to it is joined.
//!
//! `SELECT SUM(o.total) FROM orders o JOIN order_items i ON i.order_id = o.id` adds an order's total once for each of
//! its items. The database takes it without a word, so the wrong figure would be believed.
//!
//! Invariant: only sums whose every column is of one table, which another table of the same FROM references, are
//! refused; what this reader does not follow passes.

use crate::Error;
use crate::definition::{Column, Definition};
use crate::statement::{Token, tokens};

/// Words that end a table's alias, or stand where one could.
const NO_ALIAS: [&str; 16] = [
    "on", "using", "join", "left", "right", "full", "inner", "outer", "cross", "natural", "where", "group",
    "order", "limit", "having", "window",
];
/// Words that begin another SELECT at the same depth.
const SETS: [&str; 3] = ["union", "except", "intersect"];
/// The most columns that a message lists.
const MAX_NAMES: usize = 8;

/// Whether the statement sums or averages at all: what [`check`] is about. Cheap, and never wrongly false.
pub fn concerns(sql: &str) -> bool {
    let lower = sql.to_ascii_lowercase();
    ["sum", "avg", "total"].iter().any(|function| lower.contains(function))
}

/// Refuses the statement where it sums so; `tables` are all that there are.
///
/// # Errors
/// What is counted more than once, and what to write instead.
pub fn check(tables: &[(String, Definition)], sql: &str) -> Result<(), Error> {
    for select in selects(sql) {
        let used = used(tables, &select);
        for (function, sum) in sums(&select) {
            let Some(summed) = owner(&used, sum) else { continue };
            let many = used.iter().find(|one| one.name != summed.name && points(one.definition, summed.name));
            if let Some(many) = many {
                return Err(refusal(function, sum, summed, many));
            }
        }
    }
    Ok(())
}

fn refusal(function: &str, sum: &[Token<'_>], summed: &Used<'_>, many: &Used<'_>) -> Error {
    let argument: String = sum.iter().map(|token| token.text).collect();
    let key = many.definition.columns.iter().find(|column| refers(column, summed.name));
    let key = key.map_or("…", |column| column.name.as_str());
    let numbers = many
        .definition
        .columns
        .iter()
        .filter(|column| column.references.is_none() && is_number(&column.declared));
    let names: Vec<String> =
        numbers.take(MAX_NAMES).map(|column| format!("{}.{}", many.alias, column.name)).collect();
    let instead =
        if names.is_empty() { String::new() } else { format!("sum {} instead, or ", names.join(" or ")) };
    Error::WrongSql(format!(
        "{function}({argument}) counts each row of {summed} once for every row of {many} that is joined to it; {instead}leave {many} out of \
         the FROM: WHERE {one}.id IN (SELECT {key} FROM {many} WHERE …)",
        summed = summed.name,
        many = many.name,
        one = summed.alias,
    ))
}

/// Integers are mostly keys and counts, but a count can be what was meant.
fn is_number(declared: &str) -> bool {
    ["real", "double", "float", "decimal", "numeric", "money"].iter().any(|word| declared.contains(word))
}

/// A table of a FROM.
struct Used<'a> {
    name: &'a str,
    alias: String,
    definition: &'a Definition,
}

/// The tokens of each SELECT, without those of the SELECTs inside it.
fn selects(sql: &str) -> Vec<Vec<Token<'_>>> {
    let all: Vec<Token<'_>> = tokens(sql).collect();
    let (mut done, mut open) = (Vec::new(), vec![Vec::new()]);
    // For each parenthesis, whether a SELECT of its own is inside.
    let mut parentheses = Vec::new();
    for (index, token) in all.iter().enumerate() {
        let next = all.get(index + 1);
        match token.text {
            "(" => {
                let own = next.is_some_and(|next| next.text.eq_ignore_ascii_case("select"));
                parentheses.push(own);
                push(&mut open, *token);
                if own {
                    open.push(Vec::new());
                }
            }
            ")" => {
                if parentheses.pop() == Some(true) {
                    done.extend(open.pop());
                }
                push(&mut open, *token);
            }
            word if SETS.iter().any(|set| word.eq_ignore_ascii_case(set)) => {
                if let Some(last) = open.last_mut() {
                    done.push(std::mem::take(last));
                }
            }
            _ => push(&mut open, *token),
        }
    }
    done.extend(open);
    done
}

fn push<'a>(open: &mut [Vec<Token<'a>>], token: Token<'a>) {
    if let Some(last) = open.last_mut() {
        last.push(token);
    }
}

/// The tables after FROM, JOIN and the commas of a FROM.
fn used<'a>(tables: &'a [(String, Definition)], select: &[Token<'_>]) -> Vec<Used<'a>> {
    let (mut used, mut expected, mut inside) = (Vec::new(), false, false);
    for (index, token) in select.iter().enumerate() {
        let is = |words: &[&str]| words.iter().any(|word| token.text.eq_ignore_ascii_case(word));
        if is(&["from", "join"]) {
            (expected, inside) = (true, true);
            continue;
        }
        if is(&["where", "group", "order", "having", "limit"]) {
            inside = false;
        }
        if std::mem::take(&mut expected)
            && let Some(name) = token.name()
            && let Some((table, definition)) =
                tables.iter().find(|(table, _)| table.eq_ignore_ascii_case(&name))
        {
            let after = without_as(select.get(index + 1..).unwrap_or_default());
            let alias = after.first().and_then(Token::name);
            let alias = alias.filter(|alias| !NO_ALIAS.iter().any(|word| alias.eq_ignore_ascii_case(word)));
            used.push(Used { name: table, alias: alias.unwrap_or_else(|| table.clone()), definition });
        }
        expected |= inside && token.text == ",";
    }
    used
}

/// The tokens after AS, where they begin with it.
fn without_as<'a, 'b>(tokens: &'b [Token<'a>]) -> &'b [Token<'a>] {
    match tokens {
        [first, rest @ ..] if first.text.eq_ignore_ascii_case("as") => rest,
        all => all,
    }
}

/// Each `SUM` and `AVG` without DISTINCT, with what stands in its parentheses.
fn sums<'a, 'b>(select: &'b [Token<'a>]) -> Vec<(&'a str, &'b [Token<'a>])> {
    let mut found = Vec::new();
    for (index, token) in select.iter().enumerate() {
        let is_sum = ["sum", "total", "avg"].iter().any(|word| token.text.eq_ignore_ascii_case(word));
        let inside = select.get(index + 2..).unwrap_or_default();
        if !is_sum || select.get(index + 1).is_none_or(|open| open.text != "(") {
            continue;
        }
        let mut depth = 1_usize;
        let end = inside.iter().position(|token| {
            match token.text {
                "(" => depth += 1,
                ")" => depth -= 1,
                _ => {}
            }
            depth == 0
        });
        let argument = &inside[..end.unwrap_or(inside.len())];
        if !argument.iter().any(|token| token.text.eq_ignore_ascii_case("distinct")) {
            found.push((token.text, argument));
        }
    }
    found
}

/// The one table that all columns of an expression are of.
fn owner<'u, 'a>(used: &'u [Used<'a>], expression: &[Token<'_>]) -> Option<&'u Used<'a>> {
    let mut owners = Vec::new();
    for (index, token) in expression.iter().enumerate() {
        let Some(name) = token.name() else { continue };
        let next = expression.get(index + 1).map_or("", |next| next.text);
        let before =
            index.checked_sub(1).and_then(|index| expression.get(index)).map_or("", |token| token.text);
        if next == "." {
            let named = |one: &&Used<'_>| {
                one.alias.eq_ignore_ascii_case(&name) || one.name.eq_ignore_ascii_case(&name)
            };
            owners.push(used.iter().find(named)?);
        } else if before != "." && next != "(" {
            let has =
                |one: &&Used<'_>| one.definition.columns.iter().any(|c| c.name.eq_ignore_ascii_case(&name));
            // A keyword is no column of any.
            owners.extend(used.iter().find(has));
        }
    }
    let (first, rest) = owners.split_first()?;
    rest.iter().all(|one| one.alias == first.alias).then_some(*first)
}

fn points(definition: &Definition, table: &str) -> bool {
    definition.columns.iter().any(|column| refers(column, table))
}

fn refers(column: &Column, table: &str) -> bool {
    column.parent().is_some_and(|parent| parent.eq_ignore_ascii_case(table))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition;

    fn shop() -> Vec<(String, Definition)> {
        [
            ("regions", "CREATE TABLE regions(id INTEGER, name TEXT)"),
            ("orders", "CREATE TABLE orders(id INTEGER, region_id INTEGER REFERENCES regions(id), total REAL)"),
            (
                "order_items",
                "CREATE TABLE order_items(order_id INTEGER REFERENCES orders(id), quantity INTEGER, line_total REAL)",
            ),
        ]
        .map(|(name, sql)| (name.to_owned(), definition::read(sql)))
        .into()
    }

    #[test]
    fn a_sum_over_the_one_side_of_a_join_is_refused_with_what_to_write() {
        for sql in [
            "SELECT SUM(o.total) FROM orders o JOIN order_items i ON i.order_id = o.id",
            "SELECT sum(total * 2) FROM order_items, orders AS o WHERE order_id = o.id GROUP BY region_id",
            "SELECT r.name, (SELECT SUM(orders.total) FROM orders LEFT JOIN order_items ON order_id = id) FROM regions r",
            "SELECT 1 UNION SELECT SUM(CASE WHEN o.id > 3 THEN o.total ELSE 0 END) FROM order_items i JOIN orders o ON 1",
            "SELECT AVG(o.total) FROM orders o JOIN order_items i ON i.order_id = o.id",
            "WITH t1 AS (SELECT SUM(o.total) AS s FROM orders o JOIN order_items i ON i.order_id = o.id) SELECT s FROM t1",
        ] {
            let Err(Error::WrongSql(message)) = check(&shop(), sql) else { panic!("{sql}") };
            assert!(
                message.contains("line_total") && message.contains("once for every row of order_items"),
                "{message}"
            );
            assert!(message.contains("IN (SELECT order_id FROM order_items"), "{message}");
        }
    }

    #[test]
    fn a_sum_that_counts_nothing_twice_passes() {
        for sql in [
            "SELECT SUM(total) FROM orders",
            "SELECT r.name, SUM(o.total) FROM orders o JOIN regions r ON r.id = o.region_id GROUP BY r.id",
            "SELECT SUM(i.line_total) FROM orders o JOIN order_items i ON i.order_id = o.id",
            "SELECT SUM(i.quantity * o.total) FROM orders o JOIN order_items i ON i.order_id = o.id",
            "SELECT SUM(DISTINCT o.total) FROM orders o JOIN order_items i ON i.order_id = o.id",
            "SELECT SUM(total) FROM orders WHERE id IN (SELECT order_id FROM order_items)",
            "SELECT MAX(o.total), COUNT(*) FROM orders o JOIN order_items i ON i.order_id = o.id",
            "SELECT SUM(o.total",
            "SUM( FROM orders (((",
        ] {
            assert_eq!(check(&shop(), sql).map_err(|error| format!("{error:?}")), Ok(()), "{sql}");
        }
    }
}
