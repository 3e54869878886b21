//! What the calendar's functions do, in the order of the interface; arguments are checked here.
//!
//! Invariant: intervals are half-open, so an event that begins when another ends is no conflict. An error names the
//! value, the limit and what to give instead.

use crate::expand::Expansion;
use crate::keep::{self, Kept, Store};
use crate::rule::Rule;
use crate::series::{Occurrence, Series};
use crate::time::{Date, Time};
use crate::zone::Zone;
use crate::{Booked, Error, Event, Slot};

/// The longest event, in minutes.
const MAX_MINUTES: u32 = 24 * 60;
/// How far ahead the first of a recurring event is looked for, and its conflicts, in seconds.
const MAX_AHEAD: i64 = 366 * crate::time::DAY;
/// The most events that one call lists.
const MAX_LISTED: usize = 500;
const MAX_TITLE: usize = 200;
const MAX_ATTENDEES: usize = 50;
const MAX_ATTENDEE: usize = 100;
/// The most days that one call looks at.
const MAX_DAYS: i64 = 366;
/// The most free slots that one call gives.
const MAX_SLOTS: usize = 40;
/// Working hours, in minutes after midnight.
const OPENS: i64 = 9 * 60;
const CLOSES: i64 = 17 * 60;

/// A checked wish for an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appointment(Series);

impl Appointment {
    /// Checks the arguments of `create-event`.
    ///
    /// # Errors
    /// For the first argument that is wrong.
    pub fn new(
        title: &str,
        start: &str,
        minutes: u32,
        attendees: &[String],
        repeat: Option<&str>,
    ) -> Result<Appointment, Error> {
        let title = line("title", title, MAX_TITLE).map_err(Error::InvalidTitle)?;
        let start = Time::parse(start)
            .map_err(|reason| Error::InvalidTime(format!("start {}: {reason}", shown(start))))?;
        if !(1..=MAX_MINUTES).contains(&minutes) {
            return Err(Error::InvalidDuration(format!(
                "duration-minutes is {minutes}; give 1 to {MAX_MINUTES}"
            )));
        }
        if attendees.len() > MAX_ATTENDEES {
            let count = attendees.len();
            return Err(Error::InvalidAttendees(format!("{count} attendees; {MAX_ATTENDEES} at most")));
        }
        let attendees = attendees
            .iter()
            .map(|name| line("attendee", name, MAX_ATTENDEE).map_err(Error::InvalidAttendees))
            .collect::<Result<Vec<_>, _>>()?;
        let wrong =
            |reason| Error::InvalidRepeat(format!("repeat {}: {reason}", shown(repeat.unwrap_or(""))));
        let rule =
            repeat.filter(|rule| !rule.trim().is_empty()).map(Rule::parse).transpose().map_err(wrong)?;
        // "Every Monday" from a Tuesday on begins on the Monday after.
        let start = match &rule {
            None => start,
            Some(rule) => Expansion::new(rule, start, &Zone::Floating, start.plus(MAX_AHEAD))
                .next()
                .ok_or_else(|| wrong("it never happens; leave parts out".to_owned()))?,
        };
        let rule = rule.map(|rule| rule.to_string());
        keep::vevent(&title, start, minutes.into(), &attendees, rule.as_deref())
            .map(Appointment)
            .map_err(wrong)
    }
}

/// Days from one to another, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Days {
    from: Date,
    to: Date,
}

