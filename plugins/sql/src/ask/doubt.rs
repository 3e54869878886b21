//! What makes a statement doubtful although it runs: it lacks a name, a period or a comparison that was asked for, or has them in the
//! wrong place; nothing fulfils its conditions; it averages parts where a whole is named; it does not tell apart what each of is asked for, or does not rank where the first of
//! each is asked for.
//!
//! Where code can write the statement that is meant, and that gives rows, it stands in place of the doubted one; else the model is told,
//! once, and where it writes nothing better the doubted statement stands.
//!
//! Invariant: a rule fires only on what the question says in its own words and the statement has not; what may be meant is left.

mod average;
mod compared;
mod period;

use super::question::Question;
use super::scope::{Cells, Table};
use crate::relate::{Mention, stem, words};
use crate::schema::plain;
use crate::statement::literal;
use crate::{apart, conditions};

/// Words before that which is told apart: "per region", "for each of the regions".
const EACH: [&str; 4] = ["each", "every", "per", "by"];
/// Words that may stand between.
const BETWEEN: [&str; 5] = ["of", "the", "our", "single", "one"];
/// Words after which "by" says who did it. Other words in -ed do as well, but for those that tell apart.
const DONE: [&str; 9] = ["paid", "made", "sold", "lent", "bought", "done", "given", "taken", "written"];
const SORTED: [&str; 6] = ["grouped", "sorted", "listed", "divided", "ordered", "totalled"];

/// What a day is a part of.
const TIMES: [&str; 5] = ["day", "week", "month", "quarter", "year"];
/// Words that ask for one of many.
const FIRST: [&str; 10] =
    ["most", "least", "best", "worst", "highest", "lowest", "largest", "biggest", "smallest", "top"];
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

/// A question, and what it is asked of.
pub struct Asked<'a> {
    question: &'a Question,
    tables: &'a [Table<'a>],
    mentions: &'a [Mention],
    /// The question's, in small letters.
    words: Vec<String>,
    /// The same, without endings.
    stems: Vec<String>,
}

impl<'a> Asked<'a> {
    /// Of these tables, and of the values that the question mentions.
    #[must_use]
    pub fn new(question: &'a Question, tables: &'a [Table<'a>], mentions: &'a [Mention]) -> Asked<'a> {
        let words = words(&question.text);
        let stems = words.iter().map(|word| stem(word)).collect();
        Asked { question, tables, mentions, words, stems }
    }

    /// What speaks against a statement; none where nothing does. `empty` says that it gave no row, `has_rows` whether another one would.
    #[must_use]
    pub fn doubt(&self, sql: &str, empty: bool, has_rows: impl Fn(&str) -> bool) -> Option<Doubt> {
        let first = self.unnamed(sql).or_else(|| self.misplaced(sql));
        let first = first.or_else(|| {
            (empty && is_narrow(sql)).then(|| Doubt { why: self.nothing(sql, has_rows), mended: None })
        });
        let then = first.or_else(|| self.days(sql)).or_else(|| self.below(sql)).or_else(|| self.average(sql));
        then.or_else(|| self.period(sql)).or_else(|| self.each(sql))
    }

    /// Whether the statement lacks a name or a period of the question.
    #[must_use]
    pub fn is_without(&self, sql: &str) -> bool {
        self.unnamed(sql).is_some() || self.period(sql).is_some()
    }

    /// Where the question has a name, "Eyes" of the wards, and the statement has not.
    fn unnamed(&self, sql: &str) -> Option<Doubt> {
        let text = &self.question.text;
        let is_name = |one: &&Mention| {
            let begins = one.value.starts_with(char::is_uppercase) && !text.starts_with(&one.value);
            let lower = one.value.to_lowercase();
            let is_time =
                self.question.periods.iter().any(|period| period.phrase.to_lowercase().contains(&lower));
            begins && text.contains(&one.value) && !is_time && !self.is_unit(&one.value)
        };
        let alone =
            |one: &&Mention| self.mentions.iter().filter(|other| other.value == one.value).count() == 1;
        let missing = |one: &&Mention| is_name(one) && alone(one) && !sql.contains(&literal(&one.value));
        let first = self.mentions.iter().find(missing)?;
        let table = self.tables.iter().find(|table| table.place == first.table)?;
        let same = |one: &&Mention| one.table == first.table && one.column == first.column;
        let values: Vec<String> =
            self.mentions.iter().filter(missing).filter(same).map(|one| literal(&one.value)).collect();
        let column = format!("{}.{}", plain(table.name), plain(&first.column));
        let condition = match values.as_slice() {
            [value] => format!("{column} = {value}"),
            values => format!("{column} IN ({})", values.join(", ")),
        };
        let why = format!("the question is about {}: add the condition {condition}", values.join(" and "));
        Some(Doubt { why, mended: conditions::and(sql, &condition) })
    }

