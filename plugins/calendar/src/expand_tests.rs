//! Every example of RFC 5545, section 3.8.5.3, with the dates that are printed there, and what must end.

use super::*;

/// The times of a rule, as `YYYY-MM-DDTHH:MM`.
fn times(start: &str, rule: &str) -> impl Iterator<Item = String> {
    let (start, rule) = (Time::parse_basic(start).expect("a start"), Rule::parse(rule).expect(rule));
    let zone = Box::leak(Box::new(Zone::named("America/New_York").expect("known")));
    Expansion::new(&rule, start, zone, Date::of(2999, 12, 31).at(0)).map(|time| time.to_string())
}

/// `1997 9 2-11 10 5,7` are days; each stands for a time at 09:00.
fn dates(text: &str) -> Vec<String> {
    let (mut year, mut month, mut dates) = (0, 0, Vec::new());
    for word in text.split_whitespace() {
        match word.parse::<i64>() {
            Ok(n) if n > 1000 => year = n,
            Ok(n) if word.starts_with('m') || n > 12 => panic!("{word}"),
            Ok(_) => panic!("a month is m9: {word}"),
            Err(_) if word.starts_with('m') => month = word[1..].parse().expect("a month"),
            Err(_) => {
                for item in word.trim_end_matches(';').split(',').filter(|item| !item.is_empty()) {
                    let (from, to) = item.split_once('-').unwrap_or((item, item));
                    for day in from.parse::<i64>().expect("a day")..=to.parse().expect("a day") {
                        dates.push(Date::of(year, month, day).at(9 * 3600).to_string());
                    }
                }
            }
        }
    }
    dates
}

/// The examples that begin at 19970902T090000: rule, days (months as `m9`, days with `;`), whether it ends there.
const SECOND_OF_SEPTEMBER: [(&str, &str, bool); 26] = [
    ("FREQ=DAILY;COUNT=10", "1997 m9 2-11;", true),
    ("FREQ=DAILY;UNTIL=19971224T000000Z", "1997 m9 2-30; m10 1-31; m11 1-30; m12 1-23;", true),
    (
        "FREQ=DAILY;INTERVAL=2",
        "1997 m9 2,4,6,8,10,12,14,16,18,20,22,24,26,28,30; m10 2,4,6,8,10,12,14,16,18,20,22,24,26,28,30; m11 1,3,5,7,9,11,13,15,17,19,21,23,25,27,29; m12 1,3;",
        false,
    ),
    ("FREQ=DAILY;INTERVAL=10;COUNT=5", "1997 m9 2,12,22; m10 2,12;", true),
    ("FREQ=WEEKLY;COUNT=10", "1997 m9 2,9,16,23,30; m10 7,14,21,28; m11 4;", true),
    (
        "FREQ=WEEKLY;UNTIL=19971224T000000Z",
        "1997 m9 2,9,16,23,30; m10 7,14,21,28; m11 4,11,18,25; m12 2,9,16,23;",
        true,
    ),
    (
        "FREQ=WEEKLY;INTERVAL=2;WKST=SU",
        "1997 m9 2,16,30; m10 14,28; m11 11,25; m12 9,23; 1998 m1 6,20; m2 3,17;",
        false,
    ),
    (
        "FREQ=WEEKLY;UNTIL=19971007T000000Z;WKST=SU;BYDAY=TU,TH",
        "1997 m9 2,4,9,11,16,18,23,25,30; m10 2;",
        true,
    ),
    ("FREQ=WEEKLY;COUNT=10;WKST=SU;BYDAY=TU,TH", "1997 m9 2,4,9,11,16,18,23,25,30; m10 2;", true),
    ("FREQ=WEEKLY;INTERVAL=2;COUNT=8;WKST=SU;BYDAY=TU,TH", "1997 m9 2,4,16,18,30; m10 2,14,16;", true),
    (
        "FREQ=MONTHLY;BYMONTHDAY=2,15;COUNT=10",
        "1997 m9 2,15; m10 2,15; m11 2,15; m12 2,15; 1998 m1 2,15;",
        true,
    ),
    (
        "FREQ=MONTHLY;INTERVAL=2;BYDAY=TU",
        "1997 m9 2,9,16,23,30; m11 4,11,18,25; 1998 m1 6,13,20,27; m3 3,10,17,24,31;",
        false,
    ),
    ("FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13", "1998 m2 13; m3 13; m11 13; 1999 m8 13; 2000 m10 13;", false),
    ("FREQ=DAILY;BYMONTH=1;BYMONTHDAY=1;COUNT=3", "1998 m1 1; 1999 m1 1; 2000 m1 1;", true),
    ("FREQ=MONTHLY;BYMONTHDAY=1,-1;COUNT=3", "1997 m9 30; m10 1,31;", true),
    ("FREQ=MONTHLY;BYDAY=TU;COUNT=5", "1997 m9 2,9,16,23,30;", true),
    ("FREQ=YEARLY;COUNT=2", "1997 m9 2; 1998 m9 2;", true),
    ("FREQ=YEARLY;INTERVAL=4;COUNT=2", "1997 m9 2; 2001 m9 2;", true),
    ("FREQ=WEEKLY;COUNT=2;INTERVAL=20", "1997 m9 2; 1998 m1 20;", true),
    ("FREQ=MONTHLY;COUNT=2;INTERVAL=18", "1997 m9 2; 1999 m3 2;", true),
    ("FREQ=YEARLY;BYWEEKNO=20;COUNT=2", "1998 m5 12; 1999 m5 18;", true),
    ("FREQ=YEARLY;BYWEEKNO=1;BYDAY=MO;COUNT=3", "1997 m12 29; 1999 m1 4; 2000 m1 3;", true),
    ("FREQ=YEARLY;BYWEEKNO=-1;BYDAY=SU;COUNT=3", "1997 m12 28; 1999 m1 3; 2000 m1 2;", true),
    ("FREQ=YEARLY;BYDAY=1TU,-1TH;COUNT=3", "1997 m12 25; 1998 m1 6; m12 31;", true),
    ("FREQ=YEARLY;BYMONTH=1,3;BYDAY=1TU,-1TH;COUNT=4", "1998 m1 6,29; m3 3,26;", true),
    ("FREQ=MONTHLY;BYSETPOS=-2;BYDAY=MO,TU,WE,TH,FR;COUNT=2", "1997 m9 29; m10 30;", true),
];

