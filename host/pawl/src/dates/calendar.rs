//! Arithmetic on civil days, and which year a date without one belongs to. Weeks begin on Monday (ISO 8601).
//! Everything that could leave the calendar (years -9999 to 9999) gives `None`.

use std::sync::LazyLock;

use jiff::Span;
use jiff::civil::{Date, DateTime, Weekday};
use regex::Regex;

use super::atom::{Day, Period, What};

/// What a text is resolved against.
pub(super) struct Context {
    pub(super) now: DateTime,
    pub(super) tense: Option<Tense>,
}

impl Context {
    pub(super) fn today(&self) -> Date {
        self.now.date()
    }
}

/// Which way a text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tense {
    /// A verb in the past.
    Past,
    /// No such verb, but it asks for figures, which are of the past.
    Report,
    /// It plans.
    Future,
}

static PAST: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)(?-u:\b)(?:did|was|were|had|sold|spent|bought|made|earned|generated|placed|came|got|ordered|signed up|grew|happened|received|shipped|went|cancelled|canceled)(?-u:\b)|了多少|[买卖花赚来]了|下了|过多少",
    )
});
static REPORT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)(?-u:\b)(?:revenue|sales|turnover|orders?|figures|earnings|sell|best[- ]?sell\w{0,6})(?-u:\b)|销售|销量|营业额|收入|订单|下单|营收",
    )
});
static FUTURE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)(?-u:\b)(?:book|schedule|plan|planned|planning|arrange|set up|will|shall|going to|reserve|remind|invite|free|available|availability|add|create|put|block|fit|meet|meetings?|appointments?|calendar|events?|call|slot|workshop)(?-u:\b)|安排|预约|预定|预订|会议|开会|日程|日历|提醒|空闲|有空|计划",
    )
});

impl Tense {
    pub(super) fn of(text: &str) -> Option<Tense> {
        match (PAST.is_match(text), REPORT.is_match(text), FUTURE.is_match(text)) {
            (true, _, false) => Some(Tense::Past),
            (false, true, false) => Some(Tense::Report),
            (false, false, true) => Some(Tense::Future),
            _ => None,
        }
    }
}

/// A pattern that is written in this source.
pub(super) fn pattern(source: &str) -> Regex {
    Regex::new(source).expect("a pattern written in this source compiles")
}

/// `n` days on (back where negative).
pub(super) fn days(date: Date, n: i64) -> Option<Date> {
    date.checked_add(Span::new().try_days(n).ok()?).ok()
}

/// `n` months on; the 31st becomes the month's last day where there is none.
pub(super) fn months(date: Date, n: i64) -> Option<Date> {
    date.checked_add(Span::new().try_months(n).ok()?).ok()
}

pub(super) fn years(date: Date, n: i64) -> Option<Date> {
    months(date, n.checked_mul(12)?)
}

/// The Monday of the week `n` weeks on.
pub(super) fn monday(date: Date, n: i64) -> Option<Date> {
    days(date, n.checked_mul(7)? - i64::from(date.weekday().to_monday_zero_offset()))
}

/// That weekday in the week `n` weeks on.
pub(super) fn weekday_of_week(date: Date, n: i64, weekday: Weekday) -> Option<Date> {
    days(monday(date, n)?, i64::from(weekday.to_monday_zero_offset()))
}

/// The coming one; today where `date` is that weekday.
pub(super) fn coming(date: Date, weekday: Weekday) -> Option<Date> {
    days(date, i64::from(date.weekday().until(weekday)))
}

/// The latest one before `date`.
pub(super) fn latest(date: Date, weekday: Weekday) -> Option<Date> {
    let back = i64::from(weekday.until(date.weekday()));
    days(date, if back == 0 { -7 } else { -back })
}

/// A unit of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Week,
    Month,
    Quarter,
    Year,
}

