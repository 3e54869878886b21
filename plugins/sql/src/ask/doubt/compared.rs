//! Comparisons of columns that a question asks for and a statement leaves out, or writes the wrong way round.

use super::{Asked, Doubt};
use crate::ask::scope::Cells;
use crate::conditions;
use crate::relate::stem;
use crate::schema::plain;

/// Words before the day that another is compared with: "later than promised", "after the due date".
const COMPARES: [&str; 4] = ["than", "after", "before", "past"];
/// Words for less than what follows, and for more.
const BELOW: [&str; 4] = ["below", "under", "less", "fewer"];
const ABOVE: [&str; 4] = ["above", "over", "more", "exceed"];
/// What turns them round.
const DENIES: [&str; 6] = ["not", "no", "never", "without", "neither", "nor"];
/// So many words before a column's name they stand at most.
const NEAR: usize = 3;

impl Asked<'_> {
    /// Where the question compares two days of a table by their names, "finished after their due date", and the statement does not; or
    /// where it names one and the statement compares a day with itself.
    pub(super) fn days(&self, sql: &str) -> Option<Doubt> {
        if !self.question.compares_days() {
            return None;
        }
        let mut named: Vec<(usize, &str, String)> = Vec::new();
        for table in self.tables {
            for seen in table.columns.iter().filter(|seen| matches!(seen.cells, Cells::Day { .. })) {
                let first = stem(seen.column.name.split('_').next().unwrap_or_default());
                let at = self.stems.iter().rposition(|word| *word == first);
                let name = || format!("{}.{}", plain(table.name), plain(&seen.column.name));
                named.extend(at.map(|at| (at, table.name, name())));
            }
        }
        named.sort();
        let parts: Vec<&str> = sql.split([' ', '(', ')']).collect();
        let compares = |one: &str, other: &str| parts.windows(3).any(|run| run[0] == one && run[2] == other);
        match named.as_slice() {
            [(at, table, one), (to, same, other)]
                if at < to && table == same && !compares(one, other) && !compares(other, one) =>
            {
                let before = &self.words[to.saturating_sub(NEAR)..*to];
                let word = before.iter().find(|word| COMPARES.contains(&word.as_str()))?;
                let is_before = word == "before" || self.words.iter().any(|word| word.starts_with("earl"));
                let condition = format!("{one} {} {other}", if is_before { "<" } else { ">" });
                let why = format!("the question compares two days: add the condition {condition}");
                Some(Doubt { why, mended: conditions::and(sql, &condition) })
            }
            [(_, _, named)] => {
                let own = parts
                    .windows(3)
                    .find(|run| run[0] == run[2] && run[0].contains('.') && run[0] != named)?;
                let wrong = own.join(" ");
                let right = format!("{} {} {named}", own[0], own[1]);
                let why = format!("{wrong} compares a day with itself: write {right}");
                Some(Doubt { why, mended: Some(sql.replace(&wrong, &right)) })
            }
            _ => None,
        }
    }

    /// Where the question asks for what is below a column that it names, or above it, and the statement compares the other way round.
    pub(super) fn below(&self, sql: &str) -> Option<Doubt> {
        let says = |all: &[&str]| self.words.iter().any(|word| all.contains(&word.as_str()));
        // The smaller side of what is right.
        let is_below = match (says(&BELOW), says(&ABOVE)) {
            (true, false) => true,
            (false, true) => false,
            _ => return None,
        };
        if says(&DENIES) {
            return None;
        }
        let (right, turned) = if is_below { ("<", ">") } else { (">", "<") };
        let near = if is_below { &BELOW } else { &ABOVE };
        let parts: Vec<&str> = sql.split([' ', '(', ')']).collect();
        let columns = self.tables.iter().flat_map(|table| {
            let numbers =
                table.columns.iter().filter(|seen| matches!(seen.cells, Cells::Number | Cells::Flag(_)));
            numbers.map(move |seen| (table, &seen.column.name))
        });
        for (table, name) in columns {
            let stems: Vec<String> = name.split('_').map(stem).collect();
            let Some(at) = self.stems.windows(stems.len()).position(|run| run == stems) else { continue };
            let before = &self.words[at.saturating_sub(NEAR)..at];
            if stems.len() < 2 || !before.iter().any(|word| near.contains(&word.as_str())) {
                continue;
            }
            let column = format!("{}.{}", plain(table.name), plain(name));
            let is_column = |text: &str| text.contains('.') && text.starts_with(char::is_alphabetic);
            // The other column is what lies below this one.
            let wrong: Vec<&[&str]> = parts
                .windows(3)
                .filter(|run| match run {
                    [one, sign, other] if *one == column => is_column(other) && sign.starts_with(right),
                    [one, sign, other] if *other == column => is_column(one) && sign.starts_with(turned),
                    _ => false,
                })
                .collect();
            if let [[one, sign, other]] = wrong.as_slice() {
                let wrong = format!("{one} {sign} {other}");
                let condition = format!("{one} {} {other}", if sign.starts_with('<') { ">" } else { "<" });
                let why = format!("{wrong} is the wrong way round: write {condition}");
                let ends = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
                let (at, _) = sql.match_indices(&wrong).find(|(at, _)| ends(&sql[at + wrong.len()..]))?;
                let mended = format!("{}{condition}{}", &sql[..at], &sql[at + wrong.len()..]);
                return Some(Doubt { why, mended: Some(mended) });
            }
        }
        None
    }
}
