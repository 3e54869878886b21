//! .ics files in and out: RFC 5545, section 3.4.
//!
//! Invariant: what an event holds that nothing here understands (alarms, categories, X- properties, a zone of its own)
//! goes out as it came in. An import replaces the events of the same UID and owner and leaves all others; what cannot be
//! read is named with its line and left out, the rest is kept, all of it or nothing.

use std::collections::{BTreeMap, HashMap};

use crate::ics::{self, Component, Property};
use crate::keep::{self, Kept, Store};
use crate::moment::{self, Length, Moment};
use crate::names;
use crate::series::{Series, values};
use crate::zone::{self, Zone};
use crate::{Error, Imported, args};

/// The most events that one file may bring: the store takes 2 to 4 ms for each on a busy disk, and a call 5 s.
const MAX_IMPORTED: usize = 500;
/// The most reasons that one answer holds.
const MAX_SKIPPED: usize = 20;
/// The longest text of one event, in bytes; the store takes no longer one.
const MAX_EVENT: usize = 512 * 1024;

/// The longest file that is given out, in bytes as JSON counts them: the host cuts a call off at 1 MiB.
const MAX_EXPORT: usize = 1_000_000;

/// What is said of a file.
#[derive(Default)]
struct Notes(Vec<String>, usize);

impl Notes {
    fn add(&mut self, note: String) {
        if self.0.len() < MAX_SKIPPED {
            self.0.push(note);
        } else {
            self.1 += 1;
        }
    }

    fn told(mut self) -> Vec<String> {
        if self.1 > 0 {
            self.0.push(format!("and {} more", self.1));
        }
        self.0
    }
}

/// The components of a file that belong together.
struct Group {
    uid: String,
    components: Vec<Component>,
}

/// The file, by what is done with it.
#[derive(Default)]
struct File {
    groups: Vec<Group>,
    free_busy: Vec<Component>,
    zones: Vec<Component>,
}

impl File {
    fn read(text: &str, notes: &mut Notes) -> Result<File, Error> {
        // No value may hold them (section 3.1), and other calendars refuse the file.
        let control = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r');
        let clean: String;
        let text = match text.split(control).next() {
            Some(before) if text.len() <= ics::MAX_TEXT && before.len() < text.len() => {
                let line = before.matches('\n').count() + 1;
                notes.add(format!("line {line}: control characters are left out, from here on"));
                clean = text.replace(control, "");
                &clean
            }
            _ => text,
        };
        let top = ics::parse(text).map_err(Error::InvalidIcs)?;
        let (mut file, mut known) = (File::default(), HashMap::<String, usize>::new());
        let mut other: BTreeMap<String, usize> = BTreeMap::new();
        let calendars = top.into_iter().filter(|component| component.name == "VCALENDAR");
        for component in calendars.flat_map(|calendar| calendar.parts) {
            match component.name.as_str() {
                "VEVENT" => {}
                "VFREEBUSY" => {
                    file.free_busy.push(component);
                    continue;
                }
                "VTIMEZONE" => {
                    file.zones.push(component);
                    continue;
                }
                name => {
                    *other.entry(name.chars().take(40).collect::<String>()).or_default() += 1;
                    continue;
                }
            }
            let uid = component.get("UID").map(|uid| uid.value.trim().to_owned()).unwrap_or_default();
            let place = known.get(&uid).copied().filter(|_| !uid.is_empty());
            match place.and_then(|place| file.groups.get_mut(place)) {
                Some(group) => group.put(component, notes),
                None => {
                    known.insert(uid.clone(), file.groups.len());
                    file.groups.push(Group { uid, components: vec![component] });
                }
            }
        }
        for (name, count) in other {
            notes.add(format!("{count} {name}: only events and busy times are kept"));
        }
        Ok(file)
    }
}

impl Group {
    /// Puts a further component of the same UID to its place: the event itself stands before its overrides.
    fn put(&mut self, component: Component, notes: &mut Notes) {
        if component.get("RECURRENCE-ID").is_some() {
            self.components.push(component);
            return;
        }
        let has_main = self.components.first().is_some_and(|first| first.get("RECURRENCE-ID").is_none());
        let Some(first) = self.components.first_mut().filter(|_| has_main) else {
            self.components.insert(0, component);
            return;
        };
        let sequence = |c: &Component| c.get("SEQUENCE").and_then(|p| p.value.trim().parse::<u64>().ok());
        let (kept, left) = if sequence(&component) >= sequence(first) {
            (component.line.0, std::mem::replace(first, component))
        } else {
            (first.line.0, component)
        };
        notes.add(format!(
            "{}: the UID is there twice; the event of line {kept} is kept, that of line {} is left out",
            self.uid, left.line.0
        ));
    }
}