/// The other examples, by their start.
const OTHER: [(&str, &str, &str, bool); 21] = [
    (
        "19970901T090000",
        "FREQ=WEEKLY;INTERVAL=2;UNTIL=19971224T000000Z;WKST=SU;BYDAY=MO,WE,FR",
        "1997 m9 1,3,5,15,17,19,29; m10 1,3,13,15,17,27,29,31; m11 10,12,14,24,26,28; m12 8,10,12,22;",
        true,
    ),
    (
        "19970905T090000",
        "FREQ=MONTHLY;COUNT=10;BYDAY=1FR",
        "1997 m9 5; m10 3; m11 7; m12 5; 1998 m1 2; m2 6; m3 6; m4 3; m5 1; m6 5;",
        true,
    ),
    (
        "19970905T090000",
        "FREQ=MONTHLY;UNTIL=19971224T000000Z;BYDAY=1FR",
        "1997 m9 5; m10 3; m11 7; m12 5;",
        true,
    ),
    (
        "19970907T090000",
        "FREQ=MONTHLY;INTERVAL=2;COUNT=10;BYDAY=1SU,-1SU",
        "1997 m9 7,28; m11 2,30; 1998 m1 4,25; m3 1,29; m5 3,31;",
        true,
    ),
    (
        "19970922T090000",
        "FREQ=MONTHLY;COUNT=6;BYDAY=-2MO",
        "1997 m9 22; m10 20; m11 17; m12 22; 1998 m1 19; m2 16;",
        true,
    ),
    (
        "19970928T090000",
        "FREQ=MONTHLY;BYMONTHDAY=-3",
        "1997 m9 28; m10 29; m11 28; m12 29; 1998 m1 29; m2 26;",
        false,
    ),
    (
        "19970930T090000",
        "FREQ=MONTHLY;COUNT=10;BYMONTHDAY=1,-1",
        "1997 m9 30; m10 1,31; m11 1,30; m12 1,31; 1998 m1 1,31; m2 1;",
        true,
    ),
    (
        "19970910T090000",
        "FREQ=MONTHLY;INTERVAL=18;COUNT=10;BYMONTHDAY=10,11,12,13,14,15",
        "1997 m9 10,11,12,13,14,15; 1999 m3 10,11,12,13;",
        true,
    ),
    (
        "19970610T090000",
        "FREQ=YEARLY;COUNT=10;BYMONTH=6,7",
        "1997 m6 10; m7 10; 1998 m6 10; m7 10; 1999 m6 10; m7 10; 2000 m6 10; m7 10; 2001 m6 10; m7 10;",
        true,
    ),
    (
        "19970310T090000",
        "FREQ=YEARLY;INTERVAL=2;COUNT=10;BYMONTH=1,2,3",
        "1997 m3 10; 1999 m1 10; m2 10; m3 10; 2001 m1 10; m2 10; m3 10; 2003 m1 10; m2 10; m3 10;",
        true,
    ),
    (
        "19970101T090000",
        "FREQ=YEARLY;INTERVAL=3;COUNT=10;BYYEARDAY=1,100,200",
        "1997 m1 1; m4 10; m7 19; 2000 m1 1; m4 9; m7 18; 2003 m1 1; m4 10; m7 19; 2006 m1 1;",
        true,
    ),
    ("19970519T090000", "FREQ=YEARLY;BYDAY=20MO", "1997 m5 19; 1998 m5 18; 1999 m5 17;", false),
    ("19970512T090000", "FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO", "1997 m5 12; 1998 m5 11; 1999 m5 17;", false),
    (
        "19970313T090000",
        "FREQ=YEARLY;BYMONTH=3;BYDAY=TH",
        "1997 m3 13,20,27; 1998 m3 5,12,19,26; 1999 m3 4,11,18,25;",
        false,
    ),
    (
        "19970605T090000",
        "FREQ=YEARLY;BYDAY=TH;BYMONTH=6,7,8",
        "1997 m6 5,12,19,26; m7 3,10,17,24,31; m8 7,14,21,28; 1998 m6 4,11,18,25; m7 2,9,16,23,30; m8 6,13,20,27; \
         1999 m6 3,10,17,24; m7 1,8,15,22,29; m8 5,12,19,26;",
        false,
    ),
    (
        "19970913T090000",
        "FREQ=MONTHLY;BYDAY=SA;BYMONTHDAY=7,8,9,10,11,12,13",
        "1997 m9 13; m10 11; m11 8; m12 13; 1998 m1 10; m2 7; m3 7; m4 11; m5 9; m6 13;",
        false,
    ),
    (
        "19961105T090000",
        "FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8",
        "1996 m11 5; 2000 m11 7; 2004 m11 2;",
        false,
    ),
    ("19970904T090000", "FREQ=MONTHLY;COUNT=3;BYDAY=TU,WE,TH;BYSETPOS=3", "1997 m9 4; m10 7; m11 6;", true),
    (
        "19970929T090000",
        "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2",
        "1997 m9 29; m10 30; m11 27; m12 30; 1998 m1 29; m2 26; m3 30;",
        false,
    ),
    ("19970805T090000", "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=MO", "1997 m8 5,10,19,24;", true),
    ("19970805T090000", "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU", "1997 m8 5,17,19,31;", true),
];

