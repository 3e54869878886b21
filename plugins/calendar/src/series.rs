//! An event with all its recurrences: what a VEVENT and its overrides (RFC 5545, sections 3.6.1 and 3.8.4.4) mean.
//!
//! Invariant: the components are the truth and keep what is not understood; the other fields are read from them. The
//! start is always the first of the recurrences, whether or not the rule gives it (section 3.8.5.3). What the fuel does
//! not reach is told, never passed over in silence. Changes are in [`crate::change`].

use std::collections::BTreeMap;

use crate::expand::Expansion;
use crate::ics::{Component, Property};
use crate::moment::{self, Length, Moment};
use crate::rule::Rule;
use crate::time::{DAY, Time};
use crate::zone::Zone;

/// The most occurrences of one event that are looked at in one call.
pub const MAX_OCCURRENCES: usize = 5_000;

/// One time that an event happens, on the user's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occurrence<'a> {
    component: &'a Component,
    /// When it begins.
    pub start: Time,
    /// When it is over.
    pub end: Time,
    /// Whether it takes time (TRANSP).
    pub busy: bool,
    /// Its original start on the event's clock, by which it is overridden or left out.
    pub recurrence: Time,
}

impl Occurrence<'_> {
    /// One line.
    #[must_use]
    pub fn title(&self) -> String {
        title(self.component)
    }

    /// Names or addresses.
    #[must_use]
    pub fn attendees(&self) -> Vec<String> {
        let attendee = |property: &Property| {
            let name = property.parameter("CN").unwrap_or(&property.value);
            name.strip_prefix("mailto:").unwrap_or(name).to_owned()
        };
        self.component.all("ATTENDEE").map(attendee).collect()
    }

    /// Whether one of the attendees has this name or address, whatever its case.
    #[must_use]
    pub fn attended_by(&self, who: &str) -> bool {
        let is =
            |text: &str| text.strip_prefix("mailto:").unwrap_or(text).to_lowercase() == who.to_lowercase();
        self.component.all("ATTENDEE").any(|p| p.parameter("CN").is_some_and(is) || is(&p.value))
    }

    /// How many minutes before the start the first reminder is due.
    #[must_use]
    pub fn reminder(&self) -> Option<i64> {
        let alarms = self.component.parts.iter().filter(|part| part.name == "VALARM");
        let before = |alarm: &Component| {
            let trigger =
                alarm.get("TRIGGER").filter(|trigger| trigger.parameter("RELATED") != Some("END"))?;
            Length::read(&trigger.value).map(|length| -length.total() / 60)
        };
        alarms.filter_map(before).max()
    }

    /// Whether it is of whole days.
    #[must_use]
    pub fn all_day(&self) -> bool {
        Moment::of(self.component, "DTSTART").is_some_and(|start| start.all_day)
    }
}

/// The SUMMARY on one line.
#[must_use]
pub fn title(component: &Component) -> String {
    let title = component.get("SUMMARY").map(Property::text).unwrap_or_default();
    let line = title.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() { "(no title)".into() } else { line }
}

/// What was found of one event.
#[derive(Debug)]
pub struct Found<'a> {
    /// By start.
    pub occurrences: Vec<Occurrence<'a>>,
    /// From when on, on the user's clock, occurrences may be missing; none where all are there.
    pub incomplete: Option<Time>,
    /// The steps that it took.
    pub spent: u32,
}

/// An event and its overrides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// The VEVENT first (where there is one beside its overrides), then those with a RECURRENCE-ID, then VTIMEZONEs that
    /// are known to this event only.
    pub components: Vec<Component>,
    /// The first start.
    pub start: Moment,
    /// RRULE.
    pub rule: Option<Rule>,
    /// Starts beside the rule's, on the event's clock, with the length of those that have their own; ascending.
    pub added: Vec<(Time, Option<Length>)>,
    /// Starts that are left out, on the event's clock; ascending.
    pub left_out: Vec<Time>,
}

/// What makes an occurrence of a component, worked out once.
struct Template<'a> {
    component: &'a Component,
    start: Moment,
    length: Length,
    busy: bool,
    cancelled: bool,
}

impl<'a> Template<'a> {
    fn new(component: &'a Component, series: &Series) -> Template<'a> {
        let is = |name, value| component.get(name).is_some_and(|p| p.value.eq_ignore_ascii_case(value));
        let start = Moment::of(component, "DTSTART").unwrap_or_else(|| series.start.clone());
        let length = moment::length(component, &start);
        let (busy, cancelled) = (!is("TRANSP", "TRANSPARENT"), is("STATUS", "CANCELLED"));
        Template { component, start, length, busy, cancelled }
    }

    /// The occurrence `shift` seconds after the template's own start.
    fn at(&self, shift: i64, length: Option<Length>, recurrence: Time, user: &Zone) -> Occurrence<'a> {
        let (time, length) = (self.start.time.plus(shift), length.unwrap_or(self.length));
        let (start, end) = match &self.start.zone {
            Zone::Floating => (time, time.plus(length.total())),
            zone => {
                let days_after = zone.instant(time.plus(length.days * DAY));
                (user.local(zone.instant(time)), user.local(days_after + length.seconds))
            }
        };
        Occurrence { component: self.component, start, end, busy: self.busy, recurrence }
    }
}