/// Keeps the events of a file, in a calendar or as the busy times of another person.
///
/// # Errors
/// `invalid-ics` where the text as a whole cannot be read, `unknown-calendar`, `invalid-attendees`; `storage`.
pub fn import(
    store: &mut impl Store,
    text: &str,
    calendar: Option<&str>,
    owner: Option<&str>,
) -> Result<Imported, Error> {
    let owner = args::owner(owner)?;
    let mut notes = Notes::default();
    let mut file = File::read(text, &mut notes)?;
    match &owner {
        Some(owner) => file.groups.extend(file.free_busy.iter().filter_map(|busy| busy_times(busy, owner))),
        None if !file.free_busy.is_empty() => {
            notes.add("VFREEBUSY is left out; give `owner`, the person whose busy times these are".into());
        }
        None => {}
    }
    if file.groups.is_empty() {
        return Err(Error::InvalidIcs(if notes.0.is_empty() {
            "no VEVENT in a VCALENDAR; give the text of an .ics file".into()
        } else {
            format!("no VEVENT in a VCALENDAR: {}", notes.told().join("; "))
        }));
    }
    if file.groups.len() > MAX_IMPORTED {
        let count = file.groups.len();
        return Err(Error::InvalidIcs(format!(
            "{count} events; {MAX_IMPORTED} at most: give them in several parts"
        )));
    }
    let before = keep::events(store)?;
    let named = calendar.map(|name| names::existing_or_new(&before, Some(name))).transpose()?;
    let places: HashMap<(Option<String>, String), &Kept> =
        before.iter().map(|event| ((event.owner(), uid_of(event)), event)).collect();
    let (mut new, mut changed, mut same) = (Vec::new(), Vec::new(), 0);
    for Group { uid, components } in file.groups {
        let name = if uid.is_empty() { "an event without UID" } else { &uid };
        let mut series = match Series::read(components).and_then(|series| fit(series, &file.zones)) {
            Ok(series) => series,
            Err(reason) => {
                notes.add(format!("{name}: {reason}"));
                continue;
            }
        };
        for doubt in doubts(&series) {
            notes.add(format!("{name}: {doubt}"));
        }
        let place = places.get(&(owner.clone(), uid.clone())).filter(|_| !uid.is_empty());
        if let Some(main) = series.components.first_mut() {
            let own = main.get(names::CALENDAR).map(Property::text).filter(|name| names::valid(name));
            let calendar = named.clone().or(own).or_else(|| place.map(|event| event.calendar()));
            names::mark(main, names::CALENDAR, calendar.as_deref().filter(|_| owner.is_none()));
            names::mark(main, names::OWNER, owner.as_deref());
        }
        match place {
            Some(event) if event.series == series => same += 1,
            Some(event) => changed.push(Kept { series, ..(*event).clone() }),
            None => new.push(series),
        }
    }
    let events = u32::try_from(new.len() + changed.len() + same).unwrap_or(u32::MAX);
    keep::add_all(store, new)?;
    for event in &changed {
        keep::replace(store, event)?;
    }
    Ok(Imported { events, skipped: notes.told() })
}

/// The VEVENT that stands for a VFREEBUSY: its first period, the others added to it.
fn busy_times(busy: &Component, owner: &str) -> Option<Group> {
    let mut component = Component::new("VEVENT");
    component.line = busy.line;
    component.add("SUMMARY", "", "busy");
    let mut start = None;
    for (property, value) in values(busy, "FREEBUSY") {
        let free = property.parameter("FBTYPE").is_some_and(|kind| kind.eq_ignore_ascii_case("FREE"));
        let (Some(moment), Some(length)) = (Moment::read(property, value), moment::period(property, value))
        else {
            continue;
        };
        if free || moment.all_day {
            continue;
        }
        if start.is_none() {
            moment.write(&mut component, "DTSTART");
            component.add("DURATION", "", &length.written());
        }
        start.get_or_insert(moment.time);
        moment.write_period(&mut component, "RDATE", Some(length));
    }
    start?;
    // Of one person there is one: what was imported before is replaced.
    let uid = format!("busy-times-of-{owner}");
    component.add("UID", "", &ics::escape(&uid));
    Some(Group { uid, components: vec![component] })
}

/// An event with the zones of the file that only it can explain.
fn fit(mut series: Series, zones: &[Component]) -> Result<Series, String> {
    let line = series.components.first().map_or(0, |main| main.line.0);
    for zone in zones {
        let name = zone.get("TZID").map(|name| name.value.clone()).unwrap_or_default();
        if Zone::named(&name).is_none() && tzids(&series.components).any(|used| used == name) {
            series.components.push(zone.clone());
        }
    }
    let mut text = String::new();
    series.components.iter().for_each(|component| component.write(&mut text));
    if text.len() > MAX_EVENT {
        return Err(format!(
            "line {line}: the event has {} bytes; {MAX_EVENT} at most: leave attachments out",
            text.len()
        ));
    }
    Ok(series)
}