#[test]
fn the_examples_of_the_rfc_give_the_dates_that_it_prints() {
    let all = SECOND_OF_SEPTEMBER.map(|(rule, expected, ends)| ("19970902T090000", rule, expected, ends));
    for (start, rule, expected, ends) in all.into_iter().chain(OTHER) {
        let expected = dates(expected);
        let found: Vec<String> = times(start, rule).take(expected.len() + 1).collect();
        assert_eq!(found.get(..expected.len()), Some(&expected[..]), "{start} {rule}");
        assert_eq!(found.len() == expected.len(), ends, "{start} {rule}");
    }
}

#[test]
fn every_day_of_january_for_three_years_by_two_rules() {
    let expected = dates("1998 m1 1-31; 1999 m1 1-31; 2000 m1 1-31;");
    for rule in [
        "FREQ=YEARLY;UNTIL=20000131T140000Z;BYMONTH=1;BYDAY=SU,MO,TU,WE,TH,FR,SA",
        "FREQ=DAILY;UNTIL=20000131T140000Z;BYMONTH=1",
    ] {
        assert_eq!(times("19980101T090000", rule).collect::<Vec<_>>(), expected);
    }
    let expected = dates("2007 m1 15,30; m2 15; m3 15,30;");
    assert_eq!(
        times("20070115T090000", "FREQ=MONTHLY;BYMONTHDAY=15,30;COUNT=5").collect::<Vec<_>>(),
        expected,
        "an invalid date is passed over"
    );
}

