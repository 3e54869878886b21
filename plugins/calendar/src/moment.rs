//! Moments and lengths as iCalendar writes them: RFC 5545, sections 3.3.4 to 3.3.6 and 3.3.9 (DATE, DATE-TIME,
//! DURATION, PERIOD).
//!
//! Invariant: what is read is written in the same form (a day, floating, UTC or with its TZID).

use crate::ics::{Component, Property};
use crate::time::{DAY, Date, Time};
use crate::zone::Zone;

/// The longest length that is read, in seconds: about 30 years.
const MAX_LENGTH: i64 = 1_000_000_000;

/// How long something takes: days on the calendar, each to the same time of the clock, and then exact seconds (section
/// 3.3.6). Over a change of the clock a day has not 24 hours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Length {
    /// On the calendar.
    pub days: i64,
    /// After them.
    pub seconds: i64,
}

/// A start on a wall clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// What the clock of `zone` shows.
    pub time: Time,
    /// Where the clock hangs.
    pub zone: Zone,
    /// A whole day, from midnight on.
    pub all_day: bool,
}

impl Moment {
    /// The value of DTSTART and its like; of a PERIOD, the start. A zone that is not known floats.
    #[must_use]
    pub fn read(property: &Property, value: &str) -> Option<Moment> {
        let value = value.trim();
        if let Some(day) = Date::parse_basic(value) {
            return Some(Moment { time: day.at(0), zone: Zone::Floating, all_day: true });
        }
        let value = value.split('/').next().unwrap_or(value);
        let (value, zone) = match (value.strip_suffix('Z'), property.parameter("TZID")) {
            (Some(value), _) => (value, Zone::Utc),
            (None, Some(name)) => (value, Zone::named(name).unwrap_or(Zone::Floating)),
            (None, None) => (value, Zone::Floating),
        };
        Some(Moment { time: Time::parse_basic(value)?, zone, all_day: false })
    }

    /// The moment that a property of a component gives.
    #[must_use]
    pub fn of(component: &Component, name: &str) -> Option<Moment> {
        let property = component.get(name)?;
        Moment::read(property, &property.value)
    }

    /// Puts it into a component.
    pub fn write(&self, component: &mut Component, name: &str) {
        self.write_period(component, name, None);
    }

    /// Puts it into a component, as a PERIOD where it has a length.
    pub fn write_period(&self, component: &mut Component, name: &str, length: Option<Length>) {
        let (period, until) = match length {
            Some(length) => (";VALUE=PERIOD", format!("/{}", length.written())),
            None => ("", String::new()),
        };
        match (&self.zone, self.all_day) {
            (_, true) => component.add(name, ";VALUE=DATE", &self.time.date().basic()),
            (Zone::Floating, _) => component.add(name, period, &format!("{}{until}", self.time.basic())),
            (Zone::Utc, _) => component.add(name, period, &format!("{}Z{until}", self.time.basic())),
            (Zone::Named(zone), _) => {
                let zone = zone.iana_name().unwrap_or("UTC");
                let value = format!("{}{until}", self.time.basic());
                component.add(name, &format!("{period};TZID={zone}"), &value);
            }
        }
    }

    /// What the user's clock shows then.
    #[must_use]
    pub fn seen(&self, user: &Zone) -> Time {
        match self.zone {
            Zone::Floating => self.time,
            _ => user.local(self.zone.instant(self.time)),
        }
    }

    /// What the clock of another zone shows then.
    #[must_use]
    pub fn on(&self, zone: &Zone) -> Time {
        if matches!(self.zone, Zone::Floating) || matches!(zone, Zone::Floating) || self.zone == *zone {
            return self.time;
        }
        zone.local(self.zone.instant(self.time))
    }

    /// How long it is from this moment to another: exact, as DTEND is meant (section 3.8.5.3); whole days in days.
    #[must_use]
    pub fn until(&self, end: &Moment) -> Length {
        let seconds = match (&self.zone, &end.zone) {
            (Zone::Floating, _) | (_, Zone::Floating) => end.time.since(self.time),
            (from, to) => to.instant(end.time) - from.instant(self.time),
        };
        if self.all_day && end.all_day { Length::days(seconds / DAY) } else { Length::exact(seconds) }
    }
}

