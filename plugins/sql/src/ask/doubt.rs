//! What makes a statement doubtful although it runs: nothing fulfils its conditions, the question asks for each of something that
//! the statement does not tell apart, for the first of each and nothing is ranked, for a name, a period or a comparison of days that is not there. Said to the model once; where it writes nothing
//! better, the first statement stands.

use super::question::{Period, Question};
use super::scope::{Cells, Table};
use crate::relate::{Mention, stem};
use crate::schema::plain;
use crate::statement::literal;
use crate::{apart, conditions};

/// Words before that which is told apart: "per region", "for each of the regions".
const EACH: [&str; 4] = ["each", "every", "per", "by"];
/// Words that may stand between.
const BETWEEN: [&str; 5] = ["of", "the", "our", "single", "one"];

/// What a day is a part of.
const TIMES: [&str; 5] = ["day", "week", "month", "quarter", "year"];
/// Words that ask for one of many.
const FIRST: [&str; 10] =
    ["most", "least", "best", "worst", "highest", "lowest", "largest", "biggest", "smallest", "top"];

/// Words for less than what follows, and for more.
const BELOW: [&str; 4] = ["below", "under", "less", "fewer"];
const ABOVE: [&str; 4] = ["above", "over", "more", "exceed"];
/// So many words before a column's name they stand at most.
const NEAR: usize = 3;
/// So many conditions are tried whether nothing is found because of them.
const MAX_CONDITIONS: usize = 8;

/// What speaks against a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// As the model is told it.
    pub why: String,
    /// The statement that does what is missing, where code can write it.
    pub mended: Option<String>,
}

