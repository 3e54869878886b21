//! What the recognisers find: pieces that may still be joined ("tomorrow" and "at 10:30").

use std::ops::Range;

use jiff::civil::{Date, DateTime};

use super::clock::Clock;

/// A piece of the text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Atom {
    /// Bytes of the text.
    pub(super) span: Range<usize>,
    pub(super) what: What,
}

impl Atom {
    /// A bare number that is a time only by its neighbours.
    pub(super) fn is_loose(&self) -> bool {
        match &self.what {
            What::Clock(clock) => clock.loose,
            What::Clocks(first, last) => first.loose && last.loose,
            _ => false,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum What {
    Day(Day),
    Period(Period),
    Part(Part),
    Clock(Clock),
    Clocks(Clock, Clock),
    Moment(DateTime),
    Moments(DateTime, DateTime),
    /// Understood not to be a date that can be told, as "every Friday"; nothing inside it is claimed.
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Day {
    pub(super) date: Date,
    /// False where the year or the week is a guess: left out unless a neighbour settles it.
    pub(super) sure: bool,
    /// Written without its year.
    pub(super) yearless: bool,
    /// Only a weekday's name.
    pub(super) weekday: bool,
    /// "tomorrow morning".
    pub(super) part: Option<Part>,
}

impl Day {
    pub(super) fn on(date: Date) -> What {
        What::Day(Day { date, sure: true, yearless: false, weekday: false, part: None })
    }
}

/// Days, both ends included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Period {
    pub(super) from: Date,
    pub(super) to: Date,
    /// As for [`Day`].
    pub(super) sure: bool,
    /// As for [`Day`].
    pub(super) yearless: bool,
}

impl Period {
    pub(super) fn between(from: Date, to: Date) -> What {
        match from <= to {
            true => What::Period(Period { from, to, sure: true, yearless: false }),
            false => What::Nothing,
        }
    }
}

/// A part of the day, which settles the half of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// 凌晨: after midnight.
    Small,
    Morning,
    Noon,
    Afternoon,
    Evening,
    Night,
}
