//! Times of a calendar, as cron writes them, in a time zone.

use std::collections::VecDeque;

use cronexpr::{Crontab, MakeTimestamp};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

/// What is longer ago is not made up for.
const LONGEST_AGO: SignedDuration = SignedDuration::from_hours(400 * 24);
/// Moments that are made up for at most.
const MAX_MISSED: usize = 1_000;

/// What becomes of moments at which nobody was there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Missed {
    /// The last of them is made up for.
    #[default]
    Once,
    /// Each of them is.
    All,
    /// None is.
    Skip,
}

/// When something is begun.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    /// As the settings have it.
    pub(crate) text: String,
    zone: TimeZone,
    crontab: Crontab,
    /// Whether it is for certain hours of the day: those are times on a clock, each of which is there once a day, also where the
    /// clocks change. What goes on every so many minutes goes on through that.
    certain_hours: bool,
    missed: Missed,
}

/// More than clocks are ever set forward or back.
const SHIFT: i64 = 3 * 3_600;
/// How late a moment may be seen, in seconds, that was not missed: looks are no further apart.
const ON_TIME: i64 = 90;

impl Schedule {
    /// `minute hour day-of-month month day-of-week`; names and ranges as cron has them.
    ///
    /// # Errors
    /// Names what is wrong, and what to write.
    pub(crate) fn parse(text: &str, zone: &TimeZone, missed: Missed) -> Result<Schedule, String> {
        const MEND: &str =
            "write minute, hour, day of the month, month and day of the week, such as \"0 7 * * 1-5\"";
        if text.split_whitespace().count() != 5 {
            return Err(format!("schedule = \"{text}\" has not five parts; {MEND}"));
        }
        let parts: Vec<&str> = text.split_whitespace().collect();
        // What is no cron and what cron calls otherwise is not to be taken for something else.
        let plain = |part: &str| {
            part.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'*' | b',' | b'-' | b'/'))
        };
        let named = |part: &str| {
            let numbered =
                part.as_bytes().windows(2).any(|two| two[0].is_ascii_digit() && two[1].is_ascii_alphabetic());
            plain(&part.replace(|c: char| c.is_ascii_alphabetic(), ""))
                && !numbered
                && !part.eq_ignore_ascii_case("L")
        };
        if let Some(wrong) =
            parts[..3].iter().find(|part| !plain(part)).or(parts[3..].iter().find(|part| !named(part)))
        {
            return Err(format!("schedule = \"{text}\": \"{wrong}\" is not understood; {MEND}"));
        }
        let certain_hours = !matches!(parts[1], "*" | "*/1" | "0-23");
        // Times are looked for as if there were no zone, then each is found in the zone.
        let crontab = cronexpr::parse_crontab(&format!("{text} UTC"))
            .map_err(|error| format!("schedule = \"{text}\": {error}; {MEND}"))?;
        let schedule = Schedule { text: text.to_owned(), zone: zone.clone(), crontab, certain_hours, missed };
        if schedule.next(Timestamp::now()).is_none() {
            return Err(format!(
                "schedule = \"{text}\" never fires: no day of the next four years is such a day; {MEND}"
            ));
        }
        Ok(schedule)
    }

    /// The first moment after this one.
    pub(crate) fn next(&self, after: Timestamp) -> Option<Timestamp> {
        if self.certain_hours { self.next_on_the_clock(after) } else { self.next_in_time(after) }
    }

    fn next_on_the_clock(&self, after: Timestamp) -> Option<Timestamp> {
        let clock = TimeZone::UTC.to_timestamp(self.zone.to_datetime(after)).ok()?;
        let mut clock = Timestamp::from_second(clock.as_second() - SHIFT).ok()?;
        loop {
            clock = self.find(clock)?;
            // A time that is left out is as much later as the clocks are; of one that is there twice, the first.
            let moment =
                self.zone.to_ambiguous_timestamp(TimeZone::UTC.to_datetime(clock)).compatible().ok()?;
            if moment > after {
                return Some(moment);
            }
        }
    }

    fn next_in_time(&self, after: Timestamp) -> Option<Timestamp> {
        let mut from = after;
        // The clocks change a few times in the years in which a moment is looked for.
        for _ in 0..64 {
            let offset = i64::from(self.zone.to_offset(from).seconds());
            let clock = self.find(Timestamp::from_second(from.as_second() + offset).ok()?)?;
            let moment = Timestamp::from_second(clock.as_second() - offset).ok()?;
            let change = self.zone.following(from).next().map(|change| change.timestamp());
            let Some(change) = change.filter(|change| *change <= moment) else { return Some(moment) };
            // From there on the clocks may show another time; its first second counts.
            let offset = i64::from(self.zone.to_offset(change).seconds());
            let clock = self.find(Timestamp::from_second(change.as_second() + offset - 1).ok()?)?;
            if clock.as_second() == change.as_second() + offset {
                return Some(change);
            }
            from = change;
        }
        None
    }

    fn find(&self, after: Timestamp) -> Option<Timestamp> {
        let after = MakeTimestamp::from_millisecond(after.as_millisecond()).ok()?;
        let next = self.crontab.find_next(after).ok()?;
        Timestamp::from_second(next.timestamp().as_second()).ok()
    }

    /// As people there write it.
    pub(crate) fn local(&self, moment: Timestamp) -> String {
        moment.to_zoned_datetime(self.zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
    }

    /// The moments after `seen` and until `now` at which something is to be begun, as far as those that were missed are made up for.
    pub(crate) fn due(&self, seen: Timestamp, now: Timestamp) -> Vec<Timestamp> {
        let mut moments = VecDeque::new();
        let mut last = seen.max(now.checked_sub(LONGEST_AGO).unwrap_or(seen));
        while let Some(next) = self.next(last).filter(|next| *next <= now) {
            if moments.len() == MAX_MISSED {
                moments.pop_front();
            }
            moments.push_back(next);
            last = next;
        }
        let missed = moments.partition_point(|moment| now.as_second() - moment.as_second() > ON_TIME);
        let left_out = match self.missed {
            Missed::All => 0,
            // The last of all: that may be one that is on time.
            Missed::Once => missed.min(moments.len().saturating_sub(1)),
            Missed::Skip => missed,
        };
        moments.drain(..left_out);
        moments.into()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "what cannot be parsed fails the test")]
