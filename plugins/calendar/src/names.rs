//! Names of calendars and of people, as they are kept with an event.
//!
//! Invariant: a calendar is there as long as it holds an event; a new one is made only where that is said (`new:NAME`),
//! so that a misspelt name is an error and no calendar. `personal` is always there.

use crate::Error;
use crate::ics::Component;
use crate::keep::Kept;

/// The calendar of events for which none was named.
pub const PERSONAL: &str = "personal";
/// Where an event says its calendar.
pub const CALENDAR: &str = "X-PAWL-CALENDAR";
/// Where an event says whose time it takes, if not the user's.
pub const OWNER: &str = "X-PAWL-OWNER";
/// What stands before the name of a calendar that is to be made.
const NEW: &str = "new:";
const MAX_NAME: usize = 40;

impl Kept {
    fn named(&self, property: &str) -> Option<String> {
        self.series.components.first()?.get(property).map(crate::ics::Property::text)
    }

    /// The calendar that it is in.
    #[must_use]
    pub fn calendar(&self) -> String {
        self.named(CALENDAR).unwrap_or_else(|| PERSONAL.to_owned())
    }

    /// Whose time it takes, where it is not the user's.
    #[must_use]
    pub fn owner(&self) -> Option<String> {
        self.named(OWNER)
    }

    /// Whether it takes this person's time, whatever the case of the name.
    #[must_use]
    pub fn owned_by(&self, who: &str) -> bool {
        self.owner().is_some_and(|owner| same(&owner, who))
    }
}

/// Whether two names are the same, whatever their case.
#[must_use]
pub fn same(one: &str, other: &str) -> bool {
    one.trim().to_lowercase() == other.trim().to_lowercase()
}

/// The calendars that there are, `personal` first.
#[must_use]
pub fn calendars(events: &[Kept]) -> Vec<String> {
    let mut names: Vec<String> =
        events.iter().filter(|event| event.owner().is_none()).map(Kept::calendar).collect();
    names.sort();
    names.dedup();
    names.retain(|name| name != PERSONAL);
    names.insert(0, PERSONAL.to_owned());
    names
}

/// The calendar that an argument names: one that there is.
///
/// # Errors
/// `unknown-calendar`.
pub fn existing(events: &[Kept], wanted: Option<&str>) -> Result<Option<String>, Error> {
    let Some(wanted) = wanted.map(str::trim).filter(|wanted| !wanted.is_empty()) else { return Ok(None) };
    let names = calendars(events);
    let found = names.iter().find(|name| same(name, wanted)).cloned();
    found.map(Some).ok_or_else(|| {
        let shown: String = wanted.chars().take(MAX_NAME).collect();
        Error::UnknownCalendar(format!(
            "there is no calendar `{}`; there are {}",
            shown.escape_debug(),
            names.join(", ")
        ))
    })
}

/// The calendar that an argument names: one that there is, or `new:NAME`.
///
/// # Errors
/// `unknown-calendar`.
pub fn existing_or_new(events: &[Kept], wanted: Option<&str>) -> Result<String, Error> {
    let Some(name) = wanted.and_then(|wanted| wanted.trim().strip_prefix(NEW)).map(str::trim) else {
        return match existing(events, wanted) {
            Ok(name) => Ok(name.unwrap_or_else(|| PERSONAL.to_owned())),
            Err(Error::UnknownCalendar(reason)) => {
                Err(Error::UnknownCalendar(format!("{reason}; {NEW}NAME makes a new one")))
            }
            Err(error) => Err(error),
        };
    };
    if !valid(name) {
        return Err(Error::UnknownCalendar(format!(
            "`{}` is no name for a calendar; give 1 to {MAX_NAME} letters, digits, spaces or - . & _",
            name.chars().take(MAX_NAME).collect::<String>().escape_debug()
        )));
    }
    let known = calendars(events).into_iter().find(|known| same(known, name));
    Ok(known.unwrap_or_else(|| name.to_owned()))
}

/// Whether a text can name a calendar.
#[must_use]
pub fn valid(name: &str) -> bool {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '.' | '&' | '_');
    name == name.trim() && (1..=MAX_NAME).contains(&name.chars().count()) && name.chars().all(allowed)
}

/// What a model may write for a calendar: a regular expression of the names and of `new:NAME`.
#[must_use]
pub fn pattern(names: &[String]) -> String {
    let escape = |name: &String| -> String {
        name.chars()
            .flat_map(|c| matches!(c, '.' | '-' | '&').then_some('\\').into_iter().chain([c]))
            .collect()
    };
    let names: Vec<String> = names.iter().filter(|name| valid(name)).map(escape).collect();
    format!(r"({}|{NEW}[\p{{L}}\p{{N}}][\p{{L}}\p{{N}} _-]{{0,39}})", names.join("|"))
}

/// Marks a component with a calendar or an owner; none takes the mark away.
pub fn mark(component: &mut Component, property: &str, name: Option<&str>) {
    component.remove(property);
    if let Some(name) = name.filter(|name| property != CALENDAR || *name != PERSONAL) {
        component.add(property, "", &crate::ics::escape(name));
    }
}