/// The whole week, month, quarter or year `n` on from that of `date`.
pub(super) fn whole(date: Date, unit: Unit, n: i64) -> Option<(Date, Date)> {
    match unit {
        Unit::Week => {
            let from = monday(date, n)?;
            Some((from, days(from, 6)?))
        }
        Unit::Month => {
            let from = months(date.first_of_month(), n)?;
            Some((from, from.last_of_month()))
        }
        Unit::Quarter => {
            let begun = i64::from((date.month() - 1) % 3);
            let from = months(date.first_of_month(), n.checked_mul(3)? - begun)?;
            Some((from, months(from, 2)?.last_of_month()))
        }
        Unit::Year => {
            let from = years(date.first_of_year(), n)?;
            Some((from, from.last_of_year()))
        }
    }
}

/// Months of a year, counted from 1: a month, a quarter or a half.
#[derive(Debug, Clone, Copy)]
pub(super) struct Months {
    pub(super) first: i8,
    pub(super) count: i64,
}

impl Months {
    pub(super) fn in_year(self, year: i16) -> Option<(Date, Date)> {
        let from = Date::new(year, self.first, 1).ok()?;
        Some((from, months(from, self.count - 1)?.last_of_month()))
    }

    /// In `year`, or in the year that the context suggests.
    pub(super) fn resolve(self, year: Option<i16>, context: &Context) -> Option<What> {
        if let Some(year) = year {
            let (from, to) = self.in_year(year)?;
            return Some(Period::between(from, to));
        }
        let today = context.today();
        let (from, to) = self.in_year(today.year())?;
        let begun = if from <= today { (from, to) } else { self.in_year(today.year() - 1)? };
        let coming = if to >= today { (from, to) } else { self.in_year(today.year() + 1)? };
        let near = if self.count == 1 { 120 } else { 330 };
        let ((from, to), sure) = match context.tense {
            Some(Tense::Past | Tense::Report) => (begun, true),
            Some(Tense::Future) => (coming, true),
            None => (begun, days(begun.0, near)? >= today),
        };
        Some(What::Period(Period { from, to, sure, yearless: true }))
    }
}

/// A day of a month, in `year` or in the year that the context suggests.
pub(super) fn day_of_month(year: Option<i16>, month: i8, day: i8, context: &Context) -> Option<What> {
    if let Some(year) = year {
        return Some(Day::on(Date::new(year, month, day).ok()?));
    }
    let today = context.today();
    let around = [-1, 0, 1].map(|n| Date::new(today.year() + n, month, day).ok());
    let before = around.iter().flatten().copied().filter(|date| *date <= today).max();
    let after = around.iter().flatten().copied().filter(|date| *date >= today).min();
    let distance = |date: Date| today.duration_until(date).as_hours().abs() / 24;
    let (date, sure) = match context.tense {
        Some(Tense::Past | Tense::Report) => (before?, true),
        Some(Tense::Future) => (after?, true),
        None => {
            let near = before.into_iter().chain(after).min_by_key(|date| distance(*date))?;
            (near, distance(near) <= 120)
        }
    };
    Some(What::Day(Day { date, sure, yearless: true, weekday: false, part: None }))
}

/// A weekday's bare name.
pub(super) fn bare_weekday(weekday: Weekday, context: &Context) -> Option<What> {
    let today = context.today();
    let date = match context.tense {
        Some(Tense::Past) => latest(today, weekday)?,
        _ => coming(today, weekday)?,
    };
    let sure = context.tense != Some(Tense::Report) && today.weekday() != weekday;
    Some(What::Day(Day { date, sure, yearless: false, weekday: true, part: None }))
}

/// A year of four digits.
pub(super) fn year(digits: &str) -> Option<i16> {
    digits.parse().ok().filter(|year| (1900..=2099).contains(year))
}

/// The moment `minutes` on, to the minute.
pub(super) fn moment_in(context: &Context, minutes: i64) -> Option<What> {
    let moment = context.now.checked_add(Span::new().try_minutes(minutes).ok()?).ok()?;
    let moment = moment.date().at(moment.hour(), moment.minute(), 0, 0);
    Some(What::Moment(moment))
}
