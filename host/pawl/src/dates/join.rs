//! Joins neighbouring pieces: "Friday" and "27 November", "tomorrow" and "at 10:30", "7 December" to "11 December".
//! Each pass walks left to right and looks only at neighbours and the few words between them.

use jiff::civil::{Date, DateTime};

use super::atom::{Atom, Day, Part, Period, What};
use super::calendar::{days, years};
use super::clock;

type Rule = fn(&What, &str, &What, &str) -> Option<What>;

/// Most bytes between two pieces that belong together.
const GAP_BYTES: usize = 24;

/// Joins what belongs together; `atoms` are in order and do not overlap.
pub(super) fn join(text: &str, atoms: Vec<Atom>) -> Vec<Atom> {
    const PASSES: [Rule; 5] = [parts, clock_ranges, weekday_and_date, moments, ranges];
    let mut atoms = atoms;
    share_years(text, &mut atoms);
    for rule in PASSES {
        atoms = reduce(text, atoms, rule);
    }
    atoms
}

/// The one day of the text, where there is exactly one and no period.
pub(super) fn only_day(atoms: &[Atom]) -> Option<Date> {
    let mut only = None;
    for atom in atoms {
        let date = match atom.what {
            What::Day(day) if day.sure => day.date,
            What::Moment(moment) | What::Moments(moment, _) => moment.date(),
            What::Day(_) | What::Period(_) => return None,
            What::Part(_) | What::Clock(_) | What::Clocks(..) | What::Nothing => continue,
        };
        if only.is_some_and(|other| other != date) {
            return None;
        }
        only = Some(date);
    }
    only
}

fn reduce(text: &str, atoms: Vec<Atom>, rule: Rule) -> Vec<Atom> {
    let mut done: Vec<Atom> = Vec::with_capacity(atoms.len());
    for atom in atoms {
        let joined = done.last().and_then(|last| {
            let gap = gap(text, last, &atom)?;
            let before = &text[..last.span.start];
            let what = rule(&last.what, &gap, &atom.what, before)?;
            // "between 7 December and 11 December" is one phrase.
            let opening = if gap == "and" { opening(before).unwrap_or(0) } else { 0 };
            Some(Atom { span: last.span.start - opening..atom.span.end, what })
        });
        match joined {
            Some(joined) => {
                done.pop();
                done.push(joined);
            }
            None => done.push(atom),
        }
    }
    done
}

/// The words between, in lower case; `None` where they are too many.
fn gap(text: &str, first: &Atom, second: &Atom) -> Option<String> {
    let between = text.get(first.span.end..second.span.start)?;
    (between.len() <= GAP_BYTES && !between.contains('\n')).then(|| between.trim().to_lowercase())
}

/// How many bytes "between " (and "the ") takes at the end of `before`.
fn opening(before: &str) -> Option<usize> {
    let tail = before.len().checked_sub("between the ".len()).filter(|at| before.is_char_boundary(*at));
    let ends = |word: &str| {
        let at = before.len().checked_sub(word.len())?;
        before.get(at..)?.eq_ignore_ascii_case(word).then_some(word.len())
    };
    tail.and_then(|_| ends("between the ")).or_else(|| ends("between "))
}

fn is_until(gap: &str) -> bool {
    matches!(
        gap,
        "to" | "-" | "–" | "—" | "~" | "～" | "until" | "till" | "through" | "thru" | "到" | "至" | "to the"
    )
}

