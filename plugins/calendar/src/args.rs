//! The arguments of the interface, checked before anything is read or written.
//!
//! Invariant: an error names the value, the limit and what to give instead.

use crate::expand::{Expansion, PLENTY};
use crate::ics::{self, Component};
use crate::moment::{Length, Moment};
use crate::rule::Rule;
use crate::series::Series;
use crate::time::{DAY, Date, Time};
use crate::zone::Zone;
use crate::{Details, Error};

/// The longest event on a clock, and of whole days, in minutes.
const MAX_MINUTES: u32 = 24 * 60;
const MAX_DAYS_MINUTES: u32 = 31 * 24 * 60;
/// The earliest reminder, in minutes before the start.
const MAX_REMINDER: u32 = 40_320;
/// How far ahead the first of a recurring event is looked for, in seconds.
pub const MAX_AHEAD: i64 = 366 * DAY;
const MAX_TITLE: usize = 200;
const MAX_ATTENDEES: usize = 50;
const MAX_ATTENDEE: usize = 100;
/// The most days that one call looks at.
const MAX_DAYS: i64 = 366;

/// The arguments of `create-event` that say what is booked, as they were given.
#[derive(Debug, Clone, Default)]
pub struct Wish<'a> {
    /// What it is about.
    pub title: &'a str,
    /// `YYYY-MM-DDTHH:MM`.
    pub start: &'a str,
    /// How long.
    pub minutes: u32,
    /// People or teams.
    pub attendees: &'a [String],
    /// An RRULE.
    pub repeat: Option<&'a str>,
    /// Whole days, reminder, zone.
    pub details: Option<&'a Details>,
}

impl Wish<'_> {
    /// The event that is wished for, on the user's clock where no other zone is given.
    ///
    /// # Errors
    /// For the first argument that is wrong.
    pub fn event(&self, user: &Zone) -> Result<Series, Error> {
        let title = line("title", self.title, MAX_TITLE).map_err(Error::InvalidTitle)?;
        let start = time("start", self.start)?;
        let all_day = self.details.and_then(|details| details.all_day).unwrap_or(false);
        let most = if all_day { MAX_DAYS_MINUTES } else { MAX_MINUTES };
        if !(1..=most).contains(&self.minutes) {
            let minutes = self.minutes;
            return Err(Error::InvalidDuration(format!("duration-minutes is {minutes}; give 1 to {most}")));
        }
        let attendees = people(self.attendees)?;
        let zone = match self.details.and_then(|details| details.zone.as_deref()).map(str::trim) {
            None | Some("") => user.clone(),
            Some(name) => Zone::named(name).ok_or_else(|| {
                Error::InvalidDetails(format!("zone {} is unknown; write such as Asia/Tokyo", shown(name)))
            })?,
        };
        let start = match all_day {
            true => Moment { time: start.date().at(0), zone: Zone::Floating, all_day },
            false => Moment { time: start, zone, all_day },
        };
        let reminder = self.details.and_then(|details| details.reminder_minutes);
        if let Some(minutes) = reminder.filter(|minutes| *minutes > MAX_REMINDER) {
            return Err(Error::InvalidDetails(format!(
                "reminder-minutes is {minutes}; give 0 to {MAX_REMINDER}"
            )));
        }
        let wrong =
            |reason| Error::InvalidRepeat(format!("repeat {}: {reason}", shown(self.repeat.unwrap_or(""))));
        let repeat = self.repeat.filter(|rule| !rule.trim().is_empty());
        let rule = repeat.map(Rule::parse).transpose().map_err(wrong)?;
        // "Every Monday" from a Tuesday on begins on the Monday after.
        let first = match &rule {
            None => start.time,
            Some(rule) => Expansion::new(rule, start.time, &start.zone, start.time.plus(MAX_AHEAD), PLENTY)
                .next()
                .ok_or_else(|| wrong("it never happens; leave parts out".to_owned()))?,
        };
        let length = match all_day {
            true => Length::days(self.minutes.div_ceil(1440).into()),
            false => Length::exact(i64::from(self.minutes) * 60),
        };
        let mut component = vevent(&title, &Moment { time: first, ..start }, length, &attendees);
        if let Some(rule) = rule {
            component.add("RRULE", "", &rule.to_string());
        }
        if let Some(minutes) = reminder {
            let mut alarm = Component::new("VALARM");
            alarm.add("ACTION", "", "DISPLAY");
            alarm.add("DESCRIPTION", "", &ics::escape(&title));
            alarm.add("TRIGGER", "", &Length::exact(-60 * i64::from(minutes)).written());
            component.parts.push(alarm);
        }
        Series::read(vec![component]).map_err(wrong)
    }
}

