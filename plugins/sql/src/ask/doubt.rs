//! What makes a statement doubtful although it runs: nothing fulfils its conditions, the question asks for each of something that
//! the statement does not tell apart, or for the first of each and nothing is ranked. Said to the model once; where it writes nothing
//! better, the first statement stands.

use super::question::Question;
use super::scope::{Cells, Table};
use crate::apart;
use crate::relate::stem;
use crate::schema::plain;

/// Words before that which is told apart: "per region", "for each of the regions".
const EACH: [&str; 4] = ["each", "every", "per", "by"];
/// Words that may stand between.
const BETWEEN: [&str; 5] = ["of", "the", "our", "single", "one"];

/// Words that ask for one of many.
const FIRST: [&str; 10] =
    ["most", "least", "best", "worst", "highest", "lowest", "largest", "biggest", "smallest", "top"];

/// What speaks against a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// As the model is told it.
    pub why: String,
    /// The statement that does what is missing, where code can write it.
    pub mended: Option<String>,
}

/// What speaks against a statement that gave these rows; none where nothing does.
#[must_use]
pub fn doubt(question: &Question, tables: &[Table<'_>], sql: &str, empty: bool) -> Option<Doubt> {
    if empty && is_narrow(sql) {
        let why = "no row has all that; one of the conditions may be on the wrong column, or not asked for";
        return Some(Doubt { why: why.to_owned(), mended: None });
    }
    let told = told_apart(sql);
    let words = words(&question.text);
    if let Some(condition) = days(question, tables, &words, sql) {
        let why = format!("the question compares two days: add the condition {condition}");
        return Some(Doubt { why, mended: apart::and(sql, &condition) });
    }
    for asked in each(&words) {
        let ways = ways(tables, &asked);
        let Some(best) = ways.first() else { continue };
        if !ways.iter().any(|way| told.contains(way)) {
            let why = format!("the question asks for each {asked}: select {best} too, and group by it");
            return Some(Doubt { why, mended: apart::by(sql, best) });
        }
        if words.iter().any(|word| FIRST.contains(&word.as_str())) && !is_ranked(&words, sql) {
            let way = ways.iter().find(|way| told.contains(*way)).unwrap_or(best);
            let why = format!(
                "the question asks for the first of each {asked}: rank them, as in SELECT t.ward, t.doctor FROM (SELECT ..., \
                 RANK() OVER (PARTITION BY {way} ORDER BY SUM(...) DESC) AS place FROM ... GROUP BY ...) AS t WHERE t.place = 1"
            );
            return Some(Doubt { why, mended: None });
        }
    }
    None
}

/// The condition that is missing where the question compares two days by their names: "finished after their due date".
fn days(question: &Question, tables: &[Table<'_>], words: &[String], sql: &str) -> Option<String> {
    if !question.compares_days() {
        return None;
    }
    let mut named: Vec<(usize, String)> = Vec::new();
    for table in tables {
        for seen in table.columns.iter().filter(|seen| matches!(seen.cells, Cells::Day { .. })) {
            let first = stem(seen.column.name.split('_').next().unwrap_or_default());
            let at = words.iter().rposition(|word| stem(word) == first);
            named.extend(at.map(|at| (at, format!("{}.{}", plain(table.name), plain(&seen.column.name)))));
        }
    }
    named.sort();
    let [(_, one), (_, other)] = named.as_slice() else { return None };
    let compared = sql.split([' ', '(', ')']).collect::<Vec<_>>().windows(3).any(|run| {
        let is_day = |text: &str| text == one || text == other;
        is_day(run[0]) && is_day(run[2])
    });
    let operator =
        if words.iter().any(|word| word == "before" || word.starts_with("earl")) { "<" } else { ">" };
    (!compared).then(|| format!("{one} {operator} {other}"))
}

/// Whether the question asks for something of each.
#[must_use]
pub fn asks_for_each(question: &Question) -> bool {
    words(&question.text).iter().any(|word| EACH.contains(&word.as_str()))
}

fn words(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

/// That of which the question asks for each.
fn each(words: &[String]) -> Vec<String> {
    let places = words.iter().enumerate().filter(|(_, word)| EACH.contains(&word.as_str()));
    let after = places.filter_map(|(place, _)| {
        words[place + 1..].iter().find(|word| !BETWEEN.contains(&word.as_str())).map(|word| stem(word))
    });
    after.collect()
}

/// Whether the first of each is found: by a rank, or by the largest or smallest value of a column, beside which SQLite gives its row.
/// The most or the least of something is a sum or a count, and needs a rank.
fn is_ranked(words: &[String], sql: &str) -> bool {
    let adds_up = words.iter().any(|word| word == "most" || word == "least");
    sql.contains(" OVER (") || (!adds_up && (sql.contains("MAX(") || sql.contains("MIN(")))
}

/// Whether a condition on a value can be why nothing is found; of what asks for the absence of something it is an answer.
fn is_narrow(sql: &str) -> bool {
    let conditions = sql.split_once(" WHERE ").or_else(|| sql.split_once(" HAVING "));
    let compares =
        conditions.is_some_and(|(_, rest)| rest.contains(|c: char| c == '\'' || c.is_ascii_digit()));
    let is_total = ["SELECT COUNT(", "SELECT SUM(", "SELECT AVG("].iter().any(|total| sql.starts_with(total));
    compares && (is_total || !sql.contains(" NOT IN ("))
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