/// The zones that the properties of components name.
fn tzids(components: &[Component]) -> impl Iterator<Item = &str> {
    components.iter().flat_map(|c| &c.properties).filter_map(|property| property.parameter("TZID"))
}

/// What of an event is read otherwise than it may have been meant.
fn doubts(series: &Series) -> Vec<String> {
    let mut doubts = Vec::new();
    let mut zones: Vec<&str> = tzids(&series.components).filter(|name| Zone::named(name).is_none()).collect();
    zones.sort_unstable();
    zones.dedup();
    for name in zones {
        let name: String = name.chars().take(60).collect();
        doubts.push(format!("the zone {name} is unknown; its times are read as the user's own clock"));
    }
    let Some(main) = series.components.first() else { return doubts };
    if main.all("RRULE").nth(1).is_some() {
        doubts.push("of several RRULE the first counts".into());
    }
    for name in ["EXRULE", "RRULE"].into_iter().take(if series.headless() { 2 } else { 1 }) {
        if let Some(property) = main.get(name) {
            doubts.push(format!("line {}: {name} is kept and not followed", property.line.0));
        }
    }
    for component in &series.components {
        let wrong = ["RDATE", "EXDATE", "RECURRENCE-ID", "DTEND"]
            .into_iter()
            .flat_map(|name| values(component, name))
            .find(|(property, value)| Moment::read(property, value).is_none());
        if let Some((property, value)) = wrong {
            let value: String = value.chars().take(40).collect();
            doubts.push(format!(
                "line {}: {}:{value} is no time; not followed",
                property.line.0, property.name
            ));
        }
        let length = component.get("DURATION");
        if let Some(length) = length.filter(|l| Length::read(&l.value).is_none_or(|l| l.total() < 0)) {
            let value: String = length.value.chars().take(40).collect();
            doubts.push(format!("line {}: DURATION:{value} is no length; not followed", length.line.0));
        }
        let begins = Moment::of(component, "DTSTART");
        let ends = Moment::of(component, "DTEND");
        if let (Some(begins), Some(ends)) = (begins, ends)
            && begins.until(&ends).total() < 0
        {
            doubts
                .push(format!("line {}: it ends before it begins; read as without length", component.line.0));
        }
    }
    doubts
}

/// The UID that an event goes out with.
fn uid_of(event: &Kept) -> String {
    let own = event.series.components.first().and_then(|component| component.get("UID"));
    own.map_or_else(|| format!("{}@pawl.invalid", event.key), |uid| uid.value.trim().to_owned())
}

/// The user's events as one file: those of a calendar, or all.
///
/// # Errors
/// `unknown-calendar`, `storage`.
pub fn export(store: &impl Store, calendar: Option<&str>) -> Result<String, Error> {
    let events = keep::events(store)?;
    let wanted = names::existing(&events, calendar)?;
    let mut file = Component::new("VCALENDAR");
    file.add("VERSION", "", "2.0");
    file.add("PRODID", "", "-//Pawl//calendar//EN");
    if let Some(name) = &wanted {
        // What calendars in use show as its name.
        file.add("X-WR-CALNAME", "", &ics::escape(name));
    }
    let mut zones: Vec<(String, Component)> = Vec::new();
    for event in events.into_iter().filter(|event| event.owner().is_none()) {
        if wanted.as_ref().is_some_and(|wanted| event.calendar() != *wanted) {
            continue;
        }
        let uid = uid_of(&event);
        for mut component in event.series.components {
            if component.name == "VTIMEZONE" {
                let name = component.get("TZID").map(|name| name.value.clone()).unwrap_or_default();
                if !zones.iter().any(|(known, _)| *known == name) {
                    zones.push((name, component));
                }
                continue;
            }
            if component.get("UID").is_none() {
                component.add("UID", "", &uid);
            }
            if component.get("DTSTAMP").is_none() {
                // Required; the plugin has no clock, and the same calendar gives the same file.
                component.add("DTSTAMP", "", "20000101T000000Z");
            }
            file.parts.push(component);
        }
    }
    // Before the events: each zone that they name.
    for name in tzids(&file.parts) {
        if !zones.iter().any(|(known, _)| known == name)
            && let Some(component) = zone::component(name)
        {
            zones.push((name.to_owned(), component));
        }
    }
    file.parts.splice(0..0, zones.into_iter().map(|(_, component)| component));
    let mut out = String::new();
    file.write(&mut out);
    let escaped = out.bytes().filter(|byte| byte.is_ascii_control() || matches!(byte, b'"' | b'\\')).count();
    if out.len() + escaped > MAX_EXPORT {
        let bytes = out.len();
        return Err(Error::Storage(format!(
            "the file would have {bytes} bytes, more than one answer holds; export one calendar at a time"
        )));
    }
    Ok(out)
}

#[cfg(test)]
#[path = "exchange_tests.rs"]
mod tests;
