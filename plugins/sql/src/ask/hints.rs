//! What the question calls tables, columns and flags, told to the model beside the tables.

use super::question::Question;
use super::scope::{Cells, Seen, Table};
use crate::relate::{stem, words};

/// At most so many are told.
const MAX_HINTS: usize = 12;

/// A line for each.
#[must_use]
pub fn hints(tables: &[Table<'_>], question: &Question) -> Vec<String> {
    let asked = Said(stems(&question.text));
    let tables_said = tables.iter().filter(|table| {
        let name = stems(table.name);
        name.len() > 1 && asked.has(&name)
    });
    let tables_said =
        tables_said.map(|table| format!("\"{}\" are in {}.\n", table.name.replace('_', " "), table.name));
    let columns = || tables.iter().flat_map(|table| table.columns.iter().map(move |seen| (table.name, seen)));
    let called = columns().filter_map(|(table, seen)| {
        let alone =
            |name: &[String]| columns().filter(|(_, other)| stems(&other.column.name) == name).count() == 1;
        let called = asked.called(seen, alone)?;
        Some(format!("\"{called}\" is {table}.{}.\n", seen.column.name))
    });
    let flags = columns().filter_map(|(table, seen)| asked.flag(table, seen));
    tables_said.chain(called).chain(flags).take(MAX_HINTS).collect()
}

fn stems(text: &str) -> Vec<String> {
    words(text).iter().map(|word| stem(word)).collect()
}

/// The words of a question, without endings.
struct Said(Vec<String>);

impl Said {
    fn has(&self, name: &[String]) -> bool {
        !name.is_empty() && self.0.windows(name.len()).any(|run| run == name)
    }

    /// What the question calls a column: its whole name, "unit price"; a single word only where it is a figure and no other column's; or
    /// the words that its comment begins with, "standard cost of one unit".
    fn called(&self, seen: &Seen<'_>, alone: impl Fn(&[String]) -> bool) -> Option<String> {
        let (name, is_figure) = (stems(&seen.column.name), seen.cells == Cells::Number);
        let tells = self.has(&name) && (name.len() > 1 || (is_figure && alone(&name)));
        if tells && seen.cells != Cells::Key {
            return Some(seen.column.name.replace('_', " "));
        }
        let mut full = words(&seen.column.comment);
        full.truncate(2);
        let said = is_figure && full.len() == 2 && full.iter().all(|word| word.len() > 3);
        (said && self.has(&stems(&full.join(" ")))).then(|| full.join(" "))
    }

    /// What a flag says, where its name or comment shares a word with the question.
    fn flag(&self, table: &str, seen: &Seen<'_>) -> Option<String> {
        let Cells::Flag(values) = &seen.cells else { return None };
        let (name, comment) = (&seen.column.name, &seen.column.comment);
        let shared = words(&format!("{comment} {name}"));
        let is_said = shared.iter().any(|word| word.len() > 3 && self.0.contains(&stem(word)));
        if comment.is_empty() || !is_said {
            return None;
        }
        let is_yes_or_no = values.iter().all(|value| (0..=1).contains(value));
        Some(match comment.strip_prefix("1: ").and_then(|denied| Some((denied, affirmed(denied)?))) {
            Some((denied, affirmed)) if is_yes_or_no => {
                format!("{table}.{name} = 0: {affirmed}. {table}.{name} = 1: {denied}.\n")
            }
            _ => format!("{table}.{name}: {comment}.\n"),
        })
    }
}

/// The contrary of what denies one thing: "may not be lent", "no longer made"; none of what says more than that.
fn affirmed(denied: &str) -> Option<String> {
    let says_more = |word: &String| ["but", "and", "only"].contains(&word.as_str());
    if denied.contains(|c: char| c.is_ascii_digit() || matches!(c, ',' | ';' | ':'))
        || words(denied).iter().any(says_more)
    {
        return None;
    }
    let padded = format!(" {denied}");
    let denial = [" not yet ", " no longer ", " not ", " never "]
        .into_iter()
        .find(|denial| padded.contains(denial))?;
    Some(padded.replacen(denial, " ", 1).trim().to_owned())
}
