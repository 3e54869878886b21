//! A question and what code knows of it: the day on which it is asked, the periods and the numbers that it names.
//!
//! The host writes what it knows of dates behind a request: `[Today is Monday 2031-03-03, 09:00. "last month" = 2031-02-01 to
//! 2031-02-28.]`. Where it did not, periods are read here.
//!
//! Invariant: every date and number here was said in the question or follows from it; the model can write no other.

use std::collections::BTreeSet;

use jiff::civil::Date;
use pawl_request::{Text, count, span};

/// What a note of the host begins with.
const NOTE: &str = "\n[Today is ";
/// Numbers that statements need beside those of the question: shares, hours, days.
const USUAL: [&str; 7] = ["0", "1", "100", "100.0", "60", "60.0", "24"];
/// Words, or their beginnings, of one day compared with another.
const COMPARES: [&str; 22] = [
    "later", "late ", "late?", "late,", "late.", "earl", "before", "after", "than", "within", "overdue",
    "on time", "in time", "delay", "past", "expire", "same day", "晚", "早", "之前", "之后", "逾期",
];
/// Parts of words, and words, of one amount compared with another.
const AMOUNTS: [&str; 14] = [
    "exceed", "great", "higher", "lower", "larger", "smaller", "cheaper", "dearer", "超", "于", "不足", "等",
    "比", "差",
];
const AMOUNT_WORDS: [&str; 11] =
    ["than", "over", "under", "above", "below", "beyond", "equal", "same", "only", "match", "differ"];
/// Parts of words, and words, of what is absent, ended or still there.
const ABSENT: [&str; 18] = [
    "without", "current", "present", "never", "still", "unpaid", "missing", "empty", "active", "现", "目前",
    "仍", "未", "没", "无", "还", "空", "至今",
];
const ABSENT_WORDS: [&str; 9] = ["no", "not", "now", "none", "yet", "open", "today", "left", "already"];
const HAN: [char; 11] = ['零', '一', '二', '三', '四', '五', '六', '七', '八', '九', '十'];

/// A period that a question names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    /// Its words.
    pub phrase: String,
    /// First day.
    pub from: Date,
    /// Last day.
    pub to: Date,
}

/// A question, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// As it was asked, without the host's note.
    pub text: String,
    /// The day on which it is asked.
    pub today: Date,
    /// In the order in which they are named.
    pub periods: Vec<Period>,
    /// As a statement writes them.
    pub numbers: BTreeSet<String>,
    /// Those of them that were said and are usual ones besides.
    usual: BTreeSet<String>,
}

impl Question {
    /// Reads a question; `clock` is the day where the host says none.
    #[must_use]
    pub fn read(asked: &str, clock: Date) -> Question {
        let (text, note) = match asked.rfind(NOTE) {
            Some(at) if asked.trim_end().ends_with(']') => (&asked[..at], &asked[at + NOTE.len()..]),
            _ => (asked, ""),
        };
        let text = text.trim().to_owned();
        let today = note.split_whitespace().nth(1).and_then(day).unwrap_or(clock);
        let mut periods = if note.is_empty() { spoken(&text, today) } else { noted(note) };
        periods.dedup();
        let more = in_other_years(&periods);
        periods.extend(more);
        // "At least one" says that there is some: nothing is compared with it.
        let said = numbers(&text.replace("t least one ", " "), &periods);
        let usual: BTreeSet<String> = USUAL.map(str::to_owned).into();
        Question {
            today,
            numbers: said.union(&usual).cloned().collect(),
            usual: said.intersection(&usual).cloned().collect(),
            periods,
            text,
        }
    }

    /// Whether one day may be compared with another of the same row: "shipped later than promised".
    #[must_use]
    pub fn compares_days(&self) -> bool {
        let lower = self.text.to_lowercase();
        COMPARES.iter().any(|word| lower.contains(word))
    }

    /// Whether one amount may be compared with another of the same row: "less in stock than reserved", "above the limit".
    #[must_use]
    pub fn compares_amounts(&self) -> bool {
        let lower = self.text.to_lowercase();
        let mut words = lower.split(|c: char| !c.is_alphanumeric());
        AMOUNTS.iter().any(|word| lower.contains(word)) || words.any(|word| AMOUNT_WORDS.contains(&word))
    }

    /// Whether something may be asked to be empty, or not to be: "still open", "not yet paid".
    #[must_use]
    pub fn asks_for_absence(&self) -> bool {
        // What stands still is not still there.
        let lower = self.text.to_lowercase().replace("stand still", "").replace("stood still", "");
        let words = lower.split(|c: char| !c.is_alphanumeric());
        ABSENT.iter().any(|word| lower.contains(word))
            || words.into_iter().any(|word| ABSENT_WORDS.contains(&word))
    }

