//! Periods in the words of a request, English and Chinese: "in March 2031", "last quarter", "2031年上半年".
//!
//! Invariant: the first day is not after the last. A month or quarter without a year is the last one that has begun.

use jiff::ToSpan;
use jiff::civil::Date;

use crate::text::{Text, count, phrase};

/// The width of a step in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grain {
    /// One day.
    Day,
    /// From Monday; called by its Monday.
    Week,
    /// Of the calendar.
    Month,
    /// Three months, the first from January.
    Quarter,
    /// Of the calendar.
    Year,
}

/// A period and the words that say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first word.
    pub at: usize,
    /// How many words.
    pub len: usize,
    /// First day.
    pub from: Date,
    /// Last day.
    pub to: Date,
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const ORDINALS: [&str; 4] = ["first", "second", "third", "fourth"];
/// So many steps later; none beyond the calendar.
#[must_use]
pub fn plus(day: Date, grain: Grain, count: i32) -> Option<Date> {
    let span = match grain {
        Grain::Day => count.days(),
        Grain::Week => count.weeks(),
        Grain::Month => count.months(),
        Grain::Quarter => count.checked_mul(3)?.months(),
        Grain::Year => count.years(),
    };
    day.checked_add(span).ok()
}

/// The first day of the step that holds a day.
#[must_use]
pub fn start(day: Date, grain: Grain) -> Option<Date> {
    match grain {
        Grain::Day => Some(day),
        Grain::Week => day.checked_sub(i32::from(day.weekday().to_monday_zero_offset()).days()).ok(),
        Grain::Month => Some(day.first_of_month()),
        Grain::Quarter => Date::new(day.year(), (day.month() - 1) / 3 * 3 + 1, 1).ok(),
        Grain::Year => Some(day.first_of_year()),
    }
}

/// The step that is so called.
#[must_use]
pub fn grain(name: &str) -> Option<Grain> {
    match name {
        "day" => Some(Grain::Day),
        "week" => Some(Grain::Week),
        "month" => Some(Grain::Month),
        "quarter" => Some(Grain::Quarter),
        "year" => Some(Grain::Year),
        _ => None,
    }
}

/// The period that begins at this word.
#[must_use]
pub fn span(text: &Text, at: usize, today: Date) -> Option<Span> {
    let word = text.at(at);
    let made = |len, (from, to)| Some(Span { at, len, from, to });
    let year = |place: usize| {
        let word = text.at(place);
        let number = word.parse::<i16>().ok().filter(|_| word.len() == 4);
        number.filter(|number| (1900..2100).contains(number))
    };
    if let Ok(day) = word.parse::<Date>()
        && word.len() == 10
    {
        return made(1, (day, day));
    }
    // a year after the part, with or without "of"
    let later = |len: usize| match (year(at + len), text.at(at + len), year(at + len + 1)) {
        (Some(year), ..) => (len + 1, Some(year)),
        (None, "of" | "in", Some(year)) => (len + 2, Some(year)),
        _ => (len, None),
    };
    let part = |len: usize, grain: Grain, month: i8, months: i32| {
        let (len, given) = later(len);
        let first = |year| Date::new(year, month, 1).ok();
        let begun = || first(today.year()).filter(|day| *day <= today).or_else(|| first(today.year() - 1));
        made(len, days(given.map_or_else(begun, first)?, grain, months)?)
    };
    if let Some(year) = year(at) {
        let first = Date::new(year, 1, 1).ok()?;
        if text.at(at + 1) == "年" {
            let month = text.at(at + 2).parse::<i8>().ok().filter(|_| text.at(at + 3) == "月");
            return match month {
                Some(month) => made(4, days(Date::new(year, month, 1).ok()?, Grain::Month, 1)?),
                None => match chinese(text, at + 2) {
                    Some((len, month, quarters)) => {
                        made(2 + len, days(Date::new(year, month, 1).ok()?, Grain::Quarter, quarters)?)
                    }
                    None => made(2, days(first, Grain::Year, 1)?),
                },
            };
        }
        return match quarter(text.at(at + 1)) {
            Some(month) => made(2, days(Date::new(year, month, 1).ok()?, Grain::Quarter, 1)?),
            None => made(1, days(first, Grain::Year, 1)?),
        };
    }
    if let Some((len, month, quarters)) = chinese(text, at) {
        return part(len, Grain::Quarter, month, quarters);
    }
    if let Some(month) = quarter(word) {
        return part(1, Grain::Quarter, month, 1);
    }
    if let Some(half @ 1..=2) = word.strip_prefix('h').and_then(|half| half.parse::<i8>().ok()) {
        return part(1, Grain::Quarter, half * 6 - 5, 2);
    }
    let place =
        ORDINALS.iter().position(|ordinal| *ordinal == word).and_then(|place| i8::try_from(place).ok());
    match (place, text.at(at + 1)) {
        (Some(place), "quarter") => return part(2, Grain::Quarter, place * 3 + 1, 1),
        (Some(place @ 0..=1), "half") => return part(2, Grain::Quarter, place * 6 + 1, 2),
        _ => {}
    }
    let month =
        MONTHS.iter().position(|month| *month == word || (word.len() == 3 && month.starts_with(word)));
    // "may" is a month only beside a word that says so
    let modal = word == "may"
        && later(1).1.is_none()
        && !["in", "since", "to", "from", "until"].contains(&text.before(at, 1));
    if let Some(month) = month.filter(|_| !modal).and_then(|month| i8::try_from(month).ok()) {
        return part(1, Grain::Month, month + 1, 1);
    }
    relative(text, at, today)
}

