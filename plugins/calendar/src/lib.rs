//! The `calendar` plugin: book events, list them, find free time.
//!
//! [`args`] checks arguments, [`book`] and [`free`] do what is asked, over [`agenda`] and [`keep::Store`]; the component at
//! the end of this file joins them to wasi:keyvalue. The types of the interface are in `wit/calendar.wit`.
//!
//! Invariant: every argument is checked before anything is written; an event that was booked is never lost or
//! changed by a call that does not name it. The plugin has no clock: what "tomorrow" and 下周三 mean is found by the host's
//! own code (`host/pawl/src/dates.rs`), which puts the date beside the words before the model reads them.

pub mod agenda;
pub mod args;
pub mod book;
pub mod change;
pub mod exchange;
pub mod expand;
pub mod free;
pub mod ics;
pub mod keep;
pub mod memory;
pub mod moment;
pub mod names;
pub mod rule;
pub mod series;
pub mod time;
pub mod windows;
pub mod zone;

/// Generated from `wit/`; see there.
pub mod bindings {
    #![expect(missing_docs, reason = "generated; documented in the WIT files")]
    #![allow(unsafe_code, unreachable_pub, clippy::all, reason = "generated")]
    wit_bindgen::generate!({
        world: "pawl:calendar/plugin",
        path: ["../../wit/deps/keyvalue", "../../wit/deps/config", "../../wit/plugin", "wit"],
        generate_all,
        additional_derives: [PartialEq],
    });
}

pub use bindings::exports::pawl::calendar::calendar::{
    Agenda as Listed, Booked, Details, Error, Event, FreeTime, Imported, Scope, Slot, Taken,
};

#[cfg(target_family = "wasm")]
mod component {
    use super::bindings::exports::pawl::plugin::refine::{Refinement, Rule};
    use super::bindings::wasi::config::store as config;
    use super::bindings::wasi::keyvalue::store::{self, Bucket};
    use super::keep::Store;
    use super::zone::Zone;
    use super::{
        Booked, Details, Error, Event, FreeTime, Imported, Listed, Scope, args, bindings, book, exchange,
        free, keep, names,
    };

    struct KeyValue(Bucket);

    impl KeyValue {
        fn open() -> Result<KeyValue, Error> {
            store::open("default").map(KeyValue).map_err(failed)
        }
    }

    fn failed(error: store::Error) -> Error {
        Error::Storage(match error {
            store::Error::NoSuchStore => "the host has no store `default`".into(),
            store::Error::AccessDenied => {
                "the keyvalue capability is not granted to this plugin; the operator can grant it in pawl.toml".into()
            }
            store::Error::Other(reason) => reason,
        })
    }

    impl Store for KeyValue {
        fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
            self.0.get(key).map_err(failed)
        }

        fn set(&mut self, key: &str, value: &[u8]) -> Result<(), Error> {
            self.0.set(key, value).map_err(failed)
        }

        fn delete(&mut self, key: &str) -> Result<(), Error> {
            self.0.delete(key).map_err(failed)
        }

        fn keys(&self) -> Result<Vec<String>, Error> {
            let (mut keys, mut cursor) = (Vec::new(), None);
            loop {
                let page = self.0.list_keys(cursor).map_err(failed)?;
                let empty = page.keys.is_empty();
                keys.extend(page.keys);
                cursor = page.cursor;
                if cursor.is_none() || empty {
                    return Ok(keys);
                }
            }
        }
    }

    struct Component;

    impl bindings::exports::pawl::calendar::calendar::Guest for Component {
        fn create_event(
            title: String,
            start: String,
            duration_minutes: u32,
            attendees: Vec<String>,
            repeat: Option<String>,
            calendar: Option<String>,
            details: Option<Details>,
        ) -> Result<Booked, Error> {
            let wish = args::Wish {
                title: &title,
                start: &start,
                minutes: duration_minutes,
                attendees: &attendees,
                repeat: repeat.as_deref(),
                details: details.as_ref(),
            };
            book::create_event(&mut KeyValue::open()?, &wish, calendar.as_deref(), &user()?)
        }

        fn list_events(from: String, to: String, calendar: Option<String>) -> Result<Listed, Error> {
            let days = args::Days::new(&from, &to)?;
            book::list_events(&KeyValue::open()?, days, calendar.as_deref(), &user()?)
        }

        fn find_free_time(
            from: String,
            to: String,
            duration_minutes: u32,
            attendees: Option<Vec<String>>,
        ) -> Result<FreeTime, Error> {
            let (days, attendees) = (args::Days::new(&from, &to)?, attendees.unwrap_or_default());
            free::find_free_time(&KeyValue::open()?, days, duration_minutes, &attendees, &user()?)
        }

        fn move_event(
            id: String,
            start: String,
            day: Option<String>,
            scope: Option<Scope>,
        ) -> Result<Event, Error> {
            book::move_event(&mut KeyValue::open()?, &id, &start, day.as_deref(), scope, &user()?)
        }

        fn cancel_event(id: String, day: Option<String>, scope: Option<Scope>) -> Result<String, Error> {
            book::cancel_event(&mut KeyValue::open()?, &id, day.as_deref(), scope, &user()?)
        }

        fn import_ics(
            text: String,
            calendar: Option<String>,
            owner: Option<String>,
        ) -> Result<Imported, Error> {
            exchange::import(&mut KeyValue::open()?, &text, calendar.as_deref(), owner.as_deref())
        }

        fn export_ics(calendar: Option<String>) -> Result<String, Error> {
            exchange::export(&KeyValue::open()?, calendar.as_deref())
        }
    }

    /// The user's zone; where the operator has set none, times hang on no zone.
    fn user() -> Result<Zone, Error> {
        match config::get("zone").ok().flatten() {
            None => Ok(Zone::Floating),
            Some(name) => Zone::named(&name).ok_or_else(|| {
                Error::Storage(format!("the operator's setting zone = \"{name}\" is no IANA zone"))
            }),
        }
    }

    impl bindings::exports::pawl::plugin::refine::Guest for Component {
        fn refine() -> Result<Vec<Refinement>, String> {
            let events = KeyValue::open().and_then(|store| keep::events(&store));
            let events = events.map_err(|error| format!("{error:?}"))?;
            let calendars = names::calendars(&events);
            let refinement = |function: &str, path: &str, rule: &Rule| Refinement {
                function: function.to_owned(),
                path: path.to_owned(),
                rule: rule.clone(),
                shown: false,
            };
            // The newest are the ones that are asked about; a grammar of ten thousand ids helps nobody.
            let own = events.iter().rev().filter(|event| event.owner().is_none());
            let ids = Rule::Choices(own.take(200).map(|event| event.id.clone()).collect());
            let new = Rule::Pattern(names::pattern(&calendars));
            // With one calendar there is nothing to choose: the argument is left out.
            let one = Rule::Choices(if calendars.len() > 1 { calendars } else { Vec::new() });
            Ok(vec![
                refinement("move-event", "/id", &ids),
                refinement("cancel-event", "/id", &ids),
                refinement("create-event", "/calendar", &new),
                refinement("import-ics", "/calendar", &new),
                refinement("list-events", "/calendar", &one),
                refinement("export-ics", "/calendar", &one),
            ])
        }
    }

    #[allow(unsafe_code, reason = "the exported symbols of the component are generated")]
    mod export {
        use super::{Component, bindings};
        bindings::export!(Component with_types_in bindings);
    }
}
