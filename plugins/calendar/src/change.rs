//! Changes to an event and its recurrences: leaving out, moving one, moving all, and parting a series in two.
//!
//! Invariant: what a change does not name stays: a length, other recurrences, properties that nothing here knows. "This
//! and following" parts the series, as calendars in use do; a RANGE=THISANDFUTURE (RFC 5545, section 3.2.13) is read, but
//! few other programs read one.

use crate::expand::{Expansion, PLENTY};
use crate::ics::Component;
use crate::moment::{Moment, length};
use crate::rule::{Rule, Until};
use crate::series::Series;
use crate::time::Time;
use crate::zone::Zone;

/// What says when an event happens.
const WHEN: [&str; 7] = ["RRULE", "RDATE", "EXDATE", "RECURRENCE-ID", "DTSTART", "DTEND", "DURATION"];

impl Series {
    fn moment(&self, time: Time) -> Moment {
        Moment { time, ..self.start.clone() }
    }

    /// The recurrence that a component stands for, on the event's clock.
    fn recurrence_of(&self, component: &Component) -> Option<Time> {
        Some(Moment::of(component, "RECURRENCE-ID")?.on(&self.start.zone))
    }

    /// Writes the fields back into the first component; its start and length are left.
    fn write_recurrences(&mut self) {
        let (start, rule) = (self.start.clone(), self.rule.as_ref().map(Rule::to_string));
        let Some(main) = self.components.first_mut() else { return };
        for name in ["RRULE", "RDATE", "EXDATE"] {
            main.remove(name);
        }
        if let Some(rule) = rule {
            main.add("RRULE", "", &rule);
        }
        for (time, length) in &self.added {
            Moment { time: *time, ..start.clone() }.write_period(main, "RDATE", *length);
        }
        for time in &self.left_out {
            Moment { time: *time, ..start.clone() }.write(main, "EXDATE");
        }
    }

    /// Leaves one recurrence out.
    pub fn leave_out(&mut self, time: Time) {
        if self.headless() {
            return self.keep_overrides(|of| of != time);
        }
        let moment = self.moment(time);
        let Some(main) = self.components.first_mut() else { return };
        moment.write(main, "EXDATE");
        self.left_out.push(time);
        self.left_out.sort_unstable();
    }

    /// Leaves a recurrence and all that follow out.
    pub fn end_before(&mut self, time: Time) {
        let zone = self.start.zone.clone();
        if let Some(rule) = &mut self.rule {
            rule.count = None;
            rule.until = Some(match (&zone, self.start.all_day) {
                (_, true) => Until::Day(time.date().plus(-1)),
                (Zone::Floating, _) => Until::Local(time.plus(-1)),
                (zone, _) => Until::Utc(Time::from_seconds(zone.instant(time) - 1)),
            });
        }
        self.added.retain(|(added, _)| *added < time);
        self.left_out.retain(|out| *out < time);
        let headless = self.headless();
        self.keep_overrides(|of| of < time);
        if !headless {
            self.write_recurrences();
        }
    }

    /// Keeps the overrides of some recurrences only, and all else.
    fn keep_overrides(&mut self, of_these: impl Fn(Time) -> bool) {
        let stays = |component| self.recurrence_of(component).is_none_or(&of_these);
        let kept: Vec<bool> = self.components.iter().map(stays).collect();
        let mut kept = kept.into_iter();
        self.components.retain(|_| kept.next().unwrap_or(true));
    }

    /// Moves one recurrence to another start on the event's clock.
    pub fn move_one(&mut self, recurrence: Time, to: Time) {
        let own = |component: &Component| {
            let property = component.get("RECURRENCE-ID");
            self.recurrence_of(component) == Some(recurrence)
                && property.is_none_or(|property| property.parameter("RANGE").is_none())
        };
        let at = self.components.iter().position(own);
        let base = match at.and_then(|at| self.components.get(at)) {
            Some(component) => component.clone(),
            None => self.in_force(recurrence),
        };
        let own_key = base.get("RECURRENCE-ID").filter(|_| at.is_some()).cloned();
        let mut moved = self.at(base, to, at.is_none().then_some(recurrence));
        match own_key {
            Some(key) => moved.properties.push(key),
            None => self.moment(recurrence).write(&mut moved, "RECURRENCE-ID"),
        }
        match at.and_then(|at| self.components.get_mut(at)) {
            Some(component) => *component = moved,
            None => self.components.insert(1.min(self.components.len()), moved),
        }
    }