/// "last month", "this year", "last 3 months": whole steps before the one of today.
fn relative(text: &Text, at: usize, today: Date) -> Option<Span> {
    let made = |len, (from, to)| Some(Span { at, len, from, to });
    for (words, grain, back) in [
        ("上个月", Grain::Month, 1),
        ("本月", Grain::Month, 0),
        ("今年", Grain::Year, 0),
        ("去年", Grain::Year, 1),
        ("上季度", Grain::Quarter, 1),
        ("yesterday", Grain::Day, 1),
        ("today", Grain::Day, 0),
    ] {
        let phrase = phrase(words);
        if phrase.iter().enumerate().all(|(place, word)| text.at(at + place) == word) {
            return made(phrase.len(), days(plus(start(today, grain)?, grain, -back)?, grain, 1)?);
        }
    }
    let back = match text.at(at) {
        "last" | "previous" | "past" => 1,
        "this" | "current" => 0,
        _ => return None,
    };
    if let Some(grain) = grain(text.at(at + 1)) {
        return made(2, days(plus(start(today, grain)?, grain, -back)?, grain, 1)?);
    }
    let count = count(text.at(at + 1)).filter(|_| back == 1).and_then(|count| i32::try_from(count).ok())?;
    let grain = grain(text.at(at + 2).strip_suffix('s')?)?;
    made(3, days(plus(start(today, grain)?, grain, -count)?, grain, count)?)
}

fn days(first: Date, grain: Grain, count: i32) -> Option<(Date, Date)> {
    Some((first, plus(plus(first, grain, count)?, Grain::Day, -1)?))
}

/// 第三季度, 上半年: how many words, the first month, how many quarters.
fn chinese(text: &Text, at: usize) -> Option<(usize, i8, i32)> {
    let stands = |words: &str| {
        let phrase = phrase(words);
        phrase.iter().enumerate().all(|(place, word)| text.at(at + place) == word).then_some(phrase.len())
    };
    let parts = [
        ("第一季度", 1, 1),
        ("第二季度", 4, 1),
        ("第三季度", 7, 1),
        ("第四季度", 10, 1),
        ("上半年", 1, 2),
        ("下半年", 7, 2),
    ];
    parts.into_iter().find_map(|(words, month, quarters)| Some((stands(words)?, month, quarters)))
}

/// The first month of `q3`.
fn quarter(word: &str) -> Option<i8> {
    let number = word.strip_prefix('q')?.parse::<i8>().ok()?;
    (1..=4).contains(&number).then(|| number * 3 - 2)
}
