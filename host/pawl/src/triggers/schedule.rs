//! Times of a calendar, as cron writes them, in a time zone.

use cronexpr::{Crontab, MakeTimestamp};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;

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
    /// Whether it names hours of the day: those are times on a clock, each of which is there once a day, also where the clocks
    /// change. What goes on every so many minutes goes on through that.
    named_hours: bool,
    missed: Missed,
}

/// More than clocks are ever set forward or back.
const SHIFT: i64 = 3 * 3_600;

impl Schedule {
    /// `minute hour day-of-month month day-of-week`; names and ranges as cron has them.
    ///
    /// # Errors
    /// Names what is wrong, and what to write.
    pub(crate) fn parse(text: &str, zone: &TimeZone, missed: Missed) -> Result<Schedule, String> {
        const MEND: &str =
            "write minute, hour, day of the month, month and day of the week, such as \"0 7 * * 1-5\"";
        let Some(name) = zone.iana_name() else {
            return Err("the machine's time zone has no name; set time-zone = \"Europe/Berlin\"".to_owned());
        };
        if text.split_whitespace().count() != 5 {
            return Err(format!("schedule = \"{text}\" has not five parts; {MEND}"));
        }
        let named_hours = text.split_whitespace().nth(1).is_some_and(|hours| !hours.contains('*'));
        // Times on a clock are looked for as if there were no zone, then each is found in the zone.
        let within = if named_hours { "UTC" } else { name };
        let crontab = cronexpr::parse_crontab(&format!("{text} {within}"))
            .map_err(|error| format!("schedule = \"{text}\": {error}; {MEND}"))?;
        let schedule = Schedule { text: text.to_owned(), zone: zone.clone(), crontab, named_hours, missed };
        if schedule.next(Timestamp::now()).is_none() {
            return Err(format!(
                "schedule = \"{text}\" never fires: no day of the next four years is such a day; {MEND}"
            ));
        }
        Ok(schedule)
    }

    /// The first moment after this one.
    pub(crate) fn next(&self, after: Timestamp) -> Option<Timestamp> {
        if !self.named_hours {
            return self.find(after);
        }
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

    fn find(&self, after: Timestamp) -> Option<Timestamp> {
        let after = MakeTimestamp::from_millisecond(after.as_millisecond()).ok()?;
        let next = self.crontab.find_next(after).ok()?;
        Timestamp::from_second(next.timestamp().as_second()).ok()
    }

    /// As people there write it.
    pub(crate) fn local(&self, moment: Timestamp) -> String {
        moment.to_zoned_datetime(self.zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
    }

    /// The moments after `seen` and until `now` at which something is to be begun; `late` where nobody was there at them.
    pub(crate) fn due(&self, seen: Timestamp, now: Timestamp, late: bool) -> Vec<Timestamp> {
        let mut moments = std::collections::VecDeque::new();
        let mut last = seen;
        while let Some(next) = self.next(last).filter(|next| *next <= now) {
            if moments.len() == MAX_MISSED {
                moments.pop_front();
            }
            moments.push_back(next);
            last = next;
        }
        match self.missed {
            _ if !late => {}
            Missed::All => {}
            Missed::Once => drop(moments.drain(..moments.len().saturating_sub(1))),
            Missed::Skip => moments.clear(),
        }
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
        let moments = daily.due(at("2026-03-27T12:00:00Z"), at("2026-03-30T12:00:00Z"), true);
        assert_eq!(
            moments,
            [at("2026-03-28T06:00:00Z"), at("2026-03-29T05:00:00Z"), at("2026-03-30T05:00:00Z")]
        );
        assert_eq!(daily.local(moments[1]), "2026-03-29T07:00:00+02:00");
    }

    #[test]
    fn a_time_that_is_not_there_or_there_twice_is_begun_once() {
        let night = schedule("30 2 * * *", Missed::All);
        let spring = night.due(at("2026-03-28T12:00:00Z"), at("2026-03-29T12:00:00Z"), true);
        assert_eq!(spring, [at("2026-03-29T01:30:00Z")]);
        let autumn = night.due(at("2026-10-24T12:00:00Z"), at("2026-10-25T12:00:00Z"), true);
        assert_eq!(autumn, [at("2026-10-25T00:30:00Z")]);
        // What goes on every half hour goes on.
        let half = schedule("*/30 * * * *", Missed::All);
        assert_eq!(half.due(at("2026-03-29T00:00:00Z"), at("2026-03-29T03:00:00Z"), true).len(), 6);
        assert_eq!(half.due(at("2026-10-25T00:00:00Z"), at("2026-10-25T03:00:00Z"), true).len(), 6);
        let both = schedule("0,30 1-3 * * *", Missed::All);
        assert_eq!(both.due(at("2026-03-28T12:00:00Z"), at("2026-03-29T12:00:00Z"), true).len(), 4);
        assert_eq!(both.due(at("2026-10-24T12:00:00Z"), at("2026-10-25T12:00:00Z"), true).len(), 6);
    }

    #[test]
    fn what_was_missed_is_made_up_for_as_the_settings_say() {
        let (seen, now) = (at("2026-11-25T00:00:00Z"), at("2026-11-29T00:00:00Z"));
        let of = |missed, late| schedule("0 7 * * *", missed).due(seen, now, late).len();
        assert_eq!([of(Missed::All, true), of(Missed::Once, true), of(Missed::Skip, true)], [4, 1, 0]);
        assert_eq!([of(Missed::Once, false), of(Missed::Skip, false)], [4, 4]);
        let last = schedule("0 7 * * *", Missed::Once).due(seen, now, true);
        assert_eq!(last, [at("2026-11-28T06:00:00Z")]);
        assert!(
            schedule("* * * * *", Missed::All)
                .due(at("2020-01-01T00:00:00Z"), at("2020-01-03T00:00:00Z"), true)
                .len()
                == MAX_MISSED
        );
        assert!(schedule("0 7 * * *", Missed::All).due(now, now, true).is_empty());
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
        ] {
            let said = Schedule::parse(text, &berlin(), Missed::Once).unwrap_err();
            assert!(said.contains(says) && said.contains("write minute, hour"), "{text}: {said}");
        }
    }
}