    /// The component that says what a recurrence is, where it has no override of its own.
    fn in_force(&self, recurrence: Time) -> Component {
        let ranged = |c: &&Component| c.get("RECURRENCE-ID").is_some_and(|p| p.parameter("RANGE").is_some());
        let of = |c: &Component| self.recurrence_of(c).filter(|of| *of <= recurrence);
        let latest = self.overrides().filter(ranged).filter(|c| of(c).is_some()).max_by_key(|c| of(c));
        latest.or(self.components.first()).cloned().unwrap_or_default()
    }

    /// A component at another start, without recurrences; of a recurrence that was added as a period, its length.
    fn at(&self, mut component: Component, to: Time, recurrence: Option<Time>) -> Component {
        let own =
            self.added.iter().find(|(time, _)| Some(*time) == recurrence).and_then(|(_, length)| *length);
        let length = own.unwrap_or_else(|| length(&component, &self.start));
        for name in WHEN {
            component.remove(name);
        }
        self.moment(to).write(&mut component, "DTSTART");
        component.add("DURATION", "", &length.written());
        component
    }

    /// Moves the event and all its recurrences so that the one at `recurrence` begins at `to`, both on the event's
    /// clock; those that were moved by themselves stay where they are.
    ///
    /// # Errors
    /// Where the rule names days or hours that cannot be moved so, or there is no rule to move.
    pub fn move_all(&mut self, recurrence: Time, to: Time) -> Result<(), String> {
        if self.headless() {
            if self.recurs() {
                return Err("only single times of its series are known; move each, with its day".into());
            }
            let only = self.overrides().find_map(|component| self.recurrence_of(component));
            self.move_one(only.unwrap_or(recurrence), to);
            return Ok(());
        }
        let shift = to.since(recurrence);
        let rule = self.rule.as_ref().map(|rule| rule.shifted(recurrence, to)).transpose()?;
        let start = self.moment(self.start.time.plus(shift));
        let keys: Vec<Option<Time>> = self.components.iter().map(|c| self.recurrence_of(c)).collect();
        // The one that is named moves, also where it was moved by itself before.
        for at in 0..keys.len() {
            if keys.get(at) == Some(&Some(recurrence))
                && let Some(named) = self.components.get(at).cloned()
            {
                let key = named.get("RECURRENCE-ID").cloned();
                let mut named = self.at(named, to, None);
                named.properties.extend(key);
                self.components.splice(at..=at, [named]);
            }
        }
        let Some(main) = self.components.first().cloned() else { return Ok(()) };
        let moved = self.at(main, start.time, None);
        for (component, key) in self.components.iter_mut().zip(keys) {
            let (Some(key), Some(property)) = (key, component.get("RECURRENCE-ID")) else { continue };
            let range = property.parameter("RANGE").map(|range| format!(";RANGE={range}"));
            component.remove("RECURRENCE-ID");
            Moment { time: key.plus(shift), ..start.clone() }.write(component, "RECURRENCE-ID");
            if let (Some(range), Some(property)) = (range, component.properties.last_mut()) {
                property.parameters.push_str(&range);
            }
        }
        if let Some(main) = self.components.first_mut() {
            *main = moved;
        }
        for (time, _) in &mut self.added {
            *time = time.plus(shift);
        }
        for time in &mut self.left_out {
            *time = time.plus(shift);
        }
        (self.start, self.rule) = (start, rule);
        self.write_recurrences();
        Ok(())
    }

    /// Parts the series before a recurrence: this one ends there, the one that is given back begins with it, at `to`.
    ///
    /// # Errors
    /// As [`Series::move_all`], or where the recurrences before cannot be counted; nothing is changed then.
    pub fn part(&mut self, recurrence: Time, to: Time) -> Result<Series, String> {
        if self.headless() {
            return Err("only single times of its series are known; move each, with its day".into());
        }
        let mut rest = self.clone();
        if let Some((rule, _)) = self.counted_rule(PLENTY)
            && let Some(count) = rule.count
        {
            let (start, zone) = (self.start.time, &self.start.zone);
            let mut times = Expansion::new(&rule, start, zone, recurrence, PLENTY);
            let before = times.by_ref().take_while(|time| *time < recurrence).count();
            if times.starved().is_some() {
                return Err("too many recurrences lie before it; move all of them".into());
            }
            let left = u32::try_from(before).ok().and_then(|before| count.checked_sub(before));
            if let Some(rule) = &mut rest.rule {
                rule.count = left.filter(|left| *left > 0);
            }
            if rest.rule.as_ref().is_some_and(|rule| rule.count.is_none()) {
                rest.rule = None;
            }
        }
        let mut main = rest.in_force(recurrence);
        let length = length(&main, &rest.start);
        main.remove("UID");
        for name in WHEN {
            main.remove(name);
        }
        rest.moment(recurrence).write(&mut main, "DTSTART");
        main.add("DURATION", "", &length.written());
        let ranged = |c: &Component| c.get("RECURRENCE-ID").is_some_and(|p| p.parameter("RANGE").is_some());
        // A range that begins here is what the new series is made of.
        let stays = |c: &Component| {
            rest.recurrence_of(c).is_none_or(|of| of > recurrence || of == recurrence && !ranged(c))
        };
        let kept: Vec<bool> = rest.components.iter().map(stays).collect();
        let mut kept = kept.into_iter();
        rest.components.retain(|_| kept.next().unwrap_or(true));
        for component in &mut rest.components {
            component.remove("UID");
        }
        if let Some(first) = rest.components.first_mut() {
            *first = main;
        }
        rest.start.time = recurrence;
        rest.added.retain(|(time, _)| *time >= recurrence);
        rest.left_out.retain(|time| *time >= recurrence);
        rest.move_all(recurrence, to)?;
        self.end_before(recurrence);
        Ok(rest)
    }
}