mod tests {
    use super::*;

    fn berlin() -> TimeZone {
        TimeZone::get("Europe/Berlin").unwrap()
    }

    fn schedule(text: &str, missed: Missed) -> Schedule {
        Schedule::parse(text, &berlin(), missed).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_time_of_day_stays_when_the_clocks_change() {
        let daily = schedule("0 7 * * *", Missed::All);
        let moments = daily.due(at("2026-03-27T12:00:00Z"), at("2026-03-30T12:00:00Z"));
        assert_eq!(
            moments,
            [at("2026-03-28T06:00:00Z"), at("2026-03-29T05:00:00Z"), at("2026-03-30T05:00:00Z")]
        );
        assert_eq!(daily.local(moments[1]), "2026-03-29T07:00:00+02:00");
    }

    #[test]
    fn a_time_that_is_not_there_or_there_twice_is_begun_once() {
        let night = schedule("30 2 * * *", Missed::All);
        let spring = night.due(at("2026-03-28T12:00:00Z"), at("2026-03-29T12:00:00Z"));
        assert_eq!(spring, [at("2026-03-29T01:30:00Z")]);
        let autumn = night.due(at("2026-10-24T12:00:00Z"), at("2026-10-25T12:00:00Z"));
        assert_eq!(autumn, [at("2026-10-25T00:30:00Z")]);
        // What goes on every half hour goes on.
        let half = schedule("*/30 * * * *", Missed::All);
        assert_eq!(half.due(at("2026-03-29T00:00:00Z"), at("2026-03-29T03:00:00Z")).len(), 6);
        assert_eq!(half.due(at("2026-10-25T00:00:00Z"), at("2026-10-25T03:00:00Z")).len(), 6);
        let hourly = schedule("0 * * * *", Missed::All);
        for zone in ["Europe/Berlin", "Australia/Lord_Howe", "America/New_York"] {
            let hourly = Schedule { zone: TimeZone::get(zone).unwrap(), ..hourly.clone() };
            let year = hourly.due(at("2026-12-20T00:30:00Z"), at("2027-01-20T00:30:00Z"));
            assert_eq!(year.len(), 31 * 24, "{zone}");
            assert!(
                hourly.due(at("2026-03-20T00:10:00Z"), at("2026-04-20T00:10:00Z")).len().abs_diff(31 * 24)
                    <= 1,
                "{zone}"
            );
        }
        let both = schedule("0,30 1-3 * * *", Missed::All);
        assert_eq!(both.due(at("2026-03-28T12:00:00Z"), at("2026-03-29T12:00:00Z")).len(), 4);
        assert_eq!(both.due(at("2026-10-24T12:00:00Z"), at("2026-10-25T12:00:00Z")).len(), 6);
    }

    #[test]
    fn what_was_missed_is_made_up_for_as_the_settings_say() {
        let (seen, now) = (at("2026-11-25T00:00:00Z"), at("2026-11-29T00:00:00Z"));
        let of = |missed| schedule("0 7 * * *", missed).due(seen, now).len();
        assert_eq!([of(Missed::All), of(Missed::Once), of(Missed::Skip)], [4, 1, 0]);
        // One that is on time is not missed, and what was missed before it is made up for by it.
        let now = at("2026-11-28T06:00:20Z");
        let of = |missed| schedule("0 7 * * *", missed).due(seen, now);
        let today = [at("2026-11-28T06:00:00Z")];
        assert_eq!([of(Missed::Once), of(Missed::Skip)], [today.to_vec(), today.to_vec()]);
        let minutes = schedule("* * * * *", Missed::Once);
        assert_eq!(minutes.due(now - jiff::ToSpan::minutes(1), now).len(), 1);
        let last = schedule("0 7 * * *", Missed::Once).due(seen, now);
        assert_eq!(last, [at("2026-11-28T06:00:00Z")]);
        assert!(
            schedule("* * * * *", Missed::All)
                .due(at("2020-01-01T00:00:00Z"), at("2020-01-03T00:00:00Z"))
                .len()
                == MAX_MISSED
        );
        assert!(schedule("0 7 * * *", Missed::All).due(now, now).is_empty());
        assert!(Schedule::parse("0 7 1-7 JAN,JUL MON-FRI", &berlin(), Missed::Once).is_ok());
    }

    #[test]
    fn a_schedule_that_cannot_be_or_never_fires_is_refused_with_the_mend() {
        for (text, says) in [
            ("0 7 30 2 *", "never fires"),
            ("0 7 31 4,6,9,11 *", "never fires"),
            ("0 25 * * *", "0 25 * * *"),
            ("0 7 * *", "five parts"),
            ("every day", "five parts"),
            ("0 7 * * Someday", "Someday"),
            ("0 18 L * *", "\"L\" is not understood"),
            ("0 18 * * 5L", "\"5L\" is not understood"),
            ("0 18 15W * *", "\"15W\" is not understood"),
        ] {
            let said = Schedule::parse(text, &berlin(), Missed::Once).unwrap_err();
            assert!(said.contains(says) && said.contains("write minute, hour"), "{text}: {said}");
        }
    }
}
