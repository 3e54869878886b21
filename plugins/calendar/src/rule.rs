//! Recurrence rules as text: RFC 5545, section 3.3.10, every part; expanded in [`crate::expand`].
//!
//! Why own code: the crate `rrule` knows no floating time (it takes the machine's zone), and brings chrono, a second
//! zone database and a regular-expression engine into a component whose times are jiff's.
//!
//! Invariant: what is read prints as a rule that means the same; the parts that the RFC gives no meaning together are
//! refused with the mend. Parts that the RFC forbids but that have one reading limit the set (`BYMONTHDAY` of a weekly
//! rule), as other calendars read them.

use std::fmt;

use crate::time::{Date, Time};

/// How often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Freq {
    /// Each calendar year.
    Yearly,
    /// Each calendar month.
    Monthly,
    /// Each week from `wkst` on.
    Weekly,
    /// Each day.
    Daily,
    /// Each hour of the wall clock.
    Hourly,
    /// Each minute of the wall clock.
    Minutely,
    /// Each second of the wall clock.
    Secondly,
}

const FREQS: [(&str, Freq); 7] = [
    ("YEARLY", Freq::Yearly),
    ("MONTHLY", Freq::Monthly),
    ("WEEKLY", Freq::Weekly),
    ("DAILY", Freq::Daily),
    ("HOURLY", Freq::Hourly),
    ("MINUTELY", Freq::Minutely),
    ("SECONDLY", Freq::Secondly),
];

/// The weekdays as iCalendar writes them; 0 is Monday.
pub const WEEKDAYS: [&str; 7] = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];

/// The last moment that may recur, included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// A whole day of the event's wall clock.
    Day(Date),
    /// On the event's wall clock.
    Local(Time),
    /// In UTC.
    Utc(Time),
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// `FREQ`.
    pub freq: Freq,
    /// `INTERVAL`, 1 or more.
    pub interval: i64,
    /// `COUNT`.
    pub count: Option<u32>,
    /// `UNTIL`.
    pub until: Option<Until>,
    /// `BYSECOND`, 0 to 59 (60 is read as 59).
    pub seconds: Vec<i64>,
    /// `BYMINUTE`.
    pub minutes: Vec<i64>,
    /// `BYHOUR`.
    pub hours: Vec<i64>,
    /// `BYDAY`: which one (0: each, -1: the last) and the weekday (0 is Monday).
    pub days: Vec<(i64, i64)>,
    /// `BYMONTHDAY`, 1 to 31 or negative.
    pub month_days: Vec<i64>,
    /// `BYYEARDAY`, 1 to 366 or negative.
    pub year_days: Vec<i64>,
    /// `BYWEEKNO`, 1 to 53 or negative.
    pub weeks: Vec<i64>,
    /// `BYMONTH`.
    pub months: Vec<i64>,
    /// `BYSETPOS`, 1 to 366 or negative.
    pub positions: Vec<i64>,
    /// `WKST`; 0 is Monday.
    pub week_start: i64,
}

impl Rule {
    /// A rule with no other part.
    #[must_use]
    pub fn every(freq: Freq) -> Rule {
        Rule {
            freq,
            interval: 1,
            count: None,
            until: None,
            seconds: vec![],
            minutes: vec![],
            hours: vec![],
            days: vec![],
            month_days: vec![],
            year_days: vec![],
            weeks: vec![],
            months: vec![],
            positions: vec![],
            week_start: 0,
        }
    }

