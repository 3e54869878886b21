//! An event with all its recurrences: what a VEVENT and its overrides (RFC 5545, sections 3.6.1 and 3.8.4.4) mean.
//!
//! Invariant: the components are the truth and keep what is not understood; the other fields are read from them. The
//! start is always the first of the recurrences, whether or not the rule gives it (section 3.8.5.3).

use crate::expand::Expansion;
use crate::ics::{Component, Property};
use crate::rule::{Rule, Until};
use crate::time::{DAY, Time};
use crate::zone::Zone;

/// The most occurrences of one event that are looked at in one call.
const MAX_OCCURRENCES: usize = 5_000;

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
    /// The value of DTSTART and its like; a zone that is not known floats.
    #[must_use]
    pub fn read(property: &Property, value: &str) -> Option<Moment> {
        let value = value.trim();
        if let Some(day) = crate::time::Date::parse_basic(value) {
            return Some(Moment { time: day.at(0), zone: Zone::Floating, all_day: true });
        }
        // Of a PERIOD, the start.
        let value = value.split('/').next().unwrap_or(value);
        let (value, zone) = match (value.strip_suffix('Z'), property.parameter("TZID")) {
            (Some(value), _) => (value, Zone::Utc),
            (None, Some(name)) => (value, Zone::named(name).unwrap_or(Zone::Floating)),
            (None, None) => (value, Zone::Floating),
        };
        Some(Moment { time: Time::parse_basic(value)?, zone, all_day: false })
    }

    /// Puts it into a component.
    pub fn write(&self, component: &mut Component, name: &str) {
        match (&self.zone, self.all_day) {
            (_, true) => component.add(name, ";VALUE=DATE", &self.time.date().basic()),
            (Zone::Floating, _) => component.add(name, "", &self.time.basic()),
            (Zone::Utc, _) => component.add(name, "", &format!("{}Z", self.time.basic())),
            (Zone::Named(zone), _) => {
                let zone = zone.iana_name().unwrap_or("UTC");
                component.add(name, &format!(";TZID={zone}"), &self.time.basic());
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

    /// The same moment on the clock of another zone.
    fn on(&self, zone: &Zone) -> Time {
        if matches!(self.zone, Zone::Floating) || matches!(zone, Zone::Floating) || self.zone == *zone {
            return self.time;
        }
        zone.local(self.zone.instant(self.time))
    }
}

/// One time that an event happens, on the user's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occurrence {
    /// One line.
    pub title: String,
    /// When it begins.
    pub start: Time,
    /// When it is over.
    pub end: Time,
    /// Names or addresses.
    pub attendees: Vec<String>,
    /// Whether it takes time (TRANSP).
    pub busy: bool,
    /// Its original start on the event's clock, by which it is overridden or left out.
    pub recurrence: Time,
}

/// An event and its overrides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// The VEVENT first, then those with a RECURRENCE-ID.
    pub components: Vec<Component>,
    /// The first start.
    pub start: Moment,
    /// RRULE.
    pub rule: Option<Rule>,
    /// Starts beside the rule's, on the event's clock.
    pub added: Vec<Time>,
    /// Starts that are left out, on the event's clock.
    pub left_out: Vec<Time>,
}

impl Series {
    /// Reads a VEVENT and its overrides.
    ///
    /// # Errors
    /// What is missing or wrong.
    pub fn read(components: Vec<Component>) -> Result<Series, String> {
        let main = components.first().ok_or("no VEVENT")?;
        let property = main.get("DTSTART").ok_or("DTSTART is missing")?;
        let start = Moment::read(property, &property.value)
            .ok_or_else(|| format!("DTSTART:{} is no time of 1900 to 2999", property.value))?;
        let rule = main.get("RRULE").map(|property| Rule::parse(&property.value)).transpose()?;
        let times = |name: &str| -> Vec<Time> {
            main.all(name)
                .flat_map(|property| property.value.split(',').map(move |value| (property, value)))
                .filter_map(|(property, value)| Moment::read(property, value))
                .map(|moment| moment.on(&start.zone))
                .collect()
        };
        let (added, left_out) = (times("RDATE"), times("EXDATE"));
        Ok(Series { start, rule, added, left_out, components })
    }

    /// Whether it happens more than once.
    #[must_use]
    pub fn recurs(&self) -> bool {
        self.rule.is_some() || !self.added.is_empty()
    }

