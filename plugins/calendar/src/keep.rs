//! How events are kept: one key per event, its id, a dot and a random number (`e17.5f0c…`).
//!
//! Format of a value: the line `event 2`, then a VEVENT, its overrides and time zones that only it knows as iCalendar text
//! ([`crate::names`] says how it tells its calendar). Values of the first version
//! are read as well: the lines `event 1`, start `YYYY-MM-DDTHH:MM`, minutes, title, then one line per attendee. A value
//! of another form is an error that names the key: nothing that is there is passed over or overwritten.
//!
//! Invariant: calls that run at the same moment never replace each other's events nor take the same id, though the
//! store has no atomic step. Each writes under a key that nobody else writes, then looks who else took the number; who
//! sees another gives the number up and takes a higher one. Of two, the one that looks last sees both.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use crate::Error;
use crate::args;
use crate::ics;
use crate::moment::{Length, Moment};
use crate::series::Series;
use crate::time::Time;
use crate::zone::Zone;

/// The plugin's own key-value store.
pub trait Store {
    /// The value under a key.
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error>;
    /// Writes a value.
    fn set(&mut self, key: &str, value: &[u8]) -> Result<(), Error>;
    /// Removes a key.
    fn delete(&mut self, key: &str) -> Result<(), Error>;
    /// All keys.
    fn keys(&self) -> Result<Vec<String>, Error>;
}

/// The most events that are kept.
pub const MAX_EVENTS: usize = 10_000;
/// How often an id is looked for before a call gives up.
const MAX_ATTEMPTS: u32 = 24;
const FIRST: &str = "event 1";
const SECOND: &str = "event 2";

/// An event as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// `e` and a number.
    pub id: String,
    /// Where it stands in the store.
    pub key: String,
    /// What it is.
    pub series: Series,
}

/// All events, by number.
///
/// # Errors
/// Where the store cannot be read or a value is not an event.
pub fn events(store: &impl Store) -> Result<Vec<Kept>, Error> {
    let mut events = Vec::new();
    for key in store.keys()?.into_iter().filter(|key| number(key).is_some()) {
        if let Some(value) = store.get(&key)? {
            events.push(read(&key, &value).ok_or_else(|| unreadable(&key))?);
        }
    }
    events.sort_by_key(|event: &Kept| number(&event.id));
    Ok(events)
}

/// The event of an id; only its own entry is read.
///
/// # Errors
/// As [`events`].
pub fn find(store: &impl Store, wanted: &str) -> Result<Option<Kept>, Error> {
    let Some(key) = store.keys()?.into_iter().find(|key| number(key).is_some() && id(key) == wanted) else {
        return Ok(None);
    };
    let Some(value) = store.get(&key)? else { return Ok(None) };
    read(&key, &value).map(Some).ok_or_else(|| unreadable(&key))
}

/// Keeps a new event under an id of its own, which is filled in.
///
/// # Errors
/// Where the calendar is full, the store cannot be written, or too many calls book at the same moment.
pub fn add(store: &mut impl Store, series: Series) -> Result<Kept, Error> {
    let kept = add_all(store, vec![series])?.pop();
    kept.ok_or_else(|| Error::Storage("the event was not kept; book it again".into()))
}

/// Keeps new events, each under an id of its own: all of them, or none where it fails.
///
/// # Errors
/// As [`add`].
pub fn add_all(store: &mut impl Store, all: Vec<Series>) -> Result<Vec<Kept>, Error> {
    let mut taken = numbers(store)?;
    if taken.len() + all.len() > MAX_EVENTS {
        return Err(Error::Storage(format!(
            "the calendar is full: {MAX_EVENTS} events at most; cancel old ones"
        )));
    }
    let (mut done, mut rest) = (Vec::new(), all);
    let mut failed = None;
    for attempt in 0..MAX_ATTEMPTS {
        // After a collision, each of those that collided goes a random way further.
        let first = taken.iter().max().unwrap_or(&0) + 1 + random() % (1 << attempt.min(10));
        let written = done.len();
        for (series, own) in rest.drain(..).zip(first..) {
            let event = Kept { id: format!("e{own}"), key: format!("e{own}.{:016x}", random()), series };
            failed = failed.or(store.set(&event.key, write(&event).as_bytes()).err());
            done.push(event);
            if failed.is_some() {
                break;
            }
        }
        let now = match failed.map_or_else(|| numbers(store), Err) {
            Ok(now) => now,
            Err(error) => {
                for event in &done {
                    store.delete(&event.key)?;
                }
                return Err(error);
            }
        };
        failed = None;
        let mut holders: HashMap<u64, u32> = HashMap::new();
        for number in &now {
            *holders.entry(*number).or_default() += 1;
        }
        for event in done.split_off(written) {
            if number(&event.key).and_then(|number| holders.get(&number)) == Some(&1) {
                done.push(event);
            } else {
                store.delete(&event.key)?;
                rest.push(event.series);
            }
        }
        if rest.is_empty() {
            return Ok(done);
        }
        taken = now;
    }
    Err(Error::Storage("too many events are booked at this moment; book it again".into()))
}

/// The numbers of all ids, as often as they are there.
fn numbers(store: &impl Store) -> Result<Vec<u64>, Error> {
    Ok(store.keys()?.iter().filter_map(|key| number(key)).collect())
}

/// A number that no other call has: the standard library's hasher is seeded by the host's randomness.
fn random() -> u64 {
    RandomState::new().hash_one(0)
}

