//! Dates and times in what a person wrote, found and resolved by code, because small models do neither.
//!
//! Invariant: what is claimed is right under the rules below; what is unsure is left out. No text makes it
//! panic, the work is linear in the text, and at most [`MENTIONS`] mentions come back. Times are civil (the
//! zone's wall clock): a time inside a daylight-saving gap stays as written.
//!
//! Why own code: the crates at hand (`interim`, `chrono-english`, `date_time_parser`, `human-date-parser`) parse a
//! whole string that is one date, and English only; here spans inside sentences are wanted, in English and Chinese.
//!
//! Rules where usage differs:
//! - `Friday`, `this Friday`: the coming one, or the one past where a verb says so ("how many came in on Friday").
//!   On that weekday itself the bare name is left out, `this …` is today and `coming …` a week later.
//!   `next Friday`, 下周五: the Friday of next week; `last Friday`: the latest before today; 上周五: of last week.
//!   Weeks begin on Monday.
//! - A month, quarter or day without a year: the latest that has begun where the text reports ("revenue in March"),
//!   the coming one where it plans ("book … 5 January"), else the one near at hand, else left out.
//! - `last 30 days`: from 30 days ago to today, as SQL's `date('now', '-30 days')`; `next 7 days`: from today.
//! - `24/11/2026` and `11/24/2026` have one reading; `03/04/2026` has two and is left out; `24.11.2026` is day first.
//! - An hour without am or pm, beside a date or after "at": 8 to 12 as said, 1 to 5 in the afternoon, 6 and 7 left
//!   out; written with a leading zero or from 13 on it is the 24-hour clock.
//! - A time apart from the text's only date belongs to that date, unless that would be in the past.

mod atom;
mod calendar;
mod chinese;
mod clock;
mod english;
mod join;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;

use jiff::civil::{Date, DateTime, Time, Weekday};

use atom::{Atom, What};
use calendar::{Context, Tense};

/// Most mentions that one text gives; further ones are left out.
pub(crate) const MENTIONS: usize = 32;
/// Most bytes that are read of one text.
const TEXT_BYTES: usize = 32 * 1024;

/// A date or time in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mention<'t> {
    /// Where it stands, in bytes.
    pub(crate) span: Range<usize>,
    /// The words themselves.
    pub(crate) phrase: &'t str,
    /// What they mean.
    pub(crate) resolved: Resolved,
}

/// What a mention means. `Display` gives ISO 8601, ranges as `FROM..TO`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resolved {
    /// A day.
    Date(Date),
    /// A day and a time, to the minute.
    DateTime(DateTime),
    /// From a day to a day, both included.
    Range(Date, Date),
    /// From a moment to a moment.
    DateTimeRange(DateTime, DateTime),
    /// A time of a day that the text does not name.
    Time(Time),
}

impl Resolved {
    /// The weekday of a single day, in English.
    pub(crate) fn weekday(&self) -> Option<&'static str> {
        let date = match self {
            Resolved::Date(date) => *date,
            Resolved::DateTime(moment) => moment.date(),
            Resolved::DateTimeRange(from, to) if from.date() == to.date() => from.date(),
            Resolved::Range(..) | Resolved::DateTimeRange(..) | Resolved::Time(_) => return None,
        };
        Some(match date.weekday() {
            Weekday::Monday => "Monday",
            Weekday::Tuesday => "Tuesday",
            Weekday::Wednesday => "Wednesday",
            Weekday::Thursday => "Thursday",
            Weekday::Friday => "Friday",
            Weekday::Saturday => "Saturday",
            Weekday::Sunday => "Sunday",
        })
    }
}

impl fmt::Display for Resolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minute = |t: &DateTime| format!("{}T{:02}:{:02}", t.date(), t.hour(), t.minute());
        match self {
            Resolved::Date(date) => write!(f, "{date}"),
            Resolved::DateTime(moment) => f.write_str(&minute(moment)),
            Resolved::Range(from, to) => write!(f, "{from}..{to}"),
            Resolved::DateTimeRange(from, to) => write!(f, "{}..{}", minute(from), minute(to)),
            Resolved::Time(time) => write!(f, "{:02}:{:02}", time.hour(), time.minute()),
        }
    }
}

/// The dates and times that `text` mentions, in order, resolved against the local time `now`.
pub(crate) fn find(text: &str, now: DateTime) -> Vec<Mention<'_>> {
    let read = &text[..text.floor_char_boundary(TEXT_BYTES)];
    let context = Context { now, tense: Tense::of(read) };
    let mut candidates = english::atoms(read, &context);
    candidates.extend(clock::atoms(read));
    candidates.extend(chinese::atoms(read, &context));
    if matches!(context.tense, Some(Tense::Past | Tense::Report)) {
        // "priced from 5 to 10": where figures are asked for, a bare number is one.
        candidates.retain(|atom| !atom.is_loose());
    }
    let atoms = join::join(read, select(candidates));
    let day = join::only_day(&atoms);
    let mut mentions: Vec<Mention<'_>> = atoms
        .into_iter()
        .filter_map(|atom| {
            let resolved = resolve(&atom.what, day, &context)?;
            Some(Mention { phrase: &text[atom.span.clone()], span: atom.span, resolved })
        })
        .collect();
    mentions.truncate(MENTIONS);
    mentions
}

/// Of overlapping candidates the longest, of equals the first; in order of the text.
fn select(mut candidates: Vec<Atom>) -> Vec<Atom> {
    candidates.sort_by_key(|atom| (std::cmp::Reverse(atom.span.len()), atom.span.start));
    let mut taken = std::collections::BTreeMap::<usize, Atom>::new();
    for atom in candidates {
        let before = taken.range(..atom.span.end).next_back();
        if before.is_none_or(|(_, other)| other.span.end <= atom.span.start) {
            taken.insert(atom.span.start, atom);
        }
    }
    taken.into_values().collect()
}

fn resolve(what: &What, day: Option<Date>, context: &Context) -> Option<Resolved> {
    let carried = |time: Time| {
        let moment = day?.to_datetime(time);
        (moment >= context.now || context.tense == Some(Tense::Past)).then_some(moment)
    };
    match what {
        What::Day(day) => day.sure.then_some(Resolved::Date(day.date)),
        What::Period(period) => period.sure.then_some(Resolved::Range(period.from, period.to)),
        What::Moment(moment) => Some(Resolved::DateTime(*moment)),
        What::Moments(from, to) => Some(Resolved::DateTimeRange(*from, *to)),
        What::Clock(clock) => {
            let time = clock.time(None)?;
            match carried(time) {
                Some(moment) => Some(Resolved::DateTime(moment)),
                None => (!clock.loose).then_some(Resolved::Time(time)),
            }
        }
        What::Clocks(first, last) => {
            let (from, to) = clock::range(first, last, None)?;
            match (carried(from), carried(to)) {
                (Some(from), Some(to)) => Some(Resolved::DateTimeRange(from, to)),
                _ => None,
            }
        }
        What::Part(_) | What::Nothing => None,
    }
}
