//! What a user of the calendar's functions relies on.

use super::*;
use crate::Details;
use crate::memory::Memory;

fn wish<'a>(title: &'a str, start: &'a str, minutes: u32, repeat: Option<&'a str>) -> Wish<'a> {
    Wish { title, start, minutes, repeat, ..Wish::default() }
}

fn book(store: &mut Memory, title: &str, start: &str, minutes: u32) -> Booked {
    create_event(store, &wish(title, start, minutes, None), None, &Zone::Utc).expect("booked")
}

fn days(from: &str, to: &str) -> Days {
    Days::new(from, to).expect("valid")
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
        list_events(&store, days(from, to), None, &Zone::Utc)
            .expect("listed")
            .events
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
fn wrong_arguments_are_refused_with_the_value_and_the_mend() {
    let new = |title: &str, start: &str, minutes, attendees: &[&str]| {
        let attendees: Vec<String> = attendees.iter().map(|name| (*name).to_owned()).collect();
        let wish = Wish { attendees: &attendees, ..wish(title, start, minutes, None) };
        wish.event(&Zone::Utc).expect_err("refused")
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
        (new("x", start, 30, &many), Error::InvalidAttendees("51 attendees; 50 at most: name teams".into())),
        (new("x", start, 30, &[""]), Error::InvalidAttendees("attendee is empty; give a text".into())),
    ] {
        assert_eq!(error, expected);
    }
    assert!(matches!(Days::new("2026-03-02", "2026-03-01"), Err(Error::InvalidRange(_))));
    assert!(matches!(Days::new("2026-03-02", "2027-03-03"), Err(Error::InvalidRange(_))));
    assert!(matches!(Days::new("today", "2026-03-01"), Err(Error::InvalidDate(_))));
}

/// The starts from March to May 2031, as `03-10T10:00`.
fn starts(store: &Memory, user: &Zone) -> Vec<String> {
    let listed = list_events(store, days("2031-03-01", "2031-05-31"), None, user).expect("listed");
    assert_eq!(listed.notes, Vec::<String>::new());
    listed.events.into_iter().map(|event| event.start[5..].to_owned()).collect()
}

#[test]
fn what_repeats_is_moved_and_cancelled_by_its_day() {
    let mut store = Memory::default();
    let user = Zone::named("Europe/Berlin").expect("known");
    // From a Tuesday on, every Monday.
    let weekly = wish("Sync", "2031-03-04T10:00", 30, Some("FREQ=WEEKLY;BYDAY=MO;COUNT=6"));
    let booked = create_event(&mut store, &weekly, None, &user).expect("booked");
    assert_eq!(booked.event.start, "2031-03-10T10:00");
    assert_eq!(booked.event.marks, ["repeats"]);
    let moved =
        move_event(&mut store, "e1", "2031-03-18T15:00", Some("2031-03-17"), None, &user).expect("moved");
    assert_eq!((moved.start.as_str(), moved.end.as_str()), ("2031-03-18T15:00", "2031-03-18T15:30"));
    cancel_event(&mut store, "e1", Some("2031-03-24"), None, &user).expect("cancelled");
    assert_eq!(
        starts(&store, &user),
        ["03-10T10:00", "03-18T15:00", "03-31T10:00", "04-07T10:00", "04-14T10:00"]
    );
    let conflict = wish("Dentist", "2031-03-18T15:15", 15, None);
    assert_eq!(create_event(&mut store, &conflict, None, &user).expect("booked").conflicts, [moved]);
    cancel_event(&mut store, "e2", None, None, &user).expect("cancelled");
    cancel_event(&mut store, "e1", Some("2031-04-07"), Some(Scope::Following), &user).expect("cancelled");
    assert_eq!(starts(&store, &user), ["03-10T10:00", "03-18T15:00", "03-31T10:00"]);
    for (id, day, part) in [("e9", None, "e9"), ("e1", Some("2031-03-24"), "2031-03-24")] {
        let error = cancel_event(&mut store, id, day, None, &user).expect_err("refused");
        assert!(matches!(&error, Error::UnknownEvent(text) if text.contains(part)), "{error:?}");
    }
    for scope in [None, Some(Scope::This), Some(Scope::Following)] {
        let moved = move_event(&mut store, "e1", "2031-03-11T10:00", None, scope, &user);
        assert!(matches!(moved, Err(Error::InvalidDate(_))), "{moved:?}");
    }
    cancel_event(&mut store, "e1", None, None, &user).expect("cancelled");
    assert_eq!(starts(&store, &user), Vec::<String>::new());
}

#[test]
fn all_or_the_following_ones_move_and_the_count_stays() {
    let mut store = Memory::default();
    let user = Zone::named("Europe/Berlin").expect("known");
    let weekly = wish("Sync", "2031-03-10T10:00", 30, Some("FREQ=WEEKLY;BYDAY=MO;COUNT=5"));
    create_event(&mut store, &weekly, None, &user).expect("booked");
    cancel_event(&mut store, "e1", Some("2031-03-17"), None, &user).expect("cancelled");
    // Nearest to Tuesday, 25 March is Monday the 24th: a day and four hours later.
    move_event(&mut store, "e1", "2031-03-25T14:00", None, Some(Scope::All), &user).expect("moved");
    assert_eq!(starts(&store, &user), ["03-11T14:00", "03-25T14:00", "04-01T14:00", "04-08T14:00"]);
    let following = Some(Scope::Following);
    let moved = move_event(&mut store, "e1", "2031-04-02T09:00", Some("2031-04-01"), following, &user);
    assert_eq!(moved.expect("moved").id, "e2");
    assert_eq!(starts(&store, &user), ["03-11T14:00", "03-25T14:00", "04-02T09:00", "04-09T09:00"]);
    // A rule whose days cannot move along is left as it was.
    let last =
        wish("Close", "2031-03-28T16:00", 60, Some("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1;COUNT=1"));
    create_event(&mut store, &last, None, &user).expect("booked");
    let before = starts(&store, &user);
    let moved = move_event(&mut store, "e3", "2031-03-30T16:00", None, Some(Scope::All), &user);
    assert!(matches!(&moved, Err(Error::InvalidRepeat(text)) if text.contains("cancel it")), "{moved:?}");
    assert_eq!(starts(&store, &user), before);
}

#[test]
fn calendars_are_named_and_new_ones_only_where_that_is_said() {
    let mut store = Memory::default();
    let sync = wish("Sync", "2031-03-10T10:00", 30, None);
    let refused = create_event(&mut store, &sync, Some("wrok"), &Zone::Utc).expect_err("refused");
    assert_eq!(
        refused,
        Error::UnknownCalendar(
            "there is no calendar `wrok`; there are personal; new:NAME makes a new one".into()
        )
    );
    assert!(store.0.is_empty());
    let booked = create_event(&mut store, &sync, Some("new:Work"), &Zone::Utc).expect("booked");
    assert_eq!(booked.event.calendar, "Work");
    let again = create_event(&mut store, &sync, Some("work"), &Zone::Utc).expect("booked");
    assert_eq!(again.event.calendar, "Work");
    assert_eq!(book(&mut store, "Dentist", "2031-03-10T12:00", 30).event.calendar, "personal");
    let titles = |calendar| -> Vec<String> {
        let listed =
            list_events(&store, days("2031-03-10", "2031-03-10"), calendar, &Zone::Utc).expect("listed");
        listed.events.into_iter().map(|event| event.title).collect()
    };
    assert_eq!(
        (titles(Some("Work")), titles(Some("personal"))),
        (vec!["Sync".into(); 2], vec!["Dentist".into()])
    );
    assert_eq!(titles(None).len(), 3);
}

#[test]
fn whole_days_reminders_and_other_zones_are_kept() {
    let mut store = Memory::default();
    let user = Zone::named("Europe/Berlin").expect("known");
    let mut booked = |details: Details, minutes| {
        let wish = Wish { details: Some(&details), ..wish("x", "2031-03-10T10:00", minutes, None) };
        create_event(&mut store, &wish, None, &user).map(|booked| booked.event)
    };
    let none = Details { all_day: None, reminder_minutes: None, zone: None };
    let days = booked(Details { all_day: Some(true), ..none.clone() }, 2 * 1440).expect("booked");
    assert_eq!((days.start.as_str(), days.end.as_str()), ("2031-03-10T00:00", "2031-03-12T00:00"));
    assert_eq!(days.marks, ["all day"]);
    let tokyo = Details { zone: Some("Asia/Tokyo".into()), reminder_minutes: Some(15), ..none.clone() };
    let tokyo = booked(tokyo, 30).expect("booked");
    assert_eq!(
        (tokyo.start.as_str(), tokyo.marks),
        ("2031-03-10T02:00", vec!["reminder 15 minutes before".into()])
    );
    for details in [
        Details { zone: Some("Mars/Olympus".into()), ..none.clone() },
        Details { reminder_minutes: Some(40_321), ..none },
    ] {
        let refused = booked(details, 30).expect_err("refused");
        assert!(matches!(refused, Error::InvalidDetails(_)), "{refused:?}");
    }
}

#[test]
fn what_happens_too_often_is_cut_by_itself_and_named() {
    let mut store = Memory::default();
    let often = wish("Tick", "2031-03-10T00:00", 1, Some("FREQ=SECONDLY"));
    create_event(&mut store, &often, None, &Zone::Utc).expect("booked");
    book(&mut store, "Lunch", "2031-03-10T12:00", 30);
    let day = |day| list_events(&store, days(day, day), None, &Zone::Utc).expect("listed");
    let listed = day("2031-03-10");
    assert_eq!(listed.events.len(), 500);
    assert!(listed.events.iter().any(|event| event.title == "Lunch"));
    // 499 of it: the first at midnight.
    assert_eq!(
        listed.notes.last().map(String::as_str),
        Some("e1 (Tick) happens too often to be looked through: left out from 2031-03-10T00:08 on")
    );
    assert_eq!(day("2031-03-09").notes, Vec::<String>::new());
}

#[test]
fn a_rule_that_never_happens_or_cannot_be_read_is_refused() {
    for rule in ["every week", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"] {
        let made = wish("x", "2031-03-04T10:00", 30, Some(rule)).event(&Zone::Utc);
        assert!(matches!(&made, Err(Error::InvalidRepeat(text)) if text.contains("FREQ")), "{made:?}");
    }
}

#[test]
fn of_single_times_of_a_series_those_that_are_cancelled_go_and_others_stay() {
    let file = |days: &[u32]| {
        let event = |day: &u32| {
            format!(
                "BEGIN:VEVENT\nUID:a\nRECURRENCE-ID:203103{day}T090000\nDTSTART:203103{day}T100000\nEND:VEVENT\n"
            )
        };
        let events: Vec<String> = days.iter().map(event).collect();
        format!("BEGIN:VCALENDAR\n{}END:VCALENDAR\n", events.join(""))
    };
    let left = |cancelled: &str, scope| -> Vec<String> {
        let mut store = Memory::default();
        crate::exchange::import(&mut store, &file(&[20, 17, 10]), None, None).expect("imported");
        cancel_event(&mut store, "e1", Some(cancelled), scope, &Zone::Utc).expect("cancelled");
        let listed = list_events(&store, days("2031-03-01", "2031-03-31"), None, &Zone::Utc).expect("listed");
        listed.events.into_iter().map(|event| event.start).collect()
    };
    assert_eq!(left("2031-03-17", None), ["2031-03-10T10:00", "2031-03-20T10:00"]);
    assert_eq!(left("2031-03-17", Some(Scope::Following)), ["2031-03-10T10:00"]);
    assert_eq!(left("2031-03-10", Some(Scope::Following)), Vec::<String>::new());
    assert_eq!(left("2031-03-20", None), ["2031-03-10T10:00", "2031-03-17T10:00"]);
}

#[test]
fn a_move_to_a_time_that_the_clock_skips_is_refused_and_changes_nothing() {
    let berlin = Zone::named("Europe/Berlin").expect("known");
    let mut store = Memory::default();
    create_event(&mut store, &wish("x", "2031-03-09T02:30", 30, Some("FREQ=WEEKLY")), None, &berlin)
        .expect("booked");
    let before = store.0.clone();
    let day = Some("2031-03-16");
    for scope in [Scope::This, Scope::Following, Scope::All] {
        let moved = move_event(&mut store, "e1", "2031-03-30T02:30", day, Some(scope), &berlin);
        assert!(
            matches!(&moved, Err(Error::InvalidTime(reason)) if reason.contains("hour before")),
            "{moved:?}"
        );
        assert_eq!(store.0, before);
        assert!(move_event(&mut store, "e1", "2031-03-30T03:30", day, Some(scope), &berlin).is_ok());
        store.0.clone_from(&before);
    }
}
