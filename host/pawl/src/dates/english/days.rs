//! Readers of single days: figures, days of a month, names.

use jiff::civil::{Date, Time};

use super::super::atom::{Day, Part, Period, What};
use super::super::calendar::{
    Context, Months, Tense, bare_weekday, coming, day_of_month, days, latest, months, weekday_of_week, year,
};
use super::super::clock::ends_phrase;
use super::{Found, month, nth, or_nothing, said_year, step, weekday_named};

pub(super) fn date(found: &Found<'_, '_>) -> Option<Date> {
    let month = found.number("m").or_else(|| found.number("m2"))?;
    Date::new(year(found.get("year")?)?, month, found.number("d")?).ok()
}

pub(super) fn iso_moment(found: &Found<'_, '_>, _: &Context) -> Option<What> {
    let moment = || {
        let time = Time::new(found.number("h")?, found.number("min")?, 0, 0).ok()?;
        // A moment of another zone is not this wall clock's.
        found.get("z").is_none().then_some(What::Moment(date(found)?.to_datetime(time)))
    };
    or_nothing(moment())
}

pub(super) fn iso_date(found: &Found<'_, '_>, _: &Context) -> Option<What> {
    or_nothing(date(found).map(Day::on))
}

pub(super) fn iso_month(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    Months { first: found.number("m")?, count: 1 }.resolve(Some(said_year(found, context)?), context)
}

pub(super) fn dotted(found: &Found<'_, '_>, _: &Context) -> Option<What> {
    or_nothing(date(found).map(Day::on))
}

/// Only where one reading is possible.
pub(super) fn slashed(found: &Found<'_, '_>, _: &Context) -> Option<What> {
    let read = || {
        let (a, b): (i8, i8) = (found.number("a")?, found.number("b")?);
        let year = year(found.get("year")?)?;
        let (day, month) = match (a, b) {
            _ if a == b => (a, b),
            (13.., _) => (a, b),
            (_, 13..) => (b, a),
            _ => return None,
        };
        Date::new(year, month, day).ok().map(Day::on)
    };
    or_nothing(read())
}

pub(super) fn day_month(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    let plain = found.get("th").is_none() && found.get("year").is_none();
    if plain && (found.get("m")? == "may" || found.get("in").is_some()) {
        // "10 may", "in December 10 customers".
        return None;
    }
    let year = found.get("year").and_then(year);
    or_nothing(day_of_month(year, month(found.get("m")?)?, found.number("d")?, context))
}

pub(super) fn days_of_month(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    let read = || {
        let month = month(found.get("m")?)?;
        let year = found.get("year").and_then(year);
        let What::Day(first) = day_of_month(year, month, found.number("d")?, context)? else { return None };
        let last = Date::new(first.date.year(), month, found.number("e")?).ok()?;
        let period = Period { from: first.date, to: last, sure: first.sure, yearless: first.yearless };
        (period.from < period.to).then_some(What::Period(period))
    };
    or_nothing(read())
}

/// "on the 27th": the coming one, or the latest where the text looks back.
pub(super) fn the_nth(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    if !ends_phrase(found.rest) {
        return None;
    }
    let today = context.today();
    let day: i8 = found.number("d")?;
    let of_month = |n: i64| {
        let first = months(today.first_of_month(), n)?;
        Date::new(first.year(), first.month(), day).ok()
    };
    let date = match context.tense {
        Some(Tense::Past) => [0, -1].into_iter().filter_map(of_month).find(|date| *date <= today)?,
        Some(Tense::Report) => return None,
        _ => [0, 1].into_iter().filter_map(of_month).find(|date| *date >= today)?,
    };
    Some(Day::on(date))
}

pub(super) fn nth_of_month(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    let year = found.get("year").and_then(year);
    or_nothing(day_of_month(year, month(found.get("m")?)?, nth(&found.lower("nth"))?, context))
}

pub(super) fn nth_of_relative_month(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    let first = months(context.today().first_of_month(), step(&found.lower("which")))?;
    or_nothing(Date::new(first.year(), first.month(), found.number("d")?).ok().map(Day::on))
}

pub(super) fn named_day(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    let words = found.captures.get(0)?.as_str().to_ascii_lowercase();
    let (n, part) = match words.split_ascii_whitespace().collect::<Vec<_>>().as_slice() {
        ["today"] => (0, None),
        ["tomorrow" | "tmrw" | "tmr"] => (1, None),
        ["yesterday"] => (-1, None),
        ["tonight"] | ["this", "evening"] => (0, Some(Part::Evening)),
        ["this", "morning"] => (0, Some(Part::Morning)),
        ["this", "afternoon"] => (0, Some(Part::Afternoon)),
        ["last", "night"] => (-1, Some(Part::Evening)),
        _ => return None,
    };
    let date = days(context.today(), n)?;
    Some(What::Day(Day { date, sure: true, yearless: false, weekday: false, part }))
}

pub(super) fn part(found: &Found<'_, '_>, _: &Context) -> Option<What> {
    Some(What::Part(match found.lower("word").as_str() {
        "morning" => Part::Morning,
        "afternoon" => Part::Afternoon,
        "evening" => Part::Evening,
        _ => Part::Night,
    }))
}

pub(super) fn weekday(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    let today = context.today();
    let weekday = weekday_named(found.get("w")?)?;
    let day = |date: Option<Date>| {
        Some(What::Day(Day { date: date?, sure: true, yearless: false, weekday: true, part: None }))
    };
    let which = found.lower("which");
    if let Some(week) = found.get("week") {
        // "next Friday this week" is no date.
        let clear = which.is_empty();
        let date = weekday_of_week(today, step(&week.to_ascii_lowercase()), weekday);
        return if clear { day(date) } else { Some(What::Nothing) };
    }
    match which.as_str() {
        "" => bare_weekday(weekday, context),
        "this" => day(coming(today, weekday)),
        "next" => day(weekday_of_week(today, 1, weekday)),
        "last" | "past" | "this past" | "previous" => day(latest(today, weekday)),
        _ if weekday == today.weekday() => day(days(today, 7)),
        _ => day(coming(today, weekday)),
    }
}

pub(super) fn nth_weekday(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    let read = || {
        let n = nth(&found.lower("nth")).unwrap_or(-1);
        let weekday = weekday_named(found.get("w")?)?;
        let (first, sure, yearless) = match found.get("m") {
            Some(name) => {
                let year = found.get("year").and_then(year);
                match (Months { first: month(name)?, count: 1 }).resolve(year, context)? {
                    What::Period(period) => (period.from, period.sure, period.yearless),
                    _ => return None,
                }
            }
            None => (months(context.today().first_of_month(), step(&found.lower("which")))?, true, false),
        };
        let date = first.nth_weekday_of_month(n, weekday).ok()?;
        // A yearless one falls on another day in another year: neighbours cannot settle it.
        Some(What::Day(Day { date, sure, yearless: yearless && !sure, weekday: false, part: None }))
    };
    or_nothing(read())
}
