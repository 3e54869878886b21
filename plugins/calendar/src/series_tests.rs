//! Events whose recurrences are added, left out, moved and cancelled, across the change of the clock.

use super::*;
use crate::ics;

fn series(lines: &str) -> Series {
    Series::read(ics::parse(lines).expect("parsed")).expect("a series")
}

fn starts(series: &Series, from: &str, to: &str) -> Vec<String> {
    let user = Zone::named("Europe/Berlin").expect("known");
    let time = |text: &str| Time::parse(text).expect("a time");
    let found = series.between(time(from), time(to), &user, 400_000);
    assert_eq!(found.incomplete, None);
    let line = |o: &Occurrence| format!("{} {} {}", o.start, &o.end.to_string()[11..], o.title());
    found.occurrences.iter().map(line).collect()
}

const WEEKLY: &str = "BEGIN:VEVENT\nSUMMARY:Sync\nDTSTART;TZID=America/New_York:20310227T090000\nDURATION:PT1H\n\
    RRULE:FREQ=WEEKLY;COUNT=5\nEXDATE;TZID=America/New_York:20310306T090000\nRDATE;TZID=America/New_York:20310308T100000\n\
    END:VEVENT\n";

#[test]
fn a_recurrence_keeps_its_own_clock_while_the_users_changes() {
    // New York changes on 9 March 2031, Berlin on 30 March.
    assert_eq!(
        starts(&series(WEEKLY), "2031-02-01T00:00", "2031-12-01T00:00"),
        [
            "2031-02-27T15:00 16:00 Sync",
            "2031-03-08T16:00 17:00 Sync",
            "2031-03-13T14:00 15:00 Sync",
            "2031-03-20T14:00 15:00 Sync",
            "2031-03-27T14:00 15:00 Sync"
        ]
    );
}

#[test]
fn overrides_move_one_or_all_that_follow() {
    let one = "BEGIN:VEVENT\nSUMMARY:Moved\nRECURRENCE-ID:20310313T130000Z\nDTSTART:20310314T130000Z\nDTEND:20310314T140000Z\nEND:VEVENT\n";
    assert_eq!(
        starts(&series(&format!("{WEEKLY}{one}")), "2031-03-13T00:00", "2031-03-21T00:00"),
        ["2031-03-14T14:00 15:00 Moved", "2031-03-20T14:00 15:00 Sync"]
    );
    let following = "BEGIN:VEVENT\nSUMMARY:Later\nRECURRENCE-ID;RANGE=THISANDFUTURE;TZID=America/New_York:20310313T090000\n\
        DTSTART;TZID=America/New_York:20310313T110000\nDURATION:PT30M\nEND:VEVENT\n";
    assert_eq!(
        starts(&series(&format!("{WEEKLY}{following}")), "2031-03-01T00:00", "2031-03-21T00:00"),
        ["2031-03-08T16:00 17:00 Sync", "2031-03-13T16:00 16:30 Later", "2031-03-20T16:00 16:30 Later"]
    );
}

#[test]
fn what_is_left_out_and_moved_is_so_when_it_is_read_again() {
    let time = |text: &str| Time::parse(text).expect("a time");
    let mut changed = series(WEEKLY);
    changed.move_one(time("2031-03-13T09:00"), time("2031-03-14T12:00"));
    changed.end_before(time("2031-03-20T09:00"));
    let again = Series::read(changed.components.clone()).expect("read");
    let expected =
        ["2031-02-27T15:00 16:00 Sync", "2031-03-08T16:00 17:00 Sync", "2031-03-14T17:00 18:00 Sync"];
    assert_eq!(starts(&again, "2031-02-01T00:00", "2031-12-01T00:00"), expected);
    changed.leave_out(time("2031-02-27T09:00"));
    assert_eq!(starts(&changed, "2031-02-01T00:00", "2031-12-01T00:00"), expected[1..]);
}

#[test]
fn days_are_whole_and_a_start_outside_the_rule_counts() {
    let days =
        "BEGIN:VEVENT\nSUMMARY:Fair\nDTSTART;VALUE=DATE:20310303\nDTEND;VALUE=DATE:20310305\nEND:VEVENT\n";
    assert_eq!(
        starts(&series(days), "2031-03-04T00:00", "2031-03-05T00:00"),
        ["2031-03-03T00:00 00:00 Fair"]
    );
    let tuesday =
        "BEGIN:VEVENT\nSUMMARY:x\nDTSTART:20310304T090000\nRRULE:FREQ=WEEKLY;BYDAY=FR;COUNT=2\nEND:VEVENT\n";
    assert_eq!(
        starts(&series(tuesday), "2031-03-01T00:00", "2031-05-01T00:00"),
        ["2031-03-04T09:00 09:00 x", "2031-03-07T09:00 09:00 x"]
    );
}

#[test]
fn a_period_among_the_added_has_its_own_length() {
    let periods = "BEGIN:VEVENT\nSUMMARY:x\nDTSTART:20310303T090000Z\nDURATION:PT1H\n\
        RDATE;VALUE=PERIOD:20310304T090000Z/PT30M,20310305T090000Z/20310305T110000Z\nEND:VEVENT\n";
    assert_eq!(
        starts(&series(periods), "2031-03-01T00:00", "2031-04-01T00:00"),
        ["2031-03-03T10:00 11:00 x", "2031-03-04T10:00 10:30 x", "2031-03-05T10:00 12:00 x"]
    );
}

