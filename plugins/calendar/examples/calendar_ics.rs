//! Imports the .ics file on standard input into an empty calendar and prints the export, for
//! tests/scripts/calendar_ics_agreement.py. With the arguments `between FROM TO ZONE`, prints instead what happens from one
//! time (`20310303T000000`) to another on the clock of a user in that zone, and what the import and the list leave out.
//!
//! Invariant: what fails prints its reason and ends with status 1.

use std::io::Read;
use std::process::ExitCode;

use pawl_plugin_calendar::agenda::{Agenda, FUEL};
use pawl_plugin_calendar::memory::Memory;
use pawl_plugin_calendar::time::Time;
use pawl_plugin_calendar::zone::Zone;
use pawl_plugin_calendar::{exchange, keep};

/// UID, title, start, end and whether it is of whole days, for each time of each event.
fn between(store: &Memory, mut notes: Vec<String>, arguments: &[String]) -> Result<String, String> {
    let [from, to, zone] = arguments else { return Err("give FROM TO ZONE".into()) };
    let time = |text: &str| Time::parse_basic(text).ok_or_else(|| format!("{text} is no time"));
    let user = Zone::named(zone).ok_or_else(|| format!("{zone} is no zone"))?;
    let events = keep::events(store).map_err(|error| format!("{error:?}"))?;
    let agenda = Agenda::of(&events.iter().collect::<Vec<_>>(), (time(from)?, time(to)?), &user, FUEL);
    let line = |(kept, occurrence): &(&keep::Kept, pawl_plugin_calendar::series::Occurrence)| {
        let uid =
            kept.series.components.first().and_then(|main| main.get("UID")).map(|uid| uid.value.clone());
        let (start, end) = (occurrence.start.basic(), occurrence.end.basic());
        serde_json::json!([uid, occurrence.title(), start, end, occurrence.all_day()])
    };
    let events: Vec<serde_json::Value> = agenda.entries.iter().map(line).collect();
    notes.extend(agenda.told());
    Ok(serde_json::json!({ "events": events, "notes": notes }).to_string())
}

fn run() -> Result<String, String> {
    let (mut text, mut store) = (String::new(), Memory::default());
    std::io::stdin().read_to_string(&mut text).map_err(|error| format!("standard input: {error}"))?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let imported = exchange::import(&mut store, &text, None, None).map_err(|error| format!("{error:?}"))?;
    match arguments.split_first() {
        Some((first, rest)) if first == "between" => between(&store, imported.skipped, rest),
        Some((other, _)) => Err(format!("{other}: give `between FROM TO ZONE` or nothing")),
        None => exchange::export(&store, None).map_err(|error| format!("{error:?}")),
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}
