//! Time zones: IANA names (the data is in the component, through jiff) and the wall clock's gaps and overlaps.
//!
//! RFC 5545, section 3.3.5: a time that a clock shows twice is the first of the two; one that it never shows is read
//! with the offset from before the gap, so 02:30 becomes 03:30. Section 3.3.10 says so of recurrences as well (and, a
//! paragraph before, that they are left out; calendars in use move them, and so does this one).
//!
//! Invariant: [`Zone::local`] undoes [`Zone::instant`] for every time that the clock shows once.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::ics::Component;
use crate::time::{Date, Time};
use crate::windows;

/// Where a wall clock hangs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Zone {
    /// Wherever the reader is.
    Floating,
    /// UTC.
    Utc,
    /// An IANA zone.
    Named(TimeZone),
}

impl Zone {
    /// The zone of a TZID: an IANA name, one with a prefix (`/vendor.org/20260101/Europe/Berlin`) or Microsoft's.
    #[must_use]
    pub fn named(name: &str) -> Option<Zone> {
        let name = name.trim().trim_matches('"');
        if matches!(name, "UTC" | "Etc/UTC" | "Z" | "GMT" | "Etc/GMT") {
            return Some(Zone::Utc);
        }
        let parts: Vec<&str> = name.split('/').collect();
        let tails = (0..parts.len().min(8)).filter_map(|from| parts.get(from..)).map(|tail| tail.join("/"));
        windows::iana(name)
            .map(str::to_owned)
            .into_iter()
            .chain(tails)
            .filter(|name| !name.is_empty() && name.len() < 64)
            .find_map(|name| jiff::tz::db().get(&name).ok())
            .map(Zone::Named)
    }

    /// The IANA name; none where times float.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Zone::Floating => None,
            Zone::Utc => Some("UTC"),
            Zone::Named(zone) => zone.iana_name(),
        }
    }

    /// Seconds since 1970 in UTC. A floating time counts as UTC: compare it only with floating times.
    #[must_use]
    pub fn instant(&self, time: Time) -> i64 {
        let Zone::Named(zone) = self else {
            return time.seconds();
        };
        let Ok(civil) = Timestamp::from_second(time.seconds()).map(|at| TimeZone::UTC.to_datetime(at)) else {
            return time.seconds();
        };
        zone.to_ambiguous_timestamp(civil).compatible().map_or(time.seconds(), |at| at.as_second())
    }

    /// What the clock shows at so many seconds since 1970 in UTC.
    #[must_use]
    pub fn local(&self, instant: i64) -> Time {
        let offset = match (self, Timestamp::from_second(instant)) {
            (Zone::Named(zone), Ok(at)) => i64::from(zone.to_offset(at).seconds()),
            _ => 0,
        };
        Time::from_seconds(instant + offset)
    }
}

/// The VTIMEZONE of a TZID, from 1990 to 2049: one observance for each change of its clock (RFC 5545, section 3.6.5).
/// Readers that know the name use their own data; none where the zone is not known.
#[must_use]
pub fn component(name: &str) -> Option<Component> {
    let zone = match Zone::named(name)? {
        Zone::Named(zone) => zone,
        Zone::Utc | Zone::Floating => TimeZone::UTC,
    };
    let mut timezone = Component::new("VTIMEZONE");
    timezone.add("TZID", "", name);
    let begin = Date::of(1990, 1, 1).at(0).seconds();
    let end = Date::of(2050, 1, 1).at(0).seconds();
    let first = Timestamp::from_second(begin).ok()?;
    let mut before = zone.to_offset(first).seconds();
    let mut observance = |kind: &str, local: Time, from: i32, to: i32| {
        let mut part = Component::new(kind);
        part.add("DTSTART", "", &local.basic());
        part.add("TZOFFSETFROM", "", &offset(from));
        part.add("TZOFFSETTO", "", &offset(to));
        timezone.parts.push(part);
    };
    observance("STANDARD", Time::from_seconds(begin), before, before);
    for change in zone.following(first).take_while(|change| change.timestamp().as_second() < end) {
        let after = change.offset().seconds();
        let kind = if change.dst().is_dst() { "DAYLIGHT" } else { "STANDARD" };
        observance(
            kind,
            Time::from_seconds(change.timestamp().as_second() + i64::from(before)),
            before,
            after,
        );
        before = after;
    }
    Some(timezone)
}

/// A UTC-OFFSET: RFC 5545, section 3.3.14.
fn offset(seconds: i32) -> String {
    let (sign, size) = (if seconds < 0 { '-' } else { '+' }, seconds.abs());
    let rest = if size % 60 == 0 { String::new() } else { format!("{:02}", size % 60) };
    format!("{sign}{:02}{:02}{rest}", size / 3600, size / 60 % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Time {
        Time::parse(text).expect("a time")
    }

    #[test]
    fn gaps_and_overlaps_are_read_as_the_rfc_says() {
        let zone = Zone::named("America/New_York").expect("known");
        // The RFC's own examples: 2007-11-04 01:30 is EDT (-4), 2007-03-11 02:30 is EST (-5), so 03:30 EDT.
        assert_eq!(zone.instant(time("2007-11-04T01:30")), time("2007-11-04T05:30").seconds());
        assert_eq!(zone.instant(time("2007-03-11T02:30")), time("2007-03-11T07:30").seconds());
        assert_eq!(zone.local(zone.instant(time("2007-03-11T02:30"))), time("2007-03-11T03:30"));
        assert_eq!(zone.local(zone.instant(time("2030-07-01T12:00"))), time("2030-07-01T12:00"));
    }

    #[test]
    fn a_zone_is_found_by_what_calendars_write() {
        for (name, iana) in [
            ("Europe/Berlin", "Europe/Berlin"),
            ("/softwarestudio.org/Olson_20011030_5/America/New_York", "America/New_York"),
            ("W. Europe Standard Time", "Europe/Berlin"),
            ("America/Argentina/Ushuaia", "America/Argentina/Ushuaia"),
        ] {
            assert_eq!(Zone::named(name).expect(name).name(), Some(iana));
        }
        assert_eq!(Zone::named("Etc/UTC"), Some(Zone::Utc));
        for name in ["", "/", "Mars/Olympus", "../../etc/passwd", "Customized Time Zone 1"] {
            assert_eq!(Zone::named(name), None, "{name}");
        }
    }

    #[test]
    fn a_zone_goes_out_with_the_changes_of_its_clock() {
        let mut text = String::new();
        component("America/New_York").expect("known").write(&mut text);
        let daylight = "BEGIN:DAYLIGHT\r\nDTSTART:20070311T020000\r\nTZOFFSETFROM:-0500\r\nTZOFFSETTO:-0400\r\nEND:DAYLIGHT\r\n";
        assert!(text.contains(daylight), "{text}");
        assert_eq!(component("Mars/Olympus"), None);
    }
}
