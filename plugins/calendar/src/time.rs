//! Local civil time to the second, in the proleptic Gregorian calendar, without a zone (see [`crate::zone`]).
//!
//! Format: ISO 8601 extended, `YYYY-MM-DD` and `YYYY-MM-DDTHH:MM`, for people and the model; iCalendar's basic form
//! `YYYYMMDD` and `YYYYMMDDTHHMMSS` for files. Day arithmetic is Howard Hinnant's `days_from_civil` and
//! `civil_from_days`.
//!
//! Invariant: what is parsed has a year of 1900 to 2999; a [`Time`] that was parsed prints as it was written.

use std::fmt;

/// Seconds in a day.
pub const DAY: i64 = 24 * 60 * 60;

/// A day, counted from 1 January 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(i64);

/// A second of a wall clock, counted from 1 January 1970, 00:00.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(i64);

impl Date {
    /// Reads `YYYY-MM-DD`; the error says what is wrong and what to write.
    ///
    /// # Errors
    /// Where the text has another form or there is no such day.
    pub fn parse(text: &str) -> Result<Date, String> {
        digits(text, "dddd-dd-dd")
            .ok_or_else(|| "write it as YYYY-MM-DD, such as 2026-03-05".to_owned())
            .and_then(|fields| civil(&fields))
    }

    /// Reads iCalendar's `YYYYMMDD`.
    #[must_use]
    pub fn parse_basic(text: &str) -> Option<Date> {
        digits(text, "dddddddd")?;
        civil(&[number(text, 0, 4)?, number(text, 4, 6)?, number(text, 6, 8)?]).ok()
    }

    /// The day of year, month (1 to 12) and day; a day past the month's end runs on into the next.
    #[must_use]
    pub fn of(year: i64, month: i64, day: i64) -> Date {
        let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
        let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let of_year = (153 * month + 2) / 5 + day - 1;
        Date(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
    }

    /// Year, month and day of the month.
    #[must_use]
    pub fn parts(self) -> (i64, i64, i64) {
        let shifted = self.0 + 719_468;
        let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        (year_of_era + era * 400 + i64::from(month <= 2), month, day)
    }

    /// 0 is Monday.
    #[must_use]
    pub fn weekday(self) -> i64 {
        // 1 January 1970 was a Thursday.
        (self.0 + 3).rem_euclid(7)
    }

    /// The time at so many seconds after midnight.
    #[must_use]
    pub fn at(self, second: i64) -> Time {
        Time(self.0 * DAY + second)
    }

    /// The day so many days later.
    #[must_use]
    pub fn plus(self, days: i64) -> Date {
        Date(self.0 + days)
    }

    /// Days from `earlier` to this one.
    #[must_use]
    pub fn since(self, earlier: Date) -> i64 {
        self.0 - earlier.0
    }

    /// iCalendar's `YYYYMMDD`.
    #[must_use]
    pub fn basic(self) -> String {
        self.to_string().replace('-', "")
    }
}

impl Time {
    /// Reads `YYYY-MM-DDTHH:MM`; the error says what is wrong and what to write.
    ///
    /// # Errors
    /// Where the text has another form or there is no such minute.
    pub fn parse(text: &str) -> Result<Time, String> {
        let fields = digits(text, "dddd-dd-ddTdd:dd")
            .ok_or_else(|| "write it as YYYY-MM-DDTHH:MM, such as 2026-03-05T14:30".to_owned())?;
        let date = civil(&fields)?;
        let (Some(hour), Some(minute)) = (fields.get(3), fields.get(4)) else {
            return Err("write it as YYYY-MM-DDTHH:MM".to_owned());
        };
        if *hour > 23 || *minute > 59 {
            return Err(format!("there is no {hour:02}:{minute:02}; hours are 00 to 23, minutes 00 to 59"));
        }
        Ok(date.at((hour * 60 + minute) * 60))
    }

    /// Reads iCalendar's `YYYYMMDDTHHMMSS`, without `Z`. A leap second is the second before.
    #[must_use]
    pub fn parse_basic(text: &str) -> Option<Time> {
        digits(text, "ddddddddTdddddd")?;
        let date = Date::parse_basic(text.get(..8)?)?;
        let (hour, minute, second) = (number(text, 9, 11)?, number(text, 11, 13)?, number(text, 13, 15)?);
        (hour < 24 && minute < 60 && second <= 60)
            .then(|| date.at(hour * 3600 + minute * 60 + second.min(59)))
    }

    /// From seconds since 1 January 1970, 00:00.
    #[must_use]
    pub fn from_seconds(seconds: i64) -> Time {
        Time(seconds)
    }

    /// Seconds since 1 January 1970, 00:00.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0
    }

    /// The day that it is on.
    #[must_use]
    pub fn date(self) -> Date {
        Date(self.0.div_euclid(DAY))
    }