    /// Whether a comment has the word: figures are "in EUR", it is no name.
    fn is_unit(&self, value: &str) -> bool {
        let mut comments =
            self.tables.iter().flat_map(|table| &table.columns).map(|seen| &seen.column.comment);
        comments.any(|comment| comment.split(|c: char| !c.is_alphanumeric()).any(|word| word == value))
    }

    /// Where no row fulfils all conditions: those that the question does not say, without which some do.
    fn nothing(&self, sql: &str, has_rows: impl Fn(&str) -> bool) -> String {
        let days = self.question.periods.iter().flat_map(|period| [period.from, period.to]);
        let values = self.mentions.iter().map(|one| literal(&one.value));
        let said: Vec<String> = days.map(|day| format!("'{day}'")).chain(values).collect();
        let is_said = |condition: &str| said.iter().any(|one| condition.contains(one.as_str()));
        let without = conditions::without_each(sql).into_iter().filter(|(condition, _)| !is_said(condition));
        let guilty: Vec<String> = without
            .take(MAX_CONDITIONS)
            .filter(|(_, rest)| has_rows(rest))
            .map(|(condition, _)| condition)
            .collect();
        if guilty.is_empty() {
            return "no row has all that; one of the conditions may be on the wrong column, or not asked for"
                .to_owned();
        }
        let guilty = guilty.join(", or without ");
        format!(
            "no row has all that; without {guilty} there are rows: it is on the wrong column, or not asked for"
        )
    }

    /// Where each of something is asked for and not told apart, or the first of each and not ranked.
    fn each(&self, sql: &str) -> Option<Doubt> {
        let told = told_apart(sql);
        for phrase in each(&self.words) {
            let ways = |word: &String| ways(self.tables, word);
            let Some(asked) = phrase.iter().find(|word| !ways(word).is_empty()).or(phrase.first()) else {
                continue;
            };
            // A month is told apart by a day.
            if TIMES.contains(&asked.as_str()) && (sql.contains("strftime(") || told.contains(asked)) {
                continue;
            }
            let ways = ways(asked);
            let Some(best) = ways.first() else { continue };
            if !ways.iter().any(|way| told.contains(way)) {
                let why = format!("the question asks for each {asked}: select {best} too, and group by it");
                return Some(Doubt { why, mended: apart::by(sql, best) });
            }
            if asks_for_first(&self.words) && !is_ranked(&self.words, sql) {
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

    /// The first table of the statement.
    fn first(&self, sql: &str) -> Option<&'a Table<'a>> {
        let name = sql.split(" FROM ").nth(1)?.split([' ', ')']).next()?;
        self.tables.iter().find(|table| plain(table.name) == name)
    }

    /// The columns with days of what a row of this table belongs to: of the order of an order line.
    fn days_above(&self, table: &Table<'_>) -> Vec<String> {
        let parents: Vec<&str> = table.columns.iter().filter_map(|seen| seen.column.parent()).collect();
        let above = self.tables.iter().filter(|one| one.name != table.name && parents.contains(&one.name));
        above.flat_map(days_of).collect()
    }
}

/// The columns of a table whose cells are days.
fn days_of(table: &Table<'_>) -> Vec<String> {
    let days = table.columns.iter().filter(|seen| matches!(seen.cells, Cells::Day { .. }));
    days.map(|seen| format!("{}.{}", plain(table.name), plain(&seen.column.name))).collect()
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

/// That of which the question asks for each, in two words at most: "each transport mode".
fn each(words: &[String]) -> Vec<Vec<String>> {
    let by_whom = |place: usize| {
        let before = place.checked_sub(1).map_or("", |before| words[before].as_str());
        let done = before.ends_with("ed") && !SORTED.contains(&before);
        words[place] == "by" && (done || DONE.contains(&before))
    };
    let places = words.iter().enumerate().filter(|(_, word)| EACH.contains(&word.as_str()));
    let after = places.filter(|(place, _)| !by_whom(*place)).map(|(place, _)| {
        let after = words[place + 1..].iter().skip_while(|word| BETWEEN.contains(&word.as_str()));
        after.take(2).map(|word| stem(word)).collect()
    });
    after.collect()
}

/// Whether one of many is asked for: not "at least five", and not "highest first", which is an order.
fn asks_for_first(words: &[String]) -> bool {
    words.iter().enumerate().any(|(place, word)| {
        let is_bound = place > 0 && words[place - 1] == "at";
        let is_order = words.get(place + 1).is_some_and(|next| next == "first");
        FIRST.contains(&word.as_str()) && !is_bound && !is_order
    })
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
            let refers = seen.column.parent().is_some_and(|parent| stem(parent) == asked);
            if refers
                || (stem(&seen.column.name) == asked && !matches!(seen.cells, Cells::Key | Cells::Number))
            {
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
