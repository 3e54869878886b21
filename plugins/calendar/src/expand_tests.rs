//! What must end, and what may be left out. The examples of RFC 5545 are in `rfc_tests.rs`.

use super::*;

/// The times of a rule, as `YYYY-MM-DDTHH:MM`.
fn times(start: &str, rule: &str) -> impl Iterator<Item = String> {
    let (start, rule) = (Time::parse_basic(start).expect("a start"), Rule::parse(rule).expect(rule));
    let zone = Box::leak(Box::new(Zone::named("America/New_York").expect("known")));
    Expansion::new(&rule, start, zone, Date::of(2999, 12, 31).at(0), PLENTY).map(|time| time.to_string())
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
        let all = || Expansion::new(&rule, start, &Zone::Utc, Date::of(2130, 1, 1).at(0), PLENTY);
        let whole: Vec<Time> = all().filter(|time| *time >= from).take(20).collect();
        let late: Vec<Time> = all().not_before(from).filter(|time| *time >= from).take(20).collect();
        assert_eq!((whole.len(), &whole), (20, &late), "{rule}");
    }
    let secondly = Rule::parse("FREQ=SECONDLY").expect("a rule");
    let first =
        Expansion::new(&secondly, start, &Zone::Utc, Date::of(2040, 1, 1).at(0), PLENTY).not_before(from);
    assert_eq!(first.take(10).last().map(|time| time > from), Some(true));
}
