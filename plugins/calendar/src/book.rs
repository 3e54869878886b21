//! Booking, listing, moving and cancelling events.
//!
//! Invariant: intervals are half-open, so an event that begins when another ends is no conflict. An error names the
//! value, the limit and what to give instead, and nothing was changed then.

use crate::agenda::{Agenda, FUEL};
use crate::args::{self, Days, MAX_AHEAD, Wish, shown};
use crate::keep::{self, Kept, Store};
use crate::names;
use crate::series::Occurrence;
use crate::time::Time;
use crate::zone::Zone;
use crate::{Booked, Error, Event, Listed, Scope};

/// The most events that one call lists.
const MAX_LISTED: usize = 500;
/// The most conflicts that one call tells, and of how many times of the new event.
const MAX_CONFLICTS: usize = 50;
const MAX_TIMES: usize = 500;

/// Books an event, whether or not it overlaps others of the user or of its attendees. Of an event that recurs, the
/// conflicts of a year are told.
///
/// # Errors
/// For the first argument that is wrong; `storage`.
pub fn create_event(
    store: &mut impl Store,
    wish: &Wish,
    calendar: Option<&str>,
    user: &Zone,
) -> Result<Booked, Error> {
    let mut series = wish.event(user)?;
    // Before anything is written, so that an error means that nothing was booked.
    let before = keep::events(store)?;
    let calendar = names::existing_or_new(&before, calendar)?;
    if let Some(main) = series.components.first_mut() {
        names::mark(main, names::CALENDAR, Some(&calendar));
    }
    let event = keep::add(store, series)?;
    // And after, so that of two calls at the same moment one at least is told of the other.
    let others = keep::events(store).unwrap_or(before);
    let start = event.series.start.seen(user);
    let own = event.series.between(start, start.plus(MAX_AHEAD), user, FUEL / 4);
    let times = own.occurrences.get(..MAX_TIMES).unwrap_or(&own.occurrences);
    let first =
        times.first().ok_or_else(|| Error::Storage("the event was kept and cannot be read".into()))?;
    let last = times.iter().map(|mine| mine.end).max().unwrap_or(start);
    let invited = |other: &Kept| wish.attendees.iter().any(|who| other.owned_by(who));
    let others: Vec<&Kept> = others
        .iter()
        .filter(|other| other.id != event.id && (other.owner().is_none() || invited(other)))
        .collect();
    let mut agenda = Agenda::of(&others, (start, last), user, FUEL / 2);
    let overlaps =
        |other: &Occurrence| times.iter().any(|mine| other.start < mine.end && other.end > mine.start);
    let mut met = 0;
    agenda.entries.retain(|(_, other)| {
        let meets = met <= MAX_CONFLICTS && other.busy && overlaps(other);
        met += usize::from(meets);
        meets && met <= MAX_CONFLICTS
    });
    if met > MAX_CONFLICTS {
        agenda.notes.push(format!("more than {MAX_CONFLICTS} conflicts; these are the first"));
    }
    if times.len() < own.occurrences.len() || own.incomplete.is_some() {
        agenda.notes.push(format!("conflicts are told up to {last}"));
    }
    let conflicts = agenda.entries.iter().map(|(kept, other)| told(kept, other)).collect();
    Ok(Booked { event: told(&event, first), conflicts, notes: agenda.told() })
}

/// The events that touch the days, by start; each time of one that recurs.
///
/// # Errors
/// `unknown-calendar`, `storage`.
pub fn list_events(
    store: &impl Store,
    days: Days,
    calendar: Option<&str>,
    user: &Zone,
) -> Result<Listed, Error> {
    let events = keep::events(store)?;
    let calendar = names::existing(&events, calendar)?;
    let in_it = |event: &&Kept| calendar.as_ref().is_none_or(|name| event.calendar() == *name);
    let own: Vec<&Kept> = events.iter().filter(|event| event.owner().is_none()).filter(in_it).collect();
    let mut agenda = Agenda::of(&own, days.bounds(), user, FUEL);
    agenda.limit(MAX_LISTED);
    let events = agenda.entries.iter().map(|(kept, occurrence)| told(kept, occurrence)).collect();
    Ok(Listed { events, notes: agenda.told() })
}

/// The event of an id.
fn find(store: &impl Store, id: &str) -> Result<Kept, Error> {
    keep::find(store, id)?.ok_or_else(|| {
        Error::UnknownEvent(format!("there is no event {}; list-events gives the ids", shown(id)))
    })
}

/// The recurrence of an event that begins on a day of the user's, by its original start; none where no day is named.
fn recurrence(event: &Kept, day: Option<&str>, user: &Zone) -> Result<Option<Time>, Error> {
    let Some(date) = day.map(|day| args::date("day", day)).transpose()? else { return Ok(None) };
    let found = event.series.between(date.at(0), date.plus(1).at(0), user, FUEL);
    let first = found.occurrences.iter().find(|occurrence| occurrence.start >= date.at(0));
    first.map(|occurrence| Some(occurrence.recurrence)).ok_or_else(|| {
        Error::UnknownEvent(format!("{} does not begin on {date}; list-events gives its days", event.id))
    })
}

/// The recurrence that begins nearest to a time of the user's clock, within a year.
fn nearest(event: &Kept, to: Time, user: &Zone) -> Time {
    let found = event.series.between(to.plus(-MAX_AHEAD), to.plus(MAX_AHEAD), user, FUEL);
    let by_distance = found.occurrences.iter().min_by_key(|occurrence| occurrence.start.since(to).abs());
    by_distance.map_or(event.series.start.time, |occurrence| occurrence.recurrence)
}