impl Series {
    /// Reads a VEVENT and its overrides.
    ///
    /// # Errors
    /// What is missing or wrong, with its line.
    pub fn read(components: Vec<Component>) -> Result<Series, String> {
        let main = components.first().ok_or("no VEVENT")?;
        let property = main
            .get("DTSTART")
            .ok_or_else(|| format!("line {}: DTSTART is missing; every event needs one", main.line.0))?;
        let wrong = |property: &Property, what: &str| {
            let value: String = property.value.chars().take(60).collect();
            format!("line {}: {}:{value} {what}", property.line.0, property.name)
        };
        let start = Moment::read(property, &property.value).ok_or_else(|| {
            wrong(property, "is no time of 1900 to 2999; write YYYYMMDD, YYYYMMDDTHHMMSS or with a Z")
        })?;
        // What says when a series happens is not an override's to say.
        let alone = Moment::of(main, "RECURRENCE-ID").is_some();
        let own = |name| values(main, name).filter(|_| !alone);
        let rule = main
            .get("RRULE")
            .filter(|_| !alone)
            .map(|p| Rule::parse(&p.value).map_err(|reason| wrong(p, &format!("is no rule: {reason}"))))
            .transpose()?;
        let mut added = Vec::new();
        for (property, value) in own("RDATE") {
            if let Some(moment) = Moment::read(property, value) {
                added.push((moment.on(&start.zone), moment::period(property, value)));
            }
        }
        added.sort_unstable();
        let left_out = own("EXDATE").filter_map(|(property, value)| Moment::read(property, value));
        let mut left_out: Vec<Time> = left_out.map(|moment| moment.on(&start.zone)).collect();
        left_out.sort_unstable();
        Ok(Series { start, rule, added, left_out, components })
    }

    /// Whether it happens more than once.
    #[must_use]
    pub fn recurs(&self) -> bool {
        self.rule.is_some() || !self.added.is_empty() || self.headless() && self.overrides().count() > 1
    }

    /// Whether there are only overrides, as where somebody is invited to single times of a series.
    #[must_use]
    pub fn headless(&self) -> bool {
        self.components.first().is_some_and(|first| Moment::of(first, "RECURRENCE-ID").is_some())
    }

    /// The title of the event itself.
    #[must_use]
    pub fn title(&self) -> String {
        self.components.first().map(title).unwrap_or_default()
    }

    /// The first of its recurrences, on the event's clock.
    #[must_use]
    pub fn first(&self) -> Time {
        let of = |component| Some(Moment::of(component, "RECURRENCE-ID")?.on(&self.start.zone));
        let first = if self.headless() { self.overrides().filter_map(of).min() } else { None };
        first.unwrap_or(self.start.time)
    }

    /// The VEVENTs that stand for single recurrences: all but the event itself, where that is there.
    pub fn overrides(&self) -> impl Iterator<Item = &Component> {
        let events = self.components.iter().filter(|component| component.name == "VEVENT");
        events.skip(usize::from(!self.headless()))
    }

    /// The rule as it counts, and what is left of the fuel: a start that the rule does not give is the first of its
    /// COUNT.
    #[must_use]
    pub fn counted_rule(&self, fuel: u32) -> Option<(Rule, u32)> {
        let mut rule = self.rule.clone()?;
        if rule.count.is_none() {
            return Some((rule, fuel));
        }
        let (start, zone) = (self.start.time, &self.start.zone);
        // At the start only: whether the rule gives it.
        let mut first = Expansion::new(&rule, start, zone, start, fuel);
        let given = first.next() == Some(start);
        let left = first.fuel();
        if !given {
            rule.count = rule.count.map(|count| count - 1);
        }
        Some((rule, left))
    }

