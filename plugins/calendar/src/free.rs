//! Free time within working hours: RFC 5545's busy time (sections 3.6.4 and 3.8.2.7) of the user and of others.
//!
//! Invariant: a slot overlaps nothing that is known to take the time of the user or of one of the attendees. Of whom
//! little is known is said, so that "free" is never more than "nothing known is in the way".

use crate::agenda::{Agenda, FUEL};
use crate::args::{self, Days};
use crate::keep::{self, Kept, Store};
use crate::time::Time;
use crate::zone::Zone;
use crate::{Error, FreeTime, Slot, Taken};

/// Working hours, in minutes after midnight.
const OPENS: i64 = 9 * 60;
const CLOSES: i64 = 17 * 60;
/// The most free slots that one call gives.
pub const MAX_SLOTS: usize = 40;
/// The most taken stretches that one call gives.
const MAX_TAKEN: usize = 40;

/// The free stretches of working time that have at least `minutes`, earliest first, at most [`MAX_SLOTS`]; where
/// attendees are given, also what is in the way and whose time it takes.
///
/// # Errors
/// `invalid-duration`, `invalid-attendees`, `storage`.
pub fn find_free_time(
    store: &impl Store,
    days: Days,
    minutes: u32,
    attendees: &[String],
    user: &Zone,
) -> Result<FreeTime, Error> {
    let longest = CLOSES - OPENS;
    if !(1..=longest).contains(&minutes.into()) {
        return Err(Error::InvalidDuration(format!(
            "duration-minutes is {minutes}; give 1 to {longest}, the length of a working day"
        )));
    }
    let attendees = args::people(attendees)?;
    let events = keep::events(store)?;
    let matters = |event: &&Kept| event.owner().is_none() || attendees.iter().any(|who| event.owned_by(who));
    let events: Vec<&Kept> = events.iter().filter(matters).collect();
    let mut agenda = Agenda::of(&events, days.bounds(), user, FUEL);
    agenda.entries.retain(|(_, occurrence)| occurrence.busy);
    let mut slots = Vec::new();
    let mut taken = Vec::new();
    let mut entries = agenda.entries.iter().peekable();
    // What has begun and may reach into the next days.
    let mut open: Vec<(Time, Time, usize)> = Vec::new();
    let mut number = 0;
    for day in (0..=days.to.since(days.from)).map(|offset| days.from.plus(offset)) {
        let (opens, closes) = (day.at(OPENS * 60), day.at(CLOSES * 60));
        while let Some((_, occurrence)) = entries.next_if(|(_, occurrence)| occurrence.start < closes) {
            open.push((occurrence.start, occurrence.end, number));
            number += 1;
        }
        open.retain(|(_, end, _)| *end > opens);
        if day.weekday() > 4 {
            continue;
        }
        let mut free_from = opens;
        // The end of the day stands as a last event; `open` is by start.
        for (start, end) in open.iter().map(|(start, end, _)| (*start, *end)).chain([(closes, closes)]) {
            let until = start.min(closes);
            if until.since(free_from) >= i64::from(minutes) * 60 {
                slots.push(Slot { start: free_from.to_string(), end: until.to_string() });
            }
            free_from = free_from.max(end);
        }
        if !attendees.is_empty() {
            taken.extend(open.iter().map(|(start, end, at)| ((*start).max(opens), (*end).min(closes), *at)));
        }
        if slots.len() >= MAX_SLOTS {
            slots.truncate(MAX_SLOTS);
            break;
        }
    }
    let more = taken.len().saturating_sub(MAX_TAKEN);
    taken.truncate(MAX_TAKEN);
    let taken = taken.into_iter().filter(|(start, end, _)| start < end);
    let taken = taken.filter_map(|(start, end, at)| {
        let (kept, occurrence) = agenda.entries.get(at)?;
        let of_them = attendees.iter().filter(|name| match kept.owner() {
            Some(_) => kept.owned_by(name),
            None => occurrence.attended_by(name),
        });
        let you = kept.owner().is_none().then(|| "you".to_owned());
        Some(Taken {
            start: start.to_string(),
            end: end.to_string(),
            title: occurrence.title(),
            who: you.into_iter().chain(of_them.cloned()).collect(),
        })
    });
    let taken = taken.collect();
    for name in attendees.iter().filter(|name| !events.iter().any(|event| event.owned_by(name))) {
        agenda.notes.push(format!(
            "of {name} only your own events are known; import-ics with owner `{name}` adds the rest"
        ));
    }
    if more > 0 {
        agenda.notes.push(format!("{more} more taken stretches; give fewer days"));
    }
    Ok(FreeTime { slots, taken, notes: agenda.told() })
}

#[cfg(test)]
#[path = "free_tests.rs"]
mod tests;