fn day_is_missing(id: &str) -> Error {
    Error::InvalidDate(format!("{id} repeats; give the day of the one that is meant, or scope all"))
}

/// Moves an event, or of one that recurs one occurrence, it and all that follow, or all; each keeps its length.
///
/// # Errors
/// `unknown-event`, `invalid-time`, `invalid-date`, `invalid-repeat`, `storage`.
pub fn move_event(
    store: &mut impl Store,
    id: &str,
    start: &str,
    day: Option<&str>,
    scope: Option<Scope>,
    user: &Zone,
) -> Result<Event, Error> {
    let to = args::time("start", start)?;
    let mut event = find(store, id)?;
    let recurrence = recurrence(&event, day, user)?;
    let zone = event.series.start.zone.clone();
    let own = if matches!(zone, Zone::Floating) { to } else { zone.local(user.instant(to)) };
    let own = if event.series.start.all_day { own.date().at(0) } else { own };
    let wrong = |reason: String| Error::InvalidRepeat(format!("{id} was not moved: {reason}"));
    let first = event.series.start.time;
    let mut rest = None;
    match (scope.unwrap_or(Scope::This), recurrence) {
        _ if !event.series.recurs() => event.series.move_all(first, own).map_err(wrong)?,
        (Scope::All, at) => {
            let at = at.unwrap_or_else(|| nearest(&event, to, user));
            event.series.move_all(at, own).map_err(wrong)?;
        }
        (_, None) => return Err(day_is_missing(id)),
        (Scope::This, Some(at)) => event.series.move_one(at, own),
        (Scope::Following, Some(at)) if at <= first => event.series.move_all(at, own).map_err(wrong)?,
        (Scope::Following, Some(at)) => rest = Some(event.series.part(at, own).map_err(wrong)?),
    }
    // Before anything is written: in the night of a change there are times that a clock shows never or twice.
    let begins =
        |occurrence: &Occurrence| occurrence.start == if occurrence.all_day() { to.date().at(0) } else { to };
    let found = rest.as_ref().unwrap_or(&event.series).between(to, to.plus(1), user, FUEL);
    if !found.occurrences.iter().any(begins) {
        return Err(Error::InvalidTime(format!(
            "{id} was not moved: a clock changes at {to}, there or in the event's zone; give a time an hour before or after"
        )));
    }
    if let Some(rest) = rest {
        // The new one first: should the second write fail, events are there twice and none is lost.
        let rest = keep::add(store, rest)?;
        keep::replace(store, &event)?;
        event = rest;
    } else {
        keep::replace(store, &event)?;
    }
    let found = event.series.between(to, to.plus(1), user, FUEL);
    let moved = found.occurrences.iter().find(|occurrence| begins(occurrence));
    moved
        .map(|occurrence| told(&event, occurrence))
        .ok_or_else(|| Error::Storage("the event was moved and cannot be read".into()))
}

/// Cancels an event, or of one that recurs one occurrence, or it and all that follow; says what was cancelled.
///
/// # Errors
/// `unknown-event`, `invalid-date`, `storage`.
pub fn cancel_event(
    store: &mut impl Store,
    id: &str,
    day: Option<&str>,
    scope: Option<Scope>,
    user: &Zone,
) -> Result<String, Error> {
    let mut event = find(store, id)?;
    let at = recurrence(&event, day, user)?.filter(|_| event.series.recurs());
    let title = event.series.title();
    let when = |at: Time| crate::moment::Moment { time: at, ..event.series.start.clone() }.seen(user);
    let (said, following) = match (scope, at) {
        (Some(Scope::This | Scope::Following), None) if event.series.recurs() => {
            return Err(day_is_missing(id));
        }
        (Some(Scope::Following), Some(at)) if at > event.series.first() => {
            (format!("cancelled {title} on {} and all after it", when(at)), true)
        }
        (None | Some(Scope::This), Some(at)) => (format!("cancelled {title} on {}", when(at)), false),
        _ => {
            store.delete(&event.key)?;
            return Ok(format!("cancelled {id}, {title}"));
        }
    };
    match at {
        Some(at) if following => event.series.end_before(at),
        Some(at) => event.series.leave_out(at),
        None => {}
    }
    if event.series.components.iter().any(|component| component.name == "VEVENT") {
        keep::replace(store, &event)?;
    } else {
        store.delete(&event.key)?;
    }
    Ok(said)
}

/// An occurrence as the interface tells it.
fn told(kept: &Kept, occurrence: &Occurrence) -> Event {
    let mut marks = Vec::new();
    if kept.series.recurs() {
        marks.push("repeats".to_owned());
    }
    if occurrence.all_day() {
        marks.push("all day".to_owned());
    }
    if let Some(minutes) = occurrence.reminder() {
        let (size, side) = (minutes.abs(), if minutes < 0 { "after" } else { "before" });
        marks.push(format!("reminder {size} minutes {side}"));
    }
    let owner = kept.owner();
    Event {
        id: kept.id.clone(),
        title: occurrence.title(),
        start: occurrence.start.to_string(),
        end: occurrence.end.to_string(),
        calendar: owner.as_ref().map_or_else(|| kept.calendar(), |owner| format!("of {owner}")),
        attendees: owner.map_or_else(|| occurrence.attendees(), |owner| vec![owner]),
        marks,
    }
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