impl Days {
    /// Checks the arguments `from` and `to`.
    ///
    /// # Errors
    /// Where one is no date, `to` is before `from` or there are too many days.
    pub fn new(from: &str, to: &str) -> Result<Days, Error> {
        let date = |name: &str, text: &str| {
            Date::parse(text)
                .map_err(|reason| Error::InvalidDate(format!("{name} {}: {reason}", shown(text))))
        };
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

    fn bounds(self) -> (Time, Time) {
        (self.from.at(0), self.to.plus(1).at(0))
    }
}

/// What happens between two times, by start, with the id of each.
fn agenda(events: &[Kept], (from, to): (Time, Time), user: &Zone) -> Vec<(String, Occurrence)> {
    let of = |event: &Kept| -> Vec<_> {
        let found = event.series.between(from, to, user).into_iter();
        found.map(|occurrence| (event.id.clone(), occurrence)).collect()
    };
    let mut all: Vec<(String, Occurrence)> = events.iter().flat_map(of).collect();
    all.sort_by_key(|(_, occurrence)| occurrence.start);
    all
}

/// Books an event, whether or not it overlaps others. Of an event that recurs, the conflicts of a year are told.
///
/// # Errors
/// `storage`.
pub fn create_event(store: &mut impl Store, appointment: Appointment, user: &Zone) -> Result<Booked, Error> {
    // Before anything is written, so that an error means that nothing was booked.
    let before = keep::events(store)?;
    let event = keep::add(store, appointment.0)?;
    // And after, so that of two calls at the same moment one at least is told of the other.
    let others = keep::events(store).unwrap_or(before);
    let start = event.series.start.time;
    let own = event.series.between(start, start.plus(MAX_AHEAD), user);
    let last = own.last().map_or(start, |occurrence| occurrence.end);
    let mut conflicts: Vec<_> = agenda(&others, (start, last), user);
    conflicts.retain(|(id, other)| {
        *id != event.id
            && own.iter().any(|mine| other.busy && other.start < mine.end && other.end > mine.start)
    });
    conflicts.truncate(MAX_LISTED);
    let first = own.first().ok_or_else(|| Error::Storage("the event was kept and cannot be read".into()))?;
    let conflicts = conflicts.iter().map(|(id, other)| told(id, other)).collect();
    Ok(Booked { event: told(&event.id, first), conflicts })
}

/// The events that touch the days, by start; each time of one that recurs.
///
/// # Errors
/// `storage`, `invalid-range` where there are too many.
pub fn list_events(store: &impl Store, days: Days, user: &Zone) -> Result<Vec<Event>, Error> {
    let all = agenda(&keep::events(store)?, days.bounds(), user);
    if all.len() > MAX_LISTED {
        return Err(Error::InvalidRange(format!("{} events in these days; give fewer days", all.len())));
    }
    Ok(all.iter().map(|(id, occurrence)| told(id, occurrence)).collect())
}

/// The event of an id, and its occurrence on a day where one is named.
fn find(
    store: &impl Store,
    id: &str,
    day: Option<&str>,
    user: &Zone,
) -> Result<(Kept, Option<Occurrence>), Error> {
    let events = keep::events(store)?;
    let event = events.into_iter().find(|event| event.id == id).ok_or_else(|| {
        Error::UnknownEvent(format!("there is no event {}; list-events gives the ids", shown(id)))
    })?;
    let Some(day) = day else {
        return Ok((event, None));
    };
    let date =
        Date::parse(day).map_err(|reason| Error::InvalidDate(format!("day {}: {reason}", shown(day))))?;
    let found = event.series.between(date.at(0), date.plus(1).at(0), user);
    let first = found.into_iter().find(|occurrence| occurrence.start >= date.at(0));
    let first = first.ok_or_else(|| {
        Error::UnknownEvent(format!("{id} does not begin on {date}; list-events gives its days"))
    })?;
    Ok((event, Some(first)))
}

/// Moves an event, or one occurrence of one that recurs; it keeps its length.
///
/// # Errors
/// `unknown-event`, `invalid-time`, `invalid-date`, `storage`.
pub fn move_event(
    store: &mut impl Store,
    id: &str,
    start: &str,
    day: Option<&str>,
    user: &Zone,
) -> Result<Event, Error> {
    let to = Time::parse(start)
        .map_err(|reason| Error::InvalidTime(format!("start {}: {reason}", shown(start))))?;
    let (mut event, occurrence) = find(store, id, day, user)?;
    let zone = event.series.start.zone.clone();
    let own = if matches!(zone, Zone::Floating) { to } else { zone.local(user.instant(to)) };
    match occurrence {
        Some(occurrence) if event.series.recurs() => event.series.move_one(occurrence.recurrence, own),
        None if event.series.recurs() => {
            return Err(Error::InvalidDate(format!("{id} repeats; give the day of the one to move")));
        }
        _ => event.series.move_whole(own),
    }
    keep::replace(store, &event)?;
    let found = event.series.between(to, to.plus(1), user);
    let moved = found.iter().find(|occurrence| occurrence.start == to || event.series.start.all_day);
    moved.map(|occurrence| told(id, occurrence)).ok_or_else(|| {
        Error::InvalidTime(format!(
            "{to} is skipped by the clock of the event's zone; it was moved to the hour after"
        ))
    })
}

/// Cancels an event, or one occurrence, or that and all that follow; says what was cancelled.
///
/// # Errors
/// `unknown-event`, `invalid-date`, `storage`.
pub fn cancel_event(
    store: &mut impl Store,
    id: &str,
    day: Option<&str>,
    following: bool,
    user: &Zone,
) -> Result<String, Error> {
    let (mut event, occurrence) = find(store, id, day, user)?;
    match occurrence.filter(|_| event.series.recurs()) {
        Some(occurrence) if !following || occurrence.recurrence > event.series.start.time => {
            event.series.leave_out(occurrence.recurrence, following);
            keep::replace(store, &event)?;
            let more = if following { " and all after it" } else { "" };
            Ok(format!("cancelled {} on {}{more}", occurrence.title, occurrence.start))
        }
        _ => {
            store.delete(&event.key)?;
            Ok(format!("cancelled {id}"))
        }
    }
}

/// The free stretches of working time that have at least `minutes`, earliest first, at most [`MAX_SLOTS`].
///
/// # Errors
/// `invalid-duration`, `storage`.
pub fn find_free_time(store: &impl Store, days: Days, minutes: u32, user: &Zone) -> Result<Vec<Slot>, Error> {
    let longest = CLOSES - OPENS;
    if !(1..=longest).contains(&minutes.into()) {
        return Err(Error::InvalidDuration(format!(
            "duration-minutes is {minutes}; give 1 to {longest}, the length of a working day"
        )));
    }
    let mut events = agenda(&keep::events(store)?, days.bounds(), user);
    events.retain(|(_, occurrence)| occurrence.busy);
    let mut slots = Vec::new();
    let all = (0..=days.to.since(days.from)).map(|offset| days.from.plus(offset));
    for day in all.filter(|day| day.weekday() < 5) {
        let closes = day.at(CLOSES * 60);
        let mut free_from = day.at(OPENS * 60);
        // The end of the day stands as a last event; `events` is by start.
        for (start, end) in events.iter().map(|(_, event)| (event.start, event.end)).chain([(closes, closes)])
        {
            let until = start.min(closes);
            if until.since(free_from) >= i64::from(minutes) * 60 {
                slots.push(Slot { start: free_from.to_string(), end: until.to_string() });
            }
            free_from = free_from.max(end);
        }
        if slots.len() >= MAX_SLOTS {
            slots.truncate(MAX_SLOTS);
            break;
        }
    }
    Ok(slots)
}

fn told(id: &str, event: &Occurrence) -> Event {
    Event {
        id: id.to_owned(),
        title: event.title.clone(),
        start: event.start.to_string(),
        end: event.end.to_string(),
        attendees: event.attendees.clone(),
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
fn shown(text: &str) -> String {
    let start: String = text.chars().take(40).collect();
    format!("`{}`{}", start.escape_debug(), if start.len() < text.len() { "…" } else { "" })
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