/// "October and November 2025": a year at the end of a list holds for all of it.
fn share_years(text: &str, atoms: &mut [Atom]) {
    for index in (1..atoms.len()).rev() {
        let (left, right) = atoms.split_at_mut(index);
        let (Some(first), Some(second)) = (left.last_mut(), right.first_mut()) else { continue };
        let Some(gap) = gap(text, first, second) else { continue };
        let list = matches!(
            gap.as_str(),
            "and" | "," | "&" | "or" | "vs" | "vs." | "versus" | ", and" | "和" | "与" | "、"
        );
        if !list {
            continue;
        }
        match (&mut first.what, &mut second.what) {
            (What::Period(a), What::Period(b)) if a.yearless && !b.yearless => {
                let years_on = i64::from(b.from.year()) - i64::from(a.from.year());
                if let (Some(from), Some(to)) = (years(a.from, years_on), years(a.to, years_on)) {
                    // Whole months or quarters: the last day is that of the month, leap years included.
                    *a = Period { from, to: to.last_of_month(), sure: true, yearless: false };
                }
            }
            (What::Day(a), What::Day(b)) if a.yearless && !b.yearless && !b.weekday => {
                if let Ok(date) = Date::new(b.date.year(), a.date.month(), a.date.day()) {
                    *a = Day { date, sure: true, yearless: false, ..*a };
                }
            }
            // "October 2025 and November" may be of either year.
            (What::Period(a), What::Period(b)) if !a.yearless && b.yearless => b.sure = false,
            (What::Day(a), What::Day(b)) if !a.yearless && !a.weekday && b.yearless => b.sure = false,
            // "next Tuesday and Wednesday": the Wednesday of which week?
            (What::Day(a), What::Day(b)) if a.weekday && b.weekday && b.date < a.date => b.sure = false,
            _ => {}
        }
    }
}

/// "morning at 9", "9 in the morning".
fn parts(first: &What, gap: &str, second: &What, _: &str) -> Option<What> {
    match (first, second) {
        (What::Part(part), What::Clock(clock)) if matches!(gap, "" | "at" | "的" | "around") => {
            Some(What::Clock(clock.in_part(*part)))
        }
        (What::Part(part), What::Clocks(a, b)) if matches!(gap, "" | "的") => {
            Some(What::Clocks(a.in_part(*part), b.in_part(*part)))
        }
        (What::Clock(clock), What::Part(part)) if matches!(gap, "" | "in the" | "at") => {
            Some(What::Clock(clock.in_part(*part)))
        }
        (What::Clocks(a, b), What::Part(part)) if matches!(gap, "" | "in the") => {
            Some(What::Clocks(a.in_part(*part), b.in_part(*part)))
        }
        (What::Day(day), What::Part(part)) if day.part.is_none() && matches!(gap, "" | "in the" | "的") => {
            Some(What::Day(Day { part: Some(*part), ..*day }))
        }
        _ => None,
    }
}

/// 下午3点到4点.
fn clock_ranges(first: &What, gap: &str, second: &What, _: &str) -> Option<What> {
    match (first, second) {
        (What::Clock(a), What::Clock(b)) if is_until(gap) => {
            clock::range(a, b, None).map(|_| What::Clocks(*a, *b)).or_else(|| {
                // Both bare: the date beside them may tell the half.
                (a.loose && b.loose).then_some(What::Clocks(*a, *b))
            })
        }
        _ => None,
    }
}

/// "Thursday, 26 November".
fn weekday_and_date(first: &What, gap: &str, second: &What, _: &str) -> Option<What> {
    let (What::Day(a), What::Day(b)) = (first, second) else { return None };
    if !matches!(gap, "" | "," | "the" | ", the" | "(" | "（" | "，") {
        return None;
    }
    let (name, date) = match (a.weekday, b.weekday) {
        (true, false) => (a, b),
        (false, true) => (b, a),
        _ => return None,
    };
    let part = a.part.or(b.part);
    // The weekday settles an unsure year; where the two contradict nothing is claimed.
    let weekday = name.date.weekday();
    if date.date.weekday() == weekday {
        return Some(What::Day(Day { sure: true, yearless: false, part, ..*date }));
    }
    let near = [-1, 1].into_iter().filter(|_| !date.sure).find_map(|n| {
        let other = Date::new(date.date.year() + n, date.date.month(), date.date.day()).ok()?;
        (other.weekday() == weekday).then_some(other)
    });
    Some(near.map_or(What::Nothing, |date| {
        What::Day(Day { date, sure: true, yearless: false, weekday: false, part })
    }))
}