/// An event as a VEVENT.
#[must_use]
pub fn vevent(title: &str, start: &Moment, length: Length, attendees: &[String]) -> Component {
    let mut component = Component::new("VEVENT");
    component.add("SUMMARY", "", &ics::escape(title));
    start.write(&mut component, "DTSTART");
    component.add("DURATION", "", &length.written());
    for name in attendees {
        // RFC 5545 wants an address; this is what calendars write for a name without one.
        let address = if name.contains('@') { format!("mailto:{name}") } else { "invalid:nomail".to_owned() };
        component.add("ATTENDEE", &format!(";CN=\"{}\"", name.replace('"', "'")), &address);
    }
    component
}

/// Names of people or teams.
///
/// # Errors
/// `invalid-attendees`.
pub fn people(names: &[String]) -> Result<Vec<String>, Error> {
    if names.len() > MAX_ATTENDEES {
        let count = names.len();
        return Err(Error::InvalidAttendees(format!(
            "{count} attendees; {MAX_ATTENDEES} at most: name teams"
        )));
    }
    names.iter().map(|name| line("attendee", name, MAX_ATTENDEE).map_err(Error::InvalidAttendees)).collect()
}

/// The person whose busy times a file holds; none where the argument is not given.
///
/// # Errors
/// `invalid-attendees`.
pub fn owner(name: Option<&str>) -> Result<Option<String>, Error> {
    let name = name.filter(|name| !name.trim().is_empty());
    name.map(|name| line("owner", name, MAX_ATTENDEE).map_err(Error::InvalidAttendees)).transpose()
}

/// A time of the user's clock.
///
/// # Errors
/// `invalid-time`.
pub fn time(name: &str, text: &str) -> Result<Time, Error> {
    Time::parse(text).map_err(|reason| Error::InvalidTime(format!("{name} {}: {reason}", shown(text))))
}

/// A day of the user's calendar.
///
/// # Errors
/// `invalid-date`.
pub fn date(name: &str, text: &str) -> Result<Date, Error> {
    Date::parse(text).map_err(|reason| Error::InvalidDate(format!("{name} {}: {reason}", shown(text))))
}

/// Days from one to another, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Days {
    /// The first.
    pub from: Date,
    /// The last.
    pub to: Date,
}

impl Days {
    /// Checks the arguments `from` and `to`.
    ///
    /// # Errors
    /// Where one is no date, `to` is before `from` or there are too many days.
    pub fn new(from: &str, to: &str) -> Result<Days, Error> {
        let (from, to) = (date("from", from)?, date("to", to)?);
        let days = to.since(from) + 1;
        if days < 1 {
            return Err(Error::InvalidRange(format!("to {to} is before from {from}; exchange them")));
        }
        if days > MAX_DAYS {
            return Err(Error::InvalidRange(format!("{from} to {to} is {days} days; {MAX_DAYS} at most")));
        }
        Ok(Days { from, to })
    }

    /// From the first midnight to the last.
    #[must_use]
    pub fn bounds(self) -> (Time, Time) {
        (self.from.at(0), self.to.plus(1).at(0))
    }
}

/// A text of one line, without white space around it.
fn line(what: &str, text: &str, most: usize) -> Result<String, String> {
    let text = text.trim();
    let length = text.chars().count();
    if text.is_empty() {
        return Err(format!("{what} is empty; give a text"));
    }
    if length > most {
        return Err(format!("{what} has {length} characters; {most} at most"));
    }
    if text.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
        return Err(format!("{what} {} has a line break or control character; give one line", shown(text)));
    }
    Ok(text.to_owned())
}

/// A value as a message shows it.
#[must_use]
pub fn shown(text: &str) -> String {
    let start: String = text.chars().take(40).collect();
    format!("`{}`{}", start.escape_debug(), if start.len() < text.len() { "…" } else { "" })
}