    /// Reads the value of an RRULE, such as `FREQ=WEEKLY;BYDAY=MO,WE`.
    ///
    /// # Errors
    /// The part that is wrong and what to write.
    pub fn parse(text: &str) -> Result<Rule, String> {
        if text.len() > 4096 {
            return Err("the rule is longer than 4096 bytes".into());
        }
        let text = text.trim().to_ascii_uppercase();
        let text = text.strip_prefix("RRULE:").unwrap_or(&text);
        let (mut rule, mut freq, mut seen) = (Rule::every(Freq::Daily), None, Vec::new());
        for part in text.split(';').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').ok_or_else(|| {
                format!("`{part}` is no part; write NAME=VALUE, such as FREQ=WEEKLY;BYDAY=MO")
            })?;
            if seen.contains(&name) {
                return Err(format!("{name} stands there twice; write it once"));
            }
            seen.push(name);
            match name {
                "FREQ" => {
                    freq = Some(
                        FREQS.iter().find(|(known, _)| *known == value).map(|(_, freq)| *freq).ok_or_else(
                            || format!("FREQ={value} is unknown; write DAILY, WEEKLY, MONTHLY or YEARLY"),
                        )?,
                    );
                }
                "INTERVAL" => rule.interval = one(name, value, 1, 100_000)?,
                "COUNT" => rule.count = u32::try_from(one(name, value, 1, 1_000_000)?).ok(),
                "UNTIL" => rule.until = Some(until(value)?),
                "BYSECOND" => {
                    rule.seconds = list(name, value, 0, 60, false)?.into_iter().map(|n| n.min(59)).collect();
                }
                "BYMINUTE" => rule.minutes = list(name, value, 0, 59, false)?,
                "BYHOUR" => rule.hours = list(name, value, 0, 23, false)?,
                "BYDAY" => {
                    rule.days = value.split(',').map(day).collect::<Result<_, _>>()?;
                    rule.days.sort_unstable_by_key(|(n, day)| (*day, *n));
                    rule.days.dedup();
                }
                "BYMONTHDAY" => rule.month_days = list(name, value, 1, 31, true)?,
                "BYYEARDAY" => rule.year_days = list(name, value, 1, 366, true)?,
                "BYWEEKNO" => rule.weeks = list(name, value, 1, 53, true)?,
                "BYMONTH" => rule.months = list(name, value, 1, 12, false)?,
                "BYSETPOS" => rule.positions = list(name, value, 1, 366, true)?,
                "WKST" => {
                    rule.week_start =
                        weekday(value).ok_or_else(|| format!("WKST={value} is no weekday; MO to SU"))?
                }
                _ => return Err(format!("{name} is no part of a recurrence rule; leave it out")),
            }
        }
        rule.freq = freq.ok_or("FREQ is missing; write such as FREQ=WEEKLY;BYDAY=MO")?;
        rule.meaningful()?;
        Ok(rule)
    }

    fn meaningful(&self) -> Result<(), String> {
        let numbered = self.days.iter().any(|(n, _)| *n != 0);
        if self.count.is_some() && self.until.is_some() {
            return Err("COUNT and UNTIL exclude each other; write one".into());
        }
        if numbered && !matches!(self.freq, Freq::Yearly | Freq::Monthly) {
            return Err("a numbered BYDAY such as 2MO needs FREQ=MONTHLY or FREQ=YEARLY".into());
        }
        if numbered && !self.weeks.is_empty() {
            return Err("a numbered BYDAY such as 2MO does not go with BYWEEKNO; write MO".into());
        }
        if !self.positions.is_empty() && !self.limited() {
            return Err("BYSETPOS needs another BY part, such as BYDAY=MO,TU,WE,TH,FR".into());
        }
        Ok(())
    }

    fn limited(&self) -> bool {
        !self.days.is_empty()
            || [
                &self.seconds,
                &self.minutes,
                &self.hours,
                &self.month_days,
                &self.year_days,
                &self.weeks,
                &self.months,
            ]
            .iter()
            .any(|list| !list.is_empty())
    }
}

fn one(name: &str, value: &str, low: i64, high: i64) -> Result<i64, String> {
    (value.len() <= 9 && value.bytes().all(|b| b.is_ascii_digit()))
        .then(|| value.parse().ok())
        .flatten()
        .filter(|n| (low..=high).contains(n))
        .ok_or_else(|| format!("{name}={value} is wrong; write {low} to {high}"))
}

