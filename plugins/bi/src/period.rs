//! Periods and steps of time, by the calendar: ISO dates, weeks from Monday, quarters of three months from January.
//!
//! Invariant: a [`Period`] has its first day not after its last; every label is one that SQL made for the same day
//! ([`step_sql`] and [`label`] agree).

use jiff::ToSpan;
use jiff::civil::{Date, date};

use crate::{Comparison, Error, Grain};

/// Some days, both ends included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    /// First day.
    pub from: Date,
    /// Last day.
    pub to: Date,
    /// As asked for.
    pub label: String,
    /// Whole calendar steps, and how many; none for a range of days.
    steps: Option<(Grain, i32)>,
}

const HELP: &str = "write 2026, 2026-Q3, 2026-03, 2026-03-15, 2026-03-01..2026-05-15, this-month, last-quarter or last-30-days";

/// Today by the host's clock, in UTC.
#[must_use]
pub fn today() -> Date {
    let seconds =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    i64::try_from(seconds / 86_400)
        .ok()
        .and_then(|days| date(1970, 1, 1).checked_add(days.days()).ok())
        .unwrap_or(date(1970, 1, 1))
}

/// Reads a period.
///
/// # Errors
/// Where it is none, with what to write.
pub fn read(text: &str, today: Date) -> Result<Period, Error> {
    parse(text, today).ok_or_else(|| Error::InvalidPeriod(format!("`{text}` is no period; {HELP}"))).and_then(
        |period| {
            if period.from > period.to {
                return Err(Error::InvalidPeriod(format!(
                    "`{text}` ends before it begins; give the earlier day first"
                )));
            }
            if today.year() <= 2000 && text.contains("st-") | text.contains("is-") {
                let why = "there is no clock, so that relative periods mean nothing; give dates";
                return Err(Error::InvalidPeriod(format!("`{text}`: {why}")));
            }
            Ok(period)
        },
    )
}

fn parse(text: &str, today: Date) -> Option<Period> {
    let made = |from: Date, to: Date, steps| Some(Period { from, to, label: text.to_owned(), steps });
    let stepped = |grain: Grain, start: Date, count: i32| {
        made(start, plus(start, grain, count)?.checked_sub(1.day()).ok()?, Some((grain, count)))
    };
    if let Some((from, to)) = text.split_once("..") {
        return made(day(from)?, day(to)?, None);
    }
    if let Some(grain) = text.strip_prefix("this-").and_then(grain) {
        return stepped(grain, start(today, grain)?, 1);
    }
    if let Some(rest) = text.strip_prefix("last-") {
        let (count, grain) = match rest.split_once('-') {
            None => (1, grain(rest)?),
            Some((count, unit)) => {
                (count.parse().ok().filter(|n| (1..1000).contains(n))?, grain(unit.strip_suffix('s')?)?)
            }
        };
        return match grain {
            Grain::Day => made(plus(today, grain, 1 - count)?, today, None),
            _ => stepped(grain, plus(start(today, grain)?, grain, -count)?, count),
        };
    }
    if let Some((year, quarter)) = text.split_once("-Q") {
        let month = quarter.parse::<i8>().ok().filter(|q| (1..=4).contains(q))? * 3 - 2;
        return stepped(Grain::Quarter, Date::new(year.parse().ok()?, month, 1).ok()?, 1);
    }
    match text.len() {
        4 => stepped(Grain::Year, day(&format!("{text}-01-01"))?, 1),
        7 => stepped(Grain::Month, day(&format!("{text}-01"))?, 1),
        _ => stepped(Grain::Day, day(text)?, 1),
    }
}

fn day(text: &str) -> Option<Date> {
    if text.len() == 10 { text.parse().ok() } else { None }
}

fn grain(word: &str) -> Option<Grain> {
    Some(match word {
        "day" => Grain::Day,
        "week" => Grain::Week,
        "month" => Grain::Month,
        "quarter" => Grain::Quarter,
        "year" => Grain::Year,
        _ => return None,
    })
}

/// So many steps later; none beyond the calendar.
#[must_use]
pub fn plus(day: Date, grain: Grain, count: i32) -> Option<Date> {
    let span = match grain {
        Grain::Day => count.days(),
        Grain::Week => count.weeks(),
        Grain::Month => count.months(),
        Grain::Quarter => count.checked_mul(3)?.months(),
        Grain::Year => count.years(),
    };
    day.checked_add(span).ok()
}

/// The first day of the step that holds a day.
#[must_use]
pub fn start(day: Date, grain: Grain) -> Option<Date> {
    match grain {
        Grain::Day => Some(day),
        Grain::Week => day.checked_sub(i32::from(day.weekday().to_monday_zero_offset()).days()).ok(),
        Grain::Month => Some(day.first_of_month()),
        Grain::Quarter => Date::new(day.year(), (day.month() - 1) / 3 * 3 + 1, 1).ok(),
        Grain::Year => Some(day.first_of_year()),
    }
}

/// What the step that begins on a day is called.
#[must_use]
pub fn label(start: Date, grain: Grain) -> String {
    match grain {
        Grain::Day | Grain::Week => start.to_string(),
        Grain::Month => format!("{:04}-{:02}", start.year(), start.month()),
        Grain::Quarter => format!("{:04}-Q{}", start.year(), (start.month() + 2) / 3),
        Grain::Year => format!("{:04}", start.year()),
    }
}

