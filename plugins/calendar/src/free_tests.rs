//! What a user of `find-free-time` relies on: nothing that is known is in a slot, and who is in the way is named.

use super::*;
use crate::args::Wish;
use crate::book::create_event;
use crate::exchange;
use crate::memory::Memory;

fn book(store: &mut Memory, title: &str, start: &str, minutes: u32) {
    let attendees = ["ops".to_owned()];
    let wish = Wish { title, start, minutes, attendees: &attendees, ..Wish::default() };
    create_event(store, &wish, None, &Zone::Utc).expect("booked");
}

fn days(from: &str, to: &str) -> Days {
    Days::new(from, to).expect("valid")
}

fn free(store: &Memory, from: &str, to: &str, minutes: u32) -> Vec<String> {
    let found = find_free_time(store, days(from, to), minutes, &[], &Zone::Utc).expect("found");
    assert!(found.taken.is_empty() && found.notes.is_empty());
    found.slots.iter().map(|slot| format!("{} {}", slot.start, &slot.end[11..])).collect()
}

#[test]
fn free_time_is_what_events_leave_of_working_days() {
    let mut store = Memory::default();
    // A Monday.
    book(&mut store, "Early", "2026-03-02T08:00", 90);
    book(&mut store, "Nested outer", "2026-03-02T11:00", 180);
    book(&mut store, "Nested inner", "2026-03-02T12:00", 30);
    book(&mut store, "Late", "2026-03-02T16:30", 120);
    assert_eq!(
        free(&store, "2026-03-02", "2026-03-02", 60),
        ["2026-03-02T09:30 11:00", "2026-03-02T14:00 16:30"]
    );
    assert_eq!(free(&store, "2026-03-02", "2026-03-02", 120), ["2026-03-02T14:00 16:30"]);
    assert_eq!(free(&store, "2026-03-02", "2026-03-02", 151), Vec::<String>::new());
    // Friday to Monday: no weekend.
    book(&mut store, "All day", "2026-03-09T00:00", 1440);
    assert_eq!(free(&store, "2026-03-06", "2026-03-09", 480), ["2026-03-06T09:00 17:00"]);
    assert_eq!(free(&store, "2026-03-07", "2026-03-08", 1), Vec::<String>::new());
    assert_eq!(free(&store, "2027-01-01", "2027-12-31", 30).len(), MAX_SLOTS);
    for minutes in [0, 481] {
        let found =
            find_free_time(&Memory::default(), days("2026-03-02", "2026-03-02"), minutes, &[], &Zone::Utc);
        assert!(matches!(found, Err(Error::InvalidDuration(_))));
    }
}

#[test]
fn others_are_free_as_far_as_their_files_tell_and_who_is_in_the_way_is_named() {
    let mut store = Memory::default();
    book(&mut store, "Stand-up", "2026-03-02T09:00", 30);
    // Mara's busy times as RFC 5545 writes them, one of them free; Tom's as events.
    let mara = "BEGIN:VCALENDAR\nBEGIN:VFREEBUSY\nUID:x\nFREEBUSY:20260302T100000Z/PT1H,20260302T130000Z/20260302T143000Z\n\
        FREEBUSY;FBTYPE=FREE:20260302T150000Z/PT2H\nEND:VFREEBUSY\nEND:VCALENDAR\n";
    let tom = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:t\nSUMMARY:Gym\nDTSTART:20260302T143000Z\nDTEND:20260302T160000Z\n\
        END:VEVENT\nBEGIN:VEVENT\nUID:u\nSUMMARY:Birthday\nTRANSP:TRANSPARENT\nDTSTART;VALUE=DATE:20260302\nEND:VEVENT\nEND:VCALENDAR\n";
    for _ in 0..2 {
        exchange::import(&mut store, mara, None, Some("Mara")).expect("imported");
        exchange::import(&mut store, tom, None, Some("Tom")).expect("imported");
    }
    assert_eq!(store.0.len(), 4, "a second import replaces the first");
    let day = days("2026-03-02", "2026-03-02");
    let people = ["mara".to_owned(), "Tom".to_owned(), "ops".to_owned()];
    let found = find_free_time(&store, day, 30, &people, &Zone::Utc).expect("found");
    let slots: Vec<_> = found.slots.iter().map(|slot| (&slot.start[11..], &slot.end[11..])).collect();
    assert_eq!(slots, [("09:30", "10:00"), ("11:00", "13:00"), ("16:00", "17:00")]);
    let taken: Vec<_> = found
        .taken
        .iter()
        .map(|taken| format!("{} {} {}", &taken.start[11..], taken.title, taken.who.join("+")))
        .collect();
    assert_eq!(taken, ["09:00 Stand-up you+ops", "10:00 busy mara", "13:00 busy mara", "14:30 Gym Tom"]);
    assert_eq!(
        found.notes,
        ["of ops only your own events are known; import-ics with owner `ops` adds the rest"]
    );
    // Their events are not the user's: not listed, not exported, in the way of an event only where they are asked to it.
    let listed = crate::book::list_events(&store, day, None, &Zone::Utc).expect("listed");
    assert_eq!(listed.events.len(), 1);
    assert!(!exchange::export(&store, None).expect("exported").contains("Gym"));
    let attendees = ["Tom".to_owned()];
    let wish =
        Wish { title: "x", start: "2026-03-02T14:00", minutes: 60, attendees: &attendees, ..Wish::default() };
    let conflicts = create_event(&mut store, &wish, None, &Zone::Utc).expect("booked").conflicts;
    let conflicts: Vec<_> =
        conflicts.iter().map(|event| (event.title.as_str(), event.calendar.as_str())).collect();
    assert_eq!(conflicts, [("Gym", "of Tom")]);
}
