//! What the calendar's functions do, in the order of the interface; arguments are checked here.
//!
//! Invariant: intervals are half-open, so an event that begins when another ends is no conflict. An error names the
//! value, the limit and what to give instead.

use crate::keep::{self, Kept, Store};
use crate::time::{Date, Time};
use crate::{Booked, Error, Event, Slot};

/// The longest event, in minutes.
const MAX_MINUTES: u32 = 24 * 60;
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
pub struct Appointment(Kept);

impl Appointment {
    /// Checks the arguments of `create-event`.
    ///
    /// # Errors
    /// For the first argument that is wrong.
    pub fn new(title: &str, start: &str, minutes: u32, attendees: &[String]) -> Result<Appointment, Error> {
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
            .collect::<Result<_, _>>()?;
        Ok(Appointment(Kept { id: String::new(), title, start, minutes: minutes.into(), attendees }))
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

    fn overlap(self, event: &Kept) -> bool {
        event.start < self.to.plus(1).at(0) && event.end() > self.from.at(0)
    }
}

/// Books an event, whether or not it overlaps others.
///
/// # Errors
/// `storage`.
pub fn create_event(store: &mut impl Store, appointment: Appointment) -> Result<Booked, Error> {
    // Before anything is written, so that an error means that nothing was booked.
    let before = keep::events(store)?;
    let event = keep::add(store, appointment.0)?;
    // And after, so that of two calls at the same moment one at least is told of the other.
    let others = keep::events(store).unwrap_or(before);
    let conflicts = others
        .iter()
        .filter(|other| other.id != event.id && other.start < event.end() && other.end() > event.start);
    Ok(Booked { conflicts: conflicts.map(told).collect(), event: told(&event) })
}

/// The events that touch the days, by start.
///
/// # Errors
/// `storage`.
pub fn list_events(store: &impl Store, days: Days) -> Result<Vec<Event>, Error> {
    Ok(keep::events(store)?.iter().filter(|event| days.overlap(event)).map(told).collect())
}

/// The free stretches of working time that have at least `minutes`, earliest first, at most [`MAX_SLOTS`].
///
/// # Errors
/// `invalid-duration`, `storage`.
pub fn find_free_time(store: &impl Store, days: Days, minutes: u32) -> Result<Vec<Slot>, Error> {
    let longest = CLOSES - OPENS;
    if !(1..=longest).contains(&minutes.into()) {
        return Err(Error::InvalidDuration(format!(
            "duration-minutes is {minutes}; give 1 to {longest}, the length of a working day"
        )));
    }
    let events: Vec<Kept> = keep::events(store)?.into_iter().filter(|event| days.overlap(event)).collect();
    let mut slots = Vec::new();
    let all = (0..=days.to.since(days.from)).map(|offset| days.from.plus(offset));
    for day in all.filter(|day| day.weekday() < 5) {
        let closes = day.at(CLOSES * 60);
        let mut free_from = day.at(OPENS * 60);
        // The end of the day stands as a last event; `events` is by start.
        for (start, end) in events.iter().map(|event| (event.start, event.end())).chain([(closes, closes)]) {
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

fn told(event: &Kept) -> Event {
    Event {
        id: event.id.clone(),
        title: event.title.clone(),
        start: event.start.to_string(),
        end: event.end().to_string(),
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
mod tests {
    use super::*;
    use crate::keep::testing::Memory;

    fn book(store: &mut Memory, title: &str, start: &str, minutes: u32) -> Booked {
        let appointment = Appointment::new(title, start, minutes, &["ops".to_owned()]).expect("valid");
        create_event(store, appointment).expect("booked")
    }

    fn days(from: &str, to: &str) -> Days {
        Days::new(from, to).expect("valid")
    }

    fn free(store: &Memory, from: &str, to: &str, minutes: u32) -> Vec<String> {
        let slots = find_free_time(store, days(from, to), minutes).expect("found");
        slots.iter().map(|slot| format!("{} {}", slot.start, &slot.end[11..])).collect()
    }

    #[test]
    fn an_event_is_booked_and_its_conflicts_are_told() {
        let mut store = Memory::default();
        let first = book(&mut store, "  Standup ", "2026-03-02T10:00", 30);
        assert_eq!((first.event.title.as_str(), first.event.end.as_str()), ("Standup", "2026-03-02T10:30"));
        assert!(first.conflicts.is_empty());
        assert!(book(&mut store, "After", "2026-03-02T10:30", 30).conflicts.is_empty());
        assert!(book(&mut store, "Before", "2026-03-02T09:30", 30).conflicts.is_empty());
        let conflicts = book(&mut store, "Long", "2026-03-02T10:15", 16).conflicts;
        let ids: Vec<_> = conflicts.iter().map(|event| event.id.as_str()).collect();
        assert_eq!(ids, ["e1", "e2"]);
    }

    #[test]
    fn events_are_listed_on_every_day_that_they_touch() {
        let mut store = Memory::default();
        book(&mut store, "Night shift", "2026-03-02T22:00", 600);
        book(&mut store, "Until midnight", "2026-03-04T23:00", 60);
        let titles = |from, to| -> Vec<String> {
            list_events(&store, days(from, to))
                .expect("listed")
                .into_iter()
                .map(|event| event.title)
                .collect()
        };
        assert_eq!(titles("2026-03-01", "2026-03-01"), Vec::<String>::new());
        assert_eq!(titles("2026-03-02", "2026-03-02"), ["Night shift"]);
        assert_eq!(titles("2026-03-03", "2026-03-04"), ["Night shift", "Until midnight"]);
        assert_eq!(titles("2026-03-05", "2026-03-05"), Vec::<String>::new());
    }

    #[test]
    fn free_time_is_what_events_leave_of_working_days() {
        let mut store = Memory::default();
        // A Monday.
        book(&mut store, "Early", "2026-03-02T08:00", 90);
        book(&mut store, "Nested outer", "2026-03-02T11:00", 180);
        book(&mut store, "Nested inner", "2026-03-02T12:00", 30);
        book(&mut store, "Late", "2026-03-02T16:30", 120);
        assert_eq!(
            free(&store, "2026-03-02", "2026-03-02", 60),
            ["2026-03-02T09:30 11:00", "2026-03-02T14:00 16:30"]
        );
        assert_eq!(free(&store, "2026-03-02", "2026-03-02", 120), ["2026-03-02T14:00 16:30"]);
        assert_eq!(free(&store, "2026-03-02", "2026-03-02", 151), Vec::<String>::new());
        // Friday to Monday: no weekend.
        book(&mut store, "All day", "2026-03-09T00:00", 1440);
        assert_eq!(free(&store, "2026-03-06", "2026-03-09", 480), ["2026-03-06T09:00 17:00"]);
        assert_eq!(free(&store, "2026-03-07", "2026-03-08", 1), Vec::<String>::new());
        assert_eq!(free(&store, "2027-01-01", "2027-12-31", 30).len(), MAX_SLOTS);
    }

    #[test]
    fn wrong_arguments_are_refused_with_the_value_and_the_mend() {
        let new = |title: &str, start: &str, minutes, attendees: &[&str]| {
            let attendees: Vec<String> = attendees.iter().map(|name| (*name).to_owned()).collect();
            Appointment::new(title, start, minutes, &attendees).expect_err("refused")
        };
        let start = "2026-03-02T10:00";
        let many = vec!["x"; 51];
        for (error, expected) in [
            (new(" ", start, 30, &[]), Error::InvalidTitle("title is empty; give a text".into())),
            (
                new(&"x".repeat(201), start, 30, &[]),
                Error::InvalidTitle("title has 201 characters; 200 at most".into()),
            ),
            (
                new("a\nevent 1", start, 30, &[]),
                Error::InvalidTitle(
                    "title `a\\nevent 1` has a line break or control character; give one line".into(),
                ),
            ),
            (
                new("x", "2026-13-01T10:00", 30, &[]),
                Error::InvalidTime("start `2026-13-01T10:00`: there is no month 13; 01 to 12".into()),
            ),
            (new("x", start, 0, &[]), Error::InvalidDuration("duration-minutes is 0; give 1 to 1440".into())),
            (
                new("x", start, u32::MAX, &[]),
                Error::InvalidDuration("duration-minutes is 4294967295; give 1 to 1440".into()),
            ),
            (new("x", start, 30, &many), Error::InvalidAttendees("51 attendees; 50 at most".into())),
            (new("x", start, 30, &[""]), Error::InvalidAttendees("attendee is empty; give a text".into())),
        ] {
            assert_eq!(error, expected);
        }
        assert!(matches!(Days::new("2026-03-02", "2026-03-01"), Err(Error::InvalidRange(_))));
        assert!(matches!(Days::new("2026-03-02", "2027-03-03"), Err(Error::InvalidRange(_))));
        assert!(matches!(Days::new("today", "2026-03-01"), Err(Error::InvalidDate(_))));
        for minutes in [0, 481] {
            let found = find_free_time(&Memory::default(), days("2026-03-02", "2026-03-02"), minutes);
            assert!(matches!(found, Err(Error::InvalidDuration(_))));
        }
    }
}
