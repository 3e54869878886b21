//! .ics files in and out: RFC 5545, section 3.4.
//!
//! Invariant: what an event holds that nothing here understands (alarms, categories, X- properties) goes out as it came
//! in. An import replaces the events of the same UID and leaves all others; an event that cannot be read is named and
//! left out, the others are kept.

use crate::ics::{self, Component};
use crate::keep::{self, Kept, Store};
use crate::series::Series;
use crate::zone::{self, Zone};
use crate::{Error, Imported};

/// The most events that one file may bring.
const MAX_IMPORTED: usize = 2_000;
/// The most reasons that one answer holds.
const MAX_SKIPPED: usize = 20;

/// Keeps the events of a file.
///
/// # Errors
/// `invalid-ics` where the text as a whole cannot be read; `storage`.
pub fn import(store: &mut impl Store, text: &str) -> Result<Imported, Error> {
    let top = ics::parse(text).map_err(Error::InvalidIcs)?;
    let mut groups: Vec<(String, Vec<Component>)> = Vec::new();
    let calendars = top.into_iter().filter(|component| component.name == "VCALENDAR");
    for component in calendars.flat_map(|calendar| calendar.parts).filter(|part| part.name == "VEVENT") {
        let uid = component.get("UID").map(|uid| uid.value.clone()).unwrap_or_default();
        match groups.iter_mut().find(|(known, _)| !uid.is_empty() && *known == uid) {
            // The event itself stands before its overrides.
            Some((_, group)) if component.get("RECURRENCE-ID").is_none() => group.insert(0, component),
            Some((_, group)) => group.push(component),
            None => groups.push((uid, vec![component])),
        }
    }
    if groups.is_empty() {
        return Err(Error::InvalidIcs("no VEVENT in a VCALENDAR; give the text of an .ics file".into()));
    }
    if groups.len() > MAX_IMPORTED {
        return Err(Error::InvalidIcs(format!("{} events; {MAX_IMPORTED} at most", groups.len())));
    }
    let before = keep::events(store)?;
    let mut imported = Imported { events: 0, skipped: Vec::new() };
    for (uid, group) in groups {
        match Series::read(group) {
            Err(reason) if imported.skipped.len() < MAX_SKIPPED => {
                imported.skipped.push(format!("{uid}: {reason}"))
            }
            Err(_) => {}
            Ok(series) => {
                let zone =
                    series.components.first().and_then(|event| event.get("DTSTART")?.parameter("TZID"));
                if let Some(name) = zone.filter(|name| Zone::named(name).is_none())
                    && imported.skipped.len() < MAX_SKIPPED
                {
                    imported
                        .skipped
                        .push(format!("{uid}: the zone {name} is unknown; read as the user's own clock"));
                }
                match before.iter().find(|event| !uid.is_empty() && uid_of(event) == uid) {
                    Some(event) => keep::replace(store, &Kept { series, ..event.clone() })?,
                    None => drop(keep::add(store, series)?),
                }
                imported.events += 1;
            }
        }
    }
    Ok(imported)
}

/// The UID that an event goes out with.
fn uid_of(event: &Kept) -> String {
    let own = event.series.components.first().and_then(|component| component.get("UID"));
    own.map_or_else(|| format!("{}@pawl.invalid", event.key), |uid| uid.value.clone())
}

/// All events as one file.
///
/// # Errors
/// `storage`.
pub fn export(store: &impl Store) -> Result<String, Error> {
    let mut calendar = Component::new("VCALENDAR");
    calendar.add("VERSION", "", "2.0");
    calendar.add("PRODID", "", "-//Pawl//calendar//EN");
    for event in keep::events(store)? {
        let uid = uid_of(&event);
        for mut component in event.series.components {
            if component.get("UID").is_none() {
                component.add("UID", "", &uid);
            }
            if component.get("DTSTAMP").is_none() {
                // Required; the plugin has no clock, and the same calendar gives the same file.
                component.add("DTSTAMP", "", "20000101T000000Z");
            }
            calendar.parts.push(component);
        }
    }
    // Before the events: each zone that they name.
    let mut zones: Vec<(String, Component)> = Vec::new();
    for part in &calendar.parts {
        for name in part.properties.iter().filter_map(|property| property.parameter("TZID")) {
            if !zones.iter().any(|(known, _)| known == name)
                && let Some(component) = zone::component(name)
            {
                zones.push((name.to_owned(), component));
            }
        }
    }
    calendar.parts.splice(0..0, zones.into_iter().map(|(_, component)| component));
    let mut out = String::new();
    calendar.write(&mut out);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keep::testing::Memory;

    const FILE: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//other//EN\r\nBEGIN:VEVENT\r\nUID:a@x\r\n\
        DTSTAMP:20310101T000000Z\r\nRECURRENCE-ID:20310311T090000Z\r\nDTSTART:20310311T100000Z\r\nSUMMARY:Moved\r\n\
        END:VEVENT\r\nBEGIN:VEVENT\r\nUID:a@x\r\nDTSTAMP:20310101T000000Z\r\nDTSTART:20310304T090000Z\r\n\
        RRULE:FREQ=WEEKLY\r\nSUMMARY:Weekly\r\nX-COLOUR:red\r\nBEGIN:VALARM\r\nACTION:DISPLAY\r\nTRIGGER:-PT10M\r\n\
        END:VALARM\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nUID:b@x\r\nDTSTART:never\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

    #[test]
    fn what_comes_in_goes_out_and_a_second_import_doubles_nothing() {
        let mut store = Memory::default();
        for _ in 0..2 {
            let imported = import(&mut store, FILE).expect("imported");
            assert_eq!(imported.events, 1);
            assert_eq!(imported.skipped, ["b@x: DTSTART:never is no time of 1900 to 2999"]);
        }
        assert_eq!(store.0.len(), 1);
        let out = export(&store).expect("exported");
        let sent = ics::parse(&out).expect("read");
        let came = ics::parse(FILE).expect("read");
        assert_eq!(sent[0].parts, [came[0].parts[1].clone(), came[0].parts[0].clone()], "alarm and X- kept");
        let mut other = Memory::default();
        import(&mut other, &out).expect("imported");
        assert_eq!(export(&other), Ok(out));
    }

    #[test]
    fn what_is_no_calendar_is_refused_and_changes_nothing() {
        for text in [
            "",
            "hello",
            "BEGIN:VCALENDAR\nEND:VCALENDAR",
            "BEGIN:VEVENT\nEND:VEVENT",
            "BEGIN:VCALENDAR\nBEGIN:VEVENT",
        ] {
            let mut store = Memory::default();
            assert!(matches!(import(&mut store, text), Err(Error::InvalidIcs(_))), "{text}");
            assert!(store.0.is_empty());
        }
    }
}