/// The label of the step that a column's day is in, in SQLite.
#[must_use]
pub fn step_sql(column: &str, grain: Grain) -> String {
    match grain {
        Grain::Day => format!("substr({column}, 1, 10)"),
        Grain::Week => format!("date({column}, 'weekday 0', '-6 days')"),
        Grain::Month => format!("substr({column}, 1, 7)"),
        Grain::Quarter => {
            format!("substr({column}, 1, 4) || '-Q' || ((CAST(substr({column}, 6, 2) AS INTEGER) + 2) / 3)")
        }
        Grain::Year => format!("substr({column}, 1, 4)"),
    }
}

/// The labels of all steps from one day to another; at most `most`, none where there are more.
#[must_use]
pub fn labels(from: Date, to: Date, grain: Grain, most: usize) -> Option<Vec<String>> {
    let (mut at, mut all) = (start(from, grain)?, Vec::new());
    while at <= to {
        if all.len() == most {
            return None;
        }
        all.push(label(at, grain));
        at = plus(at, grain, 1)?;
    }
    Some(all)
}

impl Period {
    /// The period to compare with.
    ///
    /// # Errors
    /// Where it lies beyond the calendar.
    pub fn compared(&self, comparison: Comparison) -> Result<Period, Error> {
        let shifted = match (comparison, self.steps) {
            (Comparison::PreviousPeriod, Some((grain, count))) => self.shifted(grain, count),
            (Comparison::PreviousPeriod, None) => {
                let days = (self.to - self.from).get_days() + 1;
                self.shifted(Grain::Day, days)
            }
            (Comparison::SamePeriodLastYear, _) => self.shifted(Grain::Year, 1),
        };
        shifted.ok_or_else(|| Error::InvalidPeriod(format!("nothing can lie before `{}`", self.label)))
    }

    fn shifted(&self, grain: Grain, count: i32) -> Option<Period> {
        let from = plus(self.from, grain, -count)?;
        // the end follows from the day after, so that months of unequal length stay whole
        let to = plus(plus(self.to, Grain::Day, 1)?, grain, -count)?.checked_sub(1.day()).ok()?;
        let label = match self.steps {
            Some((grain, 1)) => label(from, grain),
            _ => format!("{from}..{to}"),
        };
        Some(Period { from, to, label, steps: self.steps })
    }

    /// With its days, such as `2026-Q3 (2026-07-01 to 2026-09-30)`.
    #[must_use]
    pub fn words(&self) -> String {
        if self.from == self.to {
            self.from.to_string()
        } else if self.steps.is_none() && self.label.contains("..") {
            format!("{} to {}", self.from, self.to)
        } else {
            format!("{} ({} to {})", self.label, self.from, self.to)
        }
    }

    /// The last whole quarter before a day.
    #[must_use]
    pub fn last_quarter(day: Date) -> Option<Period> {
        let first = plus(start(day, Grain::Quarter)?, Grain::Quarter, -1)?;
        parse(&label(first, Grain::Quarter), day)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "these dates are there")]
mod tests {
    use super::*;

    #[test]
    fn periods_are_the_calendars() {
        let today = date(2026, 11, 23);
        for (text, from, to) in [
            ("2024-02", "2024-02-01", "2024-02-29"),
            ("2026", "2026-01-01", "2026-12-31"),
            ("2026-Q4", "2026-10-01", "2026-12-31"),
            ("2026-03-15", "2026-03-15", "2026-03-15"),
            ("2026-03-01..2026-05-15", "2026-03-01", "2026-05-15"),
            ("this-week", "2026-11-23", "2026-11-29"),
            ("last-week", "2026-11-16", "2026-11-22"),
            ("last-quarter", "2026-07-01", "2026-09-30"),
            ("last-3-months", "2026-08-01", "2026-10-31"),
            ("last-30-days", "2026-10-25", "2026-11-23"),
        ] {
            let period = read(text, today).unwrap();
            assert_eq!(
                (period.from.to_string().as_str(), period.to.to_string().as_str()),
                (from, to),
                "{text}"
            );
        }
        for bad in [
            "",
            "soon",
            "2026-13",
            "2026-02-30",
            "2026-Q5",
            "2026-05-01..2026-04-01",
            "last-0-days",
            "last-x-days",
            "99999",
        ] {
            assert!(read(bad, today).is_err(), "{bad}");
        }
        assert!(read("last-month", date(2000, 1, 1)).is_err(), "the clock that is not granted");
    }

    #[test]
    fn compared_periods_are_as_long_and_stay_whole() {
        use Comparison::{PreviousPeriod, SamePeriodLastYear};
        let today = date(2026, 11, 23);
        for (text, comparison, from, to) in [
            ("2026-03", PreviousPeriod, "2026-02-01", "2026-02-28"),
            ("2024-02", SamePeriodLastYear, "2023-02-01", "2023-02-28"),
            ("2025-02", SamePeriodLastYear, "2024-02-01", "2024-02-29"),
            ("2026-Q1", PreviousPeriod, "2025-10-01", "2025-12-31"),
            ("last-3-months", PreviousPeriod, "2026-05-01", "2026-07-31"),
            ("2026-03-11..2026-03-20", PreviousPeriod, "2026-03-01", "2026-03-10"),
        ] {
            let period = read(text, today).unwrap().compared(comparison).unwrap();
            assert_eq!(
                (period.from.to_string().as_str(), period.to.to_string().as_str()),
                (from, to),
                "{text}"
            );
        }
    }
}