#[test]
fn where_the_fuel_runs_out_is_told() {
    let often = series("BEGIN:VEVENT\nDTSTART:20310303T090000\nRRULE:FREQ=MINUTELY\nEND:VEVENT\n");
    let time = |text: &str| Time::parse(text).expect("a time");
    let day = (time("2031-03-04T00:00"), time("2031-03-05T00:00"));
    let short = often.between(day.0, day.1, &Zone::Utc, 2_000);
    let (last, from) = (short.occurrences.last().expect("some").start, short.incomplete.expect("told"));
    assert!(last < from && from < day.1 && from.since(last) <= 60, "{last} {from}");
    let whole = often.between(day.0, day.1, &Zone::Utc, 100_000);
    assert_eq!((whole.occurrences.len(), whole.incomplete), (1440, None));
}

#[test]
fn a_dtend_is_as_many_hours_and_a_duration_as_many_days_over_a_change_of_the_clock() {
    // Berlin's clock leaps on 30 March 2031, at 02:00. RFC 5545, section 3.8.5.3: the same exact duration where DTEND
    // gives it, the same nominal one where DURATION does.
    let event = |length: &str| {
        let event = format!(
            "BEGIN:VEVENT\nSUMMARY:x\nDTSTART;TZID=Europe/Berlin:20310322T233000\n{length}\nRRULE:FREQ=WEEKLY\nEND:VEVENT\n"
        );
        starts(&series(&event), "2031-03-29T23:00", "2031-03-30T00:00")
    };
    assert_eq!(event("DTEND;TZID=Europe/Berlin:20310323T233000"), ["2031-03-29T23:30 00:30 x"]);
    assert_eq!(event("DURATION:PT24H"), ["2031-03-29T23:30 00:30 x"]);
    assert_eq!(event("DURATION:P1D"), ["2031-03-29T23:30 23:30 x"]);
    assert_eq!(event("DURATION:P1DT1H"), ["2031-03-29T23:30 00:30 x"]);
}

#[test]
fn what_the_clock_makes_longer_is_found_while_it_goes_on() {
    let event = "BEGIN:VEVENT\nSUMMARY:x\nDTSTART;TZID=Europe/Berlin:20310322T233000\nDURATION:PT24H\n\
        RRULE:FREQ=WEEKLY\nEND:VEVENT\n";
    assert_eq!(starts(&series(event), "2031-03-31T00:00", "2031-04-01T00:00"), ["2031-03-29T23:30 00:30 x"]);
}

/// Two times of a weekly series, the first of them moved onto the day of the next.
const SINGLE: &str = "BEGIN:VEVENT\nSUMMARY:One\nRECURRENCE-ID;TZID=Europe/Berlin:20310303T090000\n\
    DTSTART;TZID=Europe/Berlin:20310310T090000\nDURATION:PT1H\nRRULE:FREQ=DAILY\nEND:VEVENT\n\
    BEGIN:VEVENT\nSUMMARY:Two\nRECURRENCE-ID;TZID=Europe/Berlin:20310310T090000\n\
    DTSTART;TZID=Europe/Berlin:20310311T090000\nDURATION:PT2H\nEND:VEVENT\n";

#[test]
fn times_of_a_series_that_is_not_there_stand_for_themselves() {
    let both = series(SINGLE);
    assert_eq!(
        starts(&both, "2031-03-01T00:00", "2031-04-01T00:00"),
        ["2031-03-10T09:00 10:00 One", "2031-03-11T09:00 11:00 Two"]
    );
    let time = |text: &str| Time::parse(text).expect("a time");
    let mut changed = both.clone();
    changed.move_one(time("2031-03-10T09:00"), time("2031-03-12T09:00"));
    assert_eq!(
        starts(&changed, "2031-03-01T00:00", "2031-04-01T00:00"),
        ["2031-03-10T09:00 10:00 One", "2031-03-12T09:00 11:00 Two"]
    );
    assert!(changed.move_all(time("2031-03-03T09:00"), time("2031-03-04T09:00")).is_err());
    changed.leave_out(time("2031-03-03T09:00"));
    let mut changed = Series::read(changed.components).expect("read");
    assert_eq!(starts(&changed, "2031-03-01T00:00", "2031-04-01T00:00"), ["2031-03-12T09:00 11:00 Two"]);
    changed.move_all(time("2031-03-12T09:00"), time("2031-03-13T09:00")).expect("the only one");
    assert_eq!(starts(&changed, "2031-03-01T00:00", "2031-04-01T00:00"), ["2031-03-13T09:00 11:00 Two"]);
    let key = changed.components[0].get("RECURRENCE-ID").map(|key| key.value.as_str());
    assert_eq!(key, Some("20310310T090000"), "its organizer knows it by this");
}

#[test]
fn an_override_says_its_own_length_also_where_a_period_was_added() {
    let event = "BEGIN:VEVENT\nSUMMARY:x\nDTSTART:20310303T090000Z\nRDATE;VALUE=PERIOD:20310304T090000Z/PT30M\nEND:VEVENT\n\
        BEGIN:VEVENT\nSUMMARY:y\nRECURRENCE-ID:20310304T090000Z\nDTSTART:20310304T090000Z\nDURATION:PT3H\nEND:VEVENT\n";
    assert_eq!(
        starts(&series(event), "2031-03-01T00:00", "2031-04-01T00:00"),
        ["2031-03-03T10:00 10:00 x", "2031-03-04T10:00 13:00 y"]
    );
}
