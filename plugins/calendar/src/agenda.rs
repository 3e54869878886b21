//! What happens in some days, of all events together, within the steps that one call may take.
//!
//! Invariant: however many events there are and whatever their rules say, a call ends in time. The steps are spread
//! fairly: every event has its share, what one leaves goes to those that need more, and an event that is not looked
//! through to the end is named, with the time from which on it is not complete.

use std::collections::HashMap;

use crate::keep::Kept;
use crate::series::{Found, Occurrence};
use crate::time::Time;
use crate::zone::Zone;

/// Steps of one call. In a component a step takes 50 to 100 ns, and the occurrences that they pay for some megabytes.
pub const FUEL: u32 = 4_000_000;
/// The most notes that one answer holds.
const MAX_NOTES: usize = 20;

/// What was found.
#[derive(Debug, Default)]
pub struct Agenda<'a> {
    /// By start.
    pub entries: Vec<(&'a Kept, Occurrence<'a>)>,
    /// What else is to be said.
    pub notes: Vec<String>,
    /// Events that are not looked through, or not given, from a time on.
    cut: Vec<(&'a Kept, Time)>,
}

impl<'a> Agenda<'a> {
    /// What happens between two times of the user's clock, for at most `fuel` steps.
    #[must_use]
    pub fn of(events: &[&'a Kept], (from, to): (Time, Time), user: &Zone, fuel: u32) -> Agenda<'a> {
        let events = || events.iter().zip(0..).map(|(event, number): (&&'a Kept, u32)| (*event, number));
        let count = events().count().try_into().unwrap_or(u32::MAX).max(1);
        // Half for a first look at each, the rest for those that need more.
        let share = fuel / 2 / count;
        let mut left = fuel;
        let mut found: Vec<(&Kept, Found)> = Vec::new();
        for (event, _) in events() {
            let one = event.series.between(from, to, user, share.min(left));
            left = left.saturating_sub(one.spent);
            found.push((event, one));
        }
        let mut hungry: Vec<&mut (&Kept, Found)> =
            found.iter_mut().filter(|(_, one)| one.incomplete.is_some() && one.spent >= share).collect();
        while let Some((event, one)) = hungry.pop() {
            let share = left / u32::try_from(hungry.len() + 1).unwrap_or(u32::MAX);
            if share > one.spent {
                *one = event.series.between(from, to, user, share);
                left = left.saturating_sub(one.spent);
            }
        }
        let mut agenda = Agenda::default();
        for (event, one) in found {
            if let Some(time) = one.incomplete {
                agenda.cut.push((event, time));
            }
            agenda.entries.extend(one.occurrences.into_iter().map(|occurrence| (event, occurrence)));
        }
        agenda.entries.sort_by_key(|(_, occurrence)| occurrence.start);
        agenda
    }

    /// Leaves at most `most` entries: of those that happen most often, the first ones.
    pub fn limit(&mut self, most: usize) {
        if self.entries.len() <= most {
            return;
        }
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for (event, _) in &self.entries {
            *counts.entry(&event.key).or_default() += 1;
        }
        // The largest share that keeps within the limit: those with fewer leave theirs to the others.
        let mut each: Vec<usize> = counts.values().copied().collect();
        each.sort_unstable();
        let (mut left, mut share) = (most, 0);
        for (place, count) in each.iter().enumerate() {
            share = left / (each.len() - place);
            if *count > share {
                break;
            }
            left -= count;
        }
        let mut given: HashMap<&str, usize> = HashMap::new();
        let cut = &mut self.cut;
        self.entries.retain(|(event, occurrence)| {
            let given = given.entry(&event.key).or_default();
            *given += 1;
            if *given == share + 1 {
                cut.push((event, occurrence.start));
            }
            *given <= share
        });
    }

    /// The notes as an answer holds them: each event that was cut once, with the earliest time.
    #[must_use]
    pub fn told(mut self) -> Vec<String> {
        self.cut.sort_by(|a, b| (&a.0.key, a.1).cmp(&(&b.0.key, b.1)));
        self.cut.dedup_by(|later, first| later.0.key == first.0.key);
        for (event, from) in self.cut.iter().take(MAX_NOTES) {
            let title: String = event.series.title().chars().take(40).collect();
            let id = &event.id;
            self.notes.push(format!(
                "{id} ({title}) happens too often to be looked through: left out from {from} on"
            ));
        }
        if let Some(more) = self.cut.len().checked_sub(MAX_NOTES).filter(|more| *more > 0) {
            self.notes.push(format!("so do {more} more; give fewer days"));
        }
        self.notes
    }
}
