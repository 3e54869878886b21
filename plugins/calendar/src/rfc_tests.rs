//! Every example of RFC 5545, section 3.8.5.3, with the instances that are printed there: `tests/cases/calendar/rfc5545.txt`
//! says from where. Each is read as an event, so DTSTART, EXDATE and the zone count as well.

use crate::ics;
use crate::series::Series;
use crate::time::{Date, Time};
use crate::zone::Zone;

const EXAMPLES: &str = include_str!("../../../tests/cases/calendar/rfc5545.txt");
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

fn number(text: &str) -> i64 {
    text.trim().parse().unwrap_or_else(|_| panic!("{text} is no number"))
}

fn month(name: &str) -> i64 {
    let place =
        MONTHS.iter().position(|month| *month == name).unwrap_or_else(|| panic!("{name} is no month"));
    i64::try_from(place).expect("small") + 1
}

/// `(1997 EDT) September 2,4-6;October 1` at 09:00, or `(September 2, 1997 EDT) 09:00,12:00`, as times in UTC.
fn printed(line: &str) -> Vec<Time> {
    let (head, list) = line.strip_prefix("==> (").and_then(|line| line.split_once(") ")).expect(line);
    let (day, offset) = head.rsplit_once(' ').expect(line);
    let behind = match offset {
        "EDT" => 4 * 3600,
        "EST" => 5 * 3600,
        other => panic!("{other}"),
    };
    let mut times = Vec::new();
    if let Some((day, year)) = day.split_once(", ") {
        let (name, day) = day.split_once(' ').expect(line);
        let date = Date::of(number(year), month(name), number(day));
        for clock in list.split(',') {
            let (hour, minute) = clock.split_once(':').expect(line);
            times.push(date.at(number(hour) * 3600 + number(minute) * 60 + behind));
        }
        return times;
    }
    for part in list.split(';') {
        let (name, days) = part.trim().split_once(' ').expect(line);
        for item in days.split(',') {
            let (from, to) = item.split_once('-').unwrap_or((item, item));
            for of_month in number(from)..=number(to) {
                times.push(Date::of(number(day), month(name), of_month).at(9 * 3600 + behind));
            }
        }
    }
    times
}

#[test]
fn the_examples_of_the_rfc_give_the_instances_that_it_prints() {
    let (mut examples, mut rules) = (0, 0);
    let text: Vec<&str> = EXAMPLES.lines().filter(|line| !line.starts_with('#')).collect();
    for example in text.join("\n").split("\n\n").filter(|example| !example.trim().is_empty()) {
        let example: Vec<&str> = example.trim().lines().collect();
        let expected: Vec<Time> =
            example.iter().filter(|line| line.starts_with("==>")).flat_map(|line| printed(line)).collect();
        assert!(expected.len() > 1 && expected.is_sorted(), "{}", example[0]);
        let goes_on = example.last() == Some(&"...");
        examples += 1;
        for rule in example.iter().filter(|line| line.starts_with("RRULE:")) {
            let when =
                example.iter().filter(|line| line.starts_with("DTSTART") || line.starts_with("EXDATE"));
            let lines: Vec<&str> = when.copied().chain([*rule]).collect();
            let event = format!("BEGIN:VEVENT\n{}\nEND:VEVENT\n", lines.join("\n"));
            let series = Series::read(ics::parse(&event).expect(rule)).expect(rule);
            let end = if goes_on { expected[expected.len() - 1].plus(1) } else { Date::of(2100, 1, 1).at(0) };
            let found = series.between(Date::of(1990, 1, 1).at(0), end, &Zone::Utc, 1_000_000);
            let starts: Vec<Time> = found.occurrences.iter().map(|occurrence| occurrence.start).collect();
            assert_eq!((starts, found.incomplete), (expected.clone(), None), "{} {rule}", example[0]);
            let later = series.between(end, end.plus(5 * 366 * 86_400), &Zone::Utc, 1_000_000);
            assert_eq!(later.occurrences.is_empty(), !goes_on, "{} {rule}", example[0]);
            rules += 1;
        }
    }
    assert_eq!((examples, rules), (39, 42), "as many as the section has");
}
