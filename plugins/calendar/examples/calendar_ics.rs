//! Imports the .ics file on standard input into an empty calendar and prints the export, for
//! tests/scripts/calendar_ics_agreement.py. With the arguments `times N`, prints the first N starts of each event instead.
//!
//! Invariant: an import that fails prints its reason and ends with status 1.

use std::io::Read;
use std::process::ExitCode;

use pawl_plugin_calendar::expand::PLENTY;
use pawl_plugin_calendar::memory::Memory;
use pawl_plugin_calendar::time::Date;
use pawl_plugin_calendar::zone::Zone;
use pawl_plugin_calendar::{exchange, keep};

/// The first starts of each event, by UID, as a user in UTC sees them.
fn times(store: &Memory, most: usize) -> serde_json::Value {
    let (from, to) = (Date::of(2000, 1, 1).at(0), Date::of(2100, 1, 1).at(0));
    let events = keep::events(store).unwrap_or_default();
    let starts = events.iter().filter_map(|event| {
        let uid = event.series.components.first()?.get("UID")?.value.clone();
        let found = event.series.between(from, to, &Zone::Utc, PLENTY);
        let starts = found.occurrences.iter().take(most).map(|occurrence| occurrence.start.basic());
        Some((uid, starts.collect::<Vec<_>>().into()))
    });
    serde_json::Value::Object(starts.collect())
}

fn main() -> ExitCode {
    let (mut text, mut store) = (String::new(), Memory::default());
    if std::io::stdin().read_to_string(&mut text).is_err() {
        eprintln!("standard input is no UTF-8");
        return ExitCode::FAILURE;
    }
    let imported = exchange::import(&mut store, &text, None, None);
    if std::env::args().nth(1).as_deref() == Some("times") && imported.is_ok() {
        let most = std::env::args().nth(2).and_then(|most| most.parse().ok()).unwrap_or(usize::MAX);
        println!("{}", times(&store, most));
        return ExitCode::SUCCESS;
    }
    match imported.and_then(|_| exchange::export(&store, None)) {
        Ok(out) => print!("{out}"),
        Err(error) => {
            eprintln!("{error:?}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
