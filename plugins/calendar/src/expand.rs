//! The wall-clock times that a recurrence rule gives: RFC 5545, section 3.3.10.
//!
//! Invariants: times come in ascending order, none before the start; a rule that never matches ends, because each step
//! (a day looked at, a period begun, a time given) is paid from the caller's fuel and nothing past a horizon is looked
//! at; where the fuel ran out is told. Memory is bounded by the days of a year and the seconds of a day.
//!
//! Where usage differs: `BYWEEKNO` without a day means the start's weekday, as the RFC derives what is missing from
//! DTSTART (python-dateutil takes all seven). `BYSETPOS` of a weekly rule counts in the whole week, also in the first
//! (python-dateutil counts from the start there). A start that the rule does not give is no part of the expansion;
//! [`crate::series`] adds it.

use std::collections::VecDeque;

use crate::rule::{Freq, Rule, Until};
use crate::time::{DAY, Date, Time, month_length};
use crate::zone::Zone;

/// Steps that are plenty for one rule: more than the days of a thousand years.
pub const PLENTY: u32 = 1_000_000;
/// What a time that is given costs, in steps: the caller makes an occurrence of it and keeps it, so this bounds memory.
const PER_TIME: u32 = 64;

/// An iterator over the times of a rule.
#[derive(Debug)]
pub struct Expansion<'a> {
    rule: Rule,
    zone: &'a Zone,
    start: Time,
    horizon: Time,
    /// The number of the next period, in intervals from the one of the start.
    period: i64,
    /// Days of the period that is being given, in order.
    days: VecDeque<Date>,
    /// Seconds of the day, for each of `days`.
    times: Vec<i64>,
    next_time: usize,
    /// What `BYSETPOS` chose of the period.
    chosen: VecDeque<Time>,
    given: u32,
    /// What a day that is looked at costs: long lists are compared one by one.
    per_day: u32,
    fuel: u32,
    /// The last moment that was looked at.
    reached: Time,
    starved: bool,
    ended: bool,
}

impl<'a> Expansion<'a> {
    /// The times of `rule` for an event that starts at `start`, in `zone`, up to and with `horizon`, for at most `fuel`
    /// steps.
    #[must_use]
    pub fn new(rule: &Rule, start: Time, zone: &'a Zone, horizon: Time, fuel: u32) -> Expansion<'a> {
        let mut rule = rule.clone();
        let (_, month, day) = start.date().parts();
        if rule.days.is_empty() && rule.month_days.is_empty() && rule.year_days.is_empty() {
            match rule.freq {
                Freq::Yearly if rule.weeks.is_empty() => {
                    rule.month_days.push(day);
                    if rule.months.is_empty() {
                        rule.months.push(month);
                    }
                }
                Freq::Monthly if rule.weeks.is_empty() => rule.month_days.push(day),
                Freq::Yearly | Freq::Weekly => rule.days.push((0, start.date().weekday())),
                _ => {}
            }
        }
        let second = start.of_day();
        for (list, coarsest, value) in [
            (&mut rule.hours, Freq::Hourly, second / 3600),
            (&mut rule.minutes, Freq::Minutely, second / 60 % 60),
            (&mut rule.seconds, Freq::Secondly, second % 60),
        ] {
            if list.is_empty() && rule.freq < coarsest {
                list.push(value);
            }
        }
        let size = match rule.freq < Freq::Hourly {
            true => rule.hours.len() * rule.minutes.len() * rule.seconds.len(),
            false => 0,
        };
        let listed = rule.days.len()
            + [&rule.month_days, &rule.year_days, &rule.weeks, &rule.months]
                .iter()
                .map(|l| l.len())
                .sum::<usize>();
        let mut expansion = Expansion {
            per_day: 1 + cost(listed, 16),
            reached: start,
            starved: false,
            rule,
            zone,
            start,
            horizon,
            period: 0,
            days: VecDeque::new(),
            times: Vec::new(),
            next_time: 0,
            chosen: VecDeque::new(),
            given: 0,
            fuel,
            ended: false,
        };
        // Paid before it is made: it can have a row for each second of a day.
        if size > 0 && expansion.pay(cost(size, 4)) {
            let Rule { hours, minutes, seconds, .. } = &expansion.rule;
            expansion.times = of_day(hours, minutes, seconds);
        }
        expansion
    }

    /// What is left of the fuel, in steps.
    #[must_use]
    pub fn fuel(&self) -> u32 {
        self.fuel
    }

    /// Where the fuel ran out: times after it are missing. None where they are all given.
    #[must_use]
    pub fn starved(&self) -> Option<Time> {
        self.starved.then_some(self.reached)
    }

    /// Leaves out what is well before `from`, where that needs no counting.
    #[must_use]
    pub fn not_before(mut self, from: Time) -> Expansion<'a> {
        if self.rule.count.is_none() && from > self.start {
            let distance = match self.rule.freq {
                Freq::Yearly => from.date().parts().0 - self.start.date().parts().0,
                Freq::Monthly => {
                    let ((y, m, _), (from_y, from_m, _)) = (self.start.date().parts(), from.date().parts());
                    (from_y - y) * 12 + from_m - m
                }
                Freq::Weekly => from.since(self.start) / (7 * DAY),
                _ => from.since(self.start) / self.unit(),
            };
            self.period = (distance / self.rule.interval - 2).max(0);
        }
        self
    }