#[test]
fn the_examples_within_a_day() {
    for (rule, expected) in [
        ("FREQ=HOURLY;INTERVAL=3;UNTIL=19970902T210000Z", "09:00 12:00 15:00"),
        ("FREQ=MINUTELY;INTERVAL=15;COUNT=6", "09:00 09:15 09:30 09:45 10:00 10:15"),
        ("FREQ=MINUTELY;INTERVAL=90;COUNT=4", "09:00 10:30 12:00 13:30"),
    ] {
        let expected: Vec<_> = expected.split(' ').map(|clock| format!("1997-09-02T{clock}")).collect();
        assert_eq!(times("19970902T090000", rule).collect::<Vec<_>>(), expected, "{rule}");
    }
    let expected: Vec<String> = (2..=3)
        .flat_map(|day| (0..24).map(move |third| (day, third)))
        .map(|(day, third)| format!("1997-09-{day:02}T{:02}:{:02}", 9 + third / 3, third % 3 * 20))
        .collect();
    for rule in [
        "FREQ=DAILY;BYHOUR=9,10,11,12,13,14,15,16;BYMINUTE=0,20,40",
        "FREQ=MINUTELY;INTERVAL=20;BYHOUR=9,10,11,12,13,14,15,16",
    ] {
        assert_eq!(times("19970902T090000", rule).take(48).collect::<Vec<_>>(), expected, "{rule}");
    }
}

#[test]
fn a_rule_that_never_matches_ends() {
    for rule in [
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=SECONDLY;INTERVAL=60;BYSECOND=7",
        "FREQ=HOURLY;INTERVAL=24;BYHOUR=3",
        "FREQ=MINUTELY;INTERVAL=1440;BYHOUR=3;BYMINUTE=1",
        "FREQ=MONTHLY;BYDAY=6MO",
        "FREQ=YEARLY;INTERVAL=100000;BYMONTH=1",
    ] {
        assert_eq!(times("19970902T090000", rule).next(), None, "{rule}");
    }
    let every = |n: i64| (0..n).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    let all = format!("BYHOUR={};BYMINUTE={};BYSECOND={}", every(24), every(60), every(60));
    let rule = format!("FREQ=YEARLY;BYDAY=MO,TU,WE,TH,FR,SA,SU;{all};BYSETPOS=-1");
    assert_eq!(times("19970902T090000", &rule).next().as_deref(), Some("1997-12-31T23:59"));
}

#[test]
fn leaving_out_the_past_changes_nothing_else() {
    let (start, from) = (Date::of(1997, 9, 2).at(32_400), Date::of(2031, 3, 3).at(0));
    for rule in [
        "FREQ=YEARLY;INTERVAL=3;BYWEEKNO=1;BYDAY=MO",
        "FREQ=MONTHLY;INTERVAL=7;BYMONTHDAY=-1",
        "FREQ=WEEKLY;INTERVAL=3;BYDAY=SU,MO;WKST=SU",
        "FREQ=DAILY;INTERVAL=11",
        "FREQ=HOURLY;INTERVAL=37;BYMINUTE=5,10;BYSETPOS=-1",
    ] {
        let rule = Rule::parse(rule).expect("a rule");
        let all = || Expansion::new(&rule, start, &Zone::Utc, Date::of(2130, 1, 1).at(0));
        let whole: Vec<Time> = all().filter(|time| *time >= from).take(20).collect();
        let late: Vec<Time> = all().not_before(from).filter(|time| *time >= from).take(20).collect();
        assert_eq!((whole.len(), &whole), (20, &late), "{rule}");
    }
    let secondly = Rule::parse("FREQ=SECONDLY").expect("a rule");
    let first = Expansion::new(&secondly, start, &Zone::Utc, Date::of(2040, 1, 1).at(0)).not_before(from);
    assert_eq!(first.take(10).last().map(|time| time > from), Some(true));
}
