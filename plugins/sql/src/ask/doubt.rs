//! What makes a statement doubtful although it runs: nothing fulfils its conditions, or the question asks for each of something that
//! the statement does not tell apart. Said to the model once; where it writes nothing better, the first statement stands.

use super::question::Question;
use super::scope::{Cells, Table};
use crate::relate::stem;
use crate::schema::plain;

/// Words before that which is told apart: "per region", "for each of the regions".
const EACH: [&str; 4] = ["each", "every", "per", "by"];
/// Words that may stand between.
const BETWEEN: [&str; 5] = ["of", "the", "our", "single", "one"];

/// What speaks against a statement that gave these rows; none where nothing does.
#[must_use]
pub fn doubt(question: &Question, tables: &[Table<'_>], sql: &str, empty: bool) -> Option<String> {
    if empty && is_narrow(sql) {
        let why = "no row has all that; one of the conditions may be on the wrong column, or not asked for";
        return Some(why.to_owned());
    }
    let told = told_apart(sql);
    let words: Vec<String> = question
        .text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    for (place, _) in words.iter().enumerate().filter(|(_, word)| EACH.contains(&word.as_str())) {
        let mut after = words[place + 1..].iter().skip_while(|word| BETWEEN.contains(&word.as_str()));
        let Some(asked) = after.next().map(|word| stem(word)) else { continue };
        let ways = ways(tables, &asked);
        if let Some(best) = ways.first()
            && !ways.iter().any(|way| told.contains(way))
        {
            return Some(format!("the question asks for each {asked}: select {best}, and group by it"));
        }
    }
    None
}

/// Whether a condition on a value can be why nothing is found; of what asks for the absence of something it is an answer.
fn is_narrow(sql: &str) -> bool {
    let conditions = sql.split_once(" WHERE ").or_else(|| sql.split_once(" HAVING "));
    let compares =
        conditions.is_some_and(|(_, rest)| rest.contains(|c: char| c == '\'' || c.is_ascii_digit()));
    compares && !sql.contains(" NOT IN (")
}

/// The columns that tell apart what is called so, the best first.
fn ways(tables: &[Table<'_>], asked: &str) -> Vec<String> {
    let mut ways = Vec::new();
    for table in tables {
        let name = |column: &str| format!("{}.{}", plain(table.name), plain(column));
        let last = table.name.rsplit('_').next().unwrap_or(table.name);
        if stem(last) == asked || stem(table.name) == asked {
            let named = table.columns.iter().find(|seen| seen.column.name.ends_with("name"));
            let text = || table.columns.iter().find(|seen| matches!(seen.cells, Cells::Text(_)));
            let own = named.or_else(text).map(|seen| name(&seen.column.name));
            ways.splice(0..0, own);
            ways.extend(table.columns.iter().map(|seen| name(&seen.column.name)));
        }
        for seen in &table.columns {
            let refers = seen
                .column
                .references
                .as_ref()
                .is_some_and(|reference| stem(reference.split('.').next().unwrap_or(reference)) == asked);
            if refers || (stem(&seen.column.name) == asked && seen.cells != Cells::Key) {
                ways.push(name(&seen.column.name));
            }
        }
    }
    ways
}

/// What the statement selects and groups by, all its SELECTs together.
fn told_apart(sql: &str) -> String {
    let until = |text: &str, ends: &[&str]| {
        let end = ends.iter().filter_map(|end| text.find(end)).min().unwrap_or(text.len());
        text[..end].to_owned()
    };
    let selected = sql.split("SELECT ").skip(1).map(|rest| until(rest, &[" FROM "]));
    let grouped = sql.split(" BY ").skip(1).map(|rest| until(rest, &[" HAVING ", " LIMIT ", ")"]));
    selected.chain(grouped).collect::<Vec<_>>().join(" ")
}
