//! What comes in goes out, what cannot be read is named with its line, and other people's programs get whole files.

use super::*;
use crate::memory::Memory;

const FILE: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//other//EN\r\nBEGIN:VEVENT\r\nUID:a@x\r\n\
    DTSTAMP:20310101T000000Z\r\nRECURRENCE-ID:20310311T090000Z\r\nDTSTART:20310311T100000Z\r\nSUMMARY:Moved\r\n\
    END:VEVENT\r\nBEGIN:VEVENT\r\nUID:a@x\r\nDTSTAMP:20310101T000000Z\r\nDTSTART:20310304T090000Z\r\n\
    RRULE:FREQ=WEEKLY\r\nRDATE;VALUE=PERIOD:20310305T090000Z/PT2H\r\nEXDATE:20310318T090000Z\r\n\
    SUMMARY:Weekly\r\nX-COLOUR:red\r\nBEGIN:VALARM\r\nACTION:DISPLAY\r\nTRIGGER:-PT10M\r\n\
    END:VALARM\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nUID:b@x\r\nDTSTART:never\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

fn take_in(store: &mut Memory, text: &str) -> Imported {
    import(store, text, None, None).expect("imported")
}

#[test]
fn what_comes_in_goes_out_and_a_second_import_doubles_nothing() {
    let mut store = Memory::default();
    for _ in 0..2 {
        let imported = take_in(&mut store, FILE);
        assert_eq!(imported.events, 1);
        let skipped = imported.skipped.first().expect("one");
        assert!(
            skipped.starts_with("b@x: line 27: DTSTART:never is no time of 1900 to 2999; write"),
            "{skipped}"
        );
    }
    assert_eq!(store.0.len(), 1);
    let out = export(&store, None).expect("exported");
    let sent = ics::parse(&out).expect("read");
    let came = ics::parse(FILE).expect("read");
    assert_eq!(sent[0].parts, [came[0].parts[1].clone(), came[0].parts[0].clone()], "alarm and X- kept");
    let mut other = Memory::default();
    take_in(&mut other, &out);
    assert_eq!(export(&other, None), Ok(out));
}

#[test]
fn what_is_no_calendar_is_refused_with_its_line_and_changes_nothing() {
    for (text, part) in [
        ("", "no VEVENT"),
        ("hello", "line 1"),
        ("BEGIN:VCALENDAR\nEND:VCALENDAR", "no VEVENT"),
        ("BEGIN:VCALENDAR\nBEGIN:VTODO\nEND:VTODO\nEND:VCALENDAR", "1 VTODO"),
        ("BEGIN:VEVENT\nEND:VEVENT", "no VEVENT in a VCALENDAR"),
        ("BEGIN:VCALENDAR\nBEGIN:VEVENT", "line 2: END:VEVENT is missing"),
        (
            "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nSUMMARY:a\r\n b\r\nbroken here\r\nEND:VEVENT\r\nEND:VCALENDAR",
            "line 5",
        ),
    ] {
        let mut store = Memory::default();
        let error = import(&mut store, text, None, None).expect_err(text);
        assert!(matches!(&error, Error::InvalidIcs(reason) if reason.contains(part)), "{text}: {error:?}");
        assert!(store.0.is_empty());
    }
}

#[test]
fn of_two_events_with_one_uid_the_newer_is_kept_and_both_are_named() {
    let event = |sequence: u32, title: &str| {
        format!(
            "BEGIN:VEVENT\nUID:a\nSEQUENCE:{sequence}\nDTSTART:20310304T090000Z\nSUMMARY:{title}\nEND:VEVENT\n"
        )
    };
    let text = format!("BEGIN:VCALENDAR\n{}{}END:VCALENDAR\n", event(2, "newer"), event(1, "older"));
    let mut store = Memory::default();
    let imported = take_in(&mut store, &text);
    let said = "a: the UID is there twice; the event of line 2 is kept, that of line 8 is left out";
    assert_eq!((imported.events, imported.skipped), (1, vec![said.to_owned()]));
    let out = export(&store, None).expect("exported");
    assert!(out.contains("newer") && !out.contains("older"), "{out}");
}

#[test]
fn calendars_go_out_one_by_one_and_come_back() {
    let mut store = Memory::default();
    import(&mut store, FILE, Some("new:Work"), None).expect("imported");
    let own = FILE.replace("a@x", "c@x");
    take_in(&mut store, &own);
    assert!(matches!(export(&store, Some("home")), Err(Error::UnknownCalendar(_))));
    let work = export(&store, Some("work")).expect("exported");
    assert!(
        work.contains("X-WR-CALNAME:Work\r\n") && work.contains("a@x") && !work.contains("c@x"),
        "{work}"
    );
    let all = export(&store, None).expect("exported");
    let mut other = Memory::default();
    take_in(&mut other, &all);
    let names: Vec<String> = keep::events(&other).expect("read").iter().map(Kept::calendar).collect();
    assert_eq!(names, ["Work", "personal"]);
}

#[test]
fn a_zone_that_only_the_file_knows_goes_out_with_its_events() {
    let zone = "BEGIN:VTIMEZONE\nTZID:Custom 1\nBEGIN:STANDARD\nDTSTART:19700101T000000\nTZOFFSETFROM:+0100\n\
        TZOFFSETTO:+0100\nEND:STANDARD\nEND:VTIMEZONE\n";
    let text = format!(
        "BEGIN:VCALENDAR\n{zone}BEGIN:VEVENT\nUID:a\nDTSTART;TZID=Custom 1:20310304T090000\nEND:VEVENT\n\
         BEGIN:VEVENT\nUID:b\nDTSTART;TZID=Europe/Berlin:20310304T090000\nEND:VEVENT\nEND:VCALENDAR\n"
    );
    let mut store = Memory::default();
    let said = take_in(&mut store, &text).skipped;
    assert_eq!(said, ["a: the zone Custom 1 is unknown; its times are read as the user's own clock"]);
    let out = ics::parse(&export(&store, None).expect("exported")).expect("read");
    let zones: Vec<_> = out[0]
        .parts
        .iter()
        .filter(|part| part.name == "VTIMEZONE")
        .filter_map(|part| part.get("TZID"))
        .collect();
    let zones: Vec<&str> = zones.into_iter().map(|name| name.value.as_str()).collect();
    assert_eq!(zones, ["Custom 1", "Europe/Berlin"]);
}