    /// What happens between two times of the user's clock, by start.
    #[must_use]
    pub fn between(&self, from: Time, to: Time, user: &Zone) -> Vec<Occurrence> {
        let Some(main) = self.components.first() else {
            return Vec::new();
        };
        let longest =
            self.components.iter().map(|component| length(component, &self.start)).max().unwrap_or(0);
        // An override may have been moved a long way; what it overrides is looked up below, by its own time.
        let horizon = to.plus(2 * DAY);
        let earliest = from.plus(-longest - 2 * DAY);
        let mut starts: Vec<Time> = vec![self.start.time];
        starts.extend(self.added.iter().copied());
        if let Some(rule) = &self.rule {
            let mut rule = rule.clone();
            // A start that the rule does not give counts as its first.
            let mut first = Expansion::new(&rule, self.start.time, &self.start.zone, self.start.time);
            if first.next() != Some(self.start.time) {
                rule.count = rule.count.map(|count| count - 1);
            }
            let times =
                Expansion::new(&rule, self.start.time, &self.start.zone, horizon).not_before(earliest);
            starts.extend(times.filter(|time| *time >= earliest).take(MAX_OCCURRENCES));
        }
        let overrides: Vec<(Time, bool, &Component)> = self
            .components
            .iter()
            .skip(1)
            .filter_map(|component| {
                let property = component.get("RECURRENCE-ID")?;
                let time = Moment::read(property, &property.value)?.on(&self.start.zone);
                Some((time, property.parameter("RANGE") == Some("THISANDFUTURE"), component))
            })
            .collect();
        starts.extend(overrides.iter().filter(|(_, range, _)| !range).map(|(time, ..)| *time));
        starts.sort_unstable();
        starts.dedup();
        starts.retain(|time| !self.left_out.contains(time));
        let mut found: Vec<Occurrence> = starts
            .into_iter()
            .filter_map(|time| {
                let single = overrides.iter().find(|(at, range, _)| !range && *at == time);
                let following =
                    || overrides.iter().filter(|(at, range, _)| *range && *at <= time).max_by_key(|o| o.0);
                let plain = || occurrence(main, &Moment { time, ..self.start.clone() }, time, user);
                match single.or_else(following) {
                    None => plain(),
                    Some((at, _, component)) => {
                        let moment = component.get("DTSTART").and_then(|p| Moment::read(p, &p.value));
                        let Some(mut moment) = moment else { return plain() };
                        moment.time = moment.time.plus(time.since(*at));
                        occurrence(component, &moment, time, user)
                    }
                }
            })
            .filter(|occurrence| occurrence.start < to && (occurrence.end > from || occurrence.start >= from))
            .collect();
        found.sort_by_key(|occurrence| occurrence.start);
        // A gap can put two recurrences onto one moment.
        found.dedup_by(|a, b| a.start == b.start && a.end == b.end && a.title == b.title);
        found
    }

    /// Leaves one recurrence out, or it and all that follow.
    pub fn leave_out(&mut self, time: Time, following: bool) {
        let moment = Moment { time, ..self.start.clone() };
        let Some(main) = self.components.first_mut() else { return };
        if !following {
            moment.write(main, "EXDATE");
            self.left_out.push(time);
            return;
        }
        if let Some(rule) = &mut self.rule {
            rule.count = None;
            rule.until = Some(match (&self.start.zone, self.start.all_day) {
                (_, true) => Until::Day(time.date().plus(-1)),
                (Zone::Floating, _) => Until::Local(time.plus(-1)),
                (zone, _) => Until::Utc(Time::from_seconds(zone.instant(time) - 1)),
            });
            main.remove("RRULE");
            main.add("RRULE", "", &rule.to_string());
        }
        self.added.retain(|added| *added < time);
        main.remove("RDATE");
        for added in &self.added {
            Moment { time: *added, ..self.start.clone() }.write(main, "RDATE");
        }
        let zone = self.start.zone.clone();
        self.components.retain(|component| {
            let of = component.get("RECURRENCE-ID").and_then(|p| Moment::read(p, &p.value));
            of.is_none_or(|of| of.on(&zone) < time)
        });
    }

    /// Moves an event that does not recur to another start on its clock.
    pub fn move_whole(&mut self, to: Time) {
        let start = Moment { time: to, ..self.start.clone() };
        let Some(main) = self.components.first_mut() else { return };
        let seconds = length(main, &self.start);
        for name in ["DTSTART", "DTEND", "DURATION"] {
            main.remove(name);
        }
        start.write(main, "DTSTART");
        main.add("DURATION", "", &duration(seconds));
        self.start = start;
    }

