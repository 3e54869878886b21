//! Periods and comparisons in the words of a request, English and Chinese.
//!
//! Invariant: the first day is not after the last. A month or quarter without a year is the last one that has begun.

use jiff::civil::Date;

use super::text::{Text, phrase};
use crate::period::{Period, plus, start};
use crate::{Comparison, Grain};

/// What was found.
#[derive(Debug, Default)]
pub(super) struct When {
    pub(super) from: Option<Date>,
    pub(super) to: Option<Date>,
    pub(super) compare: Option<Comparison>,
}

struct Span {
    at: usize,
    len: usize,
    from: Date,
    to: Date,
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
const LAST_YEAR: [&str; 9] = [
    "same period last year",
    "year over year",
    "year on year",
    "yoy",
    "the year before",
    "year earlier",
    "than last year",
    "同比",
    "a year ago",
];
const PREVIOUS: [&str; 8] = [
    "previous period",
    "the quarter before",
    "the month before",
    "previous quarter",
    "previous month",
    "quarter over quarter",
    "month over month",
    "环比",
];
/// "Did fees rise from May to June?" compares June with May.
const MOVED: [&str; 14] = [
    "rise", "rose", "risen", "fall", "fell", "fallen", "up", "down", "change", "changed", "grow", "grew",
    "drop", "dropped",
];
const AGAINST: [&str; 6] = ["versus", "vs", "against", "than", "compared", "with"];

/// Reads them and marks their words as understood.
pub(super) fn read(text: &mut Text, today: Date) -> When {
    let mut when = When::default();
    let compares = |words: &[&str], text: &mut Text| words.iter().filter(|word| text.take(word)).count() > 0;
    if compares(&LAST_YEAR, text) {
        when.compare = Some(Comparison::SamePeriodLastYear);
    } else if compares(&PREVIOUS, text) {
        when.compare = Some(Comparison::PreviousPeriod);
    }
    let mut spans: Vec<Span> = Vec::new();
    let mut at = 0;
    while at < text.len() && spans.len() < 2 {
        match span(text, at, today) {
            Some(span) => {
                at += span.len.max(1);
                text.mark(span.at, span.len);
                spans.push(span);
            }
            None => at += 1,
        }
    }
    match spans.as_slice() {
        [one] => {
            let before = text.before(one.at, 1);
            when.from = Some(one.from).filter(|_| !["until", "till", "through"].contains(&before));
            when.to = Some(one.to).filter(|_| before != "since");
            for word in ["since", "until", "till", "through"] {
                text.take(word);
            }
        }
        [one, other] => {
            let mut between = one.at + one.len..other.at;
            let moved = text.words().any(|word| MOVED.contains(&word)) && text.before(one.at, 1) == "from";
            if moved || between.any(|place| AGAINST.contains(&text.at(place))) {
                let (now, then) = if one.from > other.from { (one, other) } else { (other, one) };
                let (now, then) = (Period::between(now.from, now.to), Period::between(then.from, then.to));
                let is = |comparison| now.compared(comparison).is_ok_and(|past| past == then);
                let all = [Comparison::SamePeriodLastYear, Comparison::PreviousPeriod];
                when.compare = all.into_iter().find(|comparison| is(*comparison)).or(when.compare);
                (when.from, when.to) = (Some(now.from), Some(now.to));
                for word in AGAINST {
                    text.take(word);
                }
            } else {
                (when.from, when.to) = (Some(one.from.min(other.from)), Some(one.to.max(other.to)));
                text.take("between");
                text.take("until");
            }
        }
        _ => {}
    }
    when
}

/// The period that begins at this word.
fn span(text: &Text, at: usize, today: Date) -> Option<Span> {
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
    if let Some(grain) = crate::period::grain(text.at(at + 1)) {
        return made(2, days(plus(start(today, grain)?, grain, -back)?, grain, 1)?);
    }
    let count =
        super::count(text.at(at + 1)).filter(|_| back == 1).and_then(|count| i32::try_from(count).ok())?;
    let grain = crate::period::grain(text.at(at + 2).strip_suffix('s')?)?;
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