impl Rule {
    /// The rule of a series whose recurrence at `from` is moved to `to`.
    ///
    /// # Errors
    /// Where it names hours or days that do not move along; the mend is told.
    fn shifted(&self, from: Time, to: Time) -> Result<Rule, String> {
        let mut rule = self.clone();
        let days = to.date().since(from.date());
        let refuse = |what: &str| {
            Err(format!("its rule {self} names {what}; cancel it from that day on and create a new event"))
        };
        if from.of_day() != to.of_day()
            && [&self.hours, &self.minutes, &self.seconds].iter().any(|list| !list.is_empty())
        {
            return refuse("the hours");
        }
        rule.until = match self.until {
            Some(Until::Day(day)) => Some(Until::Day(day.plus(days))),
            Some(Until::Local(time)) => Some(Until::Local(time.plus(to.since(from)))),
            Some(Until::Utc(time)) => Some(Until::Utc(time.plus(to.since(from)))),
            None => None,
        };
        if days == 0 {
            return Ok(rule);
        }
        rule.move_days(from, to).then_some(rule).map_or_else(|| refuse("the days"), Ok)
    }

    /// Puts other days into the rule, so many as `to` is after `from`; false where that has no one meaning.
    fn move_days(&mut self, from: Time, to: Time) -> bool {
        use crate::rule::Freq;
        let days = to.date().since(from.date());
        let ((from_year, from_month, _), (year, month, day)) = (from.date().parts(), to.date().parts());
        if !self.positions.is_empty() || !self.weeks.is_empty() || !self.year_days.is_empty() {
            return false;
        }
        let last = crate::time::month_length(year, month);
        match self.freq {
            Freq::Weekly => {
                let wraps = |weekday: i64| {
                    let place = (weekday - self.week_start).rem_euclid(7) + days;
                    !(0..7).contains(&place)
                };
                // With every second week, days that leave their week would fall apart.
                if !self.months.is_empty()
                    || !self.month_days.is_empty()
                    || (self.interval > 1
                        && self.days.len() > 1
                        && self.days.iter().any(|(_, day)| wraps(*day)))
                {
                    return false;
                }
                for (_, weekday) in &mut self.days {
                    *weekday = (*weekday + days).rem_euclid(7);
                }
                self.days.sort_unstable_by_key(|(n, day)| (*day, *n));
                true
            }
            Freq::Monthly | Freq::Yearly => {
                let same = (from_year, from_month) == (year, month);
                match (&mut self.months[..], self.freq) {
                    ([], _) => {}
                    ([one], Freq::Yearly) if self.days.is_empty() => *one = month,
                    _ if same => {}
                    _ => return false,
                }
                match (&mut self.days[..], &mut self.month_days[..]) {
                    ([], []) => true,
                    ([], [one]) if same => {
                        *one = if *one > 0 { day } else { day - last - 1 };
                        true
                    }
                    ([(n, weekday)], [])
                        if same && *n != 0 && (self.freq == Freq::Monthly || !self.months.is_empty()) =>
                    {
                        *weekday = to.date().weekday();
                        *n = if *n > 0 { (day - 1) / 7 + 1 } else { -((last - day) / 7 + 1) };
                        true
                    }
                    _ => false,
                }
            }
            _ => self.days.is_empty() && self.month_days.is_empty() && self.months.is_empty(),
        }
    }
}

#[cfg(test)]
#[path = "change_tests.rs"]
mod tests;