    /// Moves one recurrence to another start on the event's clock.
    pub fn move_one(&mut self, recurrence: Time, to: Time) {
        let Some(main) = self.components.first() else { return };
        let seconds = length(main, &self.start);
        let zone = self.start.zone.clone();
        let is_it = |component: &Component| {
            let property = component.get("RECURRENCE-ID");
            property.and_then(|p| Moment::read(p, &p.value)).is_some_and(|at| at.on(&zone) == recurrence)
        };
        let mut moved =
            self.components.iter().skip(1).find(|c| is_it(c)).cloned().unwrap_or_else(|| main.clone());
        self.components.retain(|component| !is_it(component));
        for name in ["RRULE", "RDATE", "EXDATE", "RECURRENCE-ID", "DTSTART", "DTEND", "DURATION"] {
            moved.remove(name);
        }
        Moment { time: recurrence, ..self.start.clone() }.write(&mut moved, "RECURRENCE-ID");
        Moment { time: to, ..self.start.clone() }.write(&mut moved, "DTSTART");
        moved.add("DURATION", "", &duration(seconds));
        self.components.push(moved);
    }
}

/// The seconds that a component takes, as DTEND or DURATION say; a day without either is a day long.
fn length(component: &Component, start: &Moment) -> i64 {
    let own = component.get("DTSTART").and_then(|p| Moment::read(p, &p.value));
    let start = own.as_ref().unwrap_or(start);
    if let Some(end) = component.get("DTEND").and_then(|p| Moment::read(p, &p.value)) {
        let seconds = match (&start.zone, &end.zone) {
            (Zone::Floating, _) | (_, Zone::Floating) => end.time.since(start.time),
            (from, to) => to.instant(end.time) - from.instant(start.time),
        };
        return seconds.max(0);
    }
    let given = component.get("DURATION").and_then(|property| seconds_of(&property.value));
    given.unwrap_or(if start.all_day { DAY } else { 0 }).max(0)
}

/// A DURATION: RFC 5545, section 3.3.6.
fn seconds_of(text: &str) -> Option<i64> {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |text| (-1, text));
    let (mut seconds, mut number) = (0_i64, 0_i64);
    for c in text.strip_prefix('+').unwrap_or(text).strip_prefix('P')?.chars() {
        let unit = match c {
            '0'..='9' => {
                number = (number * 10 + i64::from(c.to_digit(10)?)).min(1_000_000_000);
                continue;
            }
            'T' => continue,
            'W' => 7 * DAY,
            'D' => DAY,
            'H' => 3600,
            'M' => 60,
            'S' => 1,
            _ => return None,
        };
        seconds += number * unit;
        number = 0;
    }
    Some(sign * seconds.min(1_000_000_000))
}

/// Seconds as a DURATION.
#[must_use]
pub fn duration(seconds: i64) -> String {
    if seconds != 0 && seconds % DAY == 0 { format!("P{}D", seconds / DAY) } else { format!("PT{seconds}S") }
}

fn occurrence(component: &Component, moment: &Moment, recurrence: Time, user: &Zone) -> Option<Occurrence> {
    if component.get("STATUS").is_some_and(|status| status.value.eq_ignore_ascii_case("CANCELLED")) {
        return None;
    }
    let (start, seconds) = (moment.seen(user), length(component, moment));
    let end = match moment.zone {
        Zone::Floating => start.plus(seconds),
        _ => user.local(moment.zone.instant(moment.time) + seconds),
    };
    let title = component.get("SUMMARY").map(Property::text).unwrap_or_default();
    let attendee = |property: &Property| {
        let name = property.parameter("CN").unwrap_or(&property.value);
        name.strip_prefix("mailto:").unwrap_or(name).to_owned()
    };
    Some(Occurrence {
        title: if title.trim().is_empty() { "(no title)".into() } else { title.replace('\n', " ") },
        start,
        end,
        attendees: component.all("ATTENDEE").map(attendee).collect(),
        busy: !component.get("TRANSP").is_some_and(|transp| transp.value.eq_ignore_ascii_case("TRANSPARENT")),
        recurrence,
    })
}

#[cfg(test)]
#[path = "series_tests.rs"]
mod tests;
