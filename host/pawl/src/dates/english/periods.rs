//! Readers of months, quarters, years, and of what is counted from now.

use jiff::civil::{Date, Weekday};

use super::super::atom::{Day, Period, What};
use super::super::calendar::{
    Context, Months, Tense, Unit, days, moment_in, months, weekday_of_week, whole, year, years,
};
use super::{Found, is_month_word, month, nth, number, or_nothing, said_year, step};

pub(super) fn month_year(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    let months = Months { first: month(found.get("m")?)?, count: 1 };
    or_nothing(said_year(found, context).and_then(|year| months.resolve(Some(year), context)))
}

pub(super) fn bare_month(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    let (prep, name) = (found.lower("prep"), found.get("m")?);
    let strong = matches!(
        prep.as_str(),
        "in" | "during" | "since" | "of" | "through" | "throughout" | "until" | "till"
    );
    let named = match name.to_ascii_lowercase().as_str() {
        "jan" => strong || matches!(prep.as_str(), "from" | "between" | "to"),
        _ => is_month_word(name) || (strong && name.eq_ignore_ascii_case("march")),
    };
    if !named {
        return None;
    }
    Months { first: month(name)?, count: 1 }.resolve(None, context)
}

/// The first of two, as in "October and November 2025".
pub(super) fn listed_month(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    let name = found.get("m").filter(|name| is_month_word(name))?;
    Months { first: month(name)?, count: 1 }.resolve(None, context)
}

/// "last December": the latest; left out where "last" or "next" could mean the one beside now.
pub(super) fn relative_month(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    let today = context.today();
    let months_of = Months { first: month(found.get("m")?)?, count: 1 };
    let apart = i64::from(months_of.first) - i64::from(today.month());
    let year = match (found.lower("which").as_str(), apart) {
        ("this", _) => today.year(),
        ("last", 1..) => today.year() - 1,
        ("last", ..=-4) => return Some(What::Nothing),
        ("next", ..=-1) => today.year() + 1,
        _ => return Some(What::Nothing),
    };
    months_of.resolve(Some(year), context)
}

pub(super) fn edge_of_month(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    let months = Months { first: month(found.get("m")?)?, count: 1 };
    let What::Period(period) = months.resolve(said_year(found, context), context)? else { return None };
    let date = if found.lower("which") == "end" { period.to } else { period.from };
    Some(What::Day(Day { date, sure: period.sure, yearless: period.yearless, weekday: false, part: None }))
}

pub(super) fn quarter(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    let quarter = match found.lower("nth").as_str() {
        "last" => 4,
        "" => found.number("q")?,
        word => nth(word)?,
    };
    Months { first: quarter * 3 - 2, count: 3 }.resolve(said_year(found, context), context)
}

pub(super) fn half(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    let half = match found.lower("nth").as_str() {
        "" => found.number("half")?,
        "last" => 2,
        word => nth(word)?,
    };
    let year = said_year(found, context);
    if year.is_none() && found.get("nth").is_some() {
        // "the second half" may be of anything.
        return Some(What::Nothing);
    }
    Months { first: half * 6 - 5, count: 6 }.resolve(year, context)
}

pub(super) fn year_alone(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    Months { first: 1, count: 12 }.resolve(Some(said_year(found, context)?), context)
}

pub(super) fn to_date(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    let units = [("ytd", Unit::Year), ("mtd", Unit::Month), ("qtd", Unit::Quarter)];
    let unit = units.into_iter().find_map(|(name, unit)| found.get(name).map(|_| unit))?;
    let (from, _) = whole(context.today(), unit, 0)?;
    Some(Period::between(from, context.today()))
}

fn unit(word: &str) -> Option<Unit> {
    match word.trim_end_matches('s') {
        "week" => Some(Unit::Week),
        "month" => Some(Unit::Month),
        "quarter" => Some(Unit::Quarter),
        "year" => Some(Unit::Year),
        _ => None,
    }
}

pub(super) fn relative_whole(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    let which = found.lower("which");
    if which == "past" {
        // The calendar's, or as many days back: either.
        return Some(What::Nothing);
    }
    let (from, to) = whole(context.today(), unit(&found.lower("unit"))?, step(&which))?;
    Some(Period::between(from, to))
}

pub(super) fn weekend(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    let today = context.today();
    let weeks = match found.lower("which").as_str() {
        "this" => 0,
        "last" => -1,
        // On a weekday "next weekend" is the coming one to some.
        _ => return Some(What::Nothing),
    };
    let saturday = weekday_of_week(today, weeks, Weekday::Saturday)?;
    Some(Period::between(saturday, days(saturday, 1)?))
}

fn shift(date: Date, n: i64, unit: &str) -> Option<Date> {
    match unit.trim_end_matches('s') {
        "day" => days(date, n),
        "week" => days(date, n.checked_mul(7)?),
        "month" => months(date, n),
        "year" => years(date, n),
        _ => None,
    }
}

pub(super) fn rolling(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    let read = || {
        let n = number(found.get("n")?)?;
        let today = context.today();
        let unit = found.lower("unit");
        match step(&found.lower("which")) {
            1 => Some(Period::between(today, shift(today, n, &unit)?)),
            _ => Some(Period::between(shift(today, -n, &unit)?, today)),
        }
    };
    or_nothing(read())
}

pub(super) fn edge(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    let (of, word) = (found.lower("of"), found.lower("unit"));
    let (from, to) = match year(&word) {
        Some(year) => Months { first: 1, count: 12 }.in_year(year)?,
        // Whether a week ends on Friday or on Sunday is anybody's guess.
        None if word == "week" => return Some(What::Nothing),
        None => whole(context.today(), unit(&word)?, step(of.trim().trim_start_matches("the ")))?,
    };
    Some(Day::on(if found.lower("which") == "end" { to } else { from }))
}

/// "in two hours" is a moment, "in two weeks" a day.
pub(super) fn ahead(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    if found.get("from").is_none() && matches!(context.tense, Some(Tense::Past | Tense::Report)) {
        return None;
    }
    let from_tomorrow = found.lower("from") == "tomorrow";
    or_nothing(if from_tomorrow { None } else { offset(found, context, 1) })
}

pub(super) fn ago(found: &Found<'_, '_>, context: &Context) -> Option<What> {
    or_nothing(offset(found, context, -1))
}

pub(super) fn offset(found: &Found<'_, '_>, context: &Context, sign: i64) -> Option<What> {
    let unit = found.lower("unit");
    let unit = unit.trim_end_matches('s');
    let half_an = found.lower("n").starts_with("half");
    let n = if half_an { 0 } else { number(found.get("n")?)? };
    let half = half_an || found.get("half").is_some();
    let minutes = match unit {
        "minute" | "min" if !half => n,
        "hour" | "hr" => n * 60 + if half { 30 } else { 0 },
        _ if half => return None,
        _ => return shift(context.today(), sign * n, unit).map(Day::on),
    };
    moment_in(context, sign * minutes)
}
