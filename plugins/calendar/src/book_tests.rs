//! What a user of the calendar's functions relies on.

use super::*;
use crate::keep::testing::Memory;

fn book(store: &mut Memory, title: &str, start: &str, minutes: u32) -> Booked {
    let appointment = Appointment::new(title, start, minutes, &["ops".to_owned()], None).expect("valid");
    create_event(store, appointment, &Zone::Utc).expect("booked")
}

fn days(from: &str, to: &str) -> Days {
    Days::new(from, to).expect("valid")
}

fn free(store: &Memory, from: &str, to: &str, minutes: u32) -> Vec<String> {
    let slots = find_free_time(store, days(from, to), minutes, &Zone::Utc).expect("found");
    slots.iter().map(|slot| format!("{} {}", slot.start, &slot.end[11..])).collect()
}

#[test]
fn an_event_is_booked_and_its_conflicts_are_told() {
    let mut store = Memory::default();
    let first = book(&mut store, "  Standup ", "2026-03-02T10:00", 30);
    assert_eq!((first.event.title.as_str(), first.event.end.as_str()), ("Standup", "2026-03-02T10:30"));
    assert!(first.conflicts.is_empty());
    assert!(book(&mut store, "After", "2026-03-02T10:30", 30).conflicts.is_empty());
    assert!(book(&mut store, "Before", "2026-03-02T09:30", 30).conflicts.is_empty());
    let conflicts = book(&mut store, "Long", "2026-03-02T10:15", 16).conflicts;
    let ids: Vec<_> = conflicts.iter().map(|event| event.id.as_str()).collect();
    assert_eq!(ids, ["e1", "e2"]);
}

#[test]
fn events_are_listed_on_every_day_that_they_touch() {
    let mut store = Memory::default();
    book(&mut store, "Night shift", "2026-03-02T22:00", 600);
    book(&mut store, "Until midnight", "2026-03-04T23:00", 60);
    let titles = |from, to| -> Vec<String> {
        list_events(&store, days(from, to), &Zone::Utc)
            .expect("listed")
            .into_iter()
            .map(|event| event.title)
            .collect()
    };
    assert_eq!(titles("2026-03-01", "2026-03-01"), Vec::<String>::new());
    assert_eq!(titles("2026-03-02", "2026-03-02"), ["Night shift"]);
    assert_eq!(titles("2026-03-03", "2026-03-04"), ["Night shift", "Until midnight"]);
    assert_eq!(titles("2026-03-05", "2026-03-05"), Vec::<String>::new());
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
}

#[test]
fn wrong_arguments_are_refused_with_the_value_and_the_mend() {
    let new = |title: &str, start: &str, minutes, attendees: &[&str]| {
        let attendees: Vec<String> = attendees.iter().map(|name| (*name).to_owned()).collect();
        Appointment::new(title, start, minutes, &attendees, None).expect_err("refused")
    };
    let start = "2026-03-02T10:00";
    let many = vec!["x"; 51];
    for (error, expected) in [
        (new(" ", start, 30, &[]), Error::InvalidTitle("title is empty; give a text".into())),
        (
            new(&"x".repeat(201), start, 30, &[]),
            Error::InvalidTitle("title has 201 characters; 200 at most".into()),
        ),
        (
            new("a\nevent 1", start, 30, &[]),
            Error::InvalidTitle(
                "title `a\\nevent 1` has a line break or control character; give one line".into(),
            ),
        ),
        (
            new("x", "2026-13-01T10:00", 30, &[]),
            Error::InvalidTime("start `2026-13-01T10:00`: there is no month 13; 01 to 12".into()),
        ),
        (new("x", start, 0, &[]), Error::InvalidDuration("duration-minutes is 0; give 1 to 1440".into())),
        (
            new("x", start, u32::MAX, &[]),
            Error::InvalidDuration("duration-minutes is 4294967295; give 1 to 1440".into()),
        ),
        (new("x", start, 30, &many), Error::InvalidAttendees("51 attendees; 50 at most".into())),
        (new("x", start, 30, &[""]), Error::InvalidAttendees("attendee is empty; give a text".into())),
    ] {
        assert_eq!(error, expected);
    }
    assert!(matches!(Days::new("2026-03-02", "2026-03-01"), Err(Error::InvalidRange(_))));
    assert!(matches!(Days::new("2026-03-02", "2027-03-03"), Err(Error::InvalidRange(_))));
    assert!(matches!(Days::new("today", "2026-03-01"), Err(Error::InvalidDate(_))));
    for minutes in [0, 481] {
        let found = find_free_time(&Memory::default(), days("2026-03-02", "2026-03-02"), minutes, &Zone::Utc);
        assert!(matches!(found, Err(Error::InvalidDuration(_))));
    }
}

#[test]
fn what_repeats_is_moved_and_cancelled_by_its_day() {
    let mut store = Memory::default();
    let user = Zone::named("Europe/Berlin").expect("known");
    // From a Tuesday on, every Monday.
    let wish = Appointment::new("Sync", "2031-03-04T10:00", 30, &[], Some("FREQ=WEEKLY;BYDAY=MO;COUNT=6"));
    let booked = create_event(&mut store, wish.expect("valid"), &user).expect("booked");
    assert_eq!(booked.event.start, "2031-03-10T10:00");
    let starts = |store: &Memory| -> Vec<String> {
        let listed = list_events(store, days("2031-03-01", "2031-05-31"), &user).expect("listed");
        listed.into_iter().map(|event| event.start[5..].to_owned()).collect()
    };
    let moved = move_event(&mut store, "e1", "2031-03-18T15:00", Some("2031-03-17"), &user).expect("moved");
    assert_eq!((moved.start.as_str(), moved.end.as_str()), ("2031-03-18T15:00", "2031-03-18T15:30"));
    cancel_event(&mut store, "e1", Some("2031-03-24"), false, &user).expect("cancelled");
    assert_eq!(starts(&store), ["03-10T10:00", "03-18T15:00", "03-31T10:00", "04-07T10:00", "04-14T10:00"]);
    let conflict = Appointment::new("Dentist", "2031-03-18T15:15", 15, &[], None).expect("valid");
    assert_eq!(create_event(&mut store, conflict, &user).expect("booked").conflicts, [moved]);
    cancel_event(&mut store, "e2", None, false, &user).expect("cancelled");
    cancel_event(&mut store, "e1", Some("2031-04-07"), true, &user).expect("cancelled");
    assert_eq!(starts(&store), ["03-10T10:00", "03-18T15:00", "03-31T10:00"]);
    for (id, day, part) in [("e9", None, "e9"), ("e1", Some("2031-03-24"), "2031-03-24")] {
        let error = cancel_event(&mut store, id, day, false, &user).expect_err("refused");
        assert!(matches!(&error, Error::UnknownEvent(text) if text.contains(part)), "{error:?}");
    }
    assert!(matches!(
        move_event(&mut store, "e1", "2031-03-11T10:00", None, &user),
        Err(Error::InvalidDate(_))
    ));
    cancel_event(&mut store, "e1", None, false, &user).expect("cancelled");
    assert_eq!(starts(&store), Vec::<String>::new());
}

#[test]
fn a_rule_that_never_happens_or_cannot_be_read_is_refused() {
    for rule in ["every week", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"] {
        let wish = Appointment::new("x", "2031-03-04T10:00", 30, &[], Some(rule));
        assert!(matches!(&wish, Err(Error::InvalidRepeat(text)) if text.contains("FREQ")), "{wish:?}");
    }
}