fn list(name: &str, value: &str, low: i64, high: i64, signed: bool) -> Result<Vec<i64>, String> {
    let mut all = Vec::new();
    for item in value.split(',') {
        let (negative, digits) = match item.strip_prefix('-') {
            Some(digits) if signed => (true, digits),
            _ => (false, item.strip_prefix('+').filter(|_| signed).unwrap_or(item)),
        };
        let n = one(name, digits, low, high).map_err(|_| {
            format!(
                "{name}={item} is wrong; write {low} to {high}{}",
                if signed { " or negative" } else { "" }
            )
        })?;
        all.push(if negative { -n } else { n });
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

fn weekday(text: &str) -> Option<i64> {
    (0..7).zip(WEEKDAYS).find(|(_, name)| *name == text).map(|(n, _)| n)
}

fn day(item: &str) -> Result<(i64, i64), String> {
    let wrong = || {
        format!(
            "BYDAY={item} is wrong; write MO to SU, with a number before it where one is meant: 2MO, -1FR"
        )
    };
    let split = item.len().checked_sub(2).filter(|at| item.is_char_boundary(*at)).ok_or_else(wrong)?;
    let (number, name) = item.split_at(split);
    let weekday = weekday(name).ok_or_else(wrong)?;
    if number.is_empty() {
        return Ok((0, weekday));
    }
    let number = list("BYDAY", number, 1, 53, true).map_err(|_| wrong())?;
    Ok((number.first().copied().ok_or_else(wrong)?, weekday))
}

fn until(value: &str) -> Result<Until, String> {
    let found = match value.strip_suffix('Z') {
        Some(utc) => Time::parse_basic(utc).map(Until::Utc),
        None => {
            Date::parse_basic(value).map(Until::Day).or_else(|| Time::parse_basic(value).map(Until::Local))
        }
    };
    found.ok_or_else(|| format!("UNTIL={value} is wrong; write YYYYMMDD or YYYYMMDDTHHMMSSZ"))
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let freq = FREQS.iter().find(|(_, freq)| *freq == self.freq).map_or("DAILY", |(name, _)| *name);
        write!(f, "FREQ={freq}")?;
        match self.until {
            None => {}
            Some(Until::Day(day)) => write!(f, ";UNTIL={}", day.basic())?,
            Some(Until::Local(time)) => write!(f, ";UNTIL={}", time.basic())?,
            Some(Until::Utc(time)) => write!(f, ";UNTIL={}Z", time.basic())?,
        }
        if let Some(count) = self.count {
            write!(f, ";COUNT={count}")?;
        }
        if self.interval != 1 {
            write!(f, ";INTERVAL={}", self.interval)?;
        }
        for (name, list) in [
            ("BYSECOND", &self.seconds),
            ("BYMINUTE", &self.minutes),
            ("BYHOUR", &self.hours),
            ("BYMONTHDAY", &self.month_days),
            ("BYYEARDAY", &self.year_days),
            ("BYWEEKNO", &self.weeks),
            ("BYMONTH", &self.months),
            ("BYSETPOS", &self.positions),
        ] {
            if !list.is_empty() {
                let items: Vec<String> = list.iter().map(i64::to_string).collect();
                write!(f, ";{name}={}", items.join(","))?;
            }
        }
        if !self.days.is_empty() {
            let items: Vec<String> = self
                .days
                .iter()
                .map(|(n, day)| {
                    let name =
                        usize::try_from(*day).ok().and_then(|day| WEEKDAYS.get(day)).copied().unwrap_or("MO");
                    if *n == 0 { name.to_owned() } else { format!("{n}{name}") }
                })
                .collect();
            write!(f, ";BYDAY={}", items.join(","))?;
        }
        if self.week_start != 0 {
            let name = usize::try_from(self.week_start).ok().and_then(|day| WEEKDAYS.get(day)).copied();
            write!(f, ";WKST={}", name.unwrap_or("MO"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_prints_as_one_that_means_the_same() {
        for text in [
            "FREQ=WEEKLY",
            "FREQ=MONTHLY;COUNT=10;INTERVAL=2;BYDAY=1SU,-1SU",
            "FREQ=DAILY;UNTIL=19971224T000000Z",
            "FREQ=YEARLY;UNTIL=20301231;BYWEEKNO=-1,20;BYDAY=MO;WKST=SU",
            "FREQ=SECONDLY;BYSECOND=0,30;BYMINUTE=5;BYHOUR=9;BYMONTHDAY=-1;BYYEARDAY=-1;BYMONTH=1;BYSETPOS=-1,1",
        ] {
            let rule = Rule::parse(text).expect(text);
            assert_eq!(Rule::parse(&rule.to_string()).expect(text), rule);
        }
        assert_eq!(
            Rule::parse("rrule:freq=daily;interval=1;").map(|r| r.to_string()),
            Ok("FREQ=DAILY".into())
        );
    }

    #[test]
    fn a_wrong_rule_is_refused_with_the_mend() {
        for (text, part) in [
            ("", "FREQ is missing"),
            ("every monday", "NAME=VALUE"),
            ("FREQ=FORTNIGHTLY", "WEEKLY"),
            ("FREQ=DAILY;FREQ=DAILY", "twice"),
            ("FREQ=DAILY;INTERVAL=0", "1 to"),
            ("FREQ=DAILY;INTERVAL=99999999999999999999", "1 to"),
            ("FREQ=DAILY;COUNT=-1", "COUNT=-1"),
            ("FREQ=DAILY;COUNT=1;UNTIL=20300101", "write one"),
            ("FREQ=DAILY;UNTIL=2030-01-01", "YYYYMMDD"),
            ("FREQ=MONTHLY;BYDAY=MONDAY", "MO to SU"),
            ("FREQ=MONTHLY;BYDAY=0MO", "MO to SU"),
            ("FREQ=MONTHLY;BYDAY=一MO", "MO to SU"),
            ("FREQ=MONTHLY;BYDAY=周", "MO to SU"),
            ("FREQ=WEEKLY;BYDAY=2MO", "FREQ=MONTHLY"),
            ("FREQ=YEARLY;BYWEEKNO=20;BYDAY=1MO", "write MO"),
            ("FREQ=MONTHLY;BYSETPOS=1", "another BY part"),
            ("FREQ=MONTHLY;BYMONTHDAY=32", "1 to 31 or negative"),
            ("FREQ=DAILY;BYHOUR=-1", "0 to 23"),
            ("FREQ=DAILY;BYEASTER=1", "leave it out"),
        ] {
            let error = Rule::parse(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
