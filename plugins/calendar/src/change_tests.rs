//! Which rules can be moved, and what stays when a series is moved or parted.

use super::*;
use crate::ics;

fn time(text: &str) -> Time {
    Time::parse(text).expect("a time")
}

fn series(lines: &str) -> Series {
    let text = format!(
        "BEGIN:VEVENT\nUID:a\nSUMMARY:x\nDTSTART:20310310T090000\nDURATION:PT1H\n{lines}END:VEVENT\n"
    );
    Series::read(ics::parse(&text).expect("parsed")).expect("a series")
}

fn starts(series: &Series) -> Vec<String> {
    let again = Series::read(series.components.clone()).expect("read");
    let found = again.between(time("2031-01-01T00:00"), time("2033-01-01T00:00"), &Zone::Utc, 100_000);
    assert_eq!(found.incomplete, None);
    found.occurrences.iter().map(|o| o.start.to_string()[2..].to_owned()).collect()
}

#[test]
fn a_rule_moves_where_that_has_one_meaning() {
    // 10 March 2031 is the second Monday.
    for (rule, to, moved) in [
        ("FREQ=DAILY;COUNT=3", "2031-03-12T10:00", Some("FREQ=DAILY;COUNT=3")),
        ("FREQ=WEEKLY;BYDAY=MO,TH", "2031-03-11T09:00", Some("FREQ=WEEKLY;BYDAY=TU,FR")),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,SU", "2031-03-11T09:00", None),
        ("FREQ=MONTHLY;BYDAY=2MO", "2031-03-18T09:00", Some("FREQ=MONTHLY;BYDAY=3TU")),
        ("FREQ=MONTHLY;BYDAY=2MO", "2031-04-18T09:00", None),
        ("FREQ=MONTHLY;BYMONTHDAY=10", "2031-03-18T09:00", Some("FREQ=MONTHLY;BYMONTHDAY=18")),
        (
            "FREQ=YEARLY;BYMONTH=3;BYMONTHDAY=10",
            "2031-03-11T09:00",
            Some("FREQ=YEARLY;BYMONTHDAY=11;BYMONTH=3"),
        ),
        ("FREQ=YEARLY;BYMONTH=3", "2031-05-11T09:00", Some("FREQ=YEARLY;BYMONTH=5")),
        ("FREQ=WEEKLY;BYDAY=MO;BYHOUR=9", "2031-03-11T09:00", Some("FREQ=WEEKLY;BYHOUR=9;BYDAY=TU")),
        ("FREQ=WEEKLY;BYDAY=MO;BYHOUR=9", "2031-03-10T10:00", None),
        ("FREQ=MONTHLY;BYDAY=MO;BYSETPOS=2", "2031-03-11T09:00", None),
        ("FREQ=DAILY;UNTIL=20310320T090000", "2031-03-11T10:00", Some("FREQ=DAILY;UNTIL=20310321T100000")),
    ] {
        let rule = Rule::parse(rule).expect(rule);
        let shifted = rule.shifted(time("2031-03-10T09:00"), time(to));
        assert_eq!(shifted.as_ref().ok().map(Rule::to_string).as_deref(), moved, "{rule} {shifted:?}");
    }
}

#[test]
fn what_was_left_out_added_or_moved_by_itself_stays_so() {
    let lines = "RRULE:FREQ=WEEKLY;COUNT=5\nEXDATE:20310317T090000\nRDATE;VALUE=PERIOD:20310326T090000/PT2H\nX-KEPT:1\n";
    let mut all = series(lines);
    all.move_one(time("2031-03-31T09:00"), time("2031-04-01T15:00"));
    assert_eq!(
        starts(&all),
        ["31-03-10T09:00", "31-03-24T09:00", "31-03-26T09:00", "31-04-01T15:00", "31-04-07T09:00"]
    );
    let mut parted = all.clone();
    all.move_all(time("2031-03-10T09:00"), time("2031-03-11T08:00")).expect("moved");
    assert_eq!(
        starts(&all),
        ["31-03-11T08:00", "31-03-25T08:00", "31-03-27T08:00", "31-04-01T15:00", "31-04-08T08:00"]
    );
    let rest = parted.part(time("2031-03-24T09:00"), time("2031-03-24T11:00")).expect("parted");
    assert_eq!(starts(&parted), ["31-03-10T09:00"]);
    assert_eq!(starts(&rest), ["31-03-24T11:00", "31-03-26T11:00", "31-04-01T15:00", "31-04-07T11:00"]);
    let main = rest.components.first().expect("there");
    assert_eq!(main.get("X-KEPT").map(|p| p.value.as_str()), Some("1"));
    assert!(rest.components.iter().all(|c| c.get("UID").is_none()), "it is an event of its own");
    assert_eq!(rest.added, [(time("2031-03-26T11:00"), Some(crate::moment::Length::exact(7200)))]);
}

#[test]
fn a_recurrence_that_was_moved_moves_again_with_its_series() {
    let mut all = series("RRULE:FREQ=DAILY;COUNT=3\n");
    all.move_one(time("2031-03-11T09:00"), time("2031-03-11T15:00"));
    all.move_one(time("2031-03-11T09:00"), time("2031-03-11T16:00"));
    assert_eq!(starts(&all), ["31-03-10T09:00", "31-03-11T16:00", "31-03-12T09:00"]);
    all.move_all(time("2031-03-11T09:00"), time("2031-03-11T10:00")).expect("moved");
    assert_eq!(starts(&all), ["31-03-10T10:00", "31-03-11T10:00", "31-03-12T10:00"]);
}

#[test]
fn a_series_ends_where_it_is_cut() {
    for lines in
        ["RRULE:FREQ=WEEKLY\n", "RRULE:FREQ=WEEKLY;COUNT=9\n", "RDATE:20310317T090000,20310324T090000\n"]
    {
        let mut cut = series(lines);
        cut.end_before(time("2031-03-24T09:00"));
        assert_eq!(starts(&cut), ["31-03-10T09:00", "31-03-17T09:00"], "{lines}");
    }
}
