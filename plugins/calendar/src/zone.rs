//! Time zones: IANA names (the data is in the component, through jiff) and the wall clock's gaps and overlaps.
//!
//! RFC 5545, section 3.3.5: a time that a clock shows twice is the first of the two; one that it never shows is read
//! with the offset from before the gap, so 02:30 becomes 03:30. Section 3.3.10 says so of recurrences as well (and, a
//! paragraph before, that they are left out; calendars in use move them, and so does this one).
//!
//! Invariant: [`Zone::local`] undoes [`Zone::instant`] for every time that the clock shows once.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::time::Time;

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

/// Names that Microsoft's calendars write for zones (Unicode CLDR, windowsZones.xml, territory 001).
const WINDOWS: [(&str, &str); 40] = [
    ("AUS Eastern Standard Time", "Australia/Sydney"),
    ("Alaskan Standard Time", "America/Anchorage"),
    ("Arab Standard Time", "Asia/Riyadh"),
    ("Arabian Standard Time", "Asia/Dubai"),
    ("Argentina Standard Time", "America/Buenos_Aires"),
    ("Atlantic Standard Time", "America/Halifax"),
    ("Canada Central Standard Time", "America/Regina"),
    ("Central America Standard Time", "America/Guatemala"),
    ("Central Europe Standard Time", "Europe/Budapest"),
    ("Central European Standard Time", "Europe/Warsaw"),
    ("Central Standard Time", "America/Chicago"),
    ("China Standard Time", "Asia/Shanghai"),
    ("E. Australia Standard Time", "Australia/Brisbane"),
    ("E. South America Standard Time", "America/Sao_Paulo"),
    ("Eastern Standard Time", "America/New_York"),
    ("Egypt Standard Time", "Africa/Cairo"),
    ("FLE Standard Time", "Europe/Kiev"),
    ("GMT Standard Time", "Europe/London"),
    ("GTB Standard Time", "Europe/Bucharest"),
    ("Greenwich Standard Time", "Atlantic/Reykjavik"),
    ("Hawaiian Standard Time", "Pacific/Honolulu"),
    ("India Standard Time", "Asia/Calcutta"),
    ("Israel Standard Time", "Asia/Jerusalem"),
    ("Korea Standard Time", "Asia/Seoul"),
    ("Mountain Standard Time", "America/Denver"),
    ("New Zealand Standard Time", "Pacific/Auckland"),
    ("Newfoundland Standard Time", "America/St_Johns"),
    ("Pacific SA Standard Time", "America/Santiago"),
    ("Pacific Standard Time", "America/Los_Angeles"),
    ("Romance Standard Time", "Europe/Paris"),
    ("Russian Standard Time", "Europe/Moscow"),
    ("SA Pacific Standard Time", "America/Bogota"),
    ("SE Asia Standard Time", "Asia/Bangkok"),
    ("Singapore Standard Time", "Asia/Singapore"),
    ("South Africa Standard Time", "Africa/Johannesburg"),
    ("Taipei Standard Time", "Asia/Taipei"),
    ("Tokyo Standard Time", "Asia/Tokyo"),
    ("Turkey Standard Time", "Europe/Istanbul"),
    ("US Mountain Standard Time", "America/Phoenix"),
    ("W. Europe Standard Time", "Europe/Berlin"),
];

impl Zone {
    /// The zone of a TZID: an IANA name, one with a prefix (`/vendor.org/20260101/Europe/Berlin`) or Microsoft's.
    #[must_use]
    pub fn named(name: &str) -> Option<Zone> {
        let name = name.trim().trim_matches('"');
        if matches!(name, "UTC" | "Etc/UTC" | "Z" | "GMT" | "Etc/GMT") {
            return Some(Zone::Utc);
        }
        let windows = WINDOWS.iter().find(|(theirs, _)| *theirs == name).map(|(_, iana)| *iana);
        let parts: Vec<&str> = name.split('/').collect();
        let tails = (0..parts.len().min(8)).filter_map(|from| parts.get(from..)).map(|tail| tail.join("/"));
        windows
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
        for (theirs, iana) in WINDOWS {
            assert!(Zone::named(theirs).is_some(), "{theirs}: {iana}");
        }
    }
}