/// "tomorrow at 10:30", "10:30 tomorrow", "Thursday 3-4 pm", and "… until 4 pm" after those.
fn moments(first: &What, gap: &str, second: &What, _: &str) -> Option<What> {
    const DAY_CLOCK: [&str; 16] = [
        "",
        ",",
        "at",
        ", at",
        "@",
        "around",
        "at around",
        "from",
        ", from",
        "by",
        "-",
        "–",
        "的",
        "，",
        "starting at",
        "(",
    ];
    const CLOCK_DAY: [&str; 5] = ["", ",", "on", ", on", "of"];
    match (first, second) {
        (What::Day(day), What::Clock(_) | What::Clocks(..)) if day.sure && DAY_CLOCK.contains(&gap) => {
            at(day, second)
        }
        (What::Clock(_) | What::Clocks(..), What::Day(day)) if day.sure && CLOCK_DAY.contains(&gap) => {
            at(day, first)
        }
        (What::Moment(from), What::Clock(clock)) if is_until(gap) => {
            let to = [Part::Morning, Part::Afternoon, Part::Evening]
                .into_iter()
                .filter_map(|part| clock.time(Some(part)))
                .map(|time| from.date().to_datetime(time))
                .find(|to| to > from)?;
            Some(What::Moments(*from, to))
        }
        _ => None,
    }
}

fn at(day: &Day, clock: &What) -> Option<What> {
    match clock {
        What::Clock(clock) => Some(What::Moment(day.date.to_datetime(clock.time(day.part)?))),
        What::Clocks(first, last) => {
            let (from, to) = clock::range(first, last, day.part)?;
            Some(What::Moments(day.date.to_datetime(from), day.date.to_datetime(to)))
        }
        _ => None,
    }
}

/// "24 November to 3 December", "between January and March 2025".
fn ranges(first: &What, gap: &str, second: &What, before: &str) -> Option<What> {
    let joins = is_until(gap) || (gap == "and" && opening(before).is_some());
    if !joins {
        return None;
    }
    if let (What::Moment(from), What::Moment(to)) = (first, second) {
        return moments_between(*from, *to);
    }
    let (a, b) = (ends(first)?, ends(second)?);
    if a.yearless && !b.yearless {
        // The latest year that keeps the order.
        let (from, _) = in_year(&a, b.to.year(), b.to)?;
        return Some(Period::between(from, b.to));
    }
    if !a.yearless && b.yearless {
        let to = [0, 1].into_iter().find_map(|n| {
            let shifted = years(b.to, i64::from(a.from.year()) - i64::from(b.to.year()) + n)?;
            (shifted >= a.from).then_some(shifted)
        })?;
        return Some(Period::between(a.from, to));
    }
    if a.yearless && b.yearless {
        let (from, _) = in_year(&a, b.to.year(), b.to)?;
        let sure = a.sure || b.sure;
        return Some(What::Period(Period { from, to: b.to, sure, yearless: true }));
    }
    let to = match second {
        // "Monday to Wednesday": the Wednesday after that Monday.
        What::Day(day) if day.weekday && b.to < a.from => days(b.to, 7)?,
        _ => b.to,
    };
    (a.sure && b.sure).then(|| Period::between(a.from, to))
}

fn moments_between(from: DateTime, to: DateTime) -> Option<What> {
    (from < to).then_some(What::Moments(from, to))
}

fn ends(what: &What) -> Option<Period> {
    match what {
        What::Day(day) => {
            Some(Period { from: day.date, to: day.date, sure: day.sure, yearless: day.yearless })
        }
        What::Period(period) => Some(*period),
        _ => None,
    }
}

/// `period` in `year`, or in the year before where it would begin after `limit`.
fn in_year(period: &Period, year: i16, limit: Date) -> Option<(Date, Date)> {
    [0, -1].into_iter().find_map(|n| {
        let on = i64::from(year) - i64::from(period.from.year()) + n;
        let (from, to) = (years(period.from, on)?, years(period.to, on)?);
        (from <= limit).then_some((from, to))
    })
}
