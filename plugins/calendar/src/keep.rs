//! How events are kept: one key per event, its id; the key `next` holds the number of the next id.
//!
//! Format of a value, UTF-8 lines: `event 1` (the version), start `YYYY-MM-DDTHH:MM`, minutes, title, then one line
//! per attendee. No text holds a line break (see `book`). A value of another form is an error that names the key:
//! nothing that is there is passed over or overwritten.
//!
//! Ids are never used twice by one caller after another. Two calls at the same moment could take the same number,
//! because wasi:keyvalue's store has no atomic step; the later would then replace the earlier.

use crate::Error;
use crate::time::Time;

/// The plugin's own key-value store.
pub trait Store {
    /// The value under a key.
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error>;
    /// Writes a value.
    fn set(&mut self, key: &str, value: &[u8]) -> Result<(), Error>;
    /// All keys.
    fn keys(&self) -> Result<Vec<String>, Error>;
}

/// The most events that are kept.
pub const MAX_EVENTS: usize = 10_000;
const NEXT: &str = "next";
const VERSION: &str = "event 1";

/// An event as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// `e` and a number.
    pub id: String,
    /// One line.
    pub title: String,
    /// When it begins.
    pub start: Time,
    /// How long it takes.
    pub minutes: i64,
    /// One line each.
    pub attendees: Vec<String>,
}

impl Kept {
    /// The first minute after it.
    #[must_use]
    pub fn end(&self) -> Time {
        self.start.plus(self.minutes)
    }
}

/// All events, by start, then by number.
///
/// # Errors
/// Where the store cannot be read or a value is not an event.
pub fn events(store: &impl Store) -> Result<Vec<Kept>, Error> {
    let mut events = Vec::new();
    for key in store.keys()?.into_iter().filter(|key| number(key).is_some()) {
        if let Some(value) = store.get(&key)? {
            let event = read(&key, &value).ok_or_else(|| unreadable(&key))?;
            events.push(event);
        }
    }
    events.sort_by_key(|event| (event.start, number(&event.id)));
    Ok(events)
}

/// Keeps a new event; its id is filled in. `others` are the events that are there.
///
/// # Errors
/// Where the calendar is full or the store cannot be written.
pub fn add(store: &mut impl Store, mut event: Kept, others: &[Kept]) -> Result<Kept, Error> {
    if others.len() >= MAX_EVENTS {
        return Err(Error::Storage(format!("the calendar is full: {MAX_EVENTS} events")));
    }
    let told = match store.get(NEXT)? {
        Some(value) => {
            let text = String::from_utf8(value).ok();
            text.and_then(|text| text.parse::<u64>().ok()).ok_or_else(|| unreadable(NEXT))?
        }
        None => 1,
    };
    let past_others = others.iter().filter_map(|other| number(&other.id)).max().unwrap_or(0) + 1;
    let next = told.max(past_others);
    event.id = format!("e{next}");
    // The number first: where the second write fails, a number is skipped and nothing is lost.
    store.set(NEXT, (next + 1).to_string().as_bytes())?;
    store.set(&event.id, write(&event).as_bytes())?;
    Ok(event)
}

fn unreadable(key: &str) -> Error {
    Error::Storage(format!("the entry `{key}` of the store is not this plugin's; it was left as it is"))
}

/// The number in an id; none for other keys.
fn number(key: &str) -> Option<u64> {
    key.strip_prefix('e')?.parse().ok().filter(|number| *number < u64::MAX - 1)
}

fn write(event: &Kept) -> String {
    let mut text = format!("{VERSION}\n{}\n{}\n{}\n", event.start, event.minutes, event.title);
    for attendee in &event.attendees {
        text.push_str(attendee);
        text.push('\n');
    }
    text
}

fn read(key: &str, value: &[u8]) -> Option<Kept> {
    let mut lines = std::str::from_utf8(value).ok()?.lines();
    if lines.next()? != VERSION {
        return None;
    }
    let start = Time::parse(lines.next()?).ok()?;
    let minutes = lines.next()?.parse().ok().filter(|minutes| (1..=100_000).contains(minutes))?;
    let title = lines.next()?.to_owned();
    Some(Kept { id: key.to_owned(), title, start, minutes, attendees: lines.map(str::to_owned).collect() })
}

#[cfg(test)]
pub(crate) mod testing {
    //! A store in memory.
    use super::*;
    use std::collections::BTreeMap;

    #[derive(Default)]
    pub(crate) struct Memory(pub(crate) BTreeMap<String, Vec<u8>>);

    impl Store for Memory {
        fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
            Ok(self.0.get(key).cloned())
        }

        fn set(&mut self, key: &str, value: &[u8]) -> Result<(), Error> {
            self.0.insert(key.to_owned(), value.to_vec());
            Ok(())
        }

        fn keys(&self) -> Result<Vec<String>, Error> {
            Ok(self.0.keys().cloned().collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::Memory;
    use super::*;

    fn event(start: &str) -> Kept {
        Kept {
            id: String::new(),
            title: "Größe: 中文".into(),
            start: Time::parse(start).expect("a minute"),
            minutes: 45,
            attendees: vec!["finance team".into(), "ops".into()],
        }
    }

    #[test]
    fn events_come_back_as_they_were_kept_by_start() {
        let mut store = Memory::default();
        let later = add(&mut store, event("2026-05-02T10:00"), &[]).expect("kept");
        let earlier = add(&mut store, event("2026-05-01T10:00"), &[]).expect("kept");
        assert_eq!((later.id.as_str(), earlier.id.as_str()), ("e1", "e2"));
        assert_eq!(events(&store), Ok(vec![earlier, later]));
    }

    #[test]
    fn an_id_is_not_used_again_even_where_the_counter_is_lost() {
        let mut store = Memory::default();
        for _ in 0..11 {
            add(&mut store, event("2026-05-02T10:00"), &[]).expect("kept");
        }
        store.0.remove("e11");
        let all = events(&store).expect("read");
        assert_eq!(add(&mut store, event("2026-05-02T10:00"), &all).expect("kept").id, "e12");
        store.0.remove(NEXT);
        let all = events(&store).expect("read");
        assert_eq!(add(&mut store, event("2026-05-02T10:00"), &all).expect("kept").id, "e13");
        let ids: Vec<_> = events(&store).expect("read").into_iter().map(|event| event.id).collect();
        assert_eq!(ids[8..], ["e9", "e10", "e12", "e13"]);
    }

    #[test]
    fn an_entry_that_is_no_event_is_named_and_kept() {
        for value in ["", "event 2\n", "event 1\n2026-05-02T10:00\n0\nx\n", "event 1\nnever\n5\nx\n"] {
            let mut store = Memory::default();
            store.0.insert("e4".into(), value.into());
            match events(&store) {
                Err(Error::Storage(message)) => assert!(message.contains("e4"), "{message}"),
                other => panic!("{value:?}: {other:?}"),
            }
        }
        let mut store = Memory::default();
        store.0.insert(NEXT.into(), vec![0xff]);
        assert!(add(&mut store, event("2026-05-02T10:00"), &[]).is_err());
        assert_eq!(store.0.len(), 1);
    }
}
