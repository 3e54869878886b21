//! The `calendar` plugin: book events, list them, find free time.
//!
//! What the functions do is in [`book`], over [`keep::Store`], with times from [`time`]; the component at the end
//! of this file joins them to wasi:keyvalue. The types of the interface are in `wit/calendar.wit`.
//!
//! Invariant: every argument is checked before anything is written; an event that was booked is never lost or
//! changed by a later call. Times are local and the plugin has no clock: what "tomorrow" means is the host's affair.

pub mod book;
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
        path: ["../../wit/deps/keyvalue", "wit"],
        generate_all,
        additional_derives: [PartialEq],
    });
}

pub use bindings::exports::pawl::calendar::calendar::{Booked, Error, Event, Slot};

#[cfg(target_family = "wasm")]
mod component {
    use super::bindings::wasi::keyvalue::store::{self, Bucket};
    use super::{Booked, Error, Event, Slot, bindings, book, keep::Store};

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
        ) -> Result<Booked, Error> {
            let appointment = book::Appointment::new(&title, &start, duration_minutes, &attendees)?;
            book::create_event(&mut KeyValue::open()?, appointment)
        }

        fn list_events(from: String, to: String) -> Result<Vec<Event>, Error> {
            let days = book::Days::new(&from, &to)?;
            book::list_events(&KeyValue::open()?, days)
        }

        fn find_free_time(from: String, to: String, duration_minutes: u32) -> Result<Vec<Slot>, Error> {
            let days = book::Days::new(&from, &to)?;
            book::find_free_time(&KeyValue::open()?, days, duration_minutes)
        }
    }

    #[allow(unsafe_code, reason = "the exported symbols of the component are generated")]
    mod export {
        use super::{Component, bindings};
        bindings::export!(Component with_types_in bindings);
    }
}