fn unreadable(key: &str) -> Error {
    Error::Storage(format!("the entry `{key}` of the store is not this plugin's; it was left as it is"))
}

/// The id in a key.
fn id(key: &str) -> &str {
    key.split('.').next().unwrap_or(key)
}

/// The number in the id in a key; none for keys that are not of events.
fn number(key: &str) -> Option<u64> {
    id(key).strip_prefix('e')?.parse().ok().filter(|number| *number < 1 << 53)
}

/// Writes a changed event where it was.
///
/// # Errors
/// `storage`.
pub fn replace(store: &mut impl Store, event: &Kept) -> Result<(), Error> {
    store.set(&event.key, write(event).as_bytes())
}

fn write(event: &Kept) -> String {
    let mut text = format!("{SECOND}\n");
    for component in &event.series.components {
        component.write(&mut text);
    }
    text
}

fn read(key: &str, value: &[u8]) -> Option<Kept> {
    let (version, rest) = std::str::from_utf8(value).ok()?.split_once('\n')?;
    let series = match version {
        FIRST => {
            let mut lines = rest.lines();
            let start = Time::parse(lines.next()?).ok()?;
            let minutes: i64 =
                lines.next()?.parse().ok().filter(|minutes| (1..=100_000).contains(minutes))?;
            let title = lines.next()?;
            let start = Moment { time: start, zone: Zone::Floating, all_day: false };
            let attendees: Vec<String> = lines.map(str::to_owned).collect();
            Series::read(vec![args::vevent(title, &start, Length::exact(minutes * 60), &attendees)])
        }
        SECOND => Series::read(ics::parse(rest).ok()?),
        _ => return None,
    };
    Some(Kept { id: id(key).to_owned(), key: key.to_owned(), series: series.ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Memory;

    fn event(start: &str) -> Series {
        let attendees = ["finance team".to_owned(), "ops".to_owned()];
        let time = Time::parse(start).expect("a minute");
        let start = Moment { time, zone: Zone::Floating, all_day: false };
        Series::read(vec![args::vevent("Größe: 中文", &start, Length::exact(45 * 60), &attendees)])
            .expect("an event")
    }

    #[test]
    fn events_come_back_as_they_were_kept() {
        let mut store = Memory::default();
        let later = add(&mut store, event("2026-05-02T10:00")).expect("kept");
        let earlier = add(&mut store, event("2026-05-01T10:00")).expect("kept");
        assert_eq!((later.id.as_str(), earlier.id.as_str()), ("e1", "e2"));
        assert_eq!(events(&store), Ok(vec![later, earlier]));
    }

    #[test]
    fn events_of_the_first_version_are_read() {
        let mut store = Memory::default();
        let value = "event 1\n2026-05-02T10:00\n45\nGröße: 中文\nfinance team\nops\n";
        store.0.insert("e7.5f".into(), value.into());
        let read = events(&store).expect("read");
        assert_eq!((read[0].id.as_str(), &read[0].series), ("e7", &event("2026-05-02T10:00")));
    }

    #[test]
    fn ids_are_ordered_as_numbers() {
        let mut store = Memory::default();
        for number in 1..=11 {
            assert_eq!(add(&mut store, event("2026-05-02T10:00")).expect("kept").id, format!("e{number}"));
        }
        let ids: Vec<_> = events(&store).expect("read").into_iter().map(|event| event.id).collect();
        assert_eq!(ids[8..], ["e9", "e10", "e11"]);
    }

    /// A store where another call writes the same number just after this one did, so many times.
    struct Contended(Memory, u32);

    impl Store for Contended {
        fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
            self.0.get(key)
        }

        fn set(&mut self, key: &str, value: &[u8]) -> Result<(), Error> {
            if self.1 > 0 {
                self.1 -= 1;
                self.0.set(&format!("{}.other", id(key)), value)?;
            }
            self.0.set(key, value)
        }

        fn delete(&mut self, key: &str) -> Result<(), Error> {
            self.0.delete(key)
        }

        fn keys(&self) -> Result<Vec<String>, Error> {
            self.0.keys()
        }
    }

    #[test]
    fn who_meets_another_at_a_number_takes_a_higher_one() {
        let mut store = Contended(Memory::default(), 3);
        let kept = add(&mut store, event("2026-05-02T10:00")).expect("kept");
        let ids: Vec<_> = events(&store).expect("read").into_iter().map(|event| event.id).collect();
        assert_eq!((ids.len(), ids.iter().filter(|id| **id == kept.id).count()), (4, 1), "{ids:?}");
        let mut store = Contended(Memory::default(), u32::MAX);
        assert!(matches!(add(&mut store, event("2026-05-02T10:00")), Err(Error::Storage(_))));
        assert!(store.0.0.keys().all(|key| key.ends_with(".other")), "nothing half-booked is left");
    }

    #[test]
    fn an_entry_that_is_no_event_is_named_and_kept() {
        for value in ["", "event 2\n", "event 1\n2026-05-02T10:00\n0\nx\n", "event 1\nnever\n5\nx\n"] {
            let mut store = Memory::default();
            store.0.insert("e4.0".into(), value.into());
            match events(&store) {
                Err(Error::Storage(message)) => assert!(message.contains("e4"), "{message}"),
                other => panic!("{value:?}: {other:?}"),
            }
        }
    }
}
