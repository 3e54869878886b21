//! The `calendar` plugin: book events, list them, find free time.
//!
//! What the functions do is in [`book`], over [`keep::Store`], with times from [`time`]; the component at the end
//! of this file joins them to wasi:keyvalue. The types of the interface are in `wit/calendar.wit`.
//!
//! Invariant: every argument is checked before anything is written; an event that was booked is never lost or
//! changed by a call that does not name it. The plugin has no clock: what "tomorrow" and 下周三 mean is found by the host's
//! own code (`host/pawl/src/dates.rs`), which puts the date beside the words before the model reads them.

pub mod book;
pub mod exchange;
pub mod expand;
pub mod ics;
pub mod keep;
pub mod rule;
pub mod series;
pub mod time;
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

pub use bindings::exports::pawl::calendar::calendar::{Booked, Error, Event, Imported, Slot};

#[cfg(target_family = "wasm")]
mod component {
    use super::bindings::exports::pawl::plugin::refine::{Refinement, Rule};
    use super::bindings::wasi::config::store as config;
    use super::bindings::wasi::keyvalue::store::{self, Bucket};
    use super::keep::Store;
    use super::zone::Zone;
    use super::{Booked, Error, Event, Imported, Slot, bindings, book, exchange, keep};

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
        ) -> Result<Booked, Error> {
            let wish =
                book::Appointment::new(&title, &start, duration_minutes, &attendees, repeat.as_deref())?;
            book::create_event(&mut KeyValue::open()?, wish, &user())
        }

        fn list_events(from: String, to: String) -> Result<Vec<Event>, Error> {
            let days = book::Days::new(&from, &to)?;
            book::list_events(&KeyValue::open()?, days, &user())
        }

        fn find_free_time(from: String, to: String, duration_minutes: u32) -> Result<Vec<Slot>, Error> {
            let days = book::Days::new(&from, &to)?;
            book::find_free_time(&KeyValue::open()?, days, duration_minutes, &user())
        }

        fn move_event(id: String, start: String, day: Option<String>) -> Result<Event, Error> {
            book::move_event(&mut KeyValue::open()?, &id, &start, day.as_deref(), &user())
        }

        fn cancel_event(id: String, day: Option<String>, following: Option<bool>) -> Result<String, Error> {
            let following = following.unwrap_or(false);
            book::cancel_event(&mut KeyValue::open()?, &id, day.as_deref(), following, &user())
        }

        fn import_ics(text: String) -> Result<Imported, Error> {
            exchange::import(&mut KeyValue::open()?, &text)
        }

        fn export_ics() -> Result<String, Error> {
            exchange::export(&KeyValue::open()?)
        }
    }

    /// The user's zone; UTC where the setting is missing or no zone.
    fn user() -> Zone {
        let name = config::get("zone").ok().flatten();
        name.and_then(|name| Zone::named(&name)).unwrap_or(Zone::Utc)
    }

    impl bindings::exports::pawl::plugin::refine::Guest for Component {
        fn refine() -> Result<Vec<Refinement>, String> {
            let events = keep::events(&KeyValue::open().map_err(|error| format!("{error:?}"))?);
            let events = events.map_err(|error| format!("{error:?}"))?;
            // The newest are the ones that are asked about; a grammar of ten thousand ids helps nobody.
            let ids: Vec<String> = events.iter().rev().take(200).map(|event| event.id.clone()).collect();
            Ok(["move-event", "cancel-event"]
                .map(|function| Refinement {
                    function: function.to_owned(),
                    path: "/id".to_owned(),
                    rule: Rule::Choices(ids.clone()),
                    shown: false,
                })
                .into())
        }
    }

    #[allow(unsafe_code, reason = "the exported symbols of the component are generated")]
    mod export {
        use super::{Component, bindings};
        bindings::export!(Component with_types_in bindings);
    }
}