    /// What happens between two times of the user's clock, by start, for at most `fuel` steps.
    #[must_use]
    pub fn between(&self, from: Time, to: Time, user: &Zone, fuel: u32) -> Found<'_> {
        let nothing = Found { occurrences: Vec::new(), incomplete: None, spent: 1 };
        let Some(main) = self.components.first() else { return nothing };
        let main = Template::new(main, self);
        if !self.recurs() && self.overrides().next().is_none() {
            let one = (!main.cancelled).then(|| main.at(0, None, self.start.time, user));
            let occurrences = one.into_iter().filter(|o| touches(o, from, to)).collect();
            return Found { occurrences, ..nothing };
        }
        let mut single: BTreeMap<Time, Template> = BTreeMap::new();
        let mut following: BTreeMap<Time, Template> = BTreeMap::new();
        for component in self.overrides() {
            let Some(property) = component.get("RECURRENCE-ID") else { continue };
            let Some(moment) = Moment::read(property, &property.value) else { continue };
            let ranged = property.parameter("RANGE").is_some_and(|r| r.eq_ignore_ascii_case("THISANDFUTURE"));
            let which = if ranged { &mut following } else { &mut single };
            which.insert(moment.on(&self.start.zone), Template::new(component, self));
        }
        let templates = || single.values().chain(following.values()).chain([&main]);
        let added = self.added.iter().filter_map(|(_, length)| *length);
        let lengths = templates().map(|template| template.length).chain(added);
        let longest = lengths.map(Length::total).max().unwrap_or(0);
        // How far "this and future" moves what it overrides; a single override is looked up by its own time.
        let moved =
            following.iter().map(|(at, template)| template.start.time.since(*at).abs()).max().unwrap_or(0);
        // On the event's clock; it and the user's can change within these hours, also while one event goes on, and an
        // override has a zone of its own.
        let slack = match (&self.start.zone, following.is_empty()) {
            (_, false) => DAY,
            (Zone::Floating, _) => 0,
            (Zone::Utc, _) if !matches!(user, Zone::Named(_)) => 0,
            _ => 3 * 3600,
        };
        let on_its_clock = |time| match &self.start.zone {
            Zone::Floating => time,
            zone => zone.local(user.instant(time)),
        };
        let near = on_its_clock(from).plus(-longest - moved);
        let (earliest, horizon) = (near.plus(-slack), on_its_clock(to).plus(moved + slack));
        let mut starts: BTreeMap<Time, Option<Length>> = BTreeMap::new();
        if !self.headless() {
            starts.insert(self.start.time, None);
        }
        let mut incomplete = None;
        let lists = self.added.len() + self.left_out.len() + 8 * self.components.len();
        let mut left = fuel.saturating_sub(u32::try_from(lists / 8).unwrap_or(u32::MAX));
        if let Some((rule, fuel)) = self.counted_rule(left) {
            let (start, zone) = (self.start.time, &self.start.zone);
            let mut times = Expansion::new(&rule, start, zone, horizon, fuel).not_before(earliest);
            let mut count = 0;
            for time in times.by_ref().skip_while(|time| *time < earliest) {
                if count == MAX_OCCURRENCES {
                    incomplete = Some(time);
                    break;
                }
                starts.insert(time, None);
                count += usize::from(time >= near);
            }
            incomplete = incomplete.or(times.starved());
            left = times.fuel();
        }
        // A period among the added has its own length, also where the rule gives the same start.
        let wanted = self.added.iter().filter(|(time, _)| (earliest..=horizon).contains(time));
        for (time, length) in wanted {
            if starts.len() > 2 * MAX_OCCURRENCES {
                incomplete = Some(incomplete.map_or(*time, |at| at.min(*time)));
                break;
            }
            let known = starts.entry(*time).or_default();
            *known = (*known).max(*length);
        }
        for time in single.keys().chain(following.keys()) {
            starts.entry(*time).or_default();
        }
        let mut occurrences: Vec<Occurrence> = starts
            .into_iter()
            .filter(|(time, _)| self.left_out.binary_search(time).is_err())
            .filter_map(|(time, length)| {
                let (template, at, length) = match single.get(&time) {
                    // It says its own length, also where a period was added.
                    Some(template) => (template, time, None),
                    None => match following.range(..=time).next_back() {
                        Some((at, template)) => (template, *at, length),
                        None => (&main, main.start.time, length),
                    },
                };
                (!template.cancelled).then(|| template.at(time.since(at), length, time, user))
            })
            .filter(|occurrence| touches(occurrence, from, to))
            .collect();
        occurrences.sort_by_key(|occurrence| occurrence.start);
        // A gap can put two recurrences onto one moment.
        occurrences
            .dedup_by(|a, b| a.start == b.start && a.end == b.end && std::ptr::eq(a.component, b.component));
        let seen = |time| Moment { time, ..self.start.clone() }.seen(user);
        let incomplete = incomplete.map(seen).filter(|time| *time < to);
        Found { occurrences, incomplete, spent: (fuel - left).max(1) }
    }
}

fn touches(occurrence: &Occurrence, from: Time, to: Time) -> bool {
    occurrence.start < to && (occurrence.end > from || occurrence.start >= from)
}

/// The values of all properties of a name, each with its property.
pub fn values<'a>(component: &'a Component, name: &'a str) -> impl Iterator<Item = (&'a Property, &'a str)> {
    component.all(name).flat_map(|property| property.value.split(',').map(move |value| (property, value)))
}

#[cfg(test)]
#[path = "series_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "rfc_tests.rs"]
mod rfc_tests;