    /// Seconds of a period of a fixed length.
    fn unit(&self) -> i64 {
        match self.rule.freq {
            Freq::Secondly => 1,
            Freq::Minutely => 60,
            Freq::Hourly => 3600,
            _ => DAY,
        }
    }

    /// Takes so many steps; false where the fuel is spent.
    fn pay(&mut self, steps: u32) -> bool {
        self.starved |= self.fuel < steps;
        self.fuel = self.fuel.saturating_sub(steps);
        self.ended |= self.starved;
        !self.ended
    }

    /// Fills `days` or `chosen` from the next period; false at the end.
    fn advance(&mut self) -> bool {
        if !self.pay(1) {
            return false;
        }
        let Some(step) = self.period.checked_mul(self.rule.interval) else {
            return false;
        };
        self.period += 1;
        let (year, month, _) = self.start.date().parts();
        let (first, length) = match self.rule.freq {
            Freq::Yearly => {
                let year = year + step;
                (Date::of(year, 1, 1), year_length(year))
            }
            Freq::Monthly => {
                let months = year * 12 + month - 1 + step;
                let (year, month) = (months.div_euclid(12), months.rem_euclid(12) + 1);
                (Date::of(year, month, 1), month_length(year, month))
            }
            Freq::Weekly => {
                let day = self.start.date();
                let back = (day.weekday() - self.rule.week_start).rem_euclid(7);
                (day.plus(step * 7 - back), 7)
            }
            Freq::Daily => (self.start.date().plus(step), 1),
            _ => return self.advance_clock(step),
        };
        if first.at(0) > self.horizon {
            return false;
        }
        self.reached = first.at(0).max(self.start);
        for day in (0..length).map(|n| first.plus(n)) {
            if !self.pay(self.per_day) {
                return false;
            }
            if self.matches(day) {
                self.days.push_back(day);
            }
        }
        self.choose();
        true
    }

    /// [`Expansion::advance`] for hours, minutes and seconds.
    fn advance_clock(&mut self, step: i64) -> bool {
        let unit = self.unit();
        let Some(base) = step.checked_mul(unit).and_then(|far| far.checked_add(self.start.seconds())) else {
            return false;
        };
        let base = Time::from_seconds(base.div_euclid(unit) * unit);
        if base > self.horizon {
            return false;
        }
        self.reached = base.max(self.start);
        if !self.pay(self.per_day - 1) {
            return false;
        }
        let (second, rule) = (base.of_day(), &self.rule);
        let in_list = |list: &[i64], value| list.is_empty() || list.contains(&value);
        // The longest stretch that cannot match is passed over at once.
        let pass = if !self.matches(base.date()) {
            Some(base.date().plus(1).at(0))
        } else if !in_list(&rule.hours, second / 3600) {
            Some(base.date().at((second / 3600 + 1) * 3600))
        } else if rule.freq >= Freq::Minutely && !in_list(&rule.minutes, second / 60 % 60) {
            Some(base.date().at((second / 60 + 1) * 60))
        } else if rule.freq == Freq::Secondly && !in_list(&rule.seconds, second % 60) {
            Some(base.plus(1))
        } else {
            None
        };
        if let Some(to) = pass {
            let first = self.start.seconds().div_euclid(unit);
            let units = to.seconds().div_euclid(unit) - first;
            self.period = self.period.max((units + rule.interval - 1) / rule.interval);
            return true;
        }
        if rule.freq == Freq::Secondly && rule.positions.is_empty() {
            self.chosen.push_back(base);
            return true;
        }
        let minute = [second / 60 % 60];
        let minutes = if rule.freq == Freq::Hourly { &rule.minutes[..] } else { &minute };
        let second_of = [second % 60];
        let seconds = if rule.freq == Freq::Secondly { &second_of } else { &rule.seconds[..] };
        self.times = of_day(&[second / 3600], minutes, seconds);
        self.days.push_back(base.date());
        self.choose();
        self.pay(cost(self.times.len(), 4))
    }

