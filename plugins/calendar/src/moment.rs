//! Moments and lengths as iCalendar writes them: RFC 5545, sections 3.3.4 to 3.3.6 and 3.3.9 (DATE, DATE-TIME,
//! DURATION, PERIOD).
//!
//! Invariant: what is read is written in the same form (a day, floating, UTC or with its TZID).

use crate::ics::{Component, Property};
use crate::time::{DAY, Date, Time};
use crate::zone::Zone;

/// The longest length that is read, in seconds: about 30 years.
const MAX_LENGTH: i64 = 1_000_000_000;

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

    /// Puts it into a component, as a PERIOD where it has a length in seconds.
    pub fn write_period(&self, component: &mut Component, name: &str, length: Option<i64>) {
        let (period, until) = match length {
            Some(seconds) => (";VALUE=PERIOD", format!("/{}", duration(seconds))),
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

    /// Seconds from this moment to another; on the clock where one of them floats.
    #[must_use]
    pub fn until(&self, end: &Moment) -> i64 {
        match (&self.zone, &end.zone) {
            (Zone::Floating, _) | (_, Zone::Floating) => end.time.since(self.time),
            (from, to) => to.instant(end.time) - from.instant(self.time),
        }
    }
}

/// The length of a PERIOD's value, in seconds; none where the value is no period.
#[must_use]
pub fn period(property: &Property, value: &str) -> Option<i64> {
    let (_, end) = value.trim().split_once('/')?;
    let seconds = match seconds_of(end) {
        Some(seconds) => seconds,
        None => Moment::read(property, value)?.until(&Moment::read(property, end)?),
    };
    Some(seconds.clamp(0, MAX_LENGTH))
}

/// The seconds that a component takes, as DTEND or DURATION say; a day without either is a day long.
#[must_use]
pub fn length(component: &Component, start: &Moment) -> i64 {
    let own = Moment::of(component, "DTSTART");
    let start = own.as_ref().unwrap_or(start);
    if let Some(end) = Moment::of(component, "DTEND") {
        return start.until(&end).clamp(0, MAX_LENGTH);
    }
    let given = component.get("DURATION").and_then(|property| seconds_of(&property.value));
    given.unwrap_or(if start.all_day { DAY } else { 0 }).max(0)
}

/// The seconds of a DURATION: RFC 5545, section 3.3.6.
#[must_use]
pub fn seconds_of(text: &str) -> Option<i64> {
    let text = text.trim();
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |text| (-1, text));
    let (mut seconds, mut number, mut digits) = (0_i64, 0_i64, false);
    let body = text.strip_prefix('+').unwrap_or(text).strip_prefix('P')?;
    for c in body.chars() {
        let unit = match c {
            '0'..='9' => {
                number = (number * 10 + i64::from(c.to_digit(10)?)).min(MAX_LENGTH);
                digits = true;
                continue;
            }
            'T' if !digits => continue,
            'W' => 7 * DAY,
            'D' => DAY,
            'H' => 3600,
            'M' => 60,
            'S' => 1,
            _ => return None,
        };
        seconds = (seconds + number * unit).min(MAX_LENGTH);
        (number, digits) = (0, false);
    }
    (!digits && body.len() > 1).then_some(sign * seconds)
}

/// Seconds as a DURATION, in whole days or in minutes where they are.
#[must_use]
pub fn duration(seconds: i64) -> String {
    let (sign, size) = (if seconds < 0 { "-" } else { "" }, seconds.abs());
    if size != 0 && size % DAY == 0 {
        format!("{sign}P{}D", size / DAY)
    } else if size % 60 == 0 {
        format!("{sign}PT{}M", size / 60)
    } else {
        format!("{sign}PT{size}S")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_read_as_the_rfc_writes_it() {
        for (text, seconds) in
            [("P15DT5H0M20S", 1_314_020), ("P7W", 4_233_600), ("-PT15M", -900), ("+PT1H", 3600), ("PT0S", 0)]
        {
            assert_eq!(seconds_of(text), Some(seconds), "{text}");
            assert_eq!(seconds_of(&duration(seconds)), Some(seconds), "{text}");
        }
        for text in ["", "P", "PT", "15M", "PT15", "P1Y", "一"] {
            assert_eq!(seconds_of(text).filter(|seconds| *seconds != 0), None, "{text}");
        }
    }
}