/// What speaks against a statement; none where nothing does. `empty` says that it gave no row, `has_rows` whether another one would.
#[must_use]
pub fn doubt(
    question: &Question,
    tables: &[Table<'_>],
    mentions: &[Mention],
    sql: &str,
    empty: bool,
    has_rows: impl Fn(&str) -> bool,
) -> Option<Doubt> {
    if let Some(doubt) = unnamed(question, tables, mentions, sql) {
        return Some(doubt);
    }
    let told = told_apart(sql);
    let words = words(&question.text);
    if let Some(doubt) = misplaced(question, tables, &words, sql) {
        return Some(doubt);
    }
    if empty && is_narrow(sql) {
        return Some(Doubt { why: nothing(sql, has_rows), mended: None });
    }
    if let Some(doubt) = days(question, tables, &words, sql) {
        return Some(doubt);
    }
    if let Some(doubt) = below(tables, &words, sql) {
        return Some(doubt);
    }
    if let Some(doubt) = period(question, tables, sql) {
        return Some(doubt);
    }
    for phrase in each(&words) {
        let Some(asked) = phrase.iter().find(|word| !ways(tables, word).is_empty()).or(phrase.first()) else {
            continue;
        };
        // A month is told apart by a day.
        if TIMES.contains(&asked.as_str()) && (sql.contains("strftime(") || told.contains(asked)) {
            continue;
        }
        let ways = ways(tables, asked);
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

/// Where the question has a name, "Eyes" of the wards, and the statement has not.
fn unnamed(question: &Question, tables: &[Table<'_>], mentions: &[Mention], sql: &str) -> Option<Doubt> {
    let is_name = |one: &&Mention| {
        let begins = one.value.starts_with(char::is_uppercase) && !question.text.starts_with(&one.value);
        begins && question.text.contains(&one.value) && !is_unit(tables, &one.value)
    };
    let missing = mentions.iter().filter(is_name).find(|one| !sql.contains(&literal(&one.value)))?;
    if mentions.iter().filter(|one| one.value == missing.value).count() > 1 {
        return None;
    }
    let table = tables.iter().find(|table| table.place == missing.table)?;
    let condition = format!("{}.{} = {}", plain(table.name), plain(&missing.column), literal(&missing.value));
    let why = format!("the question is about {}: add the condition {condition}", literal(&missing.value));
    Some(Doubt { why, mended: conditions::and(sql, &condition) })
}

/// Whether a column is said to be in it: "EUR for one unit".
fn is_unit(tables: &[Table<'_>], value: &str) -> bool {
    let comments = tables.iter().flat_map(|table| &table.columns).map(|seen| &seen.column.comment);
    comments
        .into_iter()
        .any(|comment| comment.split(|c: char| !c.is_alphanumeric()).any(|word| word == value))
}

/// Where no row fulfils all conditions: those without which some do.
fn nothing(sql: &str, has_rows: impl Fn(&str) -> bool) -> String {
    let without = conditions::without_each(sql).into_iter().take(MAX_CONDITIONS);
    let guilty: Vec<String> =
        without.filter(|(_, rest)| has_rows(rest)).map(|(condition, _)| condition).collect();
    match guilty.as_slice() {
        [] => "no row has all that; one of the conditions may be on the wrong column, or not asked for"
            .to_owned(),
        guilty => format!(
            "no row has all that; without {} there are rows: it is on the wrong column, or not asked for",
            guilty.join(", or without ")
        ),
    }
}

/// Where the period stands on a day of what the rows belong to, which the question does not name, and the rows have a day of their own:
/// stops of machines in October, not of machines that were installed in October.
fn misplaced(question: &Question, tables: &[Table<'_>], words: &[String], sql: &str) -> Option<Doubt> {
    let [Period { from, to, .. }] = question.periods.as_slice() else { return None };
    let first = first(tables, sql)?;
    let own = days_of(first);
    let [own] = own.as_slice() else { return None };
    let parents = first.columns.iter().filter_map(|seen| seen.column.references.as_deref());
    let parents: Vec<&str> = parents.filter_map(|reference| reference.split('.').next()).collect();
    let is_named = |day: &str| {
        let column = day.rsplit('.').next().unwrap_or(day);
        column.split('_').any(|part| part.len() > 2 && words.iter().any(|word| stem(word) == stem(part)))
    };
    let elsewhere = tables.iter().filter(|table| table.name != first.name && parents.contains(&table.name));
    let elsewhere: Vec<String> = elsewhere.flat_map(days_of).filter(|day| !is_named(day)).collect();
    let is_of = |condition: &str, day: &str| {
        let rest = condition.strip_prefix(day).and_then(|rest| rest.strip_prefix(' '));
        rest.is_some_and(|rest| rest.contains(&format!("'{from}'")) || rest.contains(&format!("'{to}'")))
    };
    let mut wrong: Vec<String> = Vec::new();
    let kept = conditions::without(sql, |condition| {
        let is_wrong = elsewhere.iter().any(|day| is_of(condition, day));
        wrong.extend(is_wrong.then(|| condition.to_owned()));
        is_wrong
    })?;
    let is_there = kept.contains(&format!("{own} "));
    let mended = if is_there {
        Some(kept)
    } else {
        conditions::and(&kept, &format!("{own} BETWEEN '{from}' AND '{to}'"))
    };
    Some(Doubt { why: format!("the period is that of {own}: leave out {}", wrong.join(", ")), mended })
}

/// The first table of the statement.
fn first<'a, 'b>(tables: &'a [Table<'b>], sql: &str) -> Option<&'a Table<'b>> {
    let name = sql.split(" FROM ").nth(1)?.split([' ', ')']).next()?;
    tables.iter().find(|table| plain(table.name) == name)
}

/// The columns of a table whose cells are days.
fn days_of(table: &Table<'_>) -> Vec<String> {
    let days = table.columns.iter().filter(|seen| matches!(seen.cells, Cells::Day { .. }));
    days.map(|seen| format!("{}.{}", plain(table.name), plain(&seen.column.name))).collect()
}

/// Where the question names one period and the statement none.
fn period(question: &Question, tables: &[Table<'_>], sql: &str) -> Option<Doubt> {
    let [Period { from, to, .. }] = question.periods.as_slice() else { return None };
    if from == to || sql.contains(&format!("'{}-", from.year())) || sql.contains(&format!("'{}-", to.year()))
    {
        return None;
    }
    let days: Vec<String> = tables.iter().flat_map(days_of).collect();
    let used: Vec<&String> = days.iter().filter(|day| sql.contains(day.as_str())).collect();
    let first = sql.split(" FROM ").nth(1).and_then(|rest| rest.split([' ', ')']).next()).unwrap_or_default();
    let own: Vec<&String> = days.iter().filter(|day| day.starts_with(&format!("{first}."))).collect();
    // What a row of it belongs to has the day: the order of an order line.
    let parents = tables.iter().filter(|table| plain(table.name) == first).flat_map(|table| &table.columns);
    let parents: Vec<String> = parents
        .filter_map(|seen| seen.column.references.as_deref())
        .map(|reference| format!("{}.", plain(reference.split('.').next().unwrap_or(reference))))
        .collect();
    let above: Vec<&String> =
        days.iter().filter(|day| parents.iter().any(|parent| day.starts_with(parent.as_str()))).collect();
    let between = |day: &str| format!("{day} BETWEEN '{from}' AND '{to}'");
    let mended = match (used.as_slice(), own.as_slice(), above.as_slice()) {
        ([day], _, _) | ([], [day], _) | ([], [], [day]) => conditions::and(sql, &between(day)),
        _ => None,
    };
    let day = used
        .first()
        .or(own.first())
        .or(above.first())
        .or(days.iter().collect::<Vec<_>>().first())?
        .to_string();
    Some(Doubt {
        why: format!("the question asks for {from} to {to}: add a condition such as {}", between(&day)),
        mended,
    })
}

/// Where the question compares two days by their names, "finished after their due date", and the statement does not; or where it
/// names one and the statement compares a day with itself.
fn days(question: &Question, tables: &[Table<'_>], words: &[String], sql: &str) -> Option<Doubt> {
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
    let parts: Vec<&str> = sql.split([' ', '(', ')']).collect();
    let compares = |one: &str, other: &str| parts.windows(3).any(|run| run[0] == one && run[2] == other);
    match named.as_slice() {
        [(_, one), (_, other)] if !compares(one, other) && !compares(other, one) => {
            let is_before = words.iter().any(|word| word == "before" || word.starts_with("earl"));
            let condition = format!("{one} {} {other}", if is_before { "<" } else { ">" });
            let why = format!("the question compares two days: add the condition {condition}");
            Some(Doubt { why, mended: conditions::and(sql, &condition) })
        }
        [(_, named)] => {
            let own =
                parts.windows(3).find(|run| run[0] == run[2] && run[0].contains('.') && run[0] != named)?;
            let wrong = own.join(" ");
            let right = format!("{} {} {named}", own[0], own[1]);
            let why = format!("{wrong} compares a day with itself: write {right}");
            Some(Doubt { why, mended: Some(sql.replace(&wrong, &right)) })
        }
        _ => None,
    }
}

/// Where the question asks for what is below a column that it names, or above it, and the statement compares the other way round.
fn below(tables: &[Table<'_>], words: &[String], sql: &str) -> Option<Doubt> {
    let numbers = tables.iter().flat_map(|table| {
        let numbers =
            table.columns.iter().filter(|seen| matches!(seen.cells, Cells::Number | Cells::Flag(_)));
        numbers.map(|seen| (format!("{}.{}", plain(table.name), plain(&seen.column.name)), &seen.column.name))
    });
    let said = |name: &str| {
        let name: Vec<String> = name.split('_').map(stem).collect();
        let words: Vec<String> = words.iter().map(|word| stem(word)).collect();
        words.windows(name.len()).position(|run| run == name).filter(|_| name.len() > 1)
    };
    let parts: Vec<&str> = sql.split([' ', '(', ')']).collect();
    for (column, at) in numbers.filter_map(|(column, name)| Some((column, said(name)?))) {
        let before = &words[at.saturating_sub(NEAR)..at];
        let is = |all: &[&str]| before.iter().any(|word| all.contains(&word.as_str()));
        let right = if is(&BELOW) {
            "<"
        } else if is(&ABOVE) {
            ">"
        } else {
            continue;
        };
        // The other column is what lies below it.
        let turned = if right == "<" { ">" } else { "<" };
        let is_column = |text: &str| {
            text.split_once('.').is_some_and(|(table, _)| table.starts_with(char::is_alphabetic))
        };
        for run in parts.windows(3) {
            let wrong = match run {
                [one, sign, other] if *one == column && is_column(other) => sign.starts_with(right),
                [one, sign, other] if *other == column && is_column(one) => sign.starts_with(turned),
                _ => false,
            };
            if wrong {
                let sign = if run[1].starts_with('<') { ">" } else { "<" };
                let condition = format!("{} {sign} {}", run[0], run[2]);
                let why = format!("{} is the wrong way round: write {condition}", run.join(" "));
                return Some(Doubt { why, mended: Some(sql.replace(&run.join(" "), &condition)) });
            }
        }
    }
    None
}

/// Whether the question asks for something of each.
#[must_use]
pub fn asks_for_each(question: &Question) -> bool {
    words(&question.text).iter().any(|word| EACH.contains(&word.as_str()))
}

/// Words for that of which the question asks for each.
#[must_use]
pub fn of_each(question: &Question) -> Vec<String> {
    each(&words(&question.text)).concat()
}

fn words(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

/// That of which the question asks for each, in two words at most: "each transport mode".
fn each(words: &[String]) -> Vec<Vec<String>> {
    let places = words.iter().enumerate().filter(|(_, word)| EACH.contains(&word.as_str()));
    let after = places.map(|(place, _)| {
        let after = words[place + 1..].iter().skip_while(|word| BETWEEN.contains(&word.as_str()));
        after.take(2).map(|word| stem(word)).collect()
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