    /// Seconds since midnight.
    #[must_use]
    pub fn of_day(self) -> i64 {
        self.0.rem_euclid(DAY)
    }

    /// The time so many seconds later.
    #[must_use]
    pub fn plus(self, seconds: i64) -> Time {
        Time(self.0 + seconds)
    }

    /// Seconds from `earlier` to this one.
    #[must_use]
    pub fn since(self, earlier: Time) -> i64 {
        self.0 - earlier.0
    }

    /// iCalendar's `YYYYMMDDTHHMMSS`.
    #[must_use]
    pub fn basic(self) -> String {
        let second = self.of_day();
        format!("{}T{:02}{:02}{:02}", self.date().basic(), second / 3600, second / 60 % 60, second % 60)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.parts();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// To the minute.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minute = self.of_day() / 60;
        write!(f, "{}T{:02}:{:02}", self.date(), minute / 60, minute % 60)
    }
}

fn number(text: &str, from: usize, to: usize) -> Option<i64> {
    text.get(from..to)?.parse().ok()
}

/// Days in a month.
#[must_use]
pub fn month_length(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The numbers in a text of this shape, where `d` stands for an ASCII digit and all else for itself.
fn digits(text: &str, shape: &str) -> Option<Vec<i64>> {
    if text.len() != shape.len() {
        return None;
    }
    let (mut fields, mut in_field) = (Vec::new(), false);
    for (byte, wanted) in text.bytes().zip(shape.bytes()) {
        if wanted != b'd' {
            if byte != wanted {
                return None;
            }
            in_field = false;
            continue;
        }
        if !byte.is_ascii_digit() {
            return None;
        }
        if !in_field {
            fields.push(0);
            in_field = true;
        }
        if let Some(field) = fields.last_mut() {
            *field = *field * 10 + i64::from(byte - b'0');
        }
    }
    Some(fields)
}

/// The day that year, month and day name.
fn civil(fields: &[i64]) -> Result<Date, String> {
    let [year, month, day, ..] = *fields else {
        return Err("write it as YYYY-MM-DD".to_owned());
    };
    if !(1900..=2999).contains(&year) {
        return Err(format!("the year {year} is out of range; 1900 to 2999"));
    }
    if !(1..=12).contains(&month) {
        return Err(format!("there is no month {month:02}; 01 to 12"));
    }
    let days = month_length(year, month);
    if !(1..=days).contains(&day) {
        return Err(format!("there is no day {day:02} in {year:04}-{month:02}; 01 to {days}"));
    }
    Ok(Date::of(year, month, day))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_the_range_prints_as_it_is_read() {
        let (first, last) =
            (Date::parse("1900-01-01").expect("a day"), Date::parse("2999-12-31").expect("a day"));
        assert_eq!(last.since(first), 401_766);
        for offset in 0..=last.since(first) {
            let date = first.plus(offset);
            assert_eq!(Date::parse(&date.to_string()), Ok(date));
        }
        assert_eq!(Date::parse("1970-01-01"), Ok(Date(0)));
        assert_eq!(Date::parse("2026-11-23").map(Date::weekday), Ok(0));
        assert_eq!(Date::parse("2000-02-29").map(Date::weekday), Ok(1));
    }

    #[test]
    fn times_print_as_they_are_read_and_pass_midnight() {
        let time = Time::parse("2026-12-31T23:45").expect("a minute");
        assert_eq!(time.to_string(), "2026-12-31T23:45");
        assert_eq!(time.plus(1800).to_string(), "2027-01-01T00:15");
        assert_eq!(time.plus(30).since(time), 30);
        assert_eq!(Time::parse_basic(&time.basic()), Some(time));
    }

    #[test]
    fn what_is_no_time_is_refused_with_the_reason() {
        for (text, reason) in [
            ("2026-13-01T10:00", "month 13"),
            ("2026-00-01T10:00", "month 00"),
            ("2026-02-29T10:00", "01 to 28"),
            ("2026-04-31T10:00", "01 to 30"),
            ("2026-04-00T10:00", "day 00"),
            ("0026-04-01T10:00", "year 26"),
            ("2026-04-01T24:00", "24:00"),
            ("2026-04-01T10:60", "10:60"),
            ("2026-04-01", "YYYY-MM-DDTHH:MM"),
            ("2026-04-01 10:00", "YYYY-MM-DDTHH:MM"),
            ("2026-04-01T10:00Z", "YYYY-MM-DDTHH:MM"),
            ("2026-4-1T10:00:00", "YYYY-MM-DDTHH:MM"),
            ("tomorrow at tenn", "YYYY-MM-DDTHH:MM"),
            ("２０２６-1", "YYYY-MM-DDTHH:MM"),
            ("", "YYYY-MM-DDTHH:MM"),
        ] {
            let message = Time::parse(text).expect_err(text);
            assert!(message.contains(reason), "{text}: {message}");
        }
    }
}