    /// The numbers of the question, and 0 where something is asked to be absent.
    pub fn said(&self) -> impl Iterator<Item = &str> {
        let usual = |number: &&String| !USUAL.contains(&number.as_str());
        self.numbers
            .iter()
            .filter(usual)
            .chain(&self.usual)
            .map(String::as_str)
            .chain(self.asks_for_absence().then_some("0"))
    }

    /// The periods as the model is told them.
    #[must_use]
    pub fn note(&self) -> String {
        let told = self.periods.iter().map(|Period { phrase, from, to }| {
            if from == to {
                format!("\"{phrase}\" = {from}.")
            } else {
                format!("\"{phrase}\" = {from} to {to}.")
            }
        });
        told.collect::<Vec<_>>().join(" ")
    }
}

/// "For 2029 and 2030, from January to May": the part in each of the years that were named.
fn in_other_years(periods: &[Period]) -> Vec<Period> {
    let is_year = |one: &&Period| one.from.day_of_year() == 1 && one.to == one.from.last_of_year();
    let parts =
        periods.iter().filter(|one| !is_year(one) && one.from.year() == one.to.year() && one.from != one.to);
    let years: Vec<i16> = periods.iter().filter(is_year).map(|one| one.from.year()).collect();
    let mut more: Vec<Period> = Vec::new();
    for part in parts.filter(|part| years.contains(&part.from.year())) {
        for year in years.iter().copied() {
            let in_year = |day: Date| {
                let last = day == day.last_of_month();
                let first = Date::new(year, day.month(), 1).ok()?;
                if last { Some(first.last_of_month()) } else { Date::new(year, day.month(), day.day()).ok() }
            };
            let (Some(from), Some(to)) = (in_year(part.from), in_year(part.to)) else { continue };
            if !periods.iter().chain(&more).any(|one| (one.from, one.to) == (from, to)) {
                more.push(Period { phrase: format!("{}, {year}", part.phrase), from, to });
            }
        }
    }
    more
}

fn day(text: &str) -> Option<Date> {
    text.get(..10)?.parse().ok()
}

/// `"last month" = 2031-02-01 to 2031-02-28.` and so on. Times of day say nothing to a table of days.
fn noted(note: &str) -> Vec<Period> {
    let mut periods = Vec::new();
    let mut rest = note;
    while let Some(open) = rest.find('"') {
        let Some((phrase, after)) = rest[open + 1..].split_once("\" = ") else { break };
        if let Some(from) = day(after) {
            let to =
                after.split_once(" to ").filter(|(before, _)| before.len() <= 16).and_then(|(_, to)| day(to));
            let to = to.filter(|to| *to >= from).unwrap_or(from);
            periods.push(Period { phrase: phrase.to_owned(), from, to });
        }
        rest = after;
    }
    periods
}

fn spoken(text: &str, today: Date) -> Vec<Period> {
    let words = Text::new(text);
    let mut periods = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let Some(span) = span(&words, at, today) else {
            at += 1;
            continue;
        };
        let said: Vec<&str> = (at..at + span.len.max(1)).map(|place| words.at(place)).collect();
        periods.push(Period { phrase: said.join(" "), from: span.from, to: span.to });
        at += span.len.max(1);
    }
    periods
}

/// Figures, and words for small numbers; not those that are a part of a period.
fn numbers(text: &str, periods: &[Period]) -> BTreeSet<String> {
    let mut rest = text.to_owned();
    for period in periods {
        rest = rest.replace(&period.phrase, " ");
    }
    let mut numbers = BTreeSet::new();
    let digits = |c: char| c.is_ascii_digit() || matches!(c, ',' | '.');
    for run in rest.split(|c| !digits(c)) {
        let plain: String = run.trim_end_matches(['.', ',']).chars().filter(|c| *c != ',').collect();
        if plain.len() <= 15 && plain.parse::<f64>().is_ok() {
            numbers.insert(plain);
        }
    }
    let words = rest.split(|c: char| !c.is_alphabetic()).filter(|word| word.is_ascii());
    numbers.extend(words.filter_map(|word| count(&word.to_lowercase())).map(|n| n.to_string()));
    numbers.extend(rest.chars().filter_map(|c| HAN.iter().position(|han| *han == c)).map(|n| n.to_string()));
    if rest.contains('两') {
        numbers.insert("2".to_owned());
    }
    numbers
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "the dates of these tests are right")]
mod tests {
    use super::*;