    /// Applies `BYSETPOS` to the period that `days` and `times` stand for.
    fn choose(&mut self) {
        self.next_time = 0;
        if self.rule.positions.is_empty() {
            return;
        }
        self.pay(cost(self.rule.positions.len(), 4));
        let days: Vec<Date> = self.days.drain(..).collect();
        let (per_day, total) = (self.times.len(), days.len() * self.times.len());
        let mut indices: Vec<usize> = Vec::new();
        for position in &self.rule.positions {
            let size = usize::try_from(position.unsigned_abs()).unwrap_or(usize::MAX);
            let index = if *position > 0 { size.checked_sub(1) } else { total.checked_sub(size) };
            indices.extend(index.filter(|index| *index < total));
        }
        indices.sort_unstable();
        indices.dedup();
        for index in indices {
            if let (Some(day), Some(time)) = (days.get(index / per_day), self.times.get(index % per_day)) {
                self.chosen.push_back(day.at(*time));
            }
        }
    }

    fn matches(&self, day: Date) -> bool {
        let rule = &self.rule;
        let (year, month, of_month) = day.parts();
        let of_year = || day.since(Date::of(year, 1, 1)) + 1;
        let either = |list: &[i64], from_start: i64, length: i64| {
            list.contains(&from_start) || list.contains(&(from_start - length - 1))
        };
        let weekday = |(n, weekday): &(i64, i64)| {
            if *weekday != day.weekday() {
                return false;
            }
            let (place, length) = match rule.freq {
                _ if *n == 0 => return true,
                Freq::Yearly if rule.months.is_empty() => (of_year(), year_length(year)),
                _ => (of_month, month_length(year, month)),
            };
            *n == (place - 1) / 7 + 1 || *n == -((length - place) / 7 + 1)
        };
        (rule.months.is_empty() || rule.months.contains(&month))
            && (rule.month_days.is_empty() || either(&rule.month_days, of_month, month_length(year, month)))
            && (rule.days.is_empty() || rule.days.iter().any(weekday))
            && (rule.year_days.is_empty() || either(&rule.year_days, of_year(), year_length(year)))
            && (rule.weeks.is_empty() || {
                let (week, weeks) = week_of(day, rule.week_start);
                either(&rule.weeks, week, weeks)
            })
    }

    fn take(&mut self) -> Option<Time> {
        if let Some(time) = self.chosen.pop_front() {
            return Some(time);
        }
        let day = *self.days.front()?;
        let time = self.times.get(self.next_time).map(|second| day.at(*second));
        self.next_time += 1;
        if self.next_time >= self.times.len() {
            self.next_time = 0;
            self.days.pop_front();
        }
        time
    }

    fn past(&self, time: Time) -> bool {
        time > self.horizon
            || self.rule.count.is_some_and(|count| self.given >= count)
            || match self.rule.until {
                None => false,
                Some(Until::Day(day)) => time.date() > day,
                Some(Until::Local(until)) => time > until,
                Some(Until::Utc(until)) => self.zone.instant(time) > until.seconds(),
            }
    }
}

impl Iterator for Expansion<'_> {
    type Item = Time;

    fn next(&mut self) -> Option<Time> {
        while !self.ended {
            match self.take() {
                // Many times of the first period can lie before the start.
                Some(time) if time < self.start => _ = self.pay(1),
                Some(time) if self.past(time) => self.ended = true,
                Some(time) => {
                    self.reached = time;
                    if !self.pay(PER_TIME) {
                        return None;
                    }
                    self.given += 1;
                    return Some(time);
                }
                None => self.ended |= !self.advance(),
            }
        }
        None
    }
}

/// What so many comparisons cost, where a step is worth `each` of them.
fn cost(count: usize, each: usize) -> u32 {
    u32::try_from(count / each).unwrap_or(u32::MAX)
}

fn of_day(hours: &[i64], minutes: &[i64], seconds: &[i64]) -> Vec<i64> {
    let mut times = Vec::with_capacity(hours.len() * minutes.len() * seconds.len());
    for hour in hours {
        for minute in minutes {
            times.extend(seconds.iter().map(|second| (hour * 60 + minute) * 60 + second));
        }
    }
    // BYSECOND=59,60 gives one second twice.
    times.dedup();
    times
}

fn year_length(year: i64) -> i64 {
    Date::of(year + 1, 1, 1).since(Date::of(year, 1, 1))
}

/// The first day of week 1: the first week that has four days of the year.
fn week_one(year: i64, week_start: i64) -> Date {
    let fourth = Date::of(year, 1, 4);
    fourth.plus(-((fourth.weekday() - week_start).rem_euclid(7)))
}

/// The number of the week that a day is in, and how many weeks its year has.
fn week_of(day: Date, week_start: i64) -> (i64, i64) {
    let (year, ..) = day.parts();
    let year = if day >= week_one(year + 1, week_start) {
        year + 1
    } else if day < week_one(year, week_start) {
        year - 1
    } else {
        year
    };
    let first = week_one(year, week_start);
    (day.since(first) / 7 + 1, week_one(year + 1, week_start).since(first) / 7)
}

#[cfg(test)]
#[path = "expand_tests.rs"]
mod tests;