impl Length {
    /// So many days of the calendar.
    #[must_use]
    pub fn days(days: i64) -> Length {
        Length { days, seconds: 0 }
    }

    /// So many seconds, whatever the clock does.
    #[must_use]
    pub fn exact(seconds: i64) -> Length {
        Length { days: 0, seconds }
    }

    /// Seconds, where no clock changes.
    #[must_use]
    pub fn total(self) -> i64 {
        self.days * DAY + self.seconds
    }

    /// Reads a DURATION: section 3.3.6.
    #[must_use]
    pub fn read(text: &str) -> Option<Length> {
        let text = text.trim();
        let (sign, text) = text.strip_prefix('-').map_or((1, text), |text| (-1, text));
        let (mut length, mut number, mut digits) = (Length::default(), 0_i64, false);
        let body = text.strip_prefix('+').unwrap_or(text).strip_prefix('P')?;
        for c in body.chars() {
            let (days, seconds) = match c {
                '0'..='9' => {
                    number = (number * 10 + i64::from(c.to_digit(10)?)).min(MAX_LENGTH);
                    digits = true;
                    continue;
                }
                'T' if !digits => continue,
                'W' => (7, 0),
                'D' => (1, 0),
                'H' => (0, 3600),
                'M' => (0, 60),
                'S' => (0, 1),
                _ => return None,
            };
            length.days = (length.days + number * days).min(MAX_LENGTH / DAY);
            length.seconds = (length.seconds + number * seconds).min(MAX_LENGTH);
            (number, digits) = (0, false);
        }
        let signed = Length { days: sign * length.days, seconds: sign * length.seconds };
        (!digits && body.len() > 1).then_some(signed)
    }

    /// As a DURATION.
    #[must_use]
    pub fn written(self) -> String {
        let sign = if self.days < 0 || self.seconds < 0 { "-" } else { "" };
        let days = if self.days == 0 { String::new() } else { format!("{}D", self.days.abs()) };
        let clock = match self.seconds.abs() {
            0 if self.days != 0 => String::new(),
            seconds if seconds % 60 == 0 => format!("T{}M", seconds / 60),
            seconds => format!("T{seconds}S"),
        };
        format!("{sign}P{days}{clock}")
    }

    /// Itself, where it goes forward and no further than is read.
    fn forward(self) -> Length {
        if (0..=MAX_LENGTH).contains(&self.total()) {
            self
        } else {
            Length::exact(self.total().clamp(0, MAX_LENGTH))
        }
    }
}

/// The length of a PERIOD's value; none where the value is no period.
#[must_use]
pub fn period(property: &Property, value: &str) -> Option<Length> {
    let (_, end) = value.trim().split_once('/')?;
    let length = match Length::read(end) {
        Some(length) => length,
        None => Moment::read(property, value)?.until(&Moment::read(property, end)?),
    };
    Some(length.forward())
}

/// What a component takes, as DTEND or DURATION say; a day without either is a day long.
#[must_use]
pub fn length(component: &Component, start: &Moment) -> Length {
    let own = Moment::of(component, "DTSTART");
    let start = own.as_ref().unwrap_or(start);
    if let Some(end) = Moment::of(component, "DTEND") {
        return start.until(&end).forward();
    }
    let given = component.get("DURATION").and_then(|property| Length::read(&property.value));
    given.unwrap_or(Length::days(i64::from(start.all_day))).forward()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_read_as_the_rfc_writes_it() {
        for (text, days, seconds) in [
            ("P15DT5H0M20S", 15, 18_020),
            ("P7W", 49, 0),
            ("-PT15M", 0, -900),
            ("-P1DT1H", -1, -3600),
            ("+PT1H", 0, 3600),
            ("PT24H", 0, DAY),
            ("PT0S", 0, 0),
        ] {
            let length = Length { days, seconds };
            assert_eq!(Length::read(text), Some(length), "{text}");
            assert_eq!(Length::read(&length.written()), Some(length), "{text}");
        }
        for text in ["", "P", "PT", "15M", "PT15", "P1Y", "一"] {
            assert_eq!(Length::read(text).filter(|length| length.total() != 0), None, "{text}");
        }
    }
}