    fn read(asked: &str) -> Question {
        Question::read(asked, "2030-05-06".parse().unwrap())
    }

    fn periods(question: &Question) -> Vec<String> {
        question.periods.iter().map(|one| format!("{}: {}..{}", one.phrase, one.from, one.to)).collect()
    }

    #[test]
    fn the_note_of_the_host_is_read_and_not_part_of_the_question() {
        let question = read(
            "Fees of last month, and on 3 March?\n[Today is Monday 2031-03-03, 09:00. \"last month\" = 2031-02-01 to 2031-02-28. \"3 March\" = 2031-03-03 (Monday).]",
        );
        assert_eq!(question.text, "Fees of last month, and on 3 March?");
        assert_eq!(question.today.to_string(), "2031-03-03");
        assert_eq!(
            periods(&question),
            ["last month: 2031-02-01..2031-02-28", "3 March: 2031-03-03..2031-03-03"]
        );
        assert_eq!(question.note(), "\"last month\" = 2031-02-01 to 2031-02-28. \"3 March\" = 2031-03-03.");
    }

    #[test]
    fn without_a_note_periods_are_read_from_the_words() {
        let question = read("Fees in March 2029 and 2028年");
        assert_eq!(
            periods(&question),
            ["march 2029: 2029-03-01..2029-03-31", "2028 年: 2028-01-01..2028-12-31"]
        );
        assert_eq!(question.today.to_string(), "2030-05-06");
    }

    #[test]
    fn a_part_of_a_year_is_known_in_each_year_that_was_named() {
        let question = read(
            "For 2028 and 2029: fees from January to February\n[Today is Monday 2029-03-03, 09:00. \"2028\" = 2028-01-01 to 2028-12-31. \"2029\" = 2029-01-01 to 2029-12-31. \"January to February\" = 2029-01-01 to 2029-02-28.]",
        );
        assert_eq!(periods(&question)[3..], ["January to February, 2028: 2028-01-01..2028-02-29"]);
    }

    #[test]
    fn days_of_a_row_are_compared_where_that_is_asked_for() {
        for text in ["Visits that began later than booked", "Which invoices are overdue?", "比预约晚的就诊"]
        {
            assert!(read(text).compares_days(), "{text}");
        }
        for text in ["How many doctors work here?", "Fees of 2030", "Plates by ward"] {
            assert!(!read(text).compares_days(), "{text}");
        }
    }

    #[test]
    fn amounts_of_a_row_are_compared_where_that_is_asked_for() {
        for text in ["Wards with more beds than patients", "Below the limit", "价格高于成本的药"] {
            assert!(read(text).compares_amounts(), "{text}");
        }
        for text in ["Fees of the Eyes ward in percent of all", "The dearest therapy of each ward"] {
            assert!(!read(text).compares_amounts(), "{text}");
        }
    }

    #[test]
    fn what_is_absent_is_tested_for_where_that_is_asked_for() {
        for text in ["Doctors who still work here", "Visits not yet paid", "未付款的就诊"] {
            assert!(read(text).asks_for_absence(), "{text}");
        }
        for text in [
            "Days lost to illness by ward",
            "Nowhere, notes and fees of 2030",
            "Hours that a pump stood still",
        ] {
            assert!(!read(text).asks_for_absence(), "{text}");
        }
    }

    #[test]
    fn conditions_have_the_numbers_that_were_said_alone() {
        assert_eq!(
            read("More than one visit, over 60 EUR or 250").said().collect::<Vec<_>>(),
            ["250", "1", "60"]
        );
        assert!(read("More than one visit").numbers.contains("100.0"));
        assert_eq!(read("Wards with at least one visit").said().count(), 0);
    }

    #[test]
    fn numbers_are_those_that_were_said() {
        let question = read("Which five wards took over 60,000.5 EUR, 两 or 三?");
        for number in ["5", "60000.5", "2", "3", "100"] {
            assert!(question.numbers.contains(number), "{number}: {:?}", question.numbers);
        }
        assert!(!question.numbers.contains("7"));
    }

    #[test]
    fn a_note_that_is_cut_or_odd_is_survived() {
        for text in [
            "\n[Today is ]",
            "x\n[Today is Monday 20",
            "x\n[Today is Monday 2031-03-03. \"a\" = \"b\" = ]",
            "é\n[Today is é é é]",
        ] {
            read(text);
        }
    }
}
